"""Two revisions that raced against each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.analysis import statistics
from bench.analysis.compare import changes, verdict
from bench.records.races import RaceResult
from bench.tables.race import race_setting
from bench.tables.table import percent, with_interval
from reports.figures.style import (
    GREY,
    Figure,
    Looks,
    draw_interval,
    framed,
    name_rows,
    rows_height,
    say,
    write_right,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

NEAR, FARTHEST = (0.93, 1.07), 4.0  # after over before that the axis shows: always, and at most
COMPARE_CAPTION = (
    "Left of the dashed line it has become faster. An interval that reaches the dashed line shows no significant "
    "difference; dotted: the margin within which a slowdown does not count."
)


def comparison(races: Sequence[RaceResult], look: Looks) -> "Drawing":
    """After over before, with intervals, a row a backend."""
    ratios = {name: ratio for name, ratio in changes(races).items() if ratio}
    race = races[0]
    notes = [f"A mark is the estimate, the bar its interval. Dotted: a margin of {percent(statistics.MARGIN)}."]
    title = "Has it become slower? Time after over time before"
    with framed(race.notice, race_setting(race), title, rows_height(ratios), notes) as figure:
        axes = figure.subplots()
        if not ratios:
            say(axes, "No backend was measured on both sides.")
            return figure
        ends = [end for ratio in ratios.values() for end in (*(ratio.interval or ()), ratio.estimate)]
        low, high = (min(NEAR[0], *ends), max(NEAR[1], *ends))
        axes.set_xlim(max(low - 0.02, 0), min(high + 0.02, FARTHEST))
        for y, (name, ratio) in enumerate(ratios.items()):
            colour, marker = (look[name].colour, look[name].marker) if name in look else ("#0072B2", "o")
            draw_interval(axes, y, ratio.interval, colour)
            axes.plot(ratio.estimate, y, marker, color=colour, markersize=8)
            write_right(axes, y, f"{with_interval(ratio)}: {verdict(ratio)}")
        axes.axvline(1, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
        axes.axvline(1 + statistics.MARGIN, color=GREY, linestyle=":", linewidth=1.2, zorder=1)
        name_rows(axes, list(ratios))
        axes.set_xlabel("time after over time before")
    return figure


def compare_figures(races: Sequence[RaceResult], look: Looks) -> list[Figure]:
    """The one figure."""
    return [Figure("comparison", "After over before", COMPARE_CAPTION, comparison(races, look))]
