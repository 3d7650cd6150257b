"""Numbers of `study ranks`: two ways to share a training among processes, over ranks and widths of the network."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from bench.analysis import statistics
from bench.analysis.race import times_of
from bench.records.races import RaceResult

BY_IMAGES, BY_UNITS, ONE_PROCESS = "mpi_images", "mpi_units", "minibatch"
SHARED = re.compile(rf"(?:{BY_IMAGES}|{BY_UNITS}):(\d{{1,6}})", re.ASCII)  # a backend with its number of ranks


class Shared(NamedTuple):
    """One number of ranks, width and batch size. None: not measured."""

    units: int
    batch: int
    ranks: int
    seconds: dict[str, float]  # of an epoch, by way: BY_IMAGES, BY_UNITS
    exchanged: dict[str, int]  # bytes that a rank has to tell the others in an update, by way
    over_one_process: dict[str, statistics.Ratio]  # of their times to that of ONE_PROCESS, by way
    over_images: statistics.Ratio | None  # of the time of BY_UNITS to that of BY_IMAGES


def shared_of(races: Sequence[RaceResult]) -> list[Shared]:
    """A row for each number of ranks, by width and batch size, in the order of the races; none where nothing is."""
    rows = []
    for race in races:
        rounds, seconds = race.rounds(), times_of(race)
        of_one = {ratio.backend: ratio for ratio in statistics.ratios(rounds, ONE_PROCESS)}
        numbers = sorted({int(name[1]) for name in map(SHARED.fullmatch, seconds) if name})
        error = statistics.error_of_each(len(numbers) * len(races))
        for ranks in numbers:
            names = {way: f"{way}:{ranks}" for way in (BY_IMAGES, BY_UNITS)}
            rows.append(
                Shared(
                    units=race.key["sizes"][1],
                    batch=race.key["batch"],
                    ranks=ranks,
                    seconds={way: seconds[name] for way, name in names.items() if name in seconds},
                    exchanged={way: race.about["bytes"].get(name, 0) for way, name in names.items()},
                    over_one_process={way: of_one[name] for way, name in names.items() if name in of_one},
                    over_images=statistics.ratio(rounds, names[BY_UNITS], names[BY_IMAGES], error),
                )
            )
    return rows


def crossings(rows: Sequence[Shared]) -> list[tuple[int, int, list[tuple[int, int]], bool]]:
    """Where the two ways cross as the network grows, by the estimates: for each number of ranks above 1, and batch.

    Each is (ranks, batch, pairs of neighbouring widths between which the ratio passes 1, whether BY_UNITS takes less
    time at the smallest width). Those with fewer than two widths are left out.
    """
    found = []
    for ranks, batch in sorted({(row.ranks, row.batch) for row in rows if row.ranks > 1}):
        line = sorted(
            (row.units, row.over_images.estimate)
            for row in rows
            if (row.ranks, row.batch) == (ranks, batch) and row.over_images
        )
        if len(line) > 1:
            pairs = [(a, b) for (a, left), (b, right) in pairwise(line) if (left < 1) != (right < 1)]
            found.append((ranks, batch, pairs, line[0][1] < 1))
    return found
