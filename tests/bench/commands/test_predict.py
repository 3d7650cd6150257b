"""`python -m bench predict`: a picture of the user's own becomes what MNIST's pictures are, and gets its answer."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.__main__ import main
from bench.training.saved import load_network, save_network
from data import DataError, mnist
from data.picture import as_mnist, read_grey
from impls import vectorized
from impls.contract import COST_OF_OUTPUT, Activation, Layer, Network, Output, zero_velocities
from impls.initialisation import initial_parameters
from tests.helpers.plans import plans_by_epoch


def seven(width: int = 200, height: int = 260, left: int = 60, top: int = 40, size: int = 100) -> Image.Image:
    """A dark 7 on white paper."""
    picture = Image.new("L", (width, height), 255)
    corner = left + size * 2 // 3, top
    ImageDraw.Draw(picture).line([(left, top), corner, (left + size // 4, top + size)], fill=0, width=size // 8)
    return picture


def inverted(picture: Image.Image) -> Image.Image:
    return Image.fromarray(255 - np.asarray(picture))


def converted(picture: Image.Image, path: Path) -> NDArray[np.uint8]:
    """Through a file, as the command does it."""
    picture.save(path)
    return as_mnist(read_grey(path), path)


def middle_of(image: NDArray[np.uint8]) -> tuple[float, float]:
    """The centre of mass, row and column."""
    rows, columns = np.indices(image.shape)
    return float(np.average(rows, weights=image)), float(np.average(columns, weights=image))


def error_of(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- from a picture to 28 x 28 -----------------------------------------------------------------------------


def test_as_mnist_has_them(tmp_path: Path) -> None:
    image = converted(seven(), tmp_path / "7.png")
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    assert image.max() > 200  # bright
    assert (image == 0).mean() > 0.6  # on black
    assert not image[[0, -1]].any()
    assert not image[:, [0, -1]].any()


def test_dark_on_white_is_bright_on_black(tmp_path: Path) -> None:
    dark, bright = converted(seven(), tmp_path / "dark.png"), converted(inverted(seven()), tmp_path / "bright.png")
    assert np.array_equal(dark, bright)


@pytest.mark.parametrize(("width", "height", "expected"), [(40, 80, (20, 10)), (90, 30, (7, 20)), (50, 50, (20, 20))])
def test_the_longer_side_becomes_20_pixels(width: int, height: int, expected: tuple[int, int], tmp_path: Path) -> None:
    picture = Image.new("L", (150, 150), 255)
    picture.paste(0, (20, 30, 20 + width, 30 + height))
    rows, columns = np.nonzero(converted(picture, tmp_path / "box.png"))
    assert (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1) == expected


@pytest.mark.parametrize("left", [5, 60, 120])
@pytest.mark.parametrize("top", [10, 40, 150])
def test_where_it_is_on_the_paper_does_not_matter(left: int, top: int, tmp_path: Path) -> None:
    image = converted(seven(left=left, top=top), tmp_path / "7.png")
    assert np.array_equal(image, converted(seven(), tmp_path / "middle.png"))


@pytest.mark.parametrize("turn", [None, *Image.Transpose])
def test_the_centre_of_mass_is_in_the_middle(turn: Image.Transpose | None, tmp_path: Path) -> None:
    picture = seven() if turn is None else seven().transpose(turn)
    image = converted(picture, tmp_path / "turned.png")
    np.testing.assert_allclose(middle_of(image), 13.5, atol=0.51)
    mass = image.astype(int)
    assert mass[:14].sum() != mass[14:].sum()  # it is the mass that is centred: the box of a 7 is not


@pytest.mark.parametrize("factor", [3, 10])
def test_its_size_on_the_paper_hardly_matters(factor: int, tmp_path: Path) -> None:
    small = converted(seven(), tmp_path / "small.png").astype(int)
    picture = seven().resize((200 * factor, 260 * factor), Image.Resampling.NEAREST)
    large = converted(picture, tmp_path / "large.png").astype(int)
    assert np.abs(large - small).mean() < 2


def test_pale_ink_becomes_bright(tmp_path: Path) -> None:
    pale = Image.fromarray((255 - (255 - np.asarray(seven()).astype(int)) * 0.4).astype(np.uint8))
    assert converted(pale, tmp_path / "pale.png").max() > 200


def test_transparent_parts_are_white_paper(tmp_path: Path) -> None:
    ink = 255 - np.asarray(seven())
    drawn = np.zeros((*ink.shape, 4), np.uint8)
    drawn[..., 3] = ink  # black, and opaque where there is ink
    transparent = Image.fromarray(drawn)
    assert transparent.mode == "RGBA"
    expected = converted(seven(), tmp_path / "paper.png")
    assert np.array_equal(converted(transparent, tmp_path / "transparent.png"), expected)


@pytest.mark.parametrize(
    ("mode", "suffix"), [("1", "png"), ("P", "png"), ("LA", "png"), ("RGB", "png"), ("RGBA", "webp"), ("P", "gif")]
)
def test_kinds_of_pictures(mode: str, suffix: str, tmp_path: Path) -> None:
    expected = converted(seven(), tmp_path / "7.png").astype(int)
    found = converted(seven().convert(mode), tmp_path / f"7.{suffix}").astype(int)
    assert np.abs(found - expected).max() <= 3


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_photograph(mode: str, tmp_path: Path) -> None:
    expected = converted(seven(), tmp_path / "7.png").astype(int)
    assert np.abs(converted(seven().convert(mode), tmp_path / "7.jpg").astype(int) - expected).mean() < 3


def test_28_by_28_on_black_is_taken_as_it_is(tmp_path: Path) -> None:
    image = np.zeros((28, 28), np.uint8)
    image[3:9, 2:5] = [[10, 200, 30]] * 6  # neither centred nor 20 pixels high
    assert np.array_equal(converted(Image.fromarray(image), tmp_path / "digit.png"), image)


def test_28_by_28_on_white_is_not(tmp_path: Path) -> None:
    image = np.full((28, 28), 255, np.uint8)
    image[3:9, 2:5] = 0
    found = converted(Image.fromarray(image), tmp_path / "digit.png")
    assert found[0, 0] == 0
    np.testing.assert_allclose(middle_of(found), 13.5, atol=0.51)


def test_a_single_dot(tmp_path: Path) -> None:
    picture = Image.new("L", (50, 50), 255)
    picture.putpixel((30, 20), 0)
    assert converted(picture, tmp_path / "dot.png").any()


# --- pictures that are none --------------------------------------------------------------------------------


@pytest.mark.parametrize("brightness", [0, 128, 255])
def test_empty_paper(brightness: int, tmp_path: Path) -> None:
    picture = Image.new("L", (60, 50), brightness)
    message = error_of(lambda: converted(picture, tmp_path / "empty.png"))
    assert message.startswith(f"{tmp_path / 'empty.png'}: ")
    assert "found an empty picture" in message


def test_stains_are_no_ink(tmp_path: Path) -> None:
    picture = Image.new("L", (60, 50), 255)
    picture.paste(230, (10, 10, 20, 20))
    assert "found an empty picture" in error_of(lambda: converted(picture, tmp_path / "stain.png"))


@pytest.mark.parametrize("content", [b"", b"a letter\n", b"\x89PNG\r\n\x1a\n", bytes(100)])
def test_another_kind_of_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "letter.png").write_bytes(content)
    message = error_of(lambda: read_grey(tmp_path / "letter.png"))
    assert message.startswith(f"{tmp_path / 'letter.png'}: ")
    assert "picture" in message


def test_missing_picture(tmp_path: Path) -> None:
    assert "No such file" in error_of(lambda: read_grey(tmp_path / "absent.png"))
    assert "cannot be read" in error_of(lambda: read_grey(tmp_path))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_damaged_pictures(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut anywhere, or with one byte changed: a picture all the same, or one line."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**6)  # the changed byte may be one of its width
    path = tmp_path / f"7.{suffix}"
    seven(60, 70, 10, 10, 40).save(path)
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 13)]
    for position in {"png": range(len(whole)), "jpg": range(0, len(whole), 11), "tif": range(200)}[suffix]:
        changed = bytearray(whole)
        changed[position] ^= 0x01
        damaged.append(bytes(changed))
    messages = []
    for content in damaged:
        path.write_bytes(content)
        try:
            assert as_mnist(read_grey(path), path).shape == (28, 28)
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert all(message.startswith(f"{path}: ") and "\n" not in message for message in messages)


@pytest.mark.parametrize("most", [1_000, 51_999])
def test_a_picture_too_large_to_be_true(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow refuses what would fill the memory once it is unpacked, and warns of what is up to twice too large."""
    seven(200, 260).save(tmp_path / "7.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    assert error_of(lambda: read_grey(tmp_path / "7.png")) == (
        f"{tmp_path / '7.png'}: expected a picture of at most {most:,} pixels, found a larger one; make it smaller"
    )


def test_the_largest_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seven(200, 260).save(tmp_path / "7.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 52_000)
    assert read_grey(tmp_path / "7.png").shape == (260, 200)


# --- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def pictures() -> NDArray[np.uint8]:
    """Ten patterns, one a digit, as images with a black border."""
    inner = np.random.default_rng(0).integers(0, 2, (10, 20, 20)) * 255
    return np.pad(inner, ((0, 0), (4, 4), (4, 4))).astype(np.uint8)


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
    first, *others = printed.out.splitlines()
    answer = re.fullmatch(rf"{re.escape(str(tmp_path))}/mine\.png: a {digit}, with confidence (0\.\d{{3}})", first)
    assert answer
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
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)
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
