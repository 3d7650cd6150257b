"""The built-in digits: a stand-in for MNIST where there is neither a network nor the files.

What: 60,000 + 10,000 images of the digits 0 to 9, 28 x 28 pixels of uint8, light strokes on a background of 0,
with their labels. They are printed digits, bent and slanted at random, not handwritten, so results on them are not
results on MNIST.

How: each (font, digit) is rendered once, large, with one of the fonts that matplotlib ships, and turned into a
signed distance field (distance to the outline, positive inside). An image is that field, sampled where a random
affine map and a random smooth displacement move the 784 pixels, plus a random thickening, scaled and clipped to
0 and 255. As in MNIST, the digit's box is about 20 pixels and its centre of mass lies near the centre of the
image. The four STIX General fonts and Computer Modern Typewriter are kept for the test images; the other
seventeen make the training images.

Why: a distance field gives every stroke width, with antialiased edges, from one table. Elastic displacement is
what P. Simard, D. Steinkraus and J. Platt distorted MNIST's own digits with ("Best practices for convolutional
neural networks applied to visual document analysis", ICDAR 2003). They smooth a random field with a Gaussian of
4 pixels; here a cubic B-spline on control points 7 pixels apart does so (its kernel has a standard
deviation of 7 / sqrt(3) = 4.04 pixels), and since such a spline reproduces affine maps, the same control points
carry the affine part (free-form deformation: T. Sederberg and S. Parry, SIGGRAPH 1986).

Measured: 19.8 % of the training pixels are not 0, and 18.1 % of the test pixels (MNIST: 19.1 and 19.3 %). Test
accuracy in per cent, after training on pixels / 255 in batches of 128:

                                                       built-in digits         MNIST
    linear softmax, rate 0.1, 5 / 10 / 20 epochs       89.5 / 89.9 / 90.7      91.7 / 92.0 / 92.2
    linear softmax, rate 0.5, 5 / 10 / 20 epochs       90.9 / 90.8 / 91.5      92.2 / 92.3 / 92.6
    784-128-10, ReLU, Nesterov momentum 0.9, rate
      linear from 0.2 to 0, 5 epochs, three seeds      98.0 to 98.2            97.8 to 98.1

Generating them takes about 3.5 s and 130 MB, on one core.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.digits import Digits

Floats = NDArray[np.float64]

TRAIN_FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
    "cmr10",
    "cmb10",
    "cmss10",
    "cmmi10",
    "cmti10",
)
TEST_FONTS = ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta", "cmtt10")

# Lengths are in pixels. A pair is the range of a uniform distribution; x alone stands for (-x, x).
ROTATION = np.deg2rad(12)
SHEAR = 0.15  # columns per row
ASPECT = 0.2  # logarithm of the stretch in width, and of the shrinking in height
SIZE = (18.0, 21.0)  # longer side of the digit's box, edges included
SHIFT = 0.5  # of the centre of mass
BEND = 3.3  # of each control point; after smoothing, pixels move by 0.9 (standard deviation, each way)
HALF_WIDTH = (1.3, 2.4)  # of the strokes
MOST_THINNING = 0.6  # limits how much bold strokes become thinner, or their hairlines would vanish
EDGE = 1.5  # distance over which a pixel changes from 0 to 255
MARGIN = 2.5  # kept free at the border, before bending

CENTRE = 14.0  # row and column of the centre of mass, as in MNIST
KNOT = 7  # distance of control points
KNOTS = np.arange(-KNOT, 28 + KNOT + 1, KNOT)  # their rows, and their columns
SEED = 28


class Glyph(NamedTuple):
    """One digit of one font, upright, on a fine grid; lengths are in pixels of a box of 20."""

    distance: Floats  # (height, width) to the outline, positive inside
    pitch: float  # grid points per pixel
    centre: Floats  # (2,) row and column of the centre of mass in the grid
    outline: Floats  # (m, 2) row and column of the outermost ink, from the centre
    half_width: float  # of its strokes, on average


def render(n_train: int = 60_000, n_test: int = 10_000) -> tuple[Digits, Digits]:
    """Return the training and the test digits: images (n, 784) uint8 and labels (n,) int64, in random order.

    The same sizes give the same bytes on the same versions of NumPy, SciPy, Pillow and matplotlib, whatever the
    number of cores. Raises RuntimeError where a font is missing or unreadable.
    """
    return _split(n_train, TRAIN_FONTS, 0), _split(n_test, TEST_FONTS, 1)


def _split(n: int, fonts: tuple[str, ...], split: int) -> Digits:
    """Return n digits of the fonts; each (font, digit) has random numbers of its own."""
    files = [_font_file(font) for font in fonts]
    rng = np.random.default_rng([SEED, split])
    labels = rng.integers(10, size=n)
    font_of = rng.integers(len(fonts), size=n)
    images = np.empty((n, 784), np.uint8)
    basis = _spline_basis()
    for font, digit in np.ndindex(len(fonts), 10):
        rows = np.flatnonzero((font_of == font) & (labels == digit))
        if len(rows):
            own_rng = np.random.default_rng([SEED, split, font, digit])
            images[rows] = _images(_glyph(files[font], digit), len(rows), own_rng, basis)
    return Digits(images, labels)


def _font_file(name: str) -> Path:
    """Return the path of a font that matplotlib ships. Importing matplotlib is slow, and needs a home folder."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            f"{name}.ttf: expected among matplotlib's fonts, found no matplotlib; "
            "run `python -m pip install matplotlib`"
        )
    file = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf"
    if not file.is_file():
        found = len(list(file.parent.glob("*.ttf")))
        raise RuntimeError(
            f"{file}: expected this font for the built-in digits, found {found} other fonts in its folder; "
            "run `python -m pip install --force-reinstall matplotlib`"
        )
    return file


def _glyph(file: Path, digit: int) -> Glyph:
    """Render a digit large, and measure it."""
    from PIL import Image, ImageDraw, ImageFont
    from scipy import ndimage

    try:
        with file.open("rb") as stream:  # given a name, Pillow would fall back on a system font of that name
            font = ImageFont.truetype(stream, size=96, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise RuntimeError(
            f"{file}: expected a TrueType font, found an unreadable file ({error}); "
            "run `python -m pip install --force-reinstall matplotlib`"
        ) from error
    left, top, right, bottom = font.getbbox(str(digit))
    pad = 24  # more than any stroke is thickened
    picture = Image.new("L", (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad))
    ImageDraw.Draw(picture).text((pad - left, pad - top), str(digit), fill=255, font=font)

    parts, _ = ndimage.label(np.asarray(picture) >= 128)
    ink = parts == 1 + np.bincount(parts.ravel())[1:].argmax()  # without the dot in DejaVu Sans Mono's zero
    pitch = max(right - left, bottom - top) / 20
    distance = (ndimage.distance_transform_edt(ink) - ndimage.distance_transform_edt(~ink)) / pitch
    centre = np.array(ndimage.center_of_mass(ink))
    outline = (np.argwhere(ink & (distance * pitch < 1.5)) - centre) / pitch
    half_width = 2 * float(distance[ink].mean())  # exact for a straight stroke
    return Glyph(distance, pitch, centre, outline, half_width)


def _spline_basis() -> Floats:
    """Return the (28, 7) cubic B-splines of the knots (columns) at the pixels (rows), in multiples of 2^-14."""
    span, t = np.divmod(np.arange(28) / KNOT, 1)
    pieces = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    basis = np.zeros((28, len(KNOTS)))
    for i, piece in enumerate(pieces):
        basis[np.arange(28), span.astype(int) + i] = piece
    return _rounded(basis)


def _rounded(x: Floats) -> Floats:
    """Return x in multiples of 2^-14."""
    return np.rint(x * 2**14) / 2**14


def _images(glyph: Glyph, n: int, rng: np.random.Generator, basis: Floats) -> NDArray[np.uint8]:
    """Return n (n, 784) distorted images of a glyph."""
    from scipy import ndimage

    thickening = np.maximum(rng.uniform(*HALF_WIDTH, n) - glyph.half_width, -MOST_THINNING)
    to_image, shift = _affine(glyph, thickening, rng)
    bend = rng.uniform(-BEND, BEND, (n, 7, 7, 2))
    bend -= bend.mean(axis=(1, 2), keepdims=True)  # so that it bends without shifting

    # Positions of the control points in the glyph, and by the spline of all pixels. As the factors are multiples of
    # 2^-14 and below 2^9, the products are exact in float64: the order in which a BLAS adds changes no byte.
    knots = np.stack(np.meshgrid(KNOTS, KNOTS, indexing="ij"), axis=-1) - CENTRE
    from_image = np.linalg.inv(to_image).transpose(0, 2, 1)[:, None]
    controls = glyph.centre + glyph.pitch * ((knots - shift[:, None, None] + bend) @ from_image)
    points = basis @ _rounded(controls.transpose(3, 0, 1, 2)) @ basis.T

    distance = np.empty((n, 28, 28), np.float32)
    ndimage.map_coordinates(glyph.distance, points, output=distance, order=1, mode="nearest")
    brightness = (distance + thickening[:, None, None].astype(np.float32)) * np.float32(255 / EDGE)
    images: NDArray[np.uint8] = np.rint(np.clip(brightness + np.float32(127.5), 0, 255)).astype(np.uint8)
    return images.reshape(n, 784)


def _affine(glyph: Glyph, thickening: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return maps from glyph to image, (n, 2, 2), acting on (row, column), and shifts (n, 2) of the centre.

    A map is a stretch, then a shear, then a rotation, then a scaling of the box to its size.
    """
    n = len(thickening)
    angle = rng.uniform(-ROTATION, ROTATION, n)
    shear = rng.uniform(-SHEAR, SHEAR, n)
    stretch = np.exp(rng.uniform(-ASPECT, ASPECT, n))
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.empty((n, 2, 2))
    matrix[:, 0, 0] = (cos - sin * shear) / stretch
    matrix[:, 0, 1] = -sin * stretch
    matrix[:, 1, 0] = (sin + cos * shear) / stretch
    matrix[:, 1, 1] = cos * stretch

    outline = matrix @ glyph.outline.T
    low, high = outline.min(axis=2), outline.max(axis=2)
    growth = (thickening + EDGE / 2)[:, None]
    scale = rng.uniform(*SIZE, (n, 1)) / (high - low + 2 * growth).max(axis=1, keepdims=True)
    low, high = scale * (low - growth), scale * (high + growth)
    shift = rng.uniform(-SHIFT, SHIFT, (n, 2))
    shift = np.clip(shift, -0.5 + MARGIN - CENTRE - low, 27.5 - MARGIN - CENTRE - high)
    return matrix * scale[:, :, None], shift
