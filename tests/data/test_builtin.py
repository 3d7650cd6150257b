"""The built-in digits: the same bytes every time, and as similar to MNIST as printed digits can be."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import bench
from data import builtin
from data.digits import Digits

ROOT = bench.ROOT


@pytest.fixture(scope="module")
def splits() -> tuple[Digits, Digits]:
    return builtin.render(10_000, 2_000)


def squares(digits: Digits) -> NDArray[np.uint8]:
    return digits.images.reshape(-1, 28, 28)


def test_same_sizes_give_same_bytes() -> None:
    once, again = builtin.render(60, 40), builtin.render(60, 40)
    for first, second in zip(once, again, strict=True):
        assert first.images.tobytes() == second.images.tobytes()
        assert first.labels.tobytes() == second.labels.tobytes()


def test_the_size_of_one_split_does_not_change_the_other() -> None:
    few, many = builtin.render(20, 40), builtin.render(60, 40)
    np.testing.assert_array_equal(few[1].images, many[1].images)
    assert len(few[0].images) == 20


def test_form(splits: tuple[Digits, Digits]) -> None:
    for digits, n in zip(splits, (10_000, 2_000), strict=True):
        assert digits.images.shape == (n, 784)
        assert digits.images.dtype == np.uint8
        assert digits.images.flags.c_contiguous
        assert digits.labels.shape == (n,)
        assert digits.labels.dtype == np.int64


def test_labels_are_about_equally_frequent_and_in_random_order(splits: tuple[Digits, Digits]) -> None:
    for digits in splits:
        expected = len(digits.labels) / 10
        counts = np.bincount(digits.labels, minlength=10)
        assert len(counts) == 10
        assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)
        repeats = np.mean(digits.labels[1:] == digits.labels[:-1])
        assert 0.07 < repeats < 0.13  # 0.1 if successive labels are independent


def test_ink_is_as_in_mnist(splits: tuple[Digits, Digits]) -> None:
    for digits in splits:
        assert 0.15 < np.mean(digits.images > 0) < 0.23
        ink_of_each = np.mean(digits.images > 0, axis=1)
        assert ink_of_each.min() > 0.03
        assert ink_of_each.max() < 0.5
        assert digits.images.max(axis=1).min() == 255
        grey = (digits.images > 0) & (digits.images < 255)
        assert 0.3 < grey.sum() / np.sum(digits.images > 0) < 0.8  # edges are antialiased


def test_digits_are_centred_and_not_cut_off(splits: tuple[Digits, Digits]) -> None:
    for digits in splits:
        images = squares(digits)
        inner = images[:, 1:-1, 1:-1] > 0
        touching = images.astype(bool).sum(axis=(1, 2)) > inner.sum(axis=(1, 2))
        assert touching.mean() < 0.005
        mass = images.sum(axis=(1, 2), dtype=np.int64)
        for axis in (1, 2):
            centres = images.sum(axis=3 - axis, dtype=np.int64) @ np.arange(28) / mass
            assert abs(centres.mean() - 14) < 0.3
            assert np.abs(centres - 14).max() < 5
        extent = np.maximum(np.any(images, axis=2).sum(axis=1), np.any(images, axis=1).sum(axis=1))
        assert 18 < np.median(extent) < 22
        assert extent.std() > 0.5


def test_no_image_occurs_twice(splits: tuple[Digits, Digits]) -> None:
    both = np.concatenate([digits.images for digits in splits])
    assert len({image.tobytes() for image in both}) == len(both)


def test_images_of_one_glyph_vary() -> None:
    glyph = builtin._glyph(builtin._font_file("DejaVuSans"), 3)
    images = builtin._images(glyph, 50, np.random.default_rng(0), builtin._spline_basis()).astype(float)
    differences = np.abs(images[1:] - images[:-1]).mean(axis=1)
    assert differences.min() > 5  # of 255, over all pixels


def test_fonts_of_training_and_test_are_disjoint_and_drawn_differently() -> None:
    fonts = builtin.TRAIN_FONTS + builtin.TEST_FONTS
    assert len(set(fonts)) == len(fonts)
    drawings = {builtin._glyph(builtin._font_file(font), 4).distance.tobytes() for font in fonts}
    assert len(drawings) == len(fonts)


def test_spline_reproduces_position() -> None:
    """Control points on a regular grid leave every pixel in place: linear precision of B-splines."""
    np.testing.assert_allclose(builtin._spline_basis() @ builtin.KNOTS, np.arange(28), atol=5e-3)


def test_zero_of_mono_font_has_no_dot() -> None:
    glyph = builtin._glyph(builtin._font_file("DejaVuSansMono"), 0)
    row, column = np.round(glyph.centre).astype(int)
    assert glyph.distance[row, column] < 0


def test_they_are_as_hard_as_mnist_for_a_linear_classifier(splits: tuple[Digits, Digits]) -> None:
    train, test = splits
    x, x_test = (digits.images.astype(np.float32) / 255 for digits in splits)
    targets = np.eye(10, dtype=np.float32)[train.labels]

    means = targets.T @ x / targets.sum(axis=0)[:, None]
    nearest = np.argmin(-2 * x_test @ means.T + np.sum(means**2, axis=1), axis=1)
    accuracy_of_means = np.mean(nearest == test.labels)
    assert 0.5 < accuracy_of_means < 0.85  # chance: 0.1; MNIST: 0.82

    weights = np.zeros((784, 10), np.float32)
    velocity = np.zeros_like(weights)
    for _ in range(80):
        scores = x @ weights
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        velocity = 0.9 * velocity + x.T @ (p - targets) / np.float32(len(x))
        weights -= 0.1 * velocity
    accuracy = np.mean(np.argmax(x_test @ weights, axis=1) == test.labels)
    assert 0.82 < accuracy < 0.93
    assert accuracy > accuracy_of_means + 0.03


def test_missing_font_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "TEST_FONTS", ("NoSuchFont",))
    with pytest.raises(RuntimeError, match=r"NoSuchFont\.ttf: expected .*, found \d+ .*; run .*matplotlib") as error:
        builtin.render(10, 10)
    assert "\n" not in str(error.value)


def test_unreadable_font_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "DejaVuSans.ttf"
    file.write_bytes(b"no font")
    with pytest.raises(RuntimeError, match=r"DejaVuSans\.ttf: expected a TrueType font, found .*; run ") as error:
        builtin._glyph(file, 0)
    assert "\n" not in str(error.value)


def test_rendering_needs_no_home_folder_and_does_not_import_matplotlib(tmp_path: Path) -> None:
    """With a home folder that cannot exist and warnings as errors: nothing on stderr, and the same bytes."""
    program = (
        "import hashlib, sys; from data.builtin import render; "
        "print(hashlib.sha256(render(50, 50)[0].images).hexdigest()); assert 'matplotlib' not in sys.modules"
    )
    not_a_folder = tmp_path / "file"
    not_a_folder.touch()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env={**os.environ, "BATCH_SIZE": str(not_a_folder / "batch_size"), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == hashlib.sha256(builtin.render(50, 50)[0].images.tobytes()).hexdigest()
