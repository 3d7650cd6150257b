"""Nothing but a plain file is opened, and what was found is quoted in one short line."""

import os
import tracemalloc
from pathlib import Path

import pytest

from untrusted import brief, kind_of, open_plain, read_plain, reason_of


def test_a_plain_file_and_a_link_to_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with open_plain(tmp_path / name) as file:
            assert file.read() == b"content"
        assert read_plain(str(tmp_path / name), 7) == b"content"
    with pytest.raises(OSError, match="expected at most 6 bytes, found 7"):
        read_plain(tmp_path / "file", 6)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (
        pytest.raises(OSError, match="expected a plain file, found a named pipe") as caught,
        open_plain(tmp_path / "pipe"),
    ):
        pass
    assert reason_of(caught.value) == "expected a plain file, found a named pipe"


def test_a_file_that_grows_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size was in order when it was opened; no more is read than may be."""
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2**25)  # no blocks on disk
    status = (tmp_path / "file").stat()
    before = os.stat_result([*status[:6], 2, *status[7:]])
    monkeypatch.setattr(os, "fstat", lambda _: before)
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match="expected at most 5 bytes, found more"):
            read_plain(tmp_path / "file", 5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_what_lies_at_a_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    for path, kind in (
        (tmp_path / "file", "file"), (tmp_path / "link", "file"), (str(tmp_path), "folder"),
        (os.devnull, "another thing"),
        (tmp_path / "none", None), (tmp_path / "file" / "below", None), (tmp_path / "loop", None),
        (tmp_path / ("a" * 300), None), ("a\0b", None),
    ):  # fmt: skip
        assert kind_of(path) == kind, path


def test_brief() -> None:
    assert brief("two\n lines\x1b[31m") == "two lines\N{REPLACEMENT CHARACTER}[31m"
    assert brief("x" * 200, 20) == "x" * 19 + "…"
    assert reason_of(KeyError("x")) == "'x'"
    assert reason_of(MemoryError()) == "MemoryError"
    assert reason_of(FileNotFoundError(2, "No such file", "name")) == "No such file"
