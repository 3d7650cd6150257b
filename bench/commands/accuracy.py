"""`python -m bench accuracy`: the time to a common accuracy, over seeds.

A recipe of fixed length reaches a target if the mean accuracy of its networks over ten seeds or more, on test images
that played no part in choosing it, is above the target with 99 % confidence (one-sided). Then the uninterrupted time of
a training counts. Backends train from the same seeds, interleaved, each in a process of its own.
"""

import argparse
import math

from rich.console import Console

import impls
from bench import UserError
from bench.analysis.accuracy import LEAST_SEEDS
from bench.commands import options
from bench.experiments.accuracy import to_target
from bench.experiments.trainings import digits_for, train_all
from bench.records.races import RaceResult
from bench.tables.accuracy import accuracy_sections
from bench.tables.table import print_sections
from bench.workloads.recipes import QUICK, RECIPES, TARGETS, Recipe
from command_line import choice, number, several

FASTEST = "numba_sparse"
COMPARED = ("torch", "minibatch")  # by default with the first that is available; all would take long


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    default = f"{FASTEST}, and {COMPARED[0]}, or where that is unavailable {COMPARED[1]}"
    options.add_backends(parser, "Train with these backends", default)
    add("--baseline", metavar="NAME", help="Give ratios relative to this backend (default: the first that trains)")
    add(
        "--target",
        type=several(number(0, 100)),
        action="extend",
        metavar="A,B",
        help="Aim at these percentages of the test images (default: each recipe's own)",
    )
    add(
        "--recipe",
        type=several(choice(*RECIPES)),
        action="extend",
        metavar="A,B",
        help="Train by these recipes, which --list-recipes shows "
        f"(default: {', '.join(QUICK)}, or those for the targets)",
    )
    add("--list-recipes", action="store_true", help="Print the recipes and exit (default: train)")
    options.add_seeds(parser, LEAST_SEEDS, ", each for weights and order; fewer do not count")
    options.add_dtype(parser)
    options.add_output(parser)
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train and print a table; return 1 if a backend failed, else 0. Raises UserError for a target without a recipe."""
    console = Console(highlight=False)
    if arguments.list_recipes:
        for recipe in RECIPES.values():
            target = f"{recipe.name}, to {100 * TARGETS[recipe.name]:g} %"
            console.print(f"{target}: {recipe}; {recipe.reason}", soft_wrap=True, markup=False)
        return 0
    recipes = chosen_recipes(arguments)
    dataset = digits_for(console, arguments.data)
    names = arguments.backend or [FASTEST, next(name for name in COMPARED if name in impls.available())]
    all_trainings = [
        to_target(target, recipe, arguments.dtype, names, arguments.seeds, arguments.baseline)
        for target, recipe in recipes
    ]

    def show(races: list[RaceResult]) -> None:
        print_sections(console, accuracy_sections(races))

    return train_all(console, arguments, dataset, all_trainings, show)


def chosen_recipes(arguments: argparse.Namespace) -> list[tuple[float, Recipe]]:
    """Return each target, a fraction, with a recipe for it. Raises UserError for a target that has none."""
    targets = [percent / 100 for percent in arguments.target or ()]
    if not targets:
        return [(TARGETS[name], RECIPES[name]) for name in arguments.recipe or QUICK]
    if arguments.recipe:
        return [(target, RECIPES[name]) for name in arguments.recipe for target in targets]
    return [(target, recipe_for(target)) for target in targets]


def recipe_for(target: float) -> Recipe:
    """Return the quickest recipe for a target. Raises UserError where there is none."""
    for name in QUICK:
        if math.isclose(TARGETS[name], target):
            return RECIPES[name]
    known = ", ".join(f"{100 * TARGETS[name]:g}" for name in QUICK)
    raise UserError(f"--target {100 * target:g}: expected one of {known}, or a --recipe for it")
