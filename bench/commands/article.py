"""`python -m bench study article | grid | relu`: the article's experiments, its figures compared with ours.

article: each experiment is trained with several seeds by one quick backend. Interleaved with it, the article's own
method (`vectorized` or `naive`, in float64) trains up to 50 epochs in all, spread over the seeds; the times are taken
from it. grid: which other settings reproduce the article's figures. relu: why ReLU lost, one factor at a time.
"""

import argparse
from collections.abc import Iterable

from bench.commands import measuring, options
from bench.experiments.article import BACKEND, article_trainings
from bench.tables.article import sections_of_article
from bench.workloads.article import EXPERIMENTS, GRIDS, RELU_FACTORS, Experiment, Grid
from command_line import Option, choice, several

COMMON = (
    options.one_backend("Train every seed, in float32, with this backend", BACKEND),
    options.seeds(5),
    *options.OF_TRAININGS,
)


def experiment(known: Iterable[Experiment | Grid]) -> Option:
    """Return the option --experiment, which takes names of these."""
    names = [one.name for one in known]
    does = f"Repeat only these, of {', '.join(names)}"
    return Option("--experiment NAME,NAME", does, several(choice(names)), without="all", repeats=True)


FACTOR = Option("--factor A,B", f"Change only these, of {', '.join(RELU_FACTORS)}", several(choice(RELU_FACTORS)),
                without="each, one at a time", repeats=True)  # fmt: skip
OPTIONS = {
    "article": (experiment(EXPERIMENTS), *COMMON),
    "grid": (experiment(GRIDS), *COMMON),
    "relu": (FACTOR, *COMMON),
}


def run(arguments: argparse.Namespace) -> int:
    """Train and print tables; return 1 if a backend failed, else 0. Raises UserError for digits that do not fit."""
    names = arguments.factor if arguments.command == "relu" else arguments.experiment
    asked_for = arguments.command, arguments.backend, arguments.seeds, names
    return measuring.train_and_print(
        arguments, lambda dataset: article_trainings(dataset, *asked_for), sections_of_article
    )
