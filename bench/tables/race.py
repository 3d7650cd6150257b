"""The tables of a race in the terminal: who is faster, what stands beside the time, what disturbed."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.analysis import statistics
from bench.analysis.race import (
    GROWING,
    Resources,
    disturbances,
    fastest_first,
    growths,
    machine_rate,
    ratios_of_race,
    resources,
    size_of,
    swept,
    times_of,
)
from bench.records.files import ResultSet
from bench.records.races import RaceResult, races_of
from bench.tables.table import (
    NONE,
    Section,
    Sheet,
    capitalised,
    enumerated,
    epochs_in_words,
    in_short,
    interval_in_words,
    interval_of,
    mebibytes,
    number,
    percent,
    power,
    table_of,
    with_interval,
)
from bench.timing.records import Record
from bench.timing.worker import FLOOR


def print_race(console: Console, race: RaceResult, looked: bool) -> None:
    """Fastest first: what each takes, how many times as long as the baseline, and what stands beside it.

    looked: whether the race might have stopped early for being precise, see `bench.statistics.precise`.
    """
    rounds = race.rounds()
    found = resources(race)
    times = times_of(race)
    order = sorted(found, key=lambda name: (times[name], name))
    console.print(print_compared(race, order, looked))
    ended = f"it ended as {race.reason}" if race.reason else "it was left before its end"
    console.print(
        f"{len(rounds)} generations of processes, {sum(map(len, rounds))} rounds; {ended}. The intervals "
        "hold all together with 95 %, across generations. Equal ranks are not told apart.\n"
    )
    console.print(print_beside(order, found))
    console.print(
        "Cpu: time of all threads over wall time. Cold call: the first one with nothing compiled (--cold); first call: "
        "with compiled code on disk. Even: rounds, with preparation and first call, after which it is ahead of "
        f"{race.baseline}, from disk / with nothing compiled.\n"
    )
    console.print(print_arithmetic(order, found))
    console.print(print_machine(race))
    for name, participant in race.participants.items():
        if name in found and participant.images < race.key["images"]:
            console.print(
                f"{escape(name)}: on {participant.images:,} of {race.key['images']:,} images, its seconds scaled to "
                "all, its memory of these.\n"
            )
    show_left_out(console, race)
    for line in disturbances(race):
        console.print(f"[yellow]The machine was not quiet:[/] {escape(line)}")


def show_left_out(console: Console, race: RaceResult) -> None:
    """Who is in no table, for a fault."""
    for reason in race.left_out.values():
        console.print(f"[red]left out:[/] {escape(reason)}", soft_wrap=True)


def print_compared(race: RaceResult, order: list[str], looked: bool) -> Table:
    """Who is faster, and how sure that is."""
    rounds = race.rounds()
    typical = times_of(race)
    ratios = {row.backend: row for row in statistics.ratios(rounds, race.baseline, looked=looked)}
    ranks = statistics.ranks(rounds, FLOOR, looked=looked)
    table = table_of("", "rank", "seconds", f"times {race.baseline}", "95 % interval", "outliers")
    for name in order:
        found = ratios.get(name)
        interval = interval_in_words(found.interval) if found and found.interval else ""
        ratio = in_short(found.estimate) if found else "1" if name == race.baseline else ""
        outliers = f"{found.outliers} of {found.pairs}" if found else ""
        table.add_row(escape(name), str(ranks.get(name, "")), f"{typical[name]:.4g}", ratio, interval, outliers)
    return table


def print_beside(order: list[str], found: dict[str, Resources]) -> Table:
    """What stands beside the time."""
    table = table_of("", "cpu", "prepare", "cold call", "first call", "even", "process", "a call")
    for name in order:
        row = found[name]
        table.add_row(
            escape(name),
            f"{row.cpu:.0%}",
            f"{row.prepare:.2g} s",
            "" if row.cold is None else f"{row.cold:.3g} s",
            f"{row.first:.3g} s",
            " / ".join(
                epochs_in_words(number) for number in (row.break_even, row.break_even_cold) if number is not None
            ),
            mebibytes(row.process_peak),
            mebibytes(row.call_peak),
        )
    return table


def print_arithmetic(order: list[str], found: dict[str, Resources]) -> Table:
    """Dense arithmetic over time."""
    table = table_of("", "GFLOP/s", "of GEMM", "floor over its time")
    for name in order:
        row = found[name]
        if row.flop_rate is not None:
            gemm = "unknown" if row.share_of_gemm is None else f"{row.share_of_gemm:.0%}"
            floors = "" if row.floors is None else f"{row.floors:.3f}"
            table.add_row(escape(name), f"{row.flop_rate / 1e9:.4g}", gemm, floors)
    return table


def print_machine(race: RaceResult) -> str:
    """What the shares are of."""
    gemm, bandwidth = machine_rate(race, "gemm"), machine_rate(race, "bandwidth")
    if gemm is None or bandwidth is None:
        return ""
    return (
        "GFLOP/s: of dense arithmetic; shares above 100 % come from skipping zeros. GEMM, a product of two large "
        f"matrices, reached {gemm / 1e9:.4g} GFLOP/s here in {race.key['dtype']}; copying in memory "
        f"{bandwidth / 1e9:.3g} GB/s, read and written. Floor: the first layer's products over all images.\n"
    )


def print_growth(console: Console, races: Sequence[RaceResult]) -> None:
    """Seconds by what was swept, and with which power of it they grow."""
    name = swept(races)
    sizes = [size_of(race.key, name) for race in races]
    times = [times_of(race) for race in races]
    table = table_of(GROWING[name], *(f"{size:,}" for size in sizes), "grows with", "95 % interval")
    for participant in races[0].participants:
        row = [one.get(participant) for one in times]
        known = {size: seconds for size, seconds in zip(sizes, row, strict=True) if seconds is not None}
        cells = ["" if seconds is None else f"{seconds:.4g}" for seconds in row]
        if len(known) > 1:
            grown = statistics.exponent(list(known), list(known.values()))
            interval = grown.interval
            cells += [f"power {grown.estimate:.2f}", f"{interval.low:.2f} to {interval.high:.2f}" if interval else ""]
        if known:
            table.add_row(escape(participant), *cells)
    console.print(table)
    console.print("Seconds; the power is fitted to their logarithms, its interval tells how well that fits.\n")


WORK = {
    "epoch": "a round of {:,} images",
    "gradient": "one gradient of {:,} images",
    "outputs": "the outputs of {:,} images",
}
WHAT_THE_RACE_IS = (
    "Every backend runs in processes of its own, which take turns. A ratio is that of two times in the same round; its "
    "interval is across generations of processes, and all intervals of a race hold together with 95 %. Equal ranks are "
    "not told apart. Floor: the first layer's products over all images, a NumPy matmul each."
)
WHAT_STANDS_BESIDE = (
    "Cpu: time of all threads over wall time. Cold call: the first one with nothing compiled; first call: with "
    "compiled code on disk. Even: rounds, with preparation and first call, after which it is ahead of the baseline, "
    "with compiled code on disk / nothing compiled. Memory: at most, of the process, and what a call adds."
)
WHAT_GROWTH_IS = (
    "The power is fitted to the logarithms of size and seconds; its interval, from three sizes on, tells how well the "
    "points lie on a line."
)


def race_setting(race: RaceResult) -> str:
    """Data, network, plan, dtype, images and threads, in a line."""
    return " · ".join(parts_of(race).values())


def races_setting(races: Sequence[RaceResult]) -> str:
    """The same of one race, or of a sweep with all sizes of what was swept."""
    if len(races) == 1:
        return race_setting(races[0])
    what = swept(races)
    sizes = ", ".join(f"{size:,}" for size in sorted({size_of(race.key, what) for race in races}))
    return " · ".join((parts_of(races[0]) | {what: f"{GROWING[what]}: {sizes}"}).values())


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


def backends_of(race: RaceResult) -> str:
    """Who ran, by the names of the backends."""
    return ", ".join(sorted({participant.backend for participant in race.participants.values()}))


def work(race: RaceResult) -> str:
    """What one measurement is of."""
    return WORK.get(race.key["measure"], "{:,} images").format(race.key["images"])


def race_headline(race: RaceResult) -> str:
    """The race in one sentence: who is fastest."""
    ranks = statistics.ranks(race.rounds(), FLOOR, looked=True)
    first = [name for name in fastest_first(race) if ranks.get(name) == 1]
    if not first:
        return "In the race nobody was left to be measured."
    times, found = times_of(race), ratios_of_race(race)
    words = f"In a race, taking turns, {work(race)} took {first[0]} {number(times[first[0]])} s"
    if first[0] in found:
        words += f", {with_interval(found[first[0]])} times as long as {race.baseline}"
    if len(ranks) == 1:
        return f"{words}; nobody ran against it."
    return f"{words}; {f'it is not told apart from {enumerated(first[1:])}' if first[1:] else 'it is the fastest'}."


def race_lines(race: RaceResult) -> list[str]:
    """What was measured, how, how long, and what disturbed; a line each."""
    rounds = race.rounds()
    n = len(race.generations)
    ended = f"it ended as {race.reason}" if race.reason else "it was left before its end"
    lines = [
        f"{capitalised(work(race))}: {race_setting(race)}.",
        f"{n} generation{'s' * (n != 1)} of processes, {sum(map(len, rounds))} rounds; {ended}. The baseline is "
        f"{race.baseline}.",
        begun(race),
    ]
    if not rounds:
        lines.append("Nobody was left to be measured.")
    elif race.baseline not in times_of(race):
        lines.append(f"There are no ratios, as {race.baseline}, the baseline, has no times.")
    elif len(rounds) == 1:
        lines.append("There are no intervals, as a single generation does not tell how much generations differ.")
    return lines + disturbed([race])


def begun(race: RaceResult) -> str:
    """When, and by which command, which can be copied."""
    return f"Begun {race.when} by {race.command}"


def begun_each(races: Sequence[RaceResult]) -> str:
    """The same of several with one purpose."""
    *before, last = races
    earlier = "".join(f"{race.when}, " for race in before)
    return f"Begun {earlier}{'and ' * bool(before)}{last.when} by {last.command}"


def disturbed(races: Iterable[RaceResult]) -> list[str]:
    """What was seen of other work on the machine: the first line for each remedy."""
    found = {line.rpartition("; ")[2]: line for race in reversed(list(races)) for line in reversed(disturbances(race))}
    return [f"The machine was not quiet: {line}." for line in reversed(found.values())]


def standings(race: RaceResult) -> Sheet:
    """Who is faster, how sure that is, and how it compares with dense arithmetic; fastest first."""
    times, found, beside = times_of(race), ratios_of_race(race), resources(race)
    ranks = statistics.ranks(race.rounds(), FLOOR, looked=True)
    rows = []
    for name in fastest_first(race):
        row, ratio = beside[name], found.get(name)
        rows.append(
            [
                name,
                str(ranks.get(name, NONE)),
                number(times[name]),
                in_short(ratio.estimate) if ratio else "1" if name == race.baseline else NONE,
                interval_of(ratio),
                f"{ratio.outliers}\nof {ratio.pairs}" if ratio else NONE,
                NONE if row.flop_rate is None else number(row.flop_rate / 1e9),
                percent(row.share_of_gemm),
                percent(row.floors),
            ]
        )
    heads = ("backend", "rank", "seconds", "times the\nbaseline", "95 %\ninterval", "outliers", "GFLOP/s")
    notes = [line for line in (machine_reached(race),) if line]
    return Sheet("Who is faster", (*heads, "of\nGEMM", "floor\nover its\ntime"), rows, notes)


def beside(race: RaceResult) -> Sheet:
    """What stands beside the time, in the same order."""
    found = resources(race)
    rows = [
        [
            name,
            percent(row.cpu),
            f"{number(row.prepare)} s",
            NONE if row.cold is None else f"{number(row.cold)} s",
            f"{number(row.first)} s",
            " /\n".join(epochs_in_words(n) for n in (row.break_even, row.break_even_cold) if n is not None) or NONE,
            mebibytes(row.process_peak),
            mebibytes(row.call_peak),
        ]
        for name in fastest_first(race)
        for row in (found[name],)
    ]
    heads = ("backend", "cpu", "prepare", "cold\ncall", "first\ncall", "even,\nrounds")
    return Sheet("What stands beside the time", (*heads, "memory,\nprocess", "memory,\na call"), rows, [])


def machine_reached(race: RaceResult) -> str:
    """What the shares are of."""
    gemm, bandwidth = machine_rate(race, "gemm"), machine_rate(race, "bandwidth")
    if gemm is None or bandwidth is None:
        return ""
    return (
        "GFLOP/s are those of dense arithmetic, shares above 100 % come from skipping zeros. GEMM, a product of two "
        f"large matrices, reached {number(gemm / 1e9)} GFLOP/s in {race.key['dtype']} there; copying in memory "
        f"{number(bandwidth / 1e9)} GB/s, read and written"
    )


def growth(races: Sequence[RaceResult]) -> Sheet:
    """Seconds by what was swept, and with which power of it they grow."""
    what = swept(races)
    found = growths(races)
    sizes = sorted({size for grown in found for size in grown.sizes})
    rows = []
    for grown in found:
        times = dict(zip(grown.sizes, grown.seconds, strict=True))
        cells = [number(times[size]) if size in times else NONE for size in sizes]
        fitted = NONE if grown.exponent is None else power(grown.exponent.estimate)
        known = grown.exponent.interval if grown.exponent else None
        rows.append([grown.name, *cells, fitted, f"{power(known.low)} to\n{power(known.high)}" if known else NONE])
    heads = (GROWING[what], *(f"{size:,}" for size in sizes), "power", "95 %\ninterval")
    return Sheet(f"Seconds by {GROWING[what]}, and the power with which they grow", heads, rows, [])


def print_races(console: Console, records: Sequence[Record]) -> None:
    """What has been measured so far."""
    races = races_of(records)
    for race in races:
        key = race.key
        if race.sweep:
            console.rule(
                f"{key['network']}, {key['plan']}, {key['images']:,} images, {key['threads']} threads",
                align="left",
            )
        if race.rounds():
            print_race(console, race, looked=True)
        else:
            show_left_out(console, race)
    measured = [race for race in races if race.sweep and race.rounds()]
    if len(measured) > 1:
        print_growth(console, measured)


OF_A_RACE = ["ratios", "lines-of-code", "break-even", "memory", "roofline", "agreement"]  # figures


def race_section(results: ResultSet) -> Section:
    """One race."""
    (race,) = results.races
    sheets = [standings(race), beside(race)]
    explanation = f"{WHAT_THE_RACE_IS} {WHAT_STANDS_BESIDE}"
    return Section("A race, taking turns", race_lines(race), sheets, explanation, OF_A_RACE)


def sweep_section(what: str, results: ResultSet) -> Section:
    """Races that differ in one thing."""
    lines = [f"{races_setting(results.races)}.", begun(results.races[0]), *disturbed(results.races)]
    figures = [f"growth-{what}", f"roofline-{what}"]
    return Section(f"A sweep: {GROWING[what]}", lines, [growth(results.races)], WHAT_GROWTH_IS, figures)
