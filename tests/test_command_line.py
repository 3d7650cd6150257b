"""What all command lines share: exit codes, of which 1 is a verdict and nothing else, and --threads in any place."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE

import pytest

import bench
from bench.__main__ import main, requested_threads
from bench.commands.parser import GROUPS, STUDIES, make_parser
from command_line import exit_code, interrupted_by_signals
from tests.helpers.command import refused

ROOT = bench.ROOT
POSITIONAL = {
    "merge": ["a.jsonl", "b.jsonl"],
    "compare": ["HEAD"],
    "predict": ["model", "picture"],
    "inspect": ["model"],
}
# All that compute; others only write a file.
COMMANDS = [[name] for group in GROUPS.values() for name in group if name not in ("new", "merge")] + [
    ["study", name] for name in STUDIES
]


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize("code", [0, 1])
def test_a_verdict_is_passed_on(code: int) -> None:
    assert exit_code(lambda: code) == code


@pytest.mark.parametrize(
    ("error", "printed"),
    [
        (RuntimeError("a bug"), "Traceback"),
        (KeyError("case"), "Traceback"),
        (AssertionError(), "Traceback"),
        (SyntaxError("in a module of the user"), "Traceback"),
        (ValueError("bad input"), "error: bad input\n"),
        (
            OSError(28, "No space left on device"),
            "error: a file, or what stdout leads to: No space left on device; make room",
        ),
        (OSError(5, "Input/output error", "/a/file"), "error: /a/file: Input/output error; make room"),
        (OSError(36, "File name too long", "a" * 300), f"error: {'a' * 119}…: File name too long; make room"),
        (OSError(5, "Input/output error"), "error: [Errno 5] Input/output error; make room"),
        (MemoryError("for 9 GB"), "error: not enough memory (for 9 GB)"),
        (SystemExit(1), ""),
        (SystemExit("enough"), ""),
        (ModuleNotFoundError("No module named 'numpy'"), "error: No module named 'numpy', with "),
    ],
)
def test_what_is_no_verdict_ends_with_2(error: BaseException, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(raising(error), ValueError) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(printed)
    assert shown.count("\n") == printed.startswith("error") or printed == "Traceback"


WAITING = """
import sys, time
from command_line import exit_code
def work():
    try:
        print("works", flush=True)
        time.sleep(60)
    finally:
        print("tidied up")
sys.exit(exit_code(work))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("name", "line"),
    [("SIGINT", "interrupted"), ("SIGTERM", "ended by SIGTERM"), ("SIGHUP", "ended by SIGHUP")],
)
@pytest.mark.usefixtures("interruptible")
def test_a_signal_ends_it_in_order_with_one_line(name: str, line: str) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITING], cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n"
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (128 + getattr(signal, name), "tidied up\n", f"{line}\n")


IN_A_TERMINAL = f"import os, sys; os.open(sys.argv[1], os.O_RDWR)  # it becomes the terminal of the session\n{WAITING}"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a terminal is made another way")
@pytest.mark.usefixtures("interruptible")
def test_a_closed_terminal_ends_it_in_order(tmp_path: Path) -> None:
    terminal, end = os.openpty()
    tidied = f'print("tidied up", flush=True); open({str(tmp_path / "tidied")!r}, "x")'
    code = IN_A_TERMINAL.replace('print("tidied up")', tidied)
    with subprocess.Popen(
        [sys.executable, "-c", code, os.ttyname(end)],
        cwd=ROOT, stdin=end, stdout=end, stderr=end, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(end)
        assert os.read(terminal, 5) == b"works"
        os.close(terminal)
        process.wait(60)
    assert process.returncode == 128 + signal.SIGHUP
    assert (tmp_path / "tidied").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_nohup_is_obeyed_and_handlers_are_as_before() -> None:
    before, of_others = signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.getsignal(signal.SIGTERM)
    try:
        with interrupted_by_signals() as received:
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
            with contextlib.suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)  # the second disturbs nothing
            assert received == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is of_others
    finally:
        signal.signal(signal.SIGHUP, before)


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What a Python does with this code, in the root of the repository."""
    return subprocess.run([sys.executable, *options, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_python_without_libraries_is_one_line() -> None:
    done = run("import sys; from bench.__main__ import main; sys.exit(main(['agree']))", "-S")
    assert done.returncode == 2
    assert done.stderr.startswith("error: No module named ")
    assert "pip install -c constraints.txt" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_registry_that_cannot_be_imported_is_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "impls").mkdir()
    (tmp_path / "impls" / "__init__.py").write_text("raise RuntimeError('broken')\n")
    first = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
    done = run(f"{first}from bench.__main__ import main; sys.exit(main(['agree']))")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "RuntimeError: broken"


@pytest.mark.parametrize("room", ["bench", "data", "impls", "reports"])
def test_a_reader_that_stops_early_gets_no_verdict(room: str) -> None:
    command = [sys.executable, "-m", room, "--help"]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, cwd=ROOT, env=buffered, stdout=PIPE, stderr=PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 2


PRINTING = """
import sys
from rich.console import Console
from command_line import exit_code
from tests.helpers.command import refused
sys.stdin.read()  # until the reader is gone
def work():
    for line in range(10_000):
        Console().print("one more line")
    return 0
sys.exit(exit_code(work))
"""


def test_a_table_that_nobody_reads_gets_no_verdict() -> None:
    """rich exits with 1 by itself."""
    with subprocess.Popen([sys.executable, "-c", PRINTING], cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 2


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_threads_before_or_after_a_command(words: list[str]) -> None:
    command = [*words, *POSITIONAL.get(words[-1], [])]
    for arguments, expected in [
        (command, None),
        (["--threads", "1", *command], 1),
        (["--threads=1", *command], 1),
        ([*command, "--threads", "1"], 1),
    ]:
        assert make_parser().parse_args(arguments).threads == requested_threads(arguments) == expected, arguments


def test_variables_that_bind_threads_are_named_and_not_obeyed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_PLACES", "cores")
    assert main(["--threads", "0"]) == 2
    assert capsys.readouterr().err.startswith("OMP_PLACES is not obeyed")
    assert main(["--threads", "0"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


UNDER_A_QUOTA = """
import os
from bench.timing import system, threads
threads.usable, system.quota = lambda: {0, 1, 2, 3}, lambda: 2.9
from bench.__main__ import main
print(main(["compare", "no-such-revision"]), os.environ["OPENBLAS_NUM_THREADS"])
"""


def test_under_a_cpu_quota_the_libraries_are_told_of_it() -> None:
    done = run(UNDER_A_QUOTA)
    assert done.stdout == "2 2\n", done.stderr


@pytest.mark.parametrize("words", [["x" * 5000], ["race", f"--{'x' * 5000}"], ["race", "--dtype", "x " * 5000]])
def test_an_endless_word_is_shortened(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, lambda: make_parser().parse_args(words))
    assert message.count("xxx") + message.count("x x")
    assert len(message) < 420
    assert message.endswith("--help`\n")


@pytest.mark.parametrize("value", ["9" * 30, "9" * 5000, "0"])
def test_whole_numbers_that_no_array_can_have(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, lambda: make_parser().parse_args(["race", "--threads", value]))
    assert "expected a whole number from 1" in error


@pytest.mark.parametrize("name", ["x" * 5000, "absent/file"])
def test_a_file_that_cannot_be_written(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, lambda: make_parser().parse_args(["race", "--output", name]))
    assert "expected a file in a folder that exists and can be written" in error
