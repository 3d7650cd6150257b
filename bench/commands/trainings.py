"""What the commands that train over seeds share."""

import argparse
from collections.abc import Callable, Sequence

from rich.console import Console

from bench.experiments.trainings import Trainings, check_fit, train_all
from bench.records.journal import results_file
from bench.records.races import RaceResult
from bench.tables.table import Section, print_sections
from bench.timing import threads
from data import Dataset


def train_and_print(
    console: Console,
    arguments: argparse.Namespace,
    dataset: Dataset,
    trainings: Sequence[Trainings],
    sections: Callable[[list[RaceResult]], list[Section]],
) -> int:
    """Train all that the file of --output lacks, and print these sections of its results, also after an interruption.

    Returns 1 if a participant failed, else 0. Raises UserError or ContractError for digits that do not fit a recipe.
    """
    for one in trainings:
        check_fit(dataset, one.recipes.values())
    path, n_threads = results_file(arguments.output, trainings[0].purpose), arguments.threads or threads.cores()

    def show(races: list[RaceResult]) -> None:
        print_sections(console, sections(races))

    return train_all(console, path, dataset, trainings, n_threads, show)
