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
from statistics import median
from typing import Any, NamedTuple, get_args

import numpy as np
from rich.console import Console
from rich.markup import escape

import data
import impls
from bench import UserError, campaign, description, machine, options, standings, statistics, threads
from bench.child import Child
from bench.journal import Journal, Record
from bench.reaching import LEAST_SEEDS, Reached, reached
from bench.recipes import QUICK, RECIPES, TARGETS, Recipe
from bench.trainings import Job, serve
from bench.turns import Entrant, Race, ask, attempt, stored
from data import Dataset
from impls.contract import DType, check_images

TIME_LIMIT = 600.0  # seconds for one training
USUAL = ("numba_sparse", "minibatch", "torch")  # who trains, where nobody is named: all of them would take long


class Outcome(NamedTuple):
    """What the trainings of one backend say of one target; seconds are wall."""

    backend: str
    reached: Reached
    seconds: float  # of a training, median over seeds
    prepare: float
    first: float  # of the first training in its process
    evaluation: float  # of the test images, median
    ratio: statistics.Ratio | None  # to the baseline


class Attempt(NamedTuple):
    """All that a file of results says of one target."""

    target: float  # share of the test images
    recipe: str  # its name
    case: dict[str, Any]  # what is trained: network, plan, batch, passes, learning_rate, dtype, ...
    baseline: str
    outcomes: list[Outcome]  # fastest backend first
    curves: dict[str, dict[str, list[float]]]  # by backend, of seed 0: seconds, passes, accuracy, each from the start
    failures: list[str]  # who failed, and why


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add(
        "--backend",
        action="append",
        metavar="NAME",
        help=f"who trains; several (default: {', '.join(USUAL)}, where available)",
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
    names = arguments.backend or [name for name in USUAL if name in impls.available()]
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
    """Every backend with every seed that is not there yet, in turns; then a curve of each."""
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
    """How the accuracy grows in a training."""
    race.tell("curve", entrant=entrant.name, **ask(race, entrant, "curve", 0))


def outcomes(records: list[Record], number: int) -> list[Outcome]:
    """What the trainings for one target say, fastest backend first."""
    mine = [entry for entry in records if entry.get("race") == number]
    (head,) = (entry for entry in mine if entry["kind"] == "race")
    trainings: dict[str, dict[int, Record]] = {name: {} for name in head["entrants"]}
    for entry in mine:
        if entry["kind"] == "training":
            trainings[entry["entrant"]][entry["generation"]] = entry
    failed = {entry["entrant"] for entry in mine if entry["kind"] == "failure"}
    seeds = sorted({seed for found in trainings.values() for seed in found})
    rounds = [[{name: found[seed]["wall"] for name, found in trainings.items() if seed in found}] for seed in seeds]
    ratios = {row.backend: row for row in statistics.ratios(rounds, head["baseline"])}
    rows = []
    for name, found in trainings.items():
        if not found or name in failed:
            continue
        begun = [entry for entry in mine if entry["kind"] == "trainer" and entry["entrant"] == name]
        costs = [math.nan if entry["cost"] is None else entry["cost"] for entry in found.values()]
        rows.append(
            Outcome(
                name,
                reached([entry["accuracy"] for entry in found.values()], costs, head["target"]),
                median(entry["wall"] for entry in found.values()),
                median(entry["prepare"]["wall"] for entry in begun),
                median(entry["first"]["wall"] for entry in begun),
                median(entry["evaluation"]["wall"] for entry in found.values()),
                ratios.get(name),
            )
        )
    return sorted(rows, key=lambda row: row.seconds)


def attempts(records: list[Record]) -> list[Attempt]:
    """What the records of `bench accuracy` say, target by target."""
    found = []
    for head in (entry for entry in records if entry["kind"] == "race"):
        number, name = head["race"], head["recipe"]
        mine = [entry for entry in records if entry["race"] == number]
        curves = {entry["entrant"]: entry for entry in mine if entry["kind"] == "curve"}
        failures = [f"{entry['entrant']}: {entry['reason']}" for entry in mine if entry["kind"] == "failure"]
        outcome = outcomes(records, number)
        found.append(Attempt(head["target"], name, head["key"], head["baseline"], outcome, curves, failures))
    return found


def show(console: Console, records: list[Record], recipes: list[tuple[float, Recipe]]) -> list[str]:
    """A table for each target; returns who failed, and why."""
    tried = attempts(records)
    for found, (_, recipe) in zip(tried, recipes, strict=True):
        show_attempt(console, found, recipe)
    failures = list(dict.fromkeys(line for found in tried for line in found.failures))
    for line in failures:
        console.print(f"[red]left out:[/] {escape(line)}", soft_wrap=True)
    console.print("Seconds: median of uninterrupted trainings; in brackets where the target was not reached.")
    return failures


def show_attempt(console: Console, found: Attempt, recipe: Recipe) -> None:
    """The table of one target."""
    console.print(f"\n[bold]{found.target:.2%}[/] by recipe {recipe.name}: {recipe}. {recipe.reason}")
    table = standings.table_of("", "mean", "99 % above", "seeds", "seconds", "ratio", "95 % interval")
    for row in found.outcomes:
        quality, ratio = row.reached, row.ratio
        table.add_row(
            escape(row.backend),
            f"{quality.mean:.2%}",
            f"{quality.lower:.2%}" if math.isfinite(quality.lower) else "unknown",
            f"{quality.above:.0%} of {quality.seeds}",
            f"{row.seconds:.4g}" if quality.counts else f"({row.seconds:.4g})",
            "1" if row.backend == found.baseline else standings.in_short(ratio.estimate) if ratio else "",
            standings.in_words(ratio.interval) if ratio and ratio.interval else "",
        )
    console.print(table)
    for row in found.outcomes:
        console.print(not_reached(row), end="", soft_wrap=True, markup=False)
    beside = ", ".join(
        f"{row.backend} {row.prepare:.2g} + {row.first:.2g} + {row.evaluation:.2g} s" for row in found.outcomes
    )
    console.print(f"Ratio: to {found.baseline}. Preparation + first training + evaluation: {beside}.", markup=False)


def not_reached(row: Outcome) -> str:
    """Why a target does not count as reached; "" where it does."""
    found = row.reached
    lines = ""
    if found.diverged:
        lines += f"{row.backend}: {found.diverged} of {found.seeds} seeds diverged.\n"
    if found.counts:
        return lines
    if found.seeds < LEAST_SEEDS:
        return lines + f"{row.backend}: {found.seeds} seeds; a target counts as reached from {LEAST_SEEDS} on.\n"
    return lines + f"{row.backend}: not reached; mean {found.mean:.2%}, best of {found.seeds} seeds {found.best:.2%}.\n"
