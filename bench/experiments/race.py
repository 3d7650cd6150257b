"""Backends raced: agreement first, then generations of processes until it is enough."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from bench import UserError
from bench.agreement.check import lacks, plain, reference
from bench.agreement.isolated import TIME_LIMIT, PosedProblem, check_isolated
from bench.agreement.problems import problem_of
from bench.analysis import statistics
from bench.analysis.race import size_of
from bench.records.journal import Journal
from bench.records.kinds import Agreement, Race, Run, header
from bench.records.races import races_of
from bench.timing.interleave import first_call, run_generation
from bench.timing.noise import noise
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

Verdict = Literal["agrees", "unsupported", "disagrees"]


class RaceSetup(NamedTuple):
    """What is raced."""

    case: Recipe
    measure: Measure
    dataset: Dataset
    digits: Digits
    n_threads: int

    @property
    def images(self) -> int:
        """That a call is about: a gradient is of one batch."""
        n = len(self.digits.labels)
        return min(self.case.batch or n, n) if self.measure == "gradient" else n

    def task(self, backend: str, folder: Path) -> TimingTask:
        """The task of a participant, with the digits in this folder."""
        images = sampled(backend, self.images, self.case.batch) if self.measure == "epoch" else self.images
        return TimingTask(backend, self.measure, self.case, folder, images, self.n_threads)


def race_header(setting: RaceSetup, number: int, purpose: str, participants: dict[str, str], **others: Any) -> Race:
    """What holds for all records of a race. participants: their backends; others: see `kinds.header`."""
    case, images = setting.case.described(), setting.images
    return header(
        setting.dataset, number, purpose, participants, case, setting.measure, images, setting.n_threads, **others
    )


def expected_of(setting: RaceSetup) -> list[PosedProblem]:
    """What every participant has to compute. Raises UserError where rounding could hide a wrong result."""
    problem = problem_of(setting.case, setting.digits)
    return [(problem, reference(problem))]


def verdict_on(
    console: Console,
    race: Session,
    name: str,
    setting: RaceSetup,
    expected: list[PosedProblem],
    source: Path | None = None,
    side: str = "",
) -> Verdict:
    """Whether a backend agrees with the reference on this very case, and has what is measured. If not, it is named.

    source, side: of another revision, the folder that holds its `impls` and what it is called.
    """
    with console.status(f"{escape(name)}: agreement (the first time it may have to compile)"):
        results = check_isolated(name, expected, TIME_LIMIT, setting.n_threads, source)
    failures = [result.failure for result in results if result.failure]
    missing = lacks(results, cast(Quantity, NEEDED[setting.measure]))
    for result in results:
        race.tell(Agreement, **plain(result), side=side or None)
    if failures or missing:
        of = f"{side}: " if side else ""
        console.print(f"[red]left out:[/] {escape(of + (failures + missing)[0])}", soft_wrap=True)
    return "disagrees" if failures else "unsupported" if missing else "agrees"


def run_generations(
    console: Console, races: Sequence[Session], journal: Journal, enough: Callable[[int, float], str | None]
) -> str:
    """Generation after generation, the races in turn, until `enough` says why; returns that.

    enough: is called before each with the number of whole generations, the least of all races that continue, and the
    seconds that they took, those of an earlier run included. A race with fewer than two participants left ends.
    """
    columns = (TimeElapsedColumn(), TextColumn("{task.description}"))
    # No refreshing during measurements: it would cost a per cent of a core.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        shown = progress.add_task("")
        while True:
            going_on = [race for race in races if len(race.left()) > 1]
            if not going_on:
                return "fewer than two are left"
            done = min(generations_of(journal, race.number) for race in going_on)
            why = enough(done, seconds_of(journal))
            if why:
                return why
            for race in going_on:
                of = f", race {race.number + 1}" if len(races) > 1 else ""
                progress.update(shown, description=f"generation {done + 1}{of}", refresh=True)
                run_generation(race, journal.next_generation)
            journal.next_generation += 1


def generations_of(journal: Journal, number: int) -> int:
    """How many generations of a race are whole."""
    return len(journal.of(Generation, number))


def seconds_of(journal: Journal) -> float:
    """What all generations took."""
    return sum(one.seconds for one in journal.of(Generation))


def begin_race(journal: Journal, number: int, rounds: int, seed: int) -> Session:
    """A race without participants, with the failures of its earlier runs."""
    race = Session({}, rounds, journal.record, number, len(journal.of(Run, number)), seed)
    race.failures |= {one.participant: f"{one.participant}: {one.reason}" for one in journal.of(Failure, number)}
    race.tell(Run, load=noise().load)
    return race


BASELINE = "vectorized"
MEASUREMENTS = 60  # of IMAGES each in a generation: of four backends and the floor, two thirds of its time are measured
LEAST_ROUNDS, MOST_ROUNDS = 6, 24  # of a generation, however long or short a turn
LEAST_GENERATIONS = 3  # whatever the budget: intervals are across generations


def header_of_race(
    setting: RaceSetup, number: int, baseline: str, names: list[str], purpose: str = "race", **others: Any
) -> Race:
    """What is known before the race."""
    participants = {name: name for name in (*names, FLOOR)}
    return race_header(setting, number, purpose, participants, baseline=baseline, **others)


def check_sweep(headers: list[Race]) -> None:
    """Raise UserError for two values that come to the same, such as all images and their number."""
    sizes = [size_of(header.key, header.sweep) for header in headers if header.sweep]
    if len(set(sizes)) < len(sizes):
        raise UserError(f"--sweep: expected values that differ, found {', '.join(map(str, sizes))}; leave one out")


def admit(
    console: Console,
    arguments: argparse.Namespace,
    number: int,
    setting: RaceSetup,
    names: list[str],
    journal: Journal,
    folder: Path,
) -> Session:
    """The race of the backends that agree, and the floor."""
    case = setting.case
    console.print(
        f"{case.network}, {case.dtype}, {case.name}, {setting.images:,} images, threads: {setting.n_threads}. "
        f"{setting.dataset.notice or setting.dataset.name}"
    )
    rounds = arguments.rounds or rounds_per_generation(len(names) + 1, setting.images)
    race = begin_race(journal, number, rounds, arguments.seed)
    expected = expected_of(setting)
    verdicts = {name: verdict_on(console, race, name, setting, expected) for name in names}
    if verdicts[arguments.baseline] != "agrees":
        raise UserError(f"{arguments.baseline}, the baseline, is left out; give another --baseline")
    digits = stored(
        setting.digits, folder / f"{len(setting.digits.labels)} images, non-zero {arguments.nonzero_pixels}"
    )
    agreeing = [name for name in names if verdicts[name] == "agrees"]
    race.tasks |= {name: setting.task(name, digits) for name in (*agreeing, FLOOR)}
    there = {one.participant for one in journal.of(Cold, number)}
    if arguments.cold:
        for name in (name for name in agreeing if name not in there):
            with console.status(f"{escape(name)}: a first call with nothing compiled"):
                first_call(race, name)
    if arguments.baseline in race.failures:
        raise UserError(f"{race.failures[arguments.baseline]}; give another --baseline to compare with")
    return race


def rounds_per_generation(participants: int, images: int) -> int:
    """Rounds of a generation: as many as come to MEASUREMENTS, more if short and fewer if long, within limits."""
    return min(max(LEAST_ROUNDS, MEASUREMENTS * IMAGES // (participants * images)), MOST_ROUNDS)


def enough_of_race(arguments: argparse.Namespace, journal: Journal, generations: int, seconds: float) -> str | None:
    """Why to stop: all ratios are precise, or the budget is spent."""
    found = races_of(journal.records)
    if all(statistics.precise(race.rounds(), race.baseline, arguments.precision) for race in found):
        return f"all ratios are known to {arguments.precision:.1%}"
    return budget_spent(arguments, generations, seconds)


def budget_spent(
    arguments: argparse.Namespace, generations: int, seconds: float, least: int | None = None
) -> str | None:
    """Why to stop: the budget is spent, in at least so many generations; None: in as many as an interval needs."""
    if generations >= (least or LEAST_GENERATIONS) and seconds > arguments.budget:
        return f"the budget of {arguments.budget:g} s is spent"
    return None
