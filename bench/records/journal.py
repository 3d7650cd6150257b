"""A file of results that grows while they are measured: JSON, a record a line, on disk as soon as it is there.

First come the headers of one or more races, records of kind "race", each with a `key`: everything on which its times
depend. What follows names its race by number. A file that was left in the middle goes on: where the keys are the same,
the whole generations in it count, and a generation that was cut short does not.
"""

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench
from bench import UserError

if TYPE_CHECKING:
    from data import Dataset

SCHEMA = 2
SAME = ("purpose", "key", "participants", "baseline")  # of a header, where a file goes on
Record = dict[str, Any]


class Journal:
    """An open file of records; use it in a `with`.

    headers: of the races. Raises UserError where the file is there already and holds other races than these, or cannot
    be read or written.
    """

    def __init__(self, path: Path, headers: Sequence[Record]) -> None:
        self.path = path
        self.records: list[Record] = []  # that count: those of before, and the new ones
        self.next_generation = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file() and begun(path, len(headers)):
                there = same_races(path, headers)
                self.records = whole_generations(there)
                self.next_generation = 1 + max((entry.get("generation", -1) for entry in there), default=-1)
                os.truncate(path, path.read_bytes().rfind(b"\n") + 1)  # a line that was cut is no record
                headers = ()
            self._file = path.open("a" if self.records else "w", encoding="utf-8")
        except OSError as error:
            raise self.unwritten(error) from None
        try:
            self.record(*headers)
        except UserError:
            self.__exit__()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what could not be written has been told
            self._file.close()

    def record(self, *entries: Record) -> None:
        """Write more records. Raises UserError where that fails, as on a full disk; what is written stays."""
        try:
            self._file.write("".join(json.dumps(entry) + "\n" for entry in entries))
            self._file.flush()
        except OSError as error:
            raise self.unwritten(error) from None
        self.records += entries

    def unwritten(self, error: OSError) -> UserError:
        """What to say of it."""
        return UserError(
            f"{self.path}: results cannot be written ({error.strerror}); make room and go on with the same command and "
            f"--results {self.path}, which keeps all whole generations; or choose another file"
        )


def begun(path: Path, races: int) -> bool:
    """Whether there is more in the file than the beginning of its headers, as a full disk leaves it."""
    content = path.read_bytes()
    header = b'{"kind": "race"'
    return not content.startswith(header[: len(content)]) or content.count(b"\n") >= races


def same_races(path: Path, headers: Sequence[Record]) -> list[Record]:
    """The file's records. Raises UserError unless they are of the races of these headers."""
    records, _ = read_records(path)
    found = [entry for entry in records if entry["kind"] == "race"]
    different = [] if len(found) == len(headers) else [f"{len(found)} races there, {len(headers)} here"]
    for old, new in zip(found, headers, strict=False):
        here = as_read(new)
        different += differences({part: old.get(part) for part in SAME}, {part: here.get(part) for part in SAME})
    if different:
        raise UserError(
            f"{path}: is of another race, which cannot go on: {'; '.join(different)}; give another file to --results"
        )
    return records


def as_read(entry: Record) -> Record:
    """The record as it will be read again: a tuple is a list then."""
    found: Record = json.loads(json.dumps(entry))
    return found


def differences(old: dict[str, Any], new: dict[str, Any], within: str = "") -> list[str]:
    """The fields that differ, with both values, "batch 32 there, 128 here"."""
    found = []
    for field in dict.fromkeys([*old, *new]):
        there, here = old.get(field), new.get(field)
        if isinstance(there, dict) and isinstance(here, dict):
            found += differences(there, here, f"{within}{field} ")
        elif there != here:
            found.append(f"{within}{field} {there} there, {here} here")
    return found


def read_records(path: Path) -> tuple[list[Record], bool]:
    """All whole records of a file, and whether it ends in the middle of one.

    Raises UserError for a file that is absent, of a newer version, or no such file.
    """
    try:
        *lines, rest = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); `python -m bench race` makes results") from None
    try:
        records = [json.loads(line) for line in lines]
        for entry in records:
            entry["kind"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError(f"{path}: expected a JSON record a line, each with its kind; race again") from None
    if not records or records[0]["kind"] != "race":
        raise UserError(f"{path}: expected the header of a race in the first line, found none; race again")
    schema = records[0].get("schema")
    if schema != SCHEMA:
        raise UserError(f"{path}: has schema {schema}, this version reads {SCHEMA}; {remedy_for(schema)}")
    return records, bool(rest)


def remedy_for(schema: object) -> str:
    """What to do about a file of another version."""
    return "update digitbench" if isinstance(schema, int) and schema > SCHEMA else "measure again"


def whole_generations(records: Sequence[Record]) -> list[Record]:
    """Without what belongs to a generation that was left before its end."""
    ended = {(entry["race"], entry["generation"]) for entry in records if entry["kind"] == "generation"}
    return [entry for entry in records if "generation" not in entry or (entry["race"], entry["generation"]) in ended]


def results_file(asked_for: Path | None, purpose: str) -> Path:
    """Where the records go: what is asked for, or a new file in bench/results."""
    return asked_for or bench.RESULTS / f"{purpose}-{datetime.now():%Y%m%d-%H%M%S-%f}.jsonl"


def race_opening(
    dataset: "Dataset",
    number: int,
    purpose: str,
    baseline: str,
    participants: dict[str, str],
    key: dict[str, Any],
    described: dict[str, Any],
) -> Record:
    """The first record of anything that a journal keeps. described: `machine.describe()`."""
    return {
        "kind": "race",
        "race": number,
        "schema": SCHEMA,
        "purpose": purpose,
        "when": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join(["python -m bench", *sys.argv[1:]]),
        "key": key,
        "baseline": baseline,
        "participants": participants,
        "data": dataset.name,
        "notice": dataset.notice,
        "machine": described,
    }
