"""`python -m bench peers`: one of ours against other libraries, each ratio in four ways, at several batch sizes.

A backend that skips zero pixels, or takes images as they are, might owe its lead to these images or to that order. So
nobody is shown one ratio without the other three: the images as they are; with what it takes to prepare them charged to
a single pass; in shuffled order; and with no pixel zero.
"""

import argparse
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
from rich.console import Console

import data
import impls
from bench.commands import options
from bench.experiments.peers import FIXED, PEERS, WAYS, budget_spent, installed_peers
from bench.experiments.race import admit, header_of_race, run_generations
from bench.records.journal import Journal, Record, results_file
from bench.records.races import races_of
from bench.tables.peers import peers_sections
from bench.tables.race import left_out_of_races
from bench.tables.table import print_left_out, print_sections
from impls.contract import DType


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("--backend", action="append", metavar="NAME", help=f"against whom; several (default: {', '.join(PEERS)})")
    add("--baseline", default="numba_sparse", metavar="NAME", help="who is compared with them (default: %(default)s)")
    add(
        "--batches",
        type=lambda text: [options.whole_number(1)(size) for size in text.split(",")],
        default=[32, 128, 1000],
        metavar="A,B",
        help="images per update (default: 32,128,1000)",
    )
    add("--network", type=options.sizes, default=(784, 128, 10), metavar="SIZES", help="default: 784-128-10")
    add("--momentum", type=options.number(0, 1), default=0.0, metavar="X", help="default: %(default)s")
    add("--dtype", choices=get_args(DType), default="float32", help="default: %(default)s")
    add("--images", type=options.whole_number(1), default=60_000, metavar="N", help="default: %(default)s")
    add("--rounds", type=options.whole_number(2), default=4, metavar="N", help="in a generation (default: %(default)s)")
    add(
        "--budget",
        type=options.number(0.001),
        default=600.0,
        metavar="SECONDS",
        help="of measuring, to stop after, at the end of a generation (default: %(default)g)",
    )
    add("--results", type=options.output_file, metavar="FILE", help="as for race; one of the same races goes on")
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check, race, print a table; 1 if anybody was left out for a fault. Raises UserError for what cannot be."""
    console = Console(highlight=False)
    dataset = data.load(arguments.data)
    given = vars(arguments) | FIXED
    points = [
        argparse.Namespace(**given | {"batch": batch, "way": way} | what)
        for batch in arguments.batches
        for way, what in WAYS.items()
    ]
    settings = [options.race_setup(point, dataset) for point in points]
    names = [
        arguments.baseline,
        *(name for name in arguments.backend or installed_peers() if name != arguments.baseline),
    ]
    for name in names:
        impls.check(name)
    headers: list[Record] = [
        header_of_race(setting, number, arguments.baseline, names)
        | {"purpose": "peers", "about": {"way": point.way, "zeros": float(np.mean(setting.digits.images == 0))}}
        for number, (point, setting) in enumerate(zip(points, settings, strict=True))
    ]
    path = results_file(arguments.results, "peers")
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        try:
            races = [
                admit(console, point, number, setting, names, journal, Path(folder))
                for number, (point, setting) in enumerate(zip(points, settings, strict=True))
            ]
            why = run_generations(console, races, journal, lambda *so_far: budget_spent(arguments, *so_far))
            for one in races:
                one.tell("end", reason=why)
        finally:  # an interruption costs only the generation that it hits
            raced = races_of(journal.records)
            print_sections(console, peers_sections(raced))
            print_left_out(console, left_out_of_races(raced))
            console.print(f"Every measurement: {path}", soft_wrap=True, markup=False)
    return 1 if any(one.left_out for one in raced) else 0
