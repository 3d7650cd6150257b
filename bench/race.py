"""`python -m bench race`: backends measured against one another, taking turns, each in a process of its own."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape

import data
import impls
from bench import UserError, campaign, description, options, standings, statistics
from bench.campaign import Setting
from bench.cold import first_call
from bench.journal import Journal, Record
from bench.measuring import FLOOR
from bench.raced import races_of
from bench.turns import Race, stored

BASELINE = "vectorized"
TURNS = 60  # of IMAGES each in a generation: of four backends and the floor, two thirds of its time are measured
LEAST_ROUNDS, MOST_ROUNDS = 6, 24  # of a generation, however long or short a turn
LEAST_GENERATIONS = 3  # whatever the budget: intervals are across generations


class Sweep(NamedTuple):
    """What grows, and its values."""

    name: str
    values: list[int | None]


def sweep(text: str) -> Sweep:
    """One option's several values, like "batch=32,128,all"."""
    name, _, values = text.partition("=")
    if name not in SWEPT or not values:
        raise argparse.ArgumentTypeError(f"{text!r}: expected {'=…, '.join(SWEPT)}=…, such as batch=32,128,1000")
    one = options.whole_number(1)
    found = [None if name == "batch" and value == "all" else one(value) for value in values.split(",")]
    if len(set(found)) < max(2, len(found)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected at least two values, each once")
    return Sweep(name, found)


SWEPT = ("batch", "hidden", "images", "threads")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add(
        "--backend",
        action="append",
        metavar="NAME",
        help="who runs; may be given several times (default: all available)",
    )
    add("--baseline", default=BASELINE, metavar="NAME", help="whom the others are compared with (default: %(default)s)")
    add(
        "--budget",
        type=options.number(0.001),
        default=75.0,
        metavar="SECONDS",
        help="of measuring, to stop after, at the end of a generation (default: %(default)g)",
    )
    add(
        "--precision",
        type=options.number(0.0001),
        default=0.03,
        metavar="X",
        help="to stop when all ratios are known to that share (default: %(default)g)",
    )
    add("--sweep", type=sweep, metavar="WHAT=A,B", help=f"race at each value; of {', '.join(SWEPT)}")
    add("--cold", action="store_true", help="measure first calls without any compiled code on disk, too")
    campaign.add_case_arguments(parser, None)


def run(arguments: argparse.Namespace) -> int:
    """Check, race, print a table; 1 if anybody was left out for a fault, else 0.

    Raises UserError for options that do not go together, UnknownBackend or BackendUnavailable for a name.
    """
    console = Console(highlight=False)
    dataset = data.load(arguments.data)
    settings = [campaign.setting_of(point, dataset) for point in points(arguments)]
    names = list(dict.fromkeys([*(arguments.backend or impls.available()), arguments.baseline]))
    for name in names:
        impls.check(name)
    sweep = arguments.sweep.name if arguments.sweep else None
    headers = [header(setting, number, arguments.baseline, names, sweep) for number, setting in enumerate(settings)]
    check_sweep(headers)
    path = campaign.results_file(arguments.results, "race")
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        if journal.next_generation:
            done = sum(campaign.generations_of(journal, number) for number in range(len(headers)))
            console.print(f"going on after {done} generations in {path}", soft_wrap=True, markup=False)
        try:
            races = [
                admitted(console, arguments, number, setting, names, journal, Path(folder))
                for number, setting in enumerate(settings)
            ]
            why = campaign.run_generations(console, races, journal, lambda *so_far: enough(arguments, journal, *so_far))
            for race in races:
                race.tell("end", reason=why)
        finally:  # an interruption costs only the generation that it hits
            show(console, journal.records)
            console.print(f"Every measurement: {path}", soft_wrap=True, markup=False)
    return 1 if any(race.left_out for race in races_of(journal.records)) else 0


def points(arguments: argparse.Namespace) -> list[argparse.Namespace]:
    """The options for each value of the sweep; as they are, if there is none."""
    if arguments.sweep is None:
        return [arguments]
    name, values = arguments.sweep
    if name == "hidden":  # the units of all hidden layers
        first, *hidden, last = arguments.network
        if not hidden:
            raise UserError("--sweep hidden: expected a network with a hidden layer; give one with --network")
        name, values = "network", [(first, *[value] * len(hidden), last) for value in values]
    return [argparse.Namespace(**vars(arguments) | {name: value}) for value in values]


def header(setting: Setting, number: int, baseline: str, names: list[str], sweep: str | None = None) -> Record:
    """What is known before the race."""
    sources = {name: description.source_of(name) for name in names}
    entrants = {name: name for name in (*names, FLOOR)}
    return campaign.header(setting, number, "race", baseline, entrants, sources) | {"sweep": sweep}


def check_sweep(headers: list[Record]) -> None:
    """Raise UserError for two values that come to the same, such as all images and their number."""
    sizes = [standings.size_of(entry["key"], entry["sweep"]) for entry in headers if entry["sweep"]]
    if len(set(sizes)) < len(sizes):
        raise UserError(f"--sweep: expected values that differ, found {', '.join(map(str, sizes))}; leave one out")


def admitted(
    console: Console,
    arguments: argparse.Namespace,
    number: int,
    setting: Setting,
    names: list[str],
    journal: Journal,
    folder: Path,
) -> Race:
    """The race of those who agree, and the floor."""
    case = setting.case
    console.print(
        f"{case.network}, {case.dtype}, {case.plan_name}, {setting.images:,} images, {setting.n_threads} threads. "
        f"{setting.dataset.notice or setting.dataset.name}"
    )
    rounds = arguments.rounds or rounds_of(len(names) + 1, setting.images)
    race = campaign.begin(journal, number, rounds, arguments.seed)
    expected = campaign.expected_of(setting)
    verdicts = {name: campaign.verdict_on(console, race, name, setting, expected) for name in names}
    if verdicts[arguments.baseline] != "agrees":
        raise UserError(f"{arguments.baseline}, with whom to compare, is left out; give another --baseline")
    digits = stored(
        setting.digits, folder / f"{len(setting.digits.labels)} images{', no zeros' * arguments.without_zeros}"
    )
    agreeing = [name for name in names if verdicts[name] == "agrees"]
    race.tasks |= {name: setting.task(name, digits) for name in (*agreeing, FLOOR)}
    there = {entry["entrant"] for entry in journal.records if entry["kind"] == "cold" and entry["race"] == number}
    if arguments.cold:
        for name in (name for name in agreeing if name not in there):
            with console.status(f"{escape(name)}: a first call with nothing compiled"):
                first_call(race, name)
    if arguments.baseline in race.failures:
        raise UserError(f"{race.failures[arguments.baseline]}; give another --baseline to compare with")
    return race


def rounds_of(entrants: int, images: int) -> int:
    """Rounds of a generation, unless said: as many as come to TURNS, more if short and fewer if long, within limits."""
    return min(max(LEAST_ROUNDS, TURNS * campaign.IMAGES // (entrants * images)), MOST_ROUNDS)


def enough(arguments: argparse.Namespace, journal: Journal, generations: int, seconds: float) -> str | None:
    """Why to stop: all ratios are precise, or the budget is spent."""
    found = races_of(journal.records)
    if all(statistics.precise(race.rounds(), race.baseline, arguments.precision) for race in found):
        return f"all ratios are known to {arguments.precision:.1%}"
    if generations >= LEAST_GENERATIONS and seconds > arguments.budget:
        return f"the budget of {arguments.budget:g} s is spent"
    return None


def show(console: Console, records: Sequence[Record]) -> None:
    """What has been measured so far."""
    races = races_of(records)
    for race in races:
        key = race.key
        if race.sweep:
            console.rule(
                f"{key['network']}, {key['plan']}, {key['images']:,} images, {key['threads']} threads", align="left"
            )
        if race.rounds():
            standings.show(console, race, looked=True)
        else:
            standings.show_left_out(console, race)
    measured = [race for race in races if race.sweep and race.rounds()]
    if len(measured) > 1:
        standings.show_growth(console, measured)
