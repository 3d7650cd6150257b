"""`python -m bench calibrate`: how far can the verdicts of `compare` be trusted on this machine?

A backend races against itself, and against itself with a known fraction of its updates repeated. Every sequence of
consecutive generations (sets of fresh processes), as many as a comparison takes, is one comparison: how often does it
report a slowdown where there is none, and how often does it find one of 3, 5 or 10 %? A report pools all calibrations
of one machine, case and code.
"""

import argparse
from pathlib import Path

from rich.console import Console

import data
from bench import UserError
from bench.analysis.calibrate import AGAIN, ITSELF, SLOWDOWNS
from bench.commands import measuring, options
from bench.experiments.agree import posed
from bench.experiments.generations import Budget
from bench.experiments.race import agreeing, begin_race
from bench.records.journal import Journal, results_file
from bench.records.races import RaceResult
from bench.tables.compare import calibration_sections
from bench.tables.table import print_sections
from bench.timing.records import Failure
from bench.timing.session import Session, stored

ROUNDS = 5  # of a generation: a Latin square of all five
OPTIONS = (
    options.one_backend("Race against itself this backend", "minibatch"),
    measuring.BUDGET,
    measuring.GENERATIONS,
    *measuring.race_options(ROUNDS),
)


def run(arguments: argparse.Namespace) -> int:
    """Race, then print how often the verdicts were right; return 1 if a side failed, else 0.

    Raises UserError for options that do not combine, UnknownBackend or BackendUnavailable for a name.
    """
    console = Console(highlight=False)
    if arguments.measure != "epoch":
        raise UserError(f"--measure {arguments.measure}: expected epoch, as a slowdown is more updates of it")
    setting = measuring.race_setup(arguments, data.load(arguments.data))
    options.check_participants([arguments.backend])
    extra = {ITSELF: 0.0, AGAIN: 0.0} | SLOWDOWNS

    def begin(journal: Journal, folder: Path) -> list[Session]:
        race = begin_race(journal, 0, arguments.rounds, arguments.seed)
        (agreed,) = agreeing(console, [{arguments.backend: race}], [posed(setting.case, setting.digits)], setting)
        if not agreed:
            raise UserError(f"{arguments.backend}: expected a backend that agrees with the reference; choose another")
        images = stored(setting.digits, folder / "digits")
        race.tasks |= {name: setting.task(arguments.backend, images, share) for name, share in extra.items()}
        return [race]

    def enough(journal: Journal, _: int) -> str | None:
        return "one side failed" if journal.of(Failure) else None

    def show(raced: list[RaceResult]) -> None:
        if len(raced[0].rounds()) >= arguments.generations:
            print_sections(console, calibration_sections(raced))

    participants = dict.fromkeys(extra, arguments.backend)
    header = setting.header(0, "calibrate", participants, baseline=ITSELF, comparison=arguments.generations)
    path = results_file(arguments.output, "calibrate")
    budget = Budget(arguments.budget, arguments.generations)
    (raced,) = measuring.measure(console, path, [header], begin, enough, show, budget)
    if len(raced.rounds()) < arguments.generations and not raced.left_out:
        raise UserError(
            f"a comparison takes {arguments.generations} generations, found {len(raced.rounds())}: {raced.reason}; "
            f"--output {path} continues"
        )
    return 1 if raced.left_out else 0
