"""`python -m bench compare A B`: has it become slower? Two git revisions, or two results files, against one another.

Of revisions, only the backends (`impls/`) differ: the measuring code is this checkout's. They take turns as in a race,
each in processes of its own, for a fixed number of generations, so that no look on the way can mislead. Of two files,
what is compared is how many times as long as the floor a backend took in each.

A slowdown is an interval wholly above 1 and an estimate beyond the margin. Exit code 1: something is slower, or a
backend of B fails or disagrees; 0: nothing of that; 2: something could not be compared.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

import data
from bench import UserError, campaign, description, options, results, revisions, standings, statistics
from bench.campaign import Setting
from bench.child import ChildFailed
from bench.journal import Journal, Record, differences
from bench.measuring import FLOOR
from bench.raced import Raced, races_of
from bench.revisions import Side
from bench.statistics import MARGIN, Ratio
from bench.turns import Race, stored
from bench.verdicts import GENERATIONS

ROUNDS = 6  # of a generation: even, so that neither is first more often
ONE_MACHINE = ("id", "cpu", "cores")  # where two files differ in these, their times cannot be compared
BEFORE, AFTER = "before", "after"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("before", metavar="A", help="a git revision, or a results file of a race")
    add("after", metavar="B", nargs="?", help="the same (default: the working tree)")
    add("--backend", action="append", metavar="NAME", help="may be given several times (default: all that both have)")
    add(
        "--margin",
        type=options.number(0),
        default=MARGIN,
        metavar="X",
        help="that a slowdown has to exceed (default: %(default)g)",
    )
    revisions_only = parser.add_argument_group("of two revisions; files hold what was measured")
    add_generations(revisions_only)
    campaign.add_case_arguments(revisions_only, ROUNDS)


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
        return int(show(console, of_files(there, here, arguments.backend), arguments.margin))
    before = revisions.revision(arguments.before)
    after = revisions.revision(arguments.after) if arguments.after else revisions.working_tree()
    return compare_revisions(console, before, after, arguments)


def show(console: Console, found: Sequence[tuple[str, Ratio]], margin: float) -> bool:
    """Print the table; whether anything is a slowdown. Raises UserError where there is nothing to tell."""
    table = standings.table_of("", "after / before", "95 % interval", "verdict")
    for what, ratio in found:
        if ratio.interval is None:
            raise UserError(f"{what}: expected two generations or more in each, found one, which tells nothing")
        verdict = "faster" if ratio.interval.high < 1 else "no slowdown found"
        if statistics.is_slowdown(ratio, margin):
            verdict = "[red]slower[/]"
        table.add_row(escape(what), standings.in_short(ratio.estimate), standings.in_words(ratio.interval), verdict)
    console.print(table)
    console.print(
        f"Slower: the interval wholly above 1, and the estimate above {1 + margin:g}. The intervals hold all together "
        "with 95 %, across generations of processes."
    )
    return any(statistics.is_slowdown(ratio, margin) for _, ratio in found)


# --- two revisions ---------------------------------------------------------------------------------------


def compare_revisions(console: Console, before: Side, after: Side, arguments: argparse.Namespace) -> int:
    """Race each backend as it was against itself as it is. Raises UserError where one could not be compared."""
    setting = campaign.setting_of(arguments, data.load(arguments.data))
    sides = {BEFORE: before, AFTER: after}
    names = in_both(before, after, arguments.backend)
    path = campaign.results_file(arguments.results, "compare")
    console.print(f"{before.name} against {after.name}: {setting.case.network}, {setting.case.plan_name}", markup=False)
    headers = [header(setting, number, name, sides, arguments.generations) for number, name in enumerate(names)]
    with tempfile.TemporaryDirectory() as folder, Journal(path, headers) as journal:
        try:
            digits = stored(setting.digits, Path(folder) / "digits")
            races = []
            for number, name in enumerate(names):
                race = campaign.begin(journal, number, arguments.rounds, arguments.seed)
                if admitted(console, race, name, setting, sides):
                    task = setting.task(name, digits)
                    race.tasks |= {side: replace(task, source=where.source) for side, where in sides.items()}
                    races.append(race)
            why = campaign.run_generations(
                console, races, journal, lambda generations, _: enough(generations, arguments.generations)
            )
            for race in races:
                race.tell("end", reason=why)
        finally:
            console.print(f"Every measurement: {path}", soft_wrap=True, markup=False)
    raced = races_of(journal.records)
    slower = show_revisions(console, raced, arguments.margin)
    for line in dict.fromkeys(line for race in raced for line in standings.disturbances(race)):
        console.print(f"[yellow]The machine was not quiet:[/] {escape(line)}")
    failed = [(name, line) for race in raced for name, line in race.left_out.items()]
    for _, line in failed:
        console.print(f"[red]not compared:[/] {escape(line)}", soft_wrap=True)
    if any(name == AFTER or name.startswith(f"{AFTER}:") for name, _ in failed):
        return 1
    told = [race for race in raced if race.rounds() and not race.left_out]
    neither = [race for race in raced if len(race.denied) == len(sides)]  # it is not what either of them does
    missing = [race for race in raced if race not in told and (arguments.backend or race not in neither)]
    if missing or not told:
        who = ", ".join(race.entrants[AFTER].backend for race in missing or raced)
        raise UserError(f"{who}: expected to be compared, and could not be, as said above")
    return int(slower)


def enough(generations: int, wanted: int) -> str | None:
    """Why to stop: never for what has been measured."""
    return f"all {generations} generations of processes were run" if generations >= wanted else None


def show_revisions(console: Console, raced: Sequence[Raced], margin: float) -> bool:
    """The table of those that ran in both; whether anything is slower."""
    error = statistics.error_of_each(len(raced), statistics.CONFIDENCE, looked=False)
    ratios = [
        (race.entrants[AFTER].backend, statistics.ratio(race.rounds(), AFTER, BEFORE, error, race.started()))
        for race in raced
    ]
    known = [(name, found) for name, found in ratios if found is not None]
    return show(console, known, margin) if known else False


def in_both(before: Side, after: Side, wanted: list[str] | None = None) -> list[str]:
    """The backends that can run in both, or those of them that are wanted.

    Raises UserError if there are none, or one that is wanted is missing.
    """
    try:
        there, here = revisions.backends_of(before), revisions.backends_of(after)
    except ChildFailed as failure:
        raise UserError(f"the backends of {before.name} or {after.name} cannot be listed: {failure}") from None
    names = [name for name in here if name in there]
    if not names:
        raise UserError(f"{before.name} and {after.name}: expected a backend that both have, found none")
    for name in wanted or []:
        if name not in names:
            raise UserError(f"backend {name!r}: expected one that can run in both, which are {', '.join(names)}")
    return wanted or names


def header(setting: Setting, number: int, name: str, sides: dict[str, Side], generations: int) -> Record:
    """What is known before the race of one backend. How long it is belongs to its key: who adds to it has looked."""
    sources = {side: description.source_in(where.source) for side, where in sides.items()}
    known = campaign.header(setting, number, "compare", BEFORE, dict.fromkeys(sides, name), sources)
    return known | {"key": known["key"] | {"generations": generations}}


def admitted(console: Console, race: Race, name: str, setting: Setting, sides: dict[str, Side]) -> bool:
    """Whether the backend agrees with the reference as it was and as it is."""
    expected = campaign.expected_of(setting)
    verdicts = [
        campaign.verdict_on(console, race, name, setting, expected, where.source, side) for side, where in sides.items()
    ]
    return verdicts == ["agrees", "agrees"]


# --- two files -------------------------------------------------------------------------------------------


def of_files(
    there: Sequence[Raced], here: Sequence[Raced], wanted: Sequence[str] | None = None
) -> list[tuple[str, Ratio]]:
    """Every backend, or those that are wanted, that was raced in both on the same case.

    Raises UserError for what cannot be compared.
    """
    different = differences(yardstick(there[0]), yardstick(here[0]))
    if different:
        raise UserError(f"the files are not of one machine and one floor: {'; '.join(different)}; race both again")
    pairs = [(old, new) for old in there for new in here if case_of(old) == case_of(new)]
    if not pairs:
        parts = differences(case_of(there[0]), case_of(here[0]))
        raise UserError(f"the files: expected the same case in both: {'; '.join(parts)}; race it again")
    found = [
        (old, new, name)
        for old, new in pairs
        for name in raced_in(old)
        if name in raced_in(new) and (not wanted or name in wanted)
    ]
    missing = set(wanted or ()) - {name for *_, name in found}
    if missing or not found:
        who = ", ".join(sorted(missing)) or "a backend"
        raise UserError(f"the files: expected {who} in both, found none; race again")
    error = statistics.error_of_each(len(found), statistics.CONFIDENCE, looked=True)
    ratios = [
        (f"{name}, {new.key['plan']}", statistics.change(old.rounds(), new.rounds(), name, FLOOR, error))
        for old, new, name in found
    ]
    return [(what, ratio) for what, ratio in ratios if ratio is not None]


def yardstick(race: Raced) -> dict[str, object]:
    """What the floor's time depends on, beside the case: it is the same in both files, or there is no telling."""
    known = race.key["machine"]
    return {
        "machine": {part: known.get(part) for part in ONE_MACHINE},
        "numpy": known.get("libraries", {}).get("numpy"),
        "blas": known.get("blas"),
        "measuring code": race.key.get("measuring"),
    }


def races_in(console: Console, path: Path) -> list[Raced]:
    """The races of a file. Raises UserError where there are none with a floor."""
    found = results.read(path)
    if found.cut:
        console.print(f"{path} ends in the middle of a record; the whole ones are used", soft_wrap=True)
    races = [race for race in found.races if FLOOR in raced_in(race, floor=True)]
    if not races:
        raise UserError(f"{path}: expected a race with the floor in it, found none; `python -m bench race` makes one")
    return races


def raced_in(race: Raced, floor: bool = False) -> list[str]:
    """Who was measured, the floor or the backends."""
    names = {name for generation in race.rounds() for one in generation for name in one}
    return [name for name in race.entrants if name in names and (name == FLOOR) == floor]


def case_of(race: Raced) -> dict[str, object]:
    """What has to be the same: the case, not the source nor the libraries, which may be what is compared."""
    return {part: value for part, value in race.key.items() if part not in ("backends", "measuring", "machine")}
