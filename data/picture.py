"""Reads a picture file of the user's own: which way up it is, its colours, its range, and what is transparent."""

import io
import logging
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from data.digits import DataError
from untrusted import read_plain, reason_of

# Pillow's names. Not WebP and TIFF: their decoders take gigabytes for some files of kilobytes, before or although the
# number of pixels is known.
FORMATS = ("BMP", "GIF", "JPEG", "PNG")
MOST_BYTES = 2**26  # of a file
MOST_PIXELS = 25_000_000  # a telephone's photograph has 12 or 24 million
MOST_SCANS = 20  # of a JPEG of so many pixels; each passes over all. One that is shown step by step has some ten
LONGEST = 800  # pixels; a larger picture is reduced, which loses nothing of a digit of 28 x 28
ROWS = 50  # of a reduced picture that are made at once
START_OF_SCAN = b"\xff\xda"  # of a JPEG; there, only a preview has these bytes as well

Floats = NDArray[np.float64]


class Picture(NamedTuple):
    """What a file shows, in one channel."""

    grey: Floats
    """(rows, columns), 0 to 255: the mixture of the colours in which they differ most."""

    first_of_several: bool
    """Whether the file has other pictures after this one, as an animation has."""


class _Refused(Exception):
    """What was expected of a picture, and what was found."""


def read_picture(path: Path) -> Picture:
    """Return the first picture of a file, turned as its EXIF orientation says, its longer side at most 800 pixels.

    Raises DataError for a file that is absent, no plain file, or no picture of FORMATS, and before anything is decoded
    for one of more than MOST_PIXELS, or whose decoding could take minutes.
    """
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # damaged files are reported in one line instead
    try:
        content = read_plain(path, MOST_BYTES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities of a file that can be read nevertheless
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:  # reads the header
                _check(picture, content)
                several = picture.format != "MPO" and getattr(picture, "is_animated", False)  # MPO: a telephone's JPEG
                return Picture(_one_channel(_colours(picture)), several)
    except _Refused as error:
        raise DataError(f"{path}: {error}") from None
    except Image.DecompressionBombError:  # far beyond MOST_PIXELS
        raise DataError(f"{path}: expected a picture of at most {MOST_PIXELS:,} pixels, found a larger one") from None
    except UnidentifiedImageError:
        kinds = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise DataError(f"{path}: expected a picture ({kinds}), found another kind of file; convert it") from None
    except Exception as error:  # Pillow's readers raise many kinds for damaged files
        raise DataError(f"{path}: cannot be read ({reason_of(error)}); expected a picture") from None


def _check(picture: Image.Image, content: bytes) -> None:
    """Raise _Refused for a picture whose decoding would take too much memory or time, by its header."""
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise _Refused(
            f"expected a picture of at most {MOST_PIXELS:,} pixels, found {width:,} x {height:,}; make it smaller"
        )
    scans = content.count(START_OF_SCAN) if picture.format in ("JPEG", "MPO") else 0
    if width * height * scans > MOST_PIXELS * MOST_SCANS:
        raise _Refused(
            f"expected a JPEG of some ten scans, found {scans:,} of {width:,} x {height:,} pixels; convert it"
        )
    if picture.format == "BMP" and any(tile.codec_name != "raw" for tile in getattr(picture, "tile", ())):
        raise _Refused("expected a BMP that is not compressed, found another; convert it")  # Pillow bounds no run in it


def _colours(picture: Image.Image) -> Floats:
    """Return a picture as (rows, columns, channels), 0 to 255, upright, and reduced if it is large."""
    picture.draft(None, (LONGEST, LONGEST))  # a JPEG is decoded at a fraction of its size, which saves time and memory
    ranged = picture.mode[0] == "I"  # integers of 16 bits; the file does not say which one is white
    mixed = picture.mode in ("1", "P", "PA") or "transparency" in picture.info  # these cannot be reduced as they are
    reduced = _reduced(picture, "F" if ranged else "RGBA" if mixed else picture.mode)
    plain = ImageOps.exif_transpose(reduced)
    if ranged:
        values = np.asarray(plain, np.float64)
        low, high = values.min(), values.max()
        return ((values - low) * (255 / (high - low or 1)))[..., None]
    values = np.asarray(plain.convert("RGBA"), np.float64)
    return _opaque(values[..., :3], values[..., 3:] / 255)


def _reduced(picture: Image.Image, mode: str) -> Image.Image:
    """Return a picture in this mode, its longer side at most LONGEST pixels, each the mean of a square of pixels.

    It is done in strips, as the whole picture in another mode would take its memory once or twice more.
    """
    (width, height), side = picture.size, -(-max(picture.size) // LONGEST)
    reduced = Image.new(mode, (-(-width // side), -(-height // side)))
    for row in range(0, reduced.height, ROWS):
        strip = picture.crop((0, row * side, width, min((row + ROWS) * side, height))).convert(mode).reduce(side)
        reduced.paste(strip, (0, row))
        reduced.info = strip.info  # which way up it is; but no transparent colour where a channel says it
    return reduced


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
