"""A task as JSON, and how a worker does it: one setting, or one recipe of `tune`, trained with one seed.

A task says what it was made from: the sources that train and measure, the data, the libraries that compute. A worker
where one of these is another refuses it, so that accuracies of all workers belong together. The data is found on the
worker, in the place that the command was given, in DIGITBENCH_DATA, or in its cache, and known by its hash.
"""

import hashlib
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

import data
import impls
import temporary
from bench import UserError
from bench.experiments.trainings import TIME_LIMIT, Trainings, begin, draw, train_generation
from bench.experiments.tune import Tried
from bench.experiments.workers.performing import own_name
from bench.records import environment, fingerprint
from bench.records.kinds import AnyRecord, Trainer, Training
from bench.timing import threads
from bench.timing.process import Child, ChildFailed, answer_with
from bench.timing.records import Record
from bench.timing.session import Participant, Session, ask, attempt, stored, wait
from bench.training import worker
from bench.training.held_out import held_out_in
from bench.workloads.recipes import Recipe
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


class Task(Struct, frozen=True, kw_only=True):
    """What every task says."""

    n_threads: int
    origin: Origin
    source: str  # the value of --data, a path perhaps, which is tried first
    files: str = msgspec.field(default_factory=lambda: os.environ.get(files.VARIABLE, ""))  # backends of the user's own


class SweepTask(Task, frozen=True, kw_only=True, tag="sweep"):
    """One setting with one seed, or the curves of a race."""

    race: int
    run: int
    generation: int | None  # None: draw curves
    setting: str
    trainings: Trainings  # with this setting alone
    failed: list[str]  # participants that are left out
    curves: dict[str, list[int]]  # seeds of which a participant's curve is drawn

    @property
    def backends(self) -> dict[str, str]:
        """The backend of each participant."""
        return {name: one.backend for name, one in self.trainings.participants.items()}


class TuneTask(Task, frozen=True, kw_only=True, tag="tune"):
    """One recipe with one seed, which holds out training images."""

    backend: str
    recipe: Recipe
    seed: int

    @property
    def backends(self) -> dict[str, str]:
        """The one backend, by its name."""
        return {self.backend: self.backend}


class Answer(Struct, frozen=True):
    """What a worker answers. The name is for messages; the id and the description of the machine are recorded."""

    name: str
    refused: str | None = None  # why this worker does no such task
    failed: str | None = None  # why it could not do this one
    machine: str = ""
    described: dict[str, Any] = {}
    records: list[AnyRecord] = []  # of a SweepTask
    tried: Tried | None = None  # of a TuneTask


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


def encoded(task: Task) -> str:
    """Return a task, as JSON on one line."""
    return msgspec.json.encode(task).decode()


def read_task(description: str) -> SweepTask | TuneTask:
    """Read a task. Raises Refused for one that another revision made."""
    try:
        return msgspec.json.decode(description, type=SweepTask | TuneTask)
    except msgspec.MsgspecError as error:
        raise Refused(f"the task is of another revision ({error}); start the worker from the same one") from None


class Performer:
    """Does tasks, with a child process for each backend, which it keeps for the next task; use it in a `with`."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.children: dict[tuple[object, str], Child] = {}  # by what they do, and backend
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
            answer = self.done(read_task(description))
        except (Refused, UserError, DataError, impls.UnknownBackend, impls.BackendUnavailable) as error:
            answer = Answer(own_name(), str(error))
        return msgspec.json.encode(answer).decode()

    def done(self, task: SweepTask | TuneTask) -> Answer:
        """Do a task. Raises Refused, or what cannot be done here raises."""
        self.get_ready(task)
        described = environment.describe()
        machine = hashlib.sha256(f"{described['id']} {platform.node()}".encode()).hexdigest()[:8]
        answer = Answer(own_name(), machine=machine, described=described | {"id": machine})
        if isinstance(task, TuneTask):
            try:
                return structs.replace(answer, tried=self.tried(task, machine))
            except ChildFailed as failure:
                return structs.replace(answer, failed=f"{task.backend}: {failure}")
        on_it = [
            structs.replace(one, machine=machine) if isinstance(one, Trainer | Training) else one
            for one in self.records(task)
        ]
        return structs.replace(answer, records=on_it)

    def get_ready(self, task: SweepTask | TuneTask) -> None:
        """Compare what the task was made from, find the digits, claim cores. Raises Refused."""
        if task.files:
            os.environ[files.VARIABLE] = task.files
        threads.check(task.n_threads)
        if not self.children:
            claim_cores(self.stack, task.n_threads)
        check_sources(task.origin, task.backends)
        if task.origin.data not in self.digits:
            self.digits[task.origin.data] = self.stored(located(task.origin, task.source))

    def tried(self, task: TuneTask, machine: str) -> Tried:
        """Train one recipe with one seed, on the machine of this id. Raises ChildFailed where the child does."""
        if self.stopped:
            raise ChildFailed("dies", "its worker ended")
        session = Session({}, 1, lambda _: None, time_limit=TIME_LIMIT)
        child, new = self.child(held_out_in, task.backend, self.digits[task.origin.data][:1], task.n_threads)
        participant = Participant(task.backend, child)
        try:
            if new:
                wait(session, participant)
            accuracy, seconds = ask(session, participant, "train", task.recipe, task.seed)
        except ChildFailed:
            self.children.pop((held_out_in, task.backend)).kill()
            raise
        return Tried(str(task.recipe), accuracy, seconds, task.seed, task.n_threads, machine)

    def records(self, task: SweepTask) -> list[Any]:
        """Train one setting with one seed, or draw curves, and return the records."""
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
                self.children.pop((worker.Trainer, task.backends[participant.name]), None)
        return records

    def participants(self, race: Session, task: SweepTask) -> Iterator[Participant]:
        """Yield the participants that have not failed; a new child prepares the images, and trains once."""
        for name, backend in task.backends.items():
            if name in race.failures or self.stopped:
                continue
            child, new = self.child(worker.Trainer, backend, self.digits[task.origin.data], task.n_threads)
            participant = Participant(name, child)
            if new:
                attempt(race, None, begin, participant, task.trainings, task.setting)
            yield participant

    def child(
        self, make: Callable[..., object], backend: str, digits: Sequence[Path], n_threads: int
    ) -> tuple[Child, bool]:
        """The child that has such a worker for a backend, and whether it is new."""
        new = (make, backend) not in self.children
        if new:
            child = Child(answer_with, make, backend, *digits, n_threads=n_threads)
            self.children[make, backend] = self.stack.enter_context(child)
        return self.children[make, backend], new

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
