"""`python -m bench race`: backends measured against one another, taking turns, each in a process of its own."""

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

import data
import impls
from bench.commands import options
from bench.experiments.race import (
    BASELINE,
    admit,
    check_sweep,
    enough_of_race,
    generations_of,
    header_of_race,
    run_generations,
)
from bench.records.journal import Journal, results_file
from bench.records.races import races_of
from bench.tables.race import left_out_of_races, sections_of_races
from bench.tables.table import print_left_out, print_sections


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
    add("--sweep", type=options.sweep, metavar="WHAT=A,B", help=f"race at each value; of {', '.join(options.SWEPT)}")
    add("--cold", action="store_true", help="measure first calls without any compiled code on disk, too")
    options.add_case_arguments(parser, None)


def run(arguments: argparse.Namespace) -> int:
    """Check, race, print a table; 1 if anybody was left out for a fault, else 0.

    Raises UserError for options that do not go together, UnknownBackend or BackendUnavailable for a name.
    """
    console = Console(highlight=False)
    dataset = data.load(arguments.data)
    settings = [options.race_setup(point, dataset) for point in options.sweep_points(arguments)]
    names = list(dict.fromkeys([*(arguments.backend or impls.available()), arguments.baseline]))
    for name in names:
        impls.check(name)
    sweep = arguments.sweep.name if arguments.sweep else None
    headers = [
        header_of_race(setting, number, arguments.baseline, names, sweep) for number, setting in enumerate(settings)
    ]
    check_sweep(headers)
    path = results_file(arguments.results, "race")
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        if journal.next_generation:
            done = sum(generations_of(journal, number) for number in range(len(headers)))
            console.print(f"going on after {done} generations in {path}", soft_wrap=True, markup=False)
        try:
            races = [
                admit(console, arguments, number, setting, names, journal, Path(folder))
                for number, setting in enumerate(settings)
            ]
            why = run_generations(console, races, journal, lambda *so_far: enough_of_race(arguments, journal, *so_far))
            for race in races:
                race.tell("end", reason=why)
        finally:  # an interruption costs only the generation that it hits
            raced = races_of(journal.records)
            print_sections(console, sections_of_races(raced))
            print_left_out(console, left_out_of_races(raced))
            console.print(f"Every measurement: {path}", soft_wrap=True, markup=False)
    return 1 if any(race.left_out for race in raced) else 0
