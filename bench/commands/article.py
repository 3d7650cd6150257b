"""`python -m bench study article | grid | relu`: the article's experiments, its figures compared with ours.

article: each experiment is trained with several seeds by one quick backend. Interleaved with it, the article's own
method (`vectorized` or `naive`, in float64) trains up to 50 epochs in all, spread over the seeds; the times are taken
from it. grid: which other settings reproduce the article's figures. relu: why ReLU lost, one factor at a time.
"""

import argparse

from rich.console import Console

from bench.commands import options
from bench.experiments.article import BACKEND, article_trainings
from bench.experiments.trainings import digits_for, train_all
from bench.records.races import RaceResult
from bench.tables.article import sections_of_article
from bench.tables.table import print_sections
from bench.workloads.article import EXPERIMENTS, GRIDS
from command_line import choice, several


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `study article`."""
    add_experiments(parser, [row.name for row in EXPERIMENTS])
    add_training(parser)
    parser.set_defaults(which="article")


def add_grid_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `study grid`."""
    add_experiments(parser, [grid.name for grid in GRIDS])
    add_training(parser)
    parser.set_defaults(which="grid")


def add_relu_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `study relu`."""
    add_training(parser)
    parser.set_defaults(which="relu", experiment=None)


def add_experiments(parser: argparse.ArgumentParser, names: list[str]) -> None:
    """Add the option --experiment, one or more of these names."""
    parser.add_argument(
        "--experiment",
        type=several(choice(*names)),
        action="extend",
        metavar="NAME,NAME",
        help=f"Repeat only these, of {', '.join(names)} (default: all)",
    )


def add_training(parser: argparse.ArgumentParser) -> None:
    """Add the options of all three studies."""
    options.add_backend(parser, "Train every seed with this backend, in float32", BACKEND)
    options.add_seeds(parser, 5)
    options.add_output(parser)
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, print tables; 1 if a participant failed. Raises UserError for what cannot be."""
    console = Console(highlight=False)
    dataset = digits_for(console, arguments.data)
    asked_for = arguments.which, arguments.backend, arguments.seeds, arguments.experiment
    all_trainings = article_trainings(dataset, *asked_for)

    def show(races: list[RaceResult]) -> None:
        print_sections(console, sections_of_article(races))

    return train_all(console, arguments, dataset, all_trainings, show)
