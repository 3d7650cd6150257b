"""A stand-in for the processes of a race or of trainings, where a test is about what is done with their answers."""

import contextlib
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from bench.timing.process import ChildFailed


class ThreadChild:
    """What `bench.timing.process.Child` is, as a thread of this process, which starts at once.

    It cannot be stopped, cannot die, and shares imports, threads of libraries and settings with the test. Arguments are
    copied as a process would get them.
    """

    def __init__(self, work: Callable[..., None], *arguments: Any, **_: Any) -> None:
        self.connection, of_child = multiprocessing.Pipe()
        copied = pickle.loads(pickle.dumps(arguments))
        self.thread = threading.Thread(target=self.run, args=(of_child, work, copied))
        self.thread.start()

    @staticmethod
    def run(connection: Connection, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """Work until the parent closes its end."""
        with contextlib.closing(connection), contextlib.suppress(OSError):
            work(connection, *arguments)

    def __enter__(self) -> "ThreadChild":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.thread.join()

    def kill(self) -> None:
        """Close the connection, which ends the work at its next answer or request."""
        self.connection.close()

    def send(self, request: Any) -> None:
        """Send a request."""
        self.connection.send(request)

    def answer(self, seconds: float) -> Any:
        """Return the answer. Raises ChildFailed where there is none within `seconds`, or the work has ended."""
        if not self.connection.poll(seconds):
            raise ChildFailed("hangs", f"gave no answer within {seconds:g} s")
        try:
            return self.connection.recv()
        except EOFError:
            raise ChildFailed("dies", "ended") from None
