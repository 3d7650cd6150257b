"""`python -m bench study batches`: do mini-batches pay, by the epoch and by the time to 92.86 %?

The same network (784-128-10, ReLU, softmax) is trained by plain SGD in batches of one image up to all, in a new order
each epoch, with one learning rate throughout. Each batch size has the rate of a grid that reached the target after the
fewest images, on held-out training images (`tune --rates-by-batch`, kept in workloads/batch_sizes.json). Training ends
when the target is reached on the test images, which are evaluated whenever the updates have grown by a tenth.
"""

import argparse
import json

from rich.console import Console

from bench import UserError
from bench.commands import options
from bench.experiments.accuracy import Step
from bench.experiments.trainings import digits_for, train_all
from bench.records.races import RaceResult
from bench.tables.accuracy import batches_sections
from bench.tables.table import print_sections
from bench.workloads.batch_sizes import CHOSEN, TARGET, recipe_of
from command_line import several, whole_number

SEEDS = 3
BACKEND = "numba_sparse"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the study."""
    options.add_backend(parser, "Train with this backend", BACKEND)
    parser.add_argument(
        "--batch",
        type=several(whole_number(1)),
        metavar="A,B",
        help="Train in batches of these sizes (default: all that have a learning rate)",
    )
    options.add_seeds(parser, SEEDS)
    options.add_output(parser)
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train and print a table; return 1 if the backend failed, else 0. Raises UserError for a batch without a rate."""
    console = Console(highlight=False)
    rates = {int(batch): entry["rate"] for batch, entry in json.loads(CHOSEN.read_text()).items()}
    batches = arguments.batch or list(rates)
    for batch in batches:
        if batch not in rates:
            raise UserError(
                f"--batch {batch}: has no learning rate; choose one by `python -m bench tune --rates-by-batch {batch}`"
            )
    steps = [
        Step(
            f"batches of {batch:,}", arguments.backend, "float32", recipe_of(batch, rates[batch]), True, arguments.seeds
        )
        for batch in batches
    ]

    def show(races: list[RaceResult]) -> None:
        print_sections(console, batches_sections(races))

    several = [step.trainings("batches", TARGET) for step in steps]
    return train_all(console, arguments, digits_for(console, arguments.data), several, show)
