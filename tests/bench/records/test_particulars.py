"""What a report reads of the open parts of a header is checked when the file is read, so that it can be drawn."""

import math
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from bench import UserError
from bench.records.files import read
from bench.records.particulars import DEEPEST
from tests.helpers.article_records import LABELS, figure
from tests.helpers.race_files import MACHINE, race_records, written

FIGURE = figure("accuracy", "92.86", 1)
ABOUT = {"name": "row", "backend": "slow", "method": None, "figures": [FIGURE], "labels": LABELS, "seconds": 9.0}


def nested(levels: int) -> Any:
    """A list in a list, and so on."""
    return [nested(levels - 1)] if levels else []


def refused(tmp_path: Path, **header: Any) -> str:
    """The error for a race with another header."""
    path = written(tmp_path, "race.jsonl", race_records(generations=1, **header))
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 1: a record is not as expected: ")
    assert len(message) < len(str(path)) + 300
    return message


def test_what_is_as_expected(tmp_path: Path) -> None:
    machine = MACHINE | {"quota": 1.5, "gpu": {"gpus": [{"name": "a GPU"}]}, "more": nested(DEEPEST - 2)}
    path = written(tmp_path, "race.jsonl", race_records(generations=1, about=ABOUT, machine=machine))
    assert read(path).races[0].about.keys() == ABOUT.keys()


@pytest.mark.parametrize(
    "machine",
    [{"quota": [1]}, {"quota": -1.0}, {"gpu": 3}, {"gpu": {"gpus": [3]}}, {"more": nested(DEEPEST)}],
    ids=str,
)
def test_a_machine_that_cannot_be_shown(machine: dict[str, Any], tmp_path: Path) -> None:
    refused(tmp_path, machine=MACHINE | machine)


@pytest.mark.parametrize(
    "key", [{"backends": ["slow"]}, {"learning_rate": "0.5"}, {"learning_rate": 1e308}, {"sizes": [784]}], ids=str
)
def test_a_key_that_cannot_be_shown(key: dict[str, Any], tmp_path: Path) -> None:
    refused(tmp_path, key=key)


@pytest.mark.parametrize(
    "about",
    [
        {"backend": "absent"},
        {"bytes": ["slow"]},
        {"bytes": {"slow": "many"}},
        {"backend": ""},
        {"method": "absent"},
        {"name": 3},
        {"seconds": "long"},
        {"epochs": -1},
        {"figures": [FIGURE | {"low": "0"}]},
        {"figures": [FIGURE | {"epochs": []}]},
        {"figures": [FIGURE | {"splits": []}]},
        {"figures": [FIGURE | {"splits": ["last"]}]},
        {"figures": [FIGURE | {"what": "beauty"}]},
        {"labels": LABELS | {"test": []}},
        {"labels": {"train": [1]}},
        {"labels": LABELS | {"test": [0, 0]}},
        {"changes": {}},
        {"changes": {"a": ["b"]}},
        {"screens": [{"epoch": 1}]},
        {"zeros": 1.5},
        {"more": nested(DEEPEST)},
    ],
    ids=str,
)
def test_particulars_that_cannot_be_shown(about: dict[str, Any], tmp_path: Path) -> None:
    refused(tmp_path, about=ABOUT | about)


@pytest.mark.parametrize(
    "header",
    [{"baseline": "absent"}, {"target": 1.5}, {"target": -0.5}, {"key": {"more": nested(DEEPEST)}}],
    ids=str,
)
def test_headers_that_cannot_be_shown(header: dict[str, Any], tmp_path: Path) -> None:
    refused(tmp_path, **header)


@pytest.mark.parametrize("wall", [1e-300, 1e300, math.inf, math.nan])
def test_times_that_no_clock_gives(wall: float, tmp_path: Path) -> None:
    records = race_records(generations=1)
    records[-3]["wall"] = wall
    with pytest.raises(UserError, match=r"line \d+: a record is not as expected"):
        read(written(tmp_path, "race.jsonl", records))


def test_results_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "race.jsonl", race_records(generations=1))
    size = path.stat().st_size
    monkeypatch.setattr("bench.records.journal.MOST_BYTES", size)
    assert len(read(path).races) == 1
    monkeypatch.setattr("bench.records.journal.MOST_BYTES", size - 1)
    with pytest.raises(UserError, match=rf"expected at most {size - 1:,} bytes, found {size:,}"):
        read(path)
    with (tmp_path / "suite.json").open("wb") as file:
        file.write(b"{")
        file.truncate(2**25)  # no blocks on disk
    monkeypatch.setattr("bench.records.files.MOST_BYTES", 100)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="expected results of at most 100 bytes, found more"):
            read(tmp_path / "suite.json")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20
