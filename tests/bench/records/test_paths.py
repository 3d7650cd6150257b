"""No path, user or host of the machine that measured is in results files."""

import io
import json
import platform
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

import data
from bench.agreement.check import Result
from bench.agreement.isolated import CheckedBackend
from bench.commands import agree
from bench.commands.parser import make_parser
from bench.dialects import asking
from bench.experiments import dialects
from bench.records.journal import Journal, read_records
from bench.records.kinds import Agreement, Race, opening
from bench.records.paths import shortened, shortened_command
from bench.timing import threads
from bench.timing.records import Failure
from tests.helpers.digits import digits_of
from tests.helpers.records import HEADER, agreement


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("/home/jane and /Users/jane/, ~jane/x; /root", "~ and ~, x; ~"),
        ("no such file: '/mnt/Jane Doe/x.npy'", "no such file: 'x.npy'"),
        ("/home/jane/a.so:/opt/jane/b.so", "a.so:b.so"),
        ("--xla_dump_to=/home/jane/dump (/tmp/jane/a.py:12)", "--xla_dump_to=dump (a.py:12)"),
        (r"C:\Users\jane\r.json \\laptop\share\r.json //laptop/share/r.json", "r.json r.json r.json"),
        ("jane@laptop:/srv/r.json file:///home/jane/x.html", "r.json x.html"),
        ("FLOP/s, 1/255, after / before, https://example.org/x, </b>, a\\b", None),
    ],
)
def test_a_path_becomes_its_last_name(text: str, short: str | None) -> None:
    assert shortened({"a field": [text, 3, None]}) == {"a field": [short or text, 3, None]}


@pytest.mark.parametrize(
    ("command", "short"),
    [
        ("bench race --output '/home/Jane Doe/r.jsonl'", "bench race --output r.jsonl"),
        ("bench race --output=../../jane/r.jsonl", "bench race --output=r.jsonl"),
        ("bench race --backend a,/home/jane/b,c", "bench race --backend a,b,c"),
        (r"bench predict C:\Users\jane\a.png", "bench predict a.png"),
        ("it's /home/jane/a", "'it'\"'\"'s' a"),
        ("bench race --output bench/results/r.jsonl --sweep batch=32,128", None),
    ],
)
def test_a_command_can_still_be_copied(command: str, short: str | None) -> None:
    assert shortened_command(command) == (short or command)


# --- what is written ---------------------------------------------------------------------------------------


@pytest.fixture
def _of_jane(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine, a user and folders whose names give themselves away."""
    for module, name in ((platform, "node"), (socket, "gethostname"), (socket, "getfqdn")):
        monkeypatch.setattr(module, name, lambda *_: "janes-laptop")
    for variable in ("USER", "LOGNAME", "HOME", "HOSTNAME"):
        monkeypatch.setenv(variable, "/home/jane")
    given = {
        "LD_PRELOAD": "/home/jane/a.so",
        "XLA_FLAGS": "--xla_dump_to=/home/jane/dump",
        "CUDA_CACHE_PATH": "~jane/x",
    }
    monkeypatch.setattr(threads, "GIVEN", given)
    monkeypatch.setattr(sys, "argv", ["bench", "race", "--output", "/home/jane/r.jsonl", "--data", "../jane/mnist"])


def dataset() -> data.Dataset:
    return data.Dataset("MNIST", "/home/jane/mnist", digits_of(3000, 0), digits_of(9, 1), "0" * 64, None)


@pytest.mark.usefixtures("_of_jane")
def test_every_file_begins_without_them() -> None:
    begun = opening(dataset())
    assert begun["command"] == "python -m bench race --output r.jsonl --data mnist"
    assert begun["machine"]["environment"] == {"LD_PRELOAD": "a.so", "XLA_FLAGS": "--xla_dump_to=dump"}
    assert "jane" not in json.dumps(begun)
    assert shortened(begun) == begun


def test_messages_of_records_are_written_without_them(tmp_path: Path) -> None:
    reason = "no file /home/jane/twin.so"
    compared = {"failure": f"naive: {reason}", "unsupported": reason}
    with Journal(tmp_path / "r.jsonl", [msgspec.convert(HEADER, Race)]) as journal:
        journal.record(Failure(race=0, participant="naive", reason=reason, generation=None))
        journal.record(msgspec.convert(agreement("naive", **compared), Agreement))
        assert journal.of(Failure)[0].reason == "no file twin.so"
    records: list[Any] = read_records(tmp_path / "r.jsonl")[0]
    assert [records[1].reason, records[2].unsupported] == ["no file twin.so"] * 2
    assert records[2].failure == "naive: no file twin.so"


@pytest.mark.usefixtures("_of_jane")
def test_comparisons_are_written_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Result("mine", "p", "float32", "outputs", 0.0, 0.0, "mine: no file /home/jane/a.so")
    found = [CheckedBackend("mine", [failed], 1.0)]

    def checked(*arguments: Any) -> list[CheckedBackend]:
        *_, keep = arguments
        keep(found)
        return found

    monkeypatch.setattr(data, "load", lambda _: dataset())
    monkeypatch.setattr(agree, "agree", checked)
    options = ["agree", "--backend", "minibatch", "--dtype", "float32", "--output", str(tmp_path / "a.json")]
    assert agree.run(make_parser().parse_args(options)) == 1
    text = (tmp_path / "a.json").read_text()
    assert "mine: no file a.so" in text
    assert "jane" not in text


@pytest.mark.usefixtures("_of_jane")
def test_answers_of_libraries_are_written_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a library raises, or why it cannot be imported, may name a file."""
    lost = "OSError: /home/jane/libcuda.so: no such file"

    def ask_each(*_: object) -> Iterator[tuple[str, list[asking.Heard] | str]]:
        yield "torch", [asking.Heard("torch", "momentum", asking.Said("what", failure=lost), asking.Said(lost), lost)]
        yield "jax", lost

    monkeypatch.setattr(dialects, "versions", lambda name: f"{name} 1")
    monkeypatch.setattr(dialects, "ask_each", ask_each)
    dialects.study(Console(file=io.StringIO()), ["torch", "jax"], 1.0, tmp_path / "d.json")
    text = (tmp_path / "d.json").read_text()
    assert text.count("OSError: libcuda.so: no such file") == 4
    assert "jane" not in text
