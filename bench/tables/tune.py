"""Recipes that were tried on held-out images."""

from collections.abc import Mapping, Sequence

from bench.analysis.tune import TunedTraining, mean_accuracy, median_seconds, reaches
from bench.tables.table import Section, Table, duration, plural, share
from bench.workloads.recipes import Recipe

SHOWN = 10  # recipes that reach a target, the fastest first


def tuning_section(
    trained: Mapping[str, Sequence[TunedTraining]], recipes: Sequence[Recipe], seeds: int, target: float | None
) -> Section:
    """The most accurate recipe of each length; with a target the fastest that reach it."""
    tried = [recipe for recipe in recipes if trained[str(recipe)]]
    if target is None:
        by_length = {
            recipe.epochs: recipe for recipe in sorted(tried, key=lambda one: mean_accuracy(trained[str(one)]))
        }
        best = [by_length[epochs] for epochs in sorted(by_length)]
    else:
        best = [recipe for recipe in tried if reaches(trained[str(recipe)], seeds, target)]
        best = sorted(best, key=lambda recipe: median_seconds(trained[str(recipe)]))[:SHOWN]
    trainings = sum(len(trained[str(recipe)]) for recipe in recipes)
    lines = [f"{plural(len(tried), 'recipe')} tried, {plural(trainings, 'training')}."]
    if target is not None and not best:
        lines.append(f"None of them reaches {share(target)} of the held-out images.")
    title = "Best of each length" if target is None else f"Fastest to {share(target)} of the held-out images"
    heads = ("epochs", "batch", "rate", "schedule", "momentum", "input\ndropout", "mean\naccuracy", "least", "seeds")
    table = Table(title, (*heads, "time"), [tuning_row(recipe, trained[str(recipe)]) for recipe in best])
    return Section("Tuning", lines, [table], "Accuracies are of the held-out images, means over seeds; times, medians.")


def tuning_row(recipe: Recipe, trainings: Sequence[TunedTraining]) -> list[str]:
    """A recipe, and what its trainings reached."""
    settings = (recipe.epochs, recipe.batch, recipe.learning_rate, recipe.schedule, recipe.momentum)
    return [
        *map(str, (*settings, recipe.input_dropout)),
        share(mean_accuracy(trainings)),
        share(min(one.accuracy for one in trainings)),
        str(len(trainings)),
        duration(median_seconds(trainings)),
    ]
