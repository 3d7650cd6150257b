"""How figures are made and written.

Figures are made without pyplot, so nothing here is global. What depends on matplotlib's settings happens inside
`style()`, so that a user's own settings change nothing.
"""

import io
import math
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.tables.table import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

Floats = NDArray[np.float64]
Shown = TypeVar("Shown")

WIDTH = 10.0  # inches, of every figure
DPI = 150  # of PNG files
SMALL = 8  # points, the text below a figure
SMALL_LINE = 0.17  # inches
LETTERS = 150  # small ones across a figure
NAME_LETTERS, NAME_LINES = 24, 3  # a longer name ends in "…"

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


def looks_of(backends: Sequence[str]) -> dict[str, Look]:
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


Looks = Mapping[str, Look]


class Figure(NamedTuple):
    """A figure of the report."""

    name: str  # of its files
    title: str
    caption: str  # how to read it
    drawing: "Drawing"

    def files(self) -> dict[str, bytes]:
        """The figure as an SVG and as a PNG file, by name."""
        return {f"{self.name}.svg": svg(self.drawing), f"{self.name}.png": png(self.drawing)}


def side_by_side(
    figure: "Drawing", panels: Mapping[str, Sequence[Shown]], sharex: bool = False
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


def drawable(values: Floats) -> NDArray[np.bool_]:
    """Which values a logarithmic axis can show so that they can be read."""
    return (values > 1 / LARGEST) & (values < LARGEST)


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


def add_legend(figure: "Drawing", lines: Mapping[str, Any]) -> None:
    """Names to the right, in the order of the lines; the axes get the rest of the width."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    left, bottom, width, height = layout.get()["rect"]
    corner = (left + width, bottom + height)
    legend = figure.legend(lines.values(), map(each_wrapped, lines), loc="upper right", bbox_to_anchor=corner)
    legend.set_in_layout(False)
    layout.set(rect=(left, bottom, width - legend.get_window_extent().width / figure.bbox.width, height))


def rows_height(labels: Iterable[str], least: float = 2.2, besides: float = 1.0) -> float:
    """Inches that a row for each label takes, and what is needed besides them."""
    return max(least, besides + sum(0.34 + 0.2 * wrapped(label).count("\n") for label in labels))


def name_rows(axes: "Axes", labels: Sequence[str]) -> None:
    """A row for each label, from the top, with a grid across them."""
    axes.set_yticks(range(len(labels)), list(map(wrapped, labels)))
    axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    axes.grid(True, axis="x")


def write_right(axes: "Axes", y: float, words: str) -> None:
    """What stands at the right end of a row."""
    axes.text(1.02, y, words, transform=axes.get_yaxis_transform(), va="center", fontsize=9)


def draw_interval(axes: "Axes", y: float, interval: Sequence[float] | None, colour: str) -> None:
    """The bar of an interval, whose ends may be 0 and infinite; where the axis cuts it, an arrow head.

    The limits of the axis have to be set before.
    """
    if not interval:
        return
    low, high = np.clip(interval, 1 / LARGEST if axes.get_xscale() == "log" else -LARGEST, LARGEST)
    axes.plot([low, high], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
    left, right = axes.get_xlim()
    for end, marker, cut in ((left, 4, low < left), (right, 5, high > right)):  # matplotlib's numbers of arrow heads
        if cut:
            axes.plot(end, y, marker=marker, color=colour, markersize=7, clip_on=False)


def legend_height(names: Iterable[str]) -> float:
    """Inches that a legend takes."""
    return 0.6 + sum(0.16 * (1 + each_wrapped(name).count("\n")) + 0.07 for name in names)


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
def framed(notice: str | None, setting: str, title: str, height: float, notes: Iterable[str]) -> Iterator["Drawing"]:
    """A white sheet with `height` inches for axes; above the title and any notice, below the notes and the setting."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    heading = textwrap.wrap(printable(title), 95)
    warning = textwrap.wrap(printable(notice or ""), LETTERS)
    footer = [line for note in [*notes, setting] for line in textwrap.wrap(printable(note), LETTERS)]
    above = 0.25 + 0.24 * len(heading) + SMALL_LINE * len(warning)
    below = 0.2 + SMALL_LINE * len(footer)
    total = above + height + below
    with style():
        layout = ConstrainedLayoutEngine(rect=(0, below / total, 1, height / total), w_pad=0.1, h_pad=0.05)
        figure = Drawing(figsize=(WIDTH, total), facecolor="white", layout=layout)
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


def svg(figure: "Drawing") -> bytes:
    """The figure as an SVG file, the same for the same figure."""
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines()).encode()


def png(figure: "Drawing") -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
