"""Figures of the results of pytest-benchmark."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from statistics import median

import numpy as np
from matplotlib.axes import Axes

from bench.records.files import Measurement, ResultSet
from bench.records.kinds import LearningCurve
from bench.tables import benchmarks
from bench.tables.table import DAGGER, duration, plural, share
from reports.figures import style
from reports.figures.style import GREY, LARGEST, OF_FLOOR, STRETCHED, Figure, Floats, Look, Looks, drawn, logarithmic

NO_MEASUREMENT = "There is no measurement\nfor this in these results."


Trained = tuple[Measurement, LearningCurve]


def trainings(*several: Iterable[Measurement]) -> list[Trained]:
    """The measurements that have a training curve, each once, with its curve."""
    each = {id(measured): measured for measured in chain(*several)}
    return [(measured, measured.curve) for measured in each.values() if measured.curve is not None]


def percent_correct(curve: LearningCurve) -> Floats:
    """Per cent of the test images correct, before the first epoch and after each."""
    return 100 * np.array(curve.accuracy)


def on_both_plans(results: ResultSet) -> dict[str, list[Measurement]]:
    """The epochs of training for two panels, by title."""
    return {
        "each at its default batch size": benchmarks.default_epochs(results),
        f"all on the same plan: {benchmarks.same_plan_name(results)}": benchmarks.same_plan_epochs(results),
    }


def count_of(measurements: Iterable[Measurement]) -> str:
    """The number of images for a title, with a space after it; "" where it is not known."""
    counts = sorted({measured.of_images for measured in measurements})
    return f"{' or '.join(f'{count:,}' for count in counts)} " if counts else ""


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
    floor = next(iter(results.of("floor")), None)
    dot_plot(figure, results, f"Time of one epoch of training over {images}images", panels, floor)


@drawn(
    "Accuracy check", "What the per cent correct cost: the outputs of all test images. Read it like the figure above."
)
def accuracy_check(figure: Figure, results: ResultSet) -> None:
    """Seconds of the outputs of all test images."""
    checks = results.of("outputs")
    title = f"Time of one accuracy check: the outputs of the {count_of(checks)}test images"
    dot_plot(figure, results, title, {"": checks}, None)


def dot_plot(
    figure: Figure,
    results: ResultSet,
    title: str,
    panels: Mapping[str, Sequence[Measurement]],
    floor: Measurement | None,
) -> None:
    """A row for each backend with every sample as a mark and the median as a bar; panels side by side, by title."""
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
    figure.about(results, benchmarks.benchmarks_setting(results), title)
    figure.notes = [note, *scaled]
    look = Looks(ladder)
    seconds = [second for one in (*measurements, *([floor] if floor else [])) for second in one.seconds]
    for axes, panel in figure.side_by_side(panels, NO_MEASUREMENT):
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
    name = ", ".join(filter(None, [measured.backend, measured.plan]))
    n = len(measured.seconds)
    labels = [f"{name}\n{duration(one)}{dagger}, sample {i} of {n}" for i, one in enumerate(measured.seconds, 1)]
    style.draw_samples(axes, y, measured.seconds, middle, look, words, labels=labels)


# --- trainings -------------------------------------------------------------------------------------------


@drawn(
    "Accuracy over training time",
    "Higher is more accurate, further left is sooner. The clock stops while the network is evaluated.",
)
def accuracy_over_time(figure: Figure, results: ResultSet) -> None:
    """Per cent of the test images correct over the seconds of training, a line for each backend at its default size."""
    trained = [(one, curve) for one, curve in trainings(benchmarks.default_epochs(results)) if curve.seconds[1:]]
    heading = f"Accuracy over training time, on the {count_of(results.of('outputs'))}test images"
    figure.about(results, benchmarks.benchmarks_setting(results), heading)
    figure.notes = ["A mark is an epoch of training; each backend at its default batch size.", STRETCHED]
    (axes,) = figure.panels(trained, "There is no training curve at a default batch size in these results.")
    look = Looks(benchmarks.ladder(results))
    percent = {one.backend: percent_correct(curve) for one, curve in trained}
    for one, curve in trained:
        # Before training no time has passed: a place that a logarithmic axis does not have.
        line = axes.plot(curve.seconds[1:], percent[one.backend][1:], **look[one.backend].line())
        style.label_marks(axes, curve.seconds[1:], percent[one.backend][1:], of_epochs(one, curve))
        (figure.in_legend[f"{one.backend}, {one.plan}"],) = line
    for before in dict.fromkeys(several[0] for several in percent.values()):
        figure.in_legend[f"before training: {before:.4g} %"] = axes.axhline(before, color=GREY, linestyle=":", zorder=0)
    logarithmic(axes, "x", "seconds of training, wall", [s for _, curve in trained for s in curve.seconds[1:]])
    style.stretched_to_100(axes, "per cent of the test images correct", np.concatenate([*percent.values()]))


def of_epochs(measured: Measurement, curve: LearningCurve) -> list[str]:
    """A label for each epoch of a training."""
    return [
        f"{measured.backend}, {measured.plan}, after {plural(epoch, 'epoch')}\n{share(accuracy)} in {duration(seconds)}"
        for epoch, (seconds, accuracy) in enumerate(zip(curve.seconds, curve.accuracy, strict=True))
        if epoch
    ]


@drawn(
    "Cost over epochs",
    "Lower is a better fit to the training images; time plays no part. On the same plan all backends make the same "
    "updates, so that their lines coincide up to rounding.",
)
def cost_over_epochs(figure: Figure, results: ResultSet) -> None:
    """Cost over all training images by epoch: each backend at its default batch size, and all on the same plan."""
    panels = {title: trainings(measurements) for title, measurements in on_both_plans(results).items()}
    trained = trainings(*on_both_plans(results).values())
    figure.about(results, benchmarks.benchmarks_setting(results), "Cost over epochs of training")
    figure.notes = [
        "Lines of backends that compute the same lie on each other, the later and thinner on the earlier.",
        *map(not_drawn, trained),
    ]
    look = Looks(benchmarks.ladder(results))
    for i, (axes, panel) in enumerate(figure.side_by_side(panels, NO_MEASUREMENT)):
        for one, curve in panel:
            cost = np.where(style.drawable(np.array(curve.costs)), curve.costs, np.nan)
            (figure.in_legend[one.backend],) = axes.plot(cost, **look[one.backend].line())
            name = f"{one.backend}, {one.plan}"
            labels = [f"{name}, after {plural(epoch, 'epoch')}\ncost {value:.3g}" for epoch, value in enumerate(cost)]
            style.label_marks(axes, range(len(cost)), cost, labels)
        longest = max(1, *(len(curve.costs) - 1 for _, curve in panel))
        axes.set(xlabel="epoch", xlim=(-0.04 * longest, 1.04 * longest))
        axes.locator_params(axis="x", integer=True)
        costs = [cost for _, curve in trained for cost in curve.costs]
        logarithmic(axes, "y", "" if i else "mean cost over all training images", costs)


def not_drawn(trained: Trained) -> str:
    """A note on the costs that a logarithmic axis cannot show, "" if it shows all."""
    measured, curve = trained
    missing = np.flatnonzero(~style.drawable(np.array(curve.costs)))
    if not missing.size:
        return ""
    return (
        f"Not drawn: {measured.backend}, {measured.plan}, {missing.size} of {len(curve.costs)} costs, which are 0 or "
        f"below, not finite or beyond {LARGEST:g}, the first after epoch {missing[0]}."
    )


@drawn(
    "Speed against accuracy",
    "Up and left is better: more accurate after less training time. Trainings differ in their number of epochs, which "
    "the tables give.",
)
def speed_against_accuracy(figure: Figure, results: ResultSet) -> None:
    """Seconds of a whole training against per cent correct at its end, by number; hollow: on the same plan."""
    trained = trainings(*on_both_plans(results).values())
    ends = [(one, curve.seconds[-1], 100 * curve.accuracy[-1]) for one, curve in trained if curve.seconds[-1] > 0]
    heading = f"Speed against accuracy on the {count_of(results.of('outputs'))}test images"
    figure.about(results, benchmarks.benchmarks_setting(results), heading)
    figure.notes = [
        "Filled: at the default batch size; hollow: on the same plan as all; filled in a ring: both.",
        STRETCHED,
        *(
            f"Not drawn: {one.backend}, {one.plan}, without an epoch that took time."
            for one, curve in trained
            if not curve.seconds[-1]
        ),
    ]
    (axes,) = figure.panels(ends, "There is no training curve in these results.")
    look = Looks(benchmarks.ladder(results))
    for one, seconds, percent in ends:
        i, (colour, marker, *_) = 1 + list(look).index(one.backend), look[one.backend]
        if one.default_batch:
            axes.plot(seconds, percent, marker, color=colour, markersize=7)
        if one.plan == benchmarks.SAME_PLAN:
            axes.plot(seconds, percent, marker, color=colour, markersize=12, markerfacecolor="none")
        figure.in_legend[f"{i}: {one.backend}"] = axes.lines[-1]
        label = f"{one.backend}, {one.plan}\n{percent:.2f} % in {duration(seconds)}"
        style.label_marks(axes, [seconds], [percent], [label])
        axes.annotate(f"{i}", (seconds, percent), (8, 0), textcoords="offset points", va="center", fontsize=9)
    logarithmic(axes, "x", "seconds of training in total, wall", [seconds for _, seconds, _ in ends])
    style.stretched_to_100(axes, "per cent of the test images correct at the end", [percent for *_, percent in ends])


FIGURES = {
    "time-per-epoch": time_per_epoch,
    "accuracy-check": accuracy_check,
    "accuracy-over-time": accuracy_over_time,
    "cost-over-epochs": cost_over_epochs,
    "speed-against-accuracy": speed_against_accuracy,
}


def benchmark_figures(results: ResultSet) -> list[Figure]:
    """All figures of the benchmarks."""
    return [draw(results) for draw in FIGURES.values()]
