"""Results of pytest-benchmark."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.records.files import Measurement, ResultSet
from bench.tables import benchmarks
from bench.tables.table import DAGGER, duration
from reports.figures.style import (
    GREY,
    LARGEST,
    STRETCHED,
    Figure,
    Floats,
    Look,
    add_legend,
    drawable,
    framed,
    legend_height,
    logarithmic,
    looks_of,
    name_rows,
    rows_height,
    say,
    side_by_side,
    stretched_to_100,
    wrapped,
    write_right,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


class Training(NamedTuple):
    """The training curve of a measurement, as arrays by epoch, from before the first."""

    measured: Measurement
    seconds: Floats  # so far, wall
    percent: Floats  # of the test images correct
    cost: Floats  # over all training images

    @property
    def name(self) -> str:
        """The backend and its plan."""
        return f"{self.measured.backend}, {self.measured.plan}"

    @property
    def epochs(self) -> int:
        """How many were trained."""
        return self.seconds.size - 1

    @property
    def has_end(self) -> bool:
        """Whether there is a time to show at its end."""
        return bool(drawable(self.seconds[-1:]).all())


def trainings(measurements: Iterable[Measurement]) -> list[Training]:
    """Those that have a training curve, each once."""
    return [
        Training(
            measured,
            np.array(measured.curve.seconds, float),
            100 * np.array(measured.curve.accuracy, float),
            np.array(measured.curve.costs, float),
        )
        for measured in {id(measured): measured for measured in measurements}.values()
        if measured.curve is not None
    ]


def time_per_epoch(results: ResultSet) -> "Drawing":
    """Seconds of an epoch of training: each backend at its default batch size, and all on the same plan."""
    panels = on_both_plans(results)
    images = count_of(measured for panel in panels.values() for measured in panel)
    floor = next(iter(results.of("floor")), None)
    return dot_plot(results, f"Time of one epoch of training over {images}images", panels, floor)


def accuracy_check(results: ResultSet) -> "Drawing":
    """Seconds of the outputs of all test images."""
    checks = results.of("outputs")
    title = f"Time of one accuracy check: the outputs of the {count_of(checks)}test images"
    return dot_plot(results, title, {"": checks})


def accuracy_over_time(results: ResultSet) -> "Drawing":
    """Per cent of the test images correct over the seconds of training, a line a backend at its default batch size."""
    trained = [training for training in trainings(benchmarks.default_epochs(results)) if training.epochs > 0]
    notes = ["A mark is an epoch of training; each backend at its default batch size.", STRETCHED]
    title = f"Accuracy over training time, on the {count_of(results.of('outputs'))}test images"
    look = looks_of(benchmarks.ladder(results))
    with framed(
        *about(results), title, max(4.2, legend_height(training.name for training in trained)), notes
    ) as figure:
        axes = figure.subplots()
        if not trained:
            say(axes, "There is no training curve at a default batch size in these results.")
            return figure
        lines, starts = {}, {}
        for training in trained:
            # Before training no time has passed: a place that a logarithmic axis does not have.
            seconds, percent = training.seconds[1:], training.percent[1:]
            (lines[training.name],) = axes.plot(seconds, percent, **look[training.measured.backend].line())
            before = training.percent[0]
            starts[f"before training: {before:.4g} %"] = axes.axhline(before, color=GREY, linestyle=":", zorder=0)
        logarithmic(axes, "x", np.concatenate([training.seconds[1:] for training in trained]))
        stretched_to_100(axes, np.concatenate([training.percent for training in trained]))
        axes.set(xlabel="seconds of training, wall", ylabel="per cent of the test images correct")
        add_legend(figure, lines | starts)
    return figure


def cost_over_epochs(results: ResultSet) -> "Drawing":
    """Cost over all training images by epoch: each backend at its default batch size, and all on the same plan."""
    panels = {title: trainings(measurements) for title, measurements in on_both_plans(results).items()}
    trained = trainings(measured for measurements in on_both_plans(results).values() for measured in measurements)
    notes = ["Lines of backends that compute the same lie on each other, the later and thinner on the earlier."]
    notes += filter(None, map(not_drawn, trained))
    look = looks_of(benchmarks.ladder(results))
    lines: dict[str, Any] = {}
    with framed(*about(results), "Cost over epochs of training", max(4.2, legend_height(look)), notes) as figure:
        for axes, panel in side_by_side(figure, panels):
            for training in panel:
                backend = training.measured.backend
                cost = np.where(drawable(training.cost), training.cost, np.nan)
                (lines[backend],) = axes.plot(cost, **look[backend].line())
            axes.set_xlabel("epoch")
            longest = max(1, *(training.epochs for training in panel))
            axes.set_xlim(-0.04 * longest, 1.04 * longest)
            axes.locator_params(axis="x", integer=True)
            logarithmic(axes, "y", np.concatenate([training.cost for training in trained]))
        if lines:
            add_legend(figure, lines)
            figure.axes[0].set_ylabel("mean cost over all training images")
    return figure


def speed_against_accuracy(results: ResultSet) -> "Drawing":
    """Seconds of a whole training against per cent correct at its end, by number; hollow: on the same plan."""
    trained = trainings(measured for panel in on_both_plans(results).values() for measured in panel)
    drawn = [training for training in trained if training.has_end]
    notes = [
        "Filled: at the default batch size; hollow: on the same plan as all; filled in a ring: both.",
        STRETCHED,
        *(
            f"Not drawn: {training.name}, without an epoch that took time."
            for training in trained
            if not training.has_end
        ),
    ]
    look = looks_of(benchmarks.ladder(results))
    numbered = {backend: f"{i}: {backend}" for i, backend in enumerate(look, start=1)}
    title = f"Speed against accuracy on the {count_of(results.of('outputs'))}test images"
    with framed(*about(results), title, max(4.6, legend_height(numbered.values())), notes) as figure:
        axes = figure.subplots()
        if not drawn:
            say(axes, "There is no training curve in these results.")
            return figure
        marks: dict[str, Any] = {}
        for training in drawn:
            label = numbered[training.measured.backend]
            end = training.seconds[-1], training.percent[-1]
            marks[label] = end_point(axes, end, training.measured, look[training.measured.backend])
            axes.annotate(label.partition(":")[0], end, (8, 0), textcoords="offset points", va="center", fontsize=9)
        logarithmic(axes, "x", np.array([training.seconds[-1] for training in drawn]))
        stretched_to_100(axes, np.array([training.percent[-1] for training in drawn]))
        axes.set(xlabel="seconds of training in total, wall", ylabel="per cent of the test images correct at the end")
        axes.grid(True)
        add_legend(figure, marks)
    return figure


FIGURES: dict[str, tuple[str, Callable[[ResultSet], "Drawing"], str]] = {  # title, function and caption, by name
    "time-per-epoch": (
        "Time per epoch",
        time_per_epoch,
        "Further left is faster; equal steps are equal factors. Every mark is one sample, the upright bar their "
        "median, the dashed line the floor: the two largest matrix products of an epoch, as one NumPy call each.",
    ),
    "accuracy-check": (
        "Accuracy check",
        accuracy_check,
        "What the per cent correct cost: the outputs of all test images. Read it like the figure above.",
    ),
    "accuracy-over-time": (
        "Accuracy over training time",
        accuracy_over_time,
        "Higher is more accurate, further left is sooner. The clock stops while the network is evaluated.",
    ),
    "cost-over-epochs": (
        "Cost over epochs",
        cost_over_epochs,
        "Lower is a better fit to the training images; time plays no part. On the same plan all backends make the "
        "same updates, so that their lines coincide up to rounding.",
    ),
    "speed-against-accuracy": (
        "Speed against accuracy",
        speed_against_accuracy,
        "Up and left is better: more accurate after less training time. Trainings differ in their number of epochs, "
        "which the tables give.",
    ),
}


def benchmark_figures(results: ResultSet) -> list[Figure]:
    """All figures."""
    return [Figure(name, title, caption, draw(results)) for name, (title, draw, caption) in FIGURES.items()]


def on_both_plans(results: ResultSet) -> dict[str, list[Measurement]]:
    """The epochs of training for two panels, by title."""
    return {
        "each at its default batch size": benchmarks.default_epochs(results),
        f"all on the same plan: {benchmarks.same_plan_name(results)}": benchmarks.same_plan_epochs(results),
    }


def about(results: ResultSet) -> tuple[str | None, str]:
    """What every figure says: the notice, and the setting."""
    return results.notice, benchmarks.benchmarks_setting(results)


def dot_plot(
    results: ResultSet, title: str, panels: Mapping[str, Sequence[Measurement]], floor: Measurement | None = None
) -> "Drawing":
    """A row a backend with every sample as a mark and the median as a bar; panels side by side, by title."""
    measurements = [measured for panel in panels.values() for measured in panel]
    names = [name for name in benchmarks.ladder(results) if any(measured.backend == name for measured in measurements)]
    labels = [*names, "floor"] if floor else names
    notes = ["A mark is a sample, the bar their median."]
    if floor:
        notes[0] += " Dashed: the floor, the first layer's two products over all training images, a NumPy matmul each."
    notes += dict.fromkeys(
        f"{DAGGER} {measured.backend}{measured.plan and ', '}{measured.plan}: {scaled}"
        for measured in measurements
        if (scaled := benchmarks.scaling(measured))
    )
    look = looks_of(benchmarks.ladder(results))
    with framed(*about(results), title, rows_height(labels), notes) as figure:
        for axes, panel in side_by_side(figure, panels, sharex=True):
            for measured in panel:
                y, (colour, marker, *_) = names.index(measured.backend), look[measured.backend]
                plan = "" if measured.plan in axes.get_title("left") else measured.plan
                samples_in_row(axes, y, measured, colour, marker, plan)
            if floor:
                samples_in_row(axes, len(names), floor, GREY, "|")
                axes.axvline(median(floor.seconds), color=GREY, linestyle="--", linewidth=1, zorder=0)
            name_rows(axes, labels)
            axes.set_xlabel("seconds, wall")
            every = [*measurements, *([floor] if floor else [])]
            logarithmic(axes, "x", np.concatenate([measured.seconds for measured in every]))
    return figure


def samples_in_row(axes: "Axes", y: float, measured: Measurement, colour: str, marker: str, plan: str = "") -> None:
    """One row of a dot plot; its median is written at the right of the panel."""
    samples = measured.seconds
    middle = median(samples)
    axes.plot(samples, [y] * len(samples), marker, color=colour, markersize=6, markerfacecolor="none", alpha=0.8)
    axes.plot([middle, middle], [y - 0.3, y + 0.3], color=colour, linewidth=2)
    dagger = f" {DAGGER}" if benchmarks.scaling(measured) else ""
    write_right(axes, y, wrapped(", ".join(filter(None, [f"{duration(middle)}{dagger}", plan]))))


def end_point(axes: "Axes", end: tuple[float, float], measured: Measurement, look: Look) -> Any:
    """The mark of a whole training."""
    if measured.default_batch:
        axes.plot(*end, look.marker, color=look.colour, markersize=7)
    if measured.plan == benchmarks.SAME_PLAN:
        axes.plot(*end, look.marker, color=look.colour, markersize=12, markerfacecolor="none")
    return axes.lines[-1]


def not_drawn(training: Training) -> str | None:
    """A note on the costs that a logarithmic axis cannot show, None if it shows all."""
    missing = np.flatnonzero(~drawable(training.cost))
    if not missing.size:
        return None
    return (
        f"Not drawn: {training.name}, {missing.size} of {training.cost.size} costs, which are 0 or below, "
        f"not finite or beyond {LARGEST:g}, the first after epoch {missing[0]}."
    )


def count_of(measurements: Iterable[Measurement]) -> str:
    """How many images a title speaks of, with a space behind; "" where that is not known."""
    counts = sorted({measured.of_images for measured in measurements})
    return f"{' or '.join(f'{count:,}' for count in counts)} " if counts else ""
