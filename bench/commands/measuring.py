"""What the commands that measure share: a race as options describe it, and running races or trainings to their end."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
from rich.console import Console

import temporary
from bench import UserError
from bench.analysis import calibrate
from bench.analysis.race import neighbours
from bench.commands import options
from bench.experiments.generations import Budget, run_generations
from bench.experiments.race import IMAGES, RaceSetup, admit
from bench.experiments.trainings import Trainings, digits_for, train_all
from bench.experiments.workers.executors import Workers, workers
from bench.experiments.workers.sweep import train_on_workers
from bench.records.journal import Journal, results_file
from bench.records.kinds import End, Race
from bench.records.races import RaceResult, races_of
from bench.tables.race import so_far
from bench.tables.table import Section, plural, print_left_out, print_line, print_sections
from bench.timing import threads
from bench.timing.records import Generation
from bench.timing.session import Session
from bench.timing.worker import Measure
from bench.workloads.cases import MINI_BATCHES, drawn, gently
from command_line import Option, number, whole_number
from data import Dataset, Digits
from impls.contract import COST_OF_OUTPUT, Network, check_images

N_IMAGES = Option("--images N", "Use N images, drawn at random but the same every time", whole_number(1))
ROUNDS = Option("--rounds N", "Measure each backend this often in a generation, a set of processes", whole_number(2))
GENERATIONS = Option("--generations N", "Compare over this many generations of fresh processes", whole_number(2),
                     calibrate.GENERATIONS)  # fmt: skip
BUDGET = Option("--budget SECONDS", "Measure for this many seconds, in as many generations as they have room for",
                number(0.001), 600)  # fmt: skip


def race_options(rounds: int | None) -> tuple[Option, ...]:
    """The options of a race. rounds: the default number per generation; None: it depends on the race."""
    many = None if rounds else "the more backends and images, the fewer"
    return (
        Option("--measure", "Time this: an epoch of training, one gradient, or the outputs",
               get_args(Measure), "epoch"),
        options.NETWORK,
        options.HIDDEN,
        options.OUTPUT_ACTIVATION,
        Option("--batch N", "Update after this many images, or all", options.batch, MINI_BATCHES.batch),
        options.ORDER,
        options.MOMENTUM,
        options.DTYPE,
        Option("--nonzero-pixels", "Set every zero pixel to 1, so that no backend can skip any", without="as they are"),
        N_IMAGES._replace(without=f"{IMAGES:,}, or all where there are fewer"),
        ROUNDS._replace(default=rounds, without=many),
        Option("--seed N", "Draw the measuring order from this seed", whole_number(0), 0),
        *options.COMMON,
    )  # fmt: skip


def race_setup(arguments: argparse.Namespace, dataset: Dataset) -> RaceSetup:
    """Return the race that the options describe. Raises UserError or ContractError where they do not combine."""
    if arguments.batch == "default":
        raise UserError("--batch default: expected a number of images, or all, as all backends race on the same plan")
    n_threads = arguments.threads or threads.cores()
    threads.check(n_threads)  # raises UserError for more threads than cores
    output = arguments.output_activation
    sizes = options.layer_sizes(arguments, dataset.classes)
    network = Network(sizes, arguments.hidden, output, COST_OF_OUTPUT[output])
    name = "full batch" if arguments.batch is None else f"batches of {arguments.batch:,}"
    name += ", shuffled" if arguments.order == "shuffled" else ""
    name += f", Nesterov {arguments.momentum:g}" if arguments.momentum else ""
    name += ", all pixels non-zero" if arguments.nonzero_pixels else ""
    given = {part: getattr(arguments, part) for part in ("batch", "order", "momentum", "dtype")}
    # A small rate, so that agreement can be checked for any network.
    case = replace(MINI_BATCHES, name=name, network=network, learning_rate=0.1, **given)
    split = dataset.test if arguments.measure == "outputs" else dataset.train
    n = arguments.images or min(IMAGES, len(split.labels))
    if n > len(split.labels):
        raise UserError(f"{n} images: expected at most {len(split.labels)}, as many as {dataset.name} has")
    digits = drawn(split, n)
    if arguments.nonzero_pixels:
        digits = digits._replace(images=np.maximum(digits.images, 1))
    check_images(network, digits.images, digits.labels)
    if arguments.measure == "outputs" and case.batch is not None:  # outputs have no updates
        case = replace(case, batch=min(case.batch, n))
    return RaceSetup(gently(case, n), arguments.measure, dataset, digits, n_threads)


def race_setups(points: Sequence[argparse.Namespace], dataset: Dataset) -> list[RaceSetup]:
    """Return the races that these options describe; those of the same images share them. Raises as `race_setup`."""
    settings, kept = [], dict[tuple[int, bool], Digits]()
    for point in points:
        setting = race_setup(point, dataset)
        images = len(setting.digits.labels), point.nonzero_pixels
        settings.append(setting._replace(digits=kept.setdefault(images, setting.digits)))
    return settings


def measure(
    console: Console,
    path: Path,
    headers: Sequence[Race],
    begin: Callable[[Journal, Path], list[Session]],
    enough: Callable[[Journal, int], str | None],
    show: Callable[[list[RaceResult]], None] | None = None,
    budget: Budget | None = None,
    told: Callable[[RaceResult], str] | None = None,
) -> list[RaceResult]:
    """Run generations of the races of these headers; return the results in the file, those of earlier runs included.

    begin: returns the races that can start; it gets a folder for the digits. enough: as in `run_generations`, after the
    journal. show: prints the results, also after an interruption, which loses only the generation in progress. told:
    the line that is printed after each generation of a race.
    """
    noticed = set[str]()  # what was told of other processes

    def tell(number: int) -> None:
        race = next(race for race in races_of(journal.records) if race.number == number)
        if told:
            print_line(console, told(race), soft_wrap=True)
        if (line := neighbours(race)) and line.partition(":")[0] not in noticed:
            noticed.add(line.partition(":")[0])
            print_line(console, f"{line[0].upper()}{line[1:]}.")
        console.file.flush()  # also where it is a pipe

    with Journal(path, headers) as journal, temporary.folder() as folder:
        if journal.next_generation:
            done = len(journal.of(Generation))
            console.print(f"continuing after {plural(done, 'generation')} in {path}", soft_wrap=True, markup=False)
        try:
            races = begin(journal, folder)
            why = run_generations(console, races, journal, lambda done: enough(journal, done), budget, tell)
            for race in races:
                race.add(End, reason=why)
        finally:
            if show:
                show(races_of(journal.records))
            console.print(f"Every measurement: {path}", soft_wrap=True, markup=False)
    return races_of(journal.records)


def race_and_print(
    console: Console,
    arguments: argparse.Namespace,
    settings: Sequence[RaceSetup],
    names: list[str],
    headers: Sequence[Race],
    sections: Callable[[list[RaceResult]], list[Section]],
    enough: Callable[[Journal, int], str | None] = lambda *_: None,
) -> int:
    """Race these backends in each setting until the budget is spent, and print these sections of the results.

    arguments: the command's, with all that `admit` needs. enough: as in `measure`, to end before. Returns 1 if a
    backend failed or disagreed, else 0.
    """

    def begin(journal: Journal, folder: Path) -> list[Session]:
        return admit(console, arguments, settings, names, journal, folder)

    def told(race: RaceResult) -> str:
        return so_far(race, settings[race.number].label)

    def show(raced: list[RaceResult]) -> None:
        print_sections(console, sections(raced))
        print_left_out(console, (line for race in raced for line in race.left_out.values()))

    path = results_file(arguments.output, headers[0].purpose)
    tell = told if settings[0].label else None  # a single race has none
    raced = measure(console, path, headers, begin, enough, show, Budget(arguments.budget), tell)
    return 1 if any(one.left_out for one in raced) else 0


def train_and_print(
    arguments: argparse.Namespace,
    trainings_on: Callable[[Dataset], Sequence[Trainings]],
    sections: Callable[[list[RaceResult]], list[Section]],
) -> int:
    """Train all that the file of --output lacks, and print these sections of its results, also after an interruption.

    Returns 1 if a participant failed, else 0. Raises UserError or ContractError for digits that do not fit a recipe.
    """
    console = Console(highlight=False)
    dataset = digits_for(console, arguments.data)
    several = trainings_on(dataset)

    def show(races: list[RaceResult]) -> None:
        print_sections(console, sections(races))

    if getattr(arguments, "workers", None) is None:
        return train_all(console, arguments, dataset, several, show)
    if arguments.python:
        raise UserError("--python: with --workers a backend runs in the worker's own environment; drop one of the two")
    with workers_of(arguments) as found:
        train = partial(train_on_workers, found=found, source=arguments.data)
        return train_all(console, arguments, dataset, several, show, train)


@contextmanager
def workers_of(arguments: argparse.Namespace) -> Iterator[Workers]:
    """Within the `with`, the workers of --workers, for tasks of one thread, unless --threads says otherwise."""
    arguments.threads = arguments.threads or 1  # seeds share the cores better than threads do
    with workers(arguments.workers, arguments.threads) as found:
        yield found
