"""`python -m bench calibrate`: how far can the verdicts of `compare` be trusted on this machine?

A backend races against itself, and against itself with a known share of its updates done once more. Every run of
consecutive generations as long as a comparison is one comparison: how often does it call a slowdown what is none, and
how often does it find one of 3, 5, 10 %? See bench/verdicts.py. In a report all calibrations of a machine, of the same
case and code, count together.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console

import data
import impls
from bench import UserError
from bench.analysis.calibrate import AGAIN, ITSELF, SLOWDOWNS
from bench.commands import options
from bench.commands.compare import add_generations
from bench.experiments.calibrate import BACKEND, ROUNDS, calibration_header
from bench.experiments.race import begin_race, expected_of, run_generations, verdict_on
from bench.records.journal import Journal, results_file
from bench.records.races import races_of
from bench.tables.calibrate import calibration_sections
from bench.tables.table import print_sections
from bench.timing.session import stored


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
    add_generations(parser)
    options.add_case_arguments(parser, ROUNDS)


def run(arguments: argparse.Namespace) -> int:
    """Race, then print how often the verdicts were right.

    Raises UserError for options that do not go together, UnknownBackend or BackendUnavailable for a name.
    """
    console = Console(highlight=False)
    if arguments.measure != "epoch":
        raise UserError(f"--measure {arguments.measure}: expected round, as a slowdown is more updates of it")
    setting = options.race_setup(arguments, data.load(arguments.data))
    impls.check(arguments.backend)
    path = results_file(arguments.results, "calibrate")
    extra = {ITSELF: 0.0, AGAIN: 0.0} | SLOWDOWNS
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal(path, [calibration_header(setting, arguments, extra)]) as journal,
    ):
        race = begin_race(journal, 0, arguments.rounds, arguments.seed)
        expected = expected_of(setting)
        if verdict_on(console, race, arguments.backend, setting, expected) != "agrees":
            raise UserError(f"{arguments.backend}: expected one that agrees with the reference; choose another")
        task = setting.task(arguments.backend, stored(setting.digits, Path(folder) / "digits"))
        race.tasks |= {name: replace(task, again=share) for name, share in extra.items()}

        def enough(generations: int, seconds: float) -> str | None:
            if race.failures:
                return "somebody failed"
            done = generations >= arguments.generations and seconds > arguments.budget
            return f"the budget of {arguments.budget:g} s is spent" if done else None

        try:
            race.tell("end", reason=run_generations(console, [race], journal, enough))
        finally:  # an interruption costs only the generation that it hits
            (raced,) = races_of(journal.records)
            if len(raced.rounds()) >= arguments.generations:
                print_sections(console, calibration_sections([raced]))
            console.print(f"Every measurement: {path}", soft_wrap=True, markup=False)
    return 1 if raced.left_out else 0
