"""Results on disk, read: what `pytest --benchmark-only` wrote, and what a race wrote. All that reports/ knows of."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from bench import UserError
from bench.records.fields import count, mapping, text, times
from bench.records.journal import SCHEMA, read_records, remedy_for
from bench.records.races import RaceResult, races_of

if TYPE_CHECKING:
    from bench.records.inspection import Inspection

Quantity = Literal["epoch", "gradient", "outputs", "floor"]


@dataclass(frozen=True)
class Curve:
    """A training, round by round, from before the first; all lists are of one length."""

    seconds: list[float]  # training so far, wall
    test_accuracy: list[float]  # share of the test images, 0 to 1
    train_cost: list[float]  # over all training images


@dataclass(frozen=True)
class Measurement:
    """The samples of one backend in one case."""

    quantity: Quantity  # "epoch": training over all images once; "floor": the first layer's two products
    backend: str
    summary: str
    lines_of_code: int
    plan: str  # "full batch", "mini-batches"; "" where there is none
    default_batch: bool  # whether it is the plan that the backend is at home with
    batch: int | None  # images per update or per gradient; None: all
    network: str
    dtype: str
    images: int  # that were worked on
    of_images: int  # that the quantity is about; seconds are scaled up to these
    samples: list[float]  # seconds, wall, as measured on `images`
    user_samples: list[float]
    system_samples: list[float]
    prepare_seconds: float
    agreement_error: float  # worst, in eps of the dtype
    threads: dict[str, int]
    curve: Curve | None = None
    key: dict[str, Any] = field(default_factory=dict)  # see `bench.description`

    @property
    def scale(self) -> float:
        """What a sample is multiplied with to speak of all images."""
        return self.of_images / self.images

    @property
    def seconds(self) -> list[float]:
        """Wall seconds for all images, a sample each."""
        return [sample * self.scale for sample in self.samples]

    @property
    def cpu_seconds(self) -> list[float]:
        """User and system seconds for all images, a sample each."""
        return [
            (user + system) * self.scale for user, system in zip(self.user_samples, self.system_samples, strict=True)
        ]


@dataclass(frozen=True)
class ResultSet:
    """One results file."""

    path: Path
    when: str  # ISO 8601
    machine: dict[str, Any]
    data_name: str
    notice: str | None  # to be shown with everything: the digits are not MNIST
    measurements: list[Measurement] = field(default_factory=list)  # by pytest-benchmark, one after the other
    disagreements: list[str] = field(default_factory=list)  # a line each: who was left out, and why
    unavailable: dict[str, str] = field(default_factory=dict)  # backend: reason
    races: list[RaceResult] = field(default_factory=list)  # in turns
    inspection: "Inspection | None" = None  # of a trained network
    cut: bool = False  # whether the file ends in the middle of a record, which is passed over

    @property
    def kind(self) -> str:
        """ "benchmarks", "network", "sweep of batch" and the like, or the purpose of its races, "race" among them."""
        if self.inspection:
            return "network"
        if not self.races:
            return "benchmarks"
        first = self.races[0]
        return f"sweep of {first.sweep}" if first.purpose == "race" and len(self.races) > 1 else first.purpose


def read(path: Path) -> ResultSet:
    """Read what `pytest --benchmark-only --benchmark-json=FILE`, or a race, wrote.

    Raises UserError for a file that is absent, cut, not ours, or of a newer version. The file of a race may be cut: its
    whole records are read.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(40).replace(b" ", b"")
        is_race = begins.startswith(b'{"kind":"race"')
        if begins.startswith(b'{"kind":"network"'):
            return _of_a_network(path)
        return _of_races(path) if is_race else _of_benchmarks(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); `python -m bench` makes results") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: a record is not as expected ({error!r}); run the benchmark again") from None


def _of_races(path: Path) -> ResultSet:
    records, cut = read_records(path)
    races = races_of(records)
    first, disagreements = races[0], [line for race in races for line in race.left_out.values()]
    return ResultSet(
        path, first.when, first.machine, first.data_name, first.notice, [], disagreements, races=races, cut=cut
    )


def _of_a_network(path: Path) -> ResultSet:
    from bench.records.inspection import inspection_of

    content = mapping(_json(path))
    if content.get("schema") != SCHEMA:
        remedy = remedy_for(content.get("schema"))
        raise UserError(f"{path}: has schema {content.get('schema')}, this version reads {SCHEMA}; {remedy}")
    notice = None if content["notice"] is None else text(content["notice"])
    found = inspection_of(content)
    return ResultSet(
        path, text(content["when"]), mapping(content["machine"]), text(content["data"]), notice, inspection=found
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected whole JSON, found: {error}; run the benchmark again") from None


def _of_benchmarks(path: Path) -> ResultSet:
    content = _json(path)
    ours = content.get("digitbench") if isinstance(content, dict) else None
    if not isinstance(ours, dict) or "benchmarks" not in content:
        raise UserError(
            f"{path}: expected the JSON of this suite's benchmarks, found another; "
            "`pytest --benchmark-only --benchmark-json=FILE` writes it"
        )
    if ours.get("schema") != SCHEMA:
        remedy = remedy_for(ours.get("schema"))
        raise UserError(f"{path}: has schema {ours.get('schema')}, this version reads {SCHEMA}; {remedy}")
    return ResultSet(
        path=path,
        when=text(content["datetime"]),
        machine=mapping(content["machine_info"]["digitbench"]),
        data_name=text(ours["data"]),
        notice=None if ours["notice"] is None else text(ours["notice"]),
        measurements=[_measurement(benchmark) for benchmark in content["benchmarks"]],
        disagreements=_first_failures(ours["agreement"]),
        unavailable={text(name): text(reason) for name, reason in mapping(ours["unavailable"]).items()},
    )


def _first_failures(agreement: list[dict[str, Any]]) -> list[str]:
    """One line for each backend that disagreed: its first failure."""
    first: dict[str, str] = {}
    for result in agreement:
        if result["failure"] is not None:
            first.setdefault(text(result["backend"]), text(result["failure"]))
    return list(first.values())


def _measurement(benchmark: dict[str, Any]) -> Measurement:
    info = mapping(benchmark["extra_info"])
    samples = times(benchmark["stats"]["data"])
    if not samples or min(samples) <= 0:
        raise ValueError("samples of wall time must be positive")
    batch = info["batch"]
    return Measurement(
        quantity=_quantity(info["quantity"]),
        backend=text(info["backend"]),
        summary=text(info["summary"]),
        lines_of_code=count(info["lines_of_code"], least=0),
        plan=text(info["plan"]),
        default_batch=bool(info["default_batch"]),
        batch=None if batch is None else count(batch),
        network=text(info["network"]),
        dtype=text(info["dtype"]),
        images=count(info["images"]),
        of_images=count(info["of_images"]),
        samples=samples,
        user_samples=times(info["user_samples"], len(samples)),
        system_samples=times(info["system_samples"], len(samples)),
        prepare_seconds=times([info["prepare_seconds"]])[0],
        agreement_error=float(info["agreement_error"]),
        threads={text(pool): count(threads) for pool, threads in mapping(info["threads"]).items()},
        curve=_curve(info["curve"]) if "curve" in info else None,
        key=mapping(info["key"]),
    )


def _curve(curve: dict[str, Any]) -> Curve:
    """A diverged training has costs that are not finite; the clock never is."""
    seconds = times(curve["seconds"])
    accuracies, costs = ([float(value) for value in curve[name]] for name in ("test_accuracy", "train_cost"))
    if not seconds or not len(seconds) == len(accuracies) == len(costs):
        raise ValueError("a curve must have as many seconds, accuracies and costs, at least one")
    return Curve(seconds, accuracies, costs)


def _quantity(value: Any) -> Quantity:
    if value not in get_args(Quantity):
        raise ValueError(f"quantity {value!r} is unknown")
    return value
