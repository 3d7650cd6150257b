"""A fresh process for one backend: it answers requests, and ends at the latest when its parent does."""

import atexit
import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import resource_tracker, spawn
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.timing import threads

if TYPE_CHECKING:
    from impls.interpreters import Interpreter

PR_SET_PDEATHSIG = 1  # of Linux's prctl
# Signals that end a command in order. Windows has one of them, and cannot hold it back.
INTERRUPTING = {signal.SIGINT} if sys.platform == "win32" else {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
DYING = 10.0  # seconds that a process whose connection has ended may take, for a core dump and the like


class ChildFailed(RuntimeError):
    """The child hangs, died, or reported a failure; the message is the reason, `what` one word for it.

    That is "hangs", "dies", "failed" for an exception in the child, or "wrong" for a result that is not right.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(reason)
        self.what = what

    def __reduce__(self) -> tuple[type["ChildFailed"], tuple[str, str]]:
        return ChildFailed, (self.what, str(self))


class WrongResult(Exception):
    """What a backend returned is not what the reference says."""


class Child:
    """A process that runs `work(connection, *arguments)`; use it in a `with`, at whose end it is killed.

    n_threads: how many threads the numerical libraries may use, set in the child's environment before it imports
    anything, and how many cores the child may use, because not every library reads the environment (JAX does not);
    None: the libraries' defaults. source: a folder whose `impls` the child imports instead of this checkout's.
    environment: further variables for the child. python: another interpreter that runs it; None: this one.
    """

    def __init__(
        self,
        work: Callable[..., None],
        *arguments: Any,
        n_threads: int | None = None,
        source: Path | None = None,
        environment: Mapping[str, str] | None = None,
        python: "Interpreter | None" = None,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, connection_of_child = context.Pipe()
        # Pickled here, and unpickled in the child once threads and `impls` are settled, as it may import NumPy.
        pickled = pickle.dumps((work, arguments))
        settings = connection_of_child, n_threads, source, dict(environment or {})
        self.process = context.Process(target=begin, args=settings, daemon=True)
        with interruptions_kept_off(), main_script_kept_out(), started_by(python):
            self.process.start()
        connection_of_child.close()
        # At exit multiprocessing sends its children SIGTERM and waits; a stopped child would not receive it.
        atexit.register(self.process.kill)
        # Not among the settings: `start` writes those to a pipe that does not end with the child, and would wait for
        # one that died before it read all of them.
        with contextlib.suppress(OSError):  # it has died, which `answer` reports
            self.connection.send_bytes(pickled)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        atexit.unregister(self.process.kill)
        self.connection.close()

    def kill(self) -> None:
        """End the child at once, whether it is stopped or running.

        The system may take its time to end one whose device hangs; that one is left to it after DYING seconds.
        """
        self.process.kill()
        self.process.join(DYING)

    def send(self, request: Any) -> None:
        """Send the child a request, for which it runs until its answer. Raises ChildFailed if it is dead."""
        self.signal("SIGCONT")
        try:
            self.connection.send(request)
        except OSError:
            raise self.death() from None

    def answer(self, seconds: float) -> Any:
        """Return the child's answer, and stop the child, so that no thread of it spins while others are measured.

        Raises ChildFailed if it takes longer than `seconds`, or if the child dies or cannot begin.
        """
        try:
            if not self.connection.poll(seconds):
                raise ChildFailed("hangs", f"gave no answer within {seconds:g} s")
            answer = self.connection.recv()
        except (EOFError, ConnectionResetError):
            raise self.death() from None
        if isinstance(answer, ChildFailed):
            raise answer
        self.signal("SIGSTOP")
        return answer

    def death(self) -> ChildFailed:
        """Wait for the end of a dead child and return the error that gives its exit code."""
        self.process.join(DYING)
        code = self.process.exitcode
        if code is None:
            return ChildFailed("hangs", "closed its connection, but did not end")
        how = f"was ended by {name_of_signal(-code)}" if code < 0 else f"ended its process with exit code {code}"
        return ChildFailed("dies", how)

    def signal(self, name: str) -> None:
        """Send the child a signal if it is alive; the number of a dead one may belong to another process.

        Only on Linux, where a stopped child is killed when its parent dies.
        """
        if sys.platform == "linux" and self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, getattr(signal, name))


def name_of_signal(number: int) -> str:
    """The name of a signal, with what it usually means."""
    try:
        name = signal.Signals(number).name
    except ValueError:  # it has none, as a real-time signal
        return f"signal {number}"
    return f"{name}, as the system does where memory is short" if name == "SIGKILL" else name


@contextlib.contextmanager
def interruptions_kept_off() -> Iterator[None]:
    """Within the `with`, signals that interrupt a command are held back, those of INTERRUPTING.

    Ctrl-C would reach a child before the child ignores it; and a child whose parent is interrupted before all is sent
    that it begins with would print a traceback.
    """
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # which the first child would start otherwise; that lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def main_script_kept_out() -> Iterator[None]:
    """Within the `with`, a child that starts does not import the main script of this process, as it otherwise would.

    One without `if __name__ == "__main__"` would start children again, and one from standard input is in no file.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


@contextlib.contextmanager
def started_by(python: "Interpreter | None") -> Iterator[None]:
    """Within the `with`, a child that starts is run by this interpreter, and finds modules where that finds them.

    Otherwise `multiprocessing` gives a child the path of this process, on which this interpreter's libraries are.
    """
    if python is None:
        yield
        return
    before = spawn.get_executable(), sys.path
    spawn.set_executable(python.executable)
    sys.path = list(python.path)
    try:
        yield
    finally:
        spawn.set_executable(before[0])
        sys.path = before[1]


def begin(connection: Connection, n_threads: int | None, source: Path | None, variables: dict[str, str]) -> None:
    """Receive work and do it in the child, which leaves Ctrl-C to its parent, and is killed when its parent dies.

    What it prints goes to stderr, as tables are printed to stdout. The arguments are as in `Child`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTING)
    if sys.platform == "linux":  # killed even while stopped; elsewhere no child is stopped, and its pipe ends
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        parent = multiprocessing.parent_process()
        if parent is None or os.getppid() != parent.pid:  # the parent died before this call
            os._exit(1)
    with contextlib.suppress(OSError):  # one of them is closed
        os.dup2(2, 1)
    try:
        do(connection, n_threads, source, variables)
    except Exception as error:  # such as too little memory for an import; work tells of its own errors by itself
        with contextlib.suppress(OSError):  # the parent is gone
            connection.send(ChildFailed("dies", f"ended its process by {in_one_line(error)}"))
        os._exit(1)


def do(connection: Connection, n_threads: int | None, source: Path | None, variables: dict[str, str]) -> None:
    """Settle threads and `impls`, then receive work and do it."""
    os.environ |= variables
    threads.release()
    if n_threads is not None:
        threads.request(n_threads)
        threads.keep_to(n_threads)
    if source is not None:
        sys.path.insert(0, str(source))
    work, arguments = pickle.loads(connection.recv_bytes())
    work(connection, *arguments)


def answer_with(connection: Connection, make: Callable[..., object], *arguments: object) -> None:
    """Make a worker of these arguments, then call its methods as the parent asks, until that closes the connection.

    A request is (name of the method, *arguments). An answer, the first one when the worker is made, is ("done", value),
    ("wrong", reason) after WrongResult, or ("failed", reason) after any other exception.
    """
    worker: object = None
    request: tuple[Any, ...] = ()
    with contextlib.suppress(EOFError):  # the parent is gone
        while True:
            try:
                if worker is None:
                    worker, answer = make(*arguments), None
                else:
                    name, *values = request
                    answer = getattr(worker, name)(*values)
                connection.send(("done", answer))
            except WrongResult as error:
                connection.send(("wrong", in_one_line(error)))
            except Exception as error:  # an error of the backend, which the parent reports
                connection.send(("failed", in_one_line(error)))
            request = connection.recv()


def in_one_line(error: BaseException) -> str:
    """The type and message of an exception; the remedy, where memory is short, of the CPU or of a device."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(error, MemoryError) or "out of memory" in text.lower().replace("_", " "):
        return f"{text.rstrip('.')}; not enough memory: take fewer images, smaller batches or a smaller network"
    return text


# What a process does that `bound` starts: its second argument is the command, whose program it becomes.
BIND = f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, {int(getattr(signal, "SIGKILL", 0))})
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def bound(command: Sequence[str]) -> list[str]:
    """Return a command for `subprocess` that is this one, and is killed when this process dies. Only on Linux.

    The first word of the command is the path of a program.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-S", "-c", BIND, str(os.getpid()), *command]
