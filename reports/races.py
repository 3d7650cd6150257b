"""Races -> tables and sentences: who is faster, what stands beside the time, how it grows, whether verdicts hold."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench import statistics, verdicts
from bench.account import accounts, reached, times_of
from bench.measuring import FLOOR
from bench.raced import Raced
from bench.results import ResultSet
from bench.standings import GROWING, disturbances, in_short, in_words, mebibytes, rounds_of, size_of, swept
from bench.statistics import MARGIN, Exponent, Ratio
from bench.verdicts import Verdicts
from reports.tables import NONE, Sheet, number

WORK = {
    "round": "a round of {:,} images",
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
WHAT_TRUST_IS = (
    "A backend raced against itself, and against itself with a known share of its work done once more. Every run of "
    "consecutive generations as long as a comparison is one comparison, as python -m bench compare makes them; they "
    "overlap, and counted is how many do not. The first row is called slower by mistake."
)


def setting(race: Raced) -> str:
    """Data, network, plan, dtype, images and threads, in a line."""
    return " · ".join(parts_of(race).values())


def setting_of(races: Sequence[Raced]) -> str:
    """The same of one race, or of a sweep with all sizes of what was swept."""
    if len(races) == 1:
        return setting(races[0])
    what = swept(races)
    sizes = ", ".join(f"{size:,}" for size in sorted({size_of(race.key, what) for race in races}))
    return " · ".join((parts_of(races[0]) | {what: f"{GROWING[what]}: {sizes}"}).values())


def parts_of(race: Raced) -> dict[str, str]:
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


def backends_of(race: Raced) -> str:
    """Who ran, by the names of the backends."""
    return ", ".join(sorted({entrant.backend for entrant in race.entrants.values()}))


def work(race: Raced) -> str:
    """What one measurement is of."""
    return WORK.get(race.key["measure"], "{:,} images").format(race.key["images"])


def fastest_first(race: Raced) -> list[str]:
    """Everybody with a time, the floor among them."""
    times = times_of(race)
    return sorted(times, key=lambda name: (times[name], name))


def ratios(race: Raced) -> dict[str, Ratio]:
    """Everybody's ratio to the baseline but its own, fastest first; empty where the baseline failed."""
    return {row.backend: row for row in statistics.ratios(race.rounds(), race.baseline, looked=True)}


def headline(race: Raced) -> str:
    """The race in one sentence: who is fastest."""
    ranks = statistics.ranks(race.rounds(), FLOOR, looked=True)
    first = [name for name in fastest_first(race) if ranks.get(name) == 1]
    if not first:
        return "In the race nobody was left to be measured."
    times, found = times_of(race), ratios(race)
    words = f"In a race, taking turns, {work(race)} took {first[0]} {number(times[first[0]])} s"
    if first[0] in found:
        words += f", {with_interval(found[first[0]])} times as long as {race.baseline}"
    if len(ranks) == 1:
        return f"{words}; nobody ran against it."
    return f"{words}; {f'it is not told apart from {enumerated(first[1:])}' if first[1:] else 'it is the fastest'}."


def told(race: Raced) -> list[str]:
    """What was measured, how, how long, and what disturbed; a line each."""
    rounds = race.rounds()
    n = len(race.generations)
    ended = f"it ended as {race.reason}" if race.reason else "it was left before its end"
    lines = [
        f"{capitalised(work(race))}: {setting(race)}.",
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


def begun(race: Raced) -> str:
    """When, and by which command, which can be copied."""
    return f"Begun {race.when} by {race.command}"


def begun_each(races: Sequence[Raced]) -> str:
    """The same of several with one purpose."""
    *before, last = races
    earlier = "".join(f"{race.when}, " for race in before)
    return f"Begun {earlier}{'and ' * bool(before)}{last.when} by {last.command}"


def disturbed(races: Iterable[Raced]) -> list[str]:
    """What was seen of other work on the machine: the first line for each remedy."""
    found = {line.rpartition("; ")[2]: line for race in reversed(list(races)) for line in reversed(disturbances(race))}
    return [f"The machine was not quiet: {line}." for line in reversed(found.values())]


# --- tables ----------------------------------------------------------------------------------------------


def standings(race: Raced) -> Sheet:
    """Who is faster, how sure that is, and how it compares with dense arithmetic; fastest first."""
    times, found, beside = times_of(race), ratios(race), accounts(race)
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


def beside(race: Raced) -> Sheet:
    """What stands beside the time, in the same order."""
    found = accounts(race)
    rows = [
        [
            name,
            percent(row.cpu),
            f"{number(row.prepare)} s",
            NONE if row.cold is None else f"{number(row.cold)} s",
            f"{number(row.first)} s",
            " /\n".join(rounds_of(n) for n in (row.break_even, row.break_even_cold) if n is not None) or NONE,
            mebibytes(row.process_peak),
            mebibytes(row.call_peak),
        ]
        for name in fastest_first(race)
        for row in (found[name],)
    ]
    heads = ("backend", "cpu", "prepare", "cold\ncall", "first\ncall", "even,\nrounds")
    return Sheet("What stands beside the time", (*heads, "memory,\nprocess", "memory,\na call"), rows, [])


def machine_reached(race: Raced) -> str:
    """What the shares are of."""
    gemm, bandwidth = reached(race, "gemm"), reached(race, "bandwidth")
    if gemm is None or bandwidth is None:
        return ""
    return (
        "GFLOP/s are those of dense arithmetic, shares above 100 % come from skipping zeros. GEMM, a product of two "
        f"large matrices, reached {number(gemm / 1e9)} GFLOP/s in {race.key['dtype']} there; copying in memory "
        f"{number(bandwidth / 1e9)} GB/s, read and written"
    )


class Growth(NamedTuple):
    """How the seconds of one entrant grow with what was swept."""

    name: str
    sizes: list[int]
    seconds: list[float]
    exponent: Exponent | None  # None: of a single size


def growths(races: Sequence[Raced]) -> list[Growth]:
    """Everybody in a sweep, with the sizes at which there is a time."""
    what = swept(races)
    points = {size_of(race.key, what): times_of(race) for race in races}  # a size once: "all" may be another's number
    found = []
    for name in dict.fromkeys(name for race in races for name in race.entrants):  # the floor is the last
        known = {size: points[size][name] for size in sorted(points) if name in points[size]}
        if known:
            sizes, seconds = list(known), list(known.values())
            exponent = statistics.exponent(sizes, seconds) if len(known) > 1 else None
            found.append(Growth(name, sizes, seconds, exponent))
    return found


def growth(races: Sequence[Raced]) -> Sheet:
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


def comparison(calibrations: Sequence[ResultSet]) -> int:
    """How many generations a comparison takes: as the newest calibration had it."""
    return calibrations[-1].races[0].comparison or verdicts.GENERATIONS


def judged(calibrations: Sequence[ResultSet]) -> list[Verdicts]:
    """How often comparisons found a slowdown, over all calibrations; empty where none is as long as a comparison."""
    races = [race for results in calibrations for race in results.races]
    return verdicts.verdicts(races, comparison(calibrations))


def trust(calibrations: Sequence[ResultSet]) -> Sheet:
    """The verdicts of the calibrations."""
    rows = [
        [
            "the same, twice" if row.work == 1 else f"{percent(row.work - 1)} more work",
            percent(row.share, 1),
            f"{percent(row.interval.low, 1)} to {percent(row.interval.high, 1)}",
            str(row.comparisons),
        ]
        for row in judged(calibrations)
    ]
    notes = [f"Comparisons of {comparison(calibrations)} generations, with a margin of {percent(MARGIN)}"]
    heads = ("what ran", "called\nslower", "95 % interval", "comparisons")
    return Sheet("Called slower, by how much more was done", heads, rows, notes)


# --- words -----------------------------------------------------------------------------------------------


def interval_of(ratio: Ratio | None) -> str:
    """From one end to the other, or a dash."""
    return in_words(ratio.interval).replace(" to ", " to\n") if ratio and ratio.interval else NONE


def with_interval(ratio: Ratio) -> str:
    """A ratio, e.g. "0.521 [0.510, 0.532]"."""
    words = in_short(ratio.estimate)
    return f"{words} [{in_words(ratio.interval).replace(' to ', ', ')}]" if ratio.interval else words


def power(exponent: float) -> str:
    """An exponent, without a minus before 0.00."""
    return f"{round(exponent, 2) + 0.0:.2f}"


def percent(share: float | None, decimals: int = 0) -> str:
    """A share, or a dash."""
    return NONE if share is None else f"{100 * share:.{decimals}f} %"


def enumerated(names: Sequence[str]) -> str:
    """Names in a sentence."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def capitalised(words: str) -> str:
    """As it stands at the beginning of a sentence."""
    return words[:1].upper() + words[1:]
