"""`python -m bench tune`: recipes tried on training images that are held out; the test images are never looked at.

Each seed draws weights, orders, and 10,000 training images that are held out; all recipes have the same. A grid of
recipes is tried, short ones first. With --target, one is left as soon as it will hardly reach that on the held-out
images, or is slower than one that did; of those that reach it there, by the rule for test images, the fastest is the
answer.
"""

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any, NamedTuple, get_args

import numpy as np
from rich.console import Console

import data
import impls
from bench import UserError, options, standings
from bench.plans import Fall
from bench.quality import share_correct
from bench.reaching import reached
from bench.recipes import Recipe, relu
from bench.training import Split, prepare, train_recipe
from data import Digits
from impls.contract import Backend
from impls.initialisation import INITIALISATIONS

HELD_OUT = 10_000
BACKEND = "numba_sparse"
SEEDS = 12
DOUBT = 3.0  # standard errors that a mean may be below the target before a recipe is left
SLOWER = 1.2  # than the fastest that reached the target; by less, times may be due to the machine


class Trained(NamedTuple):
    """One training: the share of the held-out images that its network knows, and its wall seconds."""

    accuracy: float
    seconds: float


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
        ("passes", (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)),
        ("batch", (32, 64, 128)),
        ("learning-rate", (0.05, 0.1, 0.2, 0.4)),
        ("momentum", (0.9,)),
        ("mask", (0.0,)),
    ):
        add(
            f"--{name}",
            type=options.whole_number(1) if name == "batch" else options.number(0),
            nargs="+",
            default=values,
            metavar="X",
            help=f"tried (default: {' '.join(f'{value:g}' for value in values)})",
        )
    add("--fall", choices=get_args(Fall), nargs="+", default=("linear",), metavar="X", help="tried (default: linear)")
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
    recipes = grid(arguments)
    found = Search(backend, dataset.train, recipes[0], arguments.results)
    try:
        with console.status("") as status:
            for number, recipe in enumerate(recipes, start=1):
                status.update(f"{number} of {len(recipes)}: {recipe}")
                found.attempt(recipe, arguments.seeds, target)
    finally:
        show(console, found.trained, recipes, arguments.seeds, target)
    return 0


def grid(arguments: argparse.Namespace) -> list[Recipe]:
    """Every combination of what is tried, the shortest first."""
    network = relu(*arguments.network)
    return [
        Recipe("tried", network, arguments.init, batch, passes, rate, fall, momentum, "", mask, arguments.members)
        for passes, batch, rate, momentum, fall, mask in product(
            sorted(arguments.passes),
            arguments.batch,
            arguments.learning_rate,
            arguments.momentum,
            arguments.fall,
            arguments.mask,
        )
    ]


class Search:
    """Trainings of recipes of one network, by what is trained, a list of seeds each; kept in a file if there is one."""

    def __init__(self, backend: Backend, train: Digits, recipe: Recipe, results: Path | None) -> None:
        self.backend, self.train, self.results = backend, train, results
        self.split = prepare(backend, recipe.member, train, "float32")
        self.held_out: dict[int, Split] = {}
        self.trained: defaultdict[str, list[Trained]] = defaultdict(list)
        self.fastest = math.inf  # seconds, of those that reached the target
        if results is not None and results.is_file():
            for entry in map(json.loads, results.read_text().splitlines()):
                self.trained[entry["recipe"]].append(Trained(entry["accuracy"], entry["seconds"]))
        self.once(recipe, 0)  # the first call compiles

    def attempt(self, recipe: Recipe, seeds: int, target: float | None) -> None:
        """Train with one seed after the other, until it is not worth going on."""
        found = self.trained[str(recipe)]
        while len(found) < seeds and not hopeless(found, target, self.fastest):
            found.append(self.once(recipe, len(found)))
            if self.results is not None:
                with self.results.open("a") as file:
                    file.write(json.dumps({"recipe": str(recipe), **found[-1]._asdict()}) + "\n")
        if target is not None and reaches(found, seeds, target):
            self.fastest = min(self.fastest, seconds(found))

    def once(self, recipe: Recipe, seed: int) -> Trained:
        """One training without the images that this seed holds out, and how many of those its network knows."""
        n = len(self.train.labels)
        drawn = np.random.default_rng([seed, 3]).permutation(n)
        held_out, kept = drawn[:HELD_OUT], drawn[HELD_OUT:]
        if seed not in self.held_out:
            digits = Digits(self.train.images[held_out], self.train.labels[held_out])
            self.held_out[seed] = prepare(self.backend, recipe.network, digits, "float32")
        pieces = recipe.pieces(recipe.plan(n, seed, kept), n)
        prepared = self.split.prepared
        *_, last = train_recipe(self.backend, recipe, seed, "float32", self.train, prepared, pieces)
        outputs = self.backend.outputs(recipe.network, last.state.parameters, self.held_out[seed].prepared)
        return Trained(share_correct(outputs, self.held_out[seed].labels), last.elapsed.wall)


def accuracy(found: Sequence[Trained]) -> float:
    """The mean over seeds."""
    return fmean(one.accuracy for one in found)


def seconds(found: Sequence[Trained]) -> float:
    """The median over seeds."""
    return median(one.seconds for one in found)


def hopeless(found: Sequence[Trained], target: float | None, fastest: float) -> bool:
    """Whether it will hardly reach the target, or be the fastest that does; never before three seeds."""
    if target is None or len(found) < 3:
        return False
    error = stdev(one.accuracy for one in found) / math.sqrt(len(found))
    return accuracy(found) + DOUBT * error < target or seconds(found) > SLOWER * fastest


def reaches(found: Sequence[Trained], seeds: int, target: float) -> bool:
    """Whether all seeds are there, and the lower bound of their mean does, as it is asked on the test images."""
    accuracies = [one.accuracy for one in found]
    return len(found) >= seeds and reached(accuracies, [], target).lower >= target


def show(
    console: Console, trained: dict[str, list[Trained]], recipes: list[Recipe], seeds: int, target: float | None
) -> None:
    """The most accurate of each length; with a target the fastest that reach it."""
    tried = [recipe for recipe in recipes if trained[str(recipe)]]
    if target is None:
        lengths = sorted({recipe.passes for recipe in tried})
        best = [
            max((r for r in tried if r.passes == passes), key=lambda recipe: accuracy(trained[str(recipe)]))
            for passes in lengths
        ]
    else:
        best = [recipe for recipe in tried if reaches(trained[str(recipe)], seeds, target)]
        best = sorted(best, key=lambda recipe: seconds(trained[str(recipe)]))[:10]
    table = standings.table_of(
        "passes", "batch", "rate", "fall", "momentum", "mask", "held out", "least", "seeds", "seconds"
    )
    for recipe in best:
        found = trained[str(recipe)]
        row: tuple[Any, ...] = (
            recipe.passes,
            recipe.batch,
            recipe.learning_rate,
            recipe.fall,
            recipe.momentum,
            recipe.mask,
        )
        shares = (f"{value:.2%}" for value in (accuracy(found), min(one.accuracy for one in found)))
        table.add_row(*map(str, row), *shares, str(len(found)), f"{seconds(found):.4f}")
    console.print(table)
    trainings = sum(len(trained[str(recipe)]) for recipe in recipes)
    console.print(f"{len(tried)} recipes tried, {trainings} trainings; means over seeds, of the held-out images.")
    if target is not None and not best:
        console.print(f"None of them reaches {target:.2%} of the held-out images.")
