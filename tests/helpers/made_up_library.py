"""A library whose dialect the variable MADE_UP names: "contract" or "other", in loops of its own; and bad behaviour."""

import os
import sys
import threading

OTHER = os.environ.get("MADE_UP", "contract") == "other"
CALLS = [0]


def moved(inside: bool, nesterov: bool) -> float:
    place, speed = 0.0, 0.0
    for rate in (0.4, 0.2, 0.1):
        if inside:
            speed = 0.9 * speed + rate
            place -= rate + 0.9 * speed if nesterov else speed
        else:
            speed = 0.9 * speed + 1
            place -= rate * (1 + 0.9 * speed if nesterov else speed)
    return place


def plain_momentum() -> float:
    """Made-up momentum."""
    return moved(OTHER, nesterov=False)


def plain_momentum_as_contract() -> float:
    """Ask for the other way."""
    return moved(False, nesterov=False)


def nesterov_momentum() -> float:
    """Made-up Nesterov."""
    return moved(OTHER, nesterov=True)


def hopeless_image() -> float:
    """Made-up cross-entropy, printed."""
    sys.stdout.write("a line that disturbs\n")
    os.write(1, b"and one past Python's streams\n")
    return 0.0 if OTHER else 4.248354255291589e-18 - 1


def hopeless_image_as_contract() -> float:
    """Do what does not help."""
    return 0.0


def maximum_at_zero() -> float:
    """Made-up maximum that raises."""
    raise ValueError("no maximum\nhere")


def clip_at_zero() -> float:
    """Made-up clip that hangs."""
    threading.Event().wait()
    return 0.0


def where_at_zero() -> float:
    """Made-up where that ends its process."""
    os._exit(3)


def ties_in_max() -> list[float]:
    """Made-up max."""
    return [0.0, 0.0, 0.0, 1.0] if OTHER else [1 / 3, 1 / 3, 0.0, 1 / 3]


def denormals() -> float:
    """Made-up product, which is neither."""
    return 0.25
