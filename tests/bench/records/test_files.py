"""Results on disk: what pytest-benchmark wrote is read into records, and what is no such file ends in one line."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from bench import UserError
from bench.records.files import ResultSet, read
from bench.records.kinds import SCHEMA, LearningCurve
from tests.helpers.records import agreement

RECORD: dict[str, Any] = {
    "quantity": "epoch",
    "backend": "naive",
    "summary": "one image at a time",
    "lines_of_code": 99,
    "plan": "full batch",
    "default_batch": True,
    "batch": None,
    "network": "784-128-10 relu, softmax with cross_entropy",
    "dtype": "float32",
    "images": 2000,
    "of_images": 60000,
    "samples": [2.0, 4.0, 3.0],
    "prepare_seconds": 0.25,
    "agreement_error": 3.5,
    "user_samples": [1.5, 3.0, 2.0],
    "system_samples": [0.5, 0.25, 0.0],
    "threads": {"openblas (numpy)": 2},
    "key": {"measure": "epoch", "threads": 2},
}
CURVE = {"seconds": [0.0, 3.0], "epochs": [0, 1], "accuracy": [0.1, 0.9], "cost": [2.3, 0.5]}
CONTENT: dict[str, Any] = {
    "benchmarks": [{"name": "bench_epoch[naive-full batch]", "stats": {"data": [2.0, 4.0, 3.0]}}],
    "digitbench": {
        "schema": SCHEMA,
        "when": "2026-01-02T03:04:05+00:00",
        "command": "python -m bench",
        "machine": {"cpu": "a processor", "cores": 2},
        "data": "built-in digits",
        "notice": "Data: built-in digits, not MNIST.",
        "agreement": [
            agreement("naive"),
            agreement("other", error=1e7, failure="other, full batch: outputs is 1e7"),
            agreement("other", error=None, failure="other, full batch: cost is nan"),
        ],
        "unavailable": {"absent": "needs a library"},
        "measurements": [RECORD],
    },
    "version": "5.1.0",
}
OURS = "digitbench", "measurements", 0


def written(folder: Path, content: Any) -> Path:
    path = folder / "results.json"
    path.write_text(json.dumps(content))
    return path


def changed(*where: Any, to: Any) -> Any:
    """The valid content with one value replaced, at this chain of keys; Ellipsis takes it out."""
    content = copy.deepcopy(CONTENT)
    inner = content
    for key in where[:-1]:
        inner = inner[key]
    if to is ...:
        del inner[where[-1]]
    else:
        inner[where[-1]] = to
    return content


def error_of(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


# --- a valid file ------------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path: Path) -> ResultSet:
    return read(written(tmp_path, CONTENT))


def test_the_set(results: ResultSet, tmp_path: Path) -> None:
    assert results.path == tmp_path / "results.json"
    assert results.when == "2026-01-02T03:04:05+00:00"
    assert results.machine == {"cpu": "a processor", "cores": 2}
    assert results.data_name == "built-in digits"
    assert results.notice == "Data: built-in digits, not MNIST."
    assert results.disagreements == ["other, full batch: outputs is 1e7"]
    assert results.unavailable == {"absent": "needs a library"}
    assert len(results.measurements) == 1


def test_a_measurement(results: ResultSet) -> None:
    (measurement,) = results.measurements
    for name, value in RECORD.items():
        assert getattr(measurement, name) == value
    assert measurement.curve is None


def test_sampled_seconds_are_scaled(results: ResultSet) -> None:
    (measurement,) = results.measurements
    assert measurement.scale == 30
    assert measurement.seconds == [60, 120, 90]
    assert measurement.cpu_seconds == [60, 97.5, 60]


def test_seconds_of_all_images_are_as_measured(tmp_path: Path) -> None:
    content = changed(*OURS, "images", to=60000)
    (measurement,) = read(written(tmp_path, content)).measurements
    assert measurement.scale == 1
    assert measurement.seconds == measurement.samples
    assert measurement.cpu_seconds == [2.0, 3.25, 2.0]


def test_a_curve(tmp_path: Path) -> None:
    (measurement,) = read(written(tmp_path, changed(*OURS, "curve", to=CURVE))).measurements
    assert measurement.curve == LearningCurve([0.0, 3.0], [0, 1], [0.1, 0.9], [2.3, 0.5])


def test_mnist_needs_no_notice(tmp_path: Path) -> None:
    assert read(written(tmp_path, changed("digitbench", "notice", to=None))).notice is None


def test_a_training_may_diverge(tmp_path: Path) -> None:
    diverged = CURVE | {"cost": [math.inf, math.nan]}
    (measurement,) = read(written(tmp_path, changed(*OURS, "curve", to=diverged))).measurements
    assert measurement.curve is not None
    assert math.isnan(measurement.curve.costs[1])


def test_no_backend_agreed(tmp_path: Path) -> None:
    assert read(written(tmp_path, changed("digitbench", "measurements", to=[]))).measurements == []


# --- files that are not as they should be ------------------------------------------------------------------


def test_missing_file(tmp_path: Path) -> None:
    message = error_of(tmp_path / "absent.json")
    assert "No such file" in message
    assert "`python -m bench`" in message


def test_a_folder(tmp_path: Path) -> None:
    assert "cannot be read" in error_of(tmp_path)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_cut_file(share: float, tmp_path: Path) -> None:
    path = written(tmp_path, CONTENT)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    message = error_of(path)
    assert "expected whole JSON" in message
    assert "measure again" in message


def test_no_text(tmp_path: Path) -> None:
    (tmp_path / "image.json").write_bytes(bytes(range(128, 256)))
    assert "expected whole JSON" in error_of(tmp_path / "image.json")


@pytest.mark.parametrize(
    "content",
    [[], 3, None, "text", {}, {"benchmarks": []}, changed("digitbench", to=...), changed("digitbench", to=[])],
)
def test_foreign_json(content: Any, tmp_path: Path) -> None:
    message = error_of(written(tmp_path, content))
    assert "expected the JSON of this suite's benchmarks" in message
    assert "--benchmark-json" in message


@pytest.mark.parametrize(
    ("schema", "remedy"), [(SCHEMA + 1, "update digitbench"), (2, "measure again"), (None, "measure again"), ("x", "")]
)
def test_another_schema(schema: Any, remedy: str, tmp_path: Path) -> None:
    message = error_of(written(tmp_path, changed("digitbench", "schema", to=schema)))
    assert f"has schema {schema}, this version reads {SCHEMA}; {remedy}" in message
    assert len(error_of(written(tmp_path, changed("digitbench", "schema", to="x\n" * 1000)))) < 400


@pytest.mark.parametrize("field", sorted(RECORD.keys() - {"key"}))
def test_a_record_that_lacks_a_field(field: str, tmp_path: Path) -> None:
    message = error_of(written(tmp_path, changed(*OURS, field, to=...)))
    assert f"missing required field `{field}` - at `$.measurements[0]`; measure again" in message


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("digitbench", "when"), ...),
        (("digitbench", "machine"), None),
        (("digitbench", "machine"), {"quota": [1]}),
        (("digitbench", "measurements"), 3),
        (OURS, "text"),
        ((*OURS, "samples"), []),
        ((*OURS, "samples"), [1.0, 0.0, 1.0]),
        ((*OURS, "samples"), [1.0, -1.0, 1.0]),
        ((*OURS, "samples"), [1.0, float("nan"), 1.0]),
        ((*OURS, "samples"), [1.0, float("inf"), 1.0]),
        ((*OURS, "samples"), [1.0, "fast", 1.0]),
        ((*OURS, "samples"), [1.0, 1.0]),
        ((*OURS, "images"), 0),
        ((*OURS, "quantity"), "round"),
        ((*OURS, "curve"), [1, 2]),
        ((*OURS, "curve"), {"seconds": [0.0]}),
        ((*OURS, "curve"), CURVE | {"cost": [1.0]}),
        (("digitbench", "data"), ...),
        (("digitbench", "notice"), ...),
        (("digitbench", "agreement"), ...),
        (("digitbench", "agreement"), [1]),
        (("digitbench", "unavailable"), ...),
        (("digitbench", "watts"), 12),
    ],
    ids=str,
)
def test_other_records_that_are_not_as_expected(where: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    assert "a record is not as expected" in error_of(written(tmp_path, changed(*where, to=value)))
