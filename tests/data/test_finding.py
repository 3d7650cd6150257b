"""The four files under the names and in the folders that other programs give them, and what is said where they lack."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import data
from data import DataError, Digits, finding, mnist

NAMES = tuple(file.name for file in mnist.FILES)
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = NAMES
PACKED: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
REMEDY = 'give "auto", "mnist", "builtin" or a folder with whole copies of the four files'


def write(folder: Path, seed: int = 0) -> Path:
    """Write four small files under their published names."""
    rng = np.random.default_rng(seed)
    train, test = (Digits(rng.integers(0, 256, (n, 784), np.uint8), np.arange(n) % 10) for n in (23, 11))
    mnist.write_folder(folder, train, test)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "digits")


def rename(folder: Path, other_name: Callable[[str], str]) -> None:
    for name in NAMES:
        path = folder / other_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        (folder / name).rename(path)


def error_of(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        data.load(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other_name",
    [
        lambda name: name.replace("-idx", ".idx"),
        str.upper,
        lambda name: name.replace("-idx", ".idx").title(),
        lambda name: name.replace("-", "_"),
        lambda name: f"qmnist-{name}".replace("t10k", "test").replace("idx1-ubyte", "idx2-int"),
        lambda name: f"emnist-digits-{name}".replace("t10k", "test"),
    ],
    ids=["dots", "upper case", "dots and mixed case", "underscores", "QMNIST", "EMNIST"],
)
def test_other_names(folder: Path, other_name: Callable[[str], str]) -> None:
    published = data.load(str(folder)).sha256
    rename(folder, other_name)
    assert data.load(str(folder)).sha256 == published


@pytest.mark.parametrize("suffix", ["gz", "GZ", "bz2", "BZ2", "xz", "zip"])
def test_compressed(folder: Path, suffix: str) -> None:
    plain = data.load(str(folder)).sha256
    rename(folder, lambda name: name.replace("-idx", ".idx"))
    for path in list(folder.iterdir()):
        content = path.read_bytes()
        if suffix == "zip":
            with zipfile.ZipFile(folder / f"{path.name}.zip", "w") as archive:
                archive.writestr(path.name, content)
        else:
            path.with_name(f"{path.name}.{suffix}").write_bytes(PACKED[suffix.lower()](content))
        path.unlink()
    assert data.load(str(folder)).sha256 == plain


def test_of_copies_that_differ_in_compression_the_plain_one_is_taken(folder: Path) -> None:
    rename(folder, lambda name: name.replace("-idx", ".idx"))
    expected = data.load(str(folder)).sha256
    for name in NAMES:
        (folder / f"{name.replace('-idx', '.idx')}.gz").write_bytes(b"never looked at")
    assert data.load(str(folder)).sha256 == expected


def test_published_names_take_precedence(folder: Path) -> None:
    expected = data.load(str(folder)).sha256
    rename(write(folder / "more", seed=1), lambda name: f"../qmnist-{name}")
    assert data.load(str(folder)).sha256 == expected


@pytest.mark.parametrize(
    "name", [f"{TEST_LABELS}.part", f"{TEST_LABELS}.sha256", "labels-idx1-ubyte", "contest-labels-idx1-ubyte.png"]
)
def test_other_files_do_not_fit(folder: Path, name: str) -> None:
    (folder / TEST_LABELS).rename(folder / name)
    assert f"expected {TEST_LABELS}, plain or compressed, " in error_of(folder)


# --- folders ---------------------------------------------------------------------------------------------


def test_torchvision(folder: Path, tmp_path: Path) -> None:
    """It keeps the downloads beside the unpacked files, two folders below the one that is named."""
    expected = data.load(str(folder)).sha256
    for name in NAMES:
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
    (tmp_path / "root" / "MNIST").mkdir(parents=True)
    folder.rename(tmp_path / "root" / "MNIST" / "raw")
    for named in ("root", "root/MNIST", "root/MNIST/raw"):
        assert data.load(str(tmp_path / named)).sha256 == expected


@pytest.mark.parametrize("named", ["digits", "."])
@pytest.mark.parametrize("dotted", [False, True], ids=["folders alone", "with dotted files beside"])
def test_kaggle(folder: Path, tmp_path: Path, dotted: bool, named: str) -> None:
    """It has each file in a folder of its name."""
    expected = data.load(str(folder)).sha256
    for name in NAMES:
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / name).mkdir()
        (folder / name / name).write_bytes(content)
        if dotted:
            (folder / name.replace("-idx", ".idx")).write_bytes(content)
    assert data.load(str(tmp_path / named)).sha256 == expected


def test_a_folder_for_each_split(folder: Path) -> None:
    expected = data.load(str(folder)).sha256
    rename(folder, lambda name: f"train/{name}" if name.startswith("train") else f"test/{name}")
    assert data.load(str(folder)).sha256 == expected


def test_what_macos_and_other_systems_add_is_ignored(folder: Path, tmp_path: Path) -> None:
    expected = data.load(str(folder)).sha256
    for place in (folder, tmp_path / "__MACOSX" / "digits", tmp_path / ".Trash"):
        place.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            (place / f"._{name}").write_bytes(b"\0\5\x16\7")
    write(tmp_path / ".Trash", seed=1)
    assert data.load(str(tmp_path)).sha256 == expected


def test_a_folder_below_that_may_not_be_entered(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = data.load(str(folder)).sha256
    entered, closed = Path.iterdir, tmp_path / "lost+found"
    closed.mkdir()

    def iterdir(path: Path) -> object:
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return entered(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert data.load(str(tmp_path)).sha256 == expected
    assert "cannot be read (Permission denied)" in error_of(closed)


def test_three_folders_down_is_too_deep(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    folder.rename(tmp_path / "a/b/c/d")
    assert f"up to {finding.DEPTH} folders down, found b/; " in error_of(tmp_path / "a")


# --- two for one -----------------------------------------------------------------------------------------


def test_two_sets_in_two_folders_are_ambiguous(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "fashion", seed=1)
    message = error_of(tmp_path)
    assert message == (
        f"{tmp_path}: expected one {TRAIN_IMAGES}, found digits/{TRAIN_IMAGES} and fashion/{TRAIN_IMAGES}; "
        f"give one of the sets, {tmp_path}/digits or {tmp_path}/fashion, or {REMEDY}"
    )


def test_two_spellings_in_one_folder_are_ambiguous(folder: Path) -> None:
    rename(write(folder, seed=1), lambda name: f"emnist-digits-{name}")
    rename(write(folder), lambda name: f"emnist-letters-{name}")
    message = error_of(folder)
    assert f"found emnist-digits-{TRAIN_IMAGES} and emnist-letters-{TRAIN_IMAGES}; " in message
    assert f"; give one of the sets, {folder}/emnist-digits or {folder}/emnist-letters, or " in message
    letters, digits = (data.load(str(folder / name)) for name in ("emnist-letters", "emnist-digits"))
    assert letters.sha256 == data.load(str(write(folder.parent / "letters"))).sha256 != digits.sha256


def test_an_incomplete_set_is_not_completed_from_another(folder: Path) -> None:
    """The test images of another set would be taken for those of this one."""
    write(folder / "fashion", seed=1)
    (folder / TEST_LABELS).unlink()
    assert f"found {TRAIN_IMAGES} and fashion/{TRAIN_IMAGES}; give one of the sets, " in error_of(folder)


# --- what is missing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", NAMES)
def test_a_file_is_missing(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    first, second, third = sorted(set(NAMES) - {missing})
    assert error_of(folder) == (
        f"{folder}: expected {missing}, plain or compressed, in it or up to 2 folders down, "
        f"found {first}, {second} and {third}; {REMEDY}"
    )


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_empty_folder_in_place_of_a_file(folder: Path, suffix: str) -> None:
    (folder / TEST_LABELS).unlink()
    (folder / f"{TEST_LABELS}{suffix}").mkdir()
    message = error_of(folder)
    assert f"expected {TEST_LABELS}, plain" in message
    assert f"found {TEST_IMAGES}, {TEST_LABELS}{suffix}/, {TRAIN_IMAGES} and " in message


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ((), "an empty folder"),
        (("mnist_train.csv",), "mnist_train.csv"),
        (("mnist_test.csv", "mnist_train.csv"), "mnist_test.csv and mnist_train.csv"),
        ("abcdef", "a, b, c, d, e and f"),
        ("abcdefg", "a, b, c, d, e and 2 more"),
        (("two\nlines",), r"'two\nlines'"),
    ],
)
def test_a_folder_of_other_things_is_listed(tmp_path: Path, names: tuple[str, ...], found: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert f"{tmp_path}: expected {TRAIN_IMAGES}, plain or compressed, in it" in error_of(tmp_path)
    assert f" down, found {found}; {REMEDY}" in error_of(tmp_path)


@pytest.mark.parametrize("name", ["archive.zip", "MNIST.TAR.GZ", f"{TRAIN_IMAGES}.7z"])
def test_an_archive_is_to_be_unpacked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert f" down, found {name}; unpack {name}, or {REMEDY}" in error_of(tmp_path)
