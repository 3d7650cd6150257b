"""The article's experiments as trainings: its rows, grids of other settings, and ReLU one factor at a time.

Each is trained with several seeds by one fast backend. In turns with it the article's own method (`vectorized` or
`naive`, in float64) trains up to METHOD_EPOCHS epochs in all, spread over the seeds: that is where times come from.
"""

from collections.abc import Sequence
from typing import Any

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


def chosen(known: Sequence[Experiment] | Sequence[Grid], names: Sequence[str] | None) -> list[Any]:
    """Those of these names, or all."""
    return [one for one in known if not names or one.name in names]


def article_trainings(
    dataset: Dataset, study: str, backend: str, seeds: int, names: Sequence[str] | None
) -> list[Trainings]:
    """What a study trains: "article", "grid" or "relu"."""
    if study == "relu":
        recipes = {f"{change.factor}: {change.to}": change.setting for change in RELU_DESIGN}
        changes = {f"{change.factor}: {change.to}": [change.factor, change.to] for change in RELU_DESIGN}
        about = {"name": "ReLU", "setting": str(RELU), "epochs": RELU.epochs, "changes": changes}
        return [trainings("article-relu", recipes, about, backend, seeds, dataset)]
    if study == "grid":
        return [of_grid(grid, backend, seeds, dataset) for grid in chosen(GRIDS, names)]
    return [of_row(row, backend, seeds, dataset) for row in chosen(EXPERIMENTS, names)]


def of_row(row: Experiment, backend: str, seeds: int, dataset: Dataset) -> Trainings:
    """An experiment of the article."""
    about = {part: getattr(row, part) for part in ("name", "shows", "said", "seconds", "check")}
    figures = [figure.described() for figure in row.figures]
    about |= {"setting": str(row.setting), "epochs": row.setting.epochs, "figures": figures}
    return trainings("article", {row.name: row.setting}, about, backend, seeds, dataset, method=row.method)


def of_grid(grid: Grid, backend: str, seeds: int, dataset: Dataset) -> Trainings:
    """The settings tried for one of them."""
    figures = [figure.described() for figure in grid.figures]
    screens = [screen._asdict() for screen in grid.screens]
    about = {"name": grid.name, "levels": grid.levels, "figures": figures, "screens": screens}
    recipes = {str(setting): setting for setting in grid.settings()}
    return trainings("article-grid", recipes, about, backend, seeds, dataset, grid.screens)


def trainings(
    purpose: str,
    recipes: dict[str, Recipe],
    about: dict[str, Any],
    backend: str,
    seeds: int,
    dataset: Dataset,
    screens: tuple[Screen, ...] = (),
    method: str | None = None,
) -> Trainings:
    """One race of the file. method: the backend that works as the article's program did; None: nothing is timed."""
    looks = Looks(LOOKS, screens=screens)
    participants = {backend: Trainee(backend, "float32", lambda recipe, seed: looks)}
    method_name = f"{method}, {METHOD_DTYPE}" if method else ""
    if method:
        participants[method_name] = Trainee(method, METHOD_DTYPE, lambda recipe, seed: share(recipe, seed, seeds))
    n_outputs = next(iter(recipes.values())).network.sizes[-1]
    labels = {
        name: np.bincount(split.labels, minlength=n_outputs).tolist()
        for name, split in (("train", dataset.train), ("test", dataset.test))
    }
    about = about | {"backend": backend, "method": method_name, "labels": labels}
    key: dict[str, Any] = {"settings": {name: recipe.described() for name, recipe in recipes.items()}}
    if len(recipes) > 1:
        key["plan"] = f"{len(recipes)} settings"
    return Trainings(purpose, about["name"], recipes, participants, seeds, {"about": about}, key, needed=(backend,))


def share(recipe: Recipe, seed: int, seeds: int) -> Looks | None:
    """The method's part of the epochs; None: it has none with this seed."""
    in_all = min(int(recipe.epochs), METHOD_EPOCHS)
    epochs = in_all // seeds + (seed < in_all % seeds)
    return Looks((), epochs=epochs) if epochs else None
