"""Before against after as tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from bench import UserError
from bench.analysis import statistics
from bench.analysis.compare import AFTER, BEFORE, changes, verdict
from bench.analysis.race import fastest_first, resources, times_of
from bench.records.files import ResultSet
from bench.records.races import RaceResult
from bench.tables.race import begun, disturbed, race_setting, work
from bench.tables.table import (
    NONE,
    Section,
    Sheet,
    capitalised,
    in_short,
    interval_in_words,
    interval_of,
    number,
    percent,
    table_of,
)

if TYPE_CHECKING:
    pass

WHAT_A_COMPARISON_IS = (
    "Each backend as it was and as it is, in processes of their own that take turns. Slower: the interval wholly above "
    f"1, and the estimate beyond a margin of {percent(statistics.MARGIN)}. The intervals hold all together with 95 %."
)
SIDE_BY_SIDE = (
    "Races of different times are compared by how often the floor fits into a round, as the machine may have changed "
    "between them; ratios within one race say more."
)


def compare_sections(results: ResultSet) -> list[Section]:
    """One, with a row a backend."""
    rows = [
        [name, NONE, NONE, "not measured on both sides"]
        if ratio is None
        else [name, f"{ratio.estimate:.3f}", interval_of(ratio), verdict(ratio)]
        for name, ratio in changes(results).items()
    ]
    heads = ("backend", "after /\nbefore", "95 %\ninterval", "verdict")
    first = results.races[0]
    lines = [f"{capitalised(work(first))}: {race_setting(first)}.", begun(first)]
    lines += disturbed(results.races)
    sheet = Sheet("After over before", heads, rows, [])
    return [Section("Has it become slower?", lines, [sheet], WHAT_A_COMPARISON_IS, ["comparison"])]


def beside_each_other(several: Sequence[ResultSet]) -> Section:
    """Races of several files, a column each."""
    found = [results.races[0] for results in several]
    letters = [chr(ord("A") + i) if i < 26 else f"no. {i + 1}" for i in range(len(found))]
    lines = [
        f"{letter}: {results.path.name}, {work(race)}: {race_setting(race)}. {begun(race)}"
        for letter, results, race in zip(letters, several, found, strict=True)
    ]
    times = [times_of(race) for race in found]
    floors = [{name: row.floors for name, row in resources(race).items()} for race in found]
    names = list(dict.fromkeys(name for race in found for name in fastest_first(race)))
    rows = [
        [
            name,
            *(number(one[name]) if name in one else NONE for one in times),
            *(percent(one.get(name)) for one in floors),
        ]
        for name in names
    ]
    heads = ("backend", *(f"{letter}:\nseconds" for letter in letters))
    sheet = Sheet("Side by side", (*heads, *(f"{letter}: floor\nover its time" for letter in letters)), rows, [])
    return Section("Several races", lines, [sheet], SIDE_BY_SIDE, [])


def print_comparison(console: Console, found: Sequence[tuple[str, statistics.Ratio]], margin: float) -> bool:
    """Print the table; whether anything is a slowdown. Raises UserError where there is nothing to tell."""
    table = table_of("", "after / before", "95 % interval", "verdict")
    for what, ratio in found:
        if ratio.interval is None:
            raise UserError(f"{what}: expected two generations or more in each, found one, which tells nothing")
        verdict = "faster" if ratio.interval.high < 1 else "no slowdown found"
        if statistics.is_slowdown(ratio, margin):
            verdict = "[red]slower[/]"
        table.add_row(escape(what), in_short(ratio.estimate), interval_in_words(ratio.interval), verdict)
    console.print(table)
    console.print(
        f"Slower: the interval wholly above 1, and the estimate above {1 + margin:g}. The intervals hold all together "
        "with 95 %, across generations of processes."
    )
    return any(statistics.is_slowdown(ratio, margin) for _, ratio in found)


def print_revisions(console: Console, raced: Sequence[RaceResult], margin: float) -> bool:
    """The table of those that ran in both; whether anything is slower."""
    error = statistics.error_of_each(len(raced), statistics.CONFIDENCE, looked=False)
    ratios = [
        (race.participants[AFTER].backend, statistics.ratio(race.rounds(), AFTER, BEFORE, error, race.started()))
        for race in raced
    ]
    known = [(name, found) for name, found in ratios if found is not None]
    return print_comparison(console, known, margin) if known else False
