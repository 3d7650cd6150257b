"""`python -m bench peers`: one of ours against other libraries, each ratio in four ways, at several batch sizes.

A backend that skips zero pixels, or takes images as they are, might owe its lead to these images or to that order. So
no ratio is shown without the other three: the images as they are; with what it takes to prepare them charged to
a single pass; in shuffled order; and with no pixel zero.
"""

from typing import Any

import impls
from bench import UserError

PEERS = ("torch", "jax", "sklearn")
# What differs from the images as they are, in the order of the file.
WAYS: dict[str, dict[str, Any]] = {
    "MNIST as it is": {"order": "file", "nonzero_pixels": False},
    "shuffled": {"order": "shuffled", "nonzero_pixels": False},
    "all pixels non-zero": {"order": "file", "nonzero_pixels": True},
}
FIXED = {"measure": "epoch", "hidden": "relu", "output_activation": "softmax", "cold": False, "seed": 0}


def installed_peers() -> list[str]:
    """Those that are installed. Raises UserError if none is."""
    available = set(impls.available())
    found = [name for name in PEERS if name in available]
    if not found:
        raise UserError(f"none of {', '.join(PEERS)} is installed; pip install -c constraints.txt -e '.[peers]'")
    return found
