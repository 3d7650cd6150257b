"""A growing results file: every record on disk at once, whole generations count, and only the same race goes on."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import UserError
from bench.records.journal import SCHEMA, Journal, differences, read_records, whole_generations


def header(number: int = 0, **key: Any) -> dict[str, Any]:
    return {"kind": "race", "race": number, "schema": SCHEMA, "key": {"batch": 32, **key}}


def sample(generation: int, race: int = 0) -> dict[str, Any]:
    return {"kind": "sample", "race": race, "generation": generation, "wall": 0.1}


def end_of(generation: int, race: int = 0) -> dict[str, Any]:
    return {"kind": "generation", "race": race, "generation": generation}


def left(path: Path, *records: dict[str, Any]) -> Path:
    with Journal(path, [header()]) as journal:
        for entry in records:
            journal.record(entry)
    return path


def test_a_record_is_on_disk_as_soon_as_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file.jsonl"
    with Journal(path, [header(0), header(1)]) as journal:
        assert read_records(path) == ([header(0), header(1)], False)
        journal.record(sample(0))
        assert read_records(path)[0] == journal.records == [header(0), header(1), sample(0)]
        assert journal.next_generation == 0


def test_it_goes_on_after_the_whole_generations(tmp_path: Path) -> None:
    path = left(tmp_path / "file", sample(0), end_of(0), sample(1), {"kind": "failure", "race": 0, "generation": 1})
    with Journal(path, [header()]) as journal:
        assert journal.records == [header(), sample(0), end_of(0)]
        assert journal.next_generation == 2  # as records of 1 stay in the file
        journal.record(sample(2))
        journal.record(end_of(2))
    records, cut = read_records(path)
    assert not cut
    assert len(records) == 7
    assert whole_generations(records) == [header(), sample(0), end_of(0), sample(2), end_of(2)]


def test_generations_are_whole_race_by_race() -> None:
    records = [header(0), header(1), sample(0, 0), end_of(0, 0), sample(0, 1)]
    assert whole_generations(records) == records[:4]


def test_a_line_that_was_cut_is_no_record(tmp_path: Path) -> None:
    path = left(tmp_path / "file", sample(0), end_of(0))
    whole = path.read_bytes()
    for length in range(whole.rindex(b'{"kind": "generation"') + 1, len(whole)):
        path.write_bytes(whole[:length])
        assert read_records(path) == ([header(), sample(0)], True)
    with Journal(path, [header()]):
        pass
    assert read_records(path) == ([header(), sample(0)], False)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([header(batch=64)], "batch 32 there, 64 here"),
        ([header(threads=2)], "threads None there, 2 here"),
        ([header(), header(1)], "1 races there, 2 here"),
    ],
)
def test_another_race_does_not_go_on(headers: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    path = left(tmp_path / "file", sample(0))
    before = path.read_bytes()
    with pytest.raises(UserError, match="is of another race") as caught:
        Journal(path, headers)
    assert said in str(caught.value)
    assert path.read_bytes() == before


def test_an_empty_file_is_as_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with Journal(path, [header()]) as journal:
        assert journal.records == [header()]


def test_differences_go_into_mappings() -> None:
    old = {"batch": 1, "machine": {"cpu": "a", "libraries": {"numpy": "1", "scipy": "2"}}}
    new = {"batch": 1, "machine": {"cpu": "a", "libraries": {"numpy": "1", "scipy": "3"}}}
    assert differences(old, new) == ["machine libraries scipy 2 there, 3 here"]
    assert differences(old, old) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected the header of a race"),
        (b'{"kind": "sample"}\n', "expected the header of a race"),
        (b"no JSON\n", "expected a JSON record a line"),
        (b"[1]\n", "expected a JSON record a line"),
        (b'{"nothing": 1}\n', "expected a JSON record a line"),
        (b"\xff\xfe\n", "expected a JSON record a line"),
        (json.dumps(header() | {"schema": SCHEMA + 1}).encode() + b"\n", f"has schema {SCHEMA + 1}.*update digitbench"),
        (json.dumps(header() | {"schema": 1}).encode() + b"\n", "has schema 1.*measure again"),
        (json.dumps(header() | {"schema": None}).encode() + b"\n", "has schema None.*measure again"),
    ],
)
def test_what_is_no_such_file_is_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        read_records(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError):
        read_records(tmp_path / "absent")
    with pytest.raises(UserError, match="cannot be read"):
        read_records(tmp_path)
