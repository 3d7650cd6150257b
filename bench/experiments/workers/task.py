"""A task, one setting trained with one seed by all participants in turn, as JSON, and how a worker does it.

A task says what it was made from: the sources that train and measure, the data, the libraries that compute. A worker
where one of these is another refuses it, so that accuracies of all workers belong together. The data is found on the
worker, in the place that the command was given, in DIGITBENCH_DATA, or in its cache, and known by its hash.
"""

import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

import data
import impls
import temporary
from bench import UserError
from bench.experiments.trainings import TIME_LIMIT, Trainings, begin, draw, train_generation
from bench.experiments.workers.performing import own_name
from bench.records import environment, fingerprint
from bench.records.kinds import AnyRecord, Trainer, Training
from bench.timing import threads
from bench.timing.process import Child, answer_with
from bench.timing.records import Record
from bench.timing.session import Participant, Session, attempt, stored
from bench.training import worker
from data import DataError, Dataset
from impls import files

COMPUTING = ("numpy", "numba")  # libraries whose versions must be the same
SOURCES = (*fingerprint.TRAINING, "agreement", "experiments", "records")  # rooms of bench/ that do a task


class Origin(Struct, frozen=True):
    """What a task was made from, and has to be done with."""

    measuring: str  # a hash of the sources that measure and train
    backends: dict[str, str]  # a hash of each participant's source
    versions: dict[str, str]  # of COMPUTING, and what numba is told of the code that it makes
    data: str  # the hash of the digits
    name: str  # of the digits


class Task(Struct, frozen=True):
    """One setting with one seed, or the curves of a race."""

    race: int
    run: int
    generation: int | None  # None: draw curves
    setting: str
    trainings: Trainings  # with this setting alone
    failed: list[str]  # participants that are left out
    curves: dict[str, list[int]]  # seeds of which a participant's curve is drawn
    n_threads: int
    origin: Origin
    source: str  # the value of --data, a path perhaps, which is tried first
    files: str  # `impls.files.VARIABLE`: backends in files of the user's own


class Answer(Struct, frozen=True):
    """What a worker answers. The name is for messages; the id and the description of the machine are recorded."""

    name: str
    refused: str | None = None
    machine: str = ""
    described: dict[str, Any] = {}
    records: list[AnyRecord] = []


class Refused(Exception):
    """This worker must not do the task; the message says why."""


def origin_of(dataset: Dataset, participants: Mapping[str, str]) -> Origin:
    """What tasks on these digits by these participants, backends by name, are made from."""
    return Origin(
        fingerprint.measuring(SOURCES),
        fingerprint.sources_of(dict(participants)),
        versions(),
        dataset.sha256,
        dataset.name,
    )


def versions() -> dict[str, str]:
    """The versions of COMPUTING, and numba's settings, but for its threads and the place of its cache."""
    found = environment.libraries()
    told = {name: text for name, text in environment.settings().items() if name.startswith("NUMBA_")}
    return {name: found[name] for name in COMPUTING} | told


def task_of(
    race: Session,
    trainings: Trainings,
    setting: str,
    generation: int | None,
    curves: dict[str, list[int]],
    n_threads: int,
    origin: Origin,
    source: str,
) -> str:
    """Return a task, as JSON on one line."""
    alone = replace(trainings, recipes={setting: trainings.recipes[setting]}, header={}, key={})
    task = Task(
        race.number, race.run, generation, setting, alone, list(race.failures), curves, n_threads, origin, source,
        os.environ.get(files.VARIABLE, ""),
    )  # fmt: skip
    return msgspec.json.encode(task).decode()


def read_task(description: str) -> Task:
    """Read a task. Raises Refused for one that another revision made."""
    try:
        return msgspec.json.decode(description, type=Task)
    except msgspec.MsgspecError as error:
        raise Refused(f"the task is of another revision ({error}); start the worker from the same one") from None


class Performer:
    """Does tasks, with a child process for each backend, which it keeps for the next task; use it in a `with`."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.children: dict[str, Child] = {}  # by backend
        self.digits: dict[str, tuple[Path, Path]] = {}  # folders, by hash
        self.stopped = False

    def __enter__(self) -> "Performer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def stop(self) -> None:
        """End the children, also in the middle of a task, from another thread."""
        self.stopped = True
        for child in list(self.children.values()):
            child.kill()

    def answer(self, description: str) -> str:
        """Do a task; return the answer. Both are JSON on one line."""
        try:
            records = self.records(read_task(description))
        except (Refused, UserError, DataError, impls.UnknownBackend, impls.BackendUnavailable) as error:
            return msgspec.json.encode(Answer(own_name(), str(error))).decode()
        described = environment.describe()
        machine = hashlib.sha256(f"{described['id']} {platform.node()}".encode()).hexdigest()[:8]
        on_it = [
            structs.replace(one, machine=machine) if isinstance(one, Trainer | Training) else one for one in records
        ]
        return msgspec.json.encode(Answer(own_name(), None, machine, described | {"id": machine}, on_it)).decode()

    def records(self, task: Task) -> list[Any]:
        """Do a task and return its records. Raises Refused, or what cannot be done here raises."""
        if task.files:
            os.environ[files.VARIABLE] = task.files
        threads.check(task.n_threads)
        if not self.children:
            claim_cores(self.stack, task.n_threads)
        check_sources(task.origin, {name: one.backend for name, one in task.trainings.participants.items()})
        if task.origin.data not in self.digits:
            self.digits[task.origin.data] = self.stored(located(task.origin, task.source))
        records: list[Record] = []
        race = Session({}, 1, records.append, task.race, task.run, time_limit=TIME_LIMIT)
        race.failures |= dict.fromkeys(task.failed, "left out")
        participants = list(self.participants(race, task))
        folder, _ = self.digits[task.origin.data]
        if task.generation is None:
            for participant in participants:
                attempt(race, None, draw, participant, task.trainings, task.curves.get(participant.name, []))
        else:
            train_generation(race, task.trainings, task.setting, participants, task.generation, folder)
        for participant in participants:
            if participant.name in race.failures:  # its child was killed
                self.children.pop(task.trainings.participants[participant.name].backend, None)
        return records

    def participants(self, race: Session, task: Task) -> Iterator[Participant]:
        """Yield the participants that have not failed; a new child prepares the images, and trains once."""
        for name, trainee in task.trainings.participants.items():
            if name in race.failures or self.stopped:
                continue
            new = trainee.backend not in self.children
            if new:
                child = Child(
                    answer_with, worker.Trainer, trainee.backend, *self.digits[task.origin.data],
                    n_threads=task.n_threads,
                )  # fmt: skip
                self.children[trainee.backend] = self.stack.enter_context(child)
            participant = Participant(name, self.children[trainee.backend])
            if new:
                attempt(race, None, begin, participant, task.trainings, task.setting)
            yield participant

    def stored(self, dataset: Dataset) -> tuple[Path, Path]:
        """Write both splits into folders that children map into memory, and that are removed in the end."""
        folder = self.stack.enter_context(temporary.folder())
        return stored(dataset.train, folder / "train"), stored(dataset.test, folder / "test")


def check_sources(origin: Origin, backends: Mapping[str, str]) -> None:
    """Raise Refused unless sources and libraries are here what a task was made from."""
    for what, there, here in (
        ("the sources that measure", origin.measuring, fingerprint.measuring(SOURCES)),
        ("the backends", origin.backends, fingerprint.sources_of(dict(backends))),
        ("the libraries", origin.versions, versions()),
    ):
        if there != here:
            raise Refused(
                f"{what} are others here ({here}) than where the task was made ({there}); "
                "start the worker from the same revision, with the same versions"
            )


def located(origin: Origin, source: str) -> Dataset:
    """Find the digits of this hash. Raises Refused where they are not on this machine."""
    found = []
    named = [os.environ[data.VARIABLE]] if data.VARIABLE in os.environ else []
    # Generated digits take seconds to make, where they are not asked for.
    last = ["builtin"] if origin.name == data.BUILTIN else []
    places = [*([source] if source != "auto" else []), *named, str(data.CACHE / "mnist"), *last]
    for place in dict.fromkeys(places):
        try:
            dataset = data.load(place)
        except DataError:
            continue
        if dataset.sha256 == origin.data:
            return dataset
        found.append(dataset.name)
    raise Refused(
        f"the digits {origin.name} ({origin.data[:12]}) are not here, found {', '.join(found) or 'none'}; "
        f"set {data.VARIABLE} for the worker to a folder that has them"
    )


def claim_cores(stack: ExitStack, n: int) -> None:
    """Keep this process and its children to n cores that no other such process on this machine has, if there are.

    A core is claimed by an address on this machine that nothing connects to, which ends with the process.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    import socket

    with ExitStack() as claims:
        mine: list[int] = []
        for core in sorted(threads.usable()):
            claim = claims.enter_context(socket.socket(socket.AF_UNIX))
            try:
                claim.bind(f"\0digitbench core {core}")
            except OSError:
                continue
            mine.append(core)
            if len(mine) == n:
                os.sched_setaffinity(0, mine)
                stack.enter_context(claims.pop_all())
                return
