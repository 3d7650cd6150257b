"""Plans of a recipe of which nothing but its plans matters."""

from collections.abc import Iterator
from typing import Any

from bench.workloads.recipes import Recipe, relu
from impls.contract import Plan


def plans_by_epoch(
    n_images: int, batch: int | None, epochs: float, seed: int = 0, learning_rate: float = 0.1, **factors: Any
) -> Iterator[Plan]:
    recipe = Recipe("r", relu(12, 4), batch=batch, epochs=epochs, learning_rate=learning_rate, **factors)
    return recipe.plans(n_images, seed)
