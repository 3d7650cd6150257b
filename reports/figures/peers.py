"""One of our backends against other libraries: each ratio under four conditions, by batch size."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.analysis import statistics
from bench.analysis.peers import peer_ratios_of
from bench.records.races import RaceResult
from bench.tables.peers import CONDITIONS, baseline_and_zeros, peers_setting
from bench.tables.race import work
from bench.timing.worker import FLOOR
from reports.figures.race import spanned
from reports.figures.style import (
    COLOURS,
    GREY,
    MARKERS,
    Figure,
    add_legend,
    draw_interval,
    framed,
    logarithmic,
    say,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

PEERS_CAPTION = (
    "Right of the dashed line they take longer than the baseline. What the lowest mark of a row does not show is due "
    "to pixels that are zero; what the second does not show, to images that were prepared before."
)
GAP = 0.19  # between two conditions of a row, of which one takes 1
HEADING = 0.57  # what the heading of a batch size takes


def peer_ratios(races: Sequence[RaceResult]) -> "Drawing":
    """A row a batch size and backend, with a mark and an interval for each of the four conditions."""
    rows = peer_ratios_of(races)
    ratios = [ratio for row in rows for ratio in row.ways.values()]
    batches = list(dict.fromkeys(row.batch for row in rows))
    first = races[0]
    notes = [
        "A mark is the estimate, the bar its interval, from top to bottom in the order of the legend. The axis follows "
        "an interval three times as far as the outermost mark; an arrow head continues it.",
        baseline_and_zeros(first),
    ]
    if any(ratio.interval is None for ratio in ratios):
        notes.append("Without an interval: of a single generation of processes.")
    title = f"{work(first).capitalize()}: how many times as long as {first.baseline}, under four conditions"
    height = max(2.4, 0.8 + 0.6 * len(rows) + 0.34 * len(batches))
    with framed(first.notice, peers_setting(races), title, height, notes) as figure:
        axes = figure.subplots()
        if not rows:
            say(axes, "There is no ratio in these results.")
            return figure
        logarithmic(
            axes, "x", spanned([1.0, *(one.estimate for one in ratios)], intervals=[one.interval for one in ratios])
        )
        marks: dict[str, object] = {}
        y, names = 0.0, {}
        for batch in batches:
            axes.text(
                0.005, y + 0.3, f"batches of {batch:,}", transform=axes.get_yaxis_transform(), va="center",
                weight="bold", backgroundcolor="white",
            )  # fmt: skip
            y += HEADING
            for row in (row for row in rows if row.batch == batch):
                names[y + 0.5] = "floor" if row.backend == FLOOR else wrapped(row.backend)
                marks |= four_marks(axes, y + 0.5, row.ways)
                y += 1
        axes.vlines(1, HEADING, y, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
        axes.set_yticks(list(names), list(names.values()))
        axes.tick_params(axis="y", length=0)
        axes.spines.left.set_visible(False)  # which the headings would cut into pieces
        axes.set_ylim(y + 0.1, 0)
        axes.set_xlabel(f"time over that of {wrapped(first.baseline)}")
        axes.grid(True, axis="x")
        add_legend(figure, {condition: marks[condition] for condition in CONDITIONS if condition in marks})
    return figure


def four_marks(axes: "Axes", y: float, ways: Mapping[str, statistics.Ratio]) -> dict[str, object]:
    """The ratios of one row, one below the other; the marks by condition, for the legend."""
    marks: dict[str, object] = {}
    for i, condition in enumerate(CONDITIONS):
        if condition in ways:
            ratio, here, colour = ways[condition], y + GAP * (i - 1.5), COLOURS[i]
            draw_interval(axes, here, ratio.interval, colour)
            (marks[condition],) = axes.plot(
                ratio.estimate, here, MARKERS[i], color=colour, markersize=6, linestyle="none"
            )
    return marks


def peers_figures(races: Sequence[RaceResult]) -> list[Figure]:
    """The one figure."""
    return [Figure("peers", "Against other libraries", PEERS_CAPTION, peer_ratios(races))]
