"""Training over MPI: time and bytes exchanged, with images or hidden units shared among processes."""

from collections.abc import Sequence

from bench.analysis.race import times_of
from bench.analysis.ranks import BY_IMAGES, BY_UNITS, ONE_PROCESS, Shared, crossings, shared_of
from bench.records.races import RaceResult
from bench.tables.race import disturbed, parts_of, started_by, work
from bench.tables.table import INTERVAL, Section, Table, duration, enumerated, interval_of, number, or_dash, plural

RANKS_EXPLANATION = (
    f"{BY_IMAGES}: each rank has some images of an update; the gradients of all ranks are added up. {BY_UNITS}: each "
    "rank has some of the hidden units; what they add to the outputs is gathered. Exchanged: what a rank has to tell "
    f"the others in an update. Over {ONE_PROCESS}: how many times as long as the same text takes in one process, with "
    "all threads; the ranks share them. Times include what the harness needs to send parameters to the ranks and back, "
    "once an epoch. The intervals of the last column hold together with 95 %, across generations of processes."
)


def ranks_sections(races: Sequence[RaceResult]) -> list[Section]:
    """The section with all in one table; none where nothing was measured."""
    measured = [race for race in races if race.rounds()]
    rows = shared_of(measured)
    if not rows:
        return []
    generations = min(len(race.generations) for race in measured)
    lines = [
        f"{work(measured[0]).capitalize()}: {ranks_setting(races)}.",
        *crossing_lines(rows),
        f"{plural(generations, 'generation')} of processes.",
        started_by(measured[0]),
        *disturbed(measured),
    ]
    return [Section("Training over MPI", lines, [ranks_table(measured)], RANKS_EXPLANATION)]


def ranks_setting(races: Sequence[RaceResult]) -> str:
    """Data, networks, batches, dtype, images and threads, in a line."""
    parts = parts_of(races[0])
    units = enumerated([f"{n:,}" for n in dict.fromkeys(race.key["sizes"][1] for race in races)])
    batches = enumerated([f"{n:,}" for n in dict.fromkeys(race.key["batch"] for race in races)])
    return " · ".join((parts | {"hidden": f"{units} hidden units", "batch": f"batches of {batches}"}).values())


def crossing_lines(rows: Sequence[Shared]) -> list[str]:
    """A sentence on where the two ways cross, for each number of ranks and batch size with several widths."""
    lines = []
    for ranks, batch, pairs, units_first in crossings(rows):
        where = f"{ranks} ranks, batches of {batch:,}"
        first, then = (BY_UNITS, BY_IMAGES) if units_first else (BY_IMAGES, BY_UNITS)
        if not pairs:
            lines.append(f"{where}: {first} takes less time at every width measured.")
            continue
        between = enumerated([f"{a:,} and {b:,} hidden units" for a, b in pairs])
        lines.append(f"{where}: they cross between {between}; {first} takes less time before, {then} after the first.")
    return lines


def ranks_table(races: Sequence[RaceResult]) -> Table:
    """A row for each width, batch size and number of ranks."""
    rows = []
    for row in shared_of(races):
        cells = [f"{row.units:,}", f"{row.batch:,}", str(row.ranks)]
        for way in (BY_IMAGES, BY_UNITS):
            cells.append(duration(row.seconds.get(way)))
            cells.append(or_dash(row.over_one_process.get(way), lambda ratio: f"{ratio.estimate:#.3g}"))
            cells.append(f"{number(row.exchanged[way] / 1000)} kB" if row.exchanged[way] else "0")
        cells.append(or_dash(row.over_images, lambda ratio: f"{ratio.estimate:#.3g}"))
        cells.append(interval_of(row.over_images and row.over_images.interval, "{:.3g}".format))
        rows.append(cells)
    of_way = [head for way in (BY_IMAGES, BY_UNITS) for head in (way, f"over\n{ONE_PROCESS}", "exchanged")]
    heads = ("units", "batch", "ranks", *of_way, f"{BY_UNITS}\nover\n{BY_IMAGES}", INTERVAL)
    notes = [
        f"{ONE_PROCESS}, {race.key['sizes'][1]:,} units, batches of {race.key['batch']:,}: "
        f"{duration(times_of(race).get(ONE_PROCESS))}"
        for race in races
    ]
    return Table("Time of an epoch, and what a rank has to tell the others in an update", heads, rows, notes, 0)
