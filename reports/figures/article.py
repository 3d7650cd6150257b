"""The figure of the article's ReLU network, one factor changed at a time."""

from collections.abc import Sequence
from statistics import fmean

from bench.analysis.article import effects
from bench.records.races import RaceResult
from bench.tables.article import article_setting, effect_in_words, effect_name
from bench.tables.table import share
from reports.figures import style
from reports.figures.style import BLUE, GREY, RED, Figure, Look, drawn

FAR = 2.5  # times the largest effect: so far the axis follows an interval


@drawn(
    "ReLU, one factor at a time",
    "Left: every seed a mark. Right: the effect of the change, with its interval; one that reaches the dashed line is "
    "not significant. Changes are made one at a time, so that they do not add up.",
)
def relu(figure: Figure, races: Sequence[RaceResult]) -> None:
    """A row for each change: the accuracy of every seed, and the difference to the setting with its interval."""
    (race,) = races
    rows = effects(race)
    heading = "The article's ReLU network with one thing changed: per cent of the test images correct"
    figure.about(race, article_setting(races), heading)
    figure.notes = [
        "Left: a mark is a seed, the bar their mean. Right: relative to the article's setting "
        f"({race.about['setting']}), seed by seed: mean, and Student's 95 % interval across seeds. The axis follows an "
        f"interval {FAR:g} times as far as the largest effect; an arrow head continues it.",
    ]
    left, right = figure.panels(rows, "No training was finished in these results.", 2, sharey=True)
    far = max([2.0, *(FAR * 100 * abs(row.difference or 0) for row in rows)])
    ends = [100 * end for row in rows for end in (row.interval or ())]
    right.set_xlim(max(-far, min([-2.0, *ends]) * 1.05), min(far, max([2.0, *ends]) * 1.05))
    for y, row in enumerate(rows):
        percent = [100 * accuracy for accuracy in row.accuracies]
        name = effect_name(row).replace("\n", " ")
        labels = [f"{name}\n{share(accuracy)} correct, one of {len(percent)} seeds" for accuracy in row.accuracies]
        style.draw_samples(left, y, percent, fmean(percent), Look(BLUE, "o"), labels=labels)
        if row.difference is not None:
            interval = [100 * end for end in row.interval or ()]
            words = effect_in_words(row)
            label = f"{name}\n{words} points, mean over seeds"
            style.draw_estimate(right, y, 100 * row.difference, interval, Look(RED, "o"), words, label=label)
    right.axvline(0, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
    for axes, label in ((left, "per cent correct"), (right, "points more or fewer")):
        figure.name_rows(axes, map(effect_name, rows))
        axes.tick_params(axis="y", length=0, labelsize=9)
        axes.set_xlabel(label)
    right.tick_params(labelleft=False)
