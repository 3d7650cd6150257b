"""What `race`, `compare` and `calibrate` share: what is raced, agreement before it, generations until it is enough."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TextColumn, TimeElapsedColumn

import bench
import impls
from bench import UserError, description, machine, options, threads
from bench.agreement import lacks, plain, reference
from bench.cases import MINI_BATCHES, Case
from bench.journal import SCHEMA, Journal, Record
from bench.judging import TIME_LIMIT, judge
from bench.judging import Case as Judged
from bench.measuring import NEEDED, Measure, Task
from bench.plans import Order
from bench.trials import trial_of
from bench.turns import Race, run_generation
from data import Dataset, Digits
from impls.contract import COST_OF_OUTPUT, Activation, DType, Network, Output, Quantity, check_images

# A fifth of MNIST's: the shorter a round, the closer in time are those who are compared, and the more generations of
# processes there are. On a machine of two busy cores intervals were half as wide as with all 60,000.
IMAGES = 12_000
# So many images instead of all, and scaled: a round of all takes seconds, of these about as long as a round of others.
SAMPLED = {impls.REFERENCE: 500}


Verdict = Literal["agrees", "denies", "disagrees"]


class Setting(NamedTuple):
    """What is raced."""

    case: Case
    measure: Measure
    dataset: Dataset
    digits: Digits
    n_threads: int

    @property
    def images(self) -> int:
        """That a call is about: a gradient is of one batch."""
        n = len(self.digits.labels)
        return min(self.case.batch or n, n) if self.measure == "gradient" else n

    def task(self, backend: str, folder: Path) -> Task:
        """What one entrant has to do, with the digits in this folder."""
        images = self.images
        if self.measure == "round" and backend in SAMPLED:
            images = min(images, max(SAMPLED[backend], self.case.batch or 0))
        return Task(backend, self.measure, self.case, folder, images, self.n_threads)


def add_case_arguments(parser: options.Arguments, rounds: int | None) -> None:
    """The options that say what is raced. rounds: of a generation, unless said; None: it depends on what is raced."""
    add = parser.add_argument
    add(
        "--measure",
        choices=get_args(Measure),
        default="round",
        help="a round of training, one gradient, or outputs (default: %(default)s)",
    )
    add(
        "--network", type=options.sizes, default=MINI_BATCHES.network.sizes, metavar="SIZES", help="default: 784-128-10"
    )
    add("--hidden", choices=get_args(Activation), default=MINI_BATCHES.network.hidden, help="default: %(default)s")
    add("--output", choices=get_args(Output), default=MINI_BATCHES.network.output, help="default: %(default)s")
    add(
        "--batch",
        type=options.batch,
        default=MINI_BATCHES.batch,
        metavar="N",
        help="images per update, or all (default: %(default)s)",
    )
    add("--order", choices=get_args(Order), default="file", help="of the images (default: %(default)s)")
    add("--momentum", type=options.number(0, 1), default=0.0, metavar="X", help="default: %(default)s")
    add("--dtype", choices=get_args(DType), default="float32", help="default: %(default)s")
    add("--without-zeros", action="store_true", help="with every pixel that is 0 made 1, so that none can be skipped")
    add(
        "--images",
        type=options.whole_number(1),
        metavar="N",
        help=f"of the data's first (default: {IMAGES:,}, or all where there are fewer)",
    )
    add(
        "--rounds",
        type=options.whole_number(2),
        default=rounds,
        metavar="N",
        help=f"in a generation of processes (default: {rounds or 'the more backends and images, the fewer'})",
    )
    add(
        "--seed",
        type=options.whole_number(0),
        default=0,
        metavar="N",
        help="of the order of turns (default: %(default)s)",
    )
    add(
        "--results",
        type=options.output_file,
        metavar="FILE",
        help="JSON, a record a line (default: a new one in bench/results); one of the same race goes on",
    )
    options.add_data(parser)
    options.add_threads(parser)


def setting_of(arguments: argparse.Namespace, dataset: Dataset) -> Setting:
    """What the options describe. Raises UserError or ContractError where they do not go together."""
    if arguments.batch == "home":
        raise UserError("--batch home: expected a number of images, or all, as all backends race on the same plan")
    n_threads = arguments.threads or threads.cores()
    threads.request(n_threads, {})  # refused if it is beyond this machine
    network = Network(arguments.network, arguments.hidden, arguments.output, COST_OF_OUTPUT[arguments.output])
    name = "full batch" if arguments.batch is None else f"batches of {arguments.batch:,}"
    name += ", shuffled" if arguments.order == "shuffled" else ""
    name += f", Nesterov {arguments.momentum:g}" if arguments.momentum else ""
    name += ", no zeros" if arguments.without_zeros else ""
    case = replace(
        MINI_BATCHES,
        plan_name=name,
        batch=arguments.batch,
        learning_rate=0.1,  # of no consequence for the time, and small, so that agreement can be told for any network
        network=network,
        dtype=arguments.dtype,
        order=arguments.order,
        momentum=arguments.momentum,
    )
    split = dataset.test if arguments.measure == "outputs" else dataset.train
    n = arguments.images or min(IMAGES, len(split.labels))
    if n > len(split.labels):
        raise UserError(f"{n} images: expected at most {len(split.labels)}, as many as {dataset.name} has")
    images = np.maximum(split.images[:n], 1) if arguments.without_zeros else split.images[:n]
    digits = Digits(images, split.labels[:n])
    check_images(network, digits.images, digits.labels)
    if arguments.measure == "outputs" and case.batch is not None:  # which have no updates
        case = replace(case, batch=min(case.batch, n))
    return Setting(case, arguments.measure, dataset, digits, n_threads)


def results_file(asked_for: Path | None, purpose: str) -> Path:
    """Where the records go: what is asked for, or a new file in bench/results."""
    return asked_for or bench.RESULTS / f"{purpose}-{datetime.now():%Y%m%d-%H%M%S-%f}.jsonl"


def header(
    setting: Setting, number: int, purpose: str, baseline: str, entrants: dict[str, str], sources: dict[str, str]
) -> Record:
    """What holds for all records of a race. entrants: backends by entrant; sources: hashes by entrant."""
    described = machine.describe()
    key = description.key(
        setting.case.described(),
        setting.measure,
        setting.images,
        setting.n_threads,
        sources,
        setting.dataset.sha256,
        described,
    )
    return opening(setting.dataset, number, purpose, baseline, entrants, key, described)


def opening(
    dataset: Dataset,
    number: int,
    purpose: str,
    baseline: str,
    entrants: dict[str, str],
    key: dict[str, Any],
    described: dict[str, Any],
) -> Record:
    """The first record of anything that a journal keeps. described: `machine.describe()`."""
    return {
        "kind": "race",
        "race": number,
        "schema": SCHEMA,
        "purpose": purpose,
        "when": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join(["python -m bench", *sys.argv[1:]]),
        "key": key,
        "baseline": baseline,
        "entrants": entrants,
        "data": dataset.name,
        "notice": dataset.notice,
        "machine": described,
    }


def expected_of(setting: Setting) -> list[Judged]:
    """What everybody has to compute who races. Raises UserError where rounding leaves nothing to tell."""
    trial = trial_of(setting.case, setting.digits)
    return [(trial, reference(trial))]


def verdict_on(
    console: Console,
    race: Race,
    name: str,
    setting: Setting,
    expected: list[Judged],
    source: Path | None = None,
    side: str = "",
) -> Verdict:
    """Whether a backend agrees with the reference on this very case, and has what is measured. If not, it is named.

    source, side: of another revision, the folder that holds its `impls` and what it is called.
    """
    with console.status(f"{escape(name)}: agreement (the first time it may have to compile)"):
        results = judge(name, expected, TIME_LIMIT, setting.n_threads, source)
    failures = [result.failure for result in results if result.failure]
    denials = lacks(results, cast(Quantity, NEEDED[setting.measure]))
    for result in results:
        race.tell("agreement", **plain(result), **({"side": side} if side else {}))
    if failures or denials:
        of = f"{side}: " if side else ""
        console.print(f"[red]left out:[/] {escape(of + (failures + denials)[0])}", soft_wrap=True)
    return "disagrees" if failures else "denies" if denials else "agrees"


def run_generations(
    console: Console, races: Sequence[Race], journal: Journal, enough: Callable[[int, float], str | None]
) -> str:
    """Generation after generation, the races in turn, until `enough` says why; returns that.

    enough: is asked before each with the number of whole generations, the least of all races that still go on, and the
    seconds that they took, those of an earlier run included. A race of which fewer than two are left does not go on.
    """
    columns = (TimeElapsedColumn(), TextColumn("{task.description}"))
    # No refreshing beside what is measured: it would cost a per cent of a core.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        shown = progress.add_task("")
        while True:
            going_on = [race for race in races if len(race.left()) > 1]
            if not going_on:
                return "fewer than two are left"
            done = min(generations_of(journal, race.number) for race in going_on)
            why = enough(done, seconds_of(journal))
            if why:
                return why
            for race in going_on:
                of = f", race {race.number + 1}" if len(races) > 1 else ""
                progress.update(shown, description=f"generation {done + 1}{of}", refresh=True)
                run_generation(race, journal.next_generation)
            journal.next_generation += 1


def generations_of(journal: Journal, number: int) -> int:
    """How many generations of a race are whole."""
    return sum(entry["kind"] == "generation" and entry["race"] == number for entry in journal.records)


def seconds_of(journal: Journal) -> float:
    """What all generations took."""
    return float(sum(entry["seconds"] for entry in journal.records if entry["kind"] == "generation"))


def begin(journal: Journal, number: int, rounds: int, seed: int) -> Race:
    """A race that nobody has joined yet, with the failures that an earlier run of it has seen."""
    runs = sum(entry["kind"] == "run" and entry["race"] == number for entry in journal.records)
    race = Race({}, rounds, journal.record, number, runs, seed)
    race.failures |= {
        entry["entrant"]: f"{entry['entrant']}: {entry['reason']}"
        for entry in journal.records
        if entry["kind"] == "failure" and entry["race"] == number
    }
    race.tell("run", load=machine.noise().load)
    return race
