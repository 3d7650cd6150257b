"""Ways of training to one accuracy -> rows, tables and figures: the waterfall, and batches of several sizes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.raced import Raced
from bench.results import ResultSet
from bench.statistics import Ratio, ratio
from bench.stepped import Row, factor, rows
from reports import races
from reports.accuracy import share
from reports.figures import COLOURS, GREY, Drawn, framed, logarithmic, say, wrapped
from reports.tables import NONE, Section, Sheet, number, times

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TICKS = 8  # of batch sizes beside each other
BLACK, BLUE, GREEN, RED = (COLOURS[i] for i in (0, 2, 3, 4))
EMPTY = "No training was finished in these results."
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
LIMITS = [
    "Steps to an accuracy ran one after the other, not in turns: what the machine did meanwhile may have hit one of "
    "them and spared another.",
]
OF_WATERFALL = (
    "A bar goes from the time of the step above to that of its own; equal lengths are equal factors, which stand at "
    "the right. Dots are seeds."
)
OF_BATCHES = (
    "On the left what a round costs; on the right what it takes to reach the target: where the line is lowest, "
    "that batch is first to reach the target. Dots are seeds; hollow marks did not all reach it."
)


def setting(results: ResultSet) -> str:
    """Data, target, dtypes and threads, in a line."""
    first = results.races[0]
    dtypes = " and ".join(dict.fromkeys(race.key["dtype"] for race in results.races))
    return " · ".join(
        [results.data_name, f"to {share(first.target)} of the test images", dtypes, races.parts_of(first)["threads"]]
    )


def opening(results: ResultSet) -> list[str]:
    """What is said before a table."""
    return [f"{setting(results)}.", races.begun(results.races[0])]


def recipes(several: Sequence[Raced]) -> list[str]:
    """Each recipe once, with the steps that train by it."""
    of: dict[str, list[str]] = {}
    for race in several:
        of.setdefault(race.key["plan"], []).extend(race.entrants)
    return [f"{'; '.join(names)}: by {plan}" for plan, names in of.items()]


def said(row: Row) -> str:
    """How many seeds reached the target, or the mean of all."""
    found = row.reached
    return f"{round(found.above * found.seeds)} of {found.seeds}" if row.until else share(found.mean)


def seconds_of(row: Row) -> str:
    """In brackets where the target was not reached."""
    return number(row.seconds) if row.counts else f"({number(row.seconds)})"


def paired(row: Row, other: Row) -> Ratio | None:
    """How many times as long a step takes as another, seed by seed; its interval is across seeds."""
    both = sorted(row.walls.keys() & other.walls.keys())
    return ratio([[{"row": row.walls[seed], "other": other.walls[seed]}] for seed in both], "row", "other")


# --- the waterfall ---------------------------------------------------------------------------------------


def of_waterfall(results: ResultSet) -> list[Section]:
    """One, with a row a step."""
    found = rows(results.races)
    cells = [
        [
            row.name,
            row.backend,
            seconds_of(row),
            f"{number(min(row.walls.values()))} to\n{number(max(row.walls.values()))}",
            str(len(row.walls)),
            number(row.passes),
            said(row),
            factor(found[i - 1], row) or NONE if i else NONE,
            factor(found[0], row) or NONE if i else NONE,
        ]
        for i, row in enumerate(found)
    ]
    heads = ("step", "backend", "seconds", "over\nseeds", "seeds", "passes", "reached")
    notes = [*recipes(results.races), "Reached: by how many seeds, or their mean"]
    sheet = Sheet("Step by step", (*heads, "times\nfaster", "so far"), cells, notes, 2)
    title = f"From the article's method to the fastest, to {share(results.races[0].target)}"
    return [Section(title, opening(results), [sheet], WHAT_A_WATERFALL_IS, ["waterfall"])]


def waterfall(results: ResultSet) -> "Figure":
    """Seconds to the target, step by step: a bar from each time to the next, with its factor."""
    found = rows(results.races)
    first = results.races[0]
    title = f"Seconds to {share(first.target)} of the test images, step by step"
    notes = [
        "A bar goes from the step above to this one, green where it is faster, orange where it is slower. Dots, below: "
        "seeds. Hollow, and in brackets: not reached.",
    ]
    with framed(first.notice, setting(results), title, max(2.4, 0.9 + 0.5 * len(found)), notes) as figure:
        axes = figure.subplots()
        if not found:
            say(axes, EMPTY)
            return figure
        logarithmic(axes, "x", np.array([wall for row in found for wall in row.walls.values()]))
        for y, row in enumerate(found):
            before = found[y - 1] if y else None
            if before:
                colour = GREEN if row.seconds <= before.seconds else RED
                axes.plot([before.seconds, row.seconds], [y, y], color=colour, linewidth=13, solid_capstyle="butt")
                axes.plot([before.seconds] * 2, [y - 1, y + 0.28], color=GREY, linewidth=0.8, zorder=1)
            axes.plot(list(row.walls.values()), [y + 0.36] * len(row.walls), ".", color=BLACK, markersize=4, alpha=0.5)
            fill = BLACK if row.counts else "white"
            axes.plot(row.seconds, y, "D", color=BLACK, markersize=7, markerfacecolor=fill)
            times_faster = factor(before, row) if before else ""
            label = f"{seconds_of(row)} s" + (f"   × {times_faster}" if times_faster else "")
            axes.text(1.01, y, label, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
        axes.set_yticks(range(len(found)), [f"{wrapped(row.name)}\n{wrapped(row.backend)}" for row in found])
        axes.tick_params(axis="y", length=0, labelsize=9)
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.set_xlabel("seconds of training, wall, median over seeds")
        axes.grid(True, axis="x")
    return figure


# --- batches ---------------------------------------------------------------------------------------------


def of_batches(results: ResultSet) -> list[Section]:
    """One, with a row a batch size."""
    found = rows(results.races)
    cells = [
        [
            f"{row.case['batch']:,}",
            f"{row.case['learning_rate']:g}",
            number(row.a_pass),
            said(row),
            f"{row.passes * row.case['images'] / row.case['batch']:,.0f}",
            number(row.passes),
            seconds_of(row),
            f"{number(min(row.walls.values()))} to\n{number(max(row.walls.values()))}",
            times(found[-1].a_pass / row.a_pass),
            times(found[-1].seconds / row.seconds) if row.counts and found[-1].counts else NONE,
        ]
        for row in found
    ]
    heads = ("batch", "rate", "seconds\na round", "reached", "updates", "rounds", "seconds", "over\nseeds")
    sheet = Sheet("By batch size", (*heads, "times\nfaster\na round", "times\nfaster\nto it"), cells, [])
    network = results.races[0].key["network"]
    lines = [f"{network}, trained by {races.backends_of(results.races[0])}.", *opening(results)]
    title = f"Do mini-batches pay? By the round, and to {share(results.races[0].target)}"
    return [Section(title, lines, [sheet], WHAT_BATCHES_ARE, ["batches"])]


def batches(results: ResultSet) -> "Figure":
    """Batch size against seconds a round, and against seconds to the target, in two panels."""
    found = sorted(rows(results.races), key=lambda row: int(row.case["batch"]))
    first = results.races[0]
    title = f"Batch size: seconds a round, and seconds to {share(first.target)} of the test images"
    notes = ["Lines: medians over seeds. Dots: seeds. Hollow: not every seed reached the target."]
    with framed(first.notice, setting(results), title, 3.8, notes) as figure:
        panels = figure.subplots(1, 2)
        if not found:
            for axes in panels:
                say(axes, EMPTY)
            return figure
        sizes = np.array([float(row.case["batch"]) for row in found])
        a_round, to_it = [row.a_pass for row in found], [row.seconds for row in found]
        walls = [wall for row in found for wall in row.walls.values()]
        for axes, values, name, colour in (
            (panels[0], a_round, "seconds a round, wall", BLUE),
            (panels[1], to_it, f"seconds to {share(first.target)}, wall", RED),
        ):
            axes.plot(sizes, values, color=colour, linewidth=2)
            for size, value, row in zip(sizes, values, found, strict=True):
                fill = colour if row.counts or axes is panels[0] else "white"
                axes.plot(size, value, "o", color=colour, markersize=7, markerfacecolor=fill)
            logarithmic(axes, "x", sizes)
            if len(found) <= MOST_TICKS:
                axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
            logarithmic(axes, "y", np.array(values if axes is panels[0] else walls))
            axes.set(xlabel="images per update", ylabel=name)
            axes.grid(True)
        for size, row in zip(sizes, found, strict=True):
            panels[1].plot([size] * len(row.walls), list(row.walls.values()), ".", color=BLACK, markersize=4, alpha=0.6)
    return figure


def drawn(of_steps: ResultSet | None, of_sizes: ResultSet | None) -> list[Drawn]:
    """The figures for which there are results."""
    found = [Drawn("waterfall", "The waterfall", OF_WATERFALL, waterfall(of_steps))] if of_steps else []
    return found + ([Drawn("batches", "Batch sizes", OF_BATCHES, batches(of_sizes))] if of_sizes else [])
