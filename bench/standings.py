"""The tables of a race in the terminal: who is faster, what stands beside the time, what disturbed."""

import math
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench import statistics
from bench.account import Account, accounts, reached, times_of
from bench.measuring import FLOOR
from bench.raced import Raced
from bench.statistics import Interval

BUSY = 1.0  # load before the race that is worth a warning
STOLEN = 0.01  # share of the cores' time that is
RESTLESS = 1.2  # drift between generations that is worth a warning
LONGER = defaultdict(lambda: "more time", race="a longer --budget", compare="more --generations")
GROWING = {"batch": "images per update", "images": "images", "threads": "threads", "hidden": "hidden units"}


def show(console: Console, race: Raced, looked: bool) -> None:
    """Fastest first: what each takes, how many times as long as the baseline, and what stands beside it.

    looked: whether the race might have stopped early for being precise, see `bench.statistics.precise`.
    """
    rounds = race.rounds()
    found = accounts(race)
    times = times_of(race)
    order = sorted(found, key=lambda name: (times[name], name))
    console.print(compared(race, order, looked))
    ended = f"it ended as {race.reason}" if race.reason else "it was left before its end"
    console.print(
        f"{len(rounds)} generations of processes, {sum(map(len, rounds))} rounds; {ended}. The intervals "
        "hold all together with 95 %, across generations. Equal ranks are not told apart.\n"
    )
    console.print(beside(order, found))
    console.print(
        "Cpu: time of all threads over wall time. Cold call: the first one with nothing compiled (--cold); first call: "
        "with compiled code on disk. Even: rounds, with preparation and first call, after which it is ahead of "
        f"{race.baseline}, from disk / with nothing compiled.\n"
    )
    console.print(arithmetic(order, found))
    console.print(machine_reached(race))
    for name, entrant in race.entrants.items():
        if name in found and entrant.images < race.key["images"]:
            console.print(
                f"{escape(name)}: on {entrant.images:,} of {race.key['images']:,} images, its seconds scaled to all, "
                "its memory of these.\n"
            )
    show_left_out(console, race)
    for line in disturbances(race):
        console.print(f"[yellow]The machine was not quiet:[/] {escape(line)}")


def show_left_out(console: Console, race: Raced) -> None:
    """Who is in no table, for a fault."""
    for reason in race.left_out.values():
        console.print(f"[red]left out:[/] {escape(reason)}", soft_wrap=True)


def compared(race: Raced, order: list[str], looked: bool) -> Table:
    """Who is faster, and how sure that is."""
    rounds = race.rounds()
    typical = times_of(race)
    ratios = {row.backend: row for row in statistics.ratios(rounds, race.baseline, looked=looked)}
    ranks = statistics.ranks(rounds, FLOOR, looked=looked)
    table = table_of("", "rank", "seconds", f"times {race.baseline}", "95 % interval", "outliers")
    for name in order:
        found = ratios.get(name)
        interval = in_words(found.interval) if found and found.interval else ""
        ratio = in_short(found.estimate) if found else "1" if name == race.baseline else ""
        outliers = f"{found.outliers} of {found.pairs}" if found else ""
        table.add_row(escape(name), str(ranks.get(name, "")), f"{typical[name]:.4g}", ratio, interval, outliers)
    return table


def beside(order: list[str], found: dict[str, Account]) -> Table:
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
            " / ".join(rounds_of(number) for number in (row.break_even, row.break_even_cold) if number is not None),
            mebibytes(row.process_peak),
            mebibytes(row.call_peak),
        )
    return table


def arithmetic(order: list[str], found: dict[str, Account]) -> Table:
    """Dense arithmetic over time."""
    table = table_of("", "GFLOP/s", "of GEMM", "floor over its time")
    for name in order:
        row = found[name]
        if row.flop_rate is not None:
            gemm = "unknown" if row.share_of_gemm is None else f"{row.share_of_gemm:.0%}"
            floors = "" if row.floors is None else f"{row.floors:.3f}"
            table.add_row(escape(name), f"{row.flop_rate / 1e9:.4g}", gemm, floors)
    return table


def machine_reached(race: Raced) -> str:
    """What the shares are of."""
    gemm, bandwidth = reached(race, "gemm"), reached(race, "bandwidth")
    if gemm is None or bandwidth is None:
        return ""
    return (
        "GFLOP/s: of dense arithmetic; shares above 100 % come from skipping zeros. GEMM, a product of two large "
        f"matrices, reached {gemm / 1e9:.4g} GFLOP/s here in {race.key['dtype']}; copying in memory "
        f"{bandwidth / 1e9:.3g} GB/s, read and written. Floor: the first layer's products over all images.\n"
    )


def show_growth(console: Console, races: Sequence[Raced]) -> None:
    """Seconds by what was swept, and with which power of it they grow."""
    name = swept(races)
    sizes = [size_of(race.key, name) for race in races]
    times = [times_of(race) for race in races]
    table = table_of(GROWING[name], *(f"{size:,}" for size in sizes), "grows with", "95 % interval")
    for entrant in races[0].entrants:
        row = [one.get(entrant) for one in times]
        known = {size: seconds for size, seconds in zip(sizes, row, strict=True) if seconds is not None}
        cells = ["" if seconds is None else f"{seconds:.4g}" for seconds in row]
        if len(known) > 1:
            grown = statistics.exponent(list(known), list(known.values()))
            interval = grown.interval
            cells += [f"power {grown.estimate:.2f}", f"{interval.low:.2f} to {interval.high:.2f}" if interval else ""]
        if known:
            table.add_row(escape(entrant), *cells)
    console.print(table)
    console.print("Seconds; the power is fitted to their logarithms, its interval tells how well that fits.\n")


def swept(races: Sequence[Raced]) -> str:
    """What grows from race to race. Raises ValueError where these are no races of one sweep."""
    names = {race.sweep for race in races}
    name = names.pop() if len(names) == 1 else None
    if name not in GROWING:
        raise ValueError(f"expected races of one sweep of {', '.join(GROWING)}")
    return name


def size_of(key: Mapping[str, Any], name: str) -> int:
    """How large what is swept is, by the key of a race."""
    if name == "hidden":
        return int(sum(key["sizes"][1:-1]))
    value = key[name]
    return int(key["images"] if value is None else value)  # the full batch is of all images


def disturbances(race: Raced) -> list[str]:
    """What was seen of other work on the machine, and what to do about it."""
    lines = []
    worst = max(statistics.seconds(race.rounds()), key=lambda row: row.drift or 0, default=None)
    if worst and worst.drift and worst.drift > RESTLESS:
        lines.append(
            f"from one generation to another {worst.backend} changed by a factor of {worst.drift:.2f}; give it "
            f"{LONGER[race.purpose]}"
        )
    seen = race.generations
    if (race.load or 0) > BUSY:
        lines.append(f"its load was {race.load:.1f} when this began; end what else is running")
    seconds = sum(entry["seconds"] for entry in seen)
    stolen = sum(entry["stolen"] or 0 for entry in seen) / ((os.cpu_count() or 1) * seconds) if seconds else 0.0
    if stolen > STOLEN:
        lines.append(f"other virtual machines had {stolen:.1%} of its cores' time; come back at another hour")
    return lines


def table_of(*heads: str) -> Table:
    """An empty table with these columns, the first to the left."""
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, head in enumerate(heads):  # where all do not fit, a long name goes over two lines
        table.add_column(head, no_wrap=i > 0, overflow="fold", justify="right" if i else "left")
    return table


def in_short(ratio: float) -> str:
    """Three decimals, or three digits where it is large or small."""
    return f"{ratio:.3f}" if 0.1 <= ratio < 100 else f"{ratio:.3g}"


def in_words(interval: Interval) -> str:
    """From one end to the other."""
    return " to ".join(map(in_short, interval))


def rounds_of(number: float) -> str:
    """A number of rounds; "never" for infinity."""
    return "never" if math.isinf(number) else f"{number:,.0f}"


def mebibytes(size: int | None) -> str:
    """A size; "unknown" where the system does not say."""
    return "unknown" if size is None else f"{size / 2**20:.0f} MiB"
