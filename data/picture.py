"""A picture of the user's own, brought to the form of MNIST's."""

import logging
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.digits import DataError

SIDE = 28  # pixels, of an MNIST image
BOX = 20  # pixels of the longer side of the digit in it
INK = 64  # of 255: a pixel of at least this belongs to the digit


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Return the picture's brightness, (rows, columns); transparent parts count as white.

    Raises DataError for a file that is absent or no picture, or has more pixels than Pillow accepts.
    """
    from PIL import Image, UnidentifiedImageError

    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # damaged files are reported in one line instead
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities of a file that can be read nevertheless
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                coloured = picture.convert("RGBA")
                paper = Image.new("RGBA", coloured.size, "white")
                return np.asarray(Image.alpha_composite(paper, coloured).convert("L"))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        most = f"{Image.MAX_IMAGE_PIXELS:,} pixels"
        raise DataError(f"{path}: expected a picture of at most {most}, found a larger one; make it smaller") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: expected a picture, such as PNG or JPEG, found another kind of file") from None
    except Exception as error:  # Pillow's readers raise many kinds for damaged files
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"{path}: cannot be read ({reason}); expected a picture") from None


def as_mnist(grey: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    """Return the digit as in MNIST, (28, 28): bright on 0, its box 20 pixels, its centre of mass in the middle.

    That is how LeCun, Cortes and Burges prepared NIST's digits (http://yann.lecun.com/exdb/mnist/). Ink is what differs
    from the border's brightness. A picture that is 28 x 28 and dark at the border is returned unchanged. path: for
    messages. Raises DataError for a picture without ink.
    """
    from PIL import Image

    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    background = int(np.median(border))
    if grey.shape == (SIDE, SIDE) and background == 0:
        return grey
    ink = np.clip((background - grey.astype(int)) * (1 if background > 127 else -1), 0, 255)
    rows, columns = np.nonzero(ink >= INK)
    if not len(rows):
        raise DataError(f"{path}: expected a digit that stands out from the border, found an empty picture")
    digit = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] * (255 / ink.max())
    scale = BOX / max(digit.shape)
    height, width = (max(1, round(side * scale)) for side in digit.shape)
    small = np.asarray(Image.fromarray(digit.astype(np.uint8)).resize((width, height), Image.Resampling.LANCZOS))
    if not small.any():
        raise DataError(f"{path}: expected a digit, found specks that vanish at {SIDE} x {SIDE} pixels")
    mass = small / small.sum()
    top = round(SIDE / 2 - 0.5 - float((mass.sum(axis=1) * np.arange(height)).sum()))
    left = round(SIDE / 2 - 0.5 - float((mass.sum(axis=0) * np.arange(width)).sum()))
    top, left = min(max(top, 0), SIDE - height), min(max(left, 0), SIDE - width)
    result = np.zeros((SIDE, SIDE), np.uint8)
    result[top : top + height, left : left + width] = small
    return result
