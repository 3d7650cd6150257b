"""One backend against other libraries, each ratio under four conditions."""

from collections.abc import Sequence

from bench.analysis.peers import peer_ratios_of
from bench.records.races import RaceResult
from bench.tables.race import disturbed, parts_of, started_by, work
from bench.tables.table import INTERVAL, NONE, Section, Table, interval_of, percent, plural

CONDITIONS = {  # of the ratios, with their heads
    "MNIST as it is": "MNIST\nas it is",
    "preparation included": "preparation\nincluded",
    "shuffled": "shuffled",
    "all pixels non-zero": "all pixels\nnon-zero",
}
PEERS_EXPLANATION = (
    "How many times as long as the baseline an epoch takes. MNIST as it is: the images in one random order. "
    "Preparation included: preparing the images is charged to a single epoch. All pixels non-zero: nothing can be "
    "skipped. The intervals of one column at one batch size hold together with 95 %, across generations of processes. "
    "Floor: the first layer's products over all images, as one NumPy matmul each."
)


def peers_sections(races: Sequence[RaceResult]) -> list[Section]:
    """The section with all ratios in one table; none where nothing was measured."""
    measured = [race for race in races if race.rounds()]
    if not measured:
        return []
    first, generations = measured[0], min(len(race.generations) for race in measured)
    lines = [
        f"{work(first).capitalize()}: {peers_setting(races)}.",
        baseline_and_zeros(first),
        f"{plural(generations, 'generation')} of processes.",
        started_by(first),
        *disturbed(measured),
    ]
    title = "Against other libraries, under four conditions"
    return [Section(title, lines, [peers_table(measured)], PEERS_EXPLANATION, ["peers"])]


def baseline_and_zeros(race: RaceResult) -> str:
    """What the ratios are to, and what share of pixels may be skipped."""
    zeros = race.about.get("zeros")
    skipped = f" {percent(zeros)} of the pixels are zero, and may be skipped, except under the last condition."
    return f"Ratios to {race.baseline}.{skipped if isinstance(zeros, float) else ''}"


def peers_setting(races: Sequence[RaceResult]) -> str:
    """Data, network, batches, dtype, images and threads, in a line."""
    parts = parts_of(races[0])
    batches = ", ".join(f"{batch:,}" for batch in dict.fromkeys(race.key["batch"] for race in races))
    rest = parts["batch"].partition(", ")[2]  # momentum and the like
    return " · ".join((parts | {"batch": ", ".join(filter(None, [f"batches of {batches}", rest]))}).values())


def peers_table(races: Sequence[RaceResult]) -> Table:
    """A row for each batch size and backend, with four ratios and intervals: in three digits, as many share a row."""
    rows = []
    for peer in peer_ratios_of(races):
        cells = [peer.backend, f"{peer.batch:,}"]
        for ratio in map(peer.ways.get, CONDITIONS):
            cells.append(f"{ratio.estimate:#.3g}" if ratio else NONE)
            cells.append(interval_of(ratio and ratio.interval, "{:.3g}".format))
        rows.append(cells)
    heads = [head for condition in CONDITIONS.values() for head in (condition, INTERVAL)]
    return Table(f"How many times as long as {races[0].baseline} they take", ("backend", "batch", *heads), rows)
