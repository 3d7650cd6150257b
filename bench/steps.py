"""Ways of training, one after the other, to one and the same accuracy: what `waterfall` and `batches` share.

A way is a backend and a recipe. It goes the recipe's whole length, and reaches the target by the rule of
`bench.reaching`; or it goes on until it reaches the target, which it knows from the test images.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape

import impls
from bench import accuracy, campaign, options, threads
from bench.journal import Journal
from bench.raced import races_of
from bench.recipes import Recipe
from bench.stepped import Row, rows
from bench.trainings import Job
from bench.turns import stored
from impls.contract import DType


class Step(NamedTuple):
    """One way of training."""

    name: str
    backend: str
    dtype: DType
    recipe: Recipe
    until: bool  # it goes on until the target; at most as long as the recipe is
    seeds: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of both commands."""
    parser.add_argument(
        "--results", type=options.output_file, metavar="FILE", help="as for race; one of the same trainings goes on"
    )
    options.add_data(parser)
    options.add_threads(parser)


def train(
    console: Console,
    arguments: argparse.Namespace,
    purpose: str,
    target: float,
    steps: Sequence[Step],
    show: Callable[[list[Row]], None],
) -> int:
    """Train every step with all its seeds, but those that are in the file; 1 if anybody failed, else 0.

    show: is called with its records at the end, also where it is interrupted. Raises UserError or BackendUnavailable.
    """
    dataset = accuracy.digits_for(console, arguments.data, [step.recipe for step in steps])
    for step in steps:
        impls.check(step.backend)
    n_threads = arguments.threads or threads.cores()
    headers = [
        accuracy.header(
            dataset,
            number,
            target,
            step.recipe,
            step.dtype,
            {step.name: step.backend},
            n_threads,
            purpose=purpose,
        )
        | {"until": step.until}
        for number, step in enumerate(steps)
    ]
    path = campaign.results_file(arguments.results, purpose)
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        train_folder = stored(dataset.train, Path(folder) / "train")
        test_folder = stored(dataset.test, Path(folder) / "test")
        try:
            for number, step in enumerate(steps):
                until = target if step.until else None
                job = Job(step.backend, step.recipe, step.dtype, train_folder, test_folder, n_threads, until)
                accuracy.train_all(console, number, {step.name: job}, step.seeds, journal)
        finally:  # an interruption costs only the training that it hits; the same command goes on
            show(rows(races_of(journal.records)))
            failed = [
                f"{entry['entrant']}: {entry['reason']}" for entry in journal.records if entry["kind"] == "failure"
            ]
            for line in failed:
                console.print(f"[red]left out:[/] {escape(line)}", soft_wrap=True)
            console.print(f"Every training: {path}; --results with it goes on", soft_wrap=True, markup=False)
    return 1 if failed else 0
