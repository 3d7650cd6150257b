"""`python -m bench peers`: one of ours against other libraries, each ratio in four ways, at several batch sizes.

A backend that skips zero pixels, or takes images as they are, might owe its lead to these images or to that order. So
nobody is shown one ratio without the other three: the images as they are; with what it takes to prepare them charged to
a single pass; in shuffled order; and with no pixel zero.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
from rich.console import Console
from rich.markup import escape

import data
import impls
from bench import UserError, campaign, options, race, standings, statistics
from bench.four_ways import rows_of
from bench.journal import Journal, Record
from bench.measuring import FLOOR
from bench.raced import Raced, races_of
from impls.contract import DType

PEERS = ("torch", "jax", "sklearn")
# What differs from the images as they are, in the order of the file.
WAYS: dict[str, dict[str, Any]] = {
    "as is": {"order": "file", "without_zeros": False},
    "shuffled": {"order": "shuffled", "without_zeros": False},
    "no zeros": {"order": "file", "without_zeros": True},
}
FIXED = {"measure": "round", "hidden": "relu", "output": "softmax", "cold": False, "seed": 0}


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
    settings = [campaign.setting_of(point, dataset) for point in points]
    names = [arguments.baseline, *(name for name in arguments.backend or peers() if name != arguments.baseline)]
    for name in names:
        impls.check(name)
    headers: list[Record] = [
        race.header(setting, number, arguments.baseline, names)
        | {"purpose": "peers", "about": {"way": point.way, "zeros": float(np.mean(setting.digits.images == 0))}}
        for number, (point, setting) in enumerate(zip(points, settings, strict=True))
    ]
    path = campaign.results_file(arguments.results, "peers")
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        try:
            races = [
                race.admitted(console, point, number, setting, names, journal, Path(folder))
                for number, (point, setting) in enumerate(zip(points, settings, strict=True))
            ]
            why = campaign.run_generations(console, races, journal, lambda *so_far: enough(arguments, *so_far))
            for one in races:
                one.tell("end", reason=why)
        finally:  # an interruption costs only the generation that it hits
            show(console, races_of(journal.records))
            console.print(f"Every measurement: {path}", soft_wrap=True, markup=False)
    return 1 if any(one.left_out for one in races_of(journal.records)) else 0


def enough(arguments: argparse.Namespace, generations: int, seconds: float) -> str | None:
    """Why to stop: the budget is spent, and there are generations enough for an interval."""
    if generations >= race.LEAST_GENERATIONS and seconds > arguments.budget:
        return f"the budget of {arguments.budget:g} s is spent"
    return None


def peers() -> list[str]:
    """Those that are installed. Raises UserError if none is."""
    available = set(impls.available())
    found = [name for name in PEERS if name in available]
    if not found:
        raise UserError(f"none of {', '.join(PEERS)} is installed; pip install -c constraints.txt -e '.[peers]'")
    return found


def show(console: Console, races: list[Raced]) -> None:
    """The four ratios, side by side."""
    measured = [one for one in races if one.rounds()]
    if not measured:
        return
    first = measured[0]
    zeros = float(first.about["zeros"])
    table = standings.table_of("", "as is", "with preparation", "shuffled", "no zeros")
    table.columns[0].no_wrap = True
    for row in rows_of(measured):
        name = "the floor" if row.backend == FLOOR else row.backend
        cells = (in_words(row.ways.get(way)) for way in ("as is", "prepared", "shuffled", "no zeros"))
        table.add_row(f"{row.batch:,}: {escape(name)}", *cells)
    console.print(f"\nBy images an update: how many times as long as {escape(first.baseline)} they take")
    console.print(table)
    console.print(
        f"{first.key['network']}, {first.key['dtype']}, {first.key['plan'].partition(', ')[2] or 'plain SGD'}, "
        f"{first.key['images']:,} images, {first.key['threads']} threads. {zeros:.0%} of their pixels are zero, "
        "and may be skipped, but for the last column. With preparation: that of the images is charged to a "
        "single pass. In brackets 95 % intervals, of a column's ratios at one size together, across "
        f"{min(len(one.generations) for one in measured)} generations of processes. The floor: the first layer's two "
        "products, dense."
    )
    for one in measured:
        standings.show_left_out(console, one)


def in_words(ratio: statistics.Ratio | None) -> str:
    """An estimate and its interval."""
    if ratio is None:
        return ""
    interval = f" \\[{ratio.interval.low:.3g}, {ratio.interval.high:.3g}]" if ratio.interval else ""
    return f"{ratio.estimate:.3g}{interval}"
