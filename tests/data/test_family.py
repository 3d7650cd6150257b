"""The members of MNIST's family, made in small: their labels, orientation and files, as people have them."""

import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import data
from bench.workloads.cases import drawn
from data import DataError, family, idx, mnist, npz, reading
from data.__main__ import main

Splits = tuple[NDArray[Any], ...]  # training images and labels, test images and labels


@pytest.fixture(autouse=True)
def _nothing_of_the_developers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(data.VARIABLE, raising=False)
    monkeypatch.delenv(reading.ORIENTATION, raising=False)


def splits(classes: int, first: int = 0) -> Splits:
    """Pictures (n, 28, 28) whose transposes differ from them, and labels from `first`, each of which occurs."""
    rng = np.random.default_rng(classes)
    return tuple(
        array
        for n in (2 * classes, classes)
        for array in (
            rng.integers(0, 256, (n, 28, 28), np.uint8),
            (first + rng.permutation(n) % classes).astype(np.uint8),
        )
    )


def write(folder: Path, arrays: Splits, name: Callable[[str], str] = str, packed: bool = False) -> Path:
    """Write the arrays as IDX files under what `name` makes of the published names."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, array in zip(mnist.FILES, arrays, strict=True):
        path = folder / name(file.name)
        idx.write(path, array)
        if packed:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            path.unlink()
    return folder


def emnist(name: str) -> str:
    return f"emnist-letters-{name}".replace("t10k", "test")


def qmnist(name: str) -> str:
    return f"qmnist-{name}".replace("t10k", "test").replace("idx1-ubyte", "idx2-int")


def holds(dataset: data.Dataset, arrays: Splits, first: int = 0) -> bool:
    """Whether the data set has these pictures, and these labels less `first`."""
    expected = [arrays[0].reshape(-1, 784), arrays[1] - first, arrays[2].reshape(-1, 784), arrays[3] - first]
    found: list[NDArray[Any]] = [*dataset.train, *dataset.test]
    return all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def error_of(source: Path) -> str:
    with pytest.raises(DataError) as caught:
        data.load(str(source))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- classes and labels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 10, 47, 49, 62])
def test_there_are_as_many_classes_as_labels(classes: int, tmp_path: Path) -> None:
    arrays = splits(classes)
    dataset = data.load(str(write(tmp_path, arrays)))
    assert dataset.classes == classes
    assert holds(dataset, arrays)
    assert dataset.assumed == ()
    assert dataset.orientation == "upright, not checked"


def test_labels_that_count_from_1_begin_at_0(tmp_path: Path) -> None:
    arrays = splits(26, first=1)
    dataset = data.load(str(write(tmp_path, arrays)))
    assert dataset.classes == 26
    assert holds(dataset, arrays, first=1)
    assert dataset.assumed == ("Labels count from 1 to 26; label 1 is class 0 here, label 26 is 25.",)
    assert dataset.assumed[0] in dataset.lines()
    moved = [array - (array.ndim == 1) for array in arrays]  # the checksum is that of what is used
    assert dataset.sha256 == data.load(str(write(tmp_path / "moved", tuple(moved)))).sha256


def test_a_label_that_does_not_occur_moves_no_other(tmp_path: Path) -> None:
    images, labels, test_images, test_labels = splits(26, first=1)
    labels[labels == 7], test_labels[test_labels == 7] = 8, 8
    dataset = data.load(str(write(tmp_path, (images, labels, test_images, test_labels))))
    assert dataset.classes == 27
    assert np.array_equal(dataset.train.labels, labels)
    assert dataset.lines()[-1] == "No training image is of the classes 0 and 7, of 0 to 26."


@pytest.mark.parametrize("columns", [1, 8])
def test_labels_in_the_first_column(columns: int, tmp_path: Path) -> None:
    """QMNIST's are int32, (n, 8): class, source, writer and more."""
    arrays = splits(10)
    written = list(arrays)
    for place in (1, 3):
        rows = np.random.default_rng(place).integers(0, 5000, (len(arrays[place]), columns)).astype(np.int32)
        rows[:, 0] = arrays[place]
        written[place] = rows
    dataset = data.load(str(write(tmp_path, tuple(written), qmnist)))
    assert holds(dataset, arrays)
    assert dataset.sha256 == data.load(str(write(tmp_path / "plain", arrays))).sha256
    assert [line[:21] for line in dataset.assumed] == (["Labels have 8 columns"] if columns == 8 else [])


def test_a_set_sorted_by_label_is_noticed_and_draws_hold_all_classes(tmp_path: Path) -> None:
    images, labels, *test = splits(47)
    images, labels = np.repeat(images, 20, axis=0), np.repeat(labels, 20)
    order = np.argsort(labels, kind="stable")
    dataset = data.load(str(write(tmp_path, (images[order], labels[order], *test))))
    assert dataset.lines()[-1].startswith("The training images are sorted by label: ")
    assert set(drawn(dataset.train, 500).labels) == set(dataset.train.spread(100).labels) == set(range(47))


# --- orientation -----------------------------------------------------------------------------------------


def test_pictures_are_turned_where_the_variable_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = splits(47)
    lying = write(tmp_path / "lying", tuple(a.swapaxes(1, -1) if a.ndim == 3 else a for a in arrays))
    upright = data.load(str(write(tmp_path / "upright", arrays)))
    monkeypatch.setenv(reading.ORIENTATION, "transposed")
    dataset = data.load(str(lying))
    assert holds(dataset, arrays)
    assert dataset.sha256 == upright.sha256
    assert dataset.orientation == f"transposed, as {reading.ORIENTATION} says"
    assert "were turned upright" in dataset.lines()[1]
    monkeypatch.setenv(reading.ORIENTATION, "rotated")
    assert error_of(lying) == (
        f"{reading.ORIENTATION} is 'rotated': expected upright or transposed; correct it, or unset it"
    )


def test_mnist_is_not_transposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path, splits(10))
    digests = [hashlib.sha256((folder / file.name).read_bytes()).hexdigest() for file in mnist.FILES]
    files = [mnist.File(file.name, digest, "") for file, digest in zip(mnist.FILES, digests, strict=True)]
    monkeypatch.setattr(mnist, "FILES", tuple(files))
    monkeypatch.setenv(reading.ORIENTATION, "transposed")
    assert "these files are MNIST, which is stored upright; unset it" in error_of(folder)
    monkeypatch.delenv(reading.ORIENTATION)
    assert (data.load(str(folder)).name, data.load(str(folder)).orientation) == ("MNIST", "upright, by checksum")


def test_a_name_decides_nothing_but_raises_a_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = splits(26, first=1)
    folder = write(tmp_path, arrays, emnist)
    dataset = data.load(str(folder))
    assert holds(dataset, arrays, first=1)
    (doubt,) = (line for line in dataset.assumed if "EMNIST" in line)
    assert doubt.endswith("set DIGITBENCH_ORIENTATION to transposed if they lie on their side, or to upright if not.")
    monkeypatch.setenv(reading.ORIENTATION, "upright")
    assert doubt not in data.load(str(folder)).assumed


@pytest.mark.parametrize(
    ("size", "doubted"), [((20, 10, 10), False), ((52, 26, 26), True)], ids=["KMNIST and EMNIST", "EMNIST alone"]
)
def test_the_size_of_transposed_sets_alone_raises_the_doubt(
    size: tuple[int, int, int], doubted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = (family.Member("KMNIST", 20, 10, 10), family.Member("EMNIST MNIST", 20, 10, 10, True))
    monkeypatch.setattr(family, "MEMBERS", (*members, family.Member("EMNIST Letters", 52, 26, 26, True)))
    dataset = data.load(str(write(tmp_path, splits(size[2]))))
    assert any("as in EMNIST Letters, whose pictures" in line for line in dataset.assumed) == doubted


def test_published_files_are_recognised_by_their_checksums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = splits(26, first=1)
    lying = tuple(array.swapaxes(1, -1) if array.ndim == 3 else array for array in arrays)
    folder = write(tmp_path, lying, emnist, packed=True)
    train, test = (
        hashlib.sha256((folder / f"{emnist(file.name)}.gz").read_bytes()).hexdigest() for file in mnist.FILES[::2]
    )
    monkeypatch.setattr(family, "MEMBERS", (family.Member("EMNIST Letters", 52, 26, 26, True, (train, test)),))
    dataset = data.load(str(folder))
    assert holds(dataset, arrays, first=1)
    assert dataset.name == f"EMNIST Letters ({dataset.sha256[:12]})"
    assert dataset.orientation == "transposed, by checksum"
    assert dataset.notice is not None
    monkeypatch.setattr(family, "MEMBERS", ())
    assert data.load(str(folder)).name.startswith("not MNIST (")


def test_the_table_of_members() -> None:
    known = [checksum for member in family.MEMBERS for checksum in member.published if checksum]
    assert len(set(known)) == len(known)
    assert all(len(checksum) == 64 and int(checksum, 16) for checksum in known)
    assert family.named(family.of_size(697_932, 116_323, 47)) == "EMNIST ByMerge"
    assert family.named(family.of_size(60_000, 10_000, 10)) == (
        "MNIST, Fashion-MNIST, KMNIST, Kannada-MNIST or EMNIST MNIST"
    )
    assert family.of_checksums(("", "")) is None


# --- .npz ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_file", [True, False])
@pytest.mark.parametrize(
    "keys",
    [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels")],
    ids=["Keras", "MedMNIST"],
)
def test_a_whole_set_in_one_npz(keys: tuple[str, ...], as_file: bool, tmp_path: Path) -> None:
    arrays = splits(9)
    stored = [array[:, None] if array.ndim == 1 and keys[0] == "train_images" else array for array in arrays]
    np.savez_compressed(
        tmp_path / "set.npz", allow_pickle=True, **dict(zip(keys, stored, strict=True)), val_images=arrays[0]
    )
    np.savez(tmp_path / "model.npz", weights_1=np.zeros(3))  # a network beside it is no set
    dataset = data.load(str(tmp_path / "set.npz" if as_file else tmp_path))
    assert holds(dataset, arrays)
    assert dataset.files == f"the arrays {', '.join(keys)} of set.npz"
    assert dataset.sha256 == data.load(str(write(tmp_path / "idx", arrays))).sha256


@pytest.mark.parametrize(
    "names",
    [
        ("k49-train-imgs", "k49-train-labels", "k49-test-imgs", "k49-test-labels"),
        ("X_kannada_MNIST_train", "y_kannada_MNIST_train", "X_kannada_MNIST_test", "y_kannada_MNIST_test"),
    ],
    ids=["Kuzushiji-49", "Kannada-MNIST"],
)
def test_an_npz_for_each_array(names: tuple[str, ...], tmp_path: Path) -> None:
    arrays = splits(49)
    for name, array in zip(names, arrays, strict=True):
        np.savez_compressed(tmp_path / f"{name}.npz", array)
    dataset = data.load(str(tmp_path))
    assert holds(dataset, arrays)
    assert dataset.files == ", ".join(f"{name}.npz" for name in names)


def test_two_sets_of_which_one_is_an_npz(tmp_path: Path) -> None:
    arrays = splits(10)
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(tmp_path / "mnist.npz", allow_pickle=True, **dict(zip(names, arrays, strict=True)))
    write(tmp_path, arrays, emnist)
    assert f"; give one of the sets, {tmp_path}/emnist-letters or {tmp_path}/mnist.npz, or " in error_of(tmp_path)
    assert data.load(f"{tmp_path}/mnist.npz").files.startswith("the arrays ")
    assert data.load(f"{tmp_path}/emnist-letters").files.startswith("emnist-letters-train-images")


class Harmful:
    """Its pickle would create a file when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("was-unpickled"),))


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images, _, *test = splits(10)
    objects = np.array([Harmful()] * len(images), dtype=object)
    keys = ("x_train", "y_train", "x_test", "y_test")
    np.savez(tmp_path / "set.npz", allow_pickle=True, **dict(zip(keys, (images, objects, *test), strict=True)))
    assert f"{tmp_path}/set.npz, array y_train: expected numbers, found object" in error_of(tmp_path / "set.npz")
    assert not (tmp_path / "was-unpickled").exists()


def npy(shape: tuple[int, ...], content: bytes = b"") -> bytes:
    """An .npy file whose header announces uint8 of this shape."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue() + content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (npy((2, 28, 28), b"short"), "expected 1,568 bytes for uint8 of shape (2, 28, 28), found 5"),
        (npy((2**40, 28, 28)), "expected at most 67,108,864 bytes, found 862,017,116,176,384 announced for uint8"),
        (npy((2, 28, 28), bytes(2 * 784 + 1)), "for uint8 of shape (2, 28, 28), found at least 1,569"),
        (b"\x93NUMPY\x03\x00", "expected version 1 or 2"),
        (b"no array", "expected a whole array, found: "),
        (npy((2, 28, 28)).replace(b"}", b"("), "expected a whole array, found: the header \"{'descr': '|u1', "),
        (npy((2, 28, 28)).replace(b"v\0", b"\xff\xff", 1), "expected a header of at most 4,096 bytes, found 65,535"),
        (npy((2, 28, 28), bytes(2 * 784))[:30], "expected a whole array, found: "),
    ],
    ids=["cut", "huge", "too long", "version 3", "no array", "no header", "long header", "cut header"],
)
def test_sizes_are_compared_before_reading(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for key in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{key}.npy", content)
    message = error_of(path)
    assert message.startswith(f"{path}, array x_train: ")
    assert said in message


def test_a_damaged_archive(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x_train=splits(10)[0])
    content = bytearray((tmp_path / "set.npz").read_bytes())
    content[300] ^= 255
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"array x_train: expected a whole array, found: Bad CRC-32 .*; replace it"):
        npz.read(tmp_path / "set.npz", "x_train", "replace it")
    (tmp_path / "set.npz").write_bytes(content[:500])
    assert npz.names(tmp_path / "set.npz") == ()
    assert "not a folder, expected one with " in error_of(tmp_path / "set.npz")


@pytest.mark.parametrize("shape", [(20, 64, 64), (20, 28, 28, 3)], ids=["64 x 64", "in colour"])
def test_other_pictures_of_medmnist(shape: tuple[int, ...], tmp_path: Path) -> None:
    arrays = dict(train_images=np.zeros(shape, np.uint8), test_images=np.zeros(shape, np.uint8))
    labels = np.arange(20)[:, None] % 8
    np.savez(tmp_path / "blood.npz", allow_pickle=True, **arrays, train_labels=labels, test_labels=labels)
    assert f", array train_images: uint8 of shape {shape}, expected images, uint8 of shape (n, 28, 28); " in error_of(
        tmp_path
    )


def test_an_npz_of_other_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", a=np.zeros(1), b=np.zeros(1))
    assert "or an .npz with x_train, y_train, x_test and y_test, found the arrays a and b; " in error_of(
        tmp_path / "set.npz"
    )


# --- info ------------------------------------------------------------------------------------------------


def test_info_says_what_was_recognised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(family, "MEMBERS", (family.Member("EMNIST Letters", 52, 26, 26, True),))
    assert main(["info", "--data", str(write(tmp_path, splits(26, first=1), emnist))]) == 0
    output = capsys.readouterr().out
    lines = output.splitlines()
    assert f"Files:    {', '.join(emnist(file.name) for file in mnist.FILES)}" in lines
    assert "Classes:  26" in lines
    assert "Pictures: upright, not checked" in lines
    assert "Known:    no, by checksums; as many images and classes as EMNIST Letters" in lines
    assert any(line.split() == ["label", "25", "2", "1"] for line in lines)
    assert any(line.startswith("Labels count from 1 to 26; ") for line in lines)
