"""`python -m bench study article | grid | relu`: the article's experiments, its figures compared with ours.

article: each experiment is trained with several seeds by one quick backend. Interleaved with it, the article's own
method (`vectorized` or `naive`, in float64) trains up to 50 epochs in all, spread over the seeds; the times are taken
from it. grid: which other settings reproduce the article's figures. relu: why ReLU lost, one factor at a time.
"""

import argparse

from rich.console import Console

from bench.commands import options
from bench.commands.trainings import train_and_print
from bench.experiments.article import BACKEND, article_trainings
from bench.experiments.trainings import digits_for
from bench.tables.article import sections_of_article
from bench.workloads.article import EXPERIMENTS, GRIDS
from command_line import Option, choice, several

RELU_OPTIONS = (
    Option("--backend NAME", "Train every seed with this backend, in float32", str, BACKEND),
    options.seeds(5),
    *options.COMMON,
)


def experiment(names: list[str]) -> Option:
    """The option --experiment, one or more of these names."""
    does = f"Repeat only these, of {', '.join(names)}"
    return Option("--experiment NAME,NAME", does, several(choice(names)), without="all", repeats=True)


OPTIONS = (experiment([row.name for row in EXPERIMENTS]), *RELU_OPTIONS)
GRID_OPTIONS = (experiment([grid.name for grid in GRIDS]), *RELU_OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Train and print tables; return 1 if a backend failed, else 0. Raises UserError for digits that do not fit."""
    console = Console(highlight=False)
    dataset = digits_for(console, arguments.data, [])
    experiments = getattr(arguments, "experiment", None)
    trainings = article_trainings(dataset, arguments.command, arguments.backend, arguments.seeds, experiments)
    return train_and_print(console, arguments, dataset, trainings, sections_of_article)
