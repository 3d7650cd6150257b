"""Trainings over seeds, interleaved: every participant with every setting and seed that the results file lacks."""

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

import data
import impls
from bench import UserError
from bench.experiments.race import begin_race
from bench.records.journal import Journal
from bench.records.kinds import DrawnCurve, Race, Trainer, Training, header
from bench.records.races import RaceResult, races_of
from bench.timing.process import Child, answer_with
from bench.timing.records import Failure, Generation
from bench.timing.session import Participant, Session, ask, attempt, stored, wait
from bench.training import worker
from bench.training.worker import Looks, TrainingTask
from bench.workloads.recipes import Recipe
from data import Dataset
from impls.contract import DType, check_images

TIME_LIMIT = 600.0  # seconds for one training
MOST_SEEDS = 1000  # of a setting: a generation is one of its seeds
LONG = 2.0  # seconds of a training after which one curve is enough


@dataclass(frozen=True)
class Trainee:
    """A participant of trainings. looks: of a recipe and a seed; None: it does not train with that seed."""

    backend: str
    dtype: DType
    looks: Callable[[Recipe, int], Looks | None]


@dataclass(frozen=True)
class Trainings:
    """What becomes one race of a results file."""

    purpose: str
    name: str
    recipes: dict[str, Recipe]  # by setting
    participants: dict[str, Trainee]
    seeds: int
    header: dict[str, Any]  # fields that the purpose adds to the header
    key: dict[str, Any] = field(default_factory=dict)  # and to its key
    baseline: str | None = None  # None: the first participant
    needed: tuple[str, ...] = ()  # training ends when all of these have failed; none: when all participants have
    curves: int = 0  # seeds with which a training is repeated in pieces, for its curve


def digits_for(console: Console, source: str, recipes: Sequence[Recipe]) -> Dataset:
    """The data. Raises UserError or ContractError if it is not MNIST though not asked for, or does not fit a recipe."""
    dataset = data.load(source)
    if dataset.notice:
        if source == "auto":
            raise UserError(f"{dataset.name}: expected MNIST, for which this is made; give --data to train on these")
        console.print(dataset.notice)
    check_fit(dataset, recipes)
    return dataset


def check_fit(dataset: Dataset, recipes: Iterable[Recipe]) -> None:
    """Raise UserError or ContractError for recipes that cannot train on these images."""
    for recipe in recipes:
        check_images(recipe.network, dataset.train.images[:1], dataset.train.labels[:1])
        recipe.plans(len(dataset.train.labels))


def header_of(dataset: Dataset, number: int, trainings: Trainings, n_threads: int) -> Race:
    """What is known before the trainings."""
    backends = {name: trainee.backend for name, trainee in trainings.participants.items()}
    first = next(iter(trainings.recipes.values()))
    dtype = next(iter(trainings.participants.values())).dtype
    case = first.described() | {"plan": str(first), "dtype": dtype} | trainings.key
    measured = {"measure": "training", **case, "images": len(dataset.train.labels), "threads": n_threads}
    others = {"baseline": trainings.baseline, **trainings.header}
    return header(dataset, number, trainings.purpose, backends, measured, **others)


def train_all(
    console: Console,
    path: Path,
    dataset: Dataset,
    several: Sequence[Trainings],
    n_threads: int,
    show: Callable[[list[RaceResult]], None],
) -> int:
    """Train all that the file lacks; 1 if a participant failed, else 0.

    show: is called with the races in the end, also where it is interrupted. Raises UserError or BackendUnavailable.
    """
    for trainings in several:
        for trainee in trainings.participants.values():
            impls.check(trainee.backend)
        if trainings.seeds > MOST_SEEDS:
            raise UserError(f"--seeds {trainings.seeds}: expected at most {MOST_SEEDS}")
    headers = [header_of(dataset, number, trainings, n_threads) for number, trainings in enumerate(several)]
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        digits = stored(dataset.train, Path(folder) / "train"), stored(dataset.test, Path(folder) / "test")
        try:
            for number, trainings in enumerate(several):
                tasks = {name: TrainingTask(one.backend, *digits) for name, one in trainings.participants.items()}
                train_seeds(console, journal, number, trainings, tasks, n_threads)
        finally:  # an interruption costs only the seed that it hits; the same command continues
            show(races_of(journal.records))
            failures = journal.of(Failure)
            for line in dict.fromkeys(f"{failure.participant}: {failure.reason}" for failure in failures):
                console.print(f"[red]left out:[/] {escape(line)}", soft_wrap=True)
            console.print(f"Every training: {path}; --output with it continues", soft_wrap=True, markup=False)
    return 1 if failures else 0


def train_seeds(
    console: Console,
    journal: Journal,
    number: int,
    trainings: Trainings,
    tasks: dict[str, TrainingTask],
    n_threads: int,
) -> None:
    """Every setting with every seed that is missing, then curves."""
    race = begin_race(journal, number, rounds=1, seed=0)
    race.time_limit = TIME_LIMIT
    finished = {one.generation for one in journal.of(Generation, number)}
    participants: list[Participant] = []
    with ExitStack() as stack, console.status("", refresh_per_second=1) as status:  # seldom, as it runs with the clock
        for index, setting in enumerate(trainings.recipes):
            for seed in range(trainings.seeds):
                generation = MOST_SEEDS * index + seed
                if generation not in finished and not over(race, trainings):
                    if not participants:
                        status.update(f"{trainings.name}: prepares and compiles")
                        participants += started(race, trainings, setting, tasks, n_threads, stack)
                    status.update(f"{trainings.name}: {escape(setting)}, seed {seed}")
                    train_generation(race, trainings, setting, participants, generation)
                if not seed and stopped_early(journal, number, generation):
                    break  # the other seeds of a setting whose first was stopped are not tried
        if 0 not in finished:
            for participant in participants:
                attempt(race, None, draw, participant, trainings)


def over(race: Session, trainings: Trainings) -> bool:
    """Whether those have failed without which it makes no sense to train."""
    return all(name in race.failures for name in trainings.needed or trainings.participants)


def stopped_early(journal: Journal, number: int, generation: int) -> bool:
    """Whether a screen stopped this training."""
    return any(one.stopped_early for one in journal.of(Training, number) if one.generation == generation)


def started(
    race: Session,
    trainings: Trainings,
    setting: str,
    tasks: dict[str, TrainingTask],
    n_threads: int,
    stack: ExitStack,
) -> list[Participant]:
    """A process for each participant that has not failed before; it has prepared the images and trained once."""
    participants = []
    for name, task in tasks.items():
        if name not in race.failures:
            child = stack.enter_context(Child(answer_with, worker.Trainer, task, n_threads=n_threads))
            participant = Participant(name, child)
            attempt(race, None, begin, participant, trainings, setting)
            participants.append(participant)
    return participants


def begin(race: Session, participant: Participant, trainings: Trainings, setting: str) -> None:
    """Wait for the imports, prepare, and train for the first time."""
    trainee = trainings.participants[participant.name]
    recipe = replace(trainings.recipes[setting], dtype=trainee.dtype)
    wait(race, participant)
    looks = trainee.looks(recipe, 0) or Looks()
    race.tell(Trainer, participant=participant.name, **ask(race, participant, "load", recipe, looks))


def train_generation(
    race: Session, trainings: Trainings, setting: str, participants: list[Participant], generation: int
) -> None:
    """One setting with one seed, by every participant, in random order."""
    before = time.monotonic()
    for index in np.random.default_rng([race.number, generation]).permutation(len(participants)):
        attempt(race, generation, train, participants[index], trainings, setting, generation)
    if not over(race, trainings):
        race.tell(Generation, generation=generation, seconds=time.monotonic() - before)


def train(race: Session, participant: Participant, trainings: Trainings, setting: str, generation: int) -> None:
    """One training."""
    trainee, seed = trainings.participants[participant.name], generation % MOST_SEEDS
    recipe = replace(trainings.recipes[setting], dtype=trainee.dtype)
    looks = trainee.looks(recipe, seed)
    if looks is not None:
        found = ask(race, participant, "train", recipe, seed, looks)
        where = {"generation": generation, "participant": participant.name, "setting": setting, "seed": seed}
        race.tell(Training, **where, **found)


def draw(race: Session, participant: Participant, trainings: Trainings) -> None:
    """How accuracy and cost change in the trainings of some seeds; of one where they take long."""
    recipe = replace(next(iter(trainings.recipes.values())), dtype=trainings.participants[participant.name].dtype)
    for seed in range(trainings.curves):
        curve = ask(race, participant, "train", recipe, seed, Looks("pieces"))["curve"]
        race.tell(DrawnCurve, participant=participant.name, seed=seed, curve=curve)
        if curve["seconds"][-1] > LONG:
            return
