"""What the races of `bench peers` say, from their records alone: four ratios of everybody to the baseline."""

from typing import TYPE_CHECKING, NamedTuple

from bench.analysis import statistics
from bench.records.files import ResultSet
from bench.records.races import RaceResult
from bench.timing.worker import FLOOR

if TYPE_CHECKING:
    pass


class PeerRatios(NamedTuple):
    """How many times as long as the baseline somebody takes, by way: those of the races, and "prepared"."""

    batch: int
    backend: str
    ways: dict[str, statistics.Ratio]


def peer_ratios_of(races: list[RaceResult]) -> list[PeerRatios]:
    """The four ratios of everybody but the baseline, by batch, slowest first; of races whose generations are whole."""
    found: dict[tuple[int, str], dict[str, statistics.Ratio]] = {}
    for one in races:
        rounds = one.rounds()
        ways = {one.about["way"]: rounds}
        if "as is" in ways:
            ways["prepared"] = with_preparation(one)
        for way, of_way in ways.items():
            for ratio in statistics.ratios(of_way, one.baseline):
                if way == "prepared" and ratio.backend == FLOOR:
                    continue  # two products prepare nothing that anybody would have to
                found.setdefault((one.key["batch"], ratio.backend), {})[way] = ratio
    rows = [PeerRatios(batch, backend, ways) for (batch, backend), ways in found.items()]
    return sorted(rows, key=lambda row: (row.batch, -max(ratio.estimate for ratio in row.ways.values()), row.backend))


def with_preparation(one: RaceResult) -> list[list[dict[str, float]]]:
    """As `Raced.rounds`, with the preparation in the same process added to each."""
    generations = sorted(
        {sample.generation for participant in one.participants.values() for sample in participant.samples}
    )
    prepared = {
        name: {process.generation: one.scale(name) * process.prepare.wall for process in participant.processes}
        for name, participant in one.participants.items()
        if participant.processes
    }
    return [
        [{name: seconds + prepared[name][generation] for name, seconds in of_round.items()} for of_round in rounds]
        for generation, rounds in zip(generations, one.rounds(), strict=True)
    ]


def ordered_rows(results: ResultSet) -> list[PeerRatios]:
    """The ratios by batch size, everybody in the same order at each, the floor at last."""
    found = peer_ratios_of(results.races)
    names = list(dict.fromkeys(row.backend for row in found))
    return sorted(found, key=lambda row: (row.batch, row.backend == FLOOR, names.index(row.backend)))
