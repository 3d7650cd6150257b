"""Readers of results files of every kind, for reports and comparisons."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from bench import UserError
from bench.records.dialects import Dialects
from bench.records.inspection import Inspection
from bench.records.journal import HEADER, read_records
from bench.records.kinds import Agreement, LearningCurve, check_schema, damaged
from bench.records.particulars import check_depth, check_machine
from bench.records.races import RaceResult, races_of
from bench.timing.clock import Time
from bench.timing.records import Number, Positive, Size
from untrusted import brief, open_plain, reason_of

MOST_BYTES = 2**25  # of one JSON document, that of a hundred backends; read, it may take thirty times as much
Quantity = Literal["epoch", "gradient", "outputs", "floor"]


@dataclass(frozen=True)
class Measurement:
    """The samples of one backend in one case, by pytest-benchmark."""

    quantity: Quantity  # "epoch": training over all images once; "floor": the first layer's two products
    backend: str
    summary: str
    lines_of_code: Number
    plan: str  # "full batch", "mini-batches"; "" where there is none
    default_batch: bool  # whether the batch size is the backend's default
    batch: Size | None  # images per update or per gradient; None: all
    network: str
    dtype: str
    images: Size  # of a call
    of_images: Size  # of the quantity; seconds are scaled up to these
    samples: Annotated[list[Positive], Meta(min_length=1)]  # seconds, wall, as measured on `images`
    user_samples: list[Time]
    system_samples: list[Time]
    prepare_seconds: Time
    agreement_error: Time  # worst, in eps of the dtype
    threads: dict[str, Size]
    curve: LearningCurve | None = None  # by epoch; costs are of the training images
    key: dict[str, Any] = field(default_factory=dict)  # see `bench.records.fingerprint`

    def __post_init__(self) -> None:
        if not len(self.samples) == len(self.user_samples) == len(self.system_samples):
            raise ValueError("Expected as many user_samples and system_samples as samples")
        check_depth(self.key, "key")

    @property
    def scale(self) -> float:
        """The factor from a sample to the time of all images."""
        return self.of_images / self.images

    @property
    def seconds(self) -> list[float]:
        """Wall seconds for all images, a sample each."""
        return [sample * self.scale for sample in self.samples]

    @property
    def cpu_seconds(self) -> list[float]:
        """User and system seconds for all images, a sample each."""
        of_cpu = zip(self.user_samples, self.system_samples, strict=True)
        return [(user + system) * self.scale for user, system in of_cpu]


class Suite(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part `digitbench` of pytest-benchmark's JSON, which is all that is read of it."""

    schema: int
    when: str  # ISO 8601
    command: str
    machine: dict[str, Any]
    data: str
    notice: str | None
    agreement: list[Agreement]
    unavailable: dict[str, str]  # reasons by backend
    measurements: Annotated[list[Measurement], Meta(max_length=1000)]


@dataclass(frozen=True)
class ResultSet:
    """The content of one results file."""

    path: Path
    when: str  # ISO 8601
    machine: dict[str, Any]
    data_name: str
    notice: str | None  # to be shown with everything: the digits are not MNIST
    measurements: list[Measurement] = field(default_factory=list)  # by pytest-benchmark, one after the other
    disagreements: list[str] = field(default_factory=list)  # a line for each backend that was left out: why
    unavailable: dict[str, str] = field(default_factory=dict)  # backend: reason
    races: list[RaceResult] = field(default_factory=list)
    inspection: Inspection | None = None  # of a trained network
    dialects: Dialects | None = None  # of libraries
    cut: bool = False  # whether the file ends in the middle of a record, which is passed over

    def of(self, quantity: Quantity) -> list[Measurement]:
        """The measurements of one quantity, in the order of the file."""
        return [measured for measured in self.measurements if measured.quantity == quantity]

    @property
    def kind(self) -> str:
        """ "benchmarks", "network", "dialects", "sweep of batch" and the like, or the purpose of its races."""
        if self.inspection:
            return "network"
        if self.dialects:
            return "dialects"
        if not self.races:
            return "benchmarks"
        first = self.races[0]
        return f"sweep of {first.sweep}" if first.purpose == "race" and len(self.races) > 1 else first.purpose


def read(path: Path) -> ResultSet:
    """Read what a race, a study, `inspect`, or `pytest --benchmark-only --benchmark-json=FILE` wrote.

    Raises UserError for a file that is absent, cut, no results file, damaged or of another schema. One of a race may be
    cut: its whole records are read.
    """
    try:
        with open_plain(path) as file:
            beginning = file.read(40)
            content = b"" if is_of_races(beginning) else beginning + file.read(MOST_BYTES)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason_of(error)}); `python -m bench` makes results") from None
    if is_of_races(beginning):
        records, cut = read_records(path)
        races = races_of(records)
        about = (path, races[0].when, races[0].machine, races[0].data_name, races[0].notice)
        left_out = [line for race in races for line in race.left_out.values()]
        return ResultSet(*about, disagreements=left_out, races=races, cut=cut)
    if len(content) > MOST_BYTES:
        raise UserError(f"{path}: expected results of at most {MOST_BYTES:,} bytes, found more; measure again")
    try:
        document = json.loads(content)  # pytest-benchmark writes NaN
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected whole JSON, found: {brief(error)}; measure again") from None
    return of_json(path, document if isinstance(document, dict) else {})


def is_of_races(beginning: bytes) -> bool:
    """Whether a file that begins so holds records of races, a line each."""
    return beginning.replace(b" ", b"").startswith(HEADER)


def of_json(path: Path, document: dict[str, Any]) -> ResultSet:
    """Read a file that is one JSON object. Raises UserError as `read` does."""
    kept = {"network": Inspection, "dialects": Dialects}.get(str(document.get("kind")))
    content = document if kept else document.get("digitbench")
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: expected the JSON of this suite's benchmarks, found another; "
            "`pytest --benchmark-only --benchmark-json=FILE` writes it"
        )
    check_schema(path, content.get("schema"))
    try:
        one: Inspection | Dialects | Suite = msgspec.convert(content, kept or Suite)
        check_machine(one.machine)
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from None
    about = (path, one.when, one.machine, one.data, one.notice)
    if isinstance(one, Inspection):
        return ResultSet(*about, inspection=one)
    if isinstance(one, Dialects):
        return ResultSet(*about, dialects=one)
    failures: dict[str, str] = {}  # the first of each backend
    for result in one.agreement:
        if result.failure is not None:
            failures.setdefault(result.backend, result.failure)
    return ResultSet(*about, one.measurements, list(failures.values()), one.unavailable)
