"""Time to target accuracy: the waterfall, batch sizes, and the trainings of each backend over seeds."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.analysis.accuracy import TimeToAccuracy, by_target, factor, method_results, times_to_accuracy
from bench.records.kinds import LearningCurve
from bench.records.races import RaceResult
from bench.tables.accuracy import steps_setting, time_or_brackets
from bench.tables.table import printable, share
from reports.figures.style import (
    COLOURS,
    GREY,
    STRETCHED,
    Figure,
    Looks,
    add_legend,
    drawable,
    framed,
    legend_height,
    logarithmic,
    say,
    stretched_to_100,
    text,
    wrapped,
    write_right,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

MOST_TICKS = 8  # of batch sizes side by side
BLACK, BLUE, GREEN, RED = (COLOURS[i] for i in (0, 2, 3, 4))
EMPTY = "No training was finished in these results."
OF_WATERFALL = (
    "A bar goes from the time of the step above to that of its own; equal lengths are equal factors, which stand at "
    "the right. Dots are seeds."
)
OF_BATCHES = (
    "On the left what an epoch costs; on the right what it takes to reach the target: where the line is lowest, "
    "that batch is first to reach the target. Dots are seeds; hollow marks did not all reach it."
)


def waterfall(races: Sequence[RaceResult]) -> "Drawing":
    """Seconds to the target, step by step: a bar from each time to the next, with its factor."""
    found = method_results(races)
    first = races[0]
    title = f"Seconds to {share(first.target)} of the test images, step by step"
    notes = [
        "A bar goes from the step above to this one, green where it is faster, orange where it is slower. Dots, below: "
        "seeds. Hollow, and in brackets: not reached.",
    ]
    with framed(first.notice, steps_setting(races), title, max(2.4, 0.9 + 0.5 * len(found)), notes) as figure:
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
            label = time_or_brackets(row.seconds, row.counts) + (f"   × {times_faster}" if times_faster else "")
            write_right(axes, y, label)
        axes.set_yticks(range(len(found)), [f"{wrapped(row.name)}\n{wrapped(row.backend)}" for row in found])
        axes.tick_params(axis="y", length=0, labelsize=9)
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.set_xlabel("seconds of training, wall, median over seeds")
        axes.grid(True, axis="x")
    return figure


def batches(races: Sequence[RaceResult]) -> "Drawing":
    """Batch size against seconds an epoch, and against seconds to the target, in two panels."""
    found = sorted(method_results(races), key=lambda row: int(row.case["batch"]))
    first = races[0]
    title = f"Batch size: seconds an epoch, and seconds to {share(first.target)} of the test images"
    notes = ["Lines: medians over seeds. Dots: seeds. Hollow: not every seed reached the target."]
    with framed(first.notice, steps_setting(races), title, 3.8, notes) as figure:
        panels = figure.subplots(1, 2)
        if not found:
            for axes in panels:
                say(axes, EMPTY)
            return figure
        sizes = np.array([float(row.case["batch"]) for row in found])
        a_round, to_it = [row.an_epoch for row in found], [row.seconds for row in found]
        walls = [wall for row in found for wall in row.walls.values()]
        for axes, values, name, colour in (
            (panels[0], a_round, "seconds an epoch, wall", BLUE),
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


def waterfall_figures(races: Sequence[RaceResult]) -> list[Figure]:
    """The one figure."""
    return [Figure("waterfall", "The waterfall", OF_WATERFALL, waterfall(races))]


def batches_figures(races: Sequence[RaceResult]) -> list[Figure]:
    """The one figure."""
    return [Figure("batches", "Batch sizes", OF_BATCHES, batches(races))]


ROW = 0.28  # inches


def training_setting(races: Sequence[RaceResult]) -> str:
    """Data, dtype and threads, in a line."""
    return f"{races[0].data_name} · {races[0].key['dtype']} · threads: {races[0].key['threads']}"


def time_to_accuracy(races: Sequence[RaceResult], look: Looks) -> "Drawing":
    """A row a target and backend: every seed a mark, the median a bar; hollow where the target was not reached."""
    rows: list[tuple[RaceResult, TimeToAccuracy | None]] = []
    for race in races:
        rows += [(race, None), *((race, row) for row in times_to_accuracy(race))]
    times = [one.wall for _, row in rows if row for one in row.trainings]
    notes = [
        "A mark is the training of one seed, the bar their median. Filled: the target is reached, by the mean of all "
        "seeds, with 99 % confidence; hollow, and in brackets: it is not.",
    ]
    title = "Time to target accuracy"
    with framed(races[0].notice, training_setting(races), title, max(2.4, 0.8 + ROW * len(rows)), notes) as figure:
        axes = figure.subplots()
        if not times:
            say(axes, EMPTY)
            return figure
        logarithmic(axes, "x", np.array(times))
        for y, (race, row) in enumerate(rows):
            if row is None:
                heading = f" {share(race.target)}, recipe {text(printable(race.recipe))}"
                place = axes.get_yaxis_transform()
                axes.text(0, y, heading, transform=place, va="center", weight="bold", backgroundcolor="white")
                continue
            colour, marker, *_ = look[row.name]
            fill = colour if row.reached.counts else "none"
            axes.plot(
                [one.wall for one in row.trainings],
                [y] * len(row.trainings),
                marker,
                color=colour,
                markersize=6,
                markerfacecolor=fill,
                alpha=0.6,
            )
            axes.plot([row.seconds] * 2, [y - 0.35, y + 0.35], color=colour, linewidth=2)
            write_right(axes, y, time_or_brackets(row.seconds, row.reached.counts))
        axes.set_yticks(range(len(rows)), [wrapped(row.name) if row else "" for _, row in rows])
        axes.spines.left.set_visible(False)  # which the headings would cut into pieces
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel("seconds of training, wall")
        axes.grid(True, axis="x")
    return figure


def accuracy_over_training(race: RaceResult, look: Looks) -> "Drawing":
    """Per cent correct over seconds and over epochs, for the trainings of one recipe; every seed's end a mark."""
    found = sorted(times_to_accuracy(race), key=lambda row: list(look).index(row.name))  # the later is thinner
    names = [row.name for row in found]
    courses = {name: race.participants[name].curves for name in names}
    notes = [
        "A line is a training in pieces, the median where several seeds were followed, with a band over all of them. "
        "A faint mark is the end of one seed's uninterrupted training. Dashed: the target.",
        STRETCHED,
    ]
    title = f"Accuracy over training, recipe {race.recipe}"
    about, height = f"{training_setting([race])} · {race.key['plan']}", max(4.4, legend_height(names))
    with framed(race.notice, about, title, height, notes) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        if not found:
            for axes in panels:
                say(axes, EMPTY)
            return figure
        lines: dict[str, Any] = {}
        values = [100 * one.accuracy for row in found for one in row.trainings] + [100 * (race.target or 0)]
        for row in found:
            style = look[row.name].line()
            for axes, what in zip(panels, ("seconds", "epochs"), strict=True):
                if courses[row.name]:
                    percent = [[100 * a for a in one.accuracy] for one in courses[row.name]]
                    lines[row.name] = followed(axes, courses[row.name], what, percent, style)
            ends = [(one.wall, 100 * one.accuracy) for one in row.trainings]
            mark, *_ = panels[0].plot(
                *zip(*ends, strict=True), look[row.name].marker, color=style["color"], markersize=5, alpha=0.35
            )
            lines.setdefault(row.name, mark)
        values += [100 * a for several in courses.values() for one in several for a in one.accuracy[1:]]
        for axes in panels if any(courses.values()) else panels[:1]:
            axes.axhline(100 * (race.target or 0), color=GREY, linestyle="--", linewidth=1, zorder=0)
            axes.grid(True)
        stretched_to_100(panels[0], np.array(values))
        seconds = [s for several in courses.values() for one in several for s in one.seconds[1:]]
        seconds += [one.wall for row in found for one in row.trainings]
        logarithmic(panels[0], "x", np.array(seconds))
        panels[0].set(xlabel="seconds of training, wall", ylabel="per cent of the test images correct")
        panels[1].set_xlabel("epochs")
        if not any(courses.values()):
            say(panels[1], "No training was followed in these results.")
        add_legend(figure, lines)
    return figure


def cost_over_training(race: RaceResult, look: Looks) -> "Drawing":
    """Cost of the test images over seconds and over epochs, of those trainings that have it."""
    costs = costs_of(race)
    names = [name for name in look if name in costs]  # the later is thinner
    every = np.array([cost for name in names for several in costs[name][1] for cost in several[1:]])
    notes = [
        "A line is a training in pieces, the median where several seeds were followed, with a band over all of them. "
        "A faint mark is the end of one seed's uninterrupted training.",
    ]
    missing = int((~drawable(every)).sum())
    if missing:
        notes.append(f"Not drawn: costs that are 0 or not finite, {missing} of {every.size}.")
    title = f"Cost over training, recipe {race.recipe}"
    about, height = f"{training_setting([race])} · {race.key['plan']}", max(4.4, legend_height(names))
    with framed(race.notice, about, title, height, notes) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        lines: dict[str, Any] = {}
        seconds = []
        for name in names:
            courses, of_each = costs[name]
            shown = [np.where(drawable(np.array(cost)), cost, np.nan).tolist() for cost in of_each]
            for axes, what in zip(panels, ("seconds", "epochs"), strict=True):
                lines[name] = followed(axes, courses, what, shown, look[name].line())
            ends = [(one.wall, one.cost) for one in race.participants[name].trainings if one.cost is not None]
            for end in ends:
                panels[0].plot(*end, look[name].marker, color=look[name].colour, markersize=5, alpha=0.35)
            seconds += [s for one in courses for s in one.seconds[1:]] + [wall for wall, _ in ends]
            every = np.append(every, [cost for _, cost in ends])
        logarithmic(panels[0], "x", np.array(seconds))
        logarithmic(panels[0], "y", every)
        panels[0].set(xlabel="seconds of training, wall", ylabel="mean cost of the test images")
        panels[1].set_xlabel("epochs")
        for axes in panels:
            axes.grid(True)
        add_legend(figure, lines)
    return figure


def costs_of(race: RaceResult) -> dict[str, tuple[list[LearningCurve], list[list[float]]]]:
    """By backend its learning curves, and their costs."""
    found = {}
    for row in times_to_accuracy(race):
        curves = race.participants[row.name].curves
        if curves:
            found[row.name] = curves, [one.costs for one in curves]
    return found


def followed(
    axes: "Axes", courses: Sequence[LearningCurve], what: str, values: Sequence[Sequence[float]], style: dict[str, Any]
) -> Any:
    """One line for these values of the trainings of a backend; their band where they are several."""
    n = min(len(one.seconds) for one in courses)
    x = np.median([getattr(one, what)[1:n] for one in courses], axis=0)  # at 0 a logarithmic axis has no place
    y = np.array([several[1:n] for several in values])
    if len(courses) > 1:
        axes.fill_between(x, y.min(axis=0), y.max(axis=0), color=style["color"], alpha=0.15, linewidth=0)
    (line,) = axes.plot(x, np.median(y, axis=0), **(style | {"markersize": 0.6 * style["markersize"]}))
    return line


def frontier(races: Sequence[RaceResult], look: Looks) -> "Drawing":
    """Median seconds against mean accuracy, a point a backend and recipe; grey: nothing was sooner and better."""
    points = [(race, row) for race in races for row in times_to_accuracy(race)]
    names = [name for name in look if any(row.name == name for _, row in points)]
    notes = [
        "A mark is a recipe: median seconds, mean accuracy over seeds, the upright line from its worst seed to its "
        "best. Marks of one backend are joined. The grey steps are the frontier: no mark is further left "
        "and higher.",
        STRETCHED,
    ]
    title = "Speed against accuracy, over seeds"
    with framed(races[0].notice, training_setting(races), title, max(4.6, legend_height(names)), notes) as figure:
        axes = figure.subplots()
        if not points:
            say(axes, EMPTY)
            return figure
        lines = {}
        for name in names:
            mine = sorted((row for _, row in points if row.name == name), key=lambda row: row.seconds)
            x, y = [row.seconds for row in mine], [100 * row.reached.mean for row in mine]
            (lines[name],) = axes.plot(x, y, **look[name].line())
            worst = [100 * min(one.accuracy for one in row.trainings) for row in mine]
            axes.vlines(
                x, worst, [100 * row.reached.best for row in mine], color=look[name].colour, linewidth=1, alpha=0.5
            )
        best = best_of([(row.seconds, 100 * row.reached.mean) for _, row in points])
        axes.step(*zip(*best, strict=True), where="post", color=GREY, linewidth=5, alpha=0.25, zorder=0)
        accuracies = [100 * one.accuracy for _, row in points for one in row.trainings]
        for race in races:
            if race.target and min(accuracies) <= 100 * race.target:
                axes.axhline(100 * race.target, color=GREY, linestyle=":", linewidth=0.8, zorder=0)
        logarithmic(axes, "x", np.array([row.seconds for _, row in points]))
        stretched_to_100(axes, np.array(accuracies))
        axes.set(xlabel="seconds of training, wall", ylabel="per cent of the test images correct, mean")
        add_legend(figure, lines)
    return figure


def best_of(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that no other point is both sooner and higher than, from left to right."""
    found: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not found or y > found[-1][1]:
            found.append((x, y))
    return found


CAPTIONS = {
    "time-to-accuracy": "Further left is sooner; equal steps are equal factors. Compare backends within one target: "
    "they train the same recipe from the same seeds. Hollow marks promise nothing.",
    "accuracy-over-training": "On the left, further left is sooner. On the right time plays no part: backends that "
    "compute the same lie on each other; where they part, rounding has grown.",
    "cost-over-training": "Lower is better: the cost still falls where the accuracy hardly changes. It rises where a "
    "network memorises the training images. On the right backends that compute the same lie on each other.",
    "frontier": "Up and left is better. A mark on the grey steps is the best choice for some accuracy; the "
    "others are beaten at every one. Dotted: targets.",
}


def accuracy_figures(races: Sequence[RaceResult], look: Looks) -> list[Figure]:
    """All figures of these trainings."""
    ordered = by_target(races)
    longest = max(ordered, key=lambda race: (is_followed(race), typical(race), race.target or 0))
    drawings = {
        "time-to-accuracy": ("Time to target accuracy", time_to_accuracy(ordered, look)),
        "accuracy-over-training": ("Accuracy over training", accuracy_over_training(longest, look)),
    }
    if costs_of(longest):
        drawings["cost-over-training"] = ("Cost over training", cost_over_training(longest, look))
    drawings["frontier"] = ("The frontier of speed and accuracy", frontier(ordered, look))
    return [Figure(name, title, CAPTIONS[name], drawing) for name, (title, drawing) in drawings.items()]


def typical(race: RaceResult) -> float:
    """Seconds of its trainings; 0 where none was finished."""
    return median([row.seconds for row in times_to_accuracy(race)] or [0.0])


def is_followed(race: RaceResult) -> bool:
    """Whether there is a training in pieces."""
    return any(participant.curves for participant in race.participants.values())
