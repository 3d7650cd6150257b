"""One of ours against other libraries, as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from bench.analysis import statistics
from bench.analysis.peers import ordered_rows, peer_ratios_of
from bench.records.files import ResultSet
from bench.records.races import RaceResult
from bench.tables.race import begun, disturbed, parts_of, show_left_out, work
from bench.tables.table import NONE, Section, Sheet, capitalised, percent, table_of
from bench.timing.worker import FLOOR

if TYPE_CHECKING:
    pass

WAYS = ("as is", "prepared", "shuffled", "no zeros")  # of a row's ratios, as the table and the figure have them
HEADS = {"as is": "as\nis", "prepared": "prepared", "shuffled": "shuffled", "no zeros": "no\nzeros"}
WHAT_PEERS_ARE = (
    "How many times as long as the baseline everybody takes for a round. As is: the images as they are, in the order "
    "of the file. Prepared: preparing the images is charged to a single round. No zeros: no pixel is zero, so that "
    "nothing can be skipped. The intervals of one column at one batch size hold together with 95 %, across generations "
    "of processes. Floor: the first layer's products over all images, a NumPy matmul each."
)


def told_of(races_: Sequence[RaceResult]) -> str:
    """Whose ratios these are, and what share of pixels may be skipped."""
    first = races_[0]
    zeros = first.about.get("zeros")
    if not isinstance(zeros, float):
        return f"Against {first.baseline}."
    skipped = f"{percent(zeros)} of the pixels are zero, and may be skipped, but for no zeros."
    return f"Against {first.baseline}. {skipped}"


def peers_setting(results: ResultSet) -> str:
    """Data, network, batches, dtype, images and threads, in a line."""
    parts = parts_of(results.races[0])
    batches = ", ".join(f"{batch:,}" for batch in dict.fromkeys(race.key["batch"] for race in results.races))
    rest = parts["batch"].partition(", ")[2]  # momentum and what else there is
    return " · ".join((parts | {"batch": ", ".join(filter(None, [f"batches of {batches}", rest]))}).values())


def peers_sections(results: ResultSet) -> list[Section]:
    """One, with all ratios side by side."""
    generations = min(len(race.generations) for race in results.races)
    lines = [
        f"{capitalised(work(results.races[0]))}: {peers_setting(results)}.",
        told_of(results.races),
        f"{generations} generation{'s' * (generations != 1)} of processes.",
        begun(results.races[0]),
        *disturbed(results.races),
    ]
    return [Section("Against other libraries, in four ways", lines, [peers_table(results)], WHAT_PEERS_ARE, ["peers"])]


def peers_table(results: ResultSet) -> Sheet:
    """A row a batch size and backend, with four ratios and their intervals."""
    cells_of = [
        [row.backend, f"{row.batch:,}", *(cell for way in WAYS for cell in ratio_cells(row.ways.get(way)))]
        for row in ordered_rows(results)
    ]
    heads = [head for way in WAYS for head in (HEADS[way], "95 %\ninterval")]
    title = f"How many times as long as {results.races[0].baseline} they take"
    return Sheet(title, ("backend", "batch", *heads), cells_of, [])


def ratio_cells(ratio: statistics.Ratio | None) -> tuple[str, str]:
    """An estimate, and its interval, in three digits, as there are four beside each other."""
    if ratio is None:
        return NONE, NONE
    interval = " to\n".join(f"{end:.3g}" for end in ratio.interval) if ratio.interval else NONE
    return f"{ratio.estimate:#.3g}", interval


def print_peers(console: Console, races: list[RaceResult]) -> None:
    """The four ratios, side by side."""
    measured = [one for one in races if one.rounds()]
    if not measured:
        return
    first = measured[0]
    zeros = float(first.about["zeros"])
    table = table_of("", "as is", "with preparation", "shuffled", "no zeros")
    table.columns[0].no_wrap = True
    for row in peer_ratios_of(measured):
        name = "the floor" if row.backend == FLOOR else row.backend
        cells = (print_ratio(row.ways.get(way)) for way in ("as is", "prepared", "shuffled", "no zeros"))
        table.add_row(f"{row.batch:,}: {escape(name)}", *cells)
    console.print(f"\nBy images an update: how many times as long as {escape(first.baseline)} they take")
    console.print(table)
    console.print(
        f"{first.key['network']}, {first.key['dtype']}, {first.key['plan'].partition(', ')[2] or 'plain SGD'}, "
        f"{first.key['images']:,} images, {first.key['threads']} threads. {zeros:.0%} of their pixels are zero, "
        "and may be skipped, but for the last column. With preparation: that of the images is charged to a "
        "single pass. In brackets 95 % intervals, of a column's ratios at one size together, across "
        f"{min(len(one.generations) for one in measured)} generations of processes. The floor: the first layer's two "
        "products, dense."
    )
    for one in measured:
        show_left_out(console, one)


def print_ratio(ratio: statistics.Ratio | None) -> str:
    """An estimate and its interval."""
    if ratio is None:
        return ""
    interval = f" \\[{ratio.interval.low:.3g}, {ratio.interval.high:.3g}]" if ratio.interval else ""
    return f"{ratio.estimate:.3g}{interval}"
