"""The article's experiments as trainings: its rows, grids of other settings, and ReLU one factor at a time.

Each is trained with several seeds by one fast backend. In turns with it the article's own method (`vectorized` or
`naive`, in float64) trains up to METHOD_EPOCHS epochs in all, spread over the seeds: that is where times come from.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.experiments.trainings import Trainee, Trainings
from bench.training.worker import Looks
from bench.workloads.article import EXPERIMENTS, GRIDS, LOOKS, RELU, RELU_DESIGN, Experiment, Grid, Screen
from bench.workloads.recipes import Recipe
from data import Dataset
from impls.contract import DType

BACKEND = "numba_sparse"
METHOD_DTYPE: DType = "float64"
METHOD_EPOCHS = 50  # at most so many in all: enough for its time, which is scaled to all


class Part(NamedTuple):
    """What a study trains as one race of its file."""

    about: dict[str, Any]  # what readers have to know of it
    recipes: dict[str, Recipe]  # by setting
    screens: tuple[Screen, ...] = ()
    method: str | None = None  # the backend that works as the article's program did; None: none is timed


def parts_of(study: str, names: Sequence[str] | None) -> Iterator[Part]:
    """The parts of "article", "grid" or "relu", of all experiments or those of these names."""
    if study == "relu":
        changes = {f"{change.factor}: {change.to}": change for change in RELU_DESIGN}
        factors = {name: [change.factor, change.to] for name, change in changes.items()}
        about = {"name": "ReLU", "setting": str(RELU), "epochs": RELU.epochs, "changes": factors}
        yield Part(about, {name: change.setting for name, change in changes.items()})
        return
    known: Sequence[Experiment | Grid] = EXPERIMENTS if study == "article" else GRIDS
    for one in known:
        if names and one.name not in names:
            continue
        about = {"name": one.name, "figures": [figure._asdict() for figure in one.figures]}
        if isinstance(one, Experiment):
            about |= {field: getattr(one, field) for field in ("shows", "said", "seconds", "check")}
            about |= {"setting": str(one.setting), "epochs": one.setting.epochs}
            yield Part(about, {one.name: one.setting}, method=one.method)
        else:
            about |= {"levels": one.levels, "screens": [screen._asdict() for screen in one.screens]}
            yield Part(about, {str(setting): setting for setting in one.settings()}, one.screens)


def article_trainings(
    dataset: Dataset, study: str, backend: str, seeds: int, names: Sequence[str] | None
) -> list[Trainings]:
    """What a study trains: "article", "grid" or "relu"; of all its experiments, or those of these names."""
    purpose = "article" if study == "article" else f"article-{study}"
    labels = {
        name: np.bincount(split.labels, minlength=10).tolist()
        for name, split in (("train", dataset.train), ("test", dataset.test))
    }
    several = []
    for about, recipes, screens, method in parts_of(study, names):
        participants = {backend: Trainee(backend, "float32", Looks(LOOKS, screens=screens))}
        method_name = f"{method}, {METHOD_DTYPE}" if method else ""
        if method:
            participants[method_name] = Trainee(method, METHOD_DTYPE, Looks(()), METHOD_EPOCHS)
        header = {"about": about | {"backend": backend, "method": method_name, "labels": labels}}
        key: dict[str, Any] = {"settings": {name: recipe.described() for name, recipe in recipes.items()}}
        if len(recipes) > 1:
            key["plan"] = f"{len(recipes)} settings"
        several.append(Trainings(purpose, about["name"], recipes, participants, seeds, header, key))
    return several
