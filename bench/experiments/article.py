"""The article's experiments as trainings: its settings, grids of others, and ReLU one factor at a time.

Each is trained with several seeds by one fast backend. Interleaved with it the article's own method (`vectorized` or
`naive`, in float64) trains up to METHOD_EPOCHS epochs in all, spread over the seeds; times are taken from that.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.experiments.trainings import Trainee, Trainings
from bench.training.worker import Evaluations
from bench.workloads.article import (
    EVALUATED_AFTER,
    EXPERIMENTS,
    GRIDS,
    RELU,
    RELU_DESIGN,
    RELU_FACTORS,
    Experiment,
    Grid,
    Screen,
)
from bench.workloads.recipes import Recipe
from data import Dataset
from impls.contract import DType

BACKEND = "numba_sparse"
METHOD_DTYPE: DType = "float64"
METHOD_EPOCHS = 50  # at most so many in all: enough for its time, which is scaled to all


def parts_of(
    study: str, names: Sequence[str] | None
) -> Iterator[tuple[dict[str, Any], dict[str, Recipe], tuple[Screen, ...], str | None]]:
    """Yield what a study trains, for each of its experiments or for those of these names.

    That is what readers need to know of it, its recipes by setting, what stops it early, and the backend that works as
    the article's program did, None where none is timed. Of "relu" the names are those of `RELU_FACTORS`.
    """
    if study == "relu":
        kept = {"none", *(RELU_FACTORS[name] for name in names or ())}
        design = {change: recipe for change, recipe in RELU_DESIGN.items() if not names or change[0] in kept}
        changes = {f"{factor}: {to}": [factor, to] for factor, to in design}
        about = {"name": "ReLU", "setting": str(RELU), "epochs": RELU.epochs, "changes": changes}
        yield about, dict(zip(changes, design.values(), strict=True)), (), None
        return
    known: Sequence[Experiment | Grid] = EXPERIMENTS if study == "article" else GRIDS
    for one in (one for one in known if not names or one.name in names):
        about = {"name": one.name, "figures": [figure._asdict() for figure in one.figures]}
        if isinstance(one, Experiment):
            about |= {field: getattr(one, field) for field in ("shows", "said", "seconds", "check")}
            about |= {"setting": str(one.setting), "epochs": one.setting.epochs}
            yield about, {one.name: one.setting}, (), one.method
        else:
            about |= {"levels": one.levels, "screens": [screen._asdict() for screen in one.screens]}
            yield about, {str(setting): setting for setting in one.settings()}, one.screens, None


def article_trainings(
    dataset: Dataset, study: str, backend: str, seeds: int, names: Sequence[str] | None
) -> list[Trainings]:
    """Return a race for each experiment of a study ("article", "grid" or "relu"), or for those of these names.

    names: of experiments; of "relu" those of the factors that are changed.
    """
    purpose = "article" if study == "article" else f"article-{study}"
    labels = {
        name: np.bincount(split.labels, minlength=10).tolist()
        for name, split in (("train", dataset.train), ("test", dataset.test))
    }
    several = []
    for about, recipes, screens, method in parts_of(study, names):
        participants = {backend: Trainee(backend, "float32", Evaluations(EVALUATED_AFTER, screens=screens))}
        method_name = f"{method}, {METHOD_DTYPE}" if method else ""
        if method:
            participants[method_name] = Trainee(method, METHOD_DTYPE, Evaluations(()), METHOD_EPOCHS)
        header = {"about": about | {"backend": backend, "method": method_name, "labels": labels}}
        key: dict[str, Any] = {"settings": {name: recipe.described() for name, recipe in recipes.items()}}
        if len(recipes) > 1:
            key["plan"] = f"{len(recipes)} settings"
        several.append(Trainings(purpose, about["name"], recipes, participants, seeds, header, key))
    return several
