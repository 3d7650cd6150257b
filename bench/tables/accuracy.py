"""`python -m bench batches`: do mini-batches pay, by the round and by the time to 92.86 %?

The same network (784-128-10, ReLU, softmax) by plain SGD, in batches of one image up to all, orders drawn anew each
round, one learning rate throughout. Each batch has the rate of a grid with which it came there after the fewest images,
judged on held-out training images by `--choose`, which writes bench/batches.json. Training goes on until the target is
reached on the test images; they are looked at where the updates have grown by a tenth, at least once a round.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from bench.analysis import statistics
from bench.analysis.accuracy import (
    MethodResult,
    TimeToAccuracy,
    by_target,
    factor,
    method_results,
    seconds_by_seed,
    times_to_accuracy,
)
from bench.analysis.target import CONFIDENCE, LEAST_SEEDS
from bench.records.files import ResultSet
from bench.records.races import RaceResult
from bench.tables.race import backends_of, begun, parts_of
from bench.tables.table import (
    NONE,
    Section,
    Sheet,
    faster,
    in_short,
    interval_in_words,
    interval_of,
    number,
    share,
    table_of,
    times,
    with_interval,
)
from bench.workloads.batch_sizes import TARGET
from bench.workloads.recipes import Recipe

if TYPE_CHECKING:
    pass


def print_batches(console: Console, rows: list[MethodResult]) -> None:
    """By the round, and to the target, with ratios to the largest batch."""
    table = table_of(
        "batch",
        "rate",
        "s a round",
        "reached",
        "updates",
        "epochs",
        "seconds",
        "x a round",
        "x to it",
    )
    last = rows[-1] if rows else None
    for row in rows:
        assert last is not None
        updates = row.epochs * row.case["images"] / row.case["batch"]
        faster = f"{last.seconds / row.seconds:.3g}" if row.counts and last.counts else ""
        seconds = f"{row.seconds:.4g}" if row.counts else f"({row.seconds:.4g})"
        table.add_row(
            f"{row.case['batch']:,}", f"{row.case['learning_rate']:g}", f"{row.an_epoch:.4g}", reached_in_words(row),
            f"{updates:,.0f}", f"{row.epochs:.3g}", seconds, f"{last.an_epoch / row.an_epoch:.2g}", faster,
        )  # fmt: skip
    console.print(table)
    console.print(
        f"To {TARGET:.2%}; medians over seeds. x: times faster than the last row. In brackets: it was not reached."
    )


def reached_in_words(row: MethodResult) -> str:
    """In a cell: how many seeds reached it, and the best if not all; or their mean, and its lower bound."""
    found = row.reached
    if row.until and row.counts:
        return f"all of {found.seeds}"
    if row.until:
        return f"{round(found.above * found.seeds)} of {found.seeds} ({found.best:.2%})"
    return f"{found.mean:.2%} ({found.lower:.2%})" if math.isfinite(found.lower) else f"{found.mean:.2%}"


WHAT_ACCURACY_IS = (
    "A recipe has a fixed length and never looks at a test image. It reaches its target if the mean accuracy of its "
    f"networks, over {LEAST_SEEDS} seeds or more, is above it with {100 * CONFIDENCE:.0f} % confidence (one-sided). "
    "Seconds are those of uninterrupted training, the median over seeds, in brackets where the target was not reached. "
    "Ratios are of the same seed, their intervals across seeds."
)
ACCURACY_LIMITS = [
    "Times to accuracy hold for these recipes. Another network, rate or batch could be faster or slower.",
    "All seeds of a backend ran in one process: what favours a process for as long as it lives, their intervals do not "
    "show.",
]
PEER = "torch"  # whom a headline names beside the baseline
ACCURACY_FIGURES = ["time-to-accuracy", "accuracy-over-training", "cost-over-training", "frontier"]


def accuracy_setting(results: ResultSet) -> str:
    """Data, targets, dtype and threads, in a line."""
    ordered = by_target(results)
    parts = parts_of(ordered[0])
    targets = f"to {', '.join(share(race.target) for race in ordered)} of the test images"
    return " · ".join([results.data_name, targets, parts["dtype"], parts["threads"]])


def accuracy_sections(results: ResultSet) -> list[Section]:
    """One, with a table for each target."""
    ordered = by_target(results)
    lines = [f"{accuracy_setting(results)}.", begun(ordered[0])]
    return [
        Section("Time to accuracy", lines, [target_table(race) for race in ordered], WHAT_ACCURACY_IS, ACCURACY_FIGURES)
    ]


def target_table(race: RaceResult) -> Sheet:
    """Who reaches one target, how surely, and how soon."""
    found = times_to_accuracy(race)
    rows = [
        [
            row.name,
            share(row.reached.mean),
            share(row.reached.lower) if math.isfinite(row.reached.lower) else NONE,
            f"{round(row.reached.above * row.reached.seeds)} of {row.reached.seeds}",
            number(row.seconds) if row.reached.counts else f"({number(row.seconds)})",
            in_short(row.ratio.estimate) if row.ratio else "1" if row.name == race.baseline else NONE,
            interval_of(row.ratio),
            NONE if row.prepare is None else number(row.prepare),
            NONE if row.first is None else number(row.first),
        ]
        for row in found
    ]
    heads = ("backend", "mean\ncorrect", "99 %\nabove", "seeds\nabove", "seconds", f"times\n{race.baseline}")
    beside = ("95 %\ninterval", "prepare,\ns", "first\ntraining,\ns")
    notes = [note for row in found for note in remarks(row)]
    title = f"{share(race.target)} of the test images, by recipe {race.recipe}"
    return Sheet(title, (*heads, *beside), rows, [f"The recipe: {race.key['plan']}", *notes])


def remarks(row: TimeToAccuracy) -> list[str]:
    """Why a target does not count as reached, and what diverged."""
    found = row.reached
    lines = [f"{row.name}: {found.diverged} of {found.seeds} seeds diverged"] if found.diverged else []
    if found.seeds < LEAST_SEEDS:
        seeds = f"{found.seeds} seed{'s' * (found.seeds != 1)}"
        lines.append(f"{row.name}: {seeds}; a target counts as reached from {LEAST_SEEDS} on")
    elif not found.counts:
        lines.append(f"{row.name}: not reached; mean {share(found.mean)}, best seed {share(found.best)}")
    return lines


def accuracy_headline(results: ResultSet) -> str:
    """The highest target that somebody reached, who was first, and how much sooner than the baseline."""
    for race in reversed(by_target(results)):
        there = [row for row in times_to_accuracy(race) if row.reached.counts]
        if there:
            return f"On this machine {first_of(there, race)}."
    return "No backend reached a target for sure: see the table for how far each came."


def first_of(there: list[TimeToAccuracy], race: RaceResult) -> str:
    """The fastest of those who reached the target, in words."""
    first, last = there[0], there[-1]
    words = f"{first.name} trains to {share(race.target)} of the test images in {number(first.seconds)} s"
    if first.ratio:
        told_apart = "" if first.ratio.separated else ", which does not tell them apart"
        words += f", {faster(first.ratio)} as {race.baseline}{told_apart}"
    elif last.ratio and last is not first and last.name != PEER:
        words += f"; {last.name} takes {with_interval(last.ratio)} times as long"
    if PEER in (row.name for row in there) and PEER not in (first.name, race.baseline):
        ratio = statistics.ratio(seconds_by_seed(race), first.name, PEER)
        words += f"; {faster(ratio)} as {PEER}" if ratio else ""
    return words


WHAT_A_WATERFALL_IS = (
    "Each row changes one thing; the recipe (small batches, ReLU, cross-entropy, momentum) is the one big step. "
    "Seconds of training are medians over seeds, in brackets where the target was not reached. The article's method "
    "goes on until the test images say that it is there, which favours it; recipes have a length of their own. They "
    "reach the target if the mean of ten seeds or more is above it with 99 % confidence."
)
WHAT_BATCHES_ARE = (
    "Plain SGD with one learning rate for each batch size, chosen on held-out training images. A training goes on "
    "until the target is reached on the test images. Medians over seeds; in brackets where a seed did not reach it. A "
    "round is one pass over the training images. Times faster: than the last row."
)
STEP_LIMITS = [
    "Steps to an accuracy ran one after the other, not in turns: what the machine did meanwhile may have hit one of "
    "them and spared another.",
]


def steps_setting(results: ResultSet) -> str:
    """Data, target, dtypes and threads, in a line."""
    first = results.races[0]
    dtypes = " and ".join(dict.fromkeys(race.key["dtype"] for race in results.races))
    return " · ".join(
        [results.data_name, f"to {share(first.target)} of the test images", dtypes, parts_of(first)["threads"]]
    )


def steps_opening(results: ResultSet) -> list[str]:
    """What is said before a table."""
    return [f"{steps_setting(results)}.", begun(results.races[0])]


def recipes_of_steps(several: Sequence[RaceResult]) -> list[str]:
    """Each recipe once, with the steps that train by it."""
    of: dict[str, list[str]] = {}
    for race in several:
        of.setdefault(race.key["plan"], []).extend(race.participants)
    return [f"{'; '.join(names)}: by {plan}" for plan, names in of.items()]


def reached_by(row: MethodResult) -> str:
    """How many seeds reached the target, or the mean of all."""
    found = row.reached
    return f"{round(found.above * found.seeds)} of {found.seeds}" if row.until else share(found.mean)


def seconds_of(row: MethodResult) -> str:
    """In brackets where the target was not reached."""
    return number(row.seconds) if row.counts else f"({number(row.seconds)})"


def waterfall_section(results: ResultSet) -> list[Section]:
    """One, with a row a step."""
    found = method_results(results.races)
    cells = [
        [
            row.name,
            row.backend,
            seconds_of(row),
            f"{number(min(row.walls.values()))} to\n{number(max(row.walls.values()))}",
            str(len(row.walls)),
            number(row.epochs),
            reached_by(row),
            factor(found[i - 1], row) or NONE if i else NONE,
            factor(found[0], row) or NONE if i else NONE,
        ]
        for i, row in enumerate(found)
    ]
    heads = ("step", "backend", "seconds", "over\nseeds", "seeds", "epochs", "reached")
    notes = [*recipes_of_steps(results.races), "Reached: by how many seeds, or their mean"]
    sheet = Sheet("Step by step", (*heads, "times\nfaster", "so far"), cells, notes, 2)
    title = f"From the article's method to the fastest, to {share(results.races[0].target)}"
    return [Section(title, steps_opening(results), [sheet], WHAT_A_WATERFALL_IS, ["waterfall"])]


def batches_section(results: ResultSet) -> list[Section]:
    """One, with a row a batch size."""
    found = method_results(results.races)
    cells = [
        [
            f"{row.case['batch']:,}",
            f"{row.case['learning_rate']:g}",
            number(row.an_epoch),
            reached_by(row),
            f"{row.epochs * row.case['images'] / row.case['batch']:,.0f}",
            number(row.epochs),
            seconds_of(row),
            f"{number(min(row.walls.values()))} to\n{number(max(row.walls.values()))}",
            times(found[-1].an_epoch / row.an_epoch),
            times(found[-1].seconds / row.seconds) if row.counts and found[-1].counts else NONE,
        ]
        for row in found
    ]
    heads = ("batch", "rate", "seconds\nan epoch", "reached", "updates", "epochs", "seconds", "over\nseeds")
    sheet = Sheet("By batch size", (*heads, "times\nfaster\na round", "times\nfaster\nto it"), cells, [])
    network = results.races[0].key["network"]
    lines = [f"{network}, trained by {backends_of(results.races[0])}.", *steps_opening(results)]
    title = f"Do mini-batches pay? By the round, and to {share(results.races[0].target)}"
    return [Section(title, lines, [sheet], WHAT_BATCHES_ARE, ["batches"])]


def print_waterfall(console: Console, rows: list[MethodResult]) -> None:
    """The steps, each with its factor to the one before, and to the first."""
    table = table_of("", "backend", "seconds", "epochs", "reached", "factor", "so far")
    for i, row in enumerate(rows):
        seconds = f"{row.seconds:.4g}" if row.counts else f"({row.seconds:.4g})"
        by = [factor(rows[i - 1], row), factor(rows[0], row)] if i else ["", ""]
        table.add_row(row.name, row.backend, seconds, f"{row.epochs:.4g}", reached_in_words(row), *by)
    console.print(table)
    console.print(
        "Seconds of training, median over seeds; in brackets where the target was not reached. Reached: by how many "
        "seeds, or their mean, and its lower bound (99 %)."
    )


def print_accuracy(console: Console, races: list[RaceResult], recipes: list[tuple[float, Recipe]]) -> None:
    """A table for each target."""
    for race, (_, recipe) in zip(races, recipes, strict=True):
        print_target(console, race, recipe)
    console.print("Seconds: median of uninterrupted trainings; in brackets where the target was not reached.")


def print_target(console: Console, race: RaceResult, recipe: Recipe) -> None:
    """The table of one target."""
    found = times_to_accuracy(race)
    console.print(f"\n[bold]{race.target:.2%}[/] by recipe {recipe.name}: {recipe}. {recipe.reason}")
    table = table_of("", "mean", "99 % above", "seeds", "seconds", "ratio", "95 % interval")
    for row in found:
        quality, ratio = row.reached, row.ratio
        table.add_row(
            escape(row.name),
            f"{quality.mean:.2%}",
            f"{quality.lower:.2%}" if math.isfinite(quality.lower) else "unknown",
            f"{quality.above:.0%} of {quality.seeds}",
            f"{row.seconds:.4g}" if quality.counts else f"({row.seconds:.4g})",
            "1" if row.name == race.baseline else in_short(ratio.estimate) if ratio else "",
            interval_in_words(ratio.interval) if ratio and ratio.interval else "",
        )
    console.print(table)
    for row in found:
        console.print(not_reached(row), end="", soft_wrap=True, markup=False)
    beside = ", ".join(f"{row.name} {row.prepare:.2g} + {row.first:.2g} + {row.evaluation:.2g} s" for row in found)
    console.print(f"Ratio: to {race.baseline}. Preparation + first training + evaluation: {beside}.", markup=False)


def not_reached(row: TimeToAccuracy) -> str:
    """Why a target does not count as reached; "" where it does."""
    found = row.reached
    lines = ""
    if found.diverged:
        lines += f"{row.name}: {found.diverged} of {found.seeds} seeds diverged.\n"
    if found.counts:
        return lines
    if found.seeds < LEAST_SEEDS:
        return lines + f"{row.name}: {found.seeds} seeds; a target counts as reached from {LEAST_SEEDS} on.\n"
    return lines + f"{row.name}: not reached; mean {found.mean:.2%}, best of {found.seeds} seeds {found.best:.2%}.\n"
