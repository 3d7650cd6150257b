"""`python -m bench tune`: search for recipes on held-out training images; no test image is used.

Each seed draws weights, orders and 10,000 training images to hold out; all recipes have the same. A grid of recipes is
tried, short ones first. With --target a recipe is stopped early once it will hardly reach that on the held-out images,
or is slower than one that did; of those that reach it by the same criterion as on the test set, the fastest is best.
"""

import argparse
from typing import get_args

from rich.console import Console

import data
import impls
from bench.commands import options
from bench.experiments.trainings import digits_for
from bench.experiments.tune import BACKEND, SEEDS, Search, choose_all, recipe_grid
from bench.tables.table import print_sections
from bench.tables.tune import tuning_section
from bench.workloads.plans import Schedule
from command_line import choice, number, several, whole_number
from impls.initialisation import INITIALISATIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    options.add_backend(parser, "Train with this backend", BACKEND)
    add(
        "--target",
        type=number(0, 100),
        metavar="PERCENT",
        help="Search for the fastest recipe that gets this share of the held-out images right "
        "(default: the most accurate of each length)",
    )
    options.add_network(parser, (784, 128, 10))
    add(
        "--members",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="Share out the hidden units among this many networks, merged when each is trained (default: %(default)s)",
    )
    add(
        "--init",
        choices=INITIALISATIONS,
        default="he_normal",
        metavar="NAME",
        help="Draw initial weights so (default: %(default)s)",
    )
    for name, values, what in (
        ("epochs", (0.125, 0.25, 0.5, 1.0, 2.0, 4.0), "lengths in epochs"),
        ("batch", (32, 64, 128), "batch sizes"),
        ("learning-rate", (0.05, 0.1, 0.2, 0.4), "learning rates"),
        ("momentum", (0.9,), "momenta"),
        ("input-dropout", (0.0,), "shares of pixels dropped"),
    ):
        add(
            f"--{name}",
            type=several(whole_number(1)) if name == "batch" else several(number(0)),
            default=list(values),
            metavar="A,B",
            help=f"Try these {what} (default: {','.join(f'{value:g}' for value in values)})",
        )
    add(
        "--schedule",
        type=several(choice(*get_args(Schedule))),
        default=["linear"],
        metavar="A,B",
        help=f"Try these schedules of the learning rate, of {', '.join(get_args(Schedule))} (default: linear)",
    )
    options.add_seeds(parser, SEEDS)
    add(
        "--rates-by-batch",
        type=several(whole_number(1)),
        metavar="A,B",
        help="Choose the learning rates of `study batches` for these batch sizes instead, and write them to "
        "bench/workloads/batch_sizes.json (default: search recipes)",
    )
    add(
        "--output",
        type=options.records_file,
        metavar="FILE",
        help="Write one line per training to this file, and do not repeat those in it (default: none)",
    )
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Try all recipes, or choose learning rates, and print the best; return 0. Raises UserError for too few images."""
    console = Console(highlight=False)
    backend = impls.load(arguments.backend)
    if arguments.rates_by_batch:
        choose_all(console, backend, digits_for(console, arguments.data), arguments.rates_by_batch)
        return 0
    dataset = data.load(arguments.data)
    if dataset.notice:
        console.print(dataset.notice)
    target = None if arguments.target is None else arguments.target / 100
    recipes = recipe_grid(arguments)
    search = Search(backend, dataset, recipes[0], arguments.output)
    try:
        with console.status("") as status:
            for number, recipe in enumerate(recipes, start=1):
                status.update(f"{number} of {len(recipes)}: {recipe}")
                search.attempt(recipe, arguments.seeds, target)
    finally:
        print_sections(console, [tuning_section(search.trained, recipes, arguments.seeds, target)])
    return 0
