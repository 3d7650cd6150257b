"""The history of each backend's ratio to the floor, a panel a backend."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.analysis.history import Change, Course, History
from bench.tables.history import date, revision
from bench.tables.race import race_setting
from bench.tables.table import number, printable
from reports.figures import style
from reports.figures.style import BLUE, RED, Figure, Look, Looks, drawn, logarithmic

COLUMNS = 2  # of panels
PANEL = 1.55  # inches, of each
LABELS = 4  # of runs, below each column of panels
FEW = 60  # runs that have a mark each
LEAST_SPAN = 1.2  # between the ends of an axis


@drawn(
    "History",
    "Lower is faster. Each panel has a scale of its own. The band is the 95 % interval of each run, the dark line the "
    "level that holds for several runs; a triangle marks a change that exceeds the intervals, and how many times as "
    "long (up, red) or as fast (down, blue) it made an epoch.",
)
def history(figure: Figure, past: History, look: Looks, order: int) -> None:
    """Times the floor over runs, in the order of time, with levels and changes. order: of the history, from 1."""
    figure.name = f"history-{order}"
    newest = past.runs[-1]
    figure.about(newest.race, race_setting(newest.race), "How many times as long as the floor, from run to run")
    figure.notes = [
        "Runs stand side by side in the order of time, whatever time lies between them. Where lines are interrupted, "
        "the backend did not run, or the floor is another one (another NumPy, BLAS or measuring code)."
    ]
    names = list(past.courses)
    rows = math.ceil(len(names) / COLUMNS)
    all_axes = figure.panels(names, "No backend was measured with the floor.", min(COLUMNS, len(names)), rows)
    figure.height = max(2.2, PANEL * rows + 0.5)
    for axes, name in zip(all_axes, names, strict=False):
        axes.set_title(style.text(printable(name)))
        draw_courses(axes, past, name, look[name])
        label_runs(axes, past, with_words=axes in all_axes[len(names) - COLUMNS : len(names)])
    for axes in all_axes[len(names) :]:
        axes.set_visible(False)


def draw_courses(axes: Axes, past: History, name: str, look: Look) -> None:
    """The ratios of one backend with their intervals, its levels and changes."""
    courses = past.courses[name]
    ratios = [past.runs[place].ratios[name] for course in courses for place in course.places]
    scale(axes, [one.estimate for one in ratios], [one.interval for one in ratios])
    low, high = axes.get_ylim()
    for course in courses:
        draw_course(axes, past, course, name, look)
        for level in course.levels:
            axes.plot([level.first - 0.4, level.last + 0.4], [level.ratio] * 2, color="black", linewidth=1.2, zorder=4)
        for change in course.changes:
            draw_change(axes, change, (low, high))


def draw_course(axes: Axes, past: History, course: Course, name: str, look: Look) -> None:
    """A line through all runs of a course, interrupted where there are other runs between them, in a band."""
    places = np.arange(course.places[0], course.places[-1] + 1)
    known = {place: past.runs[place].ratios[name] for place in course.places}
    estimates = [known[place].estimate if place in known else math.nan for place in places]
    ends = [(place in known and known[place].interval) or (math.nan, math.nan) for place in places]
    axes.fill_between(places, *np.transpose(ends), color=look.colour, alpha=0.25, linewidth=0)
    axes.plot(places, estimates, color=look.colour, linewidth=0.9)
    shown = [place for place in known if len(past.runs) <= FEW or not {place - 1, place + 1} & known.keys()]
    axes.plot(shown, [known[place].estimate for place in shown], look.marker, color=look.colour, markersize=3.5)


def draw_change(axes: Axes, change: Change, limits: tuple[float, float]) -> None:
    """A triangle between the levels of a change, and its factor."""
    slower = change.ratio > 1
    colour, marker = (RED, "^") if slower else (BLUE, "v")
    old, new = change.levels
    x, y = new.first - 0.5, math.sqrt(old.ratio * new.ratio)
    axes.plot(x, y, marker, color=colour, markersize=8, markeredgecolor="white", zorder=5)
    factor = number(change.ratio if slower else 1 / change.ratio)
    of_axis = (y - limits[0]) / (limits[1] - limits[0])
    place = {"xytext": (0, -13), "va": "top"} if of_axis > 0.75 else {"xytext": (0, 7), "va": "bottom"}
    axes.annotate(
        f"× {factor}", (x, y), ha="center", textcoords="offset points", fontsize=8.5, weight="bold", color=colour,
        zorder=6, bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5}, **place,
    )  # fmt: skip


def scale(axes: Axes, values: Sequence[float], intervals: Sequence[Sequence[float] | None]) -> None:
    """The scale of a panel around the ratios, and around the intervals as far as they are not much beyond them."""
    low, high = min(values), max(values)
    if high / low > 4:
        logarithmic(axes, "y", "", values, intervals)
        return
    beyond = (high - low) / 2 + 0.05 * low
    ends = [end for interval in intervals for end in interval or ()]
    low, high = max(min([low, *ends]), low - beyond), min(max([high, *ends]), high + beyond)
    middle = math.sqrt(low * high)
    low, high = min(low, middle / math.sqrt(LEAST_SPAN)), max(high, middle * math.sqrt(LEAST_SPAN))
    axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def label_runs(axes: Axes, past: History, *, with_words: bool) -> None:
    """Few ticks below a panel, with date and revision of these runs below the last panel of a column."""
    n = len(past.runs)
    places = sorted({round(place) for place in np.linspace(0, n - 1, min(n, LABELS))})
    words = [f"{date(past.runs[place].when)}\n{revision(past.runs[place])}" for place in places] if with_words else []
    axes.set_xticks(places, words or [""] * len(places), fontsize=8)
    axes.set_xlim(-0.03 * n - 0.5, 1.03 * n - 0.5)
    axes.tick_params(axis="y", labelsize=8.5)
    axes.grid(False, axis="x")
