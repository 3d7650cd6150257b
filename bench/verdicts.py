"""How far the verdicts of `compare` can be trusted on this machine, from the races that `calibrate` kept.

In those a backend races against itself, and against itself with a known share of its updates done once more. Every run
of consecutive generations as long as a comparison is one comparison. Runs overlap; the intervals count as independent
only as many as do not.
"""

from collections.abc import Iterable
from typing import NamedTuple

from bench import statistics
from bench.raced import Raced
from bench.statistics import Interval

GENERATIONS = 32  # of fresh processes, for a comparison; half as many missed slowdowns of 5 % in restless hours
ITSELF, AGAIN = "itself", "itself again"
SLOWDOWNS = {"3 % more": 0.03, "5 % more": 0.05, "10 % more": 0.10}


class Verdicts(NamedTuple):
    """How often comparisons with one entrant found a slowdown."""

    against: str  # which entrant
    work: float  # how many times as much it does, exactly
    share: float  # of the comparisons that found a slowdown
    interval: Interval  # where that may lie, with 95 %
    comparisons: int  # that do not overlap


def verdicts(races: Iterable[Raced], generations: int) -> list[Verdicts]:
    """How often comparisons of so many consecutive generations called each entrant slower than itself."""
    races = list(races)
    rows = []
    for against, extra in ({AGAIN: 0.0} | SLOWDOWNS).items():
        called = [slower for race in races for slower in called_slower(race, against, generations)]
        if extra == 0:  # of two that are the same, either may be called the slower one
            called += [slower for race in races for slower in called_slower(race, ITSELF, generations, AGAIN)]
        independent = sum(len(race.rounds()) // generations for race in races)
        if called:
            share = sum(called) / len(called)
            interval = statistics.share(share * independent, independent)
            rows.append(Verdicts(against, 1 + extra, share, interval, independent))
    return rows


def called_slower(race: Raced, against: str, generations: int, baseline: str = ITSELF) -> list[bool]:
    """The verdict of every comparison of consecutive generations."""
    run, started, found = race.rounds(), race.started(), []
    for first in range(len(run) - generations + 1):
        window = slice(first, first + generations)
        ratio = statistics.ratio(run[window], against, baseline, started=started[window])
        if ratio is not None:
            found.append(statistics.is_slowdown(ratio))
    return found
