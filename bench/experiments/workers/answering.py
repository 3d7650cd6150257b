"""`python -m bench.experiments.workers.answering`: does tasks, each a line of its standard input, until that ends.

Standard output has the answers and nothing else: what libraries print goes to standard error.
"""

import os
import queue
import signal
import sys
import threading
from typing import TYPE_CHECKING, TextIO

from bench.timing import threads

if TYPE_CHECKING:
    from bench.experiments.workers.task import Performer


def main() -> None:
    """Answer tasks until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command that asks
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    threads.release()
    from bench.experiments.workers.task import Performer  # imports NumPy, which does not compute in this process

    with Performer() as performer:
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=receive, args=(sys.stdin, lines, performer), daemon=True).start()
        while line := lines.get():
            answers.write(f"{performer.answer(line)}\n")
            answers.flush()


def receive(source: TextIO, lines: "queue.SimpleQueue[str]", performer: "Performer") -> None:
    """Queue each line; where the input ends in the middle of a task, end the children, so that it ends as well."""
    for line in source:
        lines.put(line)
    lines.put("")
    performer.stop()


if __name__ == "__main__":
    main()
