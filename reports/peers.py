"""One of ours against other libraries -> rows, a table and a figure: each ratio in four ways, by batch size."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.four_ways import Row, rows_of
from bench.measuring import FLOOR
from bench.raced import Raced
from bench.results import ResultSet
from bench.statistics import Ratio
from reports import races
from reports.figures import COLOURS, GREY, LARGEST, MARKERS, Drawn, add_legend, framed, logarithmic, say, wrapped
from reports.race_figures import spanned
from reports.tables import NONE, Section, Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WAYS = ("as is", "prepared", "shuffled", "no zeros")  # of a row's ratios, as the table and the figure have them
HEADS = {"as is": "as\nis", "prepared": "prepared", "shuffled": "shuffled", "no zeros": "no\nzeros"}
WHAT_PEERS_ARE = (
    "How many times as long as the baseline everybody takes for a round. As is: the images as they are, in the order "
    "of the file. Prepared: preparing the images is charged to a single round. No zeros: no pixel is zero, so that "
    "nothing can be skipped. The intervals of one column at one batch size hold together with 95 %, across generations "
    "of processes. Floor: the first layer's products over all images, a NumPy matmul each."
)
CAPTION = (
    "Right of the dashed line they take longer than the baseline. What the lowest mark of a row does not show is owed "
    "to pixels that are zero; what the second does not show, to images that were prepared before."
)
GAP = 0.19  # between two ways of a row, of which one takes 1


def told_of(races_: Sequence[Raced]) -> str:
    """Whose ratios these are, and what share of pixels may be skipped."""
    first = races_[0]
    zeros = first.about.get("zeros")
    if not isinstance(zeros, float):
        return f"Against {first.baseline}."
    skipped = f"{races.percent(zeros)} of the pixels are zero, and may be skipped, but for no zeros."
    return f"Against {first.baseline}. {skipped}"


def setting(results: ResultSet) -> str:
    """Data, network, batches, dtype, images and threads, in a line."""
    parts = races.parts_of(results.races[0])
    batches = ", ".join(f"{batch:,}" for batch in dict.fromkeys(race.key["batch"] for race in results.races))
    rest = parts["batch"].partition(", ")[2]  # momentum and what else there is
    return " · ".join((parts | {"batch": ", ".join(filter(None, [f"batches of {batches}", rest]))}).values())


def sections(results: ResultSet) -> list[Section]:
    """One, with all ratios side by side."""
    generations = min(len(race.generations) for race in results.races)
    lines = [
        f"{races.capitalised(races.work(results.races[0]))}: {setting(results)}.",
        told_of(results.races),
        f"{generations} generation{'s' * (generations != 1)} of processes.",
        races.begun(results.races[0]),
        *races.disturbed(results.races),
    ]
    return [Section("Against other libraries, in four ways", lines, [table(results)], WHAT_PEERS_ARE, ["peers"])]


def rows(results: ResultSet) -> list[Row]:
    """The ratios by batch size, everybody in the same order at each, the floor at last."""
    found = rows_of(results.races)
    names = list(dict.fromkeys(row.backend for row in found))
    return sorted(found, key=lambda row: (row.batch, row.backend == FLOOR, names.index(row.backend)))


def table(results: ResultSet) -> Sheet:
    """A row a batch size and backend, with four ratios and their intervals."""
    cells_of = [
        [row.backend, f"{row.batch:,}", *(cell for way in WAYS for cell in cells(row.ways.get(way)))]
        for row in rows(results)
    ]
    heads = [head for way in WAYS for head in (HEADS[way], "95 %\ninterval")]
    title = f"How many times as long as {results.races[0].baseline} they take"
    return Sheet(title, ("backend", "batch", *heads), cells_of, [])


def cells(ratio: Ratio | None) -> tuple[str, str]:
    """An estimate, and its interval, in three digits, as there are four beside each other."""
    if ratio is None:
        return NONE, NONE
    interval = " to\n".join(f"{end:.3g}" for end in ratio.interval) if ratio.interval else NONE
    return f"{ratio.estimate:#.3g}", interval


# --- the figure ------------------------------------------------------------------------------------------


def ratios(results: ResultSet) -> "Figure":
    """A row a batch size and backend, with a mark and an interval for each of the four ways."""
    lines: list[Row | int] = []  # a number: the batch size of those below it
    for row in rows(results):
        if not any(isinstance(one, Row) and one.batch == row.batch for one in lines):
            lines.append(row.batch)
        lines.append(row)
    found = [ratio for row in lines if isinstance(row, Row) for ratio in row.ways.values()]
    first = results.races[0]
    notes = [
        "A mark is the estimate, the bar its interval, from top to bottom in the order of the legend. The axis follows "
        "an interval three times as far as the outermost mark.",
        told_of(results.races),
    ]
    if any(ratio.interval is None for ratio in found):
        notes.append("Without an interval: of a single generation of processes.")
    title = f"{races.capitalised(races.work(first))}: how many times as long as {first.baseline}, in four ways"
    height = max(2.4, 0.8 + sum(0.6 if isinstance(row, Row) else 0.34 for row in lines))
    with framed(first.notice, setting(results), title, height, notes) as figure:
        axes = figure.subplots()
        if not lines:
            say(axes, "There is no ratio in these results.")
            return figure
        shown = spanned([1.0, *(ratio.estimate for ratio in found)], intervals=[ratio.interval for ratio in found])
        logarithmic(axes, "x", shown)
        marks: dict[str, object] = {}
        y, names = 0.0, {}
        for one in lines:
            if isinstance(one, Row):
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


def four_marks(axes: "Axes", y: float, ways: Mapping[str, Ratio]) -> dict[str, object]:
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


def drawn(results: ResultSet) -> list[Drawn]:
    """The one figure."""
    return [Drawn("peers", "Against other libraries", CAPTION, ratios(results))]
