"""Recipes that were tried on held-out images."""

from collections.abc import Mapping, Sequence

from bench.analysis.tune import TunedTraining, mean_accuracy, median_seconds, reaches
from bench.tables.table import Columns, Section, duration, plural, share, table_of
from bench.workloads.recipes import Recipe

SHOWN = 10  # recipes that reach a target, the fastest first
NOT_TIMED = (
    "Times of workers, or of other machines, are not compared: the shortest recipes come first. The same command "
    "without --workers times those that reach the target here, one training at a time."
)


def tuning_section(
    trained: Mapping[str, Sequence[TunedTraining]], recipes: Sequence[Recipe], seeds: int, target: float | None
) -> Section:
    """The most accurate recipe of each length; with a target the fastest that reach it, or the shortest.

    trained: by the recipe in words, the trainings that count, in order of seeds.
    """
    tried = [recipe for recipe in recipes if trained[str(recipe)]]
    trainings = sum(len(trained[str(recipe)]) for recipe in recipes)
    lines = [f"{plural(len(tried), 'recipe')} tried, {plural(trainings, 'training')}."]
    if target is None:
        title, most_accurate = "Best of each length", sorted(tried, key=lambda one: mean_accuracy(trained[str(one)]))
        by_length = {recipe.epochs: recipe for recipe in most_accurate}
        best = [by_length[epochs] for epochs in sorted(by_length)]
    else:
        best = [recipe for recipe in tried if reaches(trained[str(recipe)], seeds, target)]
        timed = all(median_seconds(trained[str(recipe)]) is not None for recipe in best)
        title = f"{'Fastest' if timed else 'Shortest'} to {share(target)} of the held-out images"
        in_order = (lambda one: median_seconds(trained[str(one)]) or 0.0) if timed else lambda one: one.epochs
        best = sorted(best, key=in_order)[:SHOWN]
        lines += [] if best else [f"None of them reaches {share(target)} of the held-out images."]
        lines += [] if timed else [NOT_TIMED]
    columns: Columns[Recipe] = {
        "epochs": lambda recipe: str(recipe.epochs),
        "batch": lambda recipe: str(recipe.batch),
        "rate": lambda recipe: str(recipe.learning_rate),
        "schedule": lambda recipe: recipe.schedule,
        "momentum": lambda recipe: str(recipe.momentum),
        "input\ndropout": lambda recipe: str(recipe.input_dropout),
        "mean\naccuracy": lambda recipe: share(mean_accuracy(trained[str(recipe)])),
        "least": lambda recipe: share(min(one.accuracy for one in trained[str(recipe)])),
        "seeds": lambda recipe: str(len(trained[str(recipe)])),
        "time": lambda recipe: duration(median_seconds(trained[str(recipe)])),
    }
    explanation = "Accuracies are of the held-out images, means over seeds; times, medians of those measured here."
    return Section("Tuning", lines, [table_of(title, best, columns)], explanation)
