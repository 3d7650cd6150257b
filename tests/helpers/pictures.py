"""Pictures of digits, drawn with Pillow."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels = NDArray[np.uint8]


def seven(
    width: int = 400,
    height: int = 400,
    left: int = 130,
    top: int = 100,
    size: int = 180,
    ink: int = 0,
    paper: int = 255,
    pen: int | None = None,
) -> Image.Image:
    """A 7 of two straight lines: its bar two thirds of `size` long, its height `size`, its pen an eighth of that."""
    picture = Image.new("L", (width, height), paper)
    corner = left + size * 2 // 3, top
    line = [(left, top), corner, (left + size // 4, top + size)]
    ImageDraw.Draw(picture).line(line, fill=ink, width=pen or size // 8)
    return picture


def largest_difference(a: Pixels, b: Pixels) -> int:
    """Of two pixels in the same place."""
    return int(np.abs(a.astype(int) - b).max())


def unlikeness(a: Pixels, b: Pixels) -> float:
    """The mean difference of pixels, after the best shift by a pixel: a centre of mass may lie just between two."""
    shifts = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
    return min(float(np.abs(np.roll(a, shift, (0, 1)).astype(int) - b).mean()) for shift in shifts)
