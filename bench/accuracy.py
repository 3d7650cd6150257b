"""`python -m bench accuracy`: the time to a common accuracy, over seeds.

A target is reached by a recipe of fixed length if the mean accuracy of its networks over ten seeds or more, on test
images that played no part in choosing it, is above the target with 99 % confidence (one-sided). Then the uninterrupted
time of a training counts. Backends train from the same seeds in turns, each in a process of its own.
"""

import argparse
import math
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import numpy as np
from rich.console import Console
from rich.markup import escape

import data
import impls
from bench import UserError, campaign, description, machine, options, standings, threads
from bench.child import Child
from bench.journal import Journal, Record
from bench.outcomes import Outcome, outcomes
from bench.raced import Raced, races_of
from bench.reaching import LEAST_SEEDS
from bench.recipes import QUICK, RECIPES, TARGETS, Recipe
from bench.trainings import Job, serve
from bench.turns import Entrant, Race, ask, attempt, stored
from data import Dataset
from impls.contract import DType, check_images

TIME_LIMIT = 600.0  # seconds for one training
CURVES = 3  # seeds of which a curve is drawn
LONG = 2.0  # seconds of a training after which one curve is enough
FASTEST = "numba_sparse"
COMPARED = ("torch", "minibatch")  # with the first of these that is available, where nobody is named: all take long


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add(
        "--backend",
        action="append",
        metavar="NAME",
        help=f"who trains; several (default: {FASTEST}, and {COMPARED[0]}, or without that {COMPARED[1]})",
    )
    add("--baseline", metavar="NAME", help="whom the others are compared with (default: the first that trains)")
    add(
        "--target",
        action="append",
        type=options.number(0, 100),
        metavar="PERCENT",
        help="of the test images; several (default: each recipe's own)",
    )
    aims = ", ".join(f"{name} ({100 * target:g} %%)" for name, target in TARGETS.items())
    add(
        "--recipe",
        action="append",
        choices=RECIPES,
        metavar="NAME",
        help=f"several, of {aims} (default: {', '.join(QUICK)}, or those for the targets)",
    )
    add(
        "--seeds",
        type=options.whole_number(1),
        default=LEAST_SEEDS,
        metavar="N",
        help="of weights and orders (default: %(default)s, the fewest that count)",
    )
    add("--dtype", choices=get_args(DType), default="float32", help="default: %(default)s")
    add("--results", type=options.output_file, metavar="FILE", help="as for race; one of the same trainings goes on")
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, print a table; 1 if anybody failed. Raises UserError for what cannot be."""
    console = Console(highlight=False)
    recipes = chosen(arguments)
    dataset = digits_for(console, arguments.data, [recipe for _, recipe in recipes])
    names = arguments.backend or [FASTEST, next(name for name in COMPARED if name in impls.available())]
    for name in names:
        impls.check(name)
    n_threads = arguments.threads or threads.cores()
    headers = [
        header(
            dataset,
            number,
            target,
            recipe,
            arguments.dtype,
            {name: name for name in names},
            n_threads,
            arguments.baseline,
        )
        for number, (target, recipe) in enumerate(recipes)
    ]
    path = campaign.results_file(arguments.results, "accuracy")
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        stored(dataset.train, Path(folder) / "train")
        stored(dataset.test, Path(folder) / "test")
        try:
            for number, (_, recipe) in enumerate(recipes):
                jobs = {
                    name: Job(name, recipe, arguments.dtype, Path(folder) / "train", Path(folder) / "test", n_threads)
                    for name in names
                }
                train_all(console, number, jobs, arguments.seeds, journal)
        finally:  # an interruption costs only the seed that it hits
            failures = show(console, journal.records, recipes)
            console.print(f"Every training: {path}", soft_wrap=True, markup=False)
    return 1 if failures else 0


def digits_for(console: Console, source: str, recipes: list[Recipe]) -> Dataset:
    """The data. Raises UserError or ContractError if it is not MNIST and nobody asked for it, or a recipe cannot be."""
    dataset = data.load(source)
    if dataset.notice:
        if source == "auto":
            raise UserError(f"{dataset.name}: expected MNIST, for which the recipes are; give --data to train on these")
        console.print(dataset.notice)
    for recipe in recipes:
        check_images(recipe.network, dataset.train.images[:1], dataset.train.labels[:1])
        recipe.plan(len(dataset.train.labels), seed=0)
    return dataset


def chosen(arguments: argparse.Namespace) -> list[tuple[float, Recipe]]:
    """Targets, each with a recipe for it. Raises UserError for a target that has none."""
    targets = [percent / 100 for percent in arguments.target or ()]
    if not targets:
        return [(TARGETS[name], RECIPES[name]) for name in arguments.recipe or QUICK]
    if arguments.recipe:
        return [(target, RECIPES[name]) for name in arguments.recipe for target in targets]
    return [(target, recipe_for(target)) for target in targets]


def recipe_for(target: float) -> Recipe:
    """The quickest for it. Raises UserError where there is none."""
    for name in QUICK:
        if math.isclose(TARGETS[name], target):
            return RECIPES[name]
    known = ", ".join(f"{100 * TARGETS[name]:g}" for name in QUICK)
    raise UserError(f"--target {100 * target:g}: expected one of {known}, or a --recipe for it")


def header(
    dataset: Dataset,
    number: int,
    target: float,
    recipe: Recipe,
    dtype: str,
    entrants: dict[str, str],
    n_threads: int,
    baseline: str | None = None,
    purpose: str = "accuracy",
) -> Record:
    """What is known before the trainings for one target. entrants: backends by entrant."""
    sources = {name: description.source_of(backend) for name, backend in entrants.items()}
    described = machine.describe()
    case = recipe.described() | {"dtype": dtype}
    n = len(dataset.train.labels)
    key = description.key(case, "training", n, n_threads, sources, dataset.sha256, described)
    baseline = baseline or next(iter(entrants))
    opening = campaign.opening(dataset, number, purpose, baseline, entrants, key, described)
    return opening | {"target": target, "recipe": recipe.name}


def train_all(console: Console, number: int, jobs: dict[str, Job], seeds: int, journal: Journal) -> None:
    """Every backend with every seed that is not there yet, in turns; then curves of each."""
    race = campaign.begin(journal, number, rounds=1, seed=0)
    race.time_limit = TIME_LIMIT
    there = {
        entry["generation"] for entry in journal.records if entry["kind"] == "generation" and entry["race"] == number
    }
    missing = [seed for seed in range(seeds) if seed not in there]
    if not missing:
        return
    rng = np.random.default_rng(number)
    with ExitStack() as stack, console.status("", refresh_per_second=1) as status:  # beside what is timed
        entrants = []
        for name, job in jobs.items():
            if name not in race.failures:
                entrant = Entrant(name, stack.enter_context(Child(serve, n_threads=job.n_threads)))
                status.update(f"{job.recipe.name}: {escape(name)} prepares and compiles")
                attempt(race, None, begin, entrant, job)
                entrants.append(entrant)
        for seed in missing:
            status.update(f"{next(iter(jobs.values())).recipe.name}: seed {seed}")
            before = time.monotonic()
            for index in rng.permutation(len(entrants)):
                attempt(race, seed, train, entrants[index], seed)
            race.tell("generation", generation=seed, seconds=time.monotonic() - before)
        if 0 in missing and not any(job.until for job in jobs.values()):  # which tell theirs
            for entrant in entrants:
                attempt(race, None, draw, entrant)


def begin(race: Race, entrant: Entrant, job: Job) -> None:
    """Import, prepare, and train for the first time."""
    ask(race, entrant, "import", job)
    race.tell("trainer", entrant=entrant.name, **ask(race, entrant, "load"))


def train(race: Race, entrant: Entrant, seed: int) -> None:
    """One training."""
    race.tell("training", generation=seed, entrant=entrant.name, **ask(race, entrant, "train", seed))


def draw(race: Race, entrant: Entrant) -> None:
    """How accuracy and cost change in the trainings of some seeds; of one where they take long."""
    for seed in range(CURVES):
        curve = ask(race, entrant, "curve", seed)
        race.tell("curve", entrant=entrant.name, seed=seed, **curve)
        if curve["seconds"][-1] > LONG:
            return


def show(console: Console, records: list[Record], recipes: list[tuple[float, Recipe]]) -> list[str]:
    """A table for each target; returns who failed, and why."""
    races = races_of(records)
    for race, (_, recipe) in zip(races, recipes, strict=True):
        show_target(console, race, recipe)
    failures = list(dict.fromkeys(line for race in races for line in race.left_out.values()))
    for line in failures:
        console.print(f"[red]left out:[/] {escape(line)}", soft_wrap=True)
    console.print("Seconds: median of uninterrupted trainings; in brackets where the target was not reached.")
    return failures


def show_target(console: Console, race: Raced, recipe: Recipe) -> None:
    """The table of one target."""
    found = outcomes(race)
    console.print(f"\n[bold]{race.target:.2%}[/] by recipe {recipe.name}: {recipe}. {recipe.reason}")
    table = standings.table_of("", "mean", "99 % above", "seeds", "seconds", "ratio", "95 % interval")
    for row in found:
        quality, ratio = row.reached, row.ratio
        table.add_row(
            escape(row.name),
            f"{quality.mean:.2%}",
            f"{quality.lower:.2%}" if math.isfinite(quality.lower) else "unknown",
            f"{quality.above:.0%} of {quality.seeds}",
            f"{row.seconds:.4g}" if quality.counts else f"({row.seconds:.4g})",
            "1" if row.name == race.baseline else standings.in_short(ratio.estimate) if ratio else "",
            standings.in_words(ratio.interval) if ratio and ratio.interval else "",
        )
    console.print(table)
    for row in found:
        console.print(not_reached(row), end="", soft_wrap=True, markup=False)
    beside = ", ".join(f"{row.name} {row.prepare:.2g} + {row.first:.2g} + {row.evaluation:.2g} s" for row in found)
    console.print(f"Ratio: to {race.baseline}. Preparation + first training + evaluation: {beside}.", markup=False)


def not_reached(row: Outcome) -> str:
    """Why a target does not count as reached; "" where it does."""
    found = row.reached
    lines = ""
    if found.diverged:
        lines += f"{row.name}: {found.diverged} of {found.seeds} seeds diverged.\n"
    if found.counts:
        return lines
    if found.seeds < LEAST_SEEDS:
        return lines + f"{row.name}: {found.seeds} seeds; a target counts as reached from {LEAST_SEEDS} on.\n"
    return lines + f"{row.name}: not reached; mean {found.mean:.2%}, best of {found.seeds} seeds {found.best:.2%}.\n"
