"""What `data.load` returns for each source, the checks of the four files, and the download, offline."""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import data
from data import DataError, Digits, idx, mnist, reading
from tests.helpers.mirrors import packed

NAMED_BY_DEVELOPER = os.environ.get(data.VARIABLE)
DOWNLOADED_BY_DEVELOPER = data.CACHE / "mnist"
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = (file.name for file in mnist.FILES)


@pytest.fixture(autouse=True)
def _nothing_of_the_developers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(data.VARIABLE, raising=False)
    monkeypatch.delenv(reading.ORIENTATION, raising=False)
    monkeypatch.setattr(data, "CACHE", tmp_path / "cache")


def digits(n: int, seed: int) -> Digits:
    rng = np.random.default_rng(seed)
    return Digits(rng.integers(0, 256, (n, 784), np.uint8), np.arange(n) % 10)


TRAIN, TEST = digits(23, seed=1), digits(11, seed=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with four complete files, plain, that are not MNIST."""
    mnist.write_folder(tmp_path / "digits", TRAIN, TEST)
    return tmp_path / "digits"


def compress(path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def call_it_mnist(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Replace MNIST's checksums by those of these plain files."""
    monkeypatch.setattr(mnist, "FILES", packed(folder)[1])


def error_of(source: str = "auto") -> str:
    with pytest.raises(DataError) as caught:
        data.load(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same(one: Digits, other: Digits) -> bool:
    return np.array_equal(one.images, other.images) and np.array_equal(one.labels, other.labels)


# --- a folder --------------------------------------------------------------------------------------------


def test_a_folder_is_read(folder: Path) -> None:
    dataset = data.load(str(folder))
    assert same(dataset.train, TRAIN)
    assert same(dataset.test, TEST)
    assert dataset.train.images.dtype == np.uint8
    assert dataset.train.labels.dtype == np.int64
    assert dataset.source == "folder digits"
    assert dataset.name == f"not MNIST ({dataset.sha256[:12]})"
    assert dataset.notice is not None
    assert dataset.name in dataset.notice


def test_plain_files_stay_mapped_into_memory(folder: Path) -> None:
    images = data.load(str(folder)).train.images
    assert isinstance(images, np.memmap)
    assert not images.flags.writeable


def test_gzip_has_the_same_content_as_plain(folder: Path) -> None:
    plain = data.load(str(folder))
    for name in (TRAIN_IMAGES, TEST_LABELS):
        compress(folder / name)
    mixed = data.load(str(folder))
    assert mixed.sha256 == plain.sha256
    assert same(mixed.train, TRAIN)
    assert same(mixed.test, TEST)


def test_plain_takes_precedence_over_gzip(folder: Path) -> None:
    (folder / f"{TRAIN_LABELS}.gz").write_bytes(b"never looked at")
    assert same(data.load(str(folder)).train, TRAIN)


def test_checksum_can_be_computed_in_a_shell(folder: Path) -> None:
    lines = "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
    )
    assert data.load(str(folder)).sha256 == hashlib.sha256(lines.encode()).hexdigest()


def test_checksum_changes_with_every_file(folder: Path) -> None:
    seen = {data.load(str(folder)).sha256}
    for name in (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS):
        array = np.array(idx.read(folder / name))
        array.flat[-1] = 9 - min(array.flat[-1], 9)
        idx.write(folder / name, array)
        seen.add(data.load(str(folder)).sha256)
    assert len(seen) == 5


def test_not_a_folder(folder: Path) -> None:
    message = error_of(str(folder / TRAIN_IMAGES))
    assert "not a folder" in message
    assert TRAIN_IMAGES in message
    assert "not a folder" in error_of("bultin")
    assert '"builtin"' in error_of("bultin")


def test_a_folder_next_to_the_gzip_file_is_ignored(folder: Path) -> None:
    compress(folder / TEST_LABELS)
    (folder / TEST_LABELS).mkdir()
    assert same(data.load(str(folder)).test, TEST)


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000], ids=["long name", "long path"])
def test_a_path_that_is_too_long(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert error_of(name).startswith(f"{Path(name)}: cannot be read (File name too long); give ")
    monkeypatch.setenv(data.VARIABLE, name)
    assert error_of().endswith(
        f"(File name too long); correct the folder that {data.VARIABLE} names, or unset {data.VARIABLE}"
    )


def test_a_folder_whose_files_have_too_long_paths(folder: Path) -> None:
    name = str(folder) + "/../digits" * ((4090 - len(str(folder))) // len("/../digits"))
    assert Path(name).is_dir()
    assert error_of(name).startswith(f"{name}: cannot be read (File name too long); ")


def test_a_path_with_nul() -> None:
    assert "not a folder" in error_of("digits\0")


def test_a_folder_that_may_not_be_entered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    message = error_of(str(folder))
    assert message.startswith(f"{folder}: cannot be read (Permission denied); give ")
    assert "permit it" in error_of()  # the download may be there, so the built-in digits are not used


@pytest.mark.parametrize(
    ("name", "array", "found", "expected"),
    [
        (TRAIN_IMAGES, np.zeros((23, 784), np.uint8), "uint8 of shape (23, 784)", "shape (n, 28, 28); reshape them to"),
        (TRAIN_IMAGES, np.zeros((23, 1, 28, 28), np.uint8), "uint8", "; reshape them to (n, 28, 28), or give "),
        (TRAIN_IMAGES, np.zeros((23, 32, 32), np.uint8), "shape (23, 32, 32)", "shape (n, 28, 28); give "),
        (TRAIN_IMAGES, np.zeros((23, 28, 28), np.float32), "float32", "; store them as uint8, or give "),
        (TRAIN_IMAGES, np.zeros((23, 28, 27), np.uint8), "shape (23, 28, 27)", "shape (n, 28, 28)"),
        (TEST_IMAGES, np.zeros((11, 28, 28), np.int16), "int16 of shape", "expected images, uint8"),
        (TRAIN_IMAGES, np.zeros((23, 28, 28, 3), np.uint8), "(23, 28, 28, 3)", "; make them grey, or give "),
        (
            TEST_LABELS,
            np.eye(10)[np.arange(11) % 10],
            "one-hot rows of 10 classes",
            "; keep the position of the 1 in each row, or give ",
        ),
        (TEST_LABELS, np.eye(8, dtype=np.int32)[np.arange(11) % 8], "one-hot rows of 8", "one whole number for each"),
        (
            TEST_LABELS,
            np.zeros(11, np.float32),
            "float32 of shape (11,)",
            "whole numbers of shape (n,); store them as ",
        ),
        (
            TEST_LABELS,
            np.zeros((11, 10), np.float64),
            "float64 of shape (11, 10)",
            "whole numbers of shape (n,); give ",
        ),
        (TEST_LABELS, np.zeros((11, 5), np.int32), "int32 of shape (11, 5)", "whole numbers of shape (n,); give "),
        (
            TEST_LABELS,
            np.array([3] * 10 + [-1], np.int8),
            "label -1 at index 10",
            "expected 0 to 255; number the classes",
        ),
        (TEST_LABELS, np.array([3] * 10 + [256], np.int16), "label 256 at index 10", "expected 0 to 255; number the"),
        (TEST_LABELS, np.zeros((), np.uint8), "uint8 of shape ()", "whole numbers of shape (n,); give "),
        (TRAIN_IMAGES, np.zeros((0, 28, 28), np.uint8), "no images", "at least one"),
        (TRAIN_IMAGES, np.zeros((22, 28, 28), np.uint8), "23 labels", "expected 22, one for each image"),
        (TEST_LABELS, np.zeros(12, np.uint8), "12 labels", "expected 11, one for each image"),
        (
            TRAIN_LABELS,
            np.array([9] * 20 + [10, 255, 0], np.uint8),
            "label 255 at index 21",
            "found 12 of 256; number them from 0, or give ",
        ),
    ],
)
def test_bad_content(folder: Path, name: str, array: NDArray[Any], found: str, expected: str) -> None:
    idx.write(folder / name, array)
    message = error_of(str(folder))
    assert found in message
    assert expected in message


def test_cut_file(folder: Path) -> None:
    path = folder / TRAIN_IMAGES
    path.write_bytes(path.read_bytes()[:-1])
    assert f"{path}: cut" in error_of(str(folder))


# --- which source ----------------------------------------------------------------------------------------


def test_the_named_folder_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(data.VARIABLE, str(folder))
    dataset = data.load()
    assert dataset.source == data.VARIABLE
    assert same(dataset.test, TEST)


def test_a_wrong_named_folder_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    call_it_mnist(monkeypatch, folder)
    named = Path(shutil.copytree(folder, tmp_path / "named"))
    monkeypatch.setenv(data.VARIABLE, str(named))
    (tmp_path / "cache").mkdir()
    folder.rename(tmp_path / "cache" / "mnist")  # a good download exists, and is not used instead

    def damaged(damage: Callable[[], object], reason: str) -> None:
        damage()
        for source in ("auto", "mnist"):
            message = error_of(source)
            assert message.startswith(f"{named}{reason}")
            assert f"unset {data.VARIABLE}" in message

    damaged(lambda: (named / TEST_LABELS).write_bytes(b"\0\0"), f"/{TEST_LABELS}: cut after 2 bytes")
    damaged((named / TEST_LABELS).unlink, f": expected {TEST_LABELS}, plain or compressed, ")
    damaged(lambda: shutil.rmtree(named), ": not a folder")


def test_the_download_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    call_it_mnist(monkeypatch, folder)
    (tmp_path / "cache").mkdir()
    folder.rename(tmp_path / "cache" / "mnist")
    for source in ("auto", "mnist"):
        dataset = data.load(source)
        assert (dataset.name, dataset.source, dataset.notice) == ("MNIST", "download", None)
        assert same(dataset.train, TRAIN)


def test_a_wrong_checksum_in_the_download(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    call_it_mnist(monkeypatch, folder)
    (tmp_path / "cache").mkdir()
    download = folder.rename(tmp_path / "cache" / "mnist")
    idx.write(download / TEST_LABELS, np.zeros(11, np.uint8))
    found = hashlib.sha256((download / TEST_LABELS).read_bytes()).hexdigest()
    message = error_of()
    assert message.startswith(f"{download / TEST_LABELS}: SHA-256 of its content is {found}, ")
    assert f"expected {mnist.FILES[3].sha256}" in message
    assert message.endswith("delete it and run `python -m data fetch`")


def test_mnist_is_requested_and_absent() -> None:
    message = error_of("mnist")
    assert "MNIST is not here" in message
    assert "python -m data fetch" in message
    assert data.VARIABLE in message


def test_mnist_is_requested_and_another_data_set_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(data.VARIABLE, str(folder))
    message = error_of("mnist")
    assert f"{folder / TRAIN_IMAGES}: SHA-256 of its content is " in message
    assert f"expected {mnist.FILES[0].sha256}" in message


# --- the built-in digits ---------------------------------------------------------------------------------


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Small digits in place of the built-in ones; the list grows by one each time they are generated."""
    made: list[int] = []

    def render() -> tuple[Digits, Digits]:
        made.append(1)
        return TRAIN, TEST

    monkeypatch.setitem(sys.modules, "data.builtin", SimpleNamespace(render=render))
    return made


def cached() -> list[str]:
    return sorted(entry.name for entry in data.CACHE.iterdir())


def test_builtin_digits_are_generated_once_and_cached(renders: list[int]) -> None:
    first, second = data.load(), data.load("builtin")
    assert len(renders) == 1
    assert first.sha256 == second.sha256 == mnist.combined(mnist.digests_of(TRAIN, TEST))
    assert same(second.train, TRAIN)
    assert same(second.test, TEST)
    assert isinstance(first.train.images, np.memmap)
    assert (first.name, first.source) == ("built-in digits", "generated")
    assert first.notice is not None
    assert "not MNIST" in first.notice
    assert "python -m data fetch" in first.notice
    assert [re.fullmatch(r"builtin-[0-9a-f]{12}", name) is not None for name in cached()] == [True]


def test_builtin_takes_precedence_over_the_named_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, renders: list[int]
) -> None:
    monkeypatch.setenv(data.VARIABLE, str(folder))
    assert data.load("builtin").name == "built-in digits"


def test_an_incomplete_download_is_not_used(folder: Path, renders: list[int], tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    download = folder.rename(tmp_path / "cache" / "mnist")
    (download / TEST_LABELS).unlink()
    assert data.load().name == "built-in digits"


def test_builtin_digits_of_other_code_are_replaced(monkeypatch: pytest.MonkeyPatch, renders: list[int]) -> None:
    for key in ("old", "new"):
        monkeypatch.setattr(data, "_builtin_key", lambda key=key: key)
        data.load("builtin")
    assert len(renders) == 2
    assert cached() == ["builtin-new"]


def test_the_key_follows_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    before = data._builtin_key()
    assert data._builtin_key() == before
    monkeypatch.setattr("importlib.metadata.version", lambda library: "0.0")
    assert data._builtin_key() != before


def test_another_process_generates_them_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_builtin_key", lambda: "key")

    def render() -> tuple[Digits, Digits]:
        mnist.write_folder(data.CACHE / "builtin-key", TRAIN, TEST)  # the other one was faster
        return TRAIN, TEST

    monkeypatch.setitem(sys.modules, "data.builtin", SimpleNamespace(render=render))
    train = data.load("builtin").train
    assert same(train, TRAIN)
    assert isinstance(train.images, np.memmap)  # of the other one's files
    assert cached() == ["builtin-key"]


def test_an_interruption_leaves_no_partial_digits(monkeypatch: pytest.MonkeyPatch, renders: list[int]) -> None:
    def interrupted(folder: Path, train: Digits, test: Digits) -> None:
        folder.mkdir()
        idx.write(folder / TRAIN_IMAGES, train.images)
        raise KeyboardInterrupt

    monkeypatch.setattr(mnist, "write_folder", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.load("builtin")
    assert cached() == []


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, renders: list[int], tmp_path: Path) -> None:
    kept = data.load("builtin")
    (tmp_path / "a file").touch()
    monkeypatch.setattr(data, "CACHE", tmp_path / "a file" / "cache")
    unkept = data.load("builtin")
    assert same(unkept.train, TRAIN)
    assert (unkept.sha256, unkept.name, unkept.notice) == (kept.sha256, kept.name, kept.notice)


def test_damaged_builtin_digits(renders: list[int]) -> None:
    data.load("builtin")
    (kept,) = data.CACHE.iterdir()
    (kept / TRAIN_IMAGES).write_bytes(b"")
    message = error_of("builtin")
    assert "cut after 0 bytes" in message
    assert f"delete the folder {kept.name}" in message


# --- the true MNIST, and the import ----------------------------------------------------------------------


def test_true_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(NAMED_BY_DEVELOPER) if NAMED_BY_DEVELOPER else DOWNLOADED_BY_DEVELOPER
    if not mnist.is_complete(folder):
        pytest.skip(f"no MNIST: {data.VARIABLE} is not set and nothing was fetched")
    dataset = data.load(str(folder))
    if dataset.name != "MNIST":
        pytest.skip(f"{data.VARIABLE} names a folder with {dataset.name}")
    assert dataset.sha256 == "d0a3eec1f5a454401d758fdbf15b9b0163a7034963586d671960c180b97e2c1a"
    assert dataset.notice is None
    assert dataset.train.images.shape == (60_000, 784)
    assert dataset.test.images.shape == (10_000, 784)
    assert dataset.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert dataset.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(dataset.train.labels)[1] == 6742


def test_importing_imports_no_heavy_library() -> None:
    heavy = "{'matplotlib', 'numba', 'PIL', 'requests', 'urllib3', 'rich', 'scipy'}"
    code = f"import sys, data; print(sorted({heavy} & set(sys.modules)))"
    root = Path(data.__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
