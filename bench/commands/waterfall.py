"""`python -m bench study waterfall`: from the article's method to the fastest, step by step, to 94.17 %.

The network is 784-128-10. The article's method (raw pixels, sigmoid, quadratic cost, five updates an epoch in file
order, rate 1, float64, vectorised) trains until it first reaches that accuracy, at most 300 epochs, and may evaluate
the test images after every epoch. The recipe has a fixed length and uses no test image.
"""

import argparse

from rich.console import Console

from bench.analysis.accuracy import LEAST_SEEDS
from bench.commands import options
from bench.experiments.accuracy import SLOW_SEEDS, WATERFALL_TARGET, waterfall_steps
from bench.experiments.trainings import digits_for, train_all
from bench.records.races import RaceResult
from bench.tables.accuracy import waterfall_sections
from bench.tables.table import print_sections
from command_line import whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the study."""
    options.add_seeds(parser, LEAST_SEEDS, " by the recipe")
    parser.add_argument(
        "--slow-seeds",
        type=whole_number(1),
        default=SLOW_SEEDS,
        metavar="N",
        help="Train with this many seeds by the article's method, which takes minutes (default: %(default)s)",
    )
    options.add_output(parser)
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train and print a table; return 1 if a backend failed, else 0."""
    console = Console(highlight=False)
    steps = waterfall_steps(arguments.seeds, arguments.slow_seeds)

    def show(races: list[RaceResult]) -> None:
        print_sections(console, waterfall_sections(races))

    several = [step.trainings("waterfall", WATERFALL_TARGET) for step in steps]
    return train_all(console, arguments, digits_for(console, arguments.data), several, show)
