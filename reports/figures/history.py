"""The history of each backend's ratio to the floor, a panel a backend."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.analysis.history import Change, Course, History
from bench.tables.history import date, revision
from bench.tables.race import race_setting
from bench.tables.table import number, printable
from reports.figures import style
from reports.figures.style import BLUE, GREY, RED, Figure, Look, Looks, drawn, logarithmic

COLUMNS = 2  # of panels
PANEL = 1.55  # inches, of each
LABELS = 4  # of runs, below each column of panels
FEW = 60  # runs that have a mark each
LEAST_SPAN = 1.2  # between the ends of an axis


@drawn(
    "History",
    "Lower is faster. Each panel has a scale of its own. Bars or the band are the 95 % intervals of the runs, the dark "
    "line is the level that holds for several runs. A triangle marks a change that exceeds the intervals, with how "
    "many times as long (up, red) or as fast (down, blue) the backend is since then.",
)
def history(figure: Figure, past: History, look: Looks, order: int) -> None:
    """Times the floor over runs, in the order of time, with levels and changes. order: of the history, from 1."""
    figure.name = f"history-{order}"
    newest = past.runs[-1]
    figure.about(newest.race, race_setting(newest.race), "How many times as long as the floor, from run to run")
    figure.notes = [
        "Runs stand side by side in the order of time, whatever time lies between them. Where a line is interrupted, "
        "the backend did not run. From a dotted line on, the floor is another one: another NumPy, BLAS or "
        "measuring code."
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
    for places in past.yardsticks[1:]:
        axes.axvline(places[0] - 0.5, color=GREY, linestyle=":", linewidth=1.2)
    for course in courses:
        draw_course(axes, past, course, name, look)
        for level in course.levels:
            ends = [level.first - 0.4, level.last + 0.4]
            for colour, width in (("white", 3.5), ("black", 1.4)):  # the line, and its rim
                axes.plot(ends, [level.ratio] * 2, color=colour, linewidth=width, solid_capstyle="butt", zorder=4)
        for change in course.changes:
            draw_change(axes, change, len(past.runs))


def draw_course(axes: Axes, past: History, course: Course, name: str, look: Look) -> None:
    """A line through all runs of a course, interrupted where there are other runs between them, in a band."""
    places = range(course.places[0], course.places[-1] + 1)
    known = {place: past.runs[place].ratios[name] for place in course.places}
    estimates = [known[place].estimate if place in known else math.nan for place in places]
    ends = [(place in known and known[place].interval) or (math.nan, math.nan) for place in places]
    axes.plot(places, estimates, color=look.colour, linewidth=0.9)
    if len(past.runs) > FEW:
        axes.fill_between(places, *np.transpose(ends), color=look.colour, alpha=0.25, linewidth=0)
        shown = [place for place in known if not {place - 1, place + 1} & known.keys()]
    else:
        axes.vlines(places, *np.transpose(ends), color=look.colour, linewidth=1.2, alpha=0.6)
        shown = [*known]
    marks: dict[str, Any] = {"markersize": 5.0 if len(past.runs) <= FEW else 3.0, "zorder": 5}
    axes.plot(shown, [known[place].estimate for place in shown], look.marker, color=look.colour, **marks)


def draw_change(axes: Axes, change: Change, n_runs: int) -> None:
    """A triangle between the levels of a change, and its factor beside it."""
    slower = change.ratio > 1
    colour, marker = (RED, "^") if slower else (BLUE, "v")
    old, new = change.levels
    x, y = new.first - 0.5, math.sqrt(old.ratio * new.ratio)
    axes.plot(x, y, marker, color=colour, markersize=8, markeredgecolor="white", zorder=6)
    factor = number(change.ratio if slower else 1 / change.ratio)
    on_left = x > n_runs / 6 if slower else x > n_runs * 5 / 6  # so that of a short disturbance both can be read
    axes.annotate(
        f"× {factor}", (x, y), (-7 if on_left else 7, 0), ha="right" if on_left else "left", va="center",
        textcoords="offset points", fontsize=8.5, weight="bold", color=colour, zorder=5,
        bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5},
    )  # fmt: skip


def scale(axes: Axes, values: Sequence[float], intervals: Sequence[Sequence[float] | None]) -> None:
    """The scale of a panel around the ratios, and around the intervals as far as they are not much beyond them."""
    low, high = min(values), max(values)
    if high / low > 4:
        logarithmic(axes, "y", "", values, intervals)
        return
    beyond = (high - low) / 2 + 0.12 * low
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
    words = (
        [f"{date(past.runs[place].when)}\n{revision(past.runs[place]).replace('+changes', '+')}" for place in places]
        if with_words
        else []
    )
    axes.set_xticks(places, words or [""] * len(places), fontsize=8)
    axes.set_xlim(-0.03 * n - 0.5, 1.03 * n - 0.5)
    axes.tick_params(axis="y", labelsize=8.5)
    axes.grid(False, axis="x")
