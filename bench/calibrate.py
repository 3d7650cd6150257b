"""`python -m bench calibrate`: how far can the verdicts of `compare` be trusted on this machine?

A backend races against itself, and against itself with a known share of its updates done once more. Every run of
consecutive generations as long as a comparison is one comparison: how often does it call a slowdown what is none, and
how often does it find one of 3, 5, 10 %? See bench/verdicts.py. In a report all calibrations of a machine, of the same
case and code, count together.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

import data
import impls
from bench import UserError, campaign, compare, description, options, standings
from bench.campaign import Setting
from bench.journal import Journal, Record
from bench.raced import races_of
from bench.statistics import MARGIN
from bench.turns import stored
from bench.verdicts import AGAIN, ITSELF, SLOWDOWNS, Verdicts, verdicts

BACKEND = "minibatch"
ROUNDS = 5  # of a generation: a Latin square of all five


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("--backend", default=BACKEND, metavar="NAME", help="who runs (default: %(default)s)")
    add(
        "--budget",
        type=options.number(0.001),
        default=600.0,
        metavar="SECONDS",
        help="of measuring; the longer, the narrower the intervals (default: %(default)g)",
    )
    compare.add_generations(parser)
    campaign.add_case_arguments(parser, ROUNDS)


def run(arguments: argparse.Namespace) -> int:
    """Race, then print how often the verdicts were right.

    Raises UserError for options that do not go together, UnknownBackend or BackendUnavailable for a name.
    """
    console = Console(highlight=False)
    if arguments.measure != "round":
        raise UserError(f"--measure {arguments.measure}: expected round, as a slowdown is more updates of it")
    setting = campaign.setting_of(arguments, data.load(arguments.data))
    impls.check(arguments.backend)
    path = campaign.results_file(arguments.results, "calibrate")
    extra = {ITSELF: 0.0, AGAIN: 0.0} | SLOWDOWNS
    with tempfile.TemporaryDirectory() as folder, Journal(path, [header(setting, arguments, extra)]) as journal:
        race = campaign.begin(journal, 0, arguments.rounds, arguments.seed)
        expected = campaign.expected_of(setting)
        if campaign.verdict_on(console, race, arguments.backend, setting, expected) != "agrees":
            raise UserError(f"{arguments.backend}: expected one that agrees with the reference; choose another")
        task = setting.task(arguments.backend, stored(setting.digits, Path(folder) / "digits"))
        race.tasks |= {name: replace(task, again=share) for name, share in extra.items()}

        def enough(generations: int, seconds: float) -> str | None:
            if race.failures:
                return "somebody failed"
            done = generations >= arguments.generations and seconds > arguments.budget
            return f"the budget of {arguments.budget:g} s is spent" if done else None

        try:
            race.tell("end", reason=campaign.run_generations(console, [race], journal, enough))
        finally:  # an interruption costs only the generation that it hits
            (raced,) = races_of(journal.records)
            if len(raced.rounds()) >= arguments.generations:
                show(console, verdicts([raced], arguments.generations), arguments.generations)
                for line in standings.disturbances(raced):
                    console.print(f"[yellow]The machine was not quiet:[/] {line}")
            console.print(f"Every measurement: {path}", soft_wrap=True, markup=False)
    return 1 if raced.left_out else 0


def header(setting: Setting, arguments: argparse.Namespace, extra: dict[str, float]) -> Record:
    """What is known before."""
    source = description.source_of(arguments.backend)
    entrants, sources = dict.fromkeys(extra, arguments.backend), dict.fromkeys(extra, source)
    known = campaign.header(setting, 0, "calibrate", ITSELF, entrants, sources)
    return known | {"comparison": arguments.generations}


def show(console: Console, found: Sequence[Verdicts], generations: int) -> None:
    """The table."""
    table = standings.table_of("", "work", "called slower", "95 % interval", "comparisons")
    for row in found:
        interval = f"{row.interval.low:.1%} to {row.interval.high:.1%}"
        table.add_row(row.against, f"{row.work:.3f}", f"{row.share:.1%}", interval, str(row.comparisons))
    console.print(table)
    console.print(
        f"Comparisons of one backend in {generations} generations, with a margin of {MARGIN:.0%}; they overlap, and "
        "counted is how many do not. Called slower: of the first row, by mistake. Several backends together are "
        "compared more strictly: fewer mistakes, and less is found."
    )
