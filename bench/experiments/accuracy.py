"""`python -m bench waterfall`: from the article's method to the fastest, by factors of the time to 94.17 %.

The network is 784-128-10. The article's method (raw pixels, sigmoid, quadratic cost, five updates a round in file
order, rate 1, float64, vectorised) goes on until it first reaches that, at most 300 rounds, and may look at the test
images after every round. The recipe has a length of its own and looks at none.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape

import data
import impls
from bench import UserError
from bench.experiments.race import begin_race
from bench.records import environment, fingerprint
from bench.records.journal import Journal, Record, race_opening, results_file
from bench.records.races import RaceResult, races_of
from bench.timing import threads
from bench.timing.process import Child
from bench.timing.session import Participant, Session, ask, attempt, stored
from bench.training.worker import Job, serve
from bench.workloads.recipes import ARTICLE, RECIPES, TARGETS, Recipe
from data import Dataset
from impls.contract import DType, check_images

WATERFALL_RECIPE = "first-94"
WATERFALL_TARGET = TARGETS[WATERFALL_RECIPE]
SLOW_SEEDS = 3  # of the article's method, which takes minutes


TRAINING_TIME_LIMIT = 600.0  # seconds for one training
CURVES = 3  # seeds of which a curve is drawn
LONG = 2.0  # seconds of a training after which one curve is enough


def digits_for(console: Console, source: str, recipes: list[Recipe]) -> Dataset:
    """The data. Raises UserError or ContractError if it is not MNIST and nobody asked for it, or a recipe cannot be."""
    dataset = data.load(source)
    if dataset.notice:
        if source == "auto":
            raise UserError(f"{dataset.name}: expected MNIST, for which the recipes are; give --data to train on these")
        console.print(dataset.notice)
    for recipe in recipes:
        check_images(recipe.network, dataset.train.images[:1], dataset.train.labels[:1])
        recipe.plan(len(dataset.train.labels), seed=0)
    return dataset


def training_header(
    dataset: Dataset,
    number: int,
    target: float,
    recipe: Recipe,
    dtype: str,
    participants: dict[str, str],
    n_threads: int,
    baseline: str | None = None,
    purpose: str = "accuracy",
) -> Record:
    """What is known before the trainings for one target. entrants: backends by entrant."""
    sources = {name: fingerprint.source_of(backend) for name, backend in participants.items()}
    described = environment.describe()
    case = recipe.described() | {"dtype": dtype}
    n = len(dataset.train.labels)
    key = fingerprint.key(case, "training", n, n_threads, sources, dataset.sha256, described)
    baseline = baseline or next(iter(participants))
    opening = race_opening(dataset, number, purpose, baseline, participants, key, described)
    return opening | {"target": target, "recipe": recipe.name}


def train_all(console: Console, number: int, jobs: dict[str, Job], seeds: int, journal: Journal) -> None:
    """Every backend with every seed that is not there yet, in turns; then curves of each."""
    race = begin_race(journal, number, rounds=1, seed=0)
    race.time_limit = TRAINING_TIME_LIMIT
    there = {
        entry["generation"] for entry in journal.records if entry["kind"] == "generation" and entry["race"] == number
    }
    missing = [seed for seed in range(seeds) if seed not in there]
    if not missing:
        return
    rng = np.random.default_rng(number)
    with ExitStack() as stack, console.status("", refresh_per_second=1) as status:  # beside what is timed
        participants = []
        for name, job in jobs.items():
            if name not in race.failures:
                participant = Participant(name, stack.enter_context(Child(serve, n_threads=job.n_threads)))
                status.update(f"{job.recipe.name}: {escape(name)} prepares and compiles")
                attempt(race, None, begin, participant, job)
                participants.append(participant)
        for seed in missing:
            status.update(f"{next(iter(jobs.values())).recipe.name}: seed {seed}")
            before = time.monotonic()
            for index in rng.permutation(len(participants)):
                attempt(race, seed, train, participants[index], seed)
            race.tell("generation", generation=seed, seconds=time.monotonic() - before)
        if 0 in missing and not any(job.until for job in jobs.values()):  # which tell theirs
            for participant in participants:
                attempt(race, None, draw, participant)


def begin(race: Session, participant: Participant, job: Job) -> None:
    """Import, prepare, and train for the first time."""
    ask(race, participant, "import", job)
    race.tell("trainer", participant=participant.name, **ask(race, participant, "load"))


def train(race: Session, participant: Participant, seed: int) -> None:
    """One training."""
    race.tell("training", generation=seed, participant=participant.name, **ask(race, participant, "train", seed))


def draw(race: Session, participant: Participant) -> None:
    """How accuracy and cost change in the trainings of some seeds; of one where they take long."""
    for seed in range(CURVES):
        curve = ask(race, participant, "curve", seed)
        race.tell("curve", participant=participant.name, seed=seed, **curve)
        if curve["seconds"][-1] > LONG:
            return


class Step(NamedTuple):
    """One way of training."""

    name: str
    backend: str
    dtype: DType
    recipe: Recipe
    until: bool  # it goes on until the target; at most as long as the recipe is
    seeds: int


def train_steps(
    console: Console,
    arguments: argparse.Namespace,
    purpose: str,
    target: float,
    steps: Sequence[Step],
    show: Callable[[list[RaceResult]], None],
) -> int:
    """Train every step with all its seeds, but those that are in the file; 1 if anybody failed, else 0.

    show: is called with its records at the end, also where it is interrupted. Raises UserError or BackendUnavailable.
    """
    dataset = digits_for(console, arguments.data, [step.recipe for step in steps])
    for step in steps:
        impls.check(step.backend)
    n_threads = arguments.threads or threads.cores()
    headers = [
        training_header(
            dataset,
            number,
            target,
            step.recipe,
            step.dtype,
            {step.name: step.backend},
            n_threads,
            purpose=purpose,
        )
        | {"until": step.until}
        for number, step in enumerate(steps)
    ]
    path = results_file(arguments.results, purpose)
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        train_folder = stored(dataset.train, Path(folder) / "train")
        test_folder = stored(dataset.test, Path(folder) / "test")
        try:
            for number, step in enumerate(steps):
                until = target if step.until else None
                job = Job(step.backend, step.recipe, step.dtype, train_folder, test_folder, n_threads, until)
                train_all(console, number, {step.name: job}, step.seeds, journal)
        finally:  # an interruption costs only the training that it hits; the same command goes on
            show(races_of(journal.records))
            failed = [
                f"{entry['participant']}: {entry['reason']}" for entry in journal.records if entry["kind"] == "failure"
            ]
            for line in failed:
                console.print(f"[red]left out:[/] {escape(line)}", soft_wrap=True)
            console.print(f"Every training: {path}; --results with it goes on", soft_wrap=True, markup=False)
    return 1 if failed else 0


def waterfall_steps(seeds: int, slow_seeds: int) -> list[Step]:
    """From the slowest to the fastest, each with one thing changed; the recipe is the one big step."""
    recipe = RECIPES[WATERFALL_RECIPE]
    return [
        Step("the article's method", "vectorized", "float64", ARTICLE, True, slow_seeds),
        Step("float32", "vectorized", "float32", ARTICLE, True, slow_seeds),
        Step("small batches, ReLU, cross-entropy, momentum", "vectorized", "float32", recipe, False, seeds),
        Step("buffers made once", "minibatch", "float32", recipe, False, seeds),
        Step("compiled, around BLAS", "numba_dense", "float32", recipe, False, seeds),
        Step("zero pixels skipped", "numba_sparse", "float32", recipe, False, seeds),
    ]
