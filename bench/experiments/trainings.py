"""Trainings over seeds, interleaved: every participant with every setting and seed that the results file lacks."""

import argparse
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.status import Status

import data
import impls
import temporary
from bench import UserError
from bench.agreement.timed import TimedCall, timed_call
from bench.experiments.race import begin_race
from bench.records.journal import Journal, results_file
from bench.records.kinds import DrawnCurve, Race, Trainer, Training, header
from bench.records.races import RaceResult, races_of
from bench.timing import threads
from bench.timing.process import Child, answer_with
from bench.timing.records import Failure, Generation
from bench.timing.session import Participant, Session, ask, attempt, stored, wait
from bench.training import worker
from bench.training.worker import Evaluations
from bench.workloads.recipes import Recipe, with_outputs
from data import Dataset, Digits
from impls import interpreters
from impls.contract import DType, check_images

TIME_LIMIT = 600.0  # seconds for one training
MOST_SEEDS = 1000  # of a setting: a generation is one of its seeds
Show = Callable[[list[RaceResult]], None]  # prints results
LONG = 2.0  # seconds of a training after which one curve is enough
FIRST_UPDATES = 30  # whose costs are checked
MOST_UPDATES = 6000  # of a training that is checked to its end
FEW_UPDATES, FEW_IMAGES = 4, 10_000  # that a short check works out at most, and these take a second


class Trainee(NamedTuple):
    """A participant in trainings: a backend, its dtype, and when its trainings are evaluated."""

    backend: str
    dtype: DType
    evaluations: Evaluations = Evaluations()
    epochs: int | None = None  # at most so many of a setting, spread over its seeds; None: all, with each seed


@dataclass(frozen=True)
class Trainings:
    """Trainings that make one race of a results file."""

    purpose: str
    name: str
    recipes: dict[str, Recipe]  # by setting
    participants: dict[str, Trainee]
    seeds: int
    header: dict[str, Any]  # fields that the purpose adds to the header
    key: dict[str, Any] = field(default_factory=dict)  # and to its key
    baseline: str | None = None  # None: the first participant
    curves: int = 0  # seeds with which a training is repeated in pieces, for its curve
    short_check: bool = False  # only the first updates of the first seed are held against the reference
    in_turns: bool = False  # with each seed after the others of the command that are so, to be compared with them

    def for_classes(self, classes: int) -> "Trainings":
        """The same on digits of so many classes: each network has an output for each."""
        return replace(self, recipes={name: with_outputs(recipe, classes) for name, recipe in self.recipes.items()})

    def training(self, name: str, setting: str, seed: int) -> tuple[Recipe, Evaluations | None]:
        """How a participant trains, and when it is evaluated; None: it does not train with this seed."""
        trainee = self.participants[name]
        recipe, evaluations = replace(self.recipes[setting], dtype=trainee.dtype), trainee.evaluations
        if trainee.epochs is None:
            return recipe, evaluations
        epochs, more = divmod(min(int(recipe.epochs), trainee.epochs), self.seeds)
        epochs += seed < more
        return recipe, replace(evaluations, epochs=epochs) if epochs else None


def digits_for(console: Console, source: str) -> Dataset:
    """Load the digits. Raises UserError where they are not MNIST and --data asked for no others."""
    dataset = data.load(source)
    if dataset.notice and source == "auto":
        raise UserError(f"{dataset.name}: expected MNIST, for which this is made; give --data to train on these")
    for line in dataset.lines():
        console.print(line)
    return dataset


def check_fit(dataset: Dataset, recipes: Iterable[Recipe]) -> None:
    """Raise UserError or ContractError for recipes that cannot train on these images."""
    for recipe in recipes:
        for digits in (dataset.train, dataset.test):
            check_images(recipe.network, *digits)
        recipe.images_per_update(len(dataset.train.labels))


def header_of(dataset: Dataset, number: int, trainings: Trainings, n_threads: int) -> Race:
    """The header of the race that these trainings are. Its key is that of the first setting."""
    backends = {name: trainee.backend for name, trainee in trainings.participants.items()}
    recipe, _ = trainings.training(next(iter(backends)), next(iter(trainings.recipes)), 0)
    case = recipe.described() | {"plan": str(recipe)} | trainings.key
    case |= {"in_turns": True} if trainings.in_turns else {}
    measured = {"measure": "training", **case, "images": len(dataset.train.labels), "threads": n_threads}
    others = {"baseline": trainings.baseline, **trainings.header}
    return header(dataset, number, trainings.purpose, backends, measured, **others)


# Trains what a journal lacks, with so many threads; returns how many trainings were lost.
Train = Callable[[Console, Journal, Sequence[Trainings], Dataset, int], int]


def train_all(
    console: Console,
    arguments: argparse.Namespace,
    dataset: Dataset,
    several: Sequence[Trainings],
    show: Show,
    train: Train | None = None,
) -> int:
    """Train all that the file lacks; return 1 if a participant failed or a training was lost, else 0.

    arguments: the options --output, --threads, --short-check. show: is called with the races at the end, also after an
    interruption. train: how; None: in turn, on this machine alone. Raises UserError, ContractError or
    BackendUnavailable.
    """
    path, n_threads = results_file(arguments.output, several[0].purpose), arguments.threads or threads.cores()
    several = [replace(trainings, short_check=arguments.short_check) for trainings in several]
    interpreters.check_all_take_part([one.backend for trainings in several for one in trainings.participants.values()])
    for trainings in several:
        check_fit(dataset, trainings.recipes.values())
        for trainee in trainings.participants.values():
            impls.check(trainee.backend)
        if trainings.seeds > MOST_SEEDS:
            raise UserError(f"--seeds {trainings.seeds}: expected at most {MOST_SEEDS}")
    headers = [header_of(dataset, number, trainings, n_threads) for number, trainings in enumerate(several)]
    with Journal(path, headers) as journal:
        lost = 0
        try:
            lost = (train or train_in_turn)(console, journal, several, dataset, n_threads)
        finally:  # an interruption costs only the seed that it hits; the same command continues
            show(races_of(journal.records))
            failures = journal.of(Failure)
            for line in dict.fromkeys(f"{failure.participant}: {failure.reason}" for failure in failures):
                console.print(f"[red]left out:[/] {escape(line)}", soft_wrap=True)
            console.print(f"Every training: {path}; --output with it continues", soft_wrap=True, markup=False)
    return 1 if failures or lost else 0


def train_in_turn(
    console: Console, journal: Journal, several: Sequence[Trainings], dataset: Dataset, n_threads: int
) -> int:
    """Train all that the file lacks, one training at a time on this machine; return 0, the number that were lost."""
    with temporary.folder() as folder:
        digits = stored(dataset.train, folder / "train"), stored(dataset.test, folder / "test")
        # Seldom refreshed, as it runs while trainings are timed.
        with ExitStack() as stack, console.status("", refresh_per_second=1) as status:
            pending = {
                number: train_seeds(status, stack, journal, number, trainings, digits, n_threads)
                for number, trainings in enumerate(several)
            }
            while pending:
                first = min(pending)
                turn = [number for number in pending if several[number].in_turns]
                for number in turn if first in turn else [first]:
                    if next(pending[number], None) is None:
                        del pending[number]
    return 0


def train_seeds(
    status: Status,
    stack: ExitStack,
    journal: Journal,
    number: int,
    trainings: Trainings,
    digits: Sequence[Path],
    n_threads: int,
) -> Iterator[int]:
    """Train every setting with every seed that is missing, and yield each; then draw the curves that are missing.

    stack: ends the processes, unless this does at its end. digits: folders, see `worker.Trainer`.
    """
    race = begin_race(journal, number, 1, 0)
    race.time_limit = TIME_LIMIT
    finished = finished_by_all(race, journal, trainings)
    participants: list[Participant] = []
    processes = stack.enter_context(ExitStack())
    start = functools.partial(start_all, status, processes, race, trainings, digits, n_threads)
    for (index, setting), seed in product(enumerate(trainings.recipes), range(trainings.seeds)):
        generation = MOST_SEEDS * index + seed
        # The other seeds of a setting whose first was stopped early are not tried.
        stopped = {one.generation for one in journal.of(Training, number) if one.stopped_early}
        if generation in finished or generation - seed in stopped or over(race, trainings):
            continue
        participants = participants or start(setting)
        status.update(f"{trainings.name}: {escape(setting)}, seed {seed}")
        train_generation(race, trainings, setting, participants, generation, digits[0])
        yield seed
    seeds = {name: seeds_to_draw(journal, number, name, trainings) for name in trainings.participants}
    if any(seeds[name] for name in seeds if name not in race.failures):
        for participant in participants or start(next(iter(trainings.recipes))):
            attempt(race, None, draw, participant, trainings, seeds[participant.name])
    processes.close()


def start_all(
    status: Status,
    processes: ExitStack,
    race: Session,
    trainings: Trainings,
    digits: Sequence[Path],
    n_threads: int,
    setting: str,
) -> list[Participant]:
    """Start all participants that have not failed, and train this setting for the first time. See `train_seeds`."""
    status.update(f"{trainings.name}: prepares and compiles")
    participants = []
    for name in (name for name in trainings.participants if name not in race.failures):
        backend = trainings.participants[name].backend
        settings: dict[str, Any] = {"n_threads": n_threads, "python": impls.interpreter_of(backend)}
        child = Child(answer_with, worker.Trainer, backend, *digits, **settings)
        participants.append(Participant(name, processes.enter_context(child)))
        attempt(race, None, begin, participants[-1], trainings, setting)
    return participants


def finished_by_all(race: Session, journal: Journal, trainings: Trainings) -> set[int]:
    """The generations in which all have trained that train with their seed, but for those that failed for good."""
    trained = {(one.generation, one.participant) for one in journal.of(Training, race.number)}
    settings = list(trainings.recipes)

    def lacks(generation: int, name: str) -> bool:
        index, seed = divmod(generation, MOST_SEEDS)
        _, evaluations = trainings.training(name, settings[index], seed)
        return evaluations is not None and (generation, name) not in trained

    needed = [name for name in trainings.participants if name not in race.failures]
    ended = [one.generation for one in journal.of(Generation, race.number)]
    return {generation for generation in ended if not any(lacks(generation, name) for name in needed)}


def seeds_to_draw(journal: Journal, number: int, name: str, trainings: Trainings) -> list[int]:
    """The seeds of which a participant's curve is missing; none after one that took more than LONG seconds."""
    drawn = {one.seed: one.curve for one in journal.of(DrawnCurve, number) if one.participant == name}
    if any(curve.seconds[-1] > LONG for curve in drawn.values()):
        return []
    return [seed for seed in range(trainings.curves) if seed not in drawn]


def over(race: Session, trainings: Trainings) -> bool:
    """Whether all participants that train with every seed have failed, without which the others are of no use."""
    return all(name in race.failures for name, trainee in trainings.participants.items() if trainee.epochs is None)


def begin(race: Session, participant: Participant, trainings: Trainings, setting: str) -> None:
    """Wait for the imports, prepare the images, and train for the first time."""
    wait(race, participant)
    recipe, evaluations = trainings.training(participant.name, setting, 0)
    race.add(
        Trainer, participant=participant.name, **ask(race, participant, "load", recipe, evaluations or Evaluations())
    )


def train_generation(
    race: Session, trainings: Trainings, setting: str, participants: list[Participant], generation: int, digits: Path
) -> None:
    """Train one setting with one seed, by every participant, in random order. digits: the folder of training images."""
    before = time.monotonic()
    for index in np.random.default_rng([race.number, generation]).permutation(len(participants)):
        attempt(race, generation, train, participants[index], trainings, setting, generation, digits)
    if not over(race, trainings):
        race.add(Generation, generation=generation, seconds=time.monotonic() - before)


def train(
    race: Session, participant: Participant, trainings: Trainings, setting: str, generation: int, digits: Path
) -> None:
    """Train one setting with one seed, by one participant, if it trains with this seed; check and record it."""
    seed = generation % MOST_SEEDS
    recipe, evaluations = trainings.training(participant.name, setting, seed)
    if evaluations is not None:
        where = {"generation": generation, "participant": participant.name, "setting": setting, "seed": seed}
        expected = None if trainings.short_check and seed else expected_of(recipe, seed, digits, trainings.short_check)
        race.add(Training, **where, **ask(race, participant, "train", recipe, seed, evaluations, expected))


@functools.lru_cache(maxsize=4)  # as one participant trains after the other
def expected_of(recipe: Recipe, seed: int, folder: Path, short: bool = False) -> TimedCall | None:
    """The costs before the first updates of a training; with the first seed, of all its first plan. None: no update.

    short: those of the first FEW_UPDATES alone, or of fewer where these hold more than FEW_IMAGES.
    """
    images = np.load(folder / "images.npy", mmap_mode="r")
    plans = recipe.pieces(len(images), seed)
    if not plans:
        return None
    network, plan = recipe.member, plans[0]
    if recipe.input_dropout:
        network, images = recipe.member_with_dropout, recipe.with_dropout(images, seed, 1)
    digits = Digits(images, np.load(folder / "labels.npy"))
    first = FIRST_UPDATES if seed or len(plan.starts) > MOST_UPDATES else None
    if short:
        images_so_far = np.cumsum(plan.stops - plan.starts)[:FEW_UPDATES]
        first = max(1, int((images_so_far <= FEW_IMAGES).sum()))
    return timed_call("train", f"{recipe.name}, seed {seed}", network, recipe.parameters(seed), digits, plan, first)


def draw(race: Session, participant: Participant, trainings: Trainings, seeds: Sequence[int]) -> None:
    """Record learning curves of these seeds; of a single one where a training takes more than LONG seconds."""
    recipe, _ = trainings.training(participant.name, next(iter(trainings.recipes)), 0)
    for seed in seeds:
        curve = ask(race, participant, "train", recipe, seed, Evaluations("pieces"))["curve"]
        race.add(DrawnCurve, participant=participant.name, seed=seed, curve=curve)
        if curve["seconds"][-1] > LONG:
            return
