"""Time to target accuracy: by backend, step by step, and by batch size."""

import math
from collections.abc import Sequence

from bench.analysis import accuracy as analysis
from bench.analysis.accuracy import CONFIDENCE, LEAST_SEEDS, Reached, TimeToAccuracy
from bench.records.races import RaceResult
from bench.tables import table as text
from bench.tables.machines import machines_tables
from bench.tables.race import backends_of, parts_of, started_by
from bench.tables.table import INTERVAL, NONE, Columns, Section, Table, table_of
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
    "Times faster: than the last row, where all sizes trained in turns, seed by seed."
)
BATCHES_LIMITS = ["Times of batch sizes give a ratio only where all sizes trained in turns, seed by seed."]
STEP_LIMITS = [
    "Steps to an accuracy were measured one after the other, not interleaved: other work on the machine may have "
    "slowed one of them and not another.",
]


def accuracy_setting(races: Sequence[RaceResult]) -> str:
    """Data, targets, dtypes and threads, in a line."""
    ordered = analysis.by_target(races)
    parts, targets = parts_of(ordered[0]), ", ".join(dict.fromkeys(text.share(race.target) for race in ordered))
    dtypes = " and ".join(dict.fromkeys(race.key["dtype"] for race in races))
    return " · ".join([parts["data"], f"to {targets} of the test images", dtypes, parts["threads"]])


def accuracy_sections(races: Sequence[RaceResult]) -> list[Section]:
    """The section on time to accuracy, with a table for each target."""
    ordered = analysis.by_target(races)
    lines, tables = [f"{accuracy_setting(races)}.", started_by(ordered[0])], [target_table(race) for race in ordered]
    tables += machines_tables(races)
    return [Section("Time to target accuracy", lines, tables, ACCURACY_EXPLANATION, ACCURACY_FIGURES)]


def target_table(race: RaceResult) -> Table:
    """Which backends reach one target, how surely, and how soon."""
    columns: Columns[TimeToAccuracy] = {
        "backend": lambda row: row.name,
        "mean\ncorrect": lambda row: text.share(row.reached.mean),
        "99 %\nabove": lambda row: text.share(row.reached.lower) if math.isfinite(row.reached.lower) else NONE,
        "seeds\nabove": lambda row: seeds_or_mean(row.reached, count=True),
        "time": lambda row: time_or_brackets(row.seconds, row.reached.counts),
        "times the\nbaseline": lambda row: text.ratio_of(row.ratio, row.name == race.baseline),
        INTERVAL: lambda row: text.interval_of(row.ratio and row.ratio.interval),
        "prepare": lambda row: text.duration(row.prepare),
        "first\ntraining": lambda row: text.duration(row.first),
    }
    results = analysis.times_to_accuracy(race)
    reason = f"; {RECIPES[race.recipe].reason}" if race.recipe in RECIPES else ""
    notes = [f"The recipe: {race.key['plan']}{reason}. The baseline is {race.baseline}"]
    for name, reached in ((row.name, row.reached) for row in results):
        if reached.diverged:
            notes.append(f"{name}: {reached.diverged} of {reached.seeds} seeds diverged")
        if reached.seeds < LEAST_SEEDS:
            seeds = text.plural(reached.seeds, "seed")
            notes.append(f"{name}: {seeds}; a target counts as reached from {LEAST_SEEDS} seeds on")
        elif not reached.counts:
            notes.append(f"{name}: not reached; mean {text.share(reached.mean)}, best seed {text.share(reached.best)}")
    if results:
        evaluation = ", ".join(f"{row.name} {text.duration(row.evaluation)}" for row in results)
        notes.append(f"Evaluation of the test images, not in these times: {evaluation}")
    return table_of(f"{text.share(race.target)} of the test images, by recipe {race.recipe}", results, columns, notes)


def seeds_or_mean(reached: Reached, count: bool) -> str:
    """How many seeds reached the target, or the mean of all."""
    return f"{round(reached.above * reached.seeds)} of {reached.seeds}" if count else text.share(reached.mean)


def time_or_brackets(seconds: float, reached: bool) -> str:
    """A time, in brackets where the target was not reached."""
    return text.duration(seconds) if reached else f"({text.duration(seconds)})"


def accuracy_headline(races: Sequence[RaceResult]) -> str:
    """The highest target that was reached, the backend that was first, and how much sooner than the baseline."""
    races = [race for race in races if not race.machines] or races
    for race in reversed(analysis.by_target(races)):
        if rows := [row for row in analysis.times_to_accuracy(race) if row.reached.counts]:
            break
    else:
        return "No backend reached a target with enough confidence: see the table for how far each came."
    first, last = rows[0], rows[-1]
    words = f"{first.name} trains to {text.share(race.target)} of the test images in {text.duration(first.seconds)}"
    if first.ratio:
        words += f", {text.faster(first.ratio)} as {race.baseline}"
        words += "" if first.ratio.separated else ", no significant difference"
    elif last.ratio and last is not first and last.name != PEER:
        words += f"; {last.name} takes {text.with_interval(last.ratio)} times as long"
    peer = next((row for row in rows if row.name == PEER), None)
    if peer and PEER not in (first.name, race.baseline):
        ratio = analysis.paired(first, peer)
        words += f"; {text.faster(ratio)} as {PEER}" if ratio else ""
    return f"On this machine {words}."


def waterfall_sections(races: Sequence[RaceResult]) -> list[Section]:
    """The section of `study waterfall`, with a row for each step."""
    results = analysis.method_results(races)
    rows = [
        [
            row.name,
            row.backend,
            time_or_brackets(row.seconds, row.counts),
            range_over_seeds(row),
            str(len(row.walls)),
            text.number(row.epochs),
            seeds_or_mean(row.reached, row.until),
            (i and analysis.factor(results[i - 1], row)) or NONE,
            (i and analysis.factor(results[0], row)) or NONE,
        ]
        for i, row in enumerate(results)
    ]
    heads = ("step", "backend", "time", "over\nseeds", "seeds", "epochs", "reached", "times\nfaster", "so far")
    by_recipe: dict[str, list[str]] = {}
    for race in races:
        by_recipe.setdefault(race.key["plan"], []).extend(race.participants)
    recipes = [f"{'; '.join(names)}: by {plan}" for plan, names in by_recipe.items()]
    notes = [*recipes, "Reached: by how many seeds, or their mean"]
    tables = [Table("Step by step", heads, rows, notes, 2)]
    title = f"From the article's method to the fastest, to {text.share(races[0].target)}"
    lines = [f"{accuracy_setting(races)}.", started_by(races[0])]
    return [Section(title, lines, tables, WATERFALL_EXPLANATION, ["waterfall"])]


def batches_sections(races: Sequence[RaceResult]) -> list[Section]:
    """The section of `study batches`, with a row for each batch size."""
    results = analysis.method_results(races)
    columns: Columns[TimeToAccuracy] = {
        "batch": lambda row: f"{row.case['batch']:,}",
        "rate": lambda row: f"{row.case['learning_rate']:g}",
        "time of\nan epoch": lambda row: text.duration(row.an_epoch),
        "reached": lambda row: seeds_or_mean(row.reached, row.until),
        "updates": lambda row: f"{row.epochs * row.case['images'] / row.case['batch']:,.0f}",
        "epochs": lambda row: text.number(row.epochs),
        "time to\ntarget": lambda row: time_or_brackets(row.seconds, row.counts),
        "over\nseeds": range_over_seeds,
        "times\nfaster\nan epoch": lambda row: (
            text.times(results[-1].an_epoch / row.an_epoch) if analysis.in_turns(row, results[-1]) else NONE
        ),
        "times\nfaster\nto target": lambda row: (
            text.times(results[-1].seconds / row.seconds)
            if row.counts and results[-1].counts and analysis.in_turns(row, results[-1])
            else NONE
        ),
    }
    first = f"{races[0].key['network']}, trained by {backends_of(races[0])}."
    lines = [first, f"{accuracy_setting(races)}.", started_by(races[0])]
    title = f"Do mini-batches pay? By the epoch, and to {text.share(races[0].target)}"
    tables = [table_of("By batch size", results, columns), *machines_tables(races)]
    return [Section(title, lines, tables, BATCHES_EXPLANATION, ["batches"])]


def range_over_seeds(row: TimeToAccuracy) -> str:
    """The shortest and the longest time of a training."""
    return f"{text.duration(min(row.walls.values()))} to\n{text.duration(max(row.walls.values()))}"
