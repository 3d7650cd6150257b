"""Draws digits in the terminal."""

import numpy as np
from numpy.typing import NDArray

from data.digits import SIDE, Digits

HALF_BLOCKS = " ▀▄█"  # index: upper pixel + 2 * lower pixel
SHADES = " .:-=+*#%@"
INK = 96  # of 255: a pixel of at least this counts as ink where only ink and background can be drawn


def drawing(digits: Digits, columns: int, encoding: str | None) -> str:
    """Return the digits as text, as many side by side as fit; a character is two pixels, one above the other."""
    across = max(1, (columns + 2) // (SIDE + 2))
    draw = draw_with_half_blocks if _can_encode(HALF_BLOCKS, encoding) else draw_with_shades
    lines = []
    for start in range(0, len(digits.labels), across):
        row = slice(start, start + across)
        lines.append("  ".join(f"{label:<{SIDE}}" for label in digits.labels[row]).rstrip())
        drawn = [draw(image.reshape(SIDE, SIDE)) for image in digits.images[row]]
        lines += ["  ".join(line).rstrip() for line in zip(*drawn, strict=True)]
    return "\n".join(lines)


def draw_with_half_blocks(image: NDArray[np.uint8]) -> list[str]:
    """Return (rows, columns) pixels as rows / 2 lines of ink and background."""
    ink = (image >= INK).astype(int)
    characters = np.array(list(HALF_BLOCKS))[ink[0::2] + 2 * ink[1::2]]
    return ["".join(line) for line in characters]


def draw_with_shades(image: NDArray[np.uint8]) -> list[str]:
    """Return (rows, columns) pixels as rows / 2 lines of ASCII, darker for more ink."""
    mean = (image[0::2].astype(int) + image[1::2]) // 2
    characters = np.array(list(SHADES))[mean * len(SHADES) // 256]
    return ["".join(line) for line in characters]


def _can_encode(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
