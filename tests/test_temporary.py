"""Temporary folders: none is left, what a killed run left is removed by the next, and what another run uses is not."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bench
import temporary

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")


def names(parent: Path) -> list[str]:
    return sorted(path.name for path in parent.iterdir())


def test_it_is_removed_with_what_is_in_it(tmp_path: Path) -> None:
    with temporary.folder(tmp_path) as made:
        (made / "inside").mkdir()
        (made / "inside" / "file").touch()
        assert names(tmp_path) == [made.name]
    with pytest.raises(KeyboardInterrupt), temporary.folder(tmp_path):
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_what_is_used_is_left_and_what_is_not_is_removed(tmp_path: Path) -> None:
    (tmp_path / f"{temporary.PREFIX}left").mkdir()
    (tmp_path / f"{temporary.PREFIX}left" / "file").touch()
    (tmp_path / "of somebody else").mkdir()
    (tmp_path / f"{temporary.PREFIX}link").symlink_to(tmp_path / "of somebody else")
    with temporary.folder(tmp_path) as used, temporary.folder(tmp_path) as other:
        expected = {used.name, other.name, "of somebody else", f"{temporary.PREFIX}link"}
        assert set(names(tmp_path)) == expected


OWNER = """
import sys
from pathlib import Path
import temporary
with temporary.folder(Path(sys.argv[1])) as made:
    print(made.name, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=bench.ROOT, stdin=pipe, stdout=pipe, text=True) as owner:
        assert owner.stdout is not None
        name = owner.stdout.readline().strip()
        with temporary.folder(tmp_path):
            assert name in names(tmp_path)
        owner.kill()
    assert names(tmp_path) == [name]
    with temporary.folder(tmp_path) as made:
        assert names(tmp_path) == [made.name]


@pytest.mark.parametrize("lost", [BlockingIOError(errno.EWOULDBLOCK, "locked"), FileNotFoundError("gone")])
def test_one_that_another_run_clears_at_this_moment_is_not_used(
    lost: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, losses = temporary.lock, [lost]

    def once(descriptor: int) -> None:
        if losses:
            raise losses.pop()
        right(descriptor)

    monkeypatch.setattr(temporary, "clear", lambda _: None)
    monkeypatch.setattr(temporary, "lock", once)
    with temporary.folder(tmp_path) as made:
        assert len(names(tmp_path)) == 2
        with pytest.raises(BlockingIOError):
            temporary.opened_alone(made)


def test_where_there_are_no_locks_nothing_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(temporary, "lock", without_locks)
    with temporary.folder(tmp_path) as first, temporary.folder(tmp_path) as second:
        assert set(names(tmp_path)) == {first.name, second.name}
    assert names(tmp_path) == []


@pytest.mark.skipif(not temporary.LOCKS.exists(), reason="this system does not list its locks")
def test_the_process_that_holds_a_lock_is_known(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert temporary.holder(tmp_path / "file") is None
        temporary.lock(file.fileno())
        assert temporary.holder(tmp_path / "file") == os.getpid()
    assert temporary.holder(tmp_path / "absent") is None
