"""How far verdicts can be trusted, as a table."""

from collections.abc import Sequence

from rich.console import Console

from bench.analysis import statistics
from bench.analysis.calibrate import Verdicts, comparison_length, verdicts_of
from bench.records.files import ResultSet
from bench.tables.race import backends_of, begun_each, disturbed, race_setting
from bench.tables.table import Section, Sheet, percent, table_of

WHAT_TRUST_IS = (
    "A backend raced against itself, and against itself with a known share of its work done once more. Every run of "
    "consecutive generations as long as a comparison is one comparison, as python -m bench compare makes them; they "
    "overlap, and counted is how many do not. The first row is called slower by mistake."
)


def trust(calibrations: Sequence[ResultSet]) -> Sheet:
    """The verdicts of the calibrations."""
    rows = [
        [
            "the same, twice" if row.work == 1 else f"{percent(row.work - 1)} more work",
            percent(row.share, 1),
            f"{percent(row.interval.low, 1)} to {percent(row.interval.high, 1)}",
            str(row.comparisons),
        ]
        for row in verdicts_of(calibrations)
    ]
    notes = [
        f"Comparisons of {comparison_length(calibrations)} generations, with a margin of {percent(statistics.MARGIN)}"
    ]
    heads = ("what ran", "called\nslower", "95 % interval", "comparisons")
    return Sheet("Called slower, by how much more was done", heads, rows, notes)


def print_calibration(console: Console, found: Sequence[Verdicts], generations: int) -> None:
    """The table."""
    table = table_of("", "work", "called slower", "95 % interval", "comparisons")
    for row in found:
        interval = f"{row.interval.low:.1%} to {row.interval.high:.1%}"
        table.add_row(row.against, f"{row.work:.3f}", f"{row.share:.1%}", interval, str(row.comparisons))
    console.print(table)
    console.print(
        f"Comparisons of one backend in {generations} generations, with a margin of {statistics.MARGIN:.0%}; they "
        "overlap, and counted is how many do not. Called slower: of the first row, by mistake. Several backends "
        "together are compared more strictly: fewer mistakes, and less is found."
    )


def calibration_section(several: list[ResultSet]) -> Section:
    """How far verdicts can be trusted."""
    every = [race for results in several for race in results.races]
    lines = [f"{backends_of(every[-1])} against itself: {race_setting(every[-1])}."]
    lines += [begun_each(every), *disturbed(every)]
    return Section("Can verdicts be trusted?", lines, [trust(several)], WHAT_TRUST_IS, ["calibration"])
