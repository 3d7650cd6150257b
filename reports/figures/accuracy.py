"""Figures of time to target accuracy: the waterfall, batch sizes, and the trainings of each backend over seeds."""

from collections.abc import Sequence
from statistics import median
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from bench.analysis.accuracy import TimeToAccuracy, by_target, factor, method_results, times_to_accuracy
from bench.records.kinds import LearningCurve
from bench.records.races import RaceResult
from bench.tables.accuracy import accuracy_setting, time_or_brackets
from bench.tables.table import duration, plural, printable, share
from reports.figures import style
from reports.figures.style import BLACK, GREY, RED, STRETCHED, Figure, Floats, Looks, drawable, drawn, logarithmic

MOST_TICKS = 8  # of batch sizes side by side
EMPTY = "No training was finished in these results."
OF_TRAININGS = (
    "A line is a training in pieces, the median where several seeds were followed, with a band over all of them. "
    "A faint mark is the end of one seed's uninterrupted training."
)


@drawn(
    "The waterfall",
    "A bar goes from the time of the step above to that of its own; equal lengths are equal factors, which stand at "
    "the right. Dots are seeds.",
)
def waterfall(figure: Figure, races: Sequence[RaceResult]) -> None:
    """Seconds to the target, step by step: a bar from each time to the next, with its factor."""
    rows = method_results(races)
    heading = f"Seconds to {share(races[0].target)} of the test images, step by step"
    figure.about(races[0], accuracy_setting(races), heading)
    figure.notes = [
        "A bar goes from the step above to this one, green where it is faster, orange where it is slower. Dots, below: "
        "seeds. Hollow, and in brackets: not reached.",
    ]
    (axes,) = figure.panels(rows, EMPTY)
    times = [wall for row in rows for wall in row.walls.values()]
    logarithmic(axes, "x", "seconds of training, wall, median over seeds", times)
    for y, row in enumerate(rows):
        label = time_or_brackets(row.seconds, row.counts)
        if y:
            before = rows[y - 1]
            colour = style.GREEN if row.seconds <= before.seconds else RED
            axes.plot([before.seconds, row.seconds], [y, y], color=colour, linewidth=13, solid_capstyle="butt")
            axes.plot([before.seconds] * 2, [y - 1, y + 0.28], color=GREY, linewidth=0.8, zorder=1)
            times_faster = factor(before, row)
            label += f"   × {times_faster}" if times_faster else ""
        walls, below = [one.wall for one in row.timed], [y + 0.36] * len(row.timed)
        axes.plot(walls, below, ".", color=BLACK, markersize=4, alpha=0.5)
        style.label_marks(axes, walls, below, of_seeds(row, f"{row.name}, {row.backend}"))
        fill = BLACK if row.counts else "white"
        axes.plot(row.seconds, y, "D", color=BLACK, markersize=7, markerfacecolor=fill)
        style.label_marks(axes, [row.seconds], [y], [f"{row.name}, {row.backend}\n{label}, median over seeds"])
        style.write_right(axes, y, label)
    figure.name_rows(axes, [f"{row.name}\n{row.backend}" for row in rows])
    axes.tick_params(axis="y", length=0, labelsize=9)


def of_seeds(row: TimeToAccuracy, name: str) -> list[str]:
    """A label for each seed's training."""
    return [f"{name}\n{duration(one.wall)} to {share(one.accuracy)}, seed {one.seed}" for one in row.timed]


@drawn(
    "Batch sizes",
    "On the left what an epoch costs; on the right what it takes to reach the target: where the line is lowest, that "
    "batch is first to reach the target. Dots are seeds; hollow marks did not all reach it.",
)
def batches(figure: Figure, races: Sequence[RaceResult]) -> None:
    """Batch size against seconds an epoch, and against seconds to the target, in two panels."""
    rows = sorted(method_results(races), key=lambda row: int(row.case["batch"]))
    target = share(races[0].target)
    heading = f"Batch size: seconds an epoch, and seconds to {target} of the test images"
    figure.about(races[0], accuracy_setting(races), heading)
    figure.notes = ["Lines: medians over seeds. Dots: seeds. Hollow: not every seed reached the target."]
    left, right = figure.panels(rows, EMPTY, 2)
    sizes = [row.case["batch"] for row in rows]
    of_an_epoch, to_target = [row.an_epoch for row in rows], [row.seconds for row in rows]
    left.plot(sizes, of_an_epoch, "o-", color=style.BLUE, linewidth=2, markersize=7)
    labels = [f"batches of {size:,}\n{duration(row.an_epoch)} an epoch" for size, row in zip(sizes, rows, strict=True)]
    style.label_marks(left, sizes, of_an_epoch, labels)
    logarithmic(left, "y", "seconds an epoch, wall", of_an_epoch)
    right.plot(sizes, to_target, color=RED, linewidth=2)
    for size, row in zip(sizes, rows, strict=True):
        right.plot(size, row.seconds, "o", color=RED, markersize=7, markerfacecolor=RED if row.counts else "white")
        walls = [one.wall for one in row.timed]
        right.plot([size] * len(walls), walls, ".", color=BLACK, markersize=4, alpha=0.6)
        style.label_marks(right, [size] * len(walls), walls, of_seeds(row, f"batches of {size:,}"))
    logarithmic(right, "y", f"seconds to {target}, wall", [wall for row in rows for wall in row.walls.values()])
    for axes in (left, right):
        logarithmic(axes, "x", "images per update", sizes)
        if len(sizes) <= MOST_TICKS:
            axes.set_xticks(sizes, [f"{size:,}" for size in sizes])


# --- by backend, over seeds ------------------------------------------------------------------------------


def training_setting(races: Sequence[RaceResult]) -> str:
    """Data, dtype and threads, in a line."""
    return f"{races[0].data_name} · {races[0].key['dtype']} · threads: {races[0].key['threads']}"


def heading_of(race: RaceResult) -> str:
    """Target and recipe."""
    return f"{share(race.target)}, recipe {printable(race.recipe)}"


@drawn(
    "Time to target accuracy",
    "Further left is sooner; equal steps are equal factors. Compare backends within one target: they train the same "
    "recipe from the same seeds. Hollow marks promise nothing.",
)
def time_to_accuracy(figure: Figure, races: Sequence[RaceResult], look: Looks) -> None:
    """A row for each target and backend: every seed a mark, the median a bar; hollow where it is not reached."""
    figure.about(races[0], training_setting(races))
    figure.notes = [
        "A mark is the training of one seed, the bar their median. Filled: the target is reached, by the mean of all "
        "seeds, with 99 % confidence; hollow, and in brackets: it is not.",
    ]
    rows = {race.number: times_to_accuracy(race) for race in races}
    times = [one.wall for several in rows.values() for row in several for one in row.timed]
    (axes,) = figure.panels(times, EMPTY)
    logarithmic(axes, "x", "seconds of training, wall", times)
    labels: list[str] = []
    headings: dict[float, str] = {}
    for race in races:
        headings[len(labels)] = heading_of(race)
        labels.append("")
        for row in rows[race.number]:
            y, reached = len(labels), row.reached.counts
            walls = [one.wall for one in row.timed]
            words = time_or_brackets(row.seconds, reached)
            seeds = of_seeds(row, f"{row.name}, {heading_of(race)}")
            style.draw_samples(axes, y, walls, row.seconds, look[row.name], words, filled=reached, labels=seeds)
            labels.append(row.name)
    figure.name_rows(axes, labels, inches=0.28)
    style.write_headings(axes, headings)


@drawn(
    "Accuracy over training",
    "On the left, further left is sooner. On the right time plays no part: backends that compute the same lie on each "
    "other; where they part, rounding has grown.",
)
def accuracy_over_training(figure: Figure, race: RaceResult, look: Looks) -> None:
    """Per cent correct over seconds and over epochs, for the trainings of one recipe; every seed's end a mark."""
    rows = times_to_accuracy(race)
    figure.notes = [f"{OF_TRAININGS} Dashed: the target.", STRETCHED]
    left, right, percent = draw_trainings(figure, race, rows, look, "accuracy")
    target = 100 * (race.target or 0)
    style.stretched_to_100(left, "per cent of the test images correct", [*percent, target])
    left.axhline(target, color=GREY, linestyle="--", linewidth=1, zorder=0)
    if curves_of(race):
        right.axhline(target, color=GREY, linestyle="--", linewidth=1, zorder=0)
    else:
        style.say(right, "No training was followed in these results.")


@drawn(
    "Cost over training",
    "Lower is better: the cost still falls where the accuracy hardly changes. It rises where a network memorises the "
    "training images. On the right backends that compute the same lie on each other.",
)
def cost_over_training(figure: Figure, race: RaceResult, look: Looks) -> None:
    """Cost of the test images over seconds and over epochs, of those trainings that have it."""
    curves = curves_of(race)
    costs = np.array([cost for several in curves.values() for one in several for cost in one.costs[1:]])
    missing = int((~drawable(costs)).sum())
    note = f"Not drawn: costs that are 0 or not finite, {missing} of {costs.size}." if missing else ""
    figure.notes = [OF_TRAININGS, note]
    rows = [row for row in times_to_accuracy(race) if row.name in curves]
    left, _, values = draw_trainings(figure, race, rows, look, "cost")
    logarithmic(left, "y", "mean cost of the test images", values)


def draw_trainings(
    figure: Figure, race: RaceResult, rows: Sequence[TimeToAccuracy], look: Looks, what: Literal["accuracy", "cost"]
) -> tuple[Axes, Axes, Floats]:
    """Draw what trainings reached over their seconds, and the way there over seconds and epochs.

    Returns the two panels, and all values, of which an axis can be made.
    """
    figure.about(race, f"{training_setting([race])} · {race.key['plan']}", f"{figure.title}, recipe {race.recipe}")
    left, right = figure.panels(rows, EMPTY, 2, sharey=True)
    seconds, values = [], []
    for row in sorted(rows, key=lambda row: list(look).index(row.name)):  # the later is thinner
        colour, marker, *_ = look[row.name]
        seconds.append([one.wall for one in row.timed])
        values.append(shown(what, [getattr(one, what) for one in row.timed]))
        marks = left.plot(seconds[-1], values[-1], marker, color=colour, markersize=5, alpha=0.35)
        (figure.in_legend[row.name],) = marks
        style.label_marks(left, seconds[-1], values[-1], of_trainings(row, what))
        curves = race.participants[row.name].curves
        if curves:
            n = min(len(one.seconds) for one in curves)  # at 0 a logarithmic axis has no place
            seconds += [one.seconds[1:] for one in curves]
            values += [shown(what, getattr(one, what)[1:]) for one in curves]
            y = [shown(what, getattr(one, what)[1:n]) for one in curves]
            line = look[row.name].line(markersize=0.6 * look[row.name].marker_size)
            labels = of_curves(row.name, what, np.median(y, axis=0), curves[0].epochs[1:n], len(curves))
            for axes, over in ((left, "seconds"), (right, "epochs")):
                x = np.median([getattr(one, over)[1:n] for one in curves], axis=0)
                if len(curves) > 1:
                    axes.fill_between(x, np.min(y, axis=0), np.max(y, axis=0), color=colour, alpha=0.15, linewidth=0)
                (figure.in_legend[row.name],) = axes.plot(x, np.median(y, axis=0), **line)
                style.label_marks(axes, x, np.median(y, axis=0), labels)
    logarithmic(left, "x", "seconds of training, wall", np.concatenate(seconds))
    right.set_xlabel("epochs")
    return left, right, np.concatenate(values)


def of_trainings(row: TimeToAccuracy, what: str) -> list[str]:
    """A label for the end of each seed's training: its accuracy, or its cost."""
    if what == "accuracy":
        return of_seeds(row, row.name)
    costs = ["not finite" if one.cost is None else f"{one.cost:.3g}" for one in row.timed]
    return [
        f"{row.name}\ncost {cost} after {duration(one.wall)}, seed {one.seed}"
        for one, cost in zip(row.timed, costs, strict=True)
    ]


def of_curves(name: str, what: str, values: Floats, epochs: Sequence[float], n: int) -> list[str]:
    """A label for each point of the median of n trainings: its accuracy in per cent, or its cost."""
    words = "{:.2f} %" if what == "accuracy" else "cost {:.3g}"
    over = f", median of {plural(n, 'seed')}" if n > 1 else ""
    return [
        f"{name}, after {epoch:.3g} epochs{over}\n{words.format(value)}"
        for epoch, value in zip(epochs, values, strict=True)
    ]


def shown(what: str, values: Sequence[float | None]) -> Floats:
    """Accuracies in per cent, or costs, nan where a logarithmic axis cannot show them."""
    numbers = np.array(values, float)
    return 100 * numbers if what == "accuracy" else np.where(drawable(numbers), numbers, np.nan)


def curves_of(race: RaceResult) -> dict[str, list[LearningCurve]]:
    """The trainings that were followed, by backend."""
    curves = {row.name: race.participants[row.name].curves for row in times_to_accuracy(race)}
    return {name: several for name, several in curves.items() if several}


@drawn(
    "The frontier of speed and accuracy",
    "Up and left is better. A mark on the grey steps is the best choice for some accuracy; the others are beaten at "
    "every one. Dotted: targets.",
)
def frontier(figure: Figure, races: Sequence[RaceResult], look: Looks) -> None:
    """Median seconds against mean accuracy, a point a backend and recipe; grey: nothing was sooner and better."""
    figure.about(races[0], training_setting(races), "Speed against accuracy, over seeds")
    figure.notes = [
        "A mark is a recipe: median seconds, mean accuracy over seeds, the upright line from its worst seed to its "
        "best. Marks of one backend are joined. The grey steps are the frontier: no mark is further left and higher.",
        STRETCHED,
    ]
    rows = sorted((row for race in races for row in times_to_accuracy(race)), key=lambda row: row.seconds)
    (axes,) = figure.panels(rows, EMPTY)
    for name, looks in look.items():
        of_name = [row for row in rows if row.name == name]
        if of_name:
            x = [row.seconds for row in of_name]
            (figure.in_legend[name],) = axes.plot(x, [100 * row.reached.mean for row in of_name], **looks.line())
            low, high = ([100 * end(one.accuracy for one in row.trainings) for row in of_name] for end in (min, max))
            axes.vlines(x, low, high, color=looks.colour, linewidth=1, alpha=0.5)
            labels = [
                f"{name}, target {share(row.target)}\n{share(row.reached.mean)} in {duration(row.seconds)}, "
                f"over {plural(row.reached.seeds, 'seed')}"
                for row in of_name
            ]
            style.label_marks(axes, x, [100 * row.reached.mean for row in of_name], labels)
    best = best_of([(row.seconds, 100 * row.reached.mean) for row in rows])
    axes.step(*zip(*best, strict=True), where="post", color=GREY, linewidth=5, alpha=0.25, zorder=0)
    percent = [100 * one.accuracy for row in rows for one in row.trainings]
    for race in races:
        if race.target and min(percent) <= 100 * race.target:
            axes.axhline(100 * race.target, color=GREY, linestyle=":", linewidth=0.8, zorder=0)
    logarithmic(axes, "x", "seconds of training, wall", [row.seconds for row in rows])
    style.stretched_to_100(axes, "per cent of the test images correct, mean", percent)


def best_of(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (seconds, accuracy) that no other is both sooner and higher than, from left to right."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or y > best[-1][1]:
            best.append((x, y))
    return best


def accuracy_figures(races: Sequence[RaceResult], look: Looks) -> list[Figure]:
    """All figures of these trainings."""
    ordered = by_target(races)
    longest = max(ordered, key=lambda race: (bool(curves_of(race)), typical(race), race.target or 0))
    figures = [time_to_accuracy(ordered, look), accuracy_over_training(longest, look)]
    if curves_of(longest):
        figures.append(cost_over_training(longest, look))
    return [*figures, frontier(ordered, look)]


def typical(race: RaceResult) -> float:
    """Seconds of its trainings; 0 where none was finished."""
    return median([row.seconds for row in times_to_accuracy(race)] or [0.0])
