"""`python -m bench tune`: recipes tried on training images that are held out; the test images are never looked at.

Each seed draws weights, orders, and 10,000 training images that are held out; all recipes have the same. A grid of
recipes is tried, short ones first. With --target, one is left as soon as it will hardly reach that on the held-out
images, or is slower than one that did; of those that reach it there, by the rule for test images, the fastest is the
answer.
"""

import argparse
from typing import get_args

from rich.console import Console

import data
import impls
from bench import UserError
from bench.commands import options
from bench.experiments.tune import BACKEND, HELD_OUT, SEEDS, Search, recipe_grid
from bench.tables.table import print_sections
from bench.tables.tune import tuning_section
from bench.workloads.plans import Schedule
from impls.initialisation import INITIALISATIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("--backend", default=BACKEND, metavar="NAME", help="who trains (default: %(default)s)")
    add("--target", type=options.number(0, 100), metavar="PERCENT", help="of the held-out images (default: none)")
    add("--network", type=options.sizes, default=(784, 128, 10), metavar="SIZES", help="default: 784-128-10")
    add(
        "--members",
        type=options.whole_number(1),
        default=1,
        metavar="N",
        help="that share out its hidden units, and are joined when each is trained (default: %(default)s)",
    )
    add("--init", choices=INITIALISATIONS, default="he_normal", metavar="NAME", help="default: %(default)s")
    for name, values in (
        ("epochs", (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)),
        ("batch", (32, 64, 128)),
        ("learning-rate", (0.05, 0.1, 0.2, 0.4)),
        ("momentum", (0.9,)),
        ("input_dropout", (0.0,)),
    ):
        add(
            f"--{name}",
            type=options.whole_number(1) if name == "batch" else options.number(0),
            nargs="+",
            default=values,
            metavar="X",
            help=f"tried (default: {' '.join(f'{value:g}' for value in values)})",
        )
    add(
        "--fall",
        choices=get_args(Schedule),
        nargs="+",
        default=("linear",),
        metavar="X",
        help="tried (default: linear)",
    )
    add("--seeds", type=options.whole_number(1), default=SEEDS, metavar="N", help="of each (default: %(default)s)")
    add(
        "--results", type=options.output_file, metavar="FILE", help="a line a training; one that is there is not redone"
    )
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Try them all and print the best. Raises UserError where there are too few images."""
    console = Console(highlight=False)
    backend = impls.load(arguments.backend)
    dataset = data.load(arguments.data)
    if len(dataset.train.labels) <= HELD_OUT:
        raise UserError(f"{dataset.name}: expected more than {HELD_OUT} training images, which are held out")
    if dataset.notice:
        console.print(dataset.notice)
    target = None if arguments.target is None else arguments.target / 100
    recipes = recipe_grid(arguments)
    found = Search(backend, dataset.train, recipes[0], arguments.results)
    try:
        with console.status("") as status:
            for number, recipe in enumerate(recipes, start=1):
                status.update(f"{number} of {len(recipes)}: {recipe}")
                found.attempt(recipe, arguments.seeds, target)
    finally:
        print_sections(console, [tuning_section(found.trained, recipes, arguments.seeds, target)])
    return 0
