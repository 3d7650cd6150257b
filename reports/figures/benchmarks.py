"""Results of pytest-benchmark."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from statistics import median
from typing import NamedTuple, TypeVar

import numpy as np
from matplotlib.axes import Axes

from bench.records.files import Measurement, ResultSet
from bench.tables import benchmarks
from bench.tables.table import DAGGER, duration
from reports.figures import style
from reports.figures.style import GREY, LARGEST, OF_FLOOR, STRETCHED, Figure, Floats, Look, Looks, drawn, logarithmic

Shown = TypeVar("Shown")
NO_MEASUREMENT = "There is no measurement\nfor this in these results."


class Training(NamedTuple):
    """The training curve of a measurement, as arrays by epoch, from before the first."""

    backend: str
    name: str  # of the backend and its plan
    measured: Measurement
    seconds: Floats  # so far, wall
    percent: Floats  # of the test images correct
    cost: Floats  # over all training images


def trainings(measurements: Iterable[Measurement]) -> list[Training]:
    """Those that have a training curve, each once."""
    return [
        Training(
            measured.backend,
            f"{measured.backend}, {measured.plan}",
            measured,
            np.array(measured.curve.seconds, float),
            100 * np.array(measured.curve.accuracy, float),
            np.array(measured.curve.costs, float),
        )
        for measured in {id(measured): measured for measured in measurements}.values()
        if measured.curve is not None
    ]


def on_both_plans(results: ResultSet) -> dict[str, list[Measurement]]:
    """The epochs of training for two panels, by title."""
    return {
        "each at its default batch size": benchmarks.default_epochs(results),
        f"all on the same plan: {benchmarks.same_plan_name(results)}": benchmarks.same_plan_epochs(results),
    }


def count_of(measurements: Iterable[Measurement]) -> str:
    """How many images a title speaks of, with a space behind; "" where that is not known."""
    counts = sorted({measured.of_images for measured in measurements})
    return f"{' or '.join(f'{count:,}' for count in counts)} " if counts else ""


def side_by_side(figure: Figure, panels: Mapping[str, Sequence[Shown]]) -> list[tuple[Axes, Sequence[Shown]]]:
    """Axes side by side with one scale of y: those that have something to show; the others say what they lack."""
    shown: list[tuple[Axes, Sequence[Shown]]] = []
    all_axes = figure.panels([*chain(*panels.values())], NO_MEASUREMENT, len(panels), sharey=True)
    for axes, (title, panel) in zip(all_axes, panels.items(), strict=True):
        axes.set_title(style.text(title))
        if panel:
            axes.tick_params(labelleft=not shown)
            shown.append((axes, panel))
        else:
            style.say(axes, NO_MEASUREMENT)
    return shown


# --- times -----------------------------------------------------------------------------------------------


@drawn(
    "Time per epoch",
    "Further left is faster; equal steps are equal factors. Every mark is one sample, the upright bar their median, "
    "the dashed line the floor: the two largest matrix products of an epoch, as one NumPy call each.",
)
def time_per_epoch(figure: Figure, results: ResultSet) -> None:
    """Seconds of an epoch of training: each backend at its default batch size, and all on the same plan."""
    panels = on_both_plans(results)
    images = count_of(measured for panel in panels.values() for measured in panel)
    dot_plot(figure, results, f"Time of one epoch of training over {images}images", panels, benchmarks.floor(results))


@drawn(
    "Accuracy check",
    "What the per cent correct cost: the outputs of all test images. Read it like the figure above.",
)
def accuracy_check(figure: Figure, results: ResultSet) -> None:
    """Seconds of the outputs of all test images."""
    checks = benchmarks.accuracy_checks(results)
    title = f"Time of one accuracy check: the outputs of the {count_of(checks)}test images"
    dot_plot(figure, results, title, {"": checks}, None)


def dot_plot(
    figure: Figure,
    results: ResultSet,
    title: str,
    panels: Mapping[str, Sequence[Measurement]],
    floor: Measurement | None,
) -> None:
    """A row a backend with every sample as a mark and the median as a bar; panels side by side, by title."""
    measurements = [measured for panel in panels.values() for measured in panel]
    ladder = benchmarks.ladder(results)
    names = [name for name in ladder if any(measured.backend == name for measured in measurements)]
    of_floor = " Dashed: the floor, the first layer's two products over all training images, a NumPy matmul each."
    scaled = dict.fromkeys(
        f"{DAGGER} {measured.backend}{measured.plan and ', '}{measured.plan}: {how}"
        for measured in measurements
        if (how := benchmarks.scaling(measured))
    )
    note = f"A mark is a sample, the bar their median.{of_floor if floor else ''}"
    figure.about(results, benchmarks.benchmarks_setting(results))
    figure.heading, figure.notes = title, [note, *scaled]
    look = Looks(ladder)
    seconds = [second for one in (*measurements, *([floor] if floor else [])) for second in one.seconds]
    for axes, panel in side_by_side(figure, panels):
        for measured in panel:
            plan = "" if measured.plan in axes.get_title("left") else measured.plan
            samples_in_row(axes, names.index(measured.backend), measured, look[measured.backend], plan)
        if floor:
            samples_in_row(axes, len(names), floor, OF_FLOOR)
            axes.axvline(median(floor.seconds), color=GREY, linestyle="--", linewidth=1, zorder=0)
        figure.name_rows(axes, [*names, "floor"] if floor else names)
        logarithmic(axes, "x", "seconds, wall", seconds)


def samples_in_row(axes: Axes, y: float, measured: Measurement, look: Look, plan: str = "") -> None:
    """One row of a dot plot; its median is written at the right of the panel."""
    middle = median(measured.seconds)
    dagger = f" {DAGGER}" if benchmarks.scaling(measured) else ""
    words = style.wrapped(", ".join(filter(None, [f"{duration(middle)}{dagger}", plan])))
    style.draw_samples(axes, y, measured.seconds, middle, look, words)


# --- trainings -------------------------------------------------------------------------------------------


@drawn(
    "Accuracy over training time",
    "Higher is more accurate, further left is sooner. The clock stops while the network is evaluated.",
)
def accuracy_over_time(figure: Figure, results: ResultSet) -> None:
    """Per cent of the test images correct over the seconds of training, a line a backend at its default batch size."""
    trained = [training for training in trainings(benchmarks.default_epochs(results)) if training.seconds.size > 1]
    figure.about(results, benchmarks.benchmarks_setting(results))
    figure.heading = f"Accuracy over training time, on the {count_of(benchmarks.accuracy_checks(results))}test images"
    figure.notes = [
        "A mark is an epoch of training; each backend at its default batch size.",
        STRETCHED,
    ]
    (axes,) = figure.panels(trained, "There is no training curve at a default batch size in these results.")
    look = Looks(benchmarks.ladder(results))
    before = {f"before training: {training.percent[0]:.4g} %": training.percent[0] for training in trained}
    for training in trained:
        # Before training no time has passed: a place that a logarithmic axis does not have.
        line = look[training.backend].line()
        (figure.in_legend[training.name],) = axes.plot(training.seconds[1:], training.percent[1:], **line)
    for label, percent in before.items():
        figure.in_legend[label] = axes.axhline(percent, color=GREY, linestyle=":", zorder=0)
    seconds = np.concatenate([training.seconds[1:] for training in trained])
    logarithmic(axes, "x", "seconds of training, wall", seconds)
    percent = np.concatenate([training.percent for training in trained])
    style.stretched_to_100(axes, "per cent of the test images correct", percent)


@drawn(
    "Cost over epochs",
    "Lower is a better fit to the training images; time plays no part. On the same plan all backends make the same "
    "updates, so that their lines coincide up to rounding.",
)
def cost_over_epochs(figure: Figure, results: ResultSet) -> None:
    """Cost over all training images by epoch: each backend at its default batch size, and all on the same plan."""
    panels = {title: trainings(measurements) for title, measurements in on_both_plans(results).items()}
    trained = trainings(measured for measurements in on_both_plans(results).values() for measured in measurements)
    figure.about(results, benchmarks.benchmarks_setting(results))
    figure.heading = "Cost over epochs of training"
    figure.notes = [
        "Lines of backends that compute the same lie on each other, the later and thinner on the earlier.",
        *map(not_drawn, trained),
    ]
    look = Looks(benchmarks.ladder(results))
    for i, (axes, panel) in enumerate(side_by_side(figure, panels)):
        for training in panel:
            cost = np.where(style.drawable(training.cost), training.cost, np.nan)
            (figure.in_legend[training.backend],) = axes.plot(cost, **look[training.backend].line())
        longest = max(1, *(training.seconds.size - 1 for training in panel))
        axes.set(xlabel="epoch", xlim=(-0.04 * longest, 1.04 * longest))
        axes.locator_params(axis="x", integer=True)
        costs = np.concatenate([training.cost for training in trained])
        logarithmic(axes, "y", "" if i else "mean cost over all training images", costs)


def not_drawn(training: Training) -> str:
    """A note on the costs that a logarithmic axis cannot show, "" if it shows all."""
    missing = np.flatnonzero(~style.drawable(training.cost))
    if not missing.size:
        return ""
    return (
        f"Not drawn: {training.name}, {missing.size} of {training.cost.size} costs, which are 0 or below, "
        f"not finite or beyond {LARGEST:g}, the first after epoch {missing[0]}."
    )


@drawn(
    "Speed against accuracy",
    "Up and left is better: more accurate after less training time. Trainings differ in their number of epochs, which "
    "the tables give.",
)
def speed_against_accuracy(figure: Figure, results: ResultSet) -> None:
    """Seconds of a whole training against per cent correct at its end, by number; hollow: on the same plan."""
    trained = trainings(measured for panel in on_both_plans(results).values() for measured in panel)
    ends = {training.name: style.drawable(training.seconds)[-1] for training in trained}
    figure.about(results, benchmarks.benchmarks_setting(results))
    figure.heading = f"Speed against accuracy on the {count_of(benchmarks.accuracy_checks(results))}test images"
    figure.notes = [
        "Filled: at the default batch size; hollow: on the same plan as all; filled in a ring: both.",
        STRETCHED,
        *(f"Not drawn: {name}, without an epoch that took time." for name, has_end in ends.items() if not has_end),
    ]
    trained = [training for training in trained if ends[training.name]]
    (axes,) = figure.panels(trained, "There is no training curve in these results.")
    numbered = {name: (i, look) for i, (name, look) in enumerate(Looks(benchmarks.ladder(results)).items(), start=1)}
    for training in trained:
        i, (colour, marker, *_) = numbered[training.backend]
        end = training.seconds[-1], training.percent[-1]
        if training.measured.default_batch:
            axes.plot(*end, marker, color=colour, markersize=7)
        if training.measured.plan == benchmarks.SAME_PLAN:
            axes.plot(*end, marker, color=colour, markersize=12, markerfacecolor="none")
        figure.in_legend[f"{i}: {training.backend}"] = axes.lines[-1]
        axes.annotate(str(i), end, (8, 0), textcoords="offset points", va="center", fontsize=9)
    logarithmic(axes, "x", "seconds of training in total, wall", [training.seconds[-1] for training in trained])
    label = "per cent of the test images correct at the end"
    style.stretched_to_100(axes, label, [training.percent[-1] for training in trained])


FIGURES = {
    "time-per-epoch": time_per_epoch,
    "accuracy-check": accuracy_check,
    "accuracy-over-time": accuracy_over_time,
    "cost-over-epochs": cost_over_epochs,
    "speed-against-accuracy": speed_against_accuracy,
}


def benchmark_figures(results: ResultSet) -> list[Figure]:
    """All figures."""
    return [draw(results) for draw in FIGURES.values()]
