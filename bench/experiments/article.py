"""`python -m bench article`: the article's experiments again, its figures beside ours.

Each experiment is trained with several seeds by one quick backend. Beside it the article's own method (`vectorized`,
or `naive`, in float64) trains as many rounds, up to 50, spread over the seeds, taking turns with the other: that is
where times come from. --grid: which other settings could be the article's. --relu: why ReLU lost, one factor at a time.
"""

import argparse
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape

from bench import UserError
from bench.experiments.race import begin_race
from bench.records.journal import Journal
from bench.records.kinds import Race, header
from bench.records.trainings import ArticleTraining, Trainer
from bench.timing.process import Child
from bench.timing.records import Generation
from bench.timing.session import Participant, Session, ask, attempt
from bench.training.article_worker import Post, serve
from bench.workloads.article import EXPERIMENTS, GRIDS, LOOKS, RELU, RELU_DESIGN, Experiment, Grid, Screen
from bench.workloads.recipes import Recipe
from data import Dataset
from impls.contract import DType

ARTICLE_TIME_LIMIT = 600.0  # seconds for one training
BACKEND = "numba_sparse"
METHOD_DTYPE: DType = "float64"
METHOD_EPOCHS = 50  # at most so many in all: enough for its time, which is scaled to all
MOST_SEEDS = 1000


class Part(NamedTuple):
    """What becomes one race of the file: settings, and what is known of them beforehand."""

    purpose: str
    settings: dict[str, Recipe]  # by name
    about: dict[str, Any]  # for the header
    method: str | None = None  # a backend; None: nothing is timed
    screens: tuple[Screen, ...] = ()


def method_name(part: Part) -> str:
    """The entrant that works as the article's program did; "" where there is none."""
    return f"{part.method}, {METHOD_DTYPE}" if part.method else ""


def parts_of(arguments: argparse.Namespace) -> list[Part]:
    """What the options ask for. Raises UserError for an experiment that is not there."""
    if arguments.relu:
        if arguments.experiment:
            raise UserError("--relu with --experiment: expected one of them, as there is one such experiment; drop one")
        return [of_relu()]
    known = {grid.experiment: of_grid(grid) for grid in GRIDS} if arguments.grid else {}
    known = known or {row.name: of_row(row) for row in EXPERIMENTS}
    for name in arguments.experiment or ():
        if name not in known:
            raise UserError(f"--experiment {name!r}: expected one of {', '.join(map(repr, known))}")
    return [part for name, part in known.items() if name in (arguments.experiment or known)]


def of_row(row: Experiment) -> Part:
    """An experiment of the article."""
    about: dict[str, Any] = {
        "name": row.name,
        "shows": row.shows,
        "said": row.said,
        "seconds": row.seconds,
        "check": row.check,
    }
    figures = [figure.described() for figure in row.figures]
    about |= {"setting": str(row.setting), "epochs": row.setting.epochs, "figures": figures}
    return Part("article", {row.name: row.setting}, about, row.method)


def of_grid(grid: Grid) -> Part:
    """The settings tried for one of them."""
    figures = [figure.described() for figure in grid.figures]
    about = {"name": grid.experiment, "levels": grid.levels, "figures": figures, "screens": grid.screens}
    return Part("article-grid", {str(setting): setting for setting in grid.settings()}, about, screens=grid.screens)


def of_relu() -> Part:
    """One factor after the other."""
    settings = {f"{change.factor}: {change.to}": change.setting for change in RELU_DESIGN}
    changes = {f"{change.factor}: {change.to}": [change.factor, change.to] for change in RELU_DESIGN}
    return Part(
        "article-relu", settings, {"name": "ReLU", "setting": str(RELU), "epochs": RELU.epochs, "changes": changes}
    )


def article_header(dataset: Dataset, number: int, part: Part, arguments: argparse.Namespace, n_threads: int) -> Race:
    """What is known before the trainings."""
    participants = {arguments.backend: arguments.backend}
    if part.method:
        participants[method_name(part)] = part.method
    first = next(iter(part.settings.values()))
    settings = {name: setting.described() for name, setting in part.settings.items()}
    case = {
        "network": str(first.network),
        "sizes": list(first.network.sizes),
        "plan": str(first) if len(settings) == 1 else f"{len(settings)} settings",
        "batch": None,
        "dtype": "float32",
        "settings": settings,
    }
    labels = {
        name: np.bincount(split.labels, minlength=first.network.sizes[-1]).tolist()
        for name, split in (("train", dataset.train), ("test", dataset.test))
    }
    about = part.about | {"backend": arguments.backend, "method": method_name(part), "labels": labels}
    n = len(dataset.train.labels)
    return header(dataset, number, part.purpose, participants, case, "training", n, n_threads, about=about)


def train_parts(
    console: Console, number: int, part: Part, posts: dict[str, Post], seeds: int, n_threads: int, journal: Journal
) -> None:
    """Every setting with every seed that is not there yet."""
    race = begin_race(journal, number, rounds=1, seed=0)
    race.time_limit = ARTICLE_TIME_LIMIT
    with ExitStack() as stack, console.status("", refresh_per_second=1) as status:  # beside what is timed
        participants: list[Participant] = []
        for index, (name, setting) in enumerate(part.settings.items()):
            for seed in range(seeds):
                if next(iter(posts)) in race.failures:
                    return
                generation = MOST_SEEDS * index + seed
                if not is_there(journal, number, generation):
                    if not participants:  # nobody is started where nothing is missing
                        participants += start_processes(race, posts, setting, n_threads, stack)
                    status.update(f"{part.about['name']}: {escape(name)}, seed {seed}")
                    train_setting(race, part, name, participants, generation, seeds)
                if was_left(journal, number, generation):
                    break


def is_there(journal: Journal, number: int, generation: int) -> bool:
    """Whether this seed of a setting is finished."""
    return any(one.generation == generation for one in journal.of(Generation, number))


def was_left(journal: Journal, number: int, generation: int) -> bool:
    """Whether the first seed of a setting was left by a screen, so that others need not be tried."""
    return generation % MOST_SEEDS == 0 and any(
        one.stopped_early for one in journal.of(ArticleTraining, number) if one.generation == generation
    )


def start_processes(
    race: Session, posts: dict[str, Post], setting: Recipe, n_threads: int, stack: ExitStack
) -> list[Participant]:
    """A process for each, that has imported, prepared, and trained a round."""
    participants = []
    for name, post in posts.items():
        if name not in race.failures:
            participant = Participant(name, stack.enter_context(Child(serve, n_threads=n_threads)))
            attempt(race, None, begin_article, participant, post, setting)
            participants.append(participant)
    return participants


def begin_article(race: Session, participant: Participant, post: Post, setting: Recipe) -> None:
    """What comes before any training."""
    ask(race, participant, "import", post)
    race.tell(Trainer, participant=participant.name, **ask(race, participant, "load", setting))


def train_setting(
    race: Session, part: Part, name: str, participants: list[Participant], generation: int, seeds: int
) -> None:
    """One setting with one seed, by everybody, in random order; the article's method has its share of the rounds."""
    seed, epochs = generation % MOST_SEEDS, part.settings[name].epochs
    before = time.monotonic()
    for index in np.random.default_rng([race.number, generation]).permutation(len(participants)):
        if participants[index].name == method_name(part):
            epochs_in_all = min(epochs, METHOD_EPOCHS)
            share = epochs_in_all // seeds + (seed < epochs_in_all % seeds)
            if share:
                attempt(race, generation, train_course, participants[index], part, name, generation, share, ())
        else:
            attempt(race, generation, train_course, participants[index], part, name, generation, epochs, LOOKS)
    if participants[0].name not in race.failures:
        race.tell(Generation, generation=generation, seconds=time.monotonic() - before)


def train_course(
    race: Session, participant: Participant, part: Part, name: str, generation: int, epochs: int, looks: tuple[int, ...]
) -> None:
    """One training."""
    setting, seed = part.settings[name], generation % MOST_SEEDS
    if participant.name == method_name(part):
        setting = replace(setting, dtype=METHOD_DTYPE)
    found = ask(race, participant, "train", setting, seed, epochs, looks, part.screens)
    race.tell(ArticleTraining, generation=generation, participant=participant.name, setting=name, seed=seed, **found)
