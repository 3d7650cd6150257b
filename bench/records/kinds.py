"""The kinds of records in a results file; those of measurements are in `bench.timing.records`."""

import math
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

import impls
from bench import UserError
from bench.records import environment, fingerprint, interpreters
from bench.records.particulars import Finite, check_about, check_depth, check_machine
from bench.records.paths import shortened_command
from bench.timing.clock import Elapsed, Time
from bench.timing.records import SHORTEST, Cold, Failure, Generation, Number, Process, Record, Sample, Size
from untrusted import brief

if TYPE_CHECKING:
    from data import Dataset

SCHEMA = 3
MOST_PARTICIPANTS = 200  # of a race; each is compared with each
Share = Annotated[float, Meta(ge=0, le=1)]


class Key(Struct, frozen=True):
    """The fields of a key that readers use; `bench.records.fingerprint` makes keys, which have more."""

    measure: str
    network: str
    plan: str
    sizes: Annotated[list[Size], Meta(min_length=2)]
    dtype: Literal["float32", "float64"]
    images: Size
    batch: Size | None  # None: all images
    threads: Size | None
    machine: dict[str, Any]
    settings: dict[str, dict[str, Any]] | None = None  # by name, where there are several
    backends: dict[str, Any] = field(default_factory=dict)  # hashes of their sources
    learning_rate: Finite | None = None  # of trainings


class Race(Record, frozen=True):
    """The header of a race: what holds for all its records."""

    schema: int
    purpose: str  # the command or study
    when: str  # ISO 8601
    command: str
    key: dict[str, Any]
    baseline: str
    participants: Annotated[dict[str, str], Meta(min_length=1, max_length=MOST_PARTICIPANTS)]  # their backends
    data: str
    notice: str | None
    machine: dict[str, Any]
    sweep: str | None = None  # what this race is one value of
    comparison: Size | None = None  # of a calibration: generations of one comparison
    about: dict[str, Any] = field(default_factory=dict)  # what is particular to the purpose
    target: Share | None = None  # of trainings, of the test images
    recipe: str = ""
    until: bool = False  # whether trainings end at the target

    def __post_init__(self) -> None:
        key = msgspec.convert(self.key, Key)
        check_depth(self.key, "key")
        check_machine(self.machine)
        check_about(self.about, self.participants)
        if self.baseline not in self.participants:
            raise ValueError(f"Expected a participant as baseline, got {self.baseline!r}")
        if self.purpose == "article-grid" and key.settings is None:
            raise ValueError("Object missing required field `settings` of the key")


class Run(Record, frozen=True):
    """A start of the command. load: of the machine then; None where the system does not say."""

    load: Time | None


class Agreement(Record, frozen=True):
    """One comparison of a backend with the reference."""

    backend: str
    problem: str
    dtype: str
    quantity: str
    error: Time | None  # in eps; None: not finite
    allowed: Time  # in eps
    failure: str | None
    unsupported: str | None
    side: str | None = None  # of a comparison of revisions


class End(Record, frozen=True):
    """The end of a race that was not interrupted, and its reason."""

    reason: str


class Machine(Record, frozen=True):
    """A machine whose workers trained, once for each race; see `bench.records.environment.describe`."""

    id: str
    machine: dict[str, Any]


class Trainer(Record, frozen=True):
    """A process that is ready to train: times of preparing and of a first training."""

    participant: str
    prepare: Elapsed
    first: Elapsed
    threads: dict[str, Number] = field(default_factory=dict)
    machine: str | None = (
        None  # the id of a worker's machine, where other workers may have run beside; None: the race's
    )


class Seen(Struct, frozen=True, forbid_unknown_fields=True):
    """Measures of a network's outputs for some images."""

    accuracy: Share
    cost: Finite | None  # None: not finite
    answers: list[Number]  # images by predicted digit
    zeros: Share  # of outputs that are exactly 0
    dead: Number  # outputs that are 0 for every image
    largest: Finite | None
    confidence: Finite | None  # the output for the first image's own digit
    overflow: Share | None = None  # of pre-activations: where exp(-z) overflows


class Point(Struct, frozen=True, forbid_unknown_fields=True):
    """An evaluation after an epoch. check: seconds of the outputs of the training images."""

    epoch: Number
    check: Elapsed
    train: Seen
    test: Seen
    last: Seen | None = None  # the images of the epoch's last update
    wall: Time = 0.0
    user: Time = 0.0
    system: Time = 0.0


@dataclass(frozen=True)
class LearningCurve:
    """A training from before its first update; all lists are of one length. Raises ValueError where they are not."""

    seconds: Annotated[list[Time], Meta(min_length=1)]  # of training so far, wall
    epochs: list[Time]  # over the training images so far
    accuracy: list[Share]  # of the test images
    cost: list[float | None]  # of the test images, but in benchmarks of the training images; None: not finite

    def __post_init__(self) -> None:
        lengths = [len(values) for values in (self.seconds, self.epochs, self.accuracy, self.cost)]
        if len(set(lengths)) > 1:
            raise ValueError(f"expected as many seconds, epochs, accuracies and costs, found {lengths}")

    @property
    def costs(self) -> list[float]:
        """The costs, nan for those that are not finite."""
        return [math.nan if cost is None else cost for cost in self.cost]


class Training(Record, frozen=True):
    """One training whose seconds are reported."""

    generation: Number
    participant: str
    setting: str  # the name of its recipe
    seed: Number
    epochs: Time  # over the training images
    updates: Number
    images: Number  # that its updates used in all
    wall: Time
    user: Time
    system: Time
    accuracy: Share  # of the test images
    cost: Finite | None  # of the test images; None: not finite
    evaluation: Elapsed  # in the end: of the test images, but with points of the training images
    stopped_early: bool = False
    curve: LearningCurve | None = None
    points: list[Point] = field(default_factory=list)  # of the article's trainings, one at least
    machine: str | None = None  # as of a `Trainer`

    def __post_init__(self) -> None:
        if not self.images and not self.epochs and self.points:  # of the article, some networks are evaluated untrained
            return
        if not self.images or self.epochs < SHORTEST:
            raise ValueError(f"expected a training of some images and epochs, found {self.images} and {self.epochs:g}")
        if self.wall < SHORTEST:
            raise ValueError(f"expected a training of some images to take at least {SHORTEST:g} s")


class DrawnCurve(Record, frozen=True, tag="curve"):
    """A training that was repeated in pieces, for its curve."""

    participant: str
    seed: Number
    curve: LearningCurve


AnyRecord = (
    Race
    | Run
    | Agreement
    | Process
    | Sample
    | Cold
    | Generation
    | Failure
    | End
    | Machine
    | Trainer
    | Training
    | DrawnCurve
)


def opening(dataset: "Dataset | None" = None, backends: Iterable[str] = ()) -> dict[str, Any]:
    """The fields with which every results file begins, without paths of this machine.

    dataset: None where no digits are used; backends: that take part; the GPU is described for one on it, and the
    interpreter of one that has its own.
    """
    backends, machine = list(backends), environment.describe()
    if any(impls.device_of(name) == "cuda" for name in backends):
        machine["gpu"] = environment.gpu()
    machine = interpreters.machine_with_them(machine, backends)
    return {
        "schema": SCHEMA,
        "when": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shortened_command(shlex.join(["python", "-m", "bench", *without_folders(sys.argv[1:])])),
        "machine": machine,
        "data": dataset.name if dataset else "no digits",
        "notice": dataset.notice if dataset else None,
    }


def without_folders(arguments: Sequence[str]) -> list[str]:
    """A command's arguments: backends' files and interpreters without their folders, schedulers without hosts."""
    shown = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if before == "--python" or argument.startswith("--python="):
            shown.append(re.sub(r"[^=]*[/\\]", "", argument))
        else:
            argument = re.sub(r"\b(tcp|tls)://.*", r"\1://HOST", argument)
            shown.append(re.sub(r"[^,=]*[/\\](?=[^,=/\\]+\.py(:\w+)?(,|$))", "", argument))
    return shown


def header(
    dataset: "Dataset",
    number: int,
    purpose: str,
    participants: dict[str, str],
    measured: dict[str, Any],
    *,
    sources: dict[str, str] | None = None,
    baseline: str | None = None,
    **others: Any,
) -> Race:
    """Make the header of race `number`.

    participants: their backends, the first is the baseline unless another is given; measured: as in `fingerprint.key`;
    sources: hashes of the backends, if they are not this checkout's; others: fields of `Race`.
    """
    about = opening(dataset, participants.values())
    sources = sources or interpreters.sources_of(participants)
    key = fingerprint.key(measured, sources, dataset.sha256, about["machine"])
    baseline = baseline or next(iter(participants))
    return Race(race=number, purpose=purpose, key=key, baseline=baseline, participants=participants, **about, **others)


def check_schema(where: object, schema: object) -> None:
    """Raise UserError unless a file is of the schema that this version reads."""
    if schema != SCHEMA:
        remedy = "update digitbench" if isinstance(schema, int) and schema > SCHEMA else "measure again"
        raise UserError(f"{where}: has schema {brief(schema)}, this version reads {SCHEMA}; {remedy}")


def damaged(where: object, error: object) -> UserError:
    """The error for a record that does not fit its type. where: the file, and its line if there is one."""
    return UserError(f"{where}: a record is not as expected: {brief(error)}; measure again")
