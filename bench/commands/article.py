"""`python -m bench article`: the article's experiments again, its figures beside ours.

Each experiment is trained with several seeds by one quick backend. Beside it the article's own method (`vectorized`,
or `naive`, in float64) trains as many rounds, up to 50, spread over the seeds, taking turns with the other: that is
where times come from. --grid: which other settings could be the article's. --relu: why ReLU lost, one factor at a time.
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
    METHOD_DTYPE,
    MOST_SEEDS,
    article_header,
    method_name,
    parts_of,
    train_parts,
)
from bench.records.journal import Journal, results_file
from bench.records.races import races_of
from bench.tables.article import sections_of_article
from bench.tables.table import print_left_out, print_sections
from bench.timing import threads
from bench.timing.session import stored
from bench.training.article_worker import Post
from bench.workloads.article import EXPERIMENTS
from impls.contract import check_images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--grid", action="store_true", help="try other settings that could be the article's")
    which.add_argument("--relu", action="store_true", help="why ReLU lost: one factor at a time")
    add = parser.add_argument
    names = ", ".join(f"'{row.name}'" for row in EXPERIMENTS)
    add("--experiment", action="append", metavar="NAME", help=f"several; of {names} (default: all)")
    add("--backend", default=BACKEND, metavar="NAME", help="who trains every seed, in float32 (default: %(default)s)")
    add("--seeds", type=options.whole_number(1), default=5, metavar="N", help="of weights (default: %(default)s)")
    add("--results", type=options.output_file, metavar="FILE", help="as for race; one of the same trainings goes on")
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, print tables; 1 if anybody failed. Raises UserError for what cannot be."""
    console = Console(highlight=False)
    dataset = data.load(arguments.data)
    if dataset.notice and arguments.data == "auto":
        raise UserError(f"{dataset.name}: expected MNIST, of which the article is; give --data to train on these")
    if dataset.notice:
        console.print(dataset.notice)
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
    path = results_file(arguments.results, parts[0].purpose)
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        digits = stored(dataset.train, Path(folder) / "train"), stored(dataset.test, Path(folder) / "test")
        try:
            for number, part in enumerate(parts):
                posts = {arguments.backend: Post(arguments.backend, "float32", *digits)}
                if part.method:
                    posts[method_name(part)] = Post(part.method, METHOD_DTYPE, *digits)
                train_parts(console, number, part, posts, arguments.seeds, n_threads, journal)
        finally:  # an interruption costs only the seed that it hits
            print_sections(console, sections_of_article(races_of(journal.records)))
            failures = [f"{one['participant']}: {one['reason']}" for one in journal.records if one["kind"] == "failure"]
            print_left_out(console, failures)
            console.print(f"Every training: {path}", soft_wrap=True, markup=False)
    return 1 if failures else 0
