"""Results of pytest-benchmark as five figures, functions that need no file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.records.files import Measurement, ResultSet
from bench.tables import benchmarks
from bench.tables.table import DAGGER, number
from reports.figures.style import (
    GREY,
    LARGEST,
    STRETCHED,
    Drawn,
    Floats,
    Look,
    add_legend,
    drawable,
    framed,
    legend_height,
    logarithmic,
    looks_of,
    say,
    side_by_side,
    stretched_to_100,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMES = 16  # beside points; more points have numbers, and a legend


class Training(NamedTuple):
    """The training curve of a measurement, as arrays over the rounds, from before the first."""

    measured: Measurement
    seconds: Floats  # so far, wall
    percent: Floats  # of the test images correct
    cost: Floats  # over all training images

    @property
    def name(self) -> str:
        """Who trained on what."""
        return f"{self.measured.backend}, {self.measured.plan}"

    @property
    def epochs(self) -> int:
        """How many were trained."""
        return self.seconds.size - 1

    @property
    def has_end(self) -> bool:
        """Whether there is a time and an accuracy to show at its end."""
        return bool(drawable(self.seconds[-1:]).all() and np.isfinite(self.percent[-1]))


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


def time_per_epoch(results: ResultSet) -> "Figure":
    """Seconds of a round of training: each backend at home, and all on the same plan."""
    panels = on_both_plans(results)
    images = count_of(measured for panel in panels.values() for measured in panel)
    return dot_plot(results, f"Time of one round of training over {images}images", panels, benchmarks.floor(results))


def accuracy_check(results: ResultSet) -> "Figure":
    """Seconds of the outputs of all test images."""
    checks = benchmarks.accuracy_checks(results)
    title = f"Time of one accuracy check: the outputs of the {count_of(checks)}test images"
    return dot_plot(results, title, {"": checks})


def accuracy_over_time(results: ResultSet) -> "Figure":
    """Per cent of the test images correct over the seconds of training, a line a backend at home."""
    trained = [training for training in trainings(benchmarks.default_epochs(results)) if training.epochs > 0]
    notes = ["A mark is a round of training; each backend at home.", STRETCHED]
    title = f"Accuracy over training time, on the {count_of(benchmarks.accuracy_checks(results))}test images"
    look = looks_of(benchmarks.ladder(results))
    with framed(
        *about(results), title, max(4.2, legend_height(training.name for training in trained)), notes
    ) as figure:
        axes = figure.subplots()
        if not trained:
            say(axes, "There is no training curve of a backend at home in these results.")
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


def cost_over_epochs(results: ResultSet) -> "Figure":
    """Cost over all training images, round by round: each backend at home, and all on the same plan."""
    panels = {title: trainings(measurements) for title, measurements in on_both_plans(results).items()}
    trained = trainings(measured for measurements in on_both_plans(results).values() for measured in measurements)
    notes = ["Lines of backends that compute the same lie on each other, the later and thinner on the earlier."]
    notes += filter(None, map(not_drawn, trained))
    look = looks_of(benchmarks.ladder(results))
    lines: dict[str, Any] = {}
    with framed(*about(results), "Cost over rounds of training", max(4.2, legend_height(look)), notes) as figure:
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


def speed_against_accuracy(results: ResultSet) -> "Figure":
    """Seconds of a whole training against per cent correct at its end; hollow: on the same plan."""
    trained = trainings(measured for panel in on_both_plans(results).values() for measured in panel)
    drawn = [training for training in trained if training.has_end]
    notes = [
        "Filled: at home; hollow: on the same plan as all; filled in a ring: both, that plan is its home.",
        STRETCHED,
        *(f"Not drawn: {training.name}, without a round or a number." for training in trained if not training.has_end),
    ]
    look = looks_of(benchmarks.ladder(results))
    numbers = {backend: str(i) for i, backend in enumerate(look, start=1)}
    numbered = {backend: f"{i}: {backend}" for backend, i in numbers.items()}
    many = len(drawn) > MOST_NAMES
    height = max(4.6, legend_height(numbered.values()) if many else 0)
    title = f"Speed against accuracy on the {count_of(benchmarks.accuracy_checks(results))}test images"
    with framed(*about(results), title, height, notes) as figure:
        axes = figure.subplots()
        if not drawn:
            say(axes, "There is no training curve in these results.")
            return figure
        names = []
        marks: dict[str, Any] = {}
        for training in drawn:
            backend = training.measured.backend
            marks[numbered[backend]] = end_point(axes, training, look[backend])
            names.append(
                numbers[backend] if many else f"{backend}, {training.epochs} round{'s' * (training.epochs != 1)}"
            )
        logarithmic(axes, "x", np.array([training.seconds[-1] for training in drawn]))
        stretched_to_100(axes, np.array([training.percent[-1] for training in drawn]))
        axes.set(xlabel="seconds of training in total, wall", ylabel="per cent of the test images correct at the end")
        axes.grid(True)
        if many:
            add_legend(figure, marks)
        label_points(figure, axes, drawn, names)
    return figure


class Drawing(NamedTuple):
    """How a figure of the report is made."""

    name: str  # of its files
    title: str
    draw: Callable[[ResultSet], "Figure"]
    caption: str  # how to read it


DRAWINGS = (
    Drawing(
        "time-per-round",
        "Time per round",
        time_per_epoch,
        "Further left is faster; equal steps are equal factors. Every mark is one sample, the upright bar their "
        "median, the dashed line the floor: the two largest matrix products of a round, as one NumPy call each.",
    ),
    Drawing(
        "accuracy-check",
        "Accuracy check",
        accuracy_check,
        "What asking for the per cent correct costs: the outputs of all test images. To be read as the figure above.",
    ),
    Drawing(
        "accuracy-over-time",
        "Accuracy over training time",
        accuracy_over_time,
        "Higher is more accurate, further left is sooner. The clock runs while training and stands while the accuracy "
        "is looked at.",
    ),
    Drawing(
        "cost-over-rounds",
        "Cost over rounds",
        cost_over_epochs,
        "Lower is a better fit to the training images; time plays no part. On the same plan all backends make the "
        "same updates, so that their lines coincide up to rounding.",
    ),
    Drawing(
        "speed-against-accuracy",
        "Speed against accuracy",
        speed_against_accuracy,
        "Up and left is better: more accurate after less training time. Trainings differ in their number of rounds, "
        "which the tables give.",
    ),
)


def benchmark_figures(results: ResultSet) -> list[Drawn]:
    """All figures."""
    return [Drawn(drawing.name, drawing.title, drawing.caption, drawing.draw(results)) for drawing in DRAWINGS]


def on_both_plans(results: ResultSet) -> dict[str, list[Measurement]]:
    """The rounds of training for two panels, by title."""
    return {
        "each backend at home": benchmarks.default_epochs(results),
        f"all on the same plan: {benchmarks.same_plan_name(results)}": benchmarks.same_plan_epochs(results),
    }


def about(results: ResultSet) -> tuple[str | None, str]:
    """What every figure says: the notice, and the setting."""
    return results.notice, benchmarks.benchmarks_setting(results)


def dot_plot(
    results: ResultSet, title: str, panels: Mapping[str, Sequence[Measurement]], floor: Measurement | None = None
) -> "Figure":
    """A row a backend with every sample as a mark and the median as a bar; panels side by side, by title."""
    measurements = [measured for panel in panels.values() for measured in panel]
    names = [name for name in benchmarks.ladder(results) if any(measured.backend == name for measured in measurements)]
    labels = [wrapped(name) for name in names] + ["floor"] * bool(floor)
    notes = ["A mark is a sample, the bar their median."]
    if floor:
        notes[0] += " Dashed: the floor, the first layer's two products over all training images, a NumPy matmul each."
    notes += dict.fromkeys(
        f"{DAGGER} {measured.backend}{measured.plan and ', '}{measured.plan}: {scaled}"
        for measured in measurements
        if (scaled := benchmarks.scaling(measured))
    )
    look = looks_of(benchmarks.ladder(results))
    height = 1.0 + sum(0.2 * label.count("\n") + 0.34 for label in labels)
    with framed(*about(results), title, max(2.2, height), notes) as figure:
        for axes, panel in side_by_side(figure, panels, sharex=True):
            for measured in panel:
                y, (colour, marker, *_) = names.index(measured.backend), look[measured.backend]
                plan = "" if measured.plan in axes.get_title("left") else measured.plan
                samples_in_row(axes, y, measured, colour, marker, plan)
            if floor:
                samples_in_row(axes, len(names), floor, GREY, "|")
                axes.axvline(median(floor.seconds), color=GREY, linestyle="--", linewidth=1, zorder=0)
            axes.set_yticks(range(len(labels)), labels)
            axes.set_ylim(len(labels) - 0.5, -0.5)
            axes.set_xlabel("seconds, wall")
            axes.grid(True, axis="x")
            every = [*measurements, *([floor] if floor else [])]
            logarithmic(axes, "x", np.concatenate([measured.seconds for measured in every]))
    return figure


def samples_in_row(axes: "Axes", y: float, measured: Measurement, colour: str, marker: str, plan: str = "") -> None:
    """One row of a dot plot; its median is written at the right of the panel."""
    samples = measured.seconds
    middle = median(samples)
    axes.plot(samples, [y] * len(samples), marker, color=colour, markersize=6, markerfacecolor="none", alpha=0.8)
    axes.plot([middle, middle], [y - 0.3, y + 0.3], color=colour, linewidth=2)
    said = f"{number(middle)} s{f' {DAGGER}' if benchmarks.scaling(measured) else ''}{plan and ', '}{plan}"
    axes.text(1.02, y, wrapped(said), transform=axes.get_yaxis_transform(), va="center", fontsize=9)


def end_point(axes: "Axes", training: Training, look: Look) -> Any:
    """The mark of a whole training."""
    where = training.seconds[-1], training.percent[-1]
    if training.measured.default_batch:
        axes.plot(*where, look.marker, color=look.colour, markersize=7)
    if training.measured.plan == benchmarks.SAME_PLAN:
        axes.plot(*where, look.marker, color=look.colour, markersize=12, markerfacecolor="none")
    return axes.lines[-1]


def label_points(figure: "Figure", axes: "Axes", trained: Sequence[Training], names: Sequence[str]) -> None:
    """Write a name beside each end point where nothing is yet; a thin line leads to one that had to move away."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()  # from here on it is known where things are
    pixel = figure.dpi / 72  # pixels of a point of type
    ends = [(training.seconds[-1], training.percent[-1]) for training in trained]
    centres = [axes.transData.transform(end) for end in ends]
    taken = [Bbox([centre - 7 * pixel, centre + 7 * pixel]) for centre in centres]
    how: dict[str, Any] = {
        "textcoords": "offset points",
        "ha": "center",
        "va": "center",
        "fontsize": 9,
        "arrowprops": {"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 7},
    }
    for end, centre, name in zip(ends, centres, names, strict=True):
        label = axes.annotate(wrapped(name), end, (0, 0), **how)
        half = np.array(label.get_window_extent().size) / 2
        for distance, direction in places():
            middle = centre + direction * (half + distance * pixel)
            box = Bbox([middle - half, middle + half])
            inside = axes.bbox.contains(*box.p0) and axes.bbox.contains(*box.p1)
            if inside and not box.count_overlaps(taken):
                break
        taken.append(box)
        right, up = (middle - centre) / pixel
        label.set_position((right, up))
        if distance == PLACES[0] and label.arrow_patch:
            label.arrow_patch.set_visible(False)


PLACES = (11, 22, 36, 54, 76, 102, 132, 166, 204)  # points of type between a point and its label


def places() -> Iterator[tuple[float, Floats]]:
    """Distances and directions from a point in which to look for room: near before far, right before left."""
    for distance in PLACES:
        for angle in np.deg2rad([0, 180, 90, 270, 45, 315, 135, 225, 20, 340, 160, 200, 65, 295, 115, 245]):
            yield distance, np.array([np.cos(angle), np.sin(angle)])


def not_drawn(training: Training) -> str | None:
    """A note on the costs that a logarithmic axis cannot show, None if it shows all."""
    missing = np.flatnonzero(~drawable(training.cost))
    if not missing.size:
        return None
    return (
        f"Not drawn: {training.name}, {missing.size} of {training.cost.size} costs, which are 0 or below, "
        f"not finite or beyond {LARGEST:g}, the first after round {missing[0]}."
    )


def count_of(measurements: Iterable[Measurement]) -> str:
    """How many images a title speaks of, with a space behind; "" where that is not known."""
    counts = sorted({measured.of_images for measured in measurements})
    return " or ".join(f"{count:,}" for count in counts) + " " * bool(counts)
