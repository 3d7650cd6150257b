"""A network on disk: what was saved comes back, what is damaged or foreign ends in one line, nothing is lost."""

import io
import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import UserError
from bench.training.saved import FORMAT, SavedNetwork, load_network, save_network
from impls.contract import DType, Layer, Network
from impls.initialisation import initial_parameters

NETWORK = Network((6, 4, 3), "tanh", "softmax", "cross_entropy", pixel_scale=0.1 + 0.2)
SHA256 = "0123456789abcdef" * 4
PARAMETERS = initial_parameters(NETWORK, "standard_normal", 0, "float32")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_network(tmp_path / "network.npz", NETWORK, PARAMETERS, SHA256)
    return tmp_path / "network.npz"


def is_the_saved_one(found: SavedNetwork) -> bool:
    pairs = zip(found.parameters, PARAMETERS, strict=True)
    return found.network == NETWORK and all(
        np.array_equal(found, expected) for layers in pairs for found, expected in zip(*layers, strict=True)
    )


def error_of(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_network(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def rewritten(path: Path, **changes: Any) -> Path:
    """The file with other arrays in it; None leaves one out."""
    with np.load(path) as content:
        arrays = {**content, **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def described(path: Path, **changes: Any) -> Path:
    """The file with another description of its network."""
    with np.load(path) as content:
        description = json.loads(str(content["network"]))
    return rewritten(path, network=np.array(json.dumps({**description, **changes})))


# --- there and back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(6, 3), (6, 4, 3), (6, 5, 4, 4, 3)])
def test_what_was_saved_comes_back(tmp_path: Path, sizes: tuple[int, ...], dtype: DType) -> None:
    network = replace(NETWORK, sizes=sizes)
    parameters = initial_parameters(network, "standard_normal", 7, dtype)
    save_network(tmp_path / "n.npz", network, parameters)
    found, layers, _ = load_network(tmp_path / "n.npz")
    assert found == network
    assert found.pixel_scale == 0.1 + 0.2  # to the last bit
    assert isinstance(found.sizes, tuple)
    for layer, expected in zip(layers, parameters, strict=True):
        assert isinstance(layer, Layer)
        for array, of_expected in zip(layer, expected, strict=True):
            assert array.dtype == dtype
            assert np.array_equal(array, of_expected)


def test_the_checksum_of_the_digits(saved: Path) -> None:
    found = load_network(saved)
    assert found.data_sha256 == SHA256
    assert found.remarks(saved, SHA256, "these") == []
    assert found.remarks(saved, "f" * 64, "these") == [
        f"{saved}: was trained on other digits (SHA-256 0123456789ab...) than these"
    ]


def test_a_file_without_the_checksum_of_its_digits(saved: Path) -> None:
    """As earlier ones are."""
    found = load_network(rewritten(saved, data_sha256=None))
    assert is_the_saved_one(found)
    assert found.data_sha256 is None
    assert found.remarks(saved, SHA256, "these") == []


def test_the_name_is_taken_as_it_is(tmp_path: Path) -> None:
    save_network(tmp_path / "no suffix", NETWORK, PARAMETERS)
    assert [path.name for path in tmp_path.iterdir()] == ["no suffix"]
    assert is_the_saved_one(load_network(tmp_path / "no suffix"))


def test_saving_again_replaces(saved: Path) -> None:
    other = tuple(Layer(weights + 1, biases) for weights, biases in PARAMETERS)
    save_network(saved, NETWORK, other)
    assert np.array_equal(load_network(saved)[1][0].weights, other[0].weights)
    assert list(saved.parent.iterdir()) == [saved]


def test_a_plain_zip_of_arrays(saved: Path) -> None:
    """Another program reads it with NumPy alone."""
    with np.load(saved, allow_pickle=False) as content:
        assert content["weights_1"].shape == (6, 4)
        assert content["biases_2"].shape == (3,)
        assert json.loads(str(content["network"]))["hidden"] == "tanh"


# --- files that are not as they should be ------------------------------------------------------------------


def test_missing_file(tmp_path: Path) -> None:
    message = error_of(tmp_path / "absent.npz")
    assert "No such file" in message
    assert "--save" in message


def test_a_folder(tmp_path: Path) -> None:
    assert "cannot be read" in error_of(tmp_path)


def test_cut_files(saved: Path) -> None:
    content = saved.read_bytes()
    for length in range(0, len(content), 37):
        saved.write_bytes(content[:length])
        error_of(saved)


@pytest.mark.parametrize("damage", [0x01, 0x08, 0x0E, 0xFF])  # 8 and 14 turn "stored" into two compressions
def test_damaged_files(saved: Path, damage: int) -> None:
    """One byte is changed: either that is noticed, or the byte has no meaning, such as a date."""
    content = saved.read_bytes()
    directory = content.index(b"PK\x01\x02")  # zip's list of what it holds, where every byte counts
    messages = []
    for position in [*range(0, directory, 7), *range(directory, len(content))]:
        changed = bytearray(content)
        changed[position] ^= damage
        saved.write_bytes(changed)
        try:
            found = load_network(saved)
        except UserError as error:
            messages.append(str(error))
        else:
            assert is_the_saved_one(found), f"byte {position}"
    assert len(messages) > 100
    assert all(message.startswith(f"{saved}: ") and "\n" not in message for message in messages)


def array_file() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"weights: 1 2 3\n", b"PK", b"\x93NUMPY", array_file(), pickle.dumps({"weights": 1}), bytes(1000)],
    ids=["empty", "blank", "text", "zip's first letters", "NumPy's first letters", "array", "pickle", "zeros"],
)
def test_foreign_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.npz"
    path.write_bytes(content)
    message = error_of(path)
    assert f"expected a {FORMAT} file" in message
    assert "--save" in message


def test_another_zip(tmp_path: Path) -> None:
    path = tmp_path / "archive.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "Dear reader\n")
    assert f"expected a {FORMAT} file" in error_of(path)


def test_text_that_is_none(saved: Path) -> None:
    no_characters = np.array([0x110000, 0xD800], "<u4").view("<U2").reshape(())
    assert "found: 'utf-32-le' codec can't decode bytes" in error_of(rewritten(saved, format=no_characters))
    save_network(saved, NETWORK, PARAMETERS)
    message = error_of(rewritten(saved, network=np.array("x" * 20_000)))
    assert "found: network has 80,000 bytes, expected at most 65,536" in message


@pytest.mark.parametrize("header", [b"{'descr': '<f4'" + b"(" * 60, b"{'descr': '<f\xb2', "], ids=["brackets", "digit"])
def test_headers_that_are_not_numpys(header: bytes, saved: Path) -> None:
    """They are not given to Python's parser, which NumPy uses."""
    content = saved.read_bytes()
    with zipfile.ZipFile(saved, "w") as archive, zipfile.ZipFile(io.BytesIO(content)) as old:
        for name in old.namelist():
            file = old.read(name)
            archive.writestr(name, file[:10] + header + file[10 + len(header) :] if name == "weights_1.npy" else file)
    assert f"expected a {FORMAT} file, found: expected " in error_of(saved)


def test_nothing_in_it_is_executed(saved: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "executed",)

    for name in ("format", "network", "data_sha256", "weights_1"):
        trapped = np.array([Trap()], dtype=object)
        message = error_of(rewritten(saved, **{name: trapped}))
        assert "found" in message
        save_network(saved, NETWORK, PARAMETERS)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("changes", "mentioned"),
    [
        ({"format": np.array("digitbench network 2")}, "digitbench network 2"),
        ({"format": None}, "format"),
        ({"network": None}, "network"),
        ({"network": np.array("{")}, "found"),
        ({"network": np.array("[1, 2]")}, "found"),
        ({"data_sha256": np.array("none")}, "data_sha256 is 'none'"),
        ({"data_sha256": np.arange(3)}, "data_sha256 is '[0 1 2]'"),
        ({"weights_1": None}, "weights_1"),
        ({"biases_2": None}, "biases_2"),
        ({"weights_1": np.zeros((5, 4), np.float32)}, "layer 1: weights have shape (5, 4), expected (6, 4)"),
        ({"biases_2": np.zeros(3)}, "layer 2: biases are float64, expected one dtype"),
        ({"weights_1": np.zeros((6, 4), np.int64)}, "int64"),
        ({"weights_2": np.full((4, 3), np.nan, np.float32)}, "layer 2: weights hold nan at [0, 0], expected finite"),
        ({"biases_1": np.full(4, np.inf, np.float32)}, "layer 1: biases hold inf at [0], expected finite"),
    ],
)
def test_content_that_is_no_network(saved: Path, changes: dict[str, Any], mentioned: str) -> None:
    assert mentioned in error_of(rewritten(saved, **changes))


@pytest.mark.parametrize(
    ("changes", "mentioned"),
    [
        ({"sizes": [6, 5, 3]}, "layer 1: weights have shape (6, 4), expected (6, 5)"),
        ({"sizes": [6]}, "an input and an output size"),
        ({"sizes": "6-4-3"}, "whole number"),
        ({"sizes": None}, "found"),
        ({"hidden": "step"}, "'step'"),
        ({"output": "tanh"}, "'tanh'"),
        ({"output": "tanh", "cost": None}, "'tanh'"),
        ({"pixel_scale": -1}, "pixel scale -1"),
        ({"pixel_scale": "large"}, "found"),
        ({"depth": 3}, "depth"),
    ],
)
def test_descriptions_that_are_no_network(saved: Path, changes: dict[str, Any], mentioned: str) -> None:
    assert mentioned in error_of(described(saved, **changes))


# --- a save that fails -------------------------------------------------------------------------------------


def test_a_failing_save_leaves_the_earlier_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def savez(file: Any, **_: Any) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", savez)
    with pytest.raises(UserError, match="No space left on device") as caught:
        save_network(saved, NETWORK, PARAMETERS)
    assert "\n" not in str(caught.value)
    assert is_the_saved_one(load_network(saved))


def test_an_interrupted_save_leaves_the_earlier_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def savez(file: Any, **_: Any) -> None:
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", savez)
    with pytest.raises(KeyboardInterrupt):
        save_network(saved, NETWORK, PARAMETERS)
    assert is_the_saved_one(load_network(saved))


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"n\.npz: cannot be written \(No such file or directory\)"):
        save_network(tmp_path / "absent" / "n.npz", NETWORK, PARAMETERS)
