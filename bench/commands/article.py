"""`python -m bench study article | grid | relu`: the article's experiments, its figures compared with ours.

article: each experiment is trained with several seeds by one quick backend. Interleaved with it, the article's own
method (`vectorized` or `naive`, in float64) trains up to 50 epochs in all, spread over the seeds; the times are taken
from it. grid: which other settings reproduce the article's figures. relu: why ReLU lost, one factor at a time.
"""

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

import data
import impls
from bench import UserError
from bench.commands import options
from bench.experiments.article import (
    BACKEND,
    MOST_SEEDS,
    article_header,
    method_name,
    parts_of,
    train_parts,
)
from bench.records.journal import Journal, results_file
from bench.records.races import races_of
from bench.tables.article import print_article, print_failures
from bench.timing import threads
from bench.timing.session import stored
from bench.training.article_worker import Post
from bench.workloads.article import EXPERIMENTS, GRIDS
from command_line import several
from impls.contract import check_images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `study article`."""
    add_experiments(parser, [row.name for row in EXPERIMENTS])
    add_training(parser)
    parser.set_defaults(grid=False, relu=False)


def add_grid_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `study grid`."""
    add_experiments(parser, [grid.experiment for grid in GRIDS])
    add_training(parser)
    parser.set_defaults(grid=True, relu=False)


def add_relu_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `study relu`."""
    add_training(parser)
    parser.set_defaults(grid=False, relu=True, experiment=None)


def add_experiments(parser: argparse.ArgumentParser, names: list[str]) -> None:
    """Add the option --experiment, one or more of these names."""
    parser.add_argument(
        "--experiment",
        type=several(str),
        action="extend",
        metavar="A,B",
        help=f"Repeat only these experiments, of {', '.join(names)} (default: all)",
    )


def add_training(parser: argparse.ArgumentParser) -> None:
    """Add the options of all three studies."""
    options.add_backend(parser, "Train every seed with this backend, in float32", BACKEND)
    options.add_seeds(parser, 5)
    options.add_output(parser)
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, print tables; return 1 if a backend failed, else 0. Raises UserError for other data or too many seeds."""
    console = Console(highlight=False)
    dataset = data.load(arguments.data)
    if dataset.notice and arguments.data == "auto":
        raise UserError(f"{dataset.name}: expected MNIST, of which the article is; give --data to train on these")
    if arguments.seeds > MOST_SEEDS:
        raise UserError(f"--seeds {arguments.seeds}: expected at most {MOST_SEEDS}")
    parts = parts_of(arguments)
    for part in parts:
        for name in (arguments.backend, part.method):
            if name is not None:
                impls.check(name)
        for setting in part.settings.values():
            check_images(setting.network, dataset.train.images[:1], dataset.train.labels[:1])
    n_threads = arguments.threads or threads.cores()
    headers = [article_header(dataset, number, part, arguments, n_threads) for number, part in enumerate(parts)]
    path = results_file(arguments.output, parts[0].purpose)
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        digits = stored(dataset.train, Path(folder) / "train"), stored(dataset.test, Path(folder) / "test")
        try:
            for number, part in enumerate(parts):
                posts = {arguments.backend: Post(arguments.backend, *digits)}
                if part.method:
                    posts[method_name(part)] = Post(part.method, *digits)
                train_parts(console, number, part, posts, arguments.seeds, n_threads, journal)
        finally:  # an interruption loses only the seed in progress
            print_article(console, races_of(journal.records))
            failures = print_failures(console, journal.records)
            console.print(f"Every training: {path}", soft_wrap=True, markup=False)
    return 1 if failures else 0
