"""A race, or a sweep of races: speed, resources, how time grows, and what disturbed the measurement."""

import math
from collections.abc import Iterable, Sequence

from bench.analysis import race as analysis
from bench.analysis import statistics
from bench.records.races import RaceResult
from bench.tables import table as text
from bench.tables.table import INTERVAL, NONE, Columns, Section, Table, table_of
from bench.timing.worker import FLOOR

WORK = {"epoch": "an epoch of ", "gradient": "one gradient of ", "outputs": "the outputs of "}  # so many images
RACE_EXPLANATION = (
    "Each backend runs in processes of its own, and their measurements are interleaved. A ratio is that of two times "
    "in the same round. A generation is a set of fresh processes, one for each backend; intervals are across "
    "generations, and hold for all ratios together with 95 %. Backends of equal rank cannot be distinguished. GFLOP/s: "
    "dense arithmetic over time; shares above 100 % come from skipping zeros. Floor: the first layer's products over "
    "all images, as one NumPy matmul each. CPU: time of all threads over wall time. Cold call: the first one with "
    "empty compiler caches (--cold); first call: with compiled code on disk. Break-even: epochs, with preparation and "
    "first call, after which a backend is ahead of the baseline, with compiled code on disk / with empty caches. "
    "Memory: the peak of the process, what a call adds, and what of all that is in no file, so that it has to fit."
)
GROWTH_EXPLANATION = (
    "The power is fitted to the logarithms of size and seconds. Its interval, from three sizes on, says how closely "
    "the points follow a straight line."
)
RACE_FIGURES = ["ratios", "lines-of-code", "break-even", "memory", "roofline", "agreement"]


def race_section(race: RaceResult) -> Section:
    """One race: what was measured, speed and resources."""
    tables = [speed(race), resource_table(race)]
    return Section("Speed and resources, measured in turns", race_lines(race), tables, RACE_EXPLANATION, RACE_FIGURES)


def sweep_section(races: Sequence[RaceResult]) -> Section:
    """The section of a sweep: how time grows with what was swept."""
    lines = [f"{races_setting(races)}.", started_by(races[0]), *not_measured(races), *disturbed(races)]
    what = analysis.swept(races)
    title, figures = f"How time grows with {analysis.GROWING[what]}", [f"growth-{what}", f"roofline-{what}"]
    return Section(title, lines, [growth(races)], GROWTH_EXPLANATION, figures)


def sections_of_races(races: Sequence[RaceResult]) -> list[Section]:
    """A section for each race that has measurements, and one for a sweep."""
    measured, swept = [race for race in races if race.rounds()], [race for race in races if race.sweep]
    return [*map(race_section, measured), *([sweep_section(swept)] if measured and swept else [])]


def not_measured(races: Sequence[RaceResult]) -> list[str]:
    """The sizes of a sweep without a measurement, and why, in a line; nothing where there are none."""
    missing = [race for race in races if not race.rounds()]
    if not missing:
        return []
    what = analysis.swept(races)
    sizes = ", ".join(f"{analysis.size_of(race.key, what):,}" for race in missing)
    return [f"Not measured: {analysis.GROWING[what]}: {sizes}; {missing[0].reason or 'stopped before its end'}."]


def so_far(race: RaceResult, label: str) -> str:
    """The times of a race that goes on, and in brackets how many times as long as the baseline's they are."""
    times = analysis.times_of(race)
    ratios = {name: f" ({text.in_short(row.estimate)})" for name, row in analysis.ratios_of_race(race).items()}
    listed = ", ".join(f"{name} {text.duration(seconds)}{ratios.get(name, '')}" for name, seconds in times.items())
    return f"{label}, {text.plural(len(race.generations), 'generation')}: {listed or 'no backend was measured'}"


def parts_of(race: RaceResult) -> dict[str, str]:
    """The parts of a setting; those that can be swept by that name."""
    key = race.key
    parts = {"data": race.data_name, "hidden": key["network"], "batch": key["plan"], "dtype": key["dtype"]}
    threads = key["threads"] or "as the libraries choose"
    return parts | {"images": f"{key['images']:,} images", "threads": f"threads: {threads}"}


def races_setting(races: Sequence[RaceResult]) -> str:
    """Data, network, plan, dtype, images and threads, in a line; of a sweep with all sizes."""
    parts = parts_of(races[0])
    if len(races) > 1:
        what = analysis.swept(races)
        sizes = ", ".join(f"{size:,}" for size in sorted({analysis.size_of(race.key, what) for race in races}))
        parts[what] = f"{analysis.GROWING[what]}: {sizes}"
    return " · ".join(parts.values())


def race_setting(race: RaceResult) -> str:
    """The setting of one race, in a line."""
    return races_setting([race])


def backends_of(race: RaceResult) -> str:
    """The names of the backends that took part."""
    return ", ".join(sorted({participant.backend for participant in race.participants.values()}))


def work(race: RaceResult) -> str:
    """What is timed in one measurement, e.g. "an epoch of 12,000 images"."""
    return f"{WORK.get(race.key['measure'], '')}{race.key['images']:,} images"


def race_headline(race: RaceResult) -> str:
    """The race in one sentence: which backend is fastest."""
    ranks = statistics.ranks(race.rounds(), FLOOR, may_stop_early=True)
    seconds, ratios = analysis.times_of(race), analysis.ratios_of_race(race)
    first = [name for name in seconds if ranks.get(name) == 1]
    if not first:
        return "In the race no backend was measured."
    words = f"In an interleaved race, {work(race)} took {first[0]} {text.duration(seconds[first[0]])}"
    if first[0] in ratios:
        words += f", {text.with_interval(ratios[first[0]])} times as long as {race.baseline}"
    if len(ranks) == 1:
        return f"{words}; no other backend took part."
    rest = f"it cannot be distinguished from {text.enumerated(first[1:])}" if first[1:] else "it is the fastest"
    return f"{words}; {rest}."


def race_lines(race: RaceResult) -> list[str]:
    """What was measured, how, how long, and what disturbed; a line each."""
    rounds = race.rounds()
    reason = f"ended because {race.reason}" if race.reason else "stopped before its end"
    generations, n = text.plural(len(race.generations), "generation"), text.plural(sum(map(len, rounds)), "round")
    lines = [
        f"{work(race).capitalize()}: {race_setting(race)}.",
        f"{generations} of processes, {n}; {reason}. The baseline is {race.baseline}.",
        started_by(race),
    ]
    if not rounds:
        lines.append("No backend was measured.")
    elif race.baseline not in analysis.times_of(race):
        lines.append(f"There are no ratios, as {race.baseline}, the baseline, has no times.")
    elif len(rounds) == 1:
        lines.append("There are no intervals, as a single generation does not show how much generations differ.")
    return lines + disturbed([race])


def started_by(*races: RaceResult) -> str:
    """When each was started, with which GPU, under which CPU quota, and by which command, which can be copied.

    All but the first of these are those of the last.
    """
    quota = races[-1].machine.get("quota")
    under = f" under a CPU quota of {quota:g} cores" if isinstance(quota, int | float) else ""
    when = text.enumerated([race.when for race in races])
    return f"Started {when}{with_gpu(races[-1])}{under} by {races[-1].command}"


def with_gpu(race: RaceResult) -> str:
    """The GPUs that a backend of this race could use; empty where none runs on one."""
    if "gpu" not in race.machine:
        return ""
    gpus = race.machine["gpu"].get("gpus")
    if not isinstance(gpus, list):
        return " with a GPU of which nvidia-smi says nothing"
    parts = [[str(gpu.get(part, "unknown")) for part in ("name", "memory", "driver")] for gpu in gpus]
    return f" with {text.enumerated([f'{name} ({memory}, driver {driver})' for name, memory, driver in parts])}"


def in_interpreters(race: RaceResult) -> list[str]:
    """Which backends ran in another interpreter, and the versions there that differ; a line for each."""
    here, lines = race.machine.get("libraries", {}), []
    for name, there in race.machine.get("interpreters", {}).items():
        libraries = {"Python": there["python"], **there["libraries"]}
        other = {"Python": race.machine.get("python"), **here}
        differing = [
            f"{one} {version}" for one, version in libraries.items() if version not in (other.get(one), "unknown")
        ]
        lines.append(f"{name}: in another Python environment{', with ' if differing else ''}{', '.join(differing)}")
    return lines


def on_devices(race: RaceResult) -> list[str]:
    """On which device a participant ran, and how it computes products there; a line for each that used one."""
    lines = []
    for name, participant in race.participants.items():
        for device, precision in dict.fromkeys((one.device, one.precision) for one in participant.processes):
            if device is not None:
                products = f", products of float32 in {precision}" if precision else ""
                lines.append(f"{name}: on {device}{products}; GEMM, CPU and memory are of the CPU")
    return lines


def disturbed(races: Iterable[RaceResult]) -> list[str]:
    """What was seen of other work on the machine: the first line for each remedy."""
    lines: dict[str, str] = {}
    for line in (line for race in races for line in analysis.disturbances(race)):
        lines.setdefault(line.rpartition("; ")[2], line)
    return [f"The machine was not quiet: {line}." for line in lines.values()]


def speed(race: RaceResult) -> Table:
    """How fast each backend is, how sure that is, and how it compares with dense arithmetic; fastest first."""
    seconds, ratios, used = analysis.times_of(race), analysis.ratios_of_race(race), analysis.resources(race)
    ranks = statistics.ranks(race.rounds(), FLOOR, may_stop_early=True)
    columns: Columns[str] = {
        "backend": str,
        "rank": lambda name: str(ranks.get(name, NONE)),
        "time": lambda name: text.duration(seconds[name]),
        "times the\nbaseline": lambda name: text.ratio_of(ratios.get(name), name == race.baseline),
        INTERVAL: lambda name: text.interval_of(ratios[name].interval if name in ratios else None, room=text.ROOM),
        "outliers": lambda name: text.or_dash(ratios.get(name), lambda ratio: f"{ratio.outliers} of {ratio.pairs}"),
        "GFLOP/s": lambda name: text.or_dash(used[name].flop_rate, lambda rate: text.number(rate / 1e9)),
        "of\nGEMM": lambda name: text.percent(used[name].share_of_gemm),
        "floor\nover\ntime": lambda name: text.percent(used[name].floors),
    }
    notes = machine_reached(race) + in_interpreters(race) + on_devices(race)
    notes += [
        f"{name}: measured on {participant.images:,} of {race.key['images']:,} images; its time is scaled to all, its "
        "memory is not"
        for name, participant in race.participants.items()
        if name in seconds and participant.images < race.key["images"]
    ]
    return table_of("Speed", seconds, columns, notes)


def machine_reached(race: RaceResult) -> list[str]:
    """What the shares are of; nothing where that was not measured."""
    gemm, bandwidth = analysis.machine_rate(race, "gemm"), analysis.machine_rate(race, "bandwidth")
    if gemm is None or bandwidth is None:
        return []
    return [
        f"GEMM, a product of two large matrices, reached {text.number(gemm / 1e9)} GFLOP/s in {race.key['dtype']}; "
        f"copying in memory {text.number(bandwidth / 1e9)} GB/s, read and written"
    ]


def resource_table(race: RaceResult) -> Table:
    """What each backend uses besides the time of an epoch, in the same order."""
    used = analysis.resources(race)
    columns: Columns[str] = {
        "backend": str,
        "CPU": lambda name: text.percent(used[name].cpu),
        "prepare": lambda name: text.duration(used[name].prepare),
        "cold\ncall": lambda name: text.duration(used[name].cold),
        "first\ncall": lambda name: text.duration(used[name].first),
        "break-even,\nepochs": lambda name: epochs_to_break_even(used[name]),
        "memory,\nprocess": lambda name: text.mebibytes(used[name].process_peak),
        "memory,\na call": lambda name: text.mebibytes(used[name].call_peak),
    }
    if any(one.anonymous is not None for one in used.values()):
        columns = {**columns, "memory,\nno file": lambda name: text.mebibytes(used[name].anonymous)}
    return table_of("Resources", used, columns)


def epochs_to_break_even(used: analysis.Resources) -> str:
    """With compiled code on disk / with nothing compiled; a dash where neither is known."""
    known = [epochs for epochs in (used.break_even, used.break_even_cold) if epochs is not None]
    return " /\n".join("never" if math.isinf(epochs) else f"{epochs:,.0f}" for epochs in known) or NONE


def growth(races: Sequence[RaceResult]) -> Table:
    """Time by what was swept, and the power of it with which time grows."""
    what, grown_all = analysis.GROWING[analysis.swept(races)], analysis.growths(races)
    sizes = sorted({size for grown in grown_all for size in grown.sizes})
    rows = []
    for grown in grown_all:
        seconds = dict(zip(grown.sizes, grown.seconds, strict=True))
        power = text.or_dash(grown.power, text.power)
        interval = text.interval_of(grown.interval, text.power)
        rows.append([grown.name, *(text.duration(seconds.get(size)) for size in sizes), power, interval])
    heads = (what, *(f"{size:,}" for size in sizes), "power", INTERVAL)
    return Table(f"Time by {what}, and the power with which it grows", heads, rows)
