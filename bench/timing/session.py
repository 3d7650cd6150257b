"""Participants alive beside each other: ask, wait; one that fails is left out by name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.timing.process import Child, ChildFailed
from bench.timing.records import Failure, Record
from bench.timing.worker import TimingTask
from data import Digits

TIME_LIMIT = 300.0  # seconds for one request


@dataclass
class Participant:
    """One entrant in one generation."""

    name: str
    child: Child
    repeats: int = 1


@dataclass
class Session:
    """Who runs and how; `failures` grows while it is run."""

    tasks: dict[str, TimingTask]  # by entrant
    rounds: int  # of a generation
    record: Callable[[Record], None]  # is called with everything that is measured, as it comes
    number: int = 0  # among the races of a file
    run: int = 0  # of the command: 1 where it goes on for the first time
    seed: int = 0
    time_limit: float = TIME_LIMIT  # seconds that one request may take
    failures: dict[str, str] = field(default_factory=dict)

    def left(self) -> list[str]:
        """Who has not failed."""
        return [name for name in self.tasks if name not in self.failures]

    def tell(self, kind: type[Record], **fields: Any) -> None:
        """Record something of this kind. Raises msgspec.ValidationError for fields that are not as its type says."""
        tag = kind.__struct_config__.tag
        self.record(msgspec.convert({"kind": tag, "race": self.number, "run": self.run, **fields}, kind))


def attempt(
    race: Session, generation: int | None, action: Callable[..., object], participant: Participant, *arguments: Any
) -> None:
    """Do something with an entrant that has not failed yet; note its failure, by name, where it fails now.

    generation: that it belongs to; None: to the race.
    """
    if participant.name in race.failures:
        return
    try:
        action(race, participant, *arguments)
    except (ChildFailed, msgspec.ValidationError) as failure:
        race.failures[participant.name] = f"{participant.name}: {failure}"
        race.tell(Failure, participant=participant.name, reason=str(failure), generation=generation)
        participant.child.kill()  # one that hangs would take time from the others


def ask(race: Session, participant: Participant, *request: Any) -> Any:
    """Let it go on, have it do something, stop it again. Raises ChildFailed for whatever goes wrong."""
    send(race, participant, *request)
    return wait(race, participant)


def send(race: Session, participant: Participant, *request: Any) -> None:
    """Let it go on and tell it what to do. Raises ChildFailed if it is dead."""
    participant.child.resume()
    participant.child.send(request)


def wait(race: Session, participant: Participant) -> Any:
    """What it answers; then it is stopped. Raises ChildFailed for whatever goes wrong."""
    kind, answer = participant.child.answer(race.time_limit)
    participant.child.pause()
    if kind == "failed":
        raise ChildFailed("failed", answer)
    return answer


def stored(digits: Digits, folder: Path) -> Path:
    """The digits as files that every process can map into memory; those that are there already are taken."""
    if not folder.exists():
        folder.mkdir()
        np.save(folder / "images.npy", digits.images)
        np.save(folder / "labels.npy", digits.labels)
    return folder
