"""`python -m bench study peers`: one backend against other libraries, at several batch sizes, under four conditions.

A backend that skips zero pixels, or takes images as they are, may be faster only because of these images or of their
order. So each ratio is given for MNIST as it is, with preparation included in a single epoch, in shuffled order, and
with all pixels non-zero.
"""

import argparse
from typing import Any

import numpy as np
from rich.console import Console

import data
import impls
from bench import UserError
from bench.commands import measuring, options
from bench.experiments.race import header_of_race
from bench.tables.peers import peers_sections
from command_line import Option, several, whole_number

PEERS = ("torch", "jax", "sklearn")
# What differs from the images as they are, in one random order.
WAYS: dict[str, dict[str, Any]] = {
    "MNIST as it is": {"order": "file", "nonzero_pixels": False},
    "shuffled": {"order": "shuffled", "nonzero_pixels": False},
    "all pixels non-zero": {"order": "file", "nonzero_pixels": True},
}
FIXED = {"measure": "epoch", "hidden": "relu", "output_activation": "softmax", "cold": False, "seed": 0}
OPTIONS = (
    options.backends("Compare with these backends", ", ".join(PEERS)),
    options.BASELINE._replace(default="numba_sparse"),
    Option("--batch A,B", "Compare at these batch sizes", several(whole_number(1)), "32,128,1000"),
    options.NETWORK,
    options.MOMENTUM,
    options.DTYPE,
    measuring.N_IMAGES._replace(without="all"),
    measuring.ROUNDS._replace(default=4),
    measuring.BUDGET,
    *options.COMMON,
)


def run(arguments: argparse.Namespace) -> int:
    """Check, race and print a table; return 1 if a backend failed or disagreed, else 0. Raises as `race` does."""
    console = Console(highlight=False)
    dataset = data.load(arguments.data)
    images = arguments.images or len(dataset.train.labels)
    given = vars(arguments) | FIXED | {"images": images}
    points = [
        argparse.Namespace(**given | {"batch": batch, "way": way} | what)
        for batch in arguments.batch
        for way, what in WAYS.items()
    ]
    settings = [
        setting._replace(label=f"batches of {point.batch:,}, {point.way}")
        for setting, point in zip(measuring.race_setups(points, dataset), points, strict=True)
    ]
    names = list(dict.fromkeys([arguments.baseline, *(arguments.backend or installed_peers())]))
    options.check_participants(names)
    headers = []
    for number, (point, setting) in enumerate(zip(points, settings, strict=True)):
        about = {"way": point.way, "zeros": float(np.mean(setting.digits.images == 0))}
        headers.append(header_of_race(setting, number, arguments.baseline, names, "peers", about=about))
    return measuring.race_and_print(console, points[0], settings, names, headers, peers_sections)


def installed_peers() -> list[str]:
    """Return those of PEERS that are installed. Raises UserError if none is."""
    available = set(impls.available())
    peers = [name for name in PEERS if name in available]
    if not peers:
        raise UserError(f"none of {', '.join(PEERS)} is installed; pip install -c constraints.txt -e '.[peers]'")
    return peers
