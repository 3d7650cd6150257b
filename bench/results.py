"""Results on disk: pytest-benchmark's JSON with what this suite adds, read into records. All that reports/ knows of."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from bench import UserError

SCHEMA = 1
FOLDER = Path(__file__).parent / "results"
Quantity = Literal["round", "gradient", "outputs", "floor"]


@dataclass(frozen=True)
class Curve:
    """A training, round by round, from before the first; all lists are of one length."""

    seconds: list[float]  # training so far, wall
    test_accuracy: list[float]  # share of the test images, 0 to 1
    train_cost: list[float]  # over all training images


@dataclass(frozen=True)
class Measurement:
    """The samples of one backend in one case."""

    quantity: Quantity  # "round": training over all images once; "floor": the first layer's two products
    backend: str
    summary: str
    lines_of_code: int
    plan: str  # "full batch", "mini-batches"; "" where there is none
    at_home: bool  # whether it is the plan that the backend is at home with
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
    measurements: list[Measurement]
    disagreements: list[str] = field(default_factory=list)  # a line each: who was left out, and why
    unavailable: dict[str, str] = field(default_factory=dict)  # backend: reason


def read(path: Path) -> ResultSet:
    """Read what `pytest --benchmark-only --benchmark-json=FILE` wrote.

    Raises UserError for a file that is absent, cut, not ours, or of a newer version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); `python -m bench` makes results") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected whole JSON, found: {error}; run the benchmark again") from None
    ours = content.get("digitbench") if isinstance(content, dict) else None
    if not isinstance(ours, dict) or "benchmarks" not in content:
        raise UserError(
            f"{path}: expected the JSON of this suite's benchmarks, found another; "
            "`pytest --benchmark-only --benchmark-json=FILE` writes it"
        )
    if ours.get("schema") != SCHEMA:
        raise UserError(f"{path}: has schema {ours.get('schema')}, this version reads {SCHEMA}; update digitbench")
    try:
        return ResultSet(
            path=path,
            when=_text(content["datetime"]),
            machine=_mapping(content["machine_info"]["digitbench"]),
            data_name=_text(ours["data"]),
            notice=None if ours["notice"] is None else _text(ours["notice"]),
            measurements=[_measurement(benchmark) for benchmark in content["benchmarks"]],
            disagreements=_first_failures(ours["agreement"]),
            unavailable={_text(name): _text(reason) for name, reason in _mapping(ours["unavailable"]).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{path}: a record is not as expected ({error!r}); run the benchmark again") from None


def _first_failures(agreement: list[dict[str, Any]]) -> list[str]:
    """One line for each backend that disagreed: its first failure."""
    first: dict[str, str] = {}
    for result in agreement:
        if result["failure"] is not None:
            first.setdefault(_text(result["backend"]), _text(result["failure"]))
    return list(first.values())


def _measurement(benchmark: dict[str, Any]) -> Measurement:
    info = _mapping(benchmark["extra_info"])
    samples = _times(benchmark["stats"]["data"])
    if not samples or min(samples) <= 0:
        raise ValueError("samples of wall time must be positive")
    batch = info["batch"]
    return Measurement(
        quantity=_quantity(info["quantity"]),
        backend=_text(info["backend"]),
        summary=_text(info["summary"]),
        lines_of_code=_count(info["lines_of_code"], least=0),
        plan=_text(info["plan"]),
        at_home=bool(info["at_home"]),
        batch=None if batch is None else _count(batch),
        network=_text(info["network"]),
        dtype=_text(info["dtype"]),
        images=_count(info["images"]),
        of_images=_count(info["of_images"]),
        samples=samples,
        user_samples=_times(info["user_samples"], len(samples)),
        system_samples=_times(info["system_samples"], len(samples)),
        prepare_seconds=_times([info["prepare_seconds"]])[0],
        agreement_error=float(info["agreement_error"]),
        threads={_text(pool): _count(threads) for pool, threads in _mapping(info["threads"]).items()},
        curve=_curve(info["curve"]) if "curve" in info else None,
    )


def _curve(curve: dict[str, Any]) -> Curve:
    """A diverged training has costs that are not finite; the clock never is."""
    seconds = _times(curve["seconds"])
    accuracies, costs = ([float(value) for value in curve[name]] for name in ("test_accuracy", "train_cost"))
    if not seconds or not len(seconds) == len(accuracies) == len(costs):
        raise ValueError("a curve must have as many seconds, accuracies and costs, at least one")
    return Curve(seconds, accuracies, costs)


def _quantity(value: Any) -> Quantity:
    if value not in get_args(Quantity):
        raise ValueError(f"quantity {value!r} is unknown")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected a mapping, found {value!r}")
    return value


def _count(value: Any, least: int = 1) -> int:
    if not isinstance(value, int) or not least <= value < 2**63:
        raise ValueError(f"expected a whole number from {least} below 2^63, found {value!r}")
    return value


def _times(values: list[Any], length: int | None = None) -> list[float]:
    """Seconds, finite and not negative; CPU times may be 0."""
    times = [float(value) for value in values]
    if not all(math.isfinite(value) and value >= 0 for value in times) or length not in (None, len(times)):
        raise ValueError(f"expected {length or 'some'} times in seconds, found {values!r:.60}")
    return times
