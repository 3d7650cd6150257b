"""Participants of a race, each in a process of its own: requests, answers, failures, records."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from bench import UserError
from bench.timing.process import Child, ChildFailed
from bench.timing.records import Failure, Record
from bench.timing.worker import TimingTask

if TYPE_CHECKING:
    from data import Digits

TIME_LIMIT = 300.0  # seconds for one request


@dataclass
class Participant:
    """One participant in one generation."""

    name: str
    child: Child
    repeats: int = 1
    seconds: float = 0.0  # of a measurement, by the warm call


@dataclass
class Session:
    """A race while it is measured; `failures` grows meanwhile."""

    tasks: dict[str, TimingTask]  # by participant
    rounds: int  # of a generation that has the time for them
    record: Callable[[Record], None]  # called with every record as it is made
    number: int = 0  # among the races of a file
    run: int = 0  # of the command: 1 where it continues a file for the first time
    seed: int = 0
    time_limit: float = TIME_LIMIT  # seconds for one request
    fewest: int | None = None  # rounds, where time is short; None: always `rounds`
    shortest: float = 0.0  # seconds of a generation of `fewest` rounds, as the last one was; 0: there was none
    failures: dict[str, str] = field(default_factory=dict)

    def remaining(self) -> list[str]:
        """The participants that have not failed."""
        return [name for name in self.tasks if name not in self.failures]

    def add(self, kind: type[Record], **fields: Any) -> None:
        """Record something of this kind. Raises msgspec.ValidationError for fields that its type does not allow."""
        self.record(msgspec.convert({"race": self.number, "run": self.run, **fields}, kind))


def attempt(
    race: Session, generation: int | None, action: Callable[..., object], participant: Participant, *arguments: Any
) -> None:
    """Do something with a participant that has not failed; if it fails now, record that, and end its process.

    A wrong result is final. Other failures may be of the moment, as short memory is or a process that was killed.
    generation: the one in which this is done; None: outside any.
    """
    if participant.name in race.failures:
        return
    try:
        action(race, participant, *arguments)
    except (ChildFailed, msgspec.ValidationError) as failure:
        race.failures[participant.name] = f"{participant.name}: {failure}"
        final = isinstance(failure, ChildFailed) and failure.what == "wrong"
        race.add(Failure, participant=participant.name, reason=str(failure), generation=generation, final=final)
        participant.child.kill()  # one that hangs would slow the others


def ask(race: Session, participant: Participant, *request: Any) -> Any:
    """Send a request and return the answer; the process runs only in between. Raises ChildFailed."""
    participant.child.send(request)
    return wait(race, participant)


def wait(race: Session, participant: Participant) -> Any:
    """Return the next answer; the first comes when the worker is made. Raises ChildFailed where there is none."""
    kind, answer = participant.child.answer(race.time_limit)
    if kind != "done":
        raise ChildFailed(kind, answer)
    return answer


def stored(digits: "Digits", folder: Path) -> Path:
    """Write the digits, unless the folder exists, as files that processes can map into memory; return the folder.

    Raises UserError where they cannot be written.
    """
    if not folder.exists():
        try:
            folder.mkdir()
            np.save(folder / "images.npy", digits.images)
            np.save(folder / "labels.npy", digits.labels)
        except OSError as error:
            raise UserError(
                f"{folder}: the digits cannot be written for the processes ({error.strerror or error}); make room "
                "there, or name another folder for temporary files in TMPDIR"
            ) from None
    return folder
