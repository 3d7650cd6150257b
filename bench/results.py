"""Results on disk: pytest-benchmark's JSON with what this suite adds, read into records. All that reports/ knows of."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

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
        content = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); `python -m bench` makes results") from None
    except ValueError as error:
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
            when=str(content["datetime"]),
            machine=content["machine_info"]["digitbench"],
            data_name=str(ours["data"]),
            notice=ours["notice"],
            measurements=[_measurement(benchmark) for benchmark in content["benchmarks"]],
            disagreements=[result["failure"] for result in ours["agreement"] if result["failure"]],
            unavailable=dict(ours["unavailable"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: a record is not as expected ({error!r}); run the benchmark again") from None


def _measurement(benchmark: dict[str, Any]) -> Measurement:
    info = dict(benchmark["extra_info"])
    curve = info.pop("curve", None)
    samples = [float(sample) for sample in benchmark["stats"]["data"]]
    if not samples or not all(math.isfinite(sample) and sample > 0 for sample in samples):
        raise ValueError(f"{benchmark['name']}: samples must be positive numbers")
    known = Measurement.__dataclass_fields__
    return Measurement(
        samples=samples,
        curve=None if curve is None else Curve(**curve),
        **{name: value for name, value in info.items() if name in known},
    )
