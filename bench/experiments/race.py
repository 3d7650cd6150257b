"""Races: agreement first, then generations (sets of fresh processes, one for each participant) until they end."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from bench import UserError
from bench.agreement.check import lacks, plain
from bench.agreement.isolated import TIME_LIMIT, PosedProblem, check_each
from bench.agreement.timed import TimedCall, timed_call
from bench.analysis import statistics
from bench.experiments.agree import posed
from bench.records.journal import Journal
from bench.records.kinds import Agreement, Race, Run, header
from bench.records.races import races_of
from bench.timing.clock import noise
from bench.timing.interleave import first_call, run_generation
from bench.timing.records import Cold, Failure, Generation
from bench.timing.session import Session, stored
from bench.timing.worker import FLOOR, NEEDED, Measure, TimingTask
from bench.workloads.cases import sampled
from bench.workloads.recipes import Recipe
from data import Dataset, Digits
from impls.contract import Quantity

# A fifth of MNIST's: the shorter a round, the closer in time are those that are compared, and the more generations of
# processes there are.
IMAGES = 12_000

BASELINE = "vectorized"
MEASUREMENTS = 60  # of IMAGES each in a generation: with four backends and the floor, two thirds of its time
LEAST_ROUNDS, MOST_ROUNDS = 6, 24  # of a generation, however long or short a measurement
LEAST_GENERATIONS = 3  # whatever the budget: intervals are across generations


class RaceSetup(NamedTuple):
    """What a race times: a case, what is measured of it, and the images."""

    case: Recipe
    measure: Measure
    dataset: Dataset
    digits: Digits
    n_threads: int

    @property
    def images(self) -> int:
        """The number of images of a call: all, but for a gradient one batch."""
        n = len(self.digits.labels)
        return min(self.case.batch or n, n) if self.measure == "gradient" else n

    def task(self, backend: str, folder: Path, again: float = 0.0) -> TimingTask:
        """The task of a participant, with the digits in this folder. again: see `TimingTask`."""
        images = sampled(backend, self.images, self.case.batch) if self.measure == "epoch" else self.images
        task = TimingTask(backend, self.measure, self.case, folder, images, self.n_threads, again=again)
        return task if backend == FLOOR else replace(task, expected=expected_of(task))

    def header(self, number: int, purpose: str, participants: dict[str, str], **others: Any) -> Race:
        """What holds for all records of a race. participants: their backends; others: see `kinds.header`."""
        about = {"images": self.images, "threads": self.n_threads}
        measured = {"measure": self.measure, **self.case.described(), **about}
        return header(self.dataset, number, purpose, participants, measured, **others)


def expected_of(task: TimingTask) -> TimedCall:
    """What a call of this task has to return; worked out the first time, which takes some seconds."""
    images = np.load(task.digits / "images.npy", mmap_mode="r")[: task.images]
    digits = Digits(images, np.load(task.digits / "labels.npy")[: task.images])
    quantity = cast(Quantity, NEEDED[task.measure])
    return timed_call(quantity, task.case.name, task.case.network, task.parameters, digits, task.plan)


def agreeing(
    console: Console,
    races: dict[str, Session],
    setting: RaceSetup,
    cases: list[PosedProblem],
    source: Path | None = None,
    side: str = "",
) -> list[str]:
    """The backends that agree with the reference on this case and support what is measured; prints why others do not.

    races: by backend, the race that records its comparisons. cases: the posed case. source, side: of another
    revision, the folder that holds its `impls` and what it is called.
    """
    with console.status("agreement (the first time backends may have to compile)"):
        checked = {one.backend: one for one in check_each(list(races), cases, TIME_LIMIT, setting.n_threads, source)}
    agreed = []
    for name, race in races.items():
        results = checked[name].results
        for result in results:
            race.add(Agreement, **plain(result), side=side or None)
        reasons = checked[name].failures + lacks(results, cast(Quantity, NEEDED[setting.measure]))
        if reasons:
            of = f"{side}: " if side else ""
            console.print(f"[red]left out:[/] {escape(of + reasons[0])}", soft_wrap=True)
        else:
            agreed.append(name)
    return agreed


def run_generations(
    console: Console, races: Sequence[Session], journal: Journal, enough: Callable[[int, float], str | None]
) -> str:
    """Run generation after generation, the races in turn, until `enough` gives a reason to end; return the reason.

    enough: is called before each with the number of whole generations, the least of all races that continue, and the
    seconds that they took, those of an earlier run included. A race with fewer than two participants left ends.
    """
    columns = (TimeElapsedColumn(), TextColumn("{task.description}"))
    # No refreshing during measurements: it would cost a per cent of a core.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        shown = progress.add_task("")
        while True:
            running = [race for race in races if len(race.remaining()) > 1]
            if not running:
                return "fewer than two participants are left"
            done = min(len(journal.of(Generation, race.number)) for race in running)
            reason = enough(done, sum(one.seconds for one in journal.of(Generation)))
            if reason:
                return reason
            for race in running:
                of = f", race {race.number + 1}" if len(races) > 1 else ""
                progress.update(shown, description=f"generation {done + 1}{of}", refresh=True)
                run_generation(race, journal.next_generation)
            journal.next_generation += 1


def begin_race(journal: Journal, number: int, rounds: int, seed: int) -> Session:
    """Begin a race, as yet without participants, with the failures of its earlier runs."""
    race = Session({}, rounds, journal.record, number, len(journal.of(Run, number)), seed)
    race.failures |= {one.participant: f"{one.participant}: {one.reason}" for one in journal.of(Failure, number)}
    race.add(Run, load=noise().load)
    return race


def header_of_race(
    setting: RaceSetup, number: int, baseline: str, names: list[str], purpose: str = "race", **others: Any
) -> Race:
    """The header of a race of these backends and the floor. others: see `kinds.header`."""
    participants = {name: name for name in (*names, FLOOR)}
    return setting.header(number, purpose, participants, baseline=baseline, **others)


def admit(
    console: Console,
    arguments: argparse.Namespace,
    number: int,
    setting: RaceSetup,
    names: list[str],
    journal: Journal,
    folder: Path,
) -> Session:
    """Begin the race of the backends that agree, and the floor. Raises UserError where the baseline does not."""
    case, digits = setting.case, setting.digits
    console.print(
        f"{case.network}, {case.dtype}, {case.name}, {setting.images:,} images, threads: {setting.n_threads}. "
        f"{setting.dataset.notice or setting.dataset.name}"
    )
    rounds = arguments.rounds or rounds_per_generation(len(names) + 1, setting.images)
    race = begin_race(journal, number, rounds, arguments.seed)
    agreed = agreeing(console, dict.fromkeys(names, race), setting, [posed(case, digits)])
    if arguments.baseline not in agreed:
        raise UserError(f"{arguments.baseline}, the baseline, is left out; give another --baseline")
    images = stored(digits, folder / f"{len(digits.labels)} images, non-zero {arguments.nonzero_pixels}")
    with console.status("what the timed calls have to return (worked out once)"):
        race.tasks |= {name: setting.task(name, images) for name in (*agreed, FLOOR)}
    if arguments.cold:
        done = {one.participant for one in journal.of(Cold, number)}
        for name in (name for name in agreed if name not in done):
            with console.status(f"{escape(name)}: a first call with nothing compiled"):
                first_call(race, name)
    if arguments.baseline in race.failures:
        raise UserError(f"{race.failures[arguments.baseline]}; give another --baseline to compare with")
    return race


def rounds_per_generation(participants: int, images: int) -> int:
    """Rounds of a generation: as many as come to MEASUREMENTS, more if short and fewer if long, within limits."""
    return min(max(LEAST_ROUNDS, MEASUREMENTS * IMAGES // (participants * images)), MOST_ROUNDS)


def enough_of_race(arguments: argparse.Namespace, journal: Journal, generations: int, seconds: float) -> str | None:
    """Why to stop: all ratios are precise, or the budget is spent and generations are enough for an interval."""
    races = races_of(journal.records)
    if all(statistics.precise(race.rounds(), race.baseline, arguments.precision) for race in races):
        return f"all ratios are known to {arguments.precision:.1%}"
    return budget_spent(arguments, generations, seconds)


def budget_spent(
    arguments: argparse.Namespace, generations: int, seconds: float, least: int | None = None
) -> str | None:
    """Why to stop: the budget is spent, in at least so many generations; None: in as many as an interval needs."""
    if generations >= (least or LEAST_GENERATIONS) and seconds > arguments.budget:
        return f"the budget of {arguments.budget:g} s is spent"
    return None
