"""`python -m bench article`: the article's experiments again, its figures beside ours.

Each experiment is trained with several seeds by one quick backend. Beside it the article's own method (`vectorized`,
or `naive`, in float64) trains as many rounds, up to 50, spread over the seeds, taking turns with the other: that is
where times come from. --grid: which other settings could be the article's. --relu: why ReLU lost, one factor at a time.
"""

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape

import data
import impls
from bench import UserError, campaign, description, findings, machine, options, standings, threads
from bench.child import Child
from bench.courses import Post, serve
from bench.experiments import EXPERIMENTS, GRIDS, LOOKS, RELU, RELU_DESIGN, Experiment, Grid, Screen, Setting
from bench.findings import Compared, incidents, named
from bench.journal import Journal, Record
from bench.raced import Raced, races_of
from bench.turns import Entrant, Race, ask, attempt, stored
from data import Dataset
from impls.contract import DType, check_images

TIME_LIMIT = 600.0  # seconds for one training
BACKEND = "numba_sparse"
METHOD_DTYPE: DType = "float64"
METHOD_ROUNDS = 50  # at most so many in all: enough for its time, which is scaled to all
MOST_SEEDS = 1000


class Part(NamedTuple):
    """What becomes one race of the file: settings, and what is known of them beforehand."""

    purpose: str
    settings: dict[str, Setting]  # by name
    about: dict[str, Any]  # for the header
    method: str | None = None  # a backend; None: nothing is timed
    screens: tuple[Screen, ...] = ()


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
    headers = [header(dataset, number, part, arguments, n_threads) for number, part in enumerate(parts)]
    path = campaign.results_file(arguments.results, parts[0].purpose)
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        digits = stored(dataset.train, Path(folder) / "train"), stored(dataset.test, Path(folder) / "test")
        try:
            for number, part in enumerate(parts):
                posts = {arguments.backend: Post(arguments.backend, "float32", *digits)}
                if part.method:
                    posts[method_name(part)] = Post(part.method, METHOD_DTYPE, *digits)
                train_all(console, number, part, posts, arguments.seeds, n_threads, journal)
        finally:  # an interruption costs only the seed that it hits
            show(console, races_of(journal.records))
            failures = show_failures(console, journal.records)
            console.print(f"Every training: {path}", soft_wrap=True, markup=False)
    return 1 if failures else 0


def method_name(part: Part) -> str:
    """The entrant that works as the article's program did; "" where there is none."""
    return f"{part.method}, {METHOD_DTYPE}" if part.method else ""


# --- what is trained -------------------------------------------------------------------------------------


def parts_of(arguments: argparse.Namespace) -> list[Part]:
    """What the options ask for. Raises UserError for an experiment that is not there."""
    if arguments.relu:
        if arguments.experiment:
            raise UserError("--relu with --experiment: expected one of them, as there is one such experiment; drop one")
        return [of_relu()]
    known = {grid.experiment: of_grid(grid) for grid in GRIDS} if arguments.grid else {}
    known = known or {row.name: of_row(row) for row in EXPERIMENTS}
    for name in arguments.experiment or ():
        if name not in known:
            raise UserError(f"--experiment {name!r}: expected one of {', '.join(map(repr, known))}")
    return [part for name, part in known.items() if name in (arguments.experiment or known)]


def of_row(row: Experiment) -> Part:
    """An experiment of the article."""
    about: dict[str, Any] = {
        "name": row.name,
        "shows": row.shows,
        "said": row.said,
        "seconds": row.seconds,
        "check": row.check,
    }
    figures = [figure.described() for figure in row.figures]
    about |= {"setting": str(row.setting), "rounds": row.setting.rounds, "figures": figures}
    return Part("article", {row.name: row.setting}, about, row.method)


def of_grid(grid: Grid) -> Part:
    """The settings tried for one of them."""
    figures = [figure.described() for figure in grid.figures]
    about = {"name": grid.experiment, "levels": grid.levels, "figures": figures, "screens": grid.screens}
    return Part("article-grid", {str(setting): setting for setting in grid.settings()}, about, screens=grid.screens)


def of_relu() -> Part:
    """One factor after the other."""
    settings = {f"{change.factor}: {change.to}": change.setting for change in RELU_DESIGN}
    changes = {f"{change.factor}: {change.to}": [change.factor, change.to] for change in RELU_DESIGN}
    return Part(
        "article-relu", settings, {"name": "ReLU", "setting": str(RELU), "rounds": RELU.rounds, "changes": changes}
    )


def header(dataset: Dataset, number: int, part: Part, arguments: argparse.Namespace, n_threads: int) -> Record:
    """What is known before the trainings."""
    entrants = {arguments.backend: arguments.backend}
    if part.method:
        entrants[method_name(part)] = part.method
    first = next(iter(part.settings.values()))
    settings = {name: setting.described() for name, setting in part.settings.items()}
    case = {
        "network": str(first.network),
        "sizes": list(first.sizes),
        "plan": str(first) if len(settings) == 1 else f"{len(settings)} settings",
        "batch": None,
        "dtype": "float32",
        "settings": settings,
    }
    sources = {entrant: description.source_of(backend) for entrant, backend in entrants.items()}
    described = machine.describe()
    n = len(dataset.train.labels)
    key = description.key(case, "training", n, n_threads, sources, dataset.sha256, described)
    opening = campaign.opening(dataset, number, part.purpose, arguments.backend, entrants, key, described)
    labels = {
        name: np.bincount(split.labels, minlength=first.sizes[-1]).tolist()
        for name, split in (("train", dataset.train), ("test", dataset.test))
    }
    about = part.about | {"backend": arguments.backend, "method": method_name(part), "labels": labels}
    return opening | {"about": about}


# --- the trainings ---------------------------------------------------------------------------------------


def train_all(
    console: Console, number: int, part: Part, posts: dict[str, Post], seeds: int, n_threads: int, journal: Journal
) -> None:
    """Every setting with every seed that is not there yet."""
    race = campaign.begin(journal, number, rounds=1, seed=0)
    race.time_limit = TIME_LIMIT
    with ExitStack() as stack, console.status("", refresh_per_second=1) as status:  # beside what is timed
        entrants: list[Entrant] = []
        for index, (name, setting) in enumerate(part.settings.items()):
            for seed in range(seeds):
                if next(iter(posts)) in race.failures:
                    return
                generation = MOST_SEEDS * index + seed
                if not is_there(journal, number, generation):
                    if not entrants:  # nobody is started where nothing is missing
                        entrants += started(race, posts, setting, n_threads, stack)
                    status.update(f"{part.about['name']}: {escape(name)}, seed {seed}")
                    train(race, part, name, entrants, generation, seeds)
                if was_left(journal, number, generation):
                    break


def is_there(journal: Journal, number: int, generation: int) -> bool:
    """Whether this seed of a setting is finished."""
    return any(
        entry["kind"] == "generation" and (entry["race"], entry["generation"]) == (number, generation)
        for entry in journal.records
    )


def was_left(journal: Journal, number: int, generation: int) -> bool:
    """Whether the first seed of a setting was left by a screen, so that others need not be tried."""
    return generation % MOST_SEEDS == 0 and any(
        entry["left"]
        for entry in journal.records
        if entry["kind"] == "course" and (entry["race"], entry["generation"]) == (number, generation)
    )


def started(race: Race, posts: dict[str, Post], setting: Setting, n_threads: int, stack: ExitStack) -> list[Entrant]:
    """A process for each, that has imported, prepared, and trained a round."""
    entrants = []
    for name, post in posts.items():
        if name not in race.failures:
            entrant = Entrant(name, stack.enter_context(Child(serve, n_threads=n_threads)))
            attempt(race, None, begin, entrant, post, setting)
            entrants.append(entrant)
    return entrants


def begin(race: Race, entrant: Entrant, post: Post, setting: Setting) -> None:
    """What comes before any training."""
    ask(race, entrant, "import", post)
    race.tell("trainer", entrant=entrant.name, **ask(race, entrant, "load", setting))


def train(race: Race, part: Part, name: str, entrants: list[Entrant], generation: int, seeds: int) -> None:
    """One setting with one seed, by everybody, in random order; the article's method has its share of the rounds."""
    seed, rounds = generation % MOST_SEEDS, part.settings[name].rounds
    before = time.monotonic()
    for index in np.random.default_rng([race.number, generation]).permutation(len(entrants)):
        if entrants[index].name == method_name(part):
            rounds_in_all = min(rounds, METHOD_ROUNDS)
            share = rounds_in_all // seeds + (seed < rounds_in_all % seeds)
            if share:
                attempt(race, generation, course, entrants[index], part, name, generation, share, ())
        else:
            attempt(race, generation, course, entrants[index], part, name, generation, rounds, LOOKS)
    if entrants[0].name not in race.failures:
        race.tell("generation", generation=generation, seconds=time.monotonic() - before)


def course(
    race: Race, entrant: Entrant, part: Part, name: str, generation: int, rounds: int, looks: tuple[int, ...]
) -> None:
    """One training."""
    setting, seed = part.settings[name], generation % MOST_SEEDS
    found = ask(race, entrant, "train", setting, seed, rounds, looks, part.screens)
    race.tell("course", generation=generation, entrant=entrant.name, setting=name, seed=seed, **found)


# --- what is printed -------------------------------------------------------------------------------------


def show(console: Console, races: list[Raced]) -> None:
    """The tables."""
    purpose = races[0].purpose
    if races[0].notice:
        console.print(races[0].notice)
    if purpose == "article":
        show_rows(console, races)
    elif purpose == "article-grid":
        for race in races:
            show_grid(console, race)
    else:
        show_effects(console, races[0])


def show_failures(console: Console, records: list[Record]) -> list[str]:
    """Who failed, and why; also in a seed that was not finished for that, which no table has."""
    failures = [f"{entry['entrant']}: {entry['reason']}" for entry in records if entry["kind"] == "failure"]
    for line in dict.fromkeys(failures):
        console.print(f"[red]left out:[/] {escape(line)}", soft_wrap=True)
    return failures


def show_rows(console: Console, races: list[Raced]) -> None:
    """The article's figures beside ours, what happened, and the article's times beside ours."""
    rows = findings.rows(races)
    table = standings.table_of(f"on {races[0].data_name}", "article", "least", "median", "most", "held")
    for row in rows:
        for figure in row.figures:
            table.add_row(f"{row.name}: {named(figure)}", *cells(figure))
    console.print(table)
    console.print("Held: whether the article's figure is in the range of our seeds.\n")
    for row in rows:
        console.print(f"{row.name}: {row.shows}. {row.setting}; {row.seeds} seeds.{incidents(row)}", markup=False)
    console.print()
    show_times(console, rows, races[0].about["backend"])
    found = findings.mini_batches(races)
    if found:
        needed = "never in these rounds" if found.rounds_needed is None else f"after round {found.rounds_needed}"
        console.print(
            f"Mini-batches of a 600th: a round takes {found.round_ratio:.2f} times as long as one of five updates; "
            f"after one {found.first:.2%} of the test images are right; {found.target:.2%}, what the others "
            f"reach in {found.rounds} rounds, {needed}.",
            markup=False,
        )


def show_times(console: Console, rows: list[findings.Row], backend: str) -> None:
    """Seconds of a whole training: the article's, its method's here, ours."""
    table = standings.table_of("seconds", "article", "method", "cpu", "check", "ours", "cpu", "ratio", "95 %")
    for row in rows:
        if row.times and row.method_times:
            table.add_row(
                row.name,
                "" if row.article is None else f"{row.article:g}",
                *(f"{seconds:.3g}" for seconds in (*row.method_times, row.times.wall, row.times.cpu)),
                standings.in_short(row.ratio.estimate) if row.ratio else "",
                standings.in_words(row.ratio.interval) if row.ratio and row.ratio.interval else "",
            )
    console.print(table)
    methods = "; ".join(dict.fromkeys(row.method for row in rows if row.method))
    console.print(
        f"Method: as the article's, here ({methods}), its rounds, up to 50, spread over the seeds, scaled. Ours: "
        f"{backend}, float32, the same updates, every seed. Check: of accuracy on the training images, by the method. "
        "Ratio: ours to the method, seed by seed.",
        markup=False,
    )


def cells(figure: Compared) -> list[str]:
    """What is compared: the article's, ours from least to most, and whether it lies between them."""
    share = figure.what in ("accuracy", "overflow")
    text = f"{figure.text} %" if figure.what == "accuracy" else figure.text
    if not figure.values:
        return [text, "", "", "", "no"]
    ends = min(figure.values), float(np.median(figure.values)), max(figure.values)
    ours = [f"{value:.2%}" if share else f"{value:.4g}" for value in ends]
    return [text, *ours, "yes" if figure.holds else "no"]


def show_grid(console: Console, race: Raced) -> None:
    """The settings that hold every figure of the article; those that hold most, where none does."""
    found = findings.held(race)
    if not found:
        return
    n = len(found[0].figures)
    whole = [one for one in found if one.held == n]
    tried = f"{len(found)} of {len(race.key['settings'])} settings tried, {sum(one.left for one in found)} of them left"
    console.print(f"[bold]{race.about['name']}[/]: {tried}; {len(whole)} hold all {n} figures ({race.data_name}).")
    for after, split, what, least, most in race.about["screens"]:
        line = f"Left where the {split} {what} of the first seed is not {least:g} to {most:g} after {after} rounds."
        console.print(line, soft_wrap=True)
    for one in whole or [one for one in found if one.held == found[0].held > 0]:
        console.print(f"  {one.name}; {one.seeds} seeds, {one.held} of {n} held", soft_wrap=True, markup=False)
        for figure in one.figures:
            text, *ours, _ = cells(figure)
            found_here = f"here {' / '.join(ours)}; {'held' if figure.holds else 'not held'}"
            line = f"    {named(figure)}: {text}; {found_here if figure.values else 'left before that'}"
            console.print(line, soft_wrap=True, markup=False)


def show_effects(console: Console, race: Raced) -> None:
    """What each factor brings."""
    table = standings.table_of("changed", "least", "mean", "most", "points", "95 %", "cost", "zeros")
    rows = findings.effects(race)
    for row in rows:
        table.add_row(
            f"{row.factor}: {row.to}",
            *(f"{value:.2%}" for value in (min(row.accuracies), float(np.mean(row.accuracies)), max(row.accuracies))),
            "" if row.difference is None else f"{100 * row.difference:+.1f}",
            "" if row.interval is None else " to ".join(f"{100 * end:+.1f}" for end in row.interval),
            f"{float(np.mean(row.costs)):.4f}" if row.costs else "",
            f"{row.zeros:.0%}",
        )
    console.print(table)
    for row in rows:
        if any(row.dead):
            console.print(f"{row.factor}: {row.to}: {findings.dead_of(row.dead)}.", markup=False)
        if row.diverged:
            console.print(
                f"{row.factor}: {row.to}: {row.diverged} of {len(row.accuracies)} seeds diverged.", markup=False
            )
    console.print(
        f"Base: {race.about['setting']}. Accuracy: of the test images ({race.data_name}) after {race.about['rounds']} "
        "rounds; points: of it, against the base, seed by seed. Cost: of the training images, each in its own kind. "
        "Zeros: test outputs that are exactly 0.",
        markup=False,
    )
