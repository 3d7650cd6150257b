"""`python -m bench calibrate`: how far can the verdicts of `compare` be trusted on this machine?

A backend races against itself, and against itself with a known fraction of its updates repeated. Every sequence of
consecutive sets of processes, as many as a comparison takes, is one comparison: how often does it report a slowdown
where there is none, and how often does it find one of 3, 5 or 10 %? A report pools all calibrations of one machine,
case and code.
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
from bench.experiments.agree import posed
from bench.experiments.race import agreeing, begin_race, run_generations
from bench.records.journal import Journal, results_file
from bench.records.kinds import End
from bench.records.races import races_of
from bench.tables.compare import calibration_sections
from bench.tables.table import print_sections
from bench.timing.session import stored

BACKEND = "minibatch"
ROUNDS = 5  # of a generation: a Latin square of all five


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    options.add_backend(parser, "Race this backend against itself", BACKEND)
    options.add_budget(parser, 600.0)
    options.add_generations(parser)
    options.add_case_arguments(parser, ROUNDS)


def run(arguments: argparse.Namespace) -> int:
    """Race, then print how often the verdicts were right; return 1 if a side failed, else 0.

    Raises UserError for options that do not combine, UnknownBackend or BackendUnavailable for a name.
    """
    console = Console(highlight=False)
    if arguments.measure != "epoch":
        raise UserError(f"--measure {arguments.measure}: expected epoch, as a slowdown is more updates of it")
    setting = options.race_setup(arguments, data.load(arguments.data))
    impls.check(arguments.backend)
    path = results_file(arguments.output, "calibrate")
    extra = {ITSELF: 0.0, AGAIN: 0.0} | SLOWDOWNS
    participants = dict.fromkeys(extra, arguments.backend)
    header = setting.header(0, "calibrate", participants, baseline=ITSELF, comparison=arguments.generations)
    with tempfile.TemporaryDirectory() as folder, Journal(path, [header]) as journal:
        race = begin_race(journal, 0, arguments.rounds, arguments.seed)
        if not agreeing(console, {arguments.backend: race}, setting, [posed(setting.case, setting.digits)]):
            raise UserError(f"{arguments.backend}: expected a backend that agrees with the reference; choose another")
        task = setting.task(arguments.backend, stored(setting.digits, Path(folder) / "digits"))
        race.tasks |= {name: replace(task, again=share) for name, share in extra.items()}

        def enough(generations: int, seconds: float) -> str | None:
            if race.failures:
                return "one side failed"
            done = generations >= arguments.generations and seconds > arguments.budget
            return f"the budget of {arguments.budget:g} s is spent" if done else None

        try:
            race.tell(End, reason=run_generations(console, [race], journal, enough))
        finally:  # an interruption loses only the generation in progress
            (raced,) = races_of(journal.records)
            if len(raced.rounds()) >= arguments.generations:
                print_sections(console, calibration_sections([raced]))
            console.print(f"Every measurement: {path}", soft_wrap=True, markup=False)
    return 1 if raced.left_out else 0
