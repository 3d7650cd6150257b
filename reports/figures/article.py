"""The article's experiments -> tables and a figure: its figures beside ours, other settings, ReLU factor by factor."""

from statistics import fmean
from typing import TYPE_CHECKING

from bench.analysis.article import effects
from bench.records.files import ResultSet
from bench.tables.article import article_setting, effect_in_words, effect_name
from reports.figures.style import COLOURS, GREY, Drawn, framed, say, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARTICLE_CAPTION = (
    "Left: every seed a mark. Right: what the change brings, with its interval; one that reaches the dashed line may "
    "bring nothing. Changes are made one at a time, so that they do not add up."
)
BLUE, RED = COLOURS[2], COLOURS[4]
FAR = 2.5  # times the largest effect: so far the axis follows an interval


def effects_figure(results: ResultSet) -> "Figure":
    """A row a change: the accuracy of every seed, and the difference to the article's setting with its interval."""
    (race,) = results.races
    found = effects(race)
    title = "The article's ReLU network with one thing changed: per cent of the test images correct"
    notes = [
        f"Left: a mark is a seed, the bar their mean. Right: against the article's setting ({race.about['setting']}), "
        "seed by seed: mean, and Student's 95 % interval across seeds. The axis follows an interval "
        f"{FAR:g} times as far as the largest effect.",
    ]
    with framed(race.notice, article_setting(results), title, max(2.4, 0.9 + 0.42 * len(found)), notes) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for y, row in enumerate(found):
            percent = [100 * accuracy for accuracy in row.accuracies]
            left.plot(percent, [y] * len(percent), "o", color=BLUE, markersize=6, markerfacecolor="none")
            left.plot([fmean(percent)] * 2, [y - 0.3, y + 0.3], color=BLUE, linewidth=2)
            if row.difference is not None:
                if row.interval:
                    right.plot([100 * end for end in row.interval], [y, y], color=RED, linewidth=2)
                right.plot(100 * row.difference, y, "o", color=RED, markersize=7)
                right.text(
                    1.02, y, effect_in_words(row), transform=right.get_yaxis_transform(), va="center", fontsize=9
                )
        if not found:
            say(left, "No training was finished in these results.")
        far = max([2.0, *(FAR * 100 * abs(row.difference or 0) for row in found)])
        ends = [100 * end for row in found for end in (row.interval or ())]
        right.set_xlim(max(-far, min([-2.0, *ends]) * 1.05), min(far, max([2.0, *ends]) * 1.05))
        right.axvline(0, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
        left.set_yticks(range(len(found)), [wrapped(effect_name(row)) for row in found])
        left.tick_params(axis="y", length=0, labelsize=9)
        right.tick_params(axis="y", length=0)
        left.set_ylim(max(len(found), 1) - 0.5, -0.5)
        left.set_xlabel("per cent correct")
        right.set_xlabel("points more or fewer")
        for axes in (left, right):
            axes.grid(True, axis="x")
    return figure


def article_figures(relu: ResultSet | None) -> list[Drawn]:
    """The one figure."""
    return [Drawn("relu", "ReLU, one factor at a time", ARTICLE_CAPTION, effects_figure(relu))] if relu else []
