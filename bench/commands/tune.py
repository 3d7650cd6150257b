"""`python -m bench tune`: search for recipes on held-out training images; no test image is used.

Each seed draws weights, orders and 10,000 training images to hold out; all recipes have the same. A grid of recipes is
tried, short ones first. With --target a recipe is stopped early once it will hardly reach that on the held-out images,
or is slower than one that did; the best is the fastest of those that reach it, by the criterion of `accuracy`.

With --workers several seeds and recipes are trained at once, and their accuracies count as those of one training at a
time. Their times are not compared, so the shortest of the recipes that reach the target come first; the same command
without --workers times those, one training at a time, and says which is the fastest.
"""

import argparse
import contextlib
from typing import get_args

from rich.console import Console

import data
import impls
from bench import UserError
from bench.commands import measuring, options
from bench.experiments.trainings import digits_for
from bench.experiments.tune import BACKEND, SEEDS, Search, choose_all, key_of, recipe_grid
from bench.experiments.workers.tuning import search_on_workers
from bench.records.journal import open_alone
from bench.tables.table import print_sections
from bench.tables.tune import tuning_section
from bench.timing import threads
from bench.training.held_out import HeldOut
from bench.workloads.plans import Schedule
from command_line import Option, choice, number, several, whole_number
from data import Dataset
from impls.initialisation import INITIALISATIONS

SCHEDULES = get_args(Schedule)
OPTIONS = (
    options.one_backend("Train with this backend", BACKEND),
    Option("--target PERCENT", "Search for the fastest recipe that gets this share of the held-out images right",
           number(0, 100), without="the most accurate of each length"),
    options.NETWORK,
    Option("--members N", "Share out the hidden units among this many networks, merged when each is trained",
           whole_number(1), 1),
    Option("--init NAME", "Draw initial weights by this formula, as in `train`", INITIALISATIONS, "he_normal"),
    Option("--epochs A,B", "Try these lengths in epochs", several(number(0)), "0.125,0.25,0.5,1,2,4"),
    Option("--batch A,B", "Try these batch sizes", several(whole_number(1)), "32,64,128"),
    Option("--learning-rate A,B", "Try these learning rates", several(number(0)), "0.05,0.1,0.2,0.4"),
    Option("--momentum A,B", "Try these momenta", several(number(0)), "0.9"),
    Option("--input-dropout A,B", "Try these shares of pixels dropped", several(number(0)), "0"),
    Option("--schedule A,B", f"Try these schedules of the learning rate, of {', '.join(SCHEDULES)}",
           several(choice(SCHEDULES)), "linear"),
    options.seeds(SEEDS),
    Option("--rates-by-batch A,B", "Choose the learning rates of `study batches` for these batch sizes instead, and "
           "write them to bench/workloads/batch_sizes.json", several(whole_number(1)), without="search recipes"),
    Option("--output FILE", "Write one line per training to this file, and do not repeat those in it",
           options.records_file, without="none"),
    options.WORKERS,
    options.DATA,
    options.THREADS,
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Try all recipes, or choose learning rates, and print the best; return 1 if trainings were lost, else 0.

    Raises UserError for too few images, or options that do not combine.
    """
    console = Console(highlight=False)
    impls.check(arguments.backend)
    if arguments.rates_by_batch:
        if arguments.workers:
            raise UserError(
                "--workers: with --rates-by-batch each rate trains until the best before it has ended, one after the "
                "other; drop one of the two"
            )
        options.refuse_others(
            arguments,
            ("rates-by-batch", "backend", "data", "threads"),
            "with --rates-by-batch, which has a grid of its own",
        )
        dataset = digits_for(console, arguments.data)
        choose_all(console, impls.find(arguments.backend), dataset, arguments.rates_by_batch)
        return 0
    if arguments.workers and not arguments.output:
        raise UserError("--workers: expected a file for what ended, so that the same command continues; give --output")
    dataset = data.load(arguments.data)
    for line in dataset.lines():
        console.print(line)
    target = None if arguments.target is None else arguments.target / 100
    recipes = recipe_grid(arguments, options.layer_sizes(arguments, dataset.classes))
    with open_alone(arguments.output) if arguments.output else contextlib.nullcontext():
        key, n_threads = key_of(arguments.backend, dataset), arguments.threads or threads.cores()
        search = Search(dataset, recipes, arguments.seeds, target, key, n_threads, arguments.output)
        try:
            return 1 if search_as_asked(console, arguments, search, dataset) else 0
        finally:
            trained = {str(recipe): search.trainings(recipe) for recipe in recipes}
            print_sections(console, [tuning_section(trained, recipes, arguments.seeds, target)])


def search_as_asked(console: Console, arguments: argparse.Namespace, search: Search, dataset: Dataset) -> int:
    """Train what the search lacks, on workers or in this process; return how many trainings were lost."""
    if arguments.workers:
        with measuring.workers_of(arguments) as found:
            return search_on_workers(
                console, search, arguments.backend, dataset, arguments.threads, found, arguments.data
            )
    held_out = HeldOut(impls.find(arguments.backend), dataset.train)
    with console.status("") as status:
        for number, recipe in enumerate(search.recipes, start=1):
            status.update(f"{number} of {len(search.recipes)}: {recipe}")
            search.attempt(recipe, held_out)
    return 0
