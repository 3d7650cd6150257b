"""`python -m bench predict`: a picture of the user's own gets its answer."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.__main__ import main
from bench.training.saved import load_network, save_network
from data import mnist
from impls import vectorized
from impls.contract import COST_OF_OUTPUT, Activation, Layer, Network, Output, zero_velocities
from impls.initialisation import initial_parameters
from tests.helpers.pictures import seven
from tests.helpers.plans import plans_by_epoch


@pytest.fixture
def pictures() -> NDArray[np.uint8]:
    """Ten patterns, one a digit, in the form of MNIST's images: symmetric, so that each mass is in the middle."""
    half = np.random.default_rng(0).integers(0, 2, (10, 19, 19)) * 255
    return np.pad(np.minimum(half, half[:, ::-1, ::-1]), ((0, 0), (5, 4), (5, 4))).astype(np.uint8)


@pytest.fixture
def saved(tmp_path: Path, pictures: NDArray[np.uint8]) -> Path:
    """A network that knows the ten patterns."""
    network = Network((784, 10), output="softmax", cost="cross_entropy")
    state = zero_velocities(initial_parameters(network, "lecun_normal", 0, "float32"))
    prepared = vectorized.prepare(network, pictures.reshape(10, 784), np.arange(10), "float32")
    for plan in plans_by_epoch(10, None, epochs=30, learning_rate=0.1):
        state, _ = vectorized.train(network, state, prepared, plan)
    save_network(tmp_path / "network.npz", network, state.parameters)
    return tmp_path / "network.npz"


@pytest.mark.parametrize("digit", [0, 3, 9])
def test_the_answer(
    digit: int, saved: Path, pictures: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(pictures[digit]).save(tmp_path / "mine.png")
    assert main(["predict", str(saved), str(tmp_path / "mine.png")]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    first, done, *others = printed.out.splitlines()
    answer = re.fullmatch(rf"{re.escape(str(tmp_path))}/mine\.png: a {digit}, with confidence (0\.\d{{3}})", first)
    assert answer
    assert done == "Prepared: as it is"
    digits, outputs = zip(*((int(line.split()[0]), float(line.split()[1])) for line in others), strict=True)
    assert digits[0] == digit
    assert sorted(digits) == list(range(10))
    assert list(outputs) == sorted(outputs, reverse=True)
    assert sum(outputs) == pytest.approx(1, abs=1e-3)
    assert float(answer[1]) == pytest.approx(outputs[0], abs=1e-3)


@pytest.mark.parametrize("sha256", [mnist.SHA256, "ab" * 32, None], ids=["MNIST", "others", "unknown"])
def test_a_network_of_other_digits_than_mnist_is_named(
    sha256: str | None,
    saved: Path,
    pictures: NDArray[np.uint8],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    network, parameters, _ = load_network(saved)
    save_network(saved, network, parameters, sha256)
    Image.fromarray(pictures[4]).save(tmp_path / "mine.png")
    assert main(["predict", str(saved), str(tmp_path / "mine.png")]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    named = sha256 == "ab" * 32
    assert first.startswith(f"{saved}: was trained on other digits (SHA-256 abababababab...) than MNIST, ") is named
    assert ": a 4, with confidence" in (others[0] if named else first)


def test_every_backend_gives_the_answer(
    saved: Path, pictures: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(pictures[4]).save(tmp_path / "mine.png")
    for name in ("naive", "vectorized", "minibatch", "numba", "numba_dense", "numba_sparse"):
        assert main(["predict", str(saved), str(tmp_path / "mine.png"), "--backend", name]) == 0
        assert "mine.png: a 4, with confidence" in capsys.readouterr().out


def test_it_says_what_was_done_and_shows_it(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    thin = seven(pen=4)
    thin.save(tmp_path / "7.gif", save_all=True, append_images=[seven()])
    assert main(["predict", str(saved), str(tmp_path / "7.gif"), "--show"]) == 0
    first, done, *others = capsys.readouterr().out.splitlines()
    assert done == "Prepared: the first of several; dark ink on bright paper; thin strokes widened"
    label, drawn, outputs = others[0], others[1:15], others[15:]
    assert f": a {label}, with" in first
    assert drawn[0].strip() == ""
    assert sum(line.count("█") for line in drawn) > 10  # both pixels of a character are ink
    assert len(outputs) == 10


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["predict", *map(str, arguments)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    return printed.err


def test_bad_input(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "7.png"
    seven().save(picture)
    (tmp_path / "letter.txt").write_text("Dear reader\n")
    assert "letter.txt: expected a picture" in failure(capsys, saved, tmp_path / "letter.txt")
    assert "absent.png: cannot be read" in failure(capsys, saved, tmp_path / "absent.png")
    assert "absent.npz: cannot be read" in failure(capsys, tmp_path / "absent.npz", picture)
    assert "letter.txt: expected a digitbench network" in failure(capsys, tmp_path / "letter.txt", picture)
    assert "did you mean 'naive'" in failure(capsys, saved, picture, "--backend", "naiv")


def test_a_network_of_other_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = Network((100, 10))
    save_network(tmp_path / "small.npz", network, initial_parameters(network, "he_normal", 0, "float32"))
    seven().save(tmp_path / "7.png")
    assert "784 pixels" in failure(capsys, tmp_path / "small.npz", tmp_path / "7.png")


def test_a_huge_and_a_cut_picture(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "7.png"
    seven().save(picture)
    content = picture.read_bytes()
    picture.write_bytes(content[: len(content) // 2])
    assert "7.png: cannot be read (" in failure(capsys, saved, picture)
    picture.write_bytes(content)
    monkeypatch.setattr("data.picture.MOST_PIXELS", 50_000)
    assert "7.png: expected a picture of at most 50,000 pixels" in failure(capsys, saved, picture)


@pytest.mark.parametrize("backend", ["naive", "vectorized", "minibatch", "numba", "numba_dense", "numba_sparse"])
@pytest.mark.parametrize(("hidden", "output", "found"), [("relu", "relu", "inf"), ("relu", "softmax", "nan")])
def test_a_network_that_overflows(
    hidden: Activation, output: Output, found: str, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its parameters are finite, what it makes of a picture is not."""
    network = Network((784, 4, 10), hidden, output, COST_OF_OUTPUT[output])
    layers = [np.full(shape, 3e38, np.float32) for shape in ((784, 4), (4, 10))]
    save_network(tmp_path / "n.npz", network, tuple(Layer(w, np.zeros(w.shape[1], np.float32)) for w in layers))
    seven().save(tmp_path / "7.png")
    line = failure(capsys, tmp_path / "n.npz", tmp_path / "7.png", "--backend", backend)
    assert f"n.npz: expected finite outputs for {tmp_path / '7.png'}, found {found}; " in line


def test_a_spoilt_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = Network((784, 10))
    weights = np.full((784, 10), np.nan, np.float32)
    save_network(tmp_path / "spoilt.npz", network, (Layer(weights, np.zeros(10, np.float32)),))
    seven().save(tmp_path / "7.png")
    assert "weights hold nan at [0, 0]" in failure(capsys, tmp_path / "spoilt.npz", tmp_path / "7.png")
