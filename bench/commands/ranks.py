"""`python -m bench study ranks`: training over MPI, with the images or the hidden units shared among processes.

Ranks that share the images of an update add up gradients, as large as the network; ranks that share the hidden units
add up what these contribute to the outputs, as large as the batch. Both are timed over numbers of ranks and widths of
the network, beside the same text in one process; each rank has its share of the threads.
"""

import argparse
from typing import Any

import numpy as np
from rich.console import Console

import data
import impls
from bench import UserError
from bench.analysis.ranks import BY_IMAGES, BY_UNITS, ONE_PROCESS
from bench.commands import measuring, options
from bench.experiments.race import IMAGES, RaceSetup, header_of_race
from bench.tables.ranks import ranks_sections
from bench.timing import threads
from command_line import Option, several, whole_number

FIXED: dict[str, Any] = {
    "measure": "epoch", "hidden": "relu", "output_activation": "softmax", "order": "file", "momentum": 0.0,
    "nonzero_pixels": False, "cold": False, "seed": 0, "baseline": ONE_PROCESS,
}  # fmt: skip
OPTIONS = (
    Option("--ranks A,B", "Train on so many processes", several(whole_number(1)),
           without="1, 2, 4, ... up to the threads"),
    Option("--units A,B", "Give the hidden layer so many units", several(whole_number(1)), "128,512,2048"),
    Option("--batch A,B", "Update after so many images", several(whole_number(1)), "128"),
    options.DTYPE,
    measuring.N_IMAGES._replace(without=f"{IMAGES:,}, or all where there are fewer"),
    measuring.ROUNDS._replace(default=4),
    measuring.BUDGET,
    *options.COMMON,
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Check, race and print a table; return 1 if a backend failed or disagreed, else 0. Raises as `race` does."""
    console = Console(highlight=False)
    for backend in (BY_IMAGES, BY_UNITS):
        impls.check(backend)
    dataset = data.load(arguments.data)
    n_threads = arguments.threads or threads.cores()
    ranks = arguments.ranks or [2**power for power in range(n_threads.bit_length())]
    names = [ONE_PROCESS, *(f"{backend}:{n}" for n in ranks for backend in (BY_IMAGES, BY_UNITS))]
    for name in names:
        impls.check(name)
    given = vars(arguments) | FIXED
    points = [
        argparse.Namespace(**given | {"batch": batch, "network": (784, units, dataset.classes)})
        for units in arguments.units
        for batch in arguments.batch
    ]
    for point in points:
        point.given = {*arguments.given, "network"}
    settings = [
        setting._replace(label=f"{point.network[1]:,} hidden units, batches of {point.batch:,}")
        for setting, point in zip(measuring.race_setups(points, dataset), points, strict=True)
    ]
    headers = [
        header_of_race(setting, number, ONE_PROCESS, names, "ranks", about={"bytes": exchanged(setting, names)})
        for number, setting in enumerate(settings)
    ]
    return measuring.race_and_print(console, points[0], settings, names, headers, ranks_sections)


def exchanged(setting: RaceSetup, names: list[str]) -> dict[str, int]:
    """By backend, the bytes that a rank has to tell the others in an update; 0 where it is the only one.

    Raises UserError for a batch of more images than there are.
    """
    batch = setting.case.images_per_update(setting.images)
    found = {}
    for name in names:
        if name != ONE_PROCESS:
            backend: Any = impls.find(name)
            itemsize = np.dtype(setting.case.dtype).itemsize
            found[name] = backend.exchanged(setting.case.network, batch, itemsize) if backend.RANKS > 1 else 0
    if not found:
        raise UserError("--ranks: expected one number at least")
    return found
