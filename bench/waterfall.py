"""`python -m bench waterfall`: from the article's method to the fastest, by factors of the time to 94.17 %.

The network is 784-128-10. The article's method (raw pixels, sigmoid, quadratic cost, five updates a round in file
order, rate 1, float64, vectorised) goes on until it first reaches that, at most 300 rounds, and may look at the test
images after every round. The recipe has a length of its own and looks at none.
"""

import argparse

from rich.console import Console

from bench import options, standings, steps
from bench.reaching import LEAST_SEEDS
from bench.recipes import ARTICLE, RECIPES, TARGETS
from bench.stepped import Row, factor, said
from bench.steps import Step

RECIPE = "first-94"
TARGET = TARGETS[RECIPE]
SLOW_SEEDS = 3  # of the article's method, which takes minutes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add, whole = parser.add_argument, options.whole_number(1)
    add("--seeds", type=whole, default=LEAST_SEEDS, metavar="N", help="of the recipe (default: %(default)s)")
    add("--slow-seeds", type=whole, default=SLOW_SEEDS, metavar="N", help="of the article's (default: %(default)s)")
    steps.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train and print; 1 if anybody failed."""
    console = Console(highlight=False)
    return steps.train(
        console,
        arguments,
        "waterfall",
        TARGET,
        ways(arguments.seeds, arguments.slow_seeds),
        lambda rows: show(console, rows),
    )


def ways(seeds: int, slow_seeds: int) -> list[Step]:
    """From the slowest to the fastest, each with one thing changed; the recipe is the one big step."""
    recipe = RECIPES[RECIPE]
    return [
        Step("the article's method", "vectorized", "float64", ARTICLE, True, slow_seeds),
        Step("float32", "vectorized", "float32", ARTICLE, True, slow_seeds),
        Step("small batches, ReLU, cross-entropy, momentum", "vectorized", "float32", recipe, False, seeds),
        Step("buffers made once", "minibatch", "float32", recipe, False, seeds),
        Step("compiled, around BLAS", "numba_dense", "float32", recipe, False, seeds),
        Step("zero pixels skipped", "numba_sparse", "float32", recipe, False, seeds),
    ]


def show(console: Console, rows: list[Row]) -> None:
    """The steps, each with its factor to the one before, and to the first."""
    table = standings.table_of("", "backend", "seconds", "passes", "reached", "factor", "so far")
    for number, row in enumerate(rows):
        seconds = f"{row.seconds:.4g}" if row.counts else f"({row.seconds:.4g})"
        by = [factor(rows[number - 1], row), factor(rows[0], row)] if number else ["", ""]
        table.add_row(row.name, row.backend, seconds, f"{row.passes:.4g}", said(row), *by)
    console.print(table)
    console.print(
        "Seconds of training, median over seeds; in brackets where the target was not reached. Reached: by how many "
        "seeds, or their mean, and its lower bound (99 %)."
    )
