"""The command's side of `--workers`: keep workers busy, take what they answer, name what is lost, say how far it is."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn

from bench import UserError
from bench.experiments.workers.executors import Workers
from bench.experiments.workers.performing import perform
from bench.experiments.workers.task import Answer

AHEAD = 2  # tasks for each that can be done at once, so that no worker waits for this process
ASKED_EVERY = 2.0  # seconds; how many workers there are
MOST_LOST = 5  # tasks in a row, after which no more are handed out


@dataclass
class Count:
    """How far trainings on workers are. The work sets the first three, handing out the others."""

    everything: int = 0  # trainings, with those that are done
    done: int = 0
    failed: int = 0
    waiting: int = 0  # tasks that are handed out and not answered
    lost: Counter[str] = field(default_factory=Counter)  # tasks without an answer, by reason
    lost_in_a_row: int = 0

    def said(self, count: int, seconds: float | None) -> str:
        """It in a line. count: of the workers; seconds: that are left; None: not known yet."""
        parts = [
            f"{self.done} of {self.everything} done", f"{min(count, self.waiting)} running", f"{self.failed} failed",
            f"{self.lost.total()} lost", f"{count} worker{'' if count == 1 else 's'}",
        ]  # fmt: skip
        return ", ".join(parts if seconds is None else [*parts, f"{seconds:.0f} s left"])


class Work(Protocol):
    """What is handed out."""

    count: Count

    def tasks(self) -> Iterator[str | None]:
        """Yield every task, as text; None: none can be begun before another answer has come."""

    def keep(self, answer: Answer) -> None:
        """Keep what a worker did."""


def hand_out(console: Console, work: Work, found: Workers) -> int:
    """Have these workers do all that is left; return how many tasks were lost, which the same command repeats.

    Raises UserError where a worker refuses.
    """
    for line in (*found.about, "Ctrl-C ends this; the same command with this --output continues."):
        console.print(line, soft_wrap=True, highlight=False)
    keep_busy(console, work, found)
    count = work.count
    for reason, n in count.lost.items():
        console.print(f"[red]lost:[/] {n} of the tasks: {escape(reason)}", soft_wrap=True)
    if count.lost:
        missing = count.everything - count.done
        console.print(f"{missing} of {count.everything} trainings are missing; the same command trains them")
    return count.lost.total()


def keep_busy(console: Console, work: Work, found: Workers) -> None:
    """Keep the workers busy until nothing is left to do, or none of them answers any more."""
    tasks, pending, count, asked, workers = work.tasks(), set[Future[str]](), work.count, -ASKED_EVERY, 1
    begun, before = time.monotonic(), count.done
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), console=console, transient=True, refresh_per_second=2
    ) as progress:
        shown = progress.add_task("")
        while True:
            if time.monotonic() - asked > ASKED_EVERY:
                workers, asked = told_of(console, found.size(), workers), time.monotonic()
            room = max(1, AHEAD * workers)
            while len(pending) < room and count.lost_in_a_row < MOST_LOST and (task := next(tasks, None)):
                pending.add(found.executor.submit(perform, task))
                count.waiting = len(pending)
            if not pending:
                return
            try:
                done, pending = wait(pending, ASKED_EVERY, FIRST_COMPLETED)
                count.waiting = len(pending)
                for future in done:
                    take(future, work)
            except BaseException:  # also an interruption
                for future in pending:
                    future.cancel()
                raise
            n = count.done - before
            seconds = (time.monotonic() - begun) / n * (count.everything - count.done) if n else None
            progress.update(shown, description=count.said(workers, seconds))


def told_of(console: Console, workers: int, before: int) -> int:
    """Return how many workers there are; say so where the last one has gone, for which tasks then wait."""
    if before and not workers:
        console.print("There is no worker; the tasks wait for one. Ctrl-C ends this.", highlight=False)
    return workers


def take(future: Future[str], work: Work) -> None:
    """Have what a worker answers kept. Raises UserError for a worker that refuses, which would refuse all."""
    count = work.count
    count.lost_in_a_row += 1
    try:
        answer = msgspec.json.decode(future.result(), type=Answer)
    except CancelledError:
        count.lost["cancelled, as the scheduler ended or this command lost it"] += 1
        return
    except Exception as error:  # whatever an executor says of a worker that went away
        count.lost[" ".join(f"{type(error).__name__}: {error}".split())] += 1
        return
    if answer.refused:
        raise UserError(f"worker {answer.name}: {answer.refused}")
    if answer.failed:
        count.lost[answer.failed] += 1
        return
    count.lost_in_a_row = 0
    work.keep(answer)
