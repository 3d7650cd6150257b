"""`python -m bench study waterfall`: from the article's method to the fastest, step by step, to 94.17 %.

The network is 784-128-10. The article's method (raw pixels, sigmoid, quadratic cost, five updates an epoch in file
order, rate 1, float64, vectorised) trains until it first reaches that accuracy, at most 300 epochs, and may evaluate
the test images after every epoch. The recipe has a fixed length and uses no test image.
"""

import argparse

from bench.analysis.accuracy import LEAST_SEEDS
from bench.commands import measuring, options
from bench.experiments.accuracy import SLOW_SEEDS, WATERFALL_TARGET, waterfall_steps
from bench.tables.accuracy import waterfall_sections
from command_line import Option, whole_number

OPTIONS = (
    options.seeds(LEAST_SEEDS, " by the recipe"),
    Option("--slow-seeds N", "Train with this many seeds by the article's method, which takes minutes",
           whole_number(1), SLOW_SEEDS),
    *options.TIMED_TRAININGS,
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Train and print a table; return 1 if a backend failed, else 0."""
    steps = waterfall_steps(arguments.seeds, arguments.slow_seeds)
    trainings = [step.trainings("waterfall", WATERFALL_TARGET) for step in steps]
    return measuring.train_and_print(
        arguments, lambda dataset: [one.for_classes(dataset.classes) for one in trainings], waterfall_sections
    )
