"""`python -m bench batches`: do mini-batches pay, by the round and by the time to 92.86 %?

The same network (784-128-10, ReLU, softmax) by plain SGD, in batches of one image up to all, orders drawn anew each
round, one learning rate throughout. Each batch has the rate of a grid with which it came there after the fewest images,
judged on held-out training images by `--choose`, which writes workloads/batch_sizes.json. Training goes on until the
target is reached on the test images; they are looked at where the updates have grown by a tenth, at least once a round.
"""

import argparse
import json

from rich.console import Console

import impls
from bench import UserError
from bench.commands import options
from bench.experiments.accuracy import Step, digits_for, train_steps
from bench.experiments.tune import choose_all
from bench.tables.accuracy import batches_sections
from bench.tables.table import print_sections
from bench.workloads.batch_sizes import BATCHES, CHOSEN, TARGET, recipe_of

SEEDS = 3
BACKEND = "numba_sparse"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add, whole = parser.add_argument, options.whole_number(1)
    add("--backend", default=BACKEND, metavar="NAME", help="who trains (default: %(default)s)")
    add("--batch", type=whole, nargs="+", metavar="N", help="default: all that have a rate")
    add("--seeds", type=whole, default=SEEDS, metavar="N", help="of each (default: %(default)s)")
    add("--choose", action="store_true", help="choose the learning rates again, on held-out images, and nothing else")
    options.add_training_files(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train and print; 1 if the backend failed. Raises UserError for a batch without a rate."""
    console = Console(highlight=False)
    if arguments.choose:
        chosen_for = arguments.batch or BATCHES
        dataset = digits_for(console, arguments.data, [recipe_of(batch, 1.0) for batch in chosen_for])
        choose_all(console, impls.load(arguments.backend), dataset, chosen_for)
        return 0
    rates = {int(batch): entry["rate"] for batch, entry in json.loads(CHOSEN.read_text()).items()}
    batches = arguments.batch or list(rates)
    for batch in batches:
        if batch not in rates:
            raise UserError(f"--batch {batch}: has no learning rate; choose one by `--batch {batch} --choose`")
    ways = [
        Step(
            f"batches of {batch:,}", arguments.backend, "float32", recipe_of(batch, rates[batch]), True, arguments.seeds
        )
        for batch in batches
    ]
    return train_steps(
        console, arguments, "batches", TARGET, ways, lambda races: print_sections(console, batches_sections(races))
    )
