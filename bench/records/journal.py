"""A file of results that grows while they are measured: JSON, a record a line, on disk as soon as it is made.

First come the headers of one or more races, each with a `key`: everything on which its times depend. What follows names
its race by number. An interrupted file is continued where the keys are the same: its complete generations count, and a
generation that was cut short does not. Nor does a failure of an earlier run, unless it is final: that participant is
tried anew.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

import msgspec

import bench
import temporary
from bench import UserError
from bench.records.kinds import AnyRecord, Race, check_schema, damaged
from bench.records.paths import without_paths
from bench.timing.records import Failure, Generation, Process, Record, Sample
from untrusted import read_plain, reason_of

logger = logging.getLogger(__name__)
SAME = ("purpose", "key", "participants", "baseline")  # of a header, where a file is continued
MOST_BYTES = 2**30  # of a file: a day of measurements of 20 ms each; read, it takes about five times as much
HEADER = b'{"kind":"race"'
Kind = TypeVar("Kind", bound=Record)
ENCODER = msgspec.json.Encoder()
DECODER = msgspec.json.Decoder(AnyRecord)


class Header(msgspec.Struct):
    """The fields that the first line has in files of every schema."""

    kind: Literal["race"]
    schema: Any = None


class Journal:
    """An open file of records; use it in a `with`.

    headers: of the races. Raises UserError where the file exists and holds other races than these, where another run
    writes to it, and where it cannot be read or written.
    """

    def __init__(self, path: Path, headers: Sequence[Race]) -> None:
        self.path = path
        self.records: list[Record] = []  # that count: those that were in the file, and the new ones
        self.next_generation = 0
        self._file = open_alone(path)
        try:
            self.record(*self.continued(headers))
        except UserError:
            self.__exit__()
            raise

    def continued(self, headers: Sequence[Race]) -> Sequence[Race]:
        """Take over the records of the file; return the headers that are still to be written, all or none.

        Raises UserError where the file holds other races.
        """
        path = self.path
        content = content_of(path) if path.is_file() else b""
        with writing(path):
            # A file with fewer lines than headers begins anew: a full disk cut them.
            if not content.startswith(HEADER[: len(content)]) or content.count(b"\n") >= len(headers):
                there = same_races(path, headers)
                self.records = whole_generations(there)
                self.try_anew()
                self.next_generation = 1 + max(map(generation_of, there))
                os.truncate(path, content.rfind(b"\n") + 1)  # a line that was cut is no record
                return ()
            if content:
                os.truncate(path, 0)
        return headers

    def try_anew(self) -> None:
        """Leave out the failures that are not final, and tell of them; on disk they stay."""
        passing = [one for one in self.of(Failure) if not one.final]
        self.records = [one for one in self.records if one not in passing]
        for participant, reason in dict.fromkeys((one.participant, one.reason) for one in passing):
            logger.warning("%s failed before (%s); it is tried anew", participant, reason)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what could not be written has been reported
            self._file.close()

    def record(self, *records: Record) -> None:
        """Append records, without paths in them.

        Raises UserError where that fails, as on a full disk; what is written stays.
        """
        records = tuple(map(without_paths, records))
        with writing(self.path):
            self._file.write(ENCODER.encode_lines(records))
            self._file.flush()
        self.records += records

    def of(self, kind: type[Kind], number: int | None = None) -> list[Kind]:
        """The records of a kind, of one race or of all."""
        return [one for one in self.records if isinstance(one, kind) and number in (None, one.race)]


def open_alone(path: Path) -> BinaryIO:
    """Open a file for appending, which no other run can do until this one closes it or ends, killed or not.

    Where the file system has no locks, a line says so. Raises UserError where another run has the file open, or it
    cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    try:
        if path.is_file():  # no device
            temporary.lock(file.fileno())
    except BlockingIOError:
        file.close()
        number = temporary.holder(path)
        which = "" if number is None else f", process {number},"
        raise UserError(
            f"{path}: another run{which} is writing to it; wait until that ends, or give another file to --output"
        ) from None
    except OSError as error:
        logger.warning("%s: cannot be locked (%s); start no other run that writes to it", path, error.strerror)
    return file


@contextlib.contextmanager
def writing(path: Path, kept: str = "all whole generations") -> Iterator[None]:
    """Within the `with`, UserError is raised where the file cannot be written, with the remedy. kept: what stays."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: results cannot be written ({error.strerror or error}); make room and continue with the same "
            f"command and --output {path}, which keeps {kept}; or choose another file"
        ) from None


def same_races(path: Path, headers: Sequence[Race]) -> list[Record]:
    """Read the file's records. Raises UserError unless they are of the races of these headers."""
    records, _ = read_records(path)
    races = [record for record in records if isinstance(record, Race)]
    different = [] if len(races) == len(headers) else [f"{len(races)} races there, {len(headers)} here"]
    for old, new in zip(races, headers, strict=False):
        here = DECODER.decode(ENCODER.encode(new))  # a tuple is a list then
        for part in SAME:
            different += differences({part: getattr(old, part)}, {part: getattr(here, part)})
    if different:
        raise UserError(
            f"{path}: is of another race, which cannot be continued: {'; '.join(different)}; "
            "give another file to --output"
        )
    return records


def differences(old: dict[str, Any], new: dict[str, Any], within: str = "") -> list[str]:
    """The fields that differ, with both values, "batch 32 there, 128 here"."""
    different = []
    for field in dict.fromkeys([*old, *new]):
        there, here = old.get(field), new.get(field)
        if isinstance(there, dict) and isinstance(here, dict):
            different += differences(there, here, f"{within}{field} ")
        elif there != here:
            different.append(f"{within}{field} {there} there, {here} here")
    return different


def read_records(path: Path) -> tuple[list[Record], bool]:
    """All whole records of a file, and whether it ends in the middle of one.

    Raises UserError for a file that is absent, of another schema, or no results file, and for a damaged record.
    """
    *lines, rest = content_of(path).split(b"\n")
    try:
        schema = msgspec.json.decode(lines[0] if lines else b"", type=Header).schema
    except (ValueError, RecursionError):
        raise UserError(f"{path}: expected the header of a race in the first line, found none; measure again") from None
    check_schema(path, schema)
    records: list[Record] = []
    known: set[tuple[object, ...]] = set()  # races, their participants, and these by generation once started
    for number, line in enumerate(lines, start=1):
        try:
            records.append(DECODER.decode(line))
            check_context(records[-1], known)
        except (ValueError, RecursionError) as error:
            raise damaged(f"{path}, line {number}", error) from None
    return records, bool(rest)


def content_of(path: Path) -> bytes:
    """The bytes of a file of records. Raises UserError where it cannot be read, or has more than MOST_BYTES."""
    try:
        return read_plain(path, MOST_BYTES)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason_of(error)}); `python -m bench race` makes results") from None


def check_context(record: Record, known: set[tuple[object, ...]]) -> None:
    """Raise ValueError unless what a record refers to came before it; add it to what is known."""
    name, generation = getattr(record, "participant", None), generation_of(record)
    if isinstance(record, Race):
        known.update([(record.race,), *((record.race, name) for name in record.participants)])
    elif (record.race,) not in known:
        raise ValueError(f"Expected the header of race {record.race} before, got none")
    elif name is not None and (record.race, name) not in known:
        raise ValueError(f"Expected a participant of the header, got {name!r}")
    elif isinstance(record, Process):
        known.add((record.race, name, generation))
    elif isinstance(record, Sample) and (record.race, name, generation) not in known:
        raise ValueError(f"Expected the process of {name!r} before its sample, got none")


def generation_of(record: Record) -> int:
    """The generation that a record belongs to; -1: none."""
    generation = getattr(record, "generation", None)
    return -1 if generation is None else generation


def whole_generations(records: Sequence[Record]) -> list[Record]:
    """The records without those of a generation that was interrupted."""
    ended = {(record.race, record.generation) for record in records if isinstance(record, Generation)}
    return [one for one in records if generation_of(one) < 0 or (one.race, generation_of(one)) in ended]


def results_file(asked_for: Path | None, purpose: str) -> Path:
    """The file for the records: the one that was asked for, or a new one in bench/results."""
    return asked_for or bench.RESULTS / f"{purpose}-{datetime.now():%Y%m%d-%H%M%S-%f}.jsonl"
