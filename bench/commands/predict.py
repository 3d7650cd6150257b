"""`python -m bench predict MODEL PICTURE`: which digit does a picture of your own show?"""

import argparse
import logging
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import impls
from bench import UserError
from bench.commands import options
from bench.training.saved import load_network
from impls.contract import check_images, dtype_of

SIDE = 28  # pixels, of an MNIST image
BOX = 20  # pixels of the longer side of the digit in it
INK = 64  # of 255: a pixel of at least this belongs to the digit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="Read this network, which `train --save` wrote")
    add("picture", type=Path, metavar="PICTURE", help="Read this picture: PNG, JPEG, ...")
    options.add_backend(parser, "Compute the outputs with this backend", "vectorized")
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the predicted digit, its confidence and all outputs; return 0. Raises UserError as the parts do."""
    backend = impls.load(arguments.backend)
    network, parameters = load_network(arguments.model)
    image = as_mnist(read_grey(arguments.picture), arguments.picture).reshape(1, -1)
    check_images(network, image, None)
    prepared = backend.prepare(network, image, None, dtype_of(parameters))
    with np.errstate(over="ignore", invalid="ignore"):  # checked in the outputs instead
        output = backend.outputs(network, parameters, prepared)[0]
    wrong = output[~np.isfinite(output)]
    if wrong.size:
        raise UserError(
            f"{arguments.model}: expected finite outputs for {arguments.picture}, found {wrong[0]}; "
            "its parameters are too large: train it again with a lower learning rate"
        )
    answer = int(output.argmax())
    print(f"{arguments.picture}: a {answer}, with confidence {output[answer]:.3f}")
    for digit in np.argsort(-output, kind="stable"):
        print(f"  {digit}  {output[digit]:.4f}")
    return 0


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Return the picture's brightness, (rows, columns); transparent parts count as white.

    Raises UserError for a file that is absent or no picture, or has more pixels than Pillow accepts.
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
        raise UserError(f"{path}: expected a picture of at most {most}, found a larger one; make it smaller") from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: expected a picture, such as PNG or JPEG, found another kind of file") from None
    except Exception as error:  # Pillow's readers raise many kinds for damaged files
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"{path}: cannot be read ({reason}); expected a picture") from None


def as_mnist(grey: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    """Return the digit as in MNIST, (28, 28): bright on 0, its box 20 pixels, its centre of mass in the middle.

    That is how LeCun, Cortes and Burges prepared NIST's digits (http://yann.lecun.com/exdb/mnist/). Ink is what differs
    from the border's brightness. A picture that is 28 x 28 and dark at the border is returned unchanged. path: for
    messages. Raises UserError for a picture without ink.
    """
    from PIL import Image

    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    background = int(np.median(border))
    if grey.shape == (SIDE, SIDE) and background == 0:
        return grey
    ink = np.clip((background - grey.astype(int)) * (1 if background > 127 else -1), 0, 255)
    rows, columns = np.nonzero(ink >= INK)
    if not len(rows):
        raise UserError(f"{path}: expected a digit that stands out from the border, found an empty picture")
    digit = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] * (255 / ink.max())
    scale = BOX / max(digit.shape)
    height, width = (max(1, round(side * scale)) for side in digit.shape)
    small = np.asarray(Image.fromarray(digit.astype(np.uint8)).resize((width, height), Image.Resampling.LANCZOS))
    if not small.any():
        raise UserError(f"{path}: expected a digit, found specks that vanish at {SIDE} x {SIDE} pixels")
    mass = small / small.sum()
    top = round(SIDE / 2 - 0.5 - float((mass.sum(axis=1) * np.arange(height)).sum()))
    left = round(SIDE / 2 - 0.5 - float((mass.sum(axis=0) * np.arange(width)).sum()))
    top, left = min(max(top, 0), SIDE - height), min(max(left, 0), SIDE - width)
    result = np.zeros((SIDE, SIDE), np.uint8)
    result[top : top + height, left : left + width] = small
    return result
