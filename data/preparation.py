"""Brings a picture of a digit to the form of MNIST's: bright ink on 0, in a box of 20 pixels, its mass centred at 14.0.

LeCun, Cortes and Burges prepared NIST's digits so (http://yann.lecun.com/exdb/mnist/). Before that, what photographs
and drawings add is taken away: uneven light, noise, ruled lines, specks, and strokes too thin to survive the reduction.
Pictures are float64, (rows, columns), from 0 to 255. `reports/templates/preparation.js` does the same to drawings.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from data.digits import SIDE, DataError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

BOX = 20  # pixels of the longer side of the digit in an image
BOXES = (18, 21)  # of the built-in digits; MNIST's are 20
CENTRE = 14.0  # row and column of the centre of mass, to half a pixel

LEAST = 30  # of 255, contrast of ink; what has less is a stain
FULL = 245  # of 255: ink of at least this brightness is left as it is
SMALL = 112  # pixels of the longer side; up to this, a stroke's edge is grey, as in MNIST, and beyond it is sharp
FAINT = 6  # of 255: a pixel of at least this belongs to the digit's box in a small picture
HALF = 128  # of 255: the same for the blurred edges of a large one
HAZE = 12  # of 255: as near to paper or ink, a large picture is paper or ink; a JPEG ripples beside edges
WINDOW = 0.5  # of the longer side: strokes are narrower; what is wider is paper, in light or in shadow
TOUCHING = np.ones((3, 3), np.bool_)  # pixels that meet in a corner are connected


class Prepared(NamedTuple):
    """A picture in MNIST's form, and how it got there."""

    image: NDArray[np.uint8]
    """(28, 28)."""

    done: str
    """What was done, in one line, which also says what else was there."""


class Mark(NamedTuple):
    """The digit, among all that is drawn."""

    mask: Mask
    """(rows, columns): the pixels of its strokes."""

    size: int
    """Pixels of the longer side of its box."""

    other: float
    """Mass of the heaviest mark that does not belong to it, relative to its own."""


def as_mnist(picture: Floats, path: Path) -> Prepared:
    """Return a picture in MNIST's form; one that is in that form already comes back unchanged.

    path: for messages. Raises DataError for a picture without ink.
    """
    if picture.shape == (SIDE, SIDE) and _in_form(image := np.rint(picture).astype(np.uint8)):
        return Prepared(image, "as it is")
    picture = _without_noise(picture)
    bright = _ink_is_bright(picture)
    ink = _ink(255 - picture, 1) if bright else _ink(picture, 3)
    mark = _digit(ink)
    if mark is None:
        raise DataError(f"{path}: expected a digit that stands out from the paper, found an empty picture")
    width = _stroke_width(mark.mask)
    thin = width < 0.08 * mark.size
    image = _centred(_strokes(ink, mark, (0.12 * mark.size - width) / 2 if thin else 0))
    done = "bright ink on dark paper" if bright else "dark ink on bright paper"
    if thin:
        done += "; thin strokes widened"
    if mark.other > 0.2:
        done += f"; left out another mark, {mark.other:.0%} as heavy as this one"
    return Prepared(image, done)


# --- ink and paper ---------------------------------------------------------------------------------------


def _without_noise(picture: Floats) -> Floats:
    """Return a large picture smoothed, if anything in it is not smooth but for a few specks."""
    smooth = ndimage.gaussian_filter(picture, max(picture.shape) / 300)
    noisy = np.median(np.abs(picture - smooth)) > 0.1
    return smooth if noisy and max(picture.shape) > SMALL else picture


def _window(picture: Floats) -> int:
    return int(WINDOW * max(picture.shape)) | 1


def _ink_is_bright(picture: Floats) -> bool:
    """Whether the ink is brighter than the paper: it is the smaller part, so the differences are skewed to its side."""
    around = ndimage.uniform_filter(picture, _window(picture), mode="nearest")
    return bool(((picture - around) ** 3).sum() > 0)


def _ink(page: Floats, most_gain: float) -> Floats:
    """Return how much darker each pixel is than the paper behind it, without lines from edge to edge.

    The paper is the page's closing: dark things narrower than the window vanish, and shadows keep their place, even
    with hard edges. In a shadow, ink stands out less; it is made up for, by at most this gain.
    """
    window = _window(page)
    padded = np.pad(page, window, mode="edge")
    paper = ndimage.grey_closing(padded, (window, window))[window:-window, window:-window]
    ink = (paper - page) * np.clip(paper.max() / np.maximum(paper, 1), 1, most_gain)
    ink -= np.median(ink[2 * ink <= ink.max()])  # of noise, a closing keeps the brightest
    return _without_rows(_without_rows(ink).T).T


def _without_rows(ink: Floats) -> Floats:
    """Return ink without thin lines along rows from edge to edge; strokes across them are joined again."""
    thickest = max(1, max(ink.shape) // 40)
    level = np.maximum(np.quantile(ink, 0.05, axis=1), 0)
    dark = level >= LEAST
    line = dark & ~ndimage.binary_opening(dark, np.ones(thickest + 1))  # what is thicker may be the bar of a 7
    ink = np.where(line[:, None], 0, ink - np.where(dark, 0, level)[:, None])
    return np.where(line[:, None], ndimage.grey_closing(ink, (thickest + 1, 1)), ink)


# --- the digit among other marks -------------------------------------------------------------------------


def _digit(ink: Floats) -> Mark | None:
    """Return the heaviest mark, with what belongs to it, such as the bar of a 5; None if there is no ink."""
    flat = ink[2 * ink <= ink.max()]
    least = max(LEAST, 5 * 1.4826 * np.median(np.abs(flat - np.median(flat))))  # 5 standard deviations of the noise
    if ink.max() < least:
        return None
    labels, mass, main = _marks(ink, least)
    strong = np.quantile(ink[labels == main], 0.95)
    labels, mass, main = _marks(ink, max(least, 0.4 * strong))

    box = ndimage.find_objects(labels)[main - 1]
    size = max(side.stop - side.start for side in box)
    if len(mass) == 1:
        return Mark(labels == main, size, other=0.0)
    numbers = np.arange(1, len(mass) + 1)
    gap = ndimage.minimum(ndimage.distance_transform_edt(labels != main), labels, numbers)
    share = mass / mass[main - 1]
    belongs = (share > 0.02) & (gap <= np.where(share < 0.5, 0.25, 0.1) * size + 1)
    belongs[main - 1] = True
    return Mark(np.isin(labels, numbers[belongs]), size, float(share[~belongs].max(initial=0)))


def _marks(ink: Floats, least: float) -> tuple[NDArray[np.int32], Floats, int]:
    """Return the number of the mark at each pixel (0: none), the marks' masses, and the number of the heaviest."""
    labels, n = ndimage.label(ink >= least, TOUCHING)
    mass = ndimage.sum_labels(ink, labels, np.arange(1, n + 1))
    return labels, mass, 1 + int(mass.argmax())


# --- strokes as MNIST's ----------------------------------------------------------------------------------


def _stroke_width(mask: Mask) -> float:
    """Return the mean width in pixels: in a long stroke, pixels are on average a quarter of it from its edge."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return 4 * float(depth[mask].mean() - 0.5)


def _strokes(ink: Floats, mark: Mark, growth: float) -> Floats:
    """Return the digit's ink alone, at full contrast, its strokes wider by so many pixels on either side."""
    distance = ndimage.distance_transform_edt(~mark.mask)
    peak = np.quantile(ink[mark.mask], 0.9)
    alone = np.where(distance <= max(2, 0.08 * mark.size), ink, 0) * (255 / peak if peak < FULL else 1)
    grown = 255 * np.clip(growth + 1 - distance, 0, 1) if growth else 0
    return np.minimum(np.maximum(alone, grown), 255)


# --- size and place --------------------------------------------------------------------------------------


def _centred(ink: Floats) -> NDArray[np.uint8]:
    """Return the digit at its size and place in (28, 28); where reducing the whole picture does that, nothing more."""
    if ink.shape[0] == ink.shape[1] >= SIDE and _in_form(whole := _resized(ink, SIDE, SIDE)):
        return whole
    least = FAINT
    if max(ink.shape) > SMALL:
        ink = np.clip((ink - HAZE) * (255 / (255 - 2 * HAZE)), 0, 255)
        least = HALF
    rows, columns = _box(ink, least)
    digit = ink[rows, columns]
    height, width = (max(1, round(side * BOX / max(digit.shape))) for side in digit.shape)
    small = _resized(digit, height, width)
    if small.max() < 250:
        small = _resized(digit * (255 / small.max()), height, width)
    row, column = ndimage.center_of_mass(small)
    top = min(max(round(CENTRE - row), 0), SIDE - height)
    left = min(max(round(CENTRE - column), 0), SIDE - width)
    return np.pad(small, ((top, SIDE - height - top), (left, SIDE - width - left)))


def _in_form(image: NDArray[np.uint8]) -> bool:
    """Whether an image of (28, 28) is as MNIST's."""
    if image.max() < FULL:
        return False
    rows, columns = _box(image, FAINT)
    longer = max(rows.stop - rows.start, columns.stop - columns.start)
    off = np.abs(np.array(ndimage.center_of_mass(image)) - CENTRE).max()
    return bool(BOXES[0] <= longer <= BOXES[1] and off <= 0.5)


def _box(image: NDArray[np.floating] | NDArray[np.uint8], least: float) -> tuple[slice, slice]:
    """Return the rows and columns between the outermost pixels of at least this brightness."""
    rows, columns = np.nonzero(image >= least)
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def _resized(ink: Floats, height: int, width: int) -> NDArray[np.uint8]:
    """Return ink at another size: the mean of what falls into a pixel, or a smooth curve through fewer pixels."""
    how = Image.Resampling.BOX if height <= ink.shape[0] else Image.Resampling.BICUBIC
    resized = Image.fromarray(ink.astype(np.float32)).resize((width, height), how)
    return np.rint(np.clip(np.asarray(resized), 0, 255)).astype(np.uint8)
