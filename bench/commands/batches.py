"""`python -m bench study batches`: do mini-batches pay, by the epoch and by the time to 92.86 %?

The same network (784-128-10, ReLU, softmax) is trained by plain SGD in batches of one image up to all, in a new order
each epoch, with one learning rate throughout. Each batch size has the rate of a grid that reached the target after the
fewest images, on held-out training images (`tune --rates-by-batch`, kept in workloads/batch_sizes.json). Training ends
when the target is reached on the test images, which are evaluated whenever the updates have grown by a tenth. All sizes
train with one seed, one after the other, then with the next, so that their times can be compared.
"""

import argparse
import json

from bench import UserError
from bench.commands import measuring, options
from bench.experiments.accuracy import Step
from bench.tables.accuracy import batches_sections
from bench.workloads.batch_sizes import CHOSEN, TARGET, recipe_of
from command_line import Option, several, whole_number

OPTIONS = (
    options.one_backend("Train with this backend", "numba_sparse"),
    Option("--batch A,B", "Train in batches of these sizes", several(whole_number(1)),
           without="all that have a learning rate"),
    options.seeds(3),
    *options.OF_TRAININGS,
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Train and print a table; return 1 if the backend failed, else 0. Raises UserError for a batch without a rate."""
    rates = {int(batch): entry["rate"] for batch, entry in json.loads(CHOSEN.read_text()).items()}
    batches = arguments.batch or list(rates)
    for batch in batches:
        if batch not in rates:
            raise UserError(
                f"--batch {batch}: has no learning rate; choose one by `python -m bench tune --rates-by-batch {batch}`"
            )
    trainings = [
        Step(
            f"batches of {batch:,}", arguments.backend, "float32", recipe_of(batch, rates[batch]), True, arguments.seeds
        ).trainings("batches", TARGET, in_turns=True)
        for batch in batches
    ]
    return measuring.train_and_print(
        arguments, lambda dataset: [one.for_classes(dataset.classes) for one in trainings], batches_sections
    )
