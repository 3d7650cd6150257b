"""Time to target accuracy: by backend, step by step, and by batch size."""

import math
from collections.abc import Sequence

from bench.analysis.accuracy import (
    CONFIDENCE,
    LEAST_SEEDS,
    TimeToAccuracy,
    by_target,
    factor,
    method_results,
    paired,
    times_to_accuracy,
)
from bench.records.races import RaceResult
from bench.tables.race import backends_of, parts_of, started_by
from bench.tables.table import (
    INTERVAL,
    NONE,
    Section,
    Table,
    duration,
    faster,
    number,
    or_dash,
    plural,
    ratio_cells,
    share,
    times,
    with_interval,
)
from bench.workloads.recipes import RECIPES

PEER = "torch"  # a headline compares with it, besides the baseline
ACCURACY_FIGURES = ["time-to-accuracy", "accuracy-over-training", "cost-over-training", "frontier"]
ACCURACY_EXPLANATION = (
    "A recipe has a fixed length and never looks at a test image. It reaches its target if the mean accuracy of its "
    f"networks, over {LEAST_SEEDS} seeds or more, is above it with {100 * CONFIDENCE:.0f} % confidence (one-sided). "
    "Times are those of uninterrupted training, medians over seeds, in brackets where the target was not reached. "
    "Ratios are of the same seed, their intervals across seeds."
)
ACCURACY_LIMITS = [
    "Times to accuracy hold for these recipes. Another network, rate or batch could be faster or slower.",
    "All seeds of a backend ran in one process. What favours one process for as long as it lives is not in the "
    "intervals.",
]
WATERFALL_EXPLANATION = (
    "Each row changes one thing; the recipe (small batches, ReLU, cross-entropy, momentum) is the one big step. "
    "Times of training are medians over seeds, in brackets where the target was not reached. Training by the article's "
    "method continues until the test images show that the target is reached, which favours it; recipes have a fixed "
    "length. They reach the target if the mean of ten seeds or more is above it with 99 % confidence."
)
BATCHES_EXPLANATION = (
    "Plain SGD with one learning rate for each batch size, chosen on held-out training images. Training continues "
    "until the target is reached on the test images. Medians over seeds; in brackets where a seed did not reach it. "
    "Times faster: than the last row."
)
STEP_LIMITS = [
    "Steps to an accuracy were measured one after the other, not interleaved: other work on the machine may have "
    "slowed one of them and not another.",
]


# --- by backend ------------------------------------------------------------------------------------------


def accuracy_setting(races: Sequence[RaceResult]) -> str:
    """Data, targets, dtype and threads, in a line."""
    ordered = by_target(races)
    parts = parts_of(ordered[0])
    targets = f"to {', '.join(share(race.target) for race in ordered)} of the test images"
    return " · ".join([parts["data"], targets, parts["dtype"], parts["threads"]])


def accuracy_sections(races: Sequence[RaceResult]) -> list[Section]:
    """One, with a table for each target."""
    ordered = by_target(races)
    lines = [f"{accuracy_setting(races)}.", started_by(ordered[0])]
    tables = [target_table(race) for race in ordered]
    return [Section("Time to target accuracy", lines, tables, ACCURACY_EXPLANATION, ACCURACY_FIGURES)]


def target_table(race: RaceResult) -> Table:
    """Which backends reach one target, how surely, and how soon."""
    results = times_to_accuracy(race)
    rows = [
        [
            row.name,
            share(row.reached.mean),
            share(row.reached.lower) if math.isfinite(row.reached.lower) else NONE,
            f"{round(row.reached.above * row.reached.seeds)} of {row.reached.seeds}",
            time_or_brackets(row.seconds, row.reached.counts),
            *ratio_cells(row.name, race.baseline, row.ratio),
            or_dash(row.prepare, duration),
            or_dash(row.first, duration),
        ]
        for row in results
    ]
    heads = ("backend", "mean\ncorrect", "99 %\nabove", "seeds\nabove", "time", "times the\nbaseline", INTERVAL)
    recipe = RECIPES.get(race.recipe)
    reason = f"; {recipe.reason}" if recipe else ""
    evaluation = ", ".join(f"{row.name} {duration(row.evaluation)}" for row in results)
    notes = [f"The recipe: {race.key['plan']}{reason}. The baseline is {race.baseline}"]
    notes += [note for row in results for note in target_notes(row)]
    if results:
        notes.append(f"Evaluation of the test images, not in these times: {evaluation}")
    title = f"{share(race.target)} of the test images, by recipe {race.recipe}"
    return Table(title, (*heads, "prepare", "first\ntraining"), rows, notes)


def time_or_brackets(seconds: float, reached: bool) -> str:
    """A time, in brackets where the target was not reached."""
    return duration(seconds) if reached else f"({duration(seconds)})"


def target_notes(row: TimeToAccuracy) -> list[str]:
    """Why a target does not count as reached, and what diverged."""
    reached = row.reached
    lines = [f"{row.name}: {reached.diverged} of {reached.seeds} seeds diverged"] if reached.diverged else []
    if reached.seeds < LEAST_SEEDS:
        lines.append(f"{row.name}: {plural(reached.seeds, 'seed')}; a target counts as reached from {LEAST_SEEDS} on")
    elif not reached.counts:
        lines.append(f"{row.name}: not reached; mean {share(reached.mean)}, best seed {share(reached.best)}")
    return lines


def accuracy_headline(races: Sequence[RaceResult]) -> str:
    """The highest target that was reached, the backend that was first, and how much sooner than the baseline."""
    for race in reversed(by_target(races)):
        there = [row for row in times_to_accuracy(race) if row.reached.counts]
        if there:
            return f"On this machine {fastest_in_words(there, race)}."
    return "No backend reached a target for sure: see the table for how far each came."


def fastest_in_words(there: list[TimeToAccuracy], race: RaceResult) -> str:
    """The fastest backend of those that reached the target."""
    first, last = there[0], there[-1]
    words = f"{first.name} trains to {share(race.target)} of the test images in {duration(first.seconds)}"
    if first.ratio:
        words += f", {faster(first.ratio)} as {race.baseline}"
        words += "" if first.ratio.separated else ", no significant difference"
    elif last.ratio and last is not first and last.name != PEER:
        words += f"; {last.name} takes {with_interval(last.ratio)} times as long"
    peer = next((row for row in there if row.name == PEER), None)
    if peer and PEER not in (first.name, race.baseline):
        ratio = paired(first, peer)
        words += f"; {faster(ratio)} as {PEER}" if ratio else ""
    return words


# --- by method -------------------------------------------------------------------------------------------


def steps_setting(races: Sequence[RaceResult]) -> str:
    """Data, target, dtypes and threads, in a line."""
    parts = parts_of(races[0])
    dtypes = " and ".join(dict.fromkeys(race.key["dtype"] for race in races))
    return " · ".join([parts["data"], f"to {share(races[0].target)} of the test images", dtypes, parts["threads"]])


def steps_lines(races: Sequence[RaceResult]) -> list[str]:
    """What stands before a table."""
    return [f"{steps_setting(races)}.", started_by(races[0])]


def waterfall_sections(races: Sequence[RaceResult]) -> list[Section]:
    """One, with a row a step."""
    results = method_results(races)
    rows = [
        [
            row.name,
            row.backend,
            *method_times(row),
            str(len(row.walls)),
            number(row.epochs),
            seeds_or_mean(row),
            (factor(results[i - 1], row) if i else "") or NONE,
            (factor(results[0], row) if i else "") or NONE,
        ]
        for i, row in enumerate(results)
    ]
    by_recipe: dict[str, list[str]] = {}
    for race in races:
        by_recipe.setdefault(race.key["plan"], []).extend(race.participants)
    notes = [f"{'; '.join(names)}: by {plan}" for plan, names in by_recipe.items()]
    heads = ("step", "backend", "time", "over\nseeds", "seeds", "epochs", "reached", "times\nfaster", "so far")
    table = Table("Step by step", heads, rows, [*notes, "Reached: by how many seeds, or their mean"], 2)
    title = f"From the article's method to the fastest, to {share(races[0].target)}"
    return [Section(title, steps_lines(races), [table], WATERFALL_EXPLANATION, ["waterfall"])]


def batches_sections(races: Sequence[RaceResult]) -> list[Section]:
    """One, with a row a batch size."""
    results = method_results(races)
    rows = [
        [
            f"{row.case['batch']:,}",
            f"{row.case['learning_rate']:g}",
            duration(row.an_epoch),
            seeds_or_mean(row),
            f"{row.epochs * row.case['images'] / row.case['batch']:,.0f}",
            number(row.epochs),
            *method_times(row),
            times(results[-1].an_epoch / row.an_epoch),
            times(results[-1].seconds / row.seconds) if row.counts and results[-1].counts else NONE,
        ]
        for row in results
    ]
    heads = ("batch", "rate", "time of\nan epoch", "reached", "updates", "epochs", "time to\ntarget", "over\nseeds")
    table = Table("By batch size", (*heads, "times\nfaster\nan epoch", "times\nfaster\nto target"), rows)
    lines = [f"{races[0].key['network']}, trained by {backends_of(races[0])}.", *steps_lines(races)]
    title = f"Do mini-batches pay? By the epoch, and to {share(races[0].target)}"
    return [Section(title, lines, [table], BATCHES_EXPLANATION, ["batches"])]


def method_times(row: TimeToAccuracy) -> list[str]:
    """The median time of a training, and its range over seeds."""
    walls = row.walls.values()
    return [time_or_brackets(row.seconds, row.counts), f"{duration(min(walls))} to\n{duration(max(walls))}"]


def seeds_or_mean(row: TimeToAccuracy) -> str:
    """How many seeds reached the target, or the mean of all."""
    reached = row.reached
    return f"{round(reached.above * reached.seeds)} of {reached.seeds}" if row.until else share(reached.mean)
