"""Numbers of `study peers`: four ratios of each backend to the baseline."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis import statistics
from bench.records.races import RaceResult
from bench.timing.worker import FLOOR

AS_IT_IS, PREPARED = "MNIST as it is", "preparation included"  # the second is computed from the races of the first


class PeerRatios(NamedTuple):
    """How many times as long as the baseline a backend takes, by condition: those of the races, and PREPARED."""

    batch: int
    backend: str
    ways: dict[str, statistics.Ratio]


def peer_ratios_of(races: Sequence[RaceResult]) -> list[PeerRatios]:
    """The ratios of all but the baseline, by batch size, at each in the same order.

    That is the order of the ratios for MNIST as it is, at the smallest batch size; the floor is the last.
    """
    ratios: dict[tuple[int, str], dict[str, statistics.Ratio]] = {}
    for race in races:
        ways = {race.about["way"]: race.rounds()}
        if AS_IT_IS in ways:
            ways[PREPARED] = race.rounds(prepare=True)
        for way, rounds in ways.items():
            for ratio in statistics.ratios(rounds, race.baseline):
                if (way, ratio.backend) != (PREPARED, FLOOR):  # preparing for its products is not what backends do
                    ratios.setdefault((race.key["batch"], ratio.backend), {})[way] = ratio
    rows = [PeerRatios(batch, backend, ways) for (batch, backend), ways in ratios.items()]
    rows.sort(key=lambda row: (row.batch, row.ways[AS_IT_IS].estimate if AS_IT_IS in row.ways else math.inf))
    names = list(dict.fromkeys(row.backend for row in rows))
    return sorted(rows, key=lambda row: (row.batch, row.backend == FLOOR, names.index(row.backend)))
