"""`python -m bench study peers`: one backend against other libraries, at several batch sizes, under four conditions.

A backend that skips zero pixels, or takes images as they are, might owe its lead to these images or to their order. So
each ratio is given for MNIST as it is, with preparation included in a single epoch, in shuffled order, and with all
pixels non-zero.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import data
import impls
from bench import UserError
from bench.commands import options
from bench.experiments.race import admit, enough_of_race, header_of_race, run_generations
from bench.records.journal import Journal, results_file
from bench.records.kinds import End
from bench.records.races import races_of
from bench.tables.peers import peers_sections
from bench.tables.table import print_left_out, print_sections
from command_line import several, whole_number

PEERS = ("torch", "jax", "sklearn")
# What differs from the images as they are, in the order of the file.
WAYS: dict[str, dict[str, Any]] = {
    "MNIST as it is": {"order": "file", "nonzero_pixels": False},
    "shuffled": {"order": "shuffled", "nonzero_pixels": False},
    "all pixels non-zero": {"order": "file", "nonzero_pixels": True},
}
FIXED = {"measure": "epoch", "hidden": "relu", "output_activation": "softmax", "cold": False, "seed": 0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the study."""
    add = parser.add_argument
    options.add_backends(parser, "Compare with these backends", ", ".join(PEERS))
    add(
        "--baseline",
        default="numba_sparse",
        metavar="NAME",
        help="Give ratios relative to this backend (default: %(default)s)",
    )
    add(
        "--batch",
        type=several(whole_number(1)),
        default=[32, 128, 1000],
        metavar="A,B",
        help="Compare at these batch sizes (default: 32,128,1000)",
    )
    options.add_network(parser)
    options.add_momentum(parser)
    options.add_dtype(parser)
    add(
        "--images",
        type=whole_number(1),
        default=60_000,
        metavar="N",
        help="Use only the first N images (default: %(default)s)",
    )
    add(
        "--rounds",
        type=whole_number(2),
        default=4,
        metavar="N",
        help="Measure each backend this often in a set of processes (default: %(default)s)",
    )
    options.add_budget(parser, 600.0)
    options.add_output(parser)
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check, race and print a table; return 1 if a backend failed or disagreed, else 0. Raises as `bench race` does."""
    console = Console(highlight=False)
    dataset = data.load(arguments.data)
    given = vars(arguments) | FIXED | {"precision": 0.0}  # which no ratio reaches: a race ends with the budget
    points = [
        argparse.Namespace(**given | {"batch": batch, "way": way} | what)
        for batch in arguments.batch
        for way, what in WAYS.items()
    ]
    settings = [options.race_setup(point, dataset) for point in points]
    names = [
        arguments.baseline,
        *(name for name in arguments.backend or installed_peers() if name != arguments.baseline),
    ]
    for name in names:
        impls.check(name)
    headers = []
    for number, (point, setting) in enumerate(zip(points, settings, strict=True)):
        about = {"way": point.way, "zeros": float(np.mean(setting.digits.images == 0))}
        headers.append(header_of_race(setting, number, arguments.baseline, names, "peers", about=about))
    path = results_file(arguments.output, "peers")
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        try:
            races = [
                admit(console, point, number, setting, names, journal, Path(folder))
                for number, (point, setting) in enumerate(zip(points, settings, strict=True))
            ]
            why = run_generations(console, races, journal, lambda *so_far: enough_of_race(points[0], journal, *so_far))
            for one in races:
                one.tell(End, reason=why)
        finally:  # an interruption loses only the generation in progress
            raced = races_of(journal.records)
            print_sections(console, peers_sections(raced))
            print_left_out(console, (line for race in raced for line in race.left_out.values()))
            console.print(f"Every measurement: {path}", soft_wrap=True, markup=False)
    return 1 if any(one.left_out for one in raced) else 0


def installed_peers() -> list[str]:
    """Those that are installed. Raises UserError if none is."""
    available = set(impls.available())
    peers = [name for name in PEERS if name in available]
    if not peers:
        raise UserError(f"none of {', '.join(PEERS)} is installed; pip install -c constraints.txt -e '.[peers]'")
    return peers
