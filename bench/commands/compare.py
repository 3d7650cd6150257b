"""`python -m bench compare A B`: has a backend become slower? Compare two git revisions, or two results files.

Of revisions only the backends (`impls/`) differ: the measuring code is this checkout's. Both sides of a backend are
timed interleaved, in processes of their own, for a fixed number of generations (sets of fresh processes, one for each
side), so that stopping early cannot mislead. Of two files, the times are compared relative to the floor.

A slowdown is an interval wholly above 1 and an estimate beyond the margin. Exit code 1: a backend is slower, or fails
or disagrees in B; 0: none of these; 2: something could not be compared.
"""

import argparse
from pathlib import Path

from rich.console import Console

import data
import impls
from bench import UserError
from bench.analysis import statistics
from bench.analysis.compare import AFTER, BEFORE, any_slower, changes, of_files
from bench.commands import measuring, options
from bench.experiments import revisions
from bench.experiments.compare import ROUNDS, begin_races, comparison_headers, in_both, races_in
from bench.experiments.race import begin_race
from bench.records.journal import Journal, results_file
from bench.tables.compare import compare_sections, comparison_section
from bench.tables.table import print_left_out, print_sections
from bench.timing.session import Session
from command_line import Option, number
from impls import files, interpreters
from untrusted import kind_of

OPTIONS = (
    Option("before A", "Take this git revision, or results file of a race, as before", str),
    Option("after B", "Take this one as after", str, without="the working tree"),
    options.backends("Compare these backends", "all that both have"),
    Option("--margin X", "Ignore slowdowns smaller than this fraction", number(0), statistics.MARGIN),
    options.Group(
        "options for comparing revisions (not for files)", (measuring.GENERATIONS, *measuring.race_options(ROUNDS))
    ),
)


def run(arguments: argparse.Namespace) -> int:
    """Compare and print a table; return 1 if a backend is slower or fails, else 0. Raises UserError as the parts do."""
    console = Console(highlight=False)
    if kind_of(arguments.before) == "file":
        options.refuse_others(arguments, ("backend", "margin"), "for two results files")
        if arguments.after is None:
            raise UserError(f"{arguments.before}: expected a second results file to compare it with; give two")
        there, here = (races_in(console, Path(path)) for path in (arguments.before, arguments.after))
        ratios = of_files(there, here, arguments.backend)
        slower = any_slower(ratios, arguments.margin)
        print_sections(console, [comparison_section(ratios, arguments.margin)])
        return int(slower)
    if own := [name for name in arguments.backend or () if impls.parted(name)[0] in files.known()]:
        raise UserError(
            f"--backend {own[0]}: expected a backend of the revisions, found a file of its own; "
            "`race` compares two files, such as one before a change and one after it"
        )
    before = revisions.revision(arguments.before)
    after = revisions.revision(arguments.after) if arguments.after else revisions.working_tree()
    return compare_revisions(console, before, after, arguments)


def compare_revisions(
    console: Console, before: revisions.Side, after: revisions.Side, arguments: argparse.Namespace
) -> int:
    """Race each backend of one side against that of the other. Raises UserError where one could not be compared."""
    setting = measuring.race_setup(arguments, data.load(arguments.data))
    sides = {BEFORE: before, AFTER: after}
    names = in_both(before, after, arguments.backend)
    interpreters.check_all_take_part(names)
    console.print(f"{before.name} against {after.name}: {setting.case.network}, {setting.case.name}", markup=False)
    headers = comparison_headers(setting, names, sides, arguments.generations)

    def begin(journal: Journal, folder: Path) -> list[Session]:
        races = {name: begin_race(journal, i, arguments.rounds, arguments.seed) for i, name in enumerate(names)}
        return begin_races(console, races, setting, sides, folder)

    def enough(_: Journal, generations: int) -> str | None:
        done = generations >= arguments.generations
        return f"all {generations} generations of processes were run" if done else None

    raced = measuring.measure(console, results_file(arguments.output, "compare"), headers, begin, enough)
    print_sections(console, compare_sections(raced, arguments.margin))
    slower = any_slower(changes(raced).items(), arguments.margin)
    print_left_out(console, (line for race in raced for line in race.left_out.values()))
    if any(name == AFTER or name.startswith(f"{AFTER}:") for race in raced for name in race.left_out):
        return 1
    compared = [race for race in raced if race.rounds() and not race.left_out]
    neither = [race for race in raced if len(race.unsupported) == len(sides)]
    missing = [race for race in raced if race not in compared and (arguments.backend or race not in neither)]
    if missing or not compared:
        what = ", ".join(race.participants[AFTER].backend for race in missing or raced)
        raise UserError(f"{what}: expected to be compared on both sides, failed as shown above; repair that first")
    return int(slower)
