"""Recipes that were tried, as a table."""

from typing import Any

from rich.console import Console

from bench.analysis.tune import TunedTraining, mean_accuracy, median_seconds, reaches
from bench.tables.table import table_of
from bench.workloads.recipes import Recipe


def print_tuning(
    console: Console, trained: dict[str, list[TunedTraining]], recipes: list[Recipe], seeds: int, target: float | None
) -> None:
    """The most accurate of each length; with a target the fastest that reach it."""
    tried = [recipe for recipe in recipes if trained[str(recipe)]]
    if target is None:
        lengths = sorted({recipe.epochs for recipe in tried})
        best = [
            max((r for r in tried if r.epochs == epochs), key=lambda recipe: mean_accuracy(trained[str(recipe)]))
            for epochs in lengths
        ]
    else:
        best = [recipe for recipe in tried if reaches(trained[str(recipe)], seeds, target)]
        best = sorted(best, key=lambda recipe: median_seconds(trained[str(recipe)]))[:10]
    table = table_of(
        "epochs", "batch", "rate", "schedule", "momentum", "dropout", "held out", "least", "seeds", "seconds"
    )
    for recipe in best:
        found = trained[str(recipe)]
        row: tuple[Any, ...] = (
            recipe.epochs,
            recipe.batch,
            recipe.learning_rate,
            recipe.schedule,
            recipe.momentum,
            recipe.input_dropout,
        )
        shares = (f"{value:.2%}" for value in (mean_accuracy(found), min(one.accuracy for one in found)))
        table.add_row(*map(str, row), *shares, str(len(found)), f"{median_seconds(found):.4f}")
    console.print(table)
    trainings = sum(len(trained[str(recipe)]) for recipe in recipes)
    console.print(f"{len(tried)} recipes tried, {trainings} trainings; means over seeds, of the held-out images.")
    if target is not None and not best:
        console.print(f"None of them reaches {target:.2%} of the held-out images.")
