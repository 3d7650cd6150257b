"""`python -m bench race`: backends timed against each other, interleaved, each in a process of its own.

Every round holds one measurement of each backend, close in time; a ratio compares measurements of the same round, and
its interval is taken across sets of fresh processes. The race stops when all ratios are known to --precision, or when
the --budget is spent, and says which. With the --output of an interrupted race it continues where that ended.
"""

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

import data
import impls
from bench import UserError
from bench.analysis.race import size_of
from bench.commands import options
from bench.experiments.race import (
    BASELINE,
    admit,
    enough_of_race,
    header_of_race,
    run_generations,
)
from bench.records.journal import Journal, results_file
from bench.records.kinds import End
from bench.records.races import races_of
from bench.tables.race import sections_of_races
from bench.tables.table import print_left_out, print_sections
from bench.timing.records import Generation
from command_line import number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    options.add_backends(parser, "Race these backends, by name or a module's dotted path")
    add(
        "--baseline",
        default=BASELINE,
        metavar="NAME",
        help="Give ratios relative to this backend (default: %(default)s)",
    )
    options.add_budget(parser, 75.0)
    add(
        "--precision",
        type=number(0.0001),
        default=0.03,
        metavar="X",
        help="Stop once every ratio's 95 %% interval is within this fraction (default: %(default)g)",
    )
    add(
        "--sweep",
        type=options.sweep,
        metavar="WHAT=A,B",
        help=f"Repeat the race at each value of one of {', '.join(options.SWEPT)} (default: one race)",
    )
    add(
        "--cold",
        action="store_true",
        help="Time the first call with empty compiler caches as well (default: with compiled code from disk)",
    )
    options.add_case_arguments(parser, None)


def run(arguments: argparse.Namespace) -> int:
    """Check, race and print a table; return 1 if a backend failed or disagreed, else 0.

    Raises UserError for options that do not combine, UnknownBackend or BackendUnavailable for a name.
    """
    console = Console(highlight=False)
    dataset = data.load(arguments.data)
    settings = [options.race_setup(point, dataset) for point in options.sweep_points(arguments)]
    names = list(dict.fromkeys([*(arguments.backend or impls.available()), arguments.baseline]))
    for name in names:
        impls.check(name)
    sweep = arguments.sweep.name if arguments.sweep else None
    headers = [
        header_of_race(setting, number, arguments.baseline, names, sweep=sweep)
        for number, setting in enumerate(settings)
    ]
    sizes = [size_of(header.key, sweep) for header in headers] if sweep else []
    if len(set(sizes)) < len(sizes):  # such as all images and their number
        raise UserError(f"--sweep: expected values that differ, found {', '.join(map(str, sizes))}; leave one out")
    path = results_file(arguments.output, "race")
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        if journal.next_generation:
            done = len(journal.of(Generation))
            console.print(f"continuing after {done} generations in {path}", soft_wrap=True, markup=False)
        try:
            races = [
                admit(console, arguments, number, setting, names, journal, Path(folder))
                for number, setting in enumerate(settings)
            ]
            why = run_generations(console, races, journal, lambda *so_far: enough_of_race(arguments, journal, *so_far))
            for race in races:
                race.tell(End, reason=why)
        finally:  # an interruption loses only the generation in progress
            raced = races_of(journal.records)
            print_sections(console, sections_of_races(raced))
            print_left_out(console, (line for race in raced for line in race.left_out.values()))
            console.print(f"Every measurement: {path}", soft_wrap=True, markup=False)
    return 1 if any(race.left_out for race in raced) else 0
