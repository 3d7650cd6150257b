"""`python -m bench waterfall`: from the article's method to the fastest, by factors of the time to 94.17 %.

The network is 784-128-10. The article's method (raw pixels, sigmoid, quadratic cost, five updates a round in file
order, rate 1, float64, vectorised) goes on until it first reaches that, at most 300 rounds, and may look at the test
images after every round. The recipe has a length of its own and looks at none.
"""

import argparse

from rich.console import Console

from bench.analysis.target import LEAST_SEEDS
from bench.commands import options
from bench.experiments.accuracy import SLOW_SEEDS, WATERFALL_TARGET, train_steps, waterfall_steps
from bench.tables.accuracy import waterfall_sections
from bench.tables.table import print_sections


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add, whole = parser.add_argument, options.whole_number(1)
    add("--seeds", type=whole, default=LEAST_SEEDS, metavar="N", help="of the recipe (default: %(default)s)")
    add("--slow-seeds", type=whole, default=SLOW_SEEDS, metavar="N", help="of the article's (default: %(default)s)")
    options.add_training_files(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train and print; 1 if anybody failed."""
    console = Console(highlight=False)
    return train_steps(
        console,
        arguments,
        "waterfall",
        WATERFALL_TARGET,
        waterfall_steps(arguments.seeds, arguments.slow_seeds),
        lambda races: print_sections(console, waterfall_sections(races)),
    )
