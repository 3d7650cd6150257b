"""Results of pytest-benchmark -> five figures, functions that need no file; and how figures are made and written.

Figures are made without pyplot, so nothing here is global. What depends on matplotlib's settings happens inside
`style()`, so that a user's own settings change nothing.
"""

import io
import math
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.results import Measurement, ResultSet
from reports import tables
from reports.tables import DAGGER, number, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Shown = TypeVar("Shown")

WIDTH = 10.0  # inches, of every figure
DPI = 150  # of PNG files
SMALL = 8  # points, the text below a figure
SMALL_LINE = 0.17  # inches
LETTERS = 150  # small ones across a figure
NAME_LETTERS, NAME_LINES = 24, 3  # a longer name ends in "…"
MOST_NAMES = 16  # beside points; more points have numbers, and a legend

# Okabe and Ito's colours, which colour-blind readers can tell apart; without their yellow, faint on white. Seven
# colours and eight markers: a pair comes back after 56 backends.
COLOURS = ("#000000", "#E69F00", "#0072B2", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
# From the first backend to the last, in points: where lines coincide, the earlier one shows around the later.
LINE_WIDTHS = (4.0, 1.2)
MARKER_SIZES = (10.0, 4.0)
GREY = "#666666"
NOTICE_COLOUR = "#A33B00"

LARGEST = 1e30  # that a logarithmic axis shows; a cost beyond it has diverged
LEAST_WRONG = 0.01  # per cent, where the axis of accuracies ends
ACCURACY_TICKS = (0, 50, 70, 80, 90, 93, 95, 97, 98, 99, 99.3, 99.5, 99.7, 99.9)
STRETCHED = "The axis is stretched towards 100 %: equal steps are equal factors in the share that is wrong."


class Look(NamedTuple):
    """How one backend is drawn, in every figure."""

    colour: str
    marker: str
    dashes: Any
    line_width: float
    marker_size: float

    def line(self) -> dict[str, Any]:
        """A line with hollow markers, in matplotlib's words."""
        return {
            "color": self.colour,
            "linestyle": self.dashes,
            "linewidth": self.line_width,
            "marker": self.marker,
            "markersize": self.marker_size,
            "markerfacecolor": "white",
            "markeredgewidth": 1.3,
        }


def looks(backends: Sequence[str]) -> dict[str, Look]:
    """The look of each backend, by its place on the ladder."""
    steps = max(len(backends), len(DASHES))
    return {
        backend: Look(
            COLOURS[i % len(COLOURS)],
            MARKERS[i % len(MARKERS)],
            DASHES[i % len(DASHES)],
            np.linspace(*LINE_WIDTHS, steps)[i],
            np.linspace(*MARKER_SIZES, steps)[i],
        )
        for i, backend in enumerate(backends)
    }


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
    def rounds(self) -> int:
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
            100 * np.array(measured.curve.test_accuracy, float),
            np.array(measured.curve.train_cost, float),
        )
        for measured in {id(measured): measured for measured in measurements}.values()
        if measured.curve is not None
    ]


# --- the five figures ------------------------------------------------------------------------------------


def time_per_round(results: ResultSet) -> "Figure":
    """Seconds of a round of training: each backend at home, and all on the same plan."""
    panels = on_both_plans(results)
    images = count_of(measured for panel in panels.values() for measured in panel)
    return dot_plot(results, f"Time of one round of training over {images}images", panels, tables.floor(results))


def accuracy_check(results: ResultSet) -> "Figure":
    """Seconds of the outputs of all test images."""
    checks = tables.accuracy_checks(results)
    title = f"Time of one accuracy check: the outputs of the {count_of(checks)}test images"
    return dot_plot(results, title, {"": checks})


def accuracy_over_time(results: ResultSet) -> "Figure":
    """Per cent of the test images correct over the seconds of training, a line a backend at home."""
    trained = [training for training in trainings(tables.home_rounds(results)) if training.rounds > 0]
    notes = ["A mark is a round of training; each backend at home.", STRETCHED]
    title = f"Accuracy over training time, on the {count_of(tables.accuracy_checks(results))}test images"
    look = looks(tables.ladder(results))
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


def cost_over_rounds(results: ResultSet) -> "Figure":
    """Cost over all training images, round by round: each backend at home, and all on the same plan."""
    panels = {title: trainings(measurements) for title, measurements in on_both_plans(results).items()}
    trained = trainings(measured for measurements in on_both_plans(results).values() for measured in measurements)
    notes = ["Lines of backends that compute the same lie on each other, the later and thinner on the earlier."]
    notes += filter(None, map(not_drawn, trained))
    look = looks(tables.ladder(results))
    lines: dict[str, Any] = {}
    with framed(*about(results), "Cost over rounds of training", max(4.2, legend_height(look)), notes) as figure:
        for axes, panel in side_by_side(figure, panels):
            for training in panel:
                backend = training.measured.backend
                cost = np.where(drawable(training.cost), training.cost, np.nan)
                (lines[backend],) = axes.plot(cost, **look[backend].line())
            axes.set_xlabel("round")
            longest = max(1, *(training.rounds for training in panel))
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
    look = looks(tables.ladder(results))
    numbers = {backend: str(i) for i, backend in enumerate(look, start=1)}
    numbered = {backend: f"{i}: {backend}" for backend, i in numbers.items()}
    many = len(drawn) > MOST_NAMES
    height = max(4.6, legend_height(numbered.values()) if many else 0)
    title = f"Speed against accuracy on the {count_of(tables.accuracy_checks(results))}test images"
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
                numbers[backend] if many else f"{backend}, {training.rounds} round{'s' * (training.rounds != 1)}"
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


class Drawn(NamedTuple):
    """A figure of the report."""

    name: str  # of its files
    title: str
    caption: str  # how to read it
    figure: "Figure"


class Picture(NamedTuple):
    """A figure of the report as files have it."""

    name: str  # of its files
    title: str
    caption: str  # how to read it
    svg: str
    png: bytes


DRAWINGS = (
    Drawing(
        "time-per-round",
        "Time per round",
        time_per_round,
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
        cost_over_rounds,
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


def drawn(results: ResultSet) -> list[Drawn]:
    """All figures."""
    return [Drawn(drawing.name, drawing.title, drawing.caption, drawing.draw(results)) for drawing in DRAWINGS]


# --- the parts they are made of ---------------------------------------------------------------------------


def on_both_plans(results: ResultSet) -> dict[str, list[Measurement]]:
    """The rounds of training for two panels, by title."""
    return {
        "each backend at home": tables.home_rounds(results),
        f"all on the same plan: {tables.same_plan_name(results)}": tables.same_plan_rounds(results),
    }


def about(results: ResultSet) -> tuple[str | None, str]:
    """What every figure says: the notice, and the setting."""
    return results.notice, tables.setting(results)


def side_by_side(
    figure: "Figure", panels: Mapping[str, Sequence[Shown]], sharex: bool = False
) -> list[tuple["Axes", Sequence[Shown]]]:
    """Axes beside each other with one scale of y: those that have something to show; the others say what they lack."""
    all_axes = figure.subplots(1, len(panels), sharex=sharex, sharey=True, squeeze=False)[0]
    shown: list[tuple[Axes, Sequence[Shown]]] = []
    for axes, (title, panel) in zip(all_axes, panels.items(), strict=True):
        axes.set_title(text(title))
        if panel:
            axes.tick_params(labelleft=not shown)
            shown.append((axes, panel))
        else:
            say(axes, "There is no measurement\nfor this in these results.")
    return shown


def dot_plot(
    results: ResultSet, title: str, panels: Mapping[str, Sequence[Measurement]], floor: Measurement | None = None
) -> "Figure":
    """A row a backend with every sample as a mark and the median as a bar; panels side by side, by title."""
    measurements = [measured for panel in panels.values() for measured in panel]
    names = [name for name in tables.ladder(results) if any(measured.backend == name for measured in measurements)]
    labels = [wrapped(name) for name in names] + ["floor"] * bool(floor)
    notes = ["A mark is a sample, the bar their median."]
    if floor:
        notes[0] += " Dashed: the floor, the first layer's two products over all training images, a NumPy matmul each."
    notes += dict.fromkeys(
        f"{DAGGER} {measured.backend}{measured.plan and ', '}{measured.plan}: {scaled}"
        for measured in measurements
        if (scaled := tables.scaling(measured))
    )
    look = looks(tables.ladder(results))
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
    said = f"{number(middle)} s{f' {DAGGER}' if tables.scaling(measured) else ''}{plan and ', '}{plan}"
    axes.text(1.02, y, wrapped(said), transform=axes.get_yaxis_transform(), va="center", fontsize=9)


def end_point(axes: "Axes", training: Training, look: Look) -> Any:
    """The mark of a whole training."""
    where = training.seconds[-1], training.percent[-1]
    if training.measured.at_home:
        axes.plot(*where, look.marker, color=look.colour, markersize=7)
    if training.measured.plan == tables.SAME_PLAN:
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


def drawable(values: Floats) -> NDArray[np.bool_]:
    """Which values a logarithmic axis can show so that they can be read."""
    return (values > 1 / LARGEST) & (values < LARGEST)


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


def text(words: str) -> str:
    """The words as matplotlib draws them literally: a pair of dollar signs would make a formula."""
    return words.replace("$", r"\$")


def wrapped(name: str) -> str:
    """A name on few short lines."""
    return text(
        "\n".join(
            textwrap.wrap(printable(name), NAME_LETTERS, max_lines=NAME_LINES, placeholder="…", break_on_hyphens=False)
        )
    )


def each_wrapped(label: str) -> str:
    """Each line of a label on few short lines."""
    return "\n".join(map(wrapped, label.split("\n")))


def say(axes: "Axes", words: str) -> None:
    """Say in an empty panel what is missing."""
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=GREY, fontsize=11)
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False, which="both")


def add_legend(figure: "Figure", lines: Mapping[str, Any]) -> None:
    """Names to the right, in the order of the lines; the axes get the rest of the width."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    left, bottom, width, height = layout.get()["rect"]
    corner = (left + width, bottom + height)
    legend = figure.legend(lines.values(), map(each_wrapped, lines), loc="upper right", bbox_to_anchor=corner)
    legend.set_in_layout(False)
    layout.set(rect=(left, bottom, width - legend.get_window_extent().width / figure.bbox.width, height))


def legend_height(names: Iterable[str]) -> float:
    """Inches that a legend takes."""
    return 0.6 + sum(0.16 * (1 + each_wrapped(name).count("\n")) + 0.07 for name in names)


# --- axes -------------------------------------------------------------------------------------------------


def logarithmic(axes: "Axes", which: Literal["x", "y"], values: Floats) -> None:
    """A logarithmic axis around the values, with plain numbers; values that it cannot show do not count."""
    from matplotlib.ticker import LogLocator, NullFormatter

    shown = values[drawable(values)]
    low, high = (shown.min(), shown.max()) if shown.size else (0.1, 10.0)
    margin = max(1.25, (high / low) ** 0.05, 2 / math.sqrt(high / low))  # the axis spans a factor of 4 at least
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low / margin, high * margin)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(
        LogLocator(subs=(1, 2, 3, 5) if high / low < 20 else (1, 2, 5) if high / low < 200 else (1,))
    )
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def stretched_to_100(axes: "Axes", percent: Floats) -> None:
    """A vertical axis of per cent correct that is logarithmic in the per cent wrong, around the values."""
    from matplotlib.ticker import AutoLocator, FixedLocator, NullLocator

    wrong = 100 - percent[np.isfinite(percent)]
    most, least = (wrong.max(), wrong.min()) if wrong.size else (100.0, 10.0)
    axes.set_yscale("function", functions=(stretch, shrink))
    low, high = 100 - min(100, max(most * 1.4, 4 * LEAST_WRONG)), 100 - max(LEAST_WRONG, least / 1.4)
    ticks = [tick for tick in ACCURACY_TICKS if low <= tick <= high]
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator(ticks) if len(ticks) > 2 else AutoLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g} %")


def stretch(correct: Floats) -> Floats:
    """Where per cent correct stand on such an axis."""
    return -np.log10(np.maximum(100 - correct, LEAST_WRONG))


def shrink(stretched: Floats) -> Floats:
    """The inverse."""
    return 100 - 10**-stretched


# --- the sheet a figure is drawn on, and files ------------------------------------------------------------


@contextmanager
def style() -> Iterator[None]:
    """matplotlib's own settings and ours, whatever the user's are."""
    import matplotlib.style

    settings = {
        "font.size": 10,
        "axes.titlesize": 10.5,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": "#E2E2E2",
        "legend.frameon": False,
        "legend.fontsize": 9,
        "legend.handlelength": 3.5,
        "svg.fonttype": "path",  # looks the same wherever it is opened
        "svg.hashsalt": "digitbench",  # the same figure is the same file
    }
    with warnings.catch_warnings(), matplotlib.style.context(["default", settings]):
        # A name in letters that the font lacks is drawn as boxes; the tables have it as it is.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


@contextmanager
def framed(notice: str | None, setting: str, title: str, height: float, notes: Iterable[str]) -> Iterator["Figure"]:
    """A white sheet with `height` inches for axes; above the title and any notice, below the notes and the setting."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    heading = textwrap.wrap(printable(title), 95)
    warning = textwrap.wrap(printable(notice or ""), LETTERS)
    footer = [line for note in [*notes, setting] for line in textwrap.wrap(printable(note), LETTERS)]
    above = 0.25 + 0.24 * len(heading) + SMALL_LINE * len(warning)
    below = 0.2 + SMALL_LINE * len(footer)
    total = above + height + below
    with style():
        layout = ConstrainedLayoutEngine(rect=(0, below / total, 1, height / total), w_pad=0.1, h_pad=0.05)
        figure = Figure(figsize=(WIDTH, total), facecolor="white", layout=layout)
        FigureCanvasAgg(figure)
        left, top = 0.1 / WIDTH, 1 - 0.12 / total
        figure.text(left, top, text("\n".join(heading)), va="top", fontsize=13, fontweight="bold")
        top -= (0.05 + 0.24 * len(heading)) / total
        figure.text(
            left, top, text("\n".join(warning)), va="top", fontsize=SMALL, color=NOTICE_COLOUR, fontweight="bold"
        )
        figure.text(left, 0.1 / total, text("\n".join(footer)), va="bottom", fontsize=SMALL, color=GREY)
        yield figure
        layout.execute(figure)
        figure.set_layout_engine(None)  # what is laid out stays so, in every format; after "none" each is drawn twice


def picture(drawn: Drawn) -> Picture:
    """The figure as an SVG and as a PNG file."""
    return Picture(drawn.name, drawn.title, drawn.caption, svg(drawn.figure), png(drawn.figure))


def svg(figure: "Figure") -> str:
    """The figure as an SVG file, the same for the same figure."""
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return re.sub(r"[ \t]+$", "", buffer.getvalue(), flags=re.MULTILINE)


def png(figure: "Figure") -> bytes:
    """The figure as a PNG file."""
    import PIL.Image

    raw, file = io.BytesIO(), io.BytesIO()
    with style():
        figure.savefig(raw, format="rgba", dpi=DPI)
    width, height = (int(inches * DPI) for inches in figure.get_size_inches())
    # Opaque, and packed fast: matplotlib's own takes twice as long for a larger file.
    PIL.Image.frombytes("RGBA", (width, height), raw.getvalue()).convert("RGB").save(
        file, "png", compress_level=3, dpi=(DPI, DPI)
    )
    return file.getvalue()
