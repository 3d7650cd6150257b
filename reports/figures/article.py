"""The article's ReLU network, one factor changed at a time."""

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from bench.analysis.article import effects
from bench.records.races import RaceResult
from bench.tables.article import article_setting, effect_in_words, effect_name
from reports.figures.style import COLOURS, GREY, Figure, draw_interval, framed, name_rows, say, write_right

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

ARTICLE_CAPTION = (
    "Left: every seed a mark. Right: the effect of the change, with its interval; one that reaches the dashed line is "
    "not significant. Changes are made one at a time, so that they do not add up."
)
BLUE, RED = COLOURS[2], COLOURS[4]
FAR = 2.5  # times the largest effect: so far the axis follows an interval


def effects_figure(races: Sequence[RaceResult]) -> "Drawing":
    """A row a change: the accuracy of every seed, and the difference to the article's setting with its interval."""
    (race,) = races
    rows = effects(race)
    title = "The article's ReLU network with one thing changed: per cent of the test images correct"
    notes = [
        "Left: a mark is a seed, the bar their mean. Right: relative to the article's setting "
        f"({race.about['setting']}), seed by seed: mean, and Student's 95 % interval across seeds. The axis follows an "
        f"interval {FAR:g} times as far as the largest effect; an arrow head continues it.",
    ]
    with framed(race.notice, article_setting(races), title, max(2.4, 0.9 + 0.42 * len(rows)), notes) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        far = max([2.0, *(FAR * 100 * abs(row.difference or 0) for row in rows)])
        ends = [100 * end for row in rows for end in (row.interval or ())]
        right.set_xlim(max(-far, min([-2.0, *ends]) * 1.05), min(far, max([2.0, *ends]) * 1.05))
        for y, row in enumerate(rows):
            percent = [100 * accuracy for accuracy in row.accuracies]
            left.plot(percent, [y] * len(percent), "o", color=BLUE, markersize=6, markerfacecolor="none")
            left.plot([fmean(percent)] * 2, [y - 0.3, y + 0.3], color=BLUE, linewidth=2)
            if row.difference is not None:
                draw_interval(right, y, [100 * end for end in row.interval or ()], RED)
                right.plot(100 * row.difference, y, "o", color=RED, markersize=7)
                write_right(right, y, effect_in_words(row))
        if not rows:
            say(left, "No training was finished in these results.")
        right.axvline(0, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
        for axes, label in ((left, "per cent correct"), (right, "points more or fewer")):
            name_rows(axes, [effect_name(row) for row in rows])
            axes.tick_params(axis="y", length=0, labelsize=9)
            axes.set_xlabel(label)
        right.tick_params(labelleft=False)
    return figure


def article_figures(races: Sequence[RaceResult]) -> list[Figure]:
    """The one figure."""
    return [Figure("relu", "ReLU, one factor at a time", ARTICLE_CAPTION, effects_figure(races))]
