"""The figure of one backend against other libraries: each ratio under four conditions, by batch size."""

from collections.abc import Sequence

from matplotlib.artist import Artist

from bench.analysis.peers import peer_ratios_of
from bench.records.races import RaceResult
from bench.tables.peers import CONDITIONS, baseline_and_zeros, peers_setting
from bench.tables.race import work
from bench.tables.table import with_interval
from bench.timing.worker import FLOOR
from reports.figures import style
from reports.figures.race import ONE_GENERATION
from reports.figures.style import GREY, Figure, Looks, drawn, wrapped

GAP = 0.19  # between two conditions of a row, of which one takes 1
HEADING = 0.6  # what the heading of a batch size takes


@drawn(
    "Against other libraries",
    "Right of the dashed line they take longer than the baseline. What the lowest mark of a row does not show is due "
    "to pixels that are zero; what the second does not show, to images that were prepared before.",
)
def peers(figure: Figure, races: Sequence[RaceResult]) -> None:
    """A row for each batch size and backend, with a mark and an interval for each of the four conditions."""
    rows = peer_ratios_of(races)
    ratios = [ratio for row in rows for ratio in row.ways.values()]
    intervals = [ratio.interval for ratio in ratios]
    batches = dict.fromkeys(row.batch for row in rows)
    how = f"how many times as long as {races[0].baseline}, under four conditions"
    figure.about(races[0], peers_setting(races), f"{work(races[0]).capitalize()}: {how}")
    figure.height = 0.8 + 0.6 * len(rows) + 0.34 * len(batches)
    figure.notes = [
        "A mark is the estimate, the bar its interval, from top to bottom in the order of the legend. The axis follows "
        "an interval three times as far as the outermost mark; an arrow head continues it.",
        "Backends stand in the order of their ratios for MNIST as it is at the smallest batch size, the floor last.",
        baseline_and_zeros(races[0]),
        ONE_GENERATION if None in intervals else "",
    ]
    (axes,) = figure.panels(rows, "There is no ratio in these results.")
    label = f"time over that of {wrapped(races[0].baseline)}"
    style.logarithmic(axes, "x", label, [1.0, *(ratio.estimate for ratio in ratios)], intervals)
    bottom, names, headings = 0.0, {}, {}
    marks: dict[str, Artist] = {}
    for batch in batches:
        headings[bottom + HEADING / 2] = f"batches of {batch:,}"
        bottom += HEADING
        for row in (row for row in rows if row.batch == batch):
            names[bottom + 0.5] = "floor" if row.backend == FLOOR else wrapped(row.backend)
            for i, (condition, look) in enumerate(Looks([*CONDITIONS]).items()):
                if condition in row.ways:
                    ratio, y = row.ways[condition], bottom + 0.5 + GAP * (i - 1.5)
                    name = f"{row.backend}, batches of {batch:,}, {condition}"
                    label = f"{name}\n{with_interval(ratio)} times {races[0].baseline}"
                    marks[condition] = style.draw_estimate(
                        axes, y, ratio.estimate, ratio.interval, look, label=label, size=6
                    )
            bottom += 1
    figure.in_legend = {condition: marks[condition] for condition in CONDITIONS if condition in marks}
    style.write_headings(axes, headings, HEADING)
    axes.axvline(1, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
    axes.set_yticks(list(names), list(names.values()))
    axes.set_ylim(bottom + 0.1, 0)
    axes.grid(False, axis="y")
