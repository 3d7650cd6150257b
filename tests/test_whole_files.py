"""A file that is written whole: two that write it at once do not disturb each other, and nothing else is left."""

import os
from pathlib import Path

import pytest

import temporary
from bench import UserError
from whole_files import written_whole


def test_two_at_once_are_each_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with written_whole(path) as one:
        one.write(b"one")
        one.flush()
        with written_whole(path) as other:
            other.write(b"the other")
        assert path.read_bytes() == b"the other"
        one.write(b", whole")
    assert path.read_bytes() == b"one, whole"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / f"{temporary.PREFIX}left").mkdir()
    (tmp_path / f"{temporary.PREFIX}left" / "file").write_bytes(b"half of it")
    with written_whole(tmp_path / "file") as file:
        file.write(b"all")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"all")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("absent/file", "No such file or directory"), ("file/file", "Not a directory"), ("folder", "Is a directory")],
)
def test_a_place_where_no_file_can_be(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(UserError, match=rf"^{tmp_path / name}: cannot be written \({reason}\)"),
        written_whole(tmp_path / name),
    ):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_what_is_no_file_is_written_to_at_once() -> None:
    with written_whole(Path(os.devnull)) as file:
        file.write(b"something")
