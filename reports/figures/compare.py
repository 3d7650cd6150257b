"""What stands side by side: two revisions that raced against each other, and races of several files."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis import statistics
from bench.analysis.compare import changes, verdict
from bench.records.files import ResultSet
from bench.tables.race import race_setting
from bench.tables.table import percent, with_interval
from reports.figures.style import GREY, Drawn, Look, framed, say, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEAR, FARTHEST = (0.93, 1.07), 4.0  # after over before that the axis shows: always, and at most
COMPARE_CAPTION = (
    "Left of the dashed line it has become faster. An interval that reaches the dashed line tells no difference; "
    "dotted: the margin within which a slowdown does not count."
)


def comparison(results: ResultSet, look: Mapping[str, Look]) -> "Figure":
    """After over before, with intervals, a row a backend."""
    found = {name: ratio for name, ratio in changes(results).items() if ratio}
    race = results.races[0]
    notes = [f"A mark is the estimate, the bar its interval. Dotted: a margin of {percent(statistics.MARGIN)}."]
    height = 1.0 + sum(0.2 * wrapped(name).count("\n") + 0.34 for name in found)
    title = "Has it become slower? Time after over time before"
    with framed(race.notice, race_setting(race), title, max(2.2, height), notes) as figure:
        axes = figure.subplots()
        if not found:
            say(axes, "Nobody was measured on both sides.")
            return figure
        for y, (name, ratio) in enumerate(found.items()):
            colour, marker = (look[name].colour, look[name].marker) if name in look else ("#0072B2", "o")
            if ratio.interval:
                axes.plot(
                    np.clip(ratio.interval, 0, 10 * FARTHEST), [y, y], color=colour, linewidth=2, solid_capstyle="butt"
                )
            axes.plot(ratio.estimate, y, marker, color=colour, markersize=8)
            said = f"{with_interval(ratio)}: {verdict(ratio)}"
            axes.text(1.02, y, said, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
        axes.axvline(1, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
        axes.axvline(1 + statistics.MARGIN, color=GREY, linestyle=":", linewidth=1.2, zorder=1)
        axes.set_yticks(range(len(found)), list(map(wrapped, found)))
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.set_xlabel("time after over time before")
        axes.grid(True, axis="x")
        ends = [end for ratio in found.values() for end in (*(ratio.interval or ()), ratio.estimate)]
        low, high = (min(NEAR[0], *ends), max(NEAR[1], *ends))
        axes.set_xlim(max(low - 0.02, 0), min(high + 0.02, FARTHEST))
    return figure


def compare_figures(results: ResultSet, look: Mapping[str, Look]) -> list[Drawn]:
    """The one figure."""
    return [Drawn("comparison", "Before and after", COMPARE_CAPTION, comparison(results, look))]
