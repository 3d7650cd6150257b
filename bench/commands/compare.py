"""`python -m bench compare A B`: has it become slower? Two git revisions, or two results files, against one another.

Of revisions, only the backends (`impls/`) differ: the measuring code is this checkout's. They take turns as in a race,
each in processes of its own, for a fixed number of generations, so that no look on the way can mislead. Of two files,
what is compared is how many times as long as the floor a backend took in each.

A slowdown is an interval wholly above 1 and an estimate beyond the margin. Exit code 1: something is slower, or a
backend of B fails or disagrees; 0: nothing of that; 2: something could not be compared.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console

import data
from bench import UserError
from bench.analysis import statistics
from bench.analysis.calibrate import GENERATIONS
from bench.analysis.compare import AFTER, BEFORE, any_slower, changes, of_files
from bench.commands import options
from bench.experiments import revisions
from bench.experiments.compare import (
    ROUNDS,
    agrees_on_both_sides,
    comparison_header,
    enough_generations,
    in_both,
    races_in,
)
from bench.experiments.race import begin_race, run_generations
from bench.records.journal import Journal, results_file
from bench.records.races import races_of
from bench.tables.compare import compare_sections, comparison_section
from bench.tables.table import print_left_out, print_sections
from bench.timing.session import stored


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("before", metavar="A", help="a git revision, or a results file of a race")
    add("after", metavar="B", nargs="?", help="the same (default: the working tree)")
    add("--backend", action="append", metavar="NAME", help="may be given several times (default: all that both have)")
    add(
        "--margin",
        type=options.number(0),
        default=statistics.MARGIN,
        metavar="X",
        help="that a slowdown has to exceed (default: %(default)g)",
    )
    revisions_only = parser.add_argument_group("of two revisions; files hold what was measured")
    add_generations(revisions_only)
    options.add_case_arguments(revisions_only, ROUNDS)


def add_generations(parser: options.Arguments) -> None:
    """How much is measured for one comparison."""
    parser.add_argument(
        "--generations",
        type=options.whole_number(2),
        default=GENERATIONS,
        metavar="N",
        help="of fresh processes, for a comparison (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, print a table; 1 if anything became slower, or failed. Raises UserError for what cannot be compared."""
    console = Console(highlight=False)
    if Path(arguments.before).is_file():
        if arguments.after is None:
            raise UserError(f"{arguments.before}: expected a second results file to compare it with; give two")
        there, here = (races_in(console, Path(path)) for path in (arguments.before, arguments.after))
        ratios = of_files(there, here, arguments.backend)
        slower = any_slower(ratios, arguments.margin)
        print_sections(console, [comparison_section(ratios, arguments.margin)])
        return int(slower)
    before = revisions.revision(arguments.before)
    after = revisions.revision(arguments.after) if arguments.after else revisions.working_tree()
    return compare_revisions(console, before, after, arguments)


def compare_revisions(
    console: Console, before: revisions.Side, after: revisions.Side, arguments: argparse.Namespace
) -> int:
    """Race each backend as it was against itself as it is. Raises UserError where one could not be compared."""
    setting = options.race_setup(arguments, data.load(arguments.data))
    sides = {BEFORE: before, AFTER: after}
    names = in_both(before, after, arguments.backend)
    path = results_file(arguments.results, "compare")
    console.print(f"{before.name} against {after.name}: {setting.case.network}, {setting.case.plan_name}", markup=False)
    headers = [
        comparison_header(setting, number, name, sides, arguments.generations) for number, name in enumerate(names)
    ]
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        try:
            digits = stored(setting.digits, Path(folder) / "digits")
            races = []
            for number, name in enumerate(names):
                race = begin_race(journal, number, arguments.rounds, arguments.seed)
                if agrees_on_both_sides(console, race, name, setting, sides):
                    task = setting.task(name, digits)
                    race.tasks |= {side: replace(task, source=where.source) for side, where in sides.items()}
                    races.append(race)
            why = run_generations(
                console, races, journal, lambda generations, _: enough_generations(generations, arguments.generations)
            )
            for race in races:
                race.tell("end", reason=why)
        finally:
            console.print(f"Every measurement: {path}", soft_wrap=True, markup=False)
    raced = races_of(journal.records)
    print_sections(console, compare_sections(raced, arguments.margin))
    slower = any_slower(changes(raced).items(), arguments.margin)
    failed = {name for race in raced for name in race.left_out}
    print_left_out(console, (line for race in raced for line in race.left_out.values()))
    if any(name == AFTER or name.startswith(f"{AFTER}:") for name in failed):
        return 1
    told = [race for race in raced if race.rounds() and not race.left_out]
    neither = [race for race in raced if len(race.unsupported) == len(sides)]  # it is not what either of them does
    missing = [race for race in raced if race not in told and (arguments.backend or race not in neither)]
    if missing or not told:
        who = ", ".join(race.participants[AFTER].backend for race in missing or raced)
        raise UserError(f"{who}: expected to be compared, and could not be, as said above")
    return int(slower)
