"""A growing results file: each record on disk at once, whole generations count, and only the same race is continued."""

import contextlib
import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import bench
from bench import UserError
from bench.records.journal import Journal, differences, open_alone, read_records, whole_generations
from bench.records.kinds import SCHEMA, Race
from bench.timing.records import Failure, Generation, Process, Record, Sample
from tests.helpers.records import HEADER, KEY, process


def header(number: int = 0, **key: Any) -> Race:
    return msgspec.convert(HEADER | {"race": number, "key": KEY | key}, Race)


def sample(generation: int, race: int = 0) -> Sample:
    return Sample(generation, 0, 0, "naive", 0.1, 0.1, 0.0, race=race)


def started(generation: int, race: int = 0) -> Process:
    return msgspec.convert(process("naive", generation, race=race), Process)


def end_of(generation: int, race: int = 0) -> Generation:
    return Generation(generation, 1.0, race=race)


def left(path: Path, *records: Record) -> Path:
    with Journal(path, [header()]) as journal:
        for entry in records:
            journal.record(entry)
    return path


def test_a_record_is_on_disk_as_soon_as_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file.jsonl"
    with Journal(path, [header(0), header(1)]) as journal:
        assert read_records(path) == ([header(0), header(1)], False)
        journal.record(started(0))
        journal.record(sample(0))
        assert read_records(path)[0] == journal.records == [header(0), header(1), started(0), sample(0)]
        assert journal.of(Sample, 0) == [sample(0)]
        assert journal.of(Sample, 1) == []
        assert journal.next_generation == 0


def test_it_continues_after_the_whole_generations(tmp_path: Path) -> None:
    failure = Failure("naive", "why", 1, race=0)
    path = left(tmp_path / "file", started(0), sample(0), end_of(0), started(1), sample(1), failure)
    with Journal(path, [header()]) as journal:
        assert journal.records == [header(), started(0), sample(0), end_of(0)]
        assert journal.next_generation == 2  # as records of 1 stay in the file
        journal.record(end_of(2))
    records, cut = read_records(path)
    assert not cut
    assert len(records) == 8
    assert whole_generations(records) == [header(), started(0), sample(0), end_of(0), end_of(2)]


def test_what_failed_is_tried_anew_unless_it_was_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    killed = Failure("floor", "was ended by SIGKILL", 0, race=0)
    wrong = Failure("naive", "WrongResult: it is", None, True, race=0)
    path = left(tmp_path / "file", started(0), sample(0), killed, wrong, end_of(0))
    with Journal(path, [header()]) as journal:
        assert journal.of(Failure) == [wrong]
    assert caplog.messages == ["floor failed before (was ended by SIGKILL); it is tried anew"]
    assert killed in read_records(path)[0]  # what happened stays on disk


def test_a_failure_outside_any_generation_stays() -> None:
    records = [header(), Failure("naive", "why", race=0)]
    assert whole_generations(records) == records


def test_generations_are_whole_race_by_race() -> None:
    records = [header(0), header(1), sample(0, 0), end_of(0, 0), sample(0, 1)]
    assert whole_generations(records) == records[:4]


def test_a_line_that_was_cut_is_no_record(tmp_path: Path) -> None:
    path = left(tmp_path / "file", started(0), end_of(0))
    whole = path.read_bytes()
    for length in range(whole.rindex(b'{"kind":"generation"') + 1, len(whole)):
        path.write_bytes(whole[:length])
        assert read_records(path) == ([header(), started(0)], True)
    with Journal(path, [header()]):
        pass
    assert read_records(path) == ([header(), started(0)], False)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([header(batch=64)], "batch 128 there, 64 here"),
        ([header(backends={})], "backends None there, {} here"),
        ([header(), header(1)], "1 races there, 2 here"),
        ([msgspec.structs.replace(header(), purpose="calibrate")], "purpose race there, calibrate here"),
        (
            [msgspec.structs.replace(header(), participants=header().participants | {"naive": "c"})],
            "participants naive naive there, c here",
        ),
    ],
)
def test_another_race_is_not_continued(headers: list[Race], message: str, tmp_path: Path) -> None:
    path = left(tmp_path / "file", started(0))
    before = path.read_bytes()
    with pytest.raises(UserError, match="is of another race") as caught:
        Journal(path, headers)
    assert message in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"notes, without the end of a line", b"notes\n", b"\0"])
def test_another_file_is_never_overwritten(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for headers in ([header()], [header(), header(1)]):
        with contextlib.suppress(UserError), Journal(path, headers):
            pytest.fail("it was taken for results")
    assert path.read_bytes() == content


def test_an_empty_file_is_as_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with Journal(path, [header()]) as journal:
        assert journal.records == [header()]


HERE = f", process {os.getpid()}," if sys.platform == "linux" else ""


def test_two_runs_cannot_write_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with Journal(path, [header()]) as first:
        for headers in ([header()], [header(batch=64)]):
            with pytest.raises(UserError, match=rf"file: another run{HERE} is writing to it; wait .* --output$"):
                Journal(path, headers)
        first.record(started(0), end_of(0))
        assert read_records(path)[0] == [header(), started(0), end_of(0)]
    with Journal(path, [header()]) as second:  # the first is closed
        assert second.next_generation == 1


WRITER = """
import os, sys
from pathlib import Path
from bench.records.journal import open_alone
file = open_alone(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def test_a_run_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "file"
    command = [sys.executable, "-c", WRITER, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=bench.ROOT, stdin=pipe, stdout=pipe) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(UserError, match=f"another run(, process {other.pid},)? is writing to it"):
            open_alone(path)
        other.kill()
        other.wait()
        open_alone(path).close()


def test_a_file_that_cannot_be_locked_is_written_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def without_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", without_locks)
    with Journal(tmp_path / "file", [header()]):
        pass
    assert read_records(tmp_path / "file") == ([header()], False)
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path / 'file'}: cannot be locked (No locks available); ")


def test_what_is_no_file_is_not_locked() -> None:
    with Journal(Path(os.devnull), [header()]), Journal(Path(os.devnull), [header()]):
        pass


def test_differences_go_into_mappings() -> None:
    old = {"batch": 1, "machine": {"cpu": "a", "libraries": {"numpy": "1", "scipy": "2"}}}
    new = {"batch": 1, "machine": {"cpu": "a", "libraries": {"numpy": "1", "scipy": "3"}}}
    assert differences(old, new) == ["machine libraries scipy 2 there, 3 here"]
    assert differences(old, old) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected the header of a race"),
        (b'{"kind": "sample"}\n', "expected the header of a race"),
        (b"no JSON\n", "expected the header of a race"),
        (b"[1]\n", "expected the header of a race"),
        (b'{"nothing": 1}\n', "expected the header of a race"),
        (b"\xff\xfe\n", "expected the header of a race"),
        (b"[" * 100_000 + b"\n", "expected the header of a race"),
        (json.dumps(HEADER).encode() + b"\n[1]\n", "line 2: .*Expected `object`, got `array`; measure again"),
        (json.dumps(HEADER).encode() + b"\nno JSON\n", "line 2: .*JSON is malformed"),
        (
            json.dumps({"kind": "race", "schema": SCHEMA + 1}).encode() + b"\n",
            f"schema {SCHEMA + 1}.*update digitbench",
        ),
        (json.dumps({"kind": "race", "schema": 2}).encode() + b"\n", "has schema 2, .* reads 3; measure again"),
        (json.dumps({"kind": "race"}).encode() + b"\n", "has schema None.*measure again"),
    ],
)
def test_what_is_no_such_file_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_records(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError):
        read_records(tmp_path / "absent")
    with pytest.raises(UserError, match="cannot be read"):
        read_records(tmp_path)
