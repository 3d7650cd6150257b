"""Large packed files are unpacked once, into the cache, never whole in memory."""

import gzip
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from data import idx, unpacked
from data.digits import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (3000, 28, 28), dtype=np.uint8)


@pytest.fixture(autouse=True)
def small_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "LARGE", 100_000)
    monkeypatch.setattr(unpacked, "CACHE", tmp_path / "cache" / "unpacked")
    monkeypatch.setattr(unpacked, "CHUNK", 2**14)


def packed(folder: Path, images: np.ndarray = IMAGES) -> Path:
    idx.write(folder / "images", images)
    path = folder / "images.gz"
    path.write_bytes(gzip.compress((folder / "images").read_bytes(), compresslevel=1))
    return path


def test_it_is_unpacked_once_in_pieces_and_mapped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path)
    with unpacked.progress("", 1):  # imports what would be counted
        pass
    tracemalloc.start()
    try:
        images = idx.read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < IMAGES.nbytes / 4
    assert isinstance(images, np.memmap)
    assert not images.flags.writeable
    np.testing.assert_array_equal(images, IMAGES)
    assert "unpacking images.gz once" in capsys.readouterr().err
    monkeypatch.setattr(unpacked, "unpack", None)  # is not called again
    np.testing.assert_array_equal(idx.read(path), IMAGES)


def test_a_file_that_was_written_anew_is_unpacked_anew_and_the_older_content_removed(tmp_path: Path) -> None:
    idx.read(packed(tmp_path))
    other = packed(tmp_path, IMAGES[:2000])
    assert idx.read(other).shape == (2000, 28, 28)
    assert len(list(unpacked.CACHE.iterdir())) == 1


@pytest.mark.parametrize("fault", ["cut", "too long"])
def test_a_damaged_file_leaves_nothing(tmp_path: Path, fault: str) -> None:
    path = packed(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-2000] if fault == "cut" else content + gzip.compress(bytes(10)))
    with pytest.raises(DataError, match="expected a whole gzip file" if fault == "cut" else "too long"):
        idx.read(path)
    assert list(unpacked.CACHE.iterdir()) == []


def test_what_was_left_of_a_process_that_was_killed_is_overwritten(tmp_path: Path) -> None:
    path = packed(tmp_path)
    with path.open("rb") as file:
        place = unpacked.place_of(file)
    place.parent.mkdir(parents=True)
    place.with_name(f"{place.name}.part").write_bytes(b"half of another")
    np.testing.assert_array_equal(idx.read(path), IMAGES)
    assert list(unpacked.CACHE.iterdir()) == [place]


def test_several_at_once_wait_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, times, found = packed(tmp_path), list[str](), list[int]()
    progress = unpacked.progress

    def counted(name: str, size: int) -> AbstractContextManager[Callable[[int], None]]:
        times.append(name)
        return progress(name, size)

    monkeypatch.setattr(unpacked, "progress", counted)
    threads = [threading.Thread(target=lambda: found.append(idx.read(path).sum())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [IMAGES.sum()] * 4
    assert len(times) == 1


def test_more_than_a_disk_has_or_a_small_file_can_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blank = packed(tmp_path, np.zeros((10_000, 28, 28), np.uint8))
    with pytest.raises(DataError, match=r"expected at most [\d,]+ bytes of [\d,]+ that are packed, found 7,840,000"):
        idx.read(blank)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("usage", (), {"free": 1000}))
    with pytest.raises(DataError, match=r"expected 2,352,000 bytes free in .*, found 1,000"):
        idx.read(packed(tmp_path))
    assert list(unpacked.CACHE.iterdir()) == []
