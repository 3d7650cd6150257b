"""One of ours against other libraries -> rows, a table and a figure: each ratio in four ways, by batch size."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis import statistics
from bench.analysis.peers import PeerRatios, ordered_rows
from bench.records.files import ResultSet
from bench.tables.peers import WAYS, peers_setting, told_of
from bench.tables.race import work
from bench.tables.table import capitalised
from bench.timing.worker import FLOOR
from reports.figures.race import spanned
from reports.figures.style import COLOURS, GREY, LARGEST, MARKERS, Drawn, add_legend, framed, logarithmic, say, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PEERS_CAPTION = (
    "Right of the dashed line they take longer than the baseline. What the lowest mark of a row does not show is owed "
    "to pixels that are zero; what the second does not show, to images that were prepared before."
)
GAP = 0.19  # between two ways of a row, of which one takes 1


def peer_ratios(results: ResultSet) -> "Figure":
    """A row a batch size and backend, with a mark and an interval for each of the four ways."""
    lines: list[PeerRatios | int] = []  # a number: the batch size of those below it
    for row in ordered_rows(results):
        if not any(isinstance(one, PeerRatios) and one.batch == row.batch for one in lines):
            lines.append(row.batch)
        lines.append(row)
    found = [ratio for row in lines if isinstance(row, PeerRatios) for ratio in row.ways.values()]
    first = results.races[0]
    notes = [
        "A mark is the estimate, the bar its interval, from top to bottom in the order of the legend. The axis follows "
        "an interval three times as far as the outermost mark.",
        told_of(results.races),
    ]
    if any(ratio.interval is None for ratio in found):
        notes.append("Without an interval: of a single generation of processes.")
    title = f"{capitalised(work(first))}: how many times as long as {first.baseline}, in four ways"
    height = max(2.4, 0.8 + sum(0.6 if isinstance(row, PeerRatios) else 0.34 for row in lines))
    with framed(first.notice, peers_setting(results), title, height, notes) as figure:
        axes = figure.subplots()
        if not lines:
            say(axes, "There is no ratio in these results.")
            return figure
        shown = spanned([1.0, *(ratio.estimate for ratio in found)], intervals=[ratio.interval for ratio in found])
        logarithmic(axes, "x", shown)
        marks: dict[str, object] = {}
        y, names = 0.0, {}
        for one in lines:
            if isinstance(one, PeerRatios):
                names[y + 0.5] = "floor" if one.backend == FLOOR else wrapped(one.backend)
                marks |= four_marks(axes, y + 0.5, one.ways)
                y += 1
            else:
                place = axes.get_yaxis_transform()
                axes.text(
                    0.005, y + 0.3, f"batches of {one:,}", transform=place, va="center", weight="bold",
                    backgroundcolor="white",
                )  # fmt: skip
                y += 0.57
        axes.axvline(1, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
        axes.set_yticks(list(names), list(names.values()))
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(y + 0.1, 0)
        axes.set_xlabel(f"time over that of {wrapped(first.baseline)}")
        axes.grid(True, axis="x")
        add_legend(figure, {way: marks[way] for way in WAYS if way in marks})
    return figure


def four_marks(axes: "Axes", y: float, ways: Mapping[str, statistics.Ratio]) -> dict[str, object]:
    """The ratios of one row, one below the other; the marks by way, for the legend."""
    marks: dict[str, object] = {}
    for number, way in enumerate(WAYS):
        if way in ways:
            ratio, here, colour = ways[way], y + GAP * (number - 1.5), COLOURS[number]
            if ratio.interval:
                ends = np.clip(ratio.interval, 1 / LARGEST, LARGEST)  # they may be 0 and infinite
                axes.plot(ends, [here] * 2, color=colour, linewidth=1.8, solid_capstyle="butt")
            (marks[way],) = axes.plot(
                ratio.estimate, here, MARKERS[number], color=colour, markersize=6, linestyle="none"
            )
    return marks


def peers_figures(results: ResultSet) -> list[Drawn]:
    """The one figure."""
    return [Drawn("peers", "Against other libraries", PEERS_CAPTION, peer_ratios(results))]
