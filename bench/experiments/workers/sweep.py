"""The command's side of `--workers`: hand out what a results file lacks, keep what comes back, say how far it is."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn

from bench import UserError
from bench.experiments.race import begin_race
from bench.experiments.trainings import MOST_SEEDS, Trainings, finished_by_all, over, seeds_to_draw
from bench.experiments.workers.executors import Workers
from bench.experiments.workers.performing import perform
from bench.experiments.workers.task import Answer, Origin, origin_of, task_of
from bench.records.journal import Journal
from bench.records.kinds import Machine, Training
from bench.timing.records import Failure, Generation
from bench.timing.session import Session
from data import Dataset

AHEAD = 2  # tasks for each that can be done at once, so that no worker waits for this process
ASKED_EVERY = 2.0  # seconds; how many workers there are
MOST_LOST = 5  # tasks in a row, after which no more are handed out


class Sweep:
    """The trainings of a results file, handed out to workers."""

    def __init__(
        self, journal: Journal, several: Sequence[Trainings], dataset: Dataset, n_threads: int, source: str
    ) -> None:
        self.journal, self.several, self.n_threads, self.source = journal, several, n_threads, source
        self.races = [begin_race(journal, number, 1, 0) for number in range(len(several))]
        backends = {name: one.backend for trainings in several for name, one in trainings.participants.items()}
        self.origin: Origin = origin_of(dataset, backends)
        self.finished = {
            (race.number, generation)
            for race, trainings in zip(self.races, several, strict=True)
            for generation in finished_by_all(race, journal, trainings)
        }
        self.stopped = {(one.race, one.generation) for one in journal.of(Training) if one.stopped_early}
        self.machines = {(one.race, one.id) for one in journal.of(Machine)}
        self.counts = Counter(done=len(self.finished))
        self.everything = sum(len(trainings.recipes) * trainings.seeds for trainings in several)
        self.lost: Counter[str] = Counter()  # tasks without an answer, by reason
        self.lost_in_a_row = 0

    def said(self, running: int, count: int, seconds: float | None) -> str:
        """How far this is, in a line. seconds: that are left; None: not known yet."""
        parts = [
            f"{self.counts['done']} of {self.everything} done", f"{running} running", f"{self.counts['failed']} failed",
            f"{sum(self.lost.values())} lost", f"{count} worker{'' if count == 1 else 's'}",
        ]  # fmt: skip
        return ", ".join(parts if seconds is None else [*parts, f"{seconds:.0f} s left"])

    def tasks(self) -> Iterator[str | None]:
        """Yield every task that the file lacks; None: none can be begun before another answer has come.

        Of settings that may be stopped early, other seeds than the first are tried only where that one was not.
        """
        for race, trainings in zip(self.races, self.several, strict=True):
            curves = {
                name: seeds_to_draw(self.journal, race.number, name, trainings) for name in trainings.participants
            }
            screened = any(one.evaluations.screens for one in trainings.participants.values())
            for seed in range(trainings.seeds):
                for index, setting in enumerate(trainings.recipes):
                    generation = MOST_SEEDS * index + seed
                    while seed and screened and (race.number, generation - seed) not in self.finished:
                        if over(race, trainings):
                            break
                        yield None
                    if not self.needless(race, trainings, generation, seed):
                        yield self.task(race, trainings, setting, generation, {})
            if any(curves.values()):
                yield self.task(race, trainings, next(iter(trainings.recipes)), None, curves)

    def needless(self, race: Session, trainings: Trainings, generation: int, seed: int) -> bool:
        """Whether a setting with this seed is done, was stopped with its first, or has nobody left to train it."""
        done = (race.number, generation) in self.finished
        return done or (race.number, generation - seed) in self.stopped or over(race, trainings)

    def task(
        self, race: Session, trainings: Trainings, setting: str, generation: int | None, curves: dict[str, list[int]]
    ) -> str:
        """One task, as text."""
        backends = {name: there for name, there in self.origin.backends.items() if name in trainings.participants}
        origin = msgspec.structs.replace(self.origin, backends=backends)
        return task_of(race, trainings, setting, generation, curves, self.n_threads, origin, self.source)

    def take(self, future: Future[str]) -> None:
        """Keep what a worker answers. Raises UserError for a worker that refuses, which would refuse all."""
        self.lost_in_a_row += 1
        try:
            answer = msgspec.json.decode(future.result(), type=Answer)
        except CancelledError:
            self.lost["cancelled, as the scheduler ended or this command lost it"] += 1
            return
        except Exception as error:  # whatever an executor says of a worker that went away
            self.lost[" ".join(f"{type(error).__name__}: {error}".split())] += 1
            return
        self.lost_in_a_row = 0
        if answer.refused:
            raise UserError(f"worker {answer.name}: {answer.refused}")
        if answer.records:
            self.keep(answer, self.races[answer.records[0].race])

    def keep(self, answer: Answer, race: Session) -> None:
        """Keep the records of an answer, which are of one race; those of a machine follow its description."""
        if (race.number, answer.machine) not in self.machines:
            self.machines.add((race.number, answer.machine))
            self.journal.record(Machine(race=race.number, run=race.run, id=answer.machine, machine=answer.described))
        self.journal.record(*answer.records)
        for one in answer.records:
            if isinstance(one, Generation):
                self.finished.add((one.race, one.generation))
                self.counts["done"] += 1
            elif isinstance(one, Training) and one.stopped_early:
                self.stopped.add((one.race, one.generation))
            elif isinstance(one, Failure):
                race.failures[one.participant] = f"{one.participant}: {one.reason}"
                self.counts["failed"] += 1


def train_on_workers(
    console: Console,
    journal: Journal,
    several: Sequence[Trainings],
    dataset: Dataset,
    n_threads: int,
    found: Workers,
    source: str,
) -> int:
    """Train all that the file lacks on these workers; return how many tasks were lost, which the same command repeats.

    source: the value of --data. Raises UserError where a worker refuses.
    """
    sweep = Sweep(journal, several, dataset, n_threads, source)
    for line in (*found.about, "Ctrl-C ends this; the same command with this --output continues."):
        console.print(line, soft_wrap=True, highlight=False)
    hand_out(console, sweep, found)
    missing = sweep.everything - sweep.counts["done"]
    for reason, n in sweep.lost.items():
        console.print(f"[red]lost:[/] {n} of the tasks: {escape(reason)}", soft_wrap=True)
    if sweep.lost:
        console.print(f"{missing} of {sweep.everything} trainings are missing; the same command trains them")
    return sum(sweep.lost.values())


def hand_out(console: Console, sweep: Sweep, found: Workers) -> None:
    """Keep the workers busy until nothing is left to do, or none of them answers any more."""
    tasks, pending, counted = sweep.tasks(), set[Future[str]](), -ASKED_EVERY
    begun, before, count = time.monotonic(), sweep.counts["done"], 0
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), console=console, transient=True, refresh_per_second=2
    ) as progress:
        shown = progress.add_task("")
        while True:
            if time.monotonic() - counted > ASKED_EVERY:
                count, counted = found.size(), time.monotonic()
            while (
                len(pending) < max(1, AHEAD * count) and sweep.lost_in_a_row < MOST_LOST and (task := next(tasks, None))
            ):
                pending.add(found.executor.submit(perform, task))
            if not pending:
                return
            try:
                done, pending = wait(pending, ASKED_EVERY, FIRST_COMPLETED)
                for future in done:
                    sweep.take(future)
            except BaseException:  # also an interruption
                for future in pending:
                    future.cancel()
                raise
            n = sweep.counts["done"] - before
            seconds = (time.monotonic() - begun) / n * (sweep.everything - sweep.counts["done"]) if n else None
            progress.update(shown, description=sweep.said(min(count, len(pending)), count, seconds))
