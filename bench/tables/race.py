"""A race, or a sweep of races: speed, resources, how time grows, and what disturbed the measurement."""

from collections.abc import Iterable, Sequence

from bench.analysis import statistics
from bench.analysis.race import (
    GROWING,
    disturbances,
    growths,
    machine_rate,
    ratios_of_race,
    resources,
    size_of,
    swept,
    times_of,
)
from bench.records.races import RaceResult
from bench.tables.table import (
    INTERVAL,
    NONE,
    ROOM,
    Section,
    Table,
    capitalised,
    duration,
    enumerated,
    epochs_in_words,
    mebibytes,
    number,
    or_dash,
    percent,
    plural,
    power,
    ratio_cells,
    with_interval,
)
from bench.timing.worker import FLOOR

WORK = {
    "epoch": "an epoch of {:,} images",
    "gradient": "one gradient of {:,} images",
    "outputs": "the outputs of {:,} images",
}
RACE_EXPLANATION = (
    "Each backend runs in processes of its own, and their measurements are interleaved. A ratio is that of two times "
    "in the same round. Intervals are across generations of processes, and hold for all ratios together with 95 %. "
    "Backends of equal rank cannot be distinguished. GFLOP/s: dense arithmetic over time; shares above 100 % come from "
    "skipping zeros. Floor: the first layer's products over all images, as one NumPy matmul each. "
    "CPU: time of all threads over wall time. Cold call: the first one with nothing compiled (--cold); first call: "
    "with compiled code on disk. Break-even: epochs, with preparation and first call, after which a backend is ahead "
    "of the baseline, with compiled code on disk / with nothing compiled. Memory: the peak of the process, and what a "
    "call adds."
)
GROWTH_EXPLANATION = (
    "The power is fitted to the logarithms of size and seconds. Its interval, from three sizes on, says how closely "
    "the points follow a straight line."
)
RACE_FIGURES = ["ratios", "lines-of-code", "break-even", "memory", "roofline", "agreement"]


def race_section(race: RaceResult) -> Section:
    """One race: what was measured, speed and resources."""
    return Section("Race", race_lines(race), [speed(race), resource_table(race)], RACE_EXPLANATION, RACE_FIGURES)


def sweep_section(races: Sequence[RaceResult]) -> Section:
    """Races that differ in one thing."""
    lines = [f"{races_setting(races)}.", started_by(races[0]), *disturbed(races)]
    what = swept(races)
    figures = [f"growth-{what}", f"roofline-{what}"]
    return Section(f"Sweep: {GROWING[what]}", lines, [growth(races)], GROWTH_EXPLANATION, figures)


def sections_of_races(races: Sequence[RaceResult]) -> list[Section]:
    """All that was measured so far: a section a race, and the growth over a sweep."""
    measured = [race for race in races if race.rounds()]
    found = [race_section(race) for race in measured]
    swept_races = [race for race in measured if race.sweep]
    return [*found, sweep_section(swept_races)] if len(swept_races) > 1 else found


def left_out_of_races(races: Iterable[RaceResult]) -> list[str]:
    """Why participants are in no table, where that is a fault."""
    return [reason for race in races for reason in race.left_out.values()]


# --- sentences -------------------------------------------------------------------------------------------


def parts_of(race: RaceResult) -> dict[str, str]:
    """The parts of a setting; those that can be swept by that name."""
    key = race.key
    return {
        "data": race.data_name,
        "hidden": key["network"],
        "batch": key["plan"],
        "dtype": key["dtype"],
        "images": f"{key['images']:,} images",
        "threads": f"threads: {key['threads'] or 'as the libraries choose'}",
    }


def races_setting(races: Sequence[RaceResult]) -> str:
    """Data, network, plan, dtype, images and threads, in a line; of a sweep with all sizes."""
    parts = parts_of(races[0])
    if len(races) > 1:
        what = swept(races)
        sizes = ", ".join(f"{size:,}" for size in sorted({size_of(race.key, what) for race in races}))
        parts[what] = f"{GROWING[what]}: {sizes}"
    return " · ".join(parts.values())


def race_setting(race: RaceResult) -> str:
    """The setting of one race, in a line."""
    return races_setting([race])


def backends_of(race: RaceResult) -> str:
    """The names of the backends that took part."""
    return ", ".join(sorted({participant.backend for participant in race.participants.values()}))


def work(race: RaceResult) -> str:
    """What one measurement is of."""
    return WORK.get(race.key["measure"], "{:,} images").format(race.key["images"])


def race_headline(race: RaceResult) -> str:
    """The race in one sentence: which backend is fastest."""
    ranks = statistics.ranks(race.rounds(), FLOOR, may_stop_early=True)
    seconds, ratios = times_of(race), ratios_of_race(race)
    first = [name for name in seconds if ranks.get(name) == 1]
    if not first:
        return "In the race no backend was measured."
    words = f"In an interleaved race, {work(race)} took {first[0]} {duration(seconds[first[0]])}"
    if first[0] in ratios:
        words += f", {with_interval(ratios[first[0]])} times as long as {race.baseline}"
    if len(ranks) == 1:
        return f"{words}; no other backend took part."
    rest = f"it cannot be distinguished from {enumerated(first[1:])}" if first[1:] else "it is the fastest"
    return f"{words}; {rest}."


def race_lines(race: RaceResult) -> list[str]:
    """What was measured, how, how long, and what disturbed; a line each."""
    rounds = race.rounds()
    reason = f"ended because {race.reason}" if race.reason else "stopped before its end"
    generations = plural(len(race.generations), "generation")
    lines = [
        f"{capitalised(work(race))}: {race_setting(race)}.",
        f"{generations} of processes, {plural(sum(map(len, rounds)), 'round')}; {reason}. The baseline is "
        f"{race.baseline}.",
        started_by(race),
    ]
    if not rounds:
        lines.append("No backend was measured.")
    elif race.baseline not in times_of(race):
        lines.append(f"There are no ratios, as {race.baseline}, the baseline, has no times.")
    elif len(rounds) == 1:
        lines.append("There are no intervals, as a single generation does not show how much generations differ.")
    return lines + disturbed([race])


def started_by(*races: RaceResult) -> str:
    """When each was started, and the command of the last, which can be copied."""
    return f"Started {enumerated([race.when for race in races])} by {races[-1].command}"


def disturbed(races: Iterable[RaceResult]) -> list[str]:
    """What was seen of other work on the machine: the first line for each remedy."""
    lines = {line.rpartition("; ")[2]: line for race in reversed(list(races)) for line in reversed(disturbances(race))}
    return [f"The machine was not quiet: {line}." for line in reversed(lines.values())]


# --- tables ----------------------------------------------------------------------------------------------


def speed(race: RaceResult) -> Table:
    """How fast each backend is, how sure that is, and how it compares with dense arithmetic; fastest first."""
    ratios, used = ratios_of_race(race), resources(race)
    ranks = statistics.ranks(race.rounds(), FLOOR, may_stop_early=True)
    rows = []
    for name, seconds in times_of(race).items():
        row, ratio = used[name], ratios.get(name)
        rows.append(
            [
                name,
                str(ranks.get(name, NONE)),
                duration(seconds),
                *ratio_cells(name, race.baseline, ratio, ROOM),
                f"{ratio.outliers} of {ratio.pairs}" if ratio else NONE,
                or_dash(row.flop_rate, lambda rate: number(rate / 1e9)),
                percent(row.share_of_gemm),
                percent(row.floors),
            ]
        )
    heads = ("backend", "rank", "time", "times the\nbaseline", INTERVAL, "outliers", "GFLOP/s")
    return Table("Speed", (*heads, "of\nGEMM", "floor\nover\ntime"), rows, [*machine_reached(race), *sampled(race)])


def machine_reached(race: RaceResult) -> list[str]:
    """What the shares are of; nothing where that was not measured."""
    gemm, bandwidth = machine_rate(race, "gemm"), machine_rate(race, "bandwidth")
    if gemm is None or bandwidth is None:
        return []
    return [
        f"GEMM, a product of two large matrices, reached {number(gemm / 1e9)} GFLOP/s in {race.key['dtype']}; copying "
        f"in memory {number(bandwidth / 1e9)} GB/s, read and written"
    ]


def sampled(race: RaceResult) -> list[str]:
    """The backends that were measured on fewer images."""
    measured = times_of(race)
    return [
        f"{name}: measured on {participant.images:,} of {race.key['images']:,} images; its time is scaled to all, its "
        "memory is not"
        for name, participant in race.participants.items()
        if name in measured and participant.images < race.key["images"]
    ]


def resource_table(race: RaceResult) -> Table:
    """What each backend uses besides the time of an epoch, in the same order."""
    rows = [
        [
            name,
            percent(row.cpu),
            duration(row.prepare),
            or_dash(row.cold, duration),
            duration(row.first),
            " /\n".join(epochs_in_words(n) for n in (row.break_even, row.break_even_cold) if n is not None) or NONE,
            mebibytes(row.process_peak),
            mebibytes(row.call_peak),
        ]
        for name, row in resources(race).items()
    ]
    heads = ("backend", "CPU", "prepare", "cold\ncall", "first\ncall", "break-even,\nepochs")
    return Table("Resources", (*heads, "memory,\nprocess", "memory,\na call"), rows)


def growth(races: Sequence[RaceResult]) -> Table:
    """Time by what was swept, and the power of it with which time grows."""
    what, grown_all = swept(races), growths(races)
    sizes = sorted({size for grown in grown_all for size in grown.sizes})
    rows = []
    for grown in grown_all:
        known = dict(zip(grown.sizes, grown.seconds, strict=True))
        cells = [or_dash(known.get(size), duration) for size in sizes]
        cells.append(or_dash(grown.power, power))
        rows.append([grown.name, *cells, or_dash(grown.interval, lambda ends: " to\n".join(map(power, ends)))])
    heads = (GROWING[what], *(f"{size:,}" for size in sizes), "power", INTERVAL)
    return Table(f"Time by {GROWING[what]}, and the power with which it grows", heads, rows)
