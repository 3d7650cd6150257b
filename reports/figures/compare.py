"""The figure of two revisions that raced against each other."""

from collections.abc import Sequence

from bench.analysis import statistics
from bench.analysis.compare import changes, verdict
from bench.records.races import RaceResult
from bench.tables.race import race_setting
from bench.tables.table import percent, with_interval
from reports.figures import style
from reports.figures.style import BLUE, GREY, Figure, Look, Looks, drawn

NEAR, FARTHEST = (0.93, 1.07), 4.0  # after over before that the axis shows: always, and at most


@drawn(
    "After over before",
    "Left of the dashed line it has become faster. An interval that reaches the dashed line shows no significant "
    "difference; dotted: the margin within which a slowdown does not count.",
)
def comparison(figure: Figure, races: Sequence[RaceResult], look: Looks) -> None:
    """After over before, with intervals, a row for each backend."""
    ratios = {name: ratio for name, ratio in changes(races).items() if ratio}
    figure.about(races[0], race_setting(races[0]), "Has it become slower? Time after over time before")
    figure.notes = [f"A mark is the estimate, the bar its interval. Dotted: a margin of {percent(statistics.MARGIN)}."]
    (axes,) = figure.panels(ratios, "No backend was measured on both sides.")
    ends = [end for ratio in ratios.values() for end in (*(ratio.interval or ()), ratio.estimate)]
    low, high = min(NEAR[0], *ends), max(NEAR[1], *ends)
    axes.set(xlim=(max(low - 0.02, 0), min(high + 0.02, FARTHEST)), xlabel="time after over time before")
    for y, (name, ratio) in enumerate(ratios.items()):
        words = f"{with_interval(ratio)}: {verdict(ratio)}"
        looks, label = look.get(name, Look(BLUE, "o")), f"{name}\n{words}"
        style.draw_estimate(axes, y, ratio.estimate, ratio.interval, looks, words, label=label)
    axes.axvline(1, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
    axes.axvline(1 + statistics.MARGIN, color=GREY, linestyle=":", linewidth=1.2, zorder=1)
    figure.name_rows(axes, ratios)
