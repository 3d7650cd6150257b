"""A process of its own for one backend: started fresh, asked and answering, never left behind."""

import atexit
import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.timing import threads

PR_SET_PDEATHSIG = 1  # of Linux's prctl


class ChildFailed(RuntimeError):
    """The child hangs, died, or sent word that it failed; the message is the reason, `what` one word for it."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(reason)
        self.what = what


class Child:
    """A process that runs `serve(connection, *arguments)`; use it in a `with`, at whose end it is killed.

    n_threads: what the numerical libraries may use, asked for in the environment before the child imports anything, and
    as many cores, as not every library reads the environment (JAX does not); None: what they would use anyway.
    source: a folder whose `impls` it imports instead of this checkout's. environment: variables that it has besides.
    """

    def __init__(
        self,
        serve: Callable[..., None],
        *arguments: Any,
        n_threads: int | None = None,
        source: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        # Pickled here, and unpickled there when it is settled which `impls` is meant.
        work = pickle.dumps((serve, arguments))
        self.process = context.Process(
            target=begin, args=(os.getpid(), n_threads, source and str(source), theirs, work), daemon=True
        )
        with threads.asked_for(n_threads, environment or {}), interruptions_kept_off():
            self.process.start()
        theirs.close()
        # At exit multiprocessing asks its children to end and waits; who is stopped would not hear that.
        atexit.register(self.process.kill)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        atexit.unregister(self.process.kill)
        self.connection.close()

    def kill(self) -> None:
        """End it at once, stopped or not."""
        self.process.kill()
        self.process.join()

    def send(self, request: Any) -> None:
        """Ask something. Raises ChildFailed if it is dead."""
        try:
            self.connection.send(request)
        except OSError:
            raise self.death() from None

    def answer(self, seconds: float) -> Any:
        """Wait for what it says. Raises ChildFailed if that takes longer, or if it dies meanwhile."""
        try:
            if not self.connection.poll(seconds):
                raise ChildFailed("hangs", f"gave no answer within {seconds:g} s")
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            raise self.death() from None

    def death(self) -> ChildFailed:
        """That it died, and how."""
        self.process.join()
        return ChildFailed("dies", f"ended its process with exit code {self.process.exitcode}")

    def pause(self) -> None:
        """Stop it, so that no thread of it spins while others are measured. Only where it could not stay behind."""
        self.signal("SIGSTOP")

    def resume(self) -> None:
        """Let it go on."""
        self.signal("SIGCONT")

    def signal(self, name: str) -> None:
        """Send a signal, unless it is dead: then its number may be somebody else's, and asking tells."""
        if sys.platform == "linux" and self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, getattr(signal, name))


@contextlib.contextmanager
def interruptions_kept_off() -> Iterator[None]:
    """Who is started meanwhile does not hear Ctrl-C before it can ignore it; here it is heard afterwards."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin(parent: int, n_threads: int | None, source: str | None, connection: Connection, work: bytes) -> None:
    """What the child does first: see to it that it ends with its parent, and leave interruptions to that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":  # killed also while stopped; elsewhere nobody is stopped, and the pipe's end is seen
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)
    if n_threads is not None:
        threads.keep_to(n_threads)
    if source is not None:
        sys.path.insert(0, source)
    serve, arguments = pickle.loads(work)
    serve(connection, *arguments)


def answer_with(connection: Connection, make: Callable[..., object]) -> None:
    """Make the worker of the first request, ("import", ...); call its methods by name for those that follow."""
    worker = None
    while True:
        try:
            kind, *arguments = connection.recv()
            if kind == "import":
                worker = make(*arguments)
                answer = None
            else:
                answer = getattr(worker, kind)(*arguments)
            connection.send(("done", answer))
        except EOFError:  # the parent is gone
            return
        except Exception as error:  # the backend's fault, and the parent's to report
            connection.send(("failed", f"{type(error).__name__}: {' '.join(str(error).split())}"))
