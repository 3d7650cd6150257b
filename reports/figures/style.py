"""How figures are made, laid out and written, and how backends and axes look in all of them.

Figures are made without pyplot, so nothing here is global. What depends on matplotlib's settings happens inside
`settings()`, so that a user's own change nothing.
"""

import io
import math
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, Concatenate, Literal, NamedTuple, ParamSpec, TypeVar

import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.markers import TICKDOWN, TICKLEFT
from matplotlib.ticker import AutoLocator, FixedLocator, LogLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from bench.records.files import ResultSet
from bench.records.races import RaceResult
from bench.tables.table import printable
from reports.figures.marks import Series, layer

Floats = NDArray[np.float64]
Arguments = ParamSpec("Arguments")
Shown = TypeVar("Shown", bound=Sized)

WIDTH = 10.0  # inches, of every figure
DPI = 150  # of PNG files
SMALL = 8  # points, the text below a figure
HEADING_LINE, SMALL_LINE = 0.24, 0.17  # inches
HEADING_LETTERS, LETTERS = 95, 150  # across a figure; small ones
NAME_LETTERS, NAME_LINES = 24, 3  # a longer name ends in "…"

# Okabe and Ito's colours, which colour-blind readers can tell apart; without their yellow, faint on white. Seven
# colours and eight markers: a pair comes back after 56 backends.
COLOURS = ("#000000", "#E69F00", "#0072B2", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
BLACK, BLUE, GREEN, RED = COLOURS[0], *COLOURS[2:5]
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
# From the first backend to the last, in points: where lines coincide, the earlier one shows around the later.
LINE_WIDTHS = (4.0, 1.2)
MARKER_SIZES = (10.0, 4.0)
GREY = "#666666"
NOTICE_COLOUR = "#A33B00"

LARGEST = 1e30  # that a logarithmic axis shows; a cost beyond it has diverged
BEYOND = 3.0  # times the outermost mark: so far a logarithmic axis follows an interval
LEAST_WRONG = 0.01  # per cent, where the axis of accuracies ends
ACCURACY_TICKS = (0, 50, 70, 80, 90, 93, 95, 97, 98, 99, 99.3, 99.5, 99.7, 99.9)
STRETCHED = "The axis is stretched towards 100 %: equal steps are equal factors in the share that is wrong."


class Look(NamedTuple):
    """How one backend is drawn, in every figure."""

    colour: str
    marker: str
    dashes: Any = "-"
    line_width: float = 2.0
    marker_size: float = 8.0

    def line(self, **others: Any) -> dict[str, Any]:
        """A line with hollow markers, in matplotlib's words; `others` replace some of them."""
        return {
            "color": self.colour,
            "linestyle": self.dashes,
            "linewidth": self.line_width,
            "marker": self.marker,
            "markersize": self.marker_size,
            "markerfacecolor": "white",
            "markeredgewidth": 1.3,
            **others,
        }


OF_FLOOR = Look(GREY, "|", DASHES[1], 1.5, 7.0)


class Looks(dict[str, Look]):
    """The look of each backend, by its place on the ladder; names that are no backends are grey, like the floor."""

    def __init__(self, backends: Sequence[str]) -> None:
        steps = max(len(backends), len(DASHES))
        widths, sizes = np.linspace(*LINE_WIDTHS, steps), np.linspace(*MARKER_SIZES, steps)
        for i, name in enumerate(backends):
            colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
            self[name] = Look(colour, marker, DASHES[i % len(DASHES)], widths[i], sizes[i])

    def __missing__(self, name: str) -> Look:
        return OF_FLOOR


class NothingToShow(Exception):
    """There is nothing to draw; the figure says why."""


class Figure(Drawing):
    """A figure of the report: a white sheet with axes, above them a heading and any notice, below them notes.

    A function under `drawn` says what it is about, sets heading and notes, takes axes from `panels`, and draws.
    """

    def __init__(self, name: str, title: str, caption: str) -> None:
        self.layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.05)
        super().__init__(facecolor="white", layout=self.layout)
        FigureCanvasAgg(self)
        self.name = name  # of its files
        self.title = title
        self.caption = caption  # how to read it
        self.notes: Sequence[str] = ()  # "" is none
        self.height = 4.4  # inches for the axes
        self.in_legend: dict[str, Artist] = {}  # by label
        self.series: list[Series] = []  # of marks with labels

    def about(self, results: RaceResult | ResultSet, setting: str, heading: str = "") -> None:
        """Set the notice, the line below that says what the results are of, and a heading other than the title."""
        self.notice, self.setting, self.heading = results.notice or "", setting, heading or self.title
        self.machine = str(results.machine.get("cpu", ""))

    def panels(self, shown: Sized, otherwise: str, columns: int = 1, rows: int = 1, **options: Any) -> list[Axes]:
        """Axes, row by row, for what is shown. If that is nothing, says `otherwise`, and raises NothingToShow."""
        if len(shown):
            return list(self.subplots(rows, columns, squeeze=False, **options).flat)
        say(self.subplots(), otherwise)
        self.height = 2.2
        raise NothingToShow

    def side_by_side(self, panels: Mapping[str, Shown], otherwise: str) -> list[tuple[Axes, Shown]]:
        """Axes by title, with one scale of y: those that have something to show; the others say what they lack."""
        shown: list[tuple[Axes, Shown]] = []
        all_axes = self.panels([*filter(None, panels.values())], otherwise, len(panels), sharey=True)
        for axes, (title, panel) in zip(all_axes, panels.items(), strict=True):
            axes.set_title(text(title))
            if panel:
                axes.tick_params(labelleft=not shown)
                shown.append((axes, panel))
            else:
                say(axes, otherwise)
        return shown

    def name_rows(self, axes: Axes, labels: Iterable[str], inches: float = 0.34) -> None:
        """Rows with these labels, from the top, with a grid across them; inches: of a row whose label is one line."""
        lines = list(map(wrapped, labels))
        axes.set_yticks(range(len(lines)), lines)
        axes.set_ylim(max(len(lines), 1) - 0.5, -0.5)
        axes.grid(False, axis="y")
        self.height = max(2.2, 1.0 + sum(inches + 0.2 * line.count("\n") for line in lines))

    def lay_out(self) -> None:
        """Set the size of the figure and the place of everything in it, the same in every format."""
        heading = textwrap.wrap(printable(self.heading), HEADING_LETTERS)
        warning = textwrap.wrap(printable(self.notice), LETTERS)
        footer = [line for note in (*self.notes, self.setting) for line in textwrap.wrap(printable(note), LETTERS)]
        right = 1.0
        if self.in_legend:
            legend = self.legend(self.in_legend.values(), map(wrapped, self.in_legend), loc="upper right")
            legend.set_in_layout(False)
            extent = legend.get_window_extent()
            right -= extent.width / self.dpi / WIDTH
            self.height = max(self.height, extent.height / self.dpi + 0.2)
        below = 0.2 + SMALL_LINE * len(footer)
        top = below + self.height
        total = top + 0.25 + HEADING_LINE * len(heading) + SMALL_LINE * len(warning)
        self.set_size_inches(WIDTH, total)
        if self.in_legend:
            legend.set_bbox_to_anchor((1, top / total))
        under_heading = total - 0.17 - HEADING_LINE * len(heading)
        places: list[tuple[float, list[str], dict[str, Any]]] = [
            (total - 0.12, heading, {"va": "top", "fontsize": 13, "fontweight": "bold"}),
            (under_heading, warning, {"va": "top", "fontsize": SMALL, "fontweight": "bold", "color": NOTICE_COLOUR}),
            (0.1, footer, {"va": "bottom", "fontsize": SMALL, "color": GREY}),
        ]
        for y, lines, looks in places:
            self.text(0.1 / WIDTH, y / total, text("\n".join(lines)), **looks)
        self.layout.set(rect=(0, below / total, right, self.height / total))
        self.layout.execute(self)
        self.set_layout_engine(None)  # after "none" each is drawn twice
        for axes in self.axes:
            draw_small_ticks(axes)

    def file(self, form: Literal["svg", "png"]) -> bytes:
        """The figure as a file of this format, the same for the same figure."""
        buffer = io.BytesIO()
        dated = dict.fromkeys(("Date", "Creator", "Format", "Type")) if form == "svg" else None
        with settings():
            self.savefig(buffer, format=form, dpi=DPI, metadata=dated)
        content = buffer.getvalue()
        if form == "svg":
            content = content.replace(b"</svg>", layer(self.series, self.machine).encode() + b"</svg>")
        return content

    @property
    def has_pictures(self) -> bool:
        """Whether some of it consists of pixels, such as a digit or a coloured table."""
        return any(axes.images for axes in self.axes)

    def files(self) -> dict[str, bytes]:
        """The figure as an SVG and as a PNG file, by name."""
        return {f"{self.name}.svg": self.file("svg"), f"{self.name}.png": self.file("png")}


def drawn(
    title: str, caption: str
) -> Callable[[Callable[Concatenate[Figure, Arguments], None]], Callable[Arguments, Figure]]:
    """Make a function that draws on a new figure one that returns it, laid out; its files are named after it."""

    def decorate(draw: Callable[Concatenate[Figure, Arguments], None]) -> Callable[Arguments, Figure]:
        @wraps(draw)
        def figure_of(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
            with settings():
                figure = Figure(draw.__name__.replace("_", "-"), title, caption)
                with suppress(NothingToShow):
                    draw(figure, *args, **kwargs)
                figure.lay_out()
            return figure

        return figure_of

    return decorate


@contextmanager
def settings() -> Iterator[None]:
    """matplotlib's default settings and those of the report, whatever the user's are."""
    settings_of_report = {
        "font.size": 10,
        "axes.titlesize": 10.5,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": "#E2E2E2",
        "legend.frameon": False,
        "legend.fontsize": 9,
        "legend.handlelength": 3.5,
        "svg.fonttype": "none",  # text as text, which can be selected and found
        "svg.hashsalt": "digitbench",  # the same figure is the same file
    }
    with warnings.catch_warnings(), matplotlib.style.context(["default", settings_of_report]):
        # A name in letters that the font lacks is drawn as boxes; the tables have it as it is.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


# --- words -----------------------------------------------------------------------------------------------


def text(words: str) -> str:
    """The words as matplotlib draws them literally: a pair of dollar signs would make a formula."""
    return words.replace("$", r"\$")


def wrapped(label: str) -> str:
    """Each line of a label on few short lines."""
    options: dict[str, Any] = {"max_lines": NAME_LINES, "placeholder": "…", "break_on_hyphens": False}
    lines = (textwrap.fill(printable(line), NAME_LETTERS, **options) for line in label.split("\n"))
    return text("\n".join(lines))


def say(axes: Axes, words: str) -> None:
    """Write in an empty panel what is missing."""
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=GREY, fontsize=11)
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False, which="both")
    axes.grid(False)


def write_headings(axes: Axes, headings: dict[float, str], height: float = 1.0) -> None:
    """Headings between rows, by the y of their middle, in bands of this height over the grid and lines of zorder 1."""
    for y, words in headings.items():
        axes.axhspan(y - height / 2 - 0.02, y + height / 2, facecolor="white", linewidth=0, zorder=1.5)
        axes.text(0.005, y, text(words), transform=axes.get_yaxis_transform(), va="center", weight="bold")
    axes.spines.left.set_visible(False)  # which the headings would cut into pieces
    axes.tick_params(axis="y", length=0)


# --- marks in a row --------------------------------------------------------------------------------------


def write_right(axes: Axes, y: float, words: str) -> None:
    """Write at the right end of a row."""
    axes.text(1.02, y, words, transform=axes.get_yaxis_transform(), va="center", fontsize=9)


def label_marks(axes: Axes, x: ArrayLike, y: ArrayLike, labels: Sequence[str]) -> None:
    """Say what each of these marks is, in lines; the machine is added to all. A mark outside the axes has no label."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.series.append(Series(axes, x, y, labels))


def draw_samples(
    axes: Axes,
    y: float,
    samples: Sequence[float],
    middle: float,
    look: Look,
    words: str = "",
    *,
    filled: bool = False,
    labels: Sequence[str],
) -> None:
    """Every sample as a mark with a label, and their median or mean as an upright bar and in words."""
    label_marks(axes, samples, [y] * len(samples), labels)
    fill: dict[str, Any] = {"markerfacecolor": look.colour if filled else "none", "markersize": 6, "alpha": 0.7}
    axes.plot(samples, [y] * len(samples), look.marker, color=look.colour, **fill)
    axes.plot([middle, middle], [y - 0.3, y + 0.3], color=look.colour, linewidth=2)
    write_right(axes, y, words)


def draw_estimate(
    axes: Axes,
    y: float,
    estimate: float,
    interval: Sequence[float] | None,
    look: Look,
    words: str = "",
    *,
    label: str,
    size: float = 8,
) -> Artist:
    """A mark with a label, also in words, and its interval as a bar, whose ends may be 0 and infinite.

    Where the axis cuts it, there is an arrow head; its limits have to be set before. Returns the mark.
    """
    colour, marker, *_ = look
    if interval:
        low, high = np.clip(interval, 1 / LARGEST if axes.get_xscale() == "log" else -LARGEST, LARGEST)
        axes.plot([low, high], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
        left, right = axes.get_xlim()
        for end, head, cut in ((left, 4, low < left), (right, 5, high > right)):  # matplotlib's numbers of arrow heads
            if cut:
                axes.plot(end, y, marker=head, color=colour, markersize=7, clip_on=False)
    write_right(axes, y, words)
    (mark,) = axes.plot(estimate, y, marker, color=colour, markersize=size, linestyle="none")
    label_marks(axes, [estimate], [y], [label])
    return mark


def draw_cells(axes: Axes, shades: Floats, most: float, colours: str, words: Sequence[Sequence[str]]) -> AxesImage:
    """A matrix as cells with words, the darker the nearer to `most`; nan has no colour and bold words."""
    image = axes.imshow(shades, cmap=colours, vmin=0, vmax=most, aspect="auto")
    for (y, x), shade in np.ndenumerate(shades):
        weight, colour = ("bold" if np.isnan(shade) else "normal"), ("white" if shade > 0.63 * most else "black")
        axes.text(x, y, words[y][x], ha="center", va="center", fontsize=9, weight=weight, color=colour)
    axes.spines[:].set_visible(False)
    axes.grid(False)
    return image


# --- axes ------------------------------------------------------------------------------------------------


def drawable(values: Floats) -> NDArray[np.bool_]:
    """Which values a logarithmic axis can show so that they can be read."""
    return (values > 1 / LARGEST) & (values < LARGEST)


def logarithmic(
    axes: Axes,
    which: Literal["x", "y"],
    label: str,
    values: Iterable[float],
    intervals: Iterable[Sequence[float] | None] = (),
) -> None:
    """A logarithmic axis around the values, with plain numbers; values that it cannot show do not count.

    It also shows the intervals, as far as they are not much beyond the values.
    """
    every = np.fromiter(values, float)
    shown = every[drawable(every)]
    low, high = (shown.min(), shown.max()) if shown.size else (0.1, 10.0)
    ends = np.clip([end for interval in intervals for end in interval or ()], low / BEYOND, high * BEYOND)
    low, high = min([low, *ends]), max([high, *ends])
    margin = max(1.25, (high / low) ** 0.05, 2 / math.sqrt(high / low))  # the axis spans a factor of 4 at least
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low / margin, high * margin), f"{which}label": label})
    axis = axes.xaxis if which == "x" else axes.yaxis
    with_number = (1, 2, 3, 5) if high / low < 20 else (1, 2, 5) if high / low < 200 else (1,)
    axis.set_major_locator(LogLocator(subs=with_number))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())  # `draw_small_ticks` draws them


def draw_small_ticks(axes: Axes) -> None:
    """Ticks without numbers, of logarithmic axes: a line for all, as matplotlib's took a third of a figure's time."""
    x = axes.xaxis, "bottom", TICKDOWN, axes.get_xaxis_transform()
    y = axes.yaxis, "left", TICKLEFT, axes.get_yaxis_transform()
    for axis, side, marker, transform in (x, y):
        if axis.get_scale() == "log" and axis.get_tick_params("minor").get(side, True):
            axis.set_minor_locator(LogLocator(subs="auto"))
            low, high = axis.get_view_interval()
            places = [place for place in axis.get_minorticklocs() if low <= place <= high]
            axis.set_minor_locator(NullLocator())
            xy = (places, [0] * len(places)) if axis is axes.xaxis else ([0] * len(places), places)
            set_to = matplotlib.rcParams
            looks: dict[str, Any] = {"marker": marker, "color": set_to["xtick.color"]}
            looks |= {"markersize": set_to["xtick.minor.size"], "markeredgewidth": set_to["xtick.minor.width"]}
            axes.figure.add_artist(Line2D(*xy, linestyle="none", transform=transform, zorder=-1, **looks))


def stretched_to_100(axes: Axes, label: str, percent: Iterable[float]) -> None:
    """A vertical axis of per cent correct that is logarithmic in the per cent wrong, around the values."""
    correct = np.fromiter(percent, float)
    wrong = 100 - correct[np.isfinite(correct)]
    most, least = (wrong.max(), wrong.min()) if wrong.size else (100.0, 10.0)
    low, high = 100 - min(100, max(most * 1.4, 4 * LEAST_WRONG)), 100 - max(LEAST_WRONG, least / 1.4)
    axes.set_yscale("function", functions=(stretch, unstretch))
    axes.set(ylim=(low, high), ylabel=label)
    ticks = [tick for tick in ACCURACY_TICKS if low <= tick <= high]
    axes.yaxis.set_major_locator(FixedLocator(ticks) if len(ticks) > 2 else AutoLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g} %")


def stretch(correct: Floats) -> Floats:
    """Where per cent correct stand on such an axis."""
    return -np.log10(np.maximum(100 - correct, LEAST_WRONG))


def unstretch(place: Floats) -> Floats:
    """Which per cent correct stand at a place on such an axis."""
    return 100 - 10**-place
