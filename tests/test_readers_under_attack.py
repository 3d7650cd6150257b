"""Damaged files end in one line, or are read: the short part of `python -m tests.torture readers`."""

import os
from pathlib import Path
from typing import Any

import pytest

from bench import UserError
from bench.experiments.tune import read_tried
from bench.records.files import read as read_results
from bench.records.journal import read_records
from bench.training.saved import load_network
from data import DataError, idx, npz
from data.picture import read_picture
from tests.torture.attack import Found, attack
from tests.torture.mutants import Choices
from tests.torture.readers import numbered, target_of
from tests.torture.targets import tuning

INPUTS = {
    "idx": 200,
    "npz": 150,
    "networks": 150,
    "pictures": 80,
    "results": 100,
    "tuning": 100,
    "options": 50,
    "report": 30,
}


@pytest.mark.parametrize("name", INPUTS)
def test_damaged_files(name: str) -> None:
    found = numbered(target_of(name), range(INPUTS[name]))
    assert found.failures == {}
    assert found.inputs == INPUTS[name]
    assert 0.3 * found.inputs < found.refused < found.inputs  # some can be read nevertheless


class Careless:
    """A reader with all faults that count."""

    NAME = "careless"

    def make(self, choices: Choices) -> bytes:
        return bytes([choices.below(4)])

    def read(self, path: Path) -> str | None:
        what = path.read_bytes()[0]
        if what == 0:
            raise KeyError("of another")
        if what == 1:
            return "two\nlines"
        if what == 2:
            return f"{path}: {'x' * 500}"
        return None


def test_faults_are_found(tmp_path: Path) -> None:
    found = Found()
    for number in range(4):
        attack(Careless(), Choices(bytes([number])), str(number), tmp_path / "file", found)
    raised, *others = found.failures.items()
    assert raised[0].startswith("KeyError test_readers_under_attack.py:")
    assert raised[1] == (1, "0")
    assert dict(others) == {
        "a message of several lines": (1, "1"),
        "a message of over 400 characters": (1, "2"),
    }


READERS: dict[str, tuple[Any, Any]] = {
    "idx": (idx.read, DataError),
    "npz": (lambda path: npz.read(path, "x_train", "replace it"), DataError),
    "networks": (load_network, UserError),
    "pictures": (read_picture, DataError),
    "results": (read_results, UserError),
    "records": (read_records, UserError),
    "tuning": (lambda path: read_tried(path, tuning.KEY), UserError),
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_plain_file(name: str, tmp_path: Path) -> None:
    read, promised = READERS[name]
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    expected = {"folder": "Is a directory", "loop": "Too many levels of symbolic links"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # to wait for a writer would be for ever
        expected |= {"pipe": "found a named pipe", "/dev/zero": "found a device"}
    for file, reason in expected.items():
        with pytest.raises(promised, match=reason) as caught:
            read(tmp_path / file)
        assert str(caught.value).startswith(f"{tmp_path / file}: cannot be read (")
