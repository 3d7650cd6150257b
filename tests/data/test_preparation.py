"""A picture of a digit, whatever a camera, paper or a pen adds to it, gets the form of MNIST's."""

import functools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from data import DataError, builtin
from data.preparation import Prepared, as_mnist
from tests.helpers.pictures import Pixels, largest_difference, seven, unlikeness

PICTURE = Path("7.png")


def prepared(picture: Image.Image | NDArray[np.generic]) -> Prepared:
    return as_mnist(np.asarray(picture, np.float64), PICTURE)


def image_of(picture: Image.Image | NDArray[np.generic]) -> Pixels:
    return prepared(picture).image


@functools.cache
def of_a_plain_seven() -> Pixels:
    """What most pictures here have to become."""
    return image_of(seven())


def middle_of(image: Pixels) -> tuple[float, float]:
    """The centre of mass, row and column."""
    rows, columns = np.indices(image.shape)
    return float(np.average(rows, weights=image)), float(np.average(columns, weights=image))


def enlarged(image: Pixels, factor: int) -> Pixels:
    return np.repeat(np.repeat(image, factor, 0), factor, 1)


@pytest.fixture(scope="module")
def digits() -> list[Pixels]:
    """Ten digits in MNIST's form: the built-in ones, away from the middle, so that size and place are made anew."""
    images, labels = builtin.render(1, 60)[1]
    first = [int(np.flatnonzero(labels == digit)[0]) for digit in range(10)]
    return [image_of(np.roll(image, (3, 3), (0, 1))) for image in images[first].reshape(10, 28, 28)]


# --- the form of MNIST's images ----------------------------------------------------------------------------


def test_it_is_bright_on_black() -> None:
    image = of_a_plain_seven()
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    assert image.max() == 255
    assert (image == 0).mean() > 0.6
    rows, columns = np.nonzero(image)
    assert np.ptp(rows) + 1 == 20
    assert np.ptp(columns) + 1 < 20


@pytest.mark.parametrize(("width", "height", "expected"), [(40, 80, (20, 10)), (90, 30, (7, 20)), (50, 50, (20, 20))])
def test_the_longer_side_becomes_20_pixels(width: int, height: int, expected: tuple[int, int]) -> None:
    picture = Image.new("L", (200, 200), 255)
    picture.paste(0, (20, 30, 20 + width, 30 + height))
    rows, columns = np.nonzero(image_of(picture))
    assert (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1) == expected


@pytest.mark.parametrize("turn", [None, *Image.Transpose])
def test_the_centre_of_mass_is_at_14(turn: Image.Transpose | None) -> None:
    image = image_of(seven() if turn is None else seven().transpose(turn))
    np.testing.assert_allclose(middle_of(image), 14, atol=0.5)
    mass = image.astype(int)
    assert mass[:14].sum() != mass[14:].sum()  # it is the mass that is centred: the box of a 7 is not


@pytest.mark.parametrize("left", [15, 130, 260])
@pytest.mark.parametrize("top", [20, 100, 200])
def test_where_it_is_on_the_paper_does_not_matter(left: int, top: int) -> None:
    assert np.array_equal(image_of(seven(left=left, top=top)), of_a_plain_seven())


@pytest.mark.parametrize("pen", [2, 3])
def test_a_small_digit_on_a_large_sheet(pen: int) -> None:
    found = image_of(seven(600, 600, 400, 50, 24, pen=pen))
    assert unlikeness(found, image_of(seven(pen=180 * pen // 24))) < 12


@pytest.mark.parametrize("factor", [3, 5])
def test_its_size_on_the_paper_hardly_matters(factor: int) -> None:
    small = seven(100, 130, 30, 20, 50)
    assert unlikeness(image_of(enlarged(np.asarray(small), factor)), image_of(small)) < 3


# --- 28 x 28 pixels ----------------------------------------------------------------------------------------


def test_an_image_in_the_form_is_unchanged(digits: list[Pixels]) -> None:
    for image in digits:
        assert np.array_equal(prepared(image).image, image)
        assert prepared(image).done == "as it is"


@pytest.mark.parametrize("factor", [1, 3, 10])
def test_inverted_and_enlarged_it_comes_back(factor: int, digits: list[Pixels]) -> None:
    same = [np.array_equal(image_of(255 - enlarged(image, factor)), image) for image in digits]
    assert sum(same) >= 8
    for image in digits:
        found = image_of(255 - enlarged(image, factor))
        assert unlikeness(found, image) < 1
        np.testing.assert_allclose(middle_of(found), 14, atol=0.5)


@pytest.mark.parametrize("shift", [(2, 1), (1, 0), (-2, 2), (0, -3)])
def test_shifted_it_is_centred_anew(shift: tuple[int, int], digits: list[Pixels]) -> None:
    for image in digits:
        assert unlikeness(image_of(np.roll(image, shift, (0, 1))), image) < 0.5
    assert sum(np.array_equal(image_of(np.roll(image, shift, (0, 1))), image) for image in digits) >= 8


@pytest.mark.parametrize("side", [14, 16, 24, 26])
def test_a_digit_of_another_size_gets_its_20_pixels(side: int, digits: list[Pixels]) -> None:
    for image in digits:
        rows, columns = np.nonzero(image)
        digit = Image.fromarray(image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
        width, height = (max(1, round(length * side / max(digit.size))) for length in digit.size)
        drawn = Image.new("L", (28, 28))
        drawn.paste(digit.resize((width, height), Image.Resampling.BICUBIC), ((28 - width) // 2, (28 - height) // 2))
        found = image_of(drawn)
        rows, columns = np.nonzero(found >= 6)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        assert unlikeness(found, image) < 15


# --- paper and light ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paper", "ink"),
    [(0, 255), (110, 30), (140, 240), (130, 80), (250, 195), (230, 175), (150, 100), (60, 20), (20, 60), (90, 125)],
)
def test_the_contrast_does_not_matter(paper: int, ink: int) -> None:
    assert largest_difference(image_of(seven(paper=paper, ink=ink)), of_a_plain_seven()) <= 1


def lit(light: NDArray[np.float64], picture: Image.Image) -> NDArray[np.float64]:
    """A picture, darker where there is less light than 1."""
    return np.round(np.asarray(picture) * light)


ROWS, COLUMNS = np.indices((400, 400)) / 399


@pytest.mark.parametrize(
    "light",
    [
        1 - 0.6 * COLUMNS,
        1 - 0.4 * ROWS - 0.3 * COLUMNS,
        1 - 0.7 * ((ROWS - 0.5) ** 2 + (COLUMNS - 0.5) ** 2) / 0.5,
        np.where(COLUMNS > 0.45, 0.6, 1),
        np.where(ROWS + COLUMNS > 0.9, 0.5, 1),
        np.where((ROWS - 1) ** 2 + (COLUMNS - 1) ** 2 < 0.4, 0.6, 1),
    ],
    ids=["sideways", "slanting", "vignette", "hard shadow", "slanting shadow", "round shadow"],
)
@pytest.mark.parametrize("ink", [20, 60])
def test_uneven_light(light: NDArray[np.float64], ink: int) -> None:
    assert unlikeness(image_of(lit(light, seven(ink=ink))), of_a_plain_seven()) < 2


def test_paper_that_darkens_more_than_the_ink() -> None:
    paper = np.tile(np.linspace(255, 100, 400), (400, 1))
    assert unlikeness(image_of(np.minimum(paper, np.asarray(seven(ink=20)))), of_a_plain_seven()) < 2


@pytest.mark.parametrize(("paper", "ink"), [(220, 60), (60, 200)])
@pytest.mark.parametrize("deviation", [3, 20])
def test_noise(deviation: int, paper: int, ink: int) -> None:
    noise = np.random.default_rng(0).normal(0, deviation, (400, 400))
    noisy = np.clip(np.asarray(seven(paper=paper, ink=ink)) + noise, 0, 255)
    assert unlikeness(image_of(noisy), of_a_plain_seven()) < 4


def test_a_blurred_photograph() -> None:
    blurred = seven(ink=60, paper=200).filter(ImageFilter.GaussianBlur(4))
    assert unlikeness(image_of(blurred), of_a_plain_seven()) < 10


# --- what else is on the paper -----------------------------------------------------------------------------


def small() -> Image.Image:
    return seven(size=90, left=60, top=60)


def test_specks_are_left_out() -> None:
    spoilt = small()
    for place in ((390, 390), (10, 300), (20, 20)):
        spoilt.putpixel(place, 0)
    assert np.array_equal(image_of(spoilt), image_of(small()))
    assert prepared(spoilt).done == "dark ink on bright paper"


@pytest.mark.parametrize("column", [0, 5, 398])
def test_a_scanners_line_is_left_out(column: int) -> None:
    spoilt = np.array(small())
    spoilt[:, column : column + 2] = 30
    assert np.array_equal(image_of(spoilt), image_of(small()))


def test_a_table_beside_the_paper_is_left_out() -> None:
    spoilt = np.array(small())
    spoilt[ROWS * 0.1 + COLUMNS > 0.9] = 60
    assert np.array_equal(image_of(spoilt), image_of(small()))


@pytest.mark.parametrize("grey", [170, 100, 0])
@pytest.mark.parametrize("squared", [False, True])
def test_ruled_paper(grey: int, squared: bool) -> None:
    paper = np.full((400, 400), 255)
    paper[17::40] = paper[18::40] = grey
    if squared:
        paper[:, 17::40] = paper[:, 18::40] = grey
    assert unlikeness(image_of(np.minimum(paper, np.asarray(seven()))), of_a_plain_seven()) < 3


def test_a_second_digit_is_named() -> None:
    two = Image.new("L", (800, 400), 255)
    two.paste(seven(), (0, 0))
    two.paste(seven(size=150), (400, 0))
    assert np.array_equal(image_of(two), of_a_plain_seven())
    assert prepared(two).done == "dark ink on bright paper; left out another mark, 67% as heavy as this one"


def test_strokes_that_do_not_touch_are_one_digit() -> None:
    """As the bar of many a 5."""
    picture = seven()
    ImageDraw.Draw(picture).line([(100, 120), (300, 120)], fill=255, width=12)
    assert unlikeness(image_of(picture), of_a_plain_seven()) < 8
    assert prepared(picture).done == "dark ink on bright paper"


def test_a_digit_that_fills_the_picture() -> None:
    box = (130 - 5, 100 - 11, 130 + 120 + 10, 100 + 180)
    assert unlikeness(image_of(seven().crop(box)), of_a_plain_seven()) < 4


# --- pens --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pen", [1, 3, 10, 25])
def test_thin_strokes_are_widened(pen: int) -> None:
    thin = prepared(seven(500, 500, 50, 50, 400, pen=pen))
    assert thin.image.max() >= 250
    assert thin.done == "dark ink on bright paper; thin strokes widened"
    usual = image_of(seven(500, 500, 50, 50, 400))
    assert unlikeness(thin.image, usual) < 8
    assert 0.8 < thin.image.mean() / usual.mean() < 1.2


def test_a_usual_pen_is_left_as_it_is() -> None:
    assert prepared(seven()).done == "dark ink on bright paper"


# --- pictures without a digit ------------------------------------------------------------------------------


def error_of(picture: Image.Image | NDArray[np.generic]) -> str:
    with pytest.raises(DataError) as caught:
        prepared(picture)
    return str(caught.value)


EMPTY = "7.png: expected a digit that stands out from the paper, found an empty picture"


@pytest.mark.parametrize("brightness", [0, 128, 255])
def test_empty_paper(brightness: int) -> None:
    assert error_of(Image.new("L", (60, 50), brightness)) == EMPTY
    assert error_of(Image.new("L", (28, 28), brightness)) == EMPTY
    assert error_of(Image.new("L", (1, 1), brightness)) == EMPTY


def test_stains_light_and_noise_are_no_ink() -> None:
    stained = Image.new("L", (60, 50), 255)
    stained.paste(230, (10, 10, 20, 20))
    assert error_of(stained) == EMPTY
    assert error_of(200 * (1 - 0.6 * COLUMNS)) == EMPTY
    assert error_of(np.random.default_rng(0).normal(200, 10, (300, 300))) == EMPTY


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (28, 28), (30, 200)])
def test_a_picture_of_any_shape_is_answered_or_refused(shape: tuple[int, int]) -> None:
    for seed in range(5):
        picture = np.random.default_rng(seed).integers(0, 256, shape)
        try:
            image = image_of(picture)
        except DataError:
            continue
        assert image.shape == (28, 28)
        assert image.any()


def test_a_single_dot() -> None:
    picture = Image.new("L", (50, 50), 255)
    picture.putpixel((30, 20), 0)
    assert image_of(picture).any()
