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
from bench.commands import measuring, options
from bench.experiments.accuracy import CURVES, to_target
from bench.tables.accuracy import accuracy_sections
from bench.workloads.recipes import QUICK, RECIPES, TARGETS, Recipe
from command_line import Option, choice, number, several, whole_number

FASTEST = "numba_sparse"
COMPARED = ("torch", "minibatch")  # the first that is available is compared by default; all would take long
OPTIONS = (
    options.backends("Train with these backends",
                     f"{FASTEST}, and {COMPARED[0]}, or where that is unavailable {COMPARED[1]}"),
    options.BASELINE._replace(without="the first that trains"),
    Option("--target A,B", "Aim at these percentages of the test images", several(number(0, 100)),
           without="each recipe's own", repeats=True),
    Option("--recipe A,B", "Train by these recipes, which --list-recipes shows", several(choice(RECIPES)),
           without=f"{', '.join(QUICK)}, or those for the targets", repeats=True),
    Option("--list-recipes", "Print the recipes and exit", without="train"),
    options.seeds(LEAST_SEEDS, ", each for weights and order; fewer reach no target"),
    Option("--curves N", "Repeat the trainings of this many seeds in pieces, for their learning curves",
           whole_number(0), CURVES),
    options.DTYPE,
    *options.OF_TRAININGS,
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Train and print a table; return 1 if a backend failed, else 0. Raises UserError for a target without a recipe."""
    if arguments.list_recipes:
        console = Console(highlight=False, markup=False, soft_wrap=True)
        for recipe in RECIPES.values():
            console.print(f"{recipe.name}, to {100 * TARGETS[recipe.name]:g} %: {recipe}; {recipe.reason}")
        return 0
    names = arguments.backend or [FASTEST, next(name for name in COMPARED if name in impls.available())]
    trainings = [
        to_target(target, recipe, arguments.dtype, names, arguments.seeds, arguments.baseline, arguments.curves)
        for target, recipe in chosen_recipes(arguments)
    ]
    return measuring.train_and_print(
        arguments, lambda dataset: [one.for_classes(dataset.classes) for one in trainings], accuracy_sections
    )


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
