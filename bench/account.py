"""What stands beside the times of a race: CPU, first calls, break-even, memory, arithmetic; from its records alone."""

import math
from collections.abc import Iterable
from statistics import median
from typing import NamedTuple

from bench.measuring import FLOOR
from bench.raced import Raced, Sample
from bench.roofline import flop_of


class Account(NamedTuple):
    """One entrant; medians over its processes and samples, memory at most. None: not measured, or not known."""

    cpu: float  # user and system time over wall time: 2 is two busy threads
    prepare: float  # seconds, for all images
    cold: float | None  # seconds of the first call with nothing compiled, for all images
    first: float  # the same with compiled code on disk
    break_even: float | None  # rounds after which it is ahead of the baseline, compiled code on disk; inf: never
    break_even_cold: float | None  # the same with nothing compiled
    process_peak: int | None  # bytes
    call_peak: int | None
    flop_rate: float | None  # FLOP a second, as dense arithmetic would have to do it; None: of the floor
    share_of_gemm: float | None  # that over the rate of a large product; above 1 where zeros are skipped
    floors: float | None  # the floor's time over its time


def accounts(race: Raced) -> dict[str, Account]:
    """One for each entrant with a sample that did not fail."""
    times = times_of(race)
    return {name: account(race, name, times) for name in times}


def times_of(race: Raced) -> dict[str, float]:
    """Seconds for all images by entrant: the geometric mean of its generations' medians."""
    from bench import statistics

    return {row.backend: row.typical for row in statistics.seconds(race.rounds())}


def account(race: Raced, name: str, times: dict[str, float]) -> Account:
    """Of one entrant. times: `times_of(race)`."""
    entrant = race.entrants[name]
    rate = gemm = None
    if entrant.backend != FLOOR:
        backward = race.key["measure"] != "outputs"
        rate = flop_of(race.key["sizes"], race.key["images"], backward) / times[name]
        gemm = reached(race, "gemm")
    return Account(
        cpu=median(map(cpu_of, entrant.samples)),
        prepare=race.scale(name) * median(process.prepare for process in entrant.processes),
        cold=None if entrant.cold is None else race.scale(name) * entrant.cold,
        first=race.scale(name) * median(process.first for process in entrant.processes),
        break_even=break_even(race, name, times, cold=False),
        break_even_cold=break_even(race, name, times, cold=True),
        process_peak=most(process.process_peak for process in entrant.processes),
        call_peak=most(process.call_peak for process in entrant.processes),
        flop_rate=rate,
        share_of_gemm=rate / gemm if rate and gemm else None,
        floors=times[FLOOR] / times[name] if FLOOR in times and name != FLOOR else None,
    )


def cpu_of(sample: Sample) -> float:
    """How many threads were busy."""
    return (sample.user + sample.system) / sample.wall


def break_even(race: Raced, name: str, times: dict[str, float], cold: bool) -> float | None:
    """The number of rounds after which preparation, first call and rounds together took less than the baseline's.

    1: from the first on; inf: never, as a round takes longer. None for the baseline itself, the floor, where no rounds
    were measured, or no cold call.
    """
    baseline = race.baseline
    if name in (baseline, FLOOR) or baseline not in times or race.key["measure"] != "round":
        return None
    starts = []
    for entrant in (race.entrants[name], race.entrants[baseline]):
        prepare = median(process.prepare for process in entrant.processes)
        first = entrant.cold if cold else median(process.first for process in entrant.processes)
        if first is None:
            return None
        starts.append(race.scale(entrant.name) * (prepare + first))
    saved = times[baseline] - times[name]
    if saved <= 0:
        return math.inf
    return 1 + max(0, math.ceil((starts[0] - starts[1]) / saved))


def reached(race: Raced, what: str) -> float | None:
    """What the machine reached in this race, "gemm" in FLOP a second or "bandwidth" in bytes a second; a median."""
    entrant = race.entrants.get(FLOOR)
    found = [getattr(process, what) for process in entrant.processes] if entrant else []
    known = [value for value in found if value is not None]
    return median(known) if known else None


def most(sizes: Iterable[int | None]) -> int | None:
    """The largest that is known."""
    return max((size for size in sizes if size is not None), default=None)
