"""`python -m bench accuracy`: the time to a common accuracy, over seeds.

A target is reached by a recipe of fixed length if the mean accuracy of its networks over ten seeds or more, on test
images that played no part in choosing it, is above the target with 99 % confidence (one-sided). Then the uninterrupted
time of a training counts. Backends train from the same seeds in turns, each in a process of its own.
"""

import argparse
import math
import tempfile
from pathlib import Path
from typing import get_args

from rich.console import Console

import impls
from bench import UserError
from bench.analysis.target import LEAST_SEEDS
from bench.commands import options
from bench.experiments.accuracy import digits_for, train_all, training_header
from bench.records.journal import Journal, results_file
from bench.records.races import races_of
from bench.tables.accuracy import accuracy_sections
from bench.tables.race import left_out_of_races
from bench.tables.table import print_left_out, print_sections
from bench.timing import threads
from bench.timing.session import stored
from bench.training.worker import Job
from bench.workloads.recipes import QUICK, RECIPES, TARGETS, Recipe
from impls.contract import DType

FASTEST = "numba_sparse"
COMPARED = ("torch", "minibatch")  # with the first of these that is available, where nobody is named: all take long


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add(
        "--backend",
        action="append",
        metavar="NAME",
        help=f"who trains; several (default: {FASTEST}, and {COMPARED[0]}, or without that {COMPARED[1]})",
    )
    add("--baseline", metavar="NAME", help="whom the others are compared with (default: the first that trains)")
    add(
        "--target",
        action="append",
        type=options.number(0, 100),
        metavar="PERCENT",
        help="of the test images; several (default: each recipe's own)",
    )
    aims = ", ".join(f"{name} ({100 * target:g} %%)" for name, target in TARGETS.items())
    add(
        "--recipe",
        action="append",
        choices=RECIPES,
        metavar="NAME",
        help=f"several, of {aims} (default: {', '.join(QUICK)}, or those for the targets)",
    )
    add(
        "--seeds",
        type=options.whole_number(1),
        default=LEAST_SEEDS,
        metavar="N",
        help="of weights and orders (default: %(default)s, the fewest that count)",
    )
    add("--dtype", choices=get_args(DType), default="float32", help="default: %(default)s")
    add("--results", type=options.output_file, metavar="FILE", help="as for race; one of the same trainings goes on")
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, print a table; 1 if anybody failed. Raises UserError for what cannot be."""
    console = Console(highlight=False)
    recipes = chosen_recipes(arguments)
    dataset = digits_for(console, arguments.data, [recipe for _, recipe in recipes])
    names = arguments.backend or [FASTEST, next(name for name in COMPARED if name in impls.available())]
    for name in names:
        impls.check(name)
    n_threads = arguments.threads or threads.cores()
    headers = [
        training_header(
            dataset,
            number,
            target,
            recipe,
            arguments.dtype,
            {name: name for name in names},
            n_threads,
            arguments.baseline,
        )
        for number, (target, recipe) in enumerate(recipes)
    ]
    path = results_file(arguments.results, "accuracy")
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        stored(dataset.train, Path(folder) / "train")
        stored(dataset.test, Path(folder) / "test")
        try:
            for number, (_, recipe) in enumerate(recipes):
                jobs = {
                    name: Job(name, recipe, arguments.dtype, Path(folder) / "train", Path(folder) / "test", n_threads)
                    for name in names
                }
                train_all(console, number, jobs, arguments.seeds, journal)
        finally:  # an interruption costs only the seed that it hits
            trained = races_of(journal.records)
            print_sections(console, accuracy_sections(trained))
            print_left_out(console, left_out_of_races(trained))
            console.print(f"Every training: {path}", soft_wrap=True, markup=False)
    return 1 if any(race.left_out for race in trained) else 0


def chosen_recipes(arguments: argparse.Namespace) -> list[tuple[float, Recipe]]:
    """Targets, each with a recipe for it. Raises UserError for a target that has none."""
    targets = [percent / 100 for percent in arguments.target or ()]
    if not targets:
        return [(TARGETS[name], RECIPES[name]) for name in arguments.recipe or QUICK]
    if arguments.recipe:
        return [(target, RECIPES[name]) for name in arguments.recipe for target in targets]
    return [(target, recipe_for(target)) for target in targets]


def recipe_for(target: float) -> Recipe:
    """The quickest for it. Raises UserError where there is none."""
    for name in QUICK:
        if math.isclose(TARGETS[name], target):
            return RECIPES[name]
    known = ", ".join(f"{100 * TARGETS[name]:g}" for name in QUICK)
    raise UserError(f"--target {100 * target:g}: expected one of {known}, or a --recipe for it")
