"""Trainings to a common accuracy: of recipes of fixed length, and of methods that train until they reach it."""

from typing import NamedTuple

from bench.experiments.trainings import Trainee, Trainings
from bench.training.worker import Evaluations
from bench.workloads.recipes import ARTICLE, RECIPES, TARGETS, Recipe
from impls.contract import DType

WATERFALL_RECIPE, WATERFALL_TARGET = RECIPES["first-94"], TARGETS["first-94"]
SLOW_SEEDS = 3  # of the article's method, which takes minutes
CURVES = 3  # seeds of which a curve is drawn


def to_target(
    target: float,
    recipe: Recipe,
    dtype: DType,
    backends: list[str],
    seeds: int,
    baseline: str | None,
    curves: int = CURVES,
) -> Trainings:
    """Return the trainings for one target by a recipe of fixed length. curves: seeds of which a curve is drawn."""
    participants = {name: Trainee(name, dtype) for name in backends}
    recipes, header = {recipe.name: recipe}, {"target": target, "recipe": recipe.name}
    return Trainings("accuracy", recipe.name, recipes, participants, seeds, header, baseline=baseline, curves=curves)


class Step(NamedTuple):
    """A way of training, to be compared with others."""

    name: str
    backend: str
    dtype: DType
    recipe: Recipe
    until: bool  # it trains until the target; at most as long as the recipe is
    seeds: int

    def trainings(self, purpose: str, target: float, in_turns: bool = False) -> Trainings:
        """Return the step as a race of its own, towards this target, a share of the test images.

        in_turns: with each seed after the other steps, so that their times can be compared.
        """
        evaluations = Evaluations("growing", until=target) if self.until else Evaluations()
        participants = {self.name: Trainee(self.backend, self.dtype, evaluations)}
        header = {"target": target, "recipe": self.recipe.name, "until": self.until}
        curves = 0 if self.until else CURVES
        recipes = {self.recipe.name: self.recipe}
        return Trainings(
            purpose, self.name, recipes, participants, self.seeds, header, curves=curves, in_turns=in_turns
        )


def waterfall_steps(seeds: int, slow_seeds: int) -> list[Step]:
    """Return the steps from the slowest to the fastest; each changes one thing, only the recipe changes several."""
    recipe = WATERFALL_RECIPE
    return [
        Step("the article's method", "vectorized", "float64", ARTICLE, True, slow_seeds),
        Step("float32", "vectorized", "float32", ARTICLE, True, slow_seeds),
        Step("small batches, ReLU, cross-entropy, momentum", "vectorized", "float32", recipe, False, seeds),
        Step("buffers made once", "minibatch", "float32", recipe, False, seeds),
        Step("compiled, products in registers", "numba_dense", "float32", recipe, False, seeds),
        Step("zero pixels skipped", "numba_sparse", "float32", recipe, False, seeds),
    ]
