"""Every command explains itself, and every command line in a README is one that the real parsers take."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench
from bench.__main__ import main
from bench.commands.parser import make_parser
from command_line import Extend, Parser, Store, Switch, several, whole_number
from data.__main__ import make_parser as make_data_parser
from impls import files
from reports.__main__ import make_parser as make_reports_parser
from tests.helpers.command import refused

ROOT = bench.ROOT
ROOMS = {"bench": make_parser, "data": make_data_parser, "reports": make_reports_parser}


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from parsers(command)


EVERY = [parser for make in ROOMS.values() for parser in parsers(make())]
OPTIONS = [
    pytest.param(action, id=f"{parser.prog} {max(action.option_strings, default=action.dest)}")
    for parser in EVERY
    for action in parser._actions
    if action.help is not argparse.SUPPRESS
    and action.dest != "help"
    and not isinstance(action, argparse._SubParsersAction)
]


@pytest.mark.parametrize("parser", EVERY, ids=lambda parser: parser.prog)
def test_help_is_printed(parser: argparse.ArgumentParser) -> None:
    text = parser.format_help()
    assert text.startswith(f"usage: {parser.prog}")
    assert parser.description


def test_the_commands_are_listed_by_what_they_are_for() -> None:
    text = make_parser().format_help()
    assert [word for word in re.findall(r"^(\w+):$", text, re.MULTILINE) if word != "options"] == [
        "measure",
        "write",
        "check",
        "train",
        "study",
    ]
    (commands,) = (a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name in commands.choices:
        assert re.search(rf"^  {name} +[A-Z]", text, re.MULTILINE), name


VERBS = {
    "Aim", "Check", "Choose", "Compare", "Compute", "Continue", "Download", "Draw", "Change", "Give", "Ignore",
    "Join", "Make", "Measure", "Multiply", "Open", "Print", "Race", "Read", "Repeat", "Say", "Search", "Set",
    "Share", "Show", "Start", "Stop", "Take", "Time", "Train", "Try", "Update", "Use", "Write",
}  # fmt: skip


@pytest.mark.parametrize("action", OPTIONS)
def test_an_options_help_begins_with_a_verb_and_ends_with_its_default(action: argparse.Action) -> None:
    assert action.help
    assert action.help.split()[0] in VERBS
    if action.option_strings and not action.required:
        assert re.search(r"\(default: .+\)$", action.help), action.help


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["train", "--rounds", "3"], "error: --rounds: was replaced by --epochs"),
        (["race", "--without-zeros"], "error: --without-zeros: was replaced by --nonzero-pixels"),
        (["race", "--results", "f"], "error: --results: was replaced by --output"),
        (["train", "--fall", "linear"], "error: --fall: was replaced by --schedule"),
        (["agree", "--json=f"], "error: --json: was replaced by --output"),
        (["peers"], "error: peers: was replaced by `study peers`"),
        (["portrait", "m.npz"], "error: portrait: was replaced by `inspect`"),
        (["race", "--output", "softmax"], "the activation is --output-activation softmax"),
        (["train", "--batch", "home"], "'home': was replaced by default"),
    ],
)
def test_an_old_name_is_answered_with_the_new_one(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        make_parser().parse_args(arguments)
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["race", "--sweep", "batch=2,3", "--sweep", "batch=4,5"], "argument --sweep: is given twice, expected once"),
        (["train", "--epochs", "3", "--epochs=3"], "argument --epochs: is given twice"),
        (["compare", "main", "--backend", "naive", "--backend", "naive"], "--backend: naive is given twice"),
        (["race", "--backend", "naive,numba", "--backend", "minibatch,numba"], "--backend: numba is given twice"),
        (["agree", "--backend", "naive, naive"], "--backend: 'naive, naive': naive is given twice"),
        (["study", "batches", "--batch", "32,64,32"], "--batch: '32,64,32': 32 is given twice"),
        (["accuracy", "--target", "90", "--target", "91,90"], "--target: 90.0 is given twice"),
    ],
)
def test_of_an_option_that_is_given_twice_no_value_is_dropped(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        make_parser().parse_args(arguments)
    assert exit_info.value.code == 2
    assert line in capsys.readouterr().err


@pytest.mark.parametrize("action", OPTIONS)
def test_every_option_is_kept_once_or_added_to(action: argparse.Action) -> None:
    assert isinstance(action, Store | Extend | Switch)


def test_different_values_of_one_option_are_added() -> None:
    parsed = make_parser().parse_args(
        ["race", "--backend", "naive,numba", "--backend", "minibatch", "--cold", "--cold"]
    )
    assert parsed.backend == ["naive", "numba", "minibatch"]
    assert parsed.given == {"backend", "cold"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["race", "--sweep", "batch=2,3", "--batch", "128"], "--batch with --sweep batch: expected one of them"),
        (["race", "--images", "9", "--sweep", "images=2,3"], "--images with --sweep images: expected one of them"),
        (["--threads", "1", "race", "--sweep", "threads=1,2"], "--threads with --sweep threads: expected one"),
        (["--threads", "1", "race", "--threads", "2"], "--threads: is given 2 times, expected once"),
        (["tune", "--rates-by-batch", "32", "--epochs", "1"], "--epochs: expected no option but --rates-by-batch, "),
        (["tune", "--rates-by-batch", "32", "--learning-rate", "1"], "--learning-rate: expected no option but"),
        (
            ["tune", "--rates-by-batch", "32", "--workers", "2"],
            "--workers: with --rates-by-batch each rate trains until",
        ),
        (["tune", "--workers", "2"], "--workers: expected a file for what ended, so that the same command continues; "),
        (["compare", __file__, __file__, "--batch", "12"], "--batch: expected no option but --backend, --margin for"),
        (["compare", __file__, __file__, "--output", "x"], "--output: expected no option but"),
        (["compare", __file__, __file__, "--nonzero-pixels"], "--nonzero-pixels: expected no option but"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.timing.threads.request", lambda _: None)
    assert message in refused(
        capsys, lambda: main([*arguments, *(["--data", "builtin"] if "race" in arguments else [])])
    )


LONG = 300 * "n"  # longer than a name may be in a file system


@pytest.mark.parametrize(
    "arguments",
    [
        ["race", "--backend", f"naive,{LONG}.py"],
        ["race", "--output", LONG],
        ["race", "--data", LONG],
        ["race", "--python", f"torch={LONG}/python"],
        ["compare", LONG, "main"],
        ["merge", LONG, LONG],
        ["new", f"{LONG}.py"],
        ["predict", LONG, LONG],
        ["inspect", LONG],
        ["train", "--load", LONG],
    ],
    ids=lambda words: " ".join(words)[:20],
)
def test_a_name_that_is_too_long_is_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Path.is_file and its like raise OSError for it, before Python 3.14."""
    monkeypatch.chdir(tmp_path)
    error = refused(capsys, lambda: main(arguments))
    assert "n" * 50 in error
    assert "Errno" not in error
    assert ("expected" in error) or ("cannot be" in error)


def test_threads_count_wherever_they_stand() -> None:
    for arguments in (["--threads", "3", "race"], ["race", "--threads", "3"]):
        assert make_parser().parse_args(arguments).threads == 3
    assert make_parser().parse_args(["race"]).threads is None


def test_values_are_separated_by_commas() -> None:
    assert several(whole_number(1))("32, 128") == [32, 128]
    with pytest.raises(argparse.ArgumentTypeError, match="expected one value or more"):
        several(str)(",")


# --- README ------------------------------------------------------------------------------------------------

OWN = "my_network.py"  # a backend of the reader's
MANUALS = [path for path in sorted(ROOT.rglob("*.md")) if not {".venv", "build", "reference"} & set(path.parts)]


def command_lines(path: Path) -> Iterator[str]:
    """The command lines of a manual: lines of code blocks, and code within text."""
    text = re.sub(r"\\\n\s*", "", path.read_text(encoding="utf-8"))
    for match in re.finditer(r"^    (\S.*)$|`([^`\n]+)`", text, re.MULTILINE):
        yield (match[1] or match[2]).removeprefix("$ ")


LINES = sorted(
    {
        line
        for path in MANUALS
        for line in command_lines(path)
        if re.match(r"(\.venv/bin/)?python3? -m (bench|data|reports|impls)\b|make \w|pytest\b", line)
    }
)


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_of_a_manual_is_one(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if OWN in line:
        (tmp_path / OWN).touch()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv(files.VARIABLE, "{}")
    words = shlex.split(line.replace("...", ""), comments=True)
    if words[0] == "make":
        targets = set(re.findall(r"^([\w.$()/-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert set(words[1:]) <= targets | {".venv/ready"}
    elif words[0] == "pytest":
        paths = [word.partition("::")[0] for word in words[1:] if word.startswith(("tests", "bench/"))]
        assert all((ROOT / path).exists() for path in paths)
    elif words[2] in ROOMS:
        made: Parser = ROOMS[words[2]]()
        arguments = [word for word in words[3:] if not word.startswith("[")]
        if "--help" not in arguments:
            made.parse_args(arguments)


def test_manuals_have_command_lines() -> None:
    assert len(LINES) > 20
