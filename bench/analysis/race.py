"""Resources of a race besides its times (CPU, first calls, break-even, memory, arithmetic), and growth over a sweep."""

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from bench.analysis import statistics
from bench.records.races import RaceResult
from bench.timing.floor import flop_of
from bench.timing.worker import FLOOR

BUSY = 1.0  # load before the race that is worth a warning
STOLEN = 0.01  # share of the cores' time that is
RESTLESS = 1.2  # drift between generations that is worth a warning
SHARED = 0.5  # of a core, that other processes may have before it counts as busy
LONGER = defaultdict(lambda: "measure longer", race="give a longer --budget", compare="give more --generations")
GROWING = {"batch": "images per update", "images": "images", "threads": "threads", "hidden": "hidden units"}


class Resources(NamedTuple):
    """Resources of a participant: medians over processes and samples, maxima of memory. None: not measured, unknown."""

    cpu: float  # user plus system time over wall time: 2 is two busy threads
    prepare: float  # seconds, for all images
    cold: float | None  # seconds of the first call with empty compiler caches, for all images
    first: float  # the same with compiled code on disk
    break_even: float | None  # epochs after which it is ahead of the baseline, compiled code on disk; inf: never
    break_even_cold: float | None  # the same with empty compiler caches
    process_peak: int | None  # bytes
    call_peak: int | None
    anonymous: int | None
    flop_rate: float | None  # FLOP per second, counted as dense arithmetic; None: the floor
    share_of_gemm: float | None  # flop_rate over the CPU's of a large product; above 1 where zeros are skipped
    floors: float | None  # the floor's time over its time


def times_of(race: RaceResult) -> dict[str, float]:
    """Return each participant's seconds for all images, geometric means of its generations' medians; fastest first."""
    times = {name: math.exp(medians.mean()) for name, medians in statistics.log_seconds(race.rounds()).items()}
    return dict(sorted(times.items(), key=lambda item: (item[1], item[0])))


def resources(race: RaceResult) -> dict[str, Resources]:
    """Return the resources of each participant that has a sample and did not fail."""
    times, gemm = times_of(race), machine_rate(race, "gemm")
    flop = flop_of(race.key["sizes"], race.key["images"], backward=race.key["measure"] != "outputs")
    rows = {}
    for name, seconds in times.items():
        participant, scale = race.participants[name], race.scale(name)
        samples, processes = participant.samples, participant.processes
        rate = flop / seconds if participant.backend != FLOOR else None
        rows[name] = Resources(
            cpu=median((sample.user + sample.system) / sample.wall for sample in samples),
            prepare=scale * median(process.prepare.wall for process in processes),
            cold=None if participant.cold is None else scale * participant.cold,
            first=scale * median(process.first.wall for process in processes),
            break_even=break_even(race, name, times, cold=False),
            break_even_cold=break_even(race, name, times, cold=True),
            process_peak=largest(process.process_peak for process in processes),
            call_peak=largest(process.call_peak for process in processes),
            anonymous=largest(process.anonymous for process in processes),
            flop_rate=rate,
            share_of_gemm=rate / gemm if rate and gemm and not any(process.device for process in processes) else None,
            floors=times[FLOOR] / seconds if FLOOR in times and name != FLOOR else None,
        )
    return rows


def break_even(race: RaceResult, name: str, times: dict[str, float], cold: bool) -> float | None:
    """Return after how many epochs preparation, first call and epochs together took less than the baseline's.

    1: from the first on; inf: never, as an epoch takes longer. None for the baseline itself and the floor, and where no
    epochs or no cold calls were measured.
    """
    if name in (race.baseline, FLOOR) or race.baseline not in times or race.key["measure"] != "epoch":
        return None
    starts = []
    for participant in (race.participants[name], race.participants[race.baseline]):
        prepare = median((process.first_prepare or process.prepare).wall for process in participant.processes)
        first = participant.cold if cold else median(process.first.wall for process in participant.processes)
        if first is None:
            return None
        starts.append(race.scale(participant.name) * (prepare + first))
    saved = times[race.baseline] - times[name]
    return 1 + max(0, math.ceil((starts[0] - starts[1]) / saved)) if saved > 0 else math.inf


def machine_rate(race: RaceResult, what: str) -> float | None:
    """Return the median rate of the machine in this race: "gemm" in FLOP or "bandwidth" in bytes per second."""
    participant = race.participants.get(FLOOR)
    known = [getattr(process.rates, what) for process in participant.processes if process.rates] if participant else []
    return median(known) if known else None


def largest(sizes: Iterable[int | None]) -> int | None:
    """Return the largest of the sizes that are known; None if none is."""
    return max((size for size in sizes if size is not None), default=None)


def swept(races: Sequence[RaceResult]) -> str:
    """Return the name of what grows from race to race. Raises ValueError unless the races are of one sweep."""
    names = {race.sweep for race in races}
    name = names.pop() if len(names) == 1 else None
    if name not in GROWING:
        raise ValueError(f"expected races of one sweep of {', '.join(GROWING)}")
    return name


def size_of(key: Mapping[str, Any], name: str) -> int:
    """Return the size of what is swept, from the key of a race."""
    if name == "hidden":
        return int(sum(key["sizes"][1:-1]))
    value = key[name]
    return int(key["images"] if value is None else value)  # the full batch holds all images


def disturbances(race: RaceResult) -> list[str]:
    """Return a sentence for each sign of other work on the machine, with the remedy."""
    lines = []
    drifts = {name: math.exp(np.ptp(medians)) for name, medians in statistics.log_seconds(race.rounds()).items()}
    worst = max(drifts, key=drifts.__getitem__, default=None)
    if worst is not None and drifts[worst] > RESTLESS:
        lines.append(
            f"from one generation of processes to another the time of {worst} changed by a factor of "
            f"{drifts[worst]:.2f}; {LONGER[race.purpose]}"
        )
    if (race.load or 0) > BUSY:
        lines.append(f"its load was {race.load:.1f} when this began; end what else is running")
    if line := neighbours(race):
        lines.append(line)
    seconds = sum(one.seconds for one in race.generations)
    stolen = sum(one.stolen or 0 for one in race.generations) / ((os.cpu_count() or 1) * seconds) if seconds else 0.0
    if stolen > STOLEN:
        lines.append(f"other virtual machines had {stolen:.1%} of its cores' time; measure at another hour")
    return lines


def neighbours(race: RaceResult) -> str | None:
    """Return a sentence, with the remedy, if other processes ran on cores that the threads of this race needed.

    Threads that share a core with another process keep all others waiting, so that fewer are faster.
    """
    known = [(one.others, one.cores, one.seconds) for one in race.generations if one.others is not None and one.cores]
    seconds = sum(of_one for *_, of_one in known)
    if not seconds:
        return None
    return crowded(sum(others for others, *_ in known) / seconds, known[-1][1], race.key["threads"] or known[-1][1])


def crowded(others: float, cores: int, n_threads: int, remedy: str = "give --threads {}") -> str | None:
    """Return that sentence for so many threads, where other processes keep `others` of the cores busy.

    remedy: how fewer threads are used; `{}` is their number.
    """
    if others <= cores - n_threads + SHARED:
        return None
    found, free = f"{others:.1f} of {cores} cores were not free", math.floor(cores - others + SHARED)
    if free:
        remedy = remedy.format(free)
        return f"another process is busy: threads {free} would be faster, as {found}; end it, or {remedy}"
    return f"other processes are busy: {found}; end what else is running"


def ratios_of_race(race: RaceResult) -> dict[str, statistics.Ratio]:
    """Return the ratio of each other participant to the baseline, fastest first; empty if the baseline failed."""
    return {row.backend: row for row in statistics.ratios(race.rounds(), race.baseline, may_stop_early=True)}


class Growth(NamedTuple):
    """How the seconds of one participant grow with what was swept."""

    name: str
    sizes: list[int]
    seconds: list[float]
    power: float | None  # of the size, in a fit; None: a single size
    interval: statistics.Interval | None  # of the power; None: fewer than three sizes


def growths(races: Sequence[RaceResult]) -> list[Growth]:
    """Return the growth of each participant of a sweep, over the sizes at which it has a time; the floor last."""
    what = swept(races)
    points = {size_of(race.key, what): times_of(race) for race in races}  # each size once: "all" may equal a number
    rows = []
    for name in dict.fromkeys(name for race in races for name in race.participants):  # the floor is the last
        known = {size: points[size][name] for size in sorted(points) if name in points[size]}
        if known:
            sizes, seconds = list(known), list(known.values())
            power, interval = statistics.exponent(sizes, seconds) if len(known) > 1 else (None, None)
            rows.append(Growth(name, sizes, seconds, power, interval))
    return rows


def over_floor(races: Sequence[RaceResult]) -> dict[str, dict[int, statistics.Ratio]]:
    """Return, by participant and size, how many times as long as the floor at that size each backend of a sweep takes.

    The intervals of one race hold together with 95 %.
    """
    what = swept(races)
    ratios: dict[str, dict[int, statistics.Ratio]] = {}
    for race in races:
        for ratio in statistics.ratios(race.rounds(), FLOOR, may_stop_early=True):
            ratios.setdefault(ratio.backend, {})[size_of(race.key, what)] = ratio
    return {name: dict(sorted(of_name.items())) for name, of_name in ratios.items()}


def intensity(race: RaceResult) -> float:
    """FLOP per byte of dense arithmetic, if every byte came from memory no more often than it has to."""
    key = race.key
    images, (first, second) = key["images"], key["sizes"][:2]
    size = {"float32": 4, "float64": 8}[key["dtype"]]
    backward = key["measure"] != "outputs"
    updates = math.ceil(images / (key["batch"] or images)) if key["measure"] == "epoch" else 1
    weights = updates * (2 if backward else 1) * first * second
    return flop_of(key["sizes"], images, backward) / (size * (images * first + weights))
