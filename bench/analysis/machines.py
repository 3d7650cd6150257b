"""Trainings on workers: accuracies of all machines belong together, seconds only those of one.

On a machine of workers several trainings may run at once, so that their seconds tell how long they took there, and give
no ratio.
"""

from collections import Counter
from collections.abc import Iterable
from statistics import median
from typing import Any, NamedTuple

from bench.records.kinds import Training
from bench.records.races import RaceResult


class OfMachine(NamedTuple):
    """What the workers of one machine trained by one participant."""

    machine: str  # its id
    described: dict[str, Any]
    participant: str
    trainings: int
    seconds: float  # of a training, wall, median


def machine_of(trainings: Iterable[Training]) -> str | None:
    """The machine whose seconds are shown: the race's own, None, if it trained any, else that with the most."""
    counts = Counter(one.machine for one in trainings)
    return None if None in counts or not counts else min(counts, key=lambda name: (-counts[name], str(name)))


def timed(trainings: list[Training]) -> list[Training]:
    """The trainings on the machine whose seconds are shown."""
    machine = machine_of(trainings)
    return [one for one in trainings if one.machine == machine]


def of_machines(races: Iterable[RaceResult]) -> list[OfMachine]:
    """A row for each machine of workers and participant, of all races together."""
    described: dict[str, dict[str, Any]] = {}
    walls: dict[tuple[str, str], list[float]] = {}
    for race in races:
        described |= race.machines
        for name, participant in race.participants.items():
            for one in participant.trainings:
                if one.machine is not None:
                    walls.setdefault((one.machine, name), []).append(one.wall)
    return [
        OfMachine(machine, described.get(machine, {}), name, len(of_both), median(of_both))
        for (machine, name), of_both in walls.items()
    ]
