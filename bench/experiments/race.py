"""Races: what is timed, which backends take part, agreement first, and whether the ratios are precise enough."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from rich.console import Console
from rich.markup import escape

import impls
from bench import UserError
from bench.agreement.check import Result, lacks, plain
from bench.agreement.isolated import TIME_LIMIT, CheckedBackend, PosedProblem, check_each, check_isolated
from bench.agreement.timed import COSTS, TimedCall, timed_call
from bench.analysis import statistics
from bench.experiments.agree import line_of, posed
from bench.records.journal import Journal
from bench.records.kinds import Agreement, Race, Run, header
from bench.records.races import races_of
from bench.timing.clock import Clock, noise
from bench.timing.interleave import first_call
from bench.timing.records import Cold, Failure
from bench.timing.session import Session, stored
from bench.timing.worker import FLOOR, NEEDED, Measure, TimingTask
from bench.workloads.cases import sampled
from bench.workloads.plans import parts
from bench.workloads.recipes import Recipe
from data import Dataset, Digits
from impls.contract import Plan, Quantity

# A fifth of MNIST's: the shorter a round, the closer in time are those that are compared, and the more generations of
# processes there are.
IMAGES = 12_000

BASELINE = "vectorized"
MEASUREMENTS = 60  # of IMAGES each in a generation: with four backends and the floor, two thirds of its time
LEAST_ROUNDS, MOST_ROUNDS = 6, 24  # of a generation, however long or short a measurement, if the budget allows it
FEWEST_ROUNDS = 1  # where it does not
MOST_CHECKED = 120_000  # images of an epoch after which the costs of its updates are not checked; else it takes minutes
MOST_OF_FLOOR = 120_000  # images of which the floor is measured, as their floats have to fit in memory
SILENT = 1.0  # seconds of preparing a race without a line


class RaceSetup(NamedTuple):
    """What a race times: a case, what is measured of it, and the images."""

    case: Recipe
    measure: Measure
    dataset: Dataset
    digits: Digits
    n_threads: int
    label: str = ""  # what distinguishes it from the other races of a command, such as "threads: 2"

    @property
    def images(self) -> int:
        """The number of images of a call: all, but for a gradient one batch."""
        n = len(self.digits.labels)
        return min(self.case.batch or n, n) if self.measure == "gradient" else n

    def task(self, backend: str, folder: Path, again: float = 0.0) -> TimingTask:
        """The task of a participant, with the digits in this folder. again: see `TimingTask`."""
        images = sampled(backend, self.images, self.case.batch) if self.measure == "epoch" else self.images
        images = min(images, MOST_OF_FLOOR) if backend == FLOOR else images
        task = TimingTask(backend, self.measure, self.case, folder, images, self.n_threads, again=again)
        return task if backend == FLOOR else replace(task, expected=expected_of(task))

    def header(self, number: int, purpose: str, participants: dict[str, str], **others: Any) -> Race:
        """What holds for all records of a race. participants: their backends; others: see `kinds.header`."""
        about = {"images": self.images, "threads": self.n_threads}
        measured = {"measure": self.measure, **self.case.described(), **about}
        return header(self.dataset, number, purpose, participants, measured, **others)


def expected_of(task: TimingTask) -> TimedCall:
    """What a call of this task has to return; worked out the first time, which takes some seconds.

    Of an epoch of more than MOST_CHECKED images, the costs before the updates of so many.
    """
    images = np.load(task.digits / "images.npy", mmap_mode="r")[: task.images]
    digits = Digits(images, np.load(task.digits / "labels.npy")[: task.images])
    quantity = cast(Quantity, NEEDED[task.measure])
    about = quantity, task.case.name, task.case.network, task.parameters
    plan: Plan = task.plan
    if quantity != "train" or task.images <= MOST_CHECKED:
        return timed_call(*about, digits, plan)
    first, *_ = parts(plan, [0, max(1, int(np.searchsorted(plan.stops, MOST_CHECKED, "right")))])
    chosen = slice(first.stops.max()) if first.order is None else first.order
    checked = timed_call(*about, Digits(images[chosen], digits.labels[chosen]), replace(first, order=None))
    costs = {COSTS: checked.expected[COSTS]}
    return replace(checked, problem=checked.problem._replace(plan=plan), expected=costs)


def agreeing(
    console: Console,
    races: Sequence[Mapping[str, Session]],
    cases: list[PosedProblem],
    setting: RaceSetup,
    source: Path | None = None,
    side: str = "",
    label: str = "",
) -> list[list[str]]:
    """For each case the backends that agree with the reference on it and support what is measured.

    Prints a line for each backend as soon as it is checked, and why one is left out. races: for each case, by backend,
    the race that records its comparisons; all of the same backends. setting: of one of the cases; the others have the
    same threads and measure. source, side: of another revision, the folder of its `impls` and what it is called. label:
    what the cases are called.
    """
    names, agreed = list(races[0]), [set[str]() for _ in cases]
    needed = cast(Quantity, NEEDED[setting.measure])
    of = f"{side or label}: " if side or label else ""
    with console.status("agreement (the first time backends may have to compile)"):
        for one in check_each(names, cases, TIME_LIMIT * len(cases), setting.n_threads, source):
            reasons: list[str] = []
            for number, results in enumerate(by_case(one, cases, setting.n_threads, source)):
                for result in results:
                    races[number][one.backend].add(Agreement, **plain(result), side=side or None)
                failures = [result.failure for result in results if result.failure]
                if lacking := failures + lacks(results, needed):
                    reasons.append(lacking[0])
                else:
                    agreed[number].add(one.backend)
            for reason in dict.fromkeys(reasons):
                console.print(f"[red]left out:[/] {escape(of + reason)}", soft_wrap=True)
            if not reasons:
                console.print(of + line_of(one), soft_wrap=True, markup=False)
            console.file.flush()  # also where it is a pipe
    return [[name for name in names if name in of_case] for of_case in agreed]


def by_case(one: CheckedBackend, cases: list[PosedProblem], n_threads: int, source: Path | None) -> list[list[Result]]:
    """The results of a backend in each of the cases, which one process checked.

    Where it did not come to all of them, as it hangs, dies or cannot be loaded, each case is checked by itself.
    """
    if len(cases) == 1:
        return [one.results]
    found = [[result for result in one.results if result.problem == problem.name] for problem, _ in cases]
    if all(found):
        return found
    return [check_isolated(one.backend, [case], TIME_LIMIT, n_threads, source) for case in cases]


def begin_race(journal: Journal, number: int, rounds: int, seed: int, fewest: int | None = None) -> Session:
    """Begin a race, as yet without participants, with the final failures of earlier runs. fewest: see `Session`."""
    race = Session({}, rounds, journal.record, number, len(journal.of(Run, number)), seed, fewest=fewest)
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
    settings: Sequence[RaceSetup],
    names: list[str],
    journal: Journal,
    folder: Path,
) -> list[Session]:
    """Begin a race of each setting, of the backends that agree, and the floor.

    arguments: of the command, with `rounds`, `seed`, `baseline` and `cold`. Raises UserError where the baseline does
    not agree.
    """
    races, most = [], max(map(impls.ranks_of, names))
    for number, setting in enumerate(settings):
        console.print(
            f"{setting.case.network}, {setting.case.dtype}, {setting.case.name}, {setting.images:,} images, "
            f"threads: {setting.n_threads}. {setting.dataset.notice or setting.dataset.name}"
        )
        if most > setting.n_threads:
            console.print(
                f"{most} ranks are more than the cores that they may use, {setting.n_threads}: they take turns."
            )
        fixed = "rounds" in arguments.given
        rounds = arguments.rounds or rounds_per_generation(len(names) + 1, setting.images)
        races.append(begin_race(journal, number, rounds, arguments.seed, None if fixed else FEWEST_ROUNDS))
    agreed = agreeing_in_each(console, settings, races, names)
    for setting, race in zip(settings, races, strict=True):
        of = f" ({setting.label})" if setting.label else ""
        if arguments.baseline not in agreed[race.number]:
            raise UserError(f"{arguments.baseline}, the baseline, is left out{of}; give another --baseline")
        images = stored(setting.digits, folder / f"digits {id(setting.digits)}")
        with console.status("what the timed calls have to return (worked out once)"), Clock() as clock:
            race.tasks |= {name: setting.task(name, images) for name in (*agreed[race.number], FLOOR)}
        if clock.elapsed.wall > SILENT:
            console.print(f"what the timed calls have to return{of}: worked out in {clock.elapsed.wall:.1f} s")
            console.file.flush()
        if arguments.cold:
            time_first_calls(console, race, journal)
        if arguments.baseline in race.failures:
            raise UserError(f"{race.failures[arguments.baseline]}{of}; give another --baseline to compare with")
    return races


def agreeing_in_each(
    console: Console, settings: Sequence[RaceSetup], races: Sequence[Session], names: list[str]
) -> dict[int, list[str]]:
    """By the number of each race the backends that agree.

    One process checks a backend in all settings with the same number of threads, which libraries read only once.
    """
    agreed: dict[int, list[str]] = {}
    known: dict[tuple[Recipe, int], PosedProblem] = {}  # by case and digits
    for n_threads in dict.fromkeys(setting.n_threads for setting in settings):
        chosen = [number for number, setting in enumerate(settings) if setting.n_threads == n_threads]
        together = len(chosen) > 1
        cases = []
        for setting in (settings[number] for number in chosen):
            of = setting.case, id(setting.digits)
            if of not in known:
                known[of] = posed(setting.case, setting.digits)
            problem, expected = known[of]
            cases.append((problem._replace(name=f"{problem.name}, {setting.label}") if together else problem, expected))
        of_races = [dict.fromkeys(names, races[number]) for number in chosen]
        first = settings[chosen[0]]
        found = agreeing(console, of_races, cases, first, label="" if together else first.label)
        agreed |= zip(chosen, found, strict=True)
    return agreed


def time_first_calls(console: Console, race: Session, journal: Journal) -> None:
    """Time a first call of each backend with nothing compiled, unless an earlier run did, and print its seconds."""
    done = {one.participant for one in journal.of(Cold, race.number)}
    for name in (name for name in race.remaining() if name not in {FLOOR, *done}):
        with console.status(f"{escape(name)}: a first call with nothing compiled"):
            first_call(race, name)
        seconds = [one.first.wall for one in journal.of(Cold, race.number) if one.participant == name]
        if seconds:
            console.print(f"{name}: a first call with nothing compiled took {seconds[0]:.1f} s", markup=False)


def rounds_per_generation(participants: int, images: int) -> int:
    """Rounds of a generation: as many as come to MEASUREMENTS, more if short and fewer if long, within limits."""
    return min(max(LEAST_ROUNDS, MEASUREMENTS * IMAGES // (participants * images)), MOST_ROUNDS)


def enough_of_race(arguments: argparse.Namespace, journal: Journal, _: int) -> str | None:
    """Why to stop before the budget is spent: all ratios are precise."""
    races = races_of(journal.records)
    if all(statistics.precise(race.rounds(), race.baseline, arguments.precision) for race in races):
        return f"all ratios are known to {arguments.precision:.1%}"
    return None
