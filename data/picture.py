"""Reads a picture file of the user's own: which way up it is, its colours, its range, and what is transparent."""

import logging
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from data.digits import DataError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # Pillow's names
LONGEST = 800  # pixels; a larger picture is reduced, which loses nothing of a digit of 28 x 28

Floats = NDArray[np.float64]


class Picture(NamedTuple):
    """What a file shows, in one channel."""

    grey: Floats
    """(rows, columns), 0 to 255: the mixture of the colours in which they differ most."""

    pages: int
    """Of the file, of which this is the first."""


def read_picture(path: Path) -> Picture:
    """Return the first picture of a file, turned as its EXIF orientation says, its longer side at most 800 pixels.

    Raises DataError for a file that is absent or no picture, or has more pixels than Pillow accepts.
    """
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # damaged files are reported in one line instead
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities of a file that can be read nevertheless
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                pages = getattr(picture, "n_frames", 1) if picture.format != "MPO" else 1  # a telephone's JPEG
                return Picture(_one_channel(_colours(picture)), pages)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        most = f"{Image.MAX_IMAGE_PIXELS:,} pixels"
        raise DataError(f"{path}: expected a picture of at most {most}, found a larger one; make it smaller") from None
    except UnidentifiedImageError:
        kinds = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise DataError(f"{path}: expected a picture ({kinds}), found another kind of file; convert it") from None
    except Exception as error:  # Pillow's readers raise many kinds for damaged files
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"{path}: cannot be read ({reason}); expected a picture") from None


def _colours(picture: Image.Image) -> Floats:
    """Return a picture as (rows, columns, channels), 0 to 255, upright, and reduced if it is large."""
    picture.draft(None, (LONGEST, LONGEST))  # a JPEG is decoded at a fraction of its size, which saves time and memory
    ImageOps.exif_transpose(picture, in_place=True)
    ranged = picture.mode[0] in "IF"  # integers of 16 or 32 bits, or floats; the file does not say which one is white
    plain = Image.fromarray(np.asarray(picture, np.float32)) if ranged else picture.convert("RGBA")
    plain = plain.reduce(-(-max(plain.size) // LONGEST))
    values = np.asarray(plain, np.float64)
    if ranged:
        low, high = values.min(), values.max()
        if not np.isfinite(high - low):
            raise ValueError("it holds numbers that are not finite")
        return ((values - low) * (255 / (high - low or 1)))[..., None]
    return _opaque(values[..., :3], values[..., 3:] / 255)


def _opaque(colours: Floats, opacity: Floats) -> Floats:
    """Return the colours, laid on paper where they are transparent.

    If most is transparent, the rest is ink, which gets white or black paper, whichever differs more; else the rest is
    the paper, with its ink, and the paper's colour is continued.
    """
    seen = colours[opacity[..., 0] >= 0.5]
    if 2 * len(seen) > opacity.size:
        paper = np.median(seen, axis=0)
    else:
        paper = np.full(3, 0.0 if seen.size and seen.mean() >= 128 else 255.0)
    return paper + (colours - paper) * opacity


def _one_channel(colours: Floats) -> Floats:
    """Return the colours' mixture that varies most, their first principal component, with weights that add up to 1.

    The brightness alone would lose red ink on green paper. A channel whose weight is negative is inverted.
    """
    differences = (colours - np.median(colours, axis=(0, 1))).reshape(-1, colours.shape[2])
    weights = np.linalg.eigh(differences.T @ differences).eigenvectors[:, -1]
    weights *= np.sign(weights.sum()) or 1
    mixture = np.where(weights < 0, 255 - colours, colours) @ np.abs(weights) / np.abs(weights).sum()
    return np.round(mixture, 6)  # equal channels give exactly their value
