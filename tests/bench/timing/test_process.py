"""A process for a backend: it uses the requested threads, is stopped while it waits, and ends with its parent."""

import ctypes
import ctypes.util
import errno
import multiprocessing
import os
import select
import shutil
import signal
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import bench
from bench.timing import threads
from bench.timing.process import Child, ChildFailed, bound, in_one_line

ROOT = bench.ROOT
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux are children stopped")


def echo(connection: Connection, *arguments: object) -> None:
    """Send back the arguments, then every request."""
    connection.send(arguments)
    while True:
        connection.send(connection.recv())


def send_threads(connection: Connection) -> None:
    import numpy  # noqa: F401

    connection.send((threads.in_force(), [os.environ.get(variable) for variable in threads.VARIABLES]))


def send_cores(connection: Connection) -> None:
    connection.send((len(os.sched_getaffinity(0)), os.environ.get("OF_THE_CHILD")))


def send_cores_with_openmp(connection: Connection) -> None:
    ctypes.CDLL("libgomp.so.1")  # binds the thread that loads it, if a variable says so
    connection.send(os.sched_getaffinity(0))


class TooLarge:
    """An argument that takes more memory than the child has."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return fail, ()


def fail() -> None:
    raise MemoryError("for 9 GB")


def print_and_send(connection: Connection) -> None:
    os.write(1, b"garbage\n")
    connection.send("answer")


def leave(connection: Connection) -> None:
    os._exit(3)


def close(connection: Connection) -> None:
    connection.close()
    hang(connection)


def hang(connection: Connection) -> None:
    while True:
        pass


def state_of(pid: int) -> str:
    """R for running, S for sleeping, T for stopped, "" for gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def test_it_answers_requests() -> None:
    with Child(echo, 1, "two") as child:
        assert child.answer(60) == (1, "two")
        child.send({"three": 3})
        assert child.answer(60) == {"three": 3}
    assert child.process.exitcode is not None


def test_it_needs_no_semaphores_which_a_container_may_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", without_semaphores)
    with pytest.raises(OSError, match="Read-only"):
        multiprocessing.get_context("spawn").Lock()
    with Child(echo, 1) as child:
        assert child.answer(60) == (1,)


def without_semaphores(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


@pytest.mark.parametrize("n", range(1, threads.cores() + 1))
def test_threads_reach_the_libraries_and_leave_this_process_alone(n: int) -> None:
    before = dict(os.environ)
    with Child(send_threads, n_threads=n) as child:
        in_force, variables = child.answer(60)
    assert set(in_force.values()) == {n}
    assert variables == [str(n)] * len(threads.VARIABLES)
    assert dict(os.environ) == before


@LINUX
@pytest.mark.parametrize("n", range(1, threads.cores() + 1))
def test_it_has_as_many_cores_as_threads_for_libraries_that_read_no_variable(n: int) -> None:
    before = os.sched_getaffinity(0)
    with Child(send_cores, n_threads=n, environment={"OF_THE_CHILD": "yes"}) as child:
        assert child.answer(60) == (n, "yes")
    with Child(send_cores) as child:
        assert child.answer(60) == (len(before), None)
    assert os.sched_getaffinity(0) == before
    assert "OF_THE_CHILD" not in os.environ


@LINUX
@pytest.mark.skipif(ctypes.util.find_library("gomp") is None, reason="GNU's OpenMP is not installed")
@pytest.mark.parametrize("variable", ["OMP_PROC_BIND=true", "OMP_PLACES=cores", "GOMP_CPU_AFFINITY=0"])
def test_it_has_all_cores_whatever_variable_binds_threads(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*variable.split("=", 1))
    with Child(send_cores_with_openmp) as child:
        assert child.answer(60) == os.sched_getaffinity(0)


def test_a_child_that_dies_is_distinguished_from_one_that_hangs() -> None:
    with Child(leave) as child, pytest.raises(ChildFailed, match="exit code 3") as died:
        child.answer(60)
    assert died.value.what == "dies"
    with Child(hang) as child, pytest.raises(ChildFailed, match=r"within 0\.5 s") as hung:
        child.answer(0.5)
    assert hung.value.what == "hangs"
    assert not child.process.is_alive()


def test_a_request_to_a_dead_child_fails() -> None:
    with Child(leave) as child:
        child.process.join()
        with pytest.raises(ChildFailed, match="exit code 3"):
            ask(child)


def ask(child: Child) -> None:
    """Send a request, which the pipe of a dead child may still accept, and wait for the answer."""
    child.send("still there?")
    child.answer(60)


def test_a_child_that_closes_its_connection_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.timing.process.DYING", 0.0)
    with Child(close) as child, pytest.raises(ChildFailed, match="closed its connection, but did not end"):
        child.answer(60)


def test_a_child_that_cannot_begin_says_why() -> None:
    with Child(echo, TooLarge()) as child, pytest.raises(ChildFailed) as failed:
        child.answer(60)
    assert failed.value.what == "dies"
    assert str(failed.value).startswith("ended its process by MemoryError: for 9 GB; not enough memory: ")


def test_what_a_child_prints_is_kept_from_the_tables(capfd: pytest.CaptureFixture[str]) -> None:
    with Child(print_and_send) as child:
        assert child.answer(60) == "answer"
    assert capfd.readouterr() == ("", "garbage\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to be held back")
def test_interruptions_are_held_back_also_from_the_first_child() -> None:
    """multiprocessing starts a process of its own with the first, and lets them through then."""
    code = (
        "import signal; from multiprocessing import resource_tracker; from bench.timing.process import *\n"
        "with interruptions_kept_off():\n    resource_tracker.ensure_running()\n"
        "    print(*sorted(number.name for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "SIGHUP SIGINT SIGTERM\n"


def send_blocked(connection: Connection) -> None:
    connection.send(signal.pthread_sigmask(signal.SIG_BLOCK, []))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to be held back")
def test_a_child_that_has_begun_holds_no_signal_back() -> None:
    with Child(send_blocked) as child:
        assert child.answer(60) == set()


LARGE = bytes(10**6)  # more than a pipe holds


def test_a_child_that_dies_before_it_reads_its_work_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ends_at_once = shutil.which("true")
    assert ends_at_once
    monkeypatch.setattr("multiprocessing.spawn.get_executable", ends_at_once.encode)
    with Child(echo, LARGE) as child, pytest.raises(ChildFailed, match="exit code 0"):
        child.answer(60)


SCRIPT = """
from bench.timing.process import Child, answer_with
print("once")
with Child(answer_with, bytes, bytes(10**6)) as child:
    print(child.answer(60))
"""


@pytest.mark.parametrize("name", ["script.py", "-"])
def test_a_script_needs_no_guard_and_no_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / name) if name != "-" else "-"]
    done = subprocess.run(
        command, input=SCRIPT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("once\n('done', None)\n", "")


@LINUX
def test_a_child_is_stopped_from_its_answer_to_the_next_request() -> None:
    with Child(echo) as child:
        child.answer(60)
        pid = child.process.pid
        assert pid is not None
        for request in ("still there?", "and now?"):
            os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
            assert state_of(pid) == "T"
            child.send(request)
            assert child.answer(60) == request
    assert state_of(pid) == ""  # it was killed although stopped


PARENT = """
import os, sys
from bench.timing.process import Child
from child_helpers import echo
if __name__ == "__main__":
    child = Child(echo)
    child.answer(60)
    os.waitid(os.P_PID, child.process.pid, os.WSTOPPED | os.WNOWAIT)  # SIGTERM does not end it from then on
    print(child.process.pid, flush=True)
    sys.stdin.read()
"""


@LINUX
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("fatal", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_children_die_with_their_parent(fatal: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    (tmp_path / "child_helpers.py").write_text(
        "def echo(connection):\n    connection.send(())\n    while True:\n        connection.send(connection.recv())\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    with subprocess.Popen(
        [sys.executable, tmp_path / "parent.py"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        watched = os.pidfd_open(pid)
        parent.send_signal(fatal)
        parent.wait(60)
    assert select.select([watched], [], [], 60)[0] == [watched]  # readable once the process has ended
    os.close(watched)


STEP = """
import subprocess, sys
from bench.timing.process import bound
step = subprocess.Popen(bound([sys.executable, "-S", "-c", "print('begun', flush=True); input()"]))
print(step.pid, flush=True)
sys.stdin.read()
"""


@LINUX
def test_a_command_that_is_bound_dies_with_its_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STEP], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        lines = {parent.stdout.readline().strip() for _ in range(2)}
        (pid,) = lines - {"begun"}
        watched = os.pidfd_open(int(pid))
        parent.kill()
        parent.wait(60)
        assert select.select([watched], [], [], 60)[0] == [watched]
    os.close(watched)


@LINUX
def test_a_command_that_is_bound_does_not_begin_once_its_parent_is_dead() -> None:
    command = bound([sys.executable, "-S", "-c", "print('begun')"])
    begin = command.index(str(os.getpid()))
    for parent, expected in ((os.getpid(), (0, "begun\n")), (os.getppid(), (1, ""))):
        command[begin] = str(parent)
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == expected


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (MemoryError("Unable to allocate 3.00 GiB"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate\n 2.00 GiB."), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes."), True),
        (OSError("CUDA_ERROR_OUT_OF_MEMORY"), True),
        (ValueError("no memory of that"), False),
    ],
)
def test_where_memory_is_short_the_remedy_is_named(error: Exception, short: bool) -> None:
    line = in_one_line(error)
    assert line.startswith(f"{type(error).__name__}: {str(error).split()[0]}")
    assert "\n" not in line
    assert line.endswith("; not enough memory: take fewer images, smaller batches or a smaller network") == short
