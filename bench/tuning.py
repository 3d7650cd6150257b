"""`python -m bench tune`: recipes tried on training images that are held out; the test images are never looked at.

The last 10,000 training images are held out, the others trained on. For each length of training it prints the best of
a grid of batch sizes and learning rates, by the mean accuracy over seeds on the held-out images; a good recipe is the
shortest of these that passes its target there with a margin.
"""

import argparse
from itertools import product
from statistics import fmean

import numpy as np
from rich.console import Console

import data
import impls
from bench import UserError, options, standings
from bench.quality import share_correct
from bench.recipes import Recipe, nesterov, relu
from bench.training import prepare
from data import Digits
from impls.contract import Backend, zero_velocities

HELD_OUT = 10_000
BACKEND = "minibatch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("--backend", default=BACKEND, metavar="NAME", help="who trains (default: %(default)s)")
    add("--network", type=options.sizes, default=(784, 128, 10), metavar="SIZES", help="default: 784-128-10")
    for name, values in (
        ("passes", (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)),
        ("batch", (32, 64, 128)),
        ("learning-rate", (0.05, 0.1, 0.2, 0.4)),
        ("momentum", (0.9,)),
    ):
        add(
            f"--{name}",
            type=options.whole_number(1) if name == "batch" else options.number(0),
            nargs="+",
            default=values,
            metavar="X",
            help=f"tried (default: {' '.join(f'{value:g}' for value in values)})",
        )
    add("--seeds", type=options.whole_number(1), default=3, metavar="N", help="of each (default: %(default)s)")
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Try them all and print the best of each length. Raises UserError where there are too few images."""
    console = Console(highlight=False)
    backend = impls.load(arguments.backend)
    dataset = data.load(arguments.data)
    if len(dataset.train.labels) <= HELD_OUT:
        raise UserError(f"{dataset.name}: expected more than {HELD_OUT} training images, which are held out")
    if dataset.notice:
        console.print(dataset.notice)
    recipes = [
        nesterov("tried", relu(*arguments.network), batch, passes, rate, "", momentum)
        for passes, batch, rate, momentum in product(
            arguments.passes, arguments.batch, arguments.learning_rate, arguments.momentum
        )
    ]
    found = dict(zip(recipes, accuracies(console, backend, recipes, dataset.train, arguments.seeds), strict=True))
    table = standings.table_of("passes", "batch", "rate", "momentum", "held out, mean", "least", "most")
    for passes in arguments.passes:
        best = max((recipe for recipe in recipes if recipe.passes == passes), key=lambda recipe: fmean(found[recipe]))
        values = found[best]
        shares = (f"{value:.2%}" for value in (fmean(values), min(values), max(values)))
        table.add_row(f"{passes:g}", str(best.batch), f"{best.learning_rate:g}", f"{best.momentum:g}", *shares)
    console.print(table)
    return 0


def accuracies(
    console: Console, backend: Backend, recipes: list[Recipe], train: Digits, seeds: int
) -> list[list[float]]:
    """The share of the held-out images that each recipe's networks know, a list of seeds a recipe."""
    network = recipes[0].network
    kept = prepare(backend, network, Digits(train.images[:-HELD_OUT], train.labels[:-HELD_OUT]), "float32")
    held_out = prepare(backend, network, Digits(train.images[-HELD_OUT:], train.labels[-HELD_OUT:]), "float32")
    found = []
    with console.status("") as status, np.errstate(over="ignore", invalid="ignore"):  # one may diverge
        for number, recipe in enumerate(recipes, start=1):
            status.update(f"{number} of {len(recipes)}")
            shares = []
            for seed in range(seeds):
                start = zero_velocities(recipe.parameters(seed, "float32"))
                state, _ = backend.train(network, start, kept.prepared, recipe.plan(len(kept.labels), seed))
                outputs = backend.outputs(network, state.parameters, held_out.prepared)
                shares.append(share_correct(outputs, held_out.labels))
            found.append(shares)
    return found
