"""How often the verdicts of `compare` are right."""

from collections.abc import Sequence

from bench.analysis import statistics
from bench.analysis.calibrate import comparison_length, verdicts
from bench.records.races import RaceResult
from bench.tables.race import backends_of, disturbed, race_setting, started_by
from bench.tables.table import Section, Table, percent

CALIBRATION_EXPLANATION = (
    "A backend raced against itself, and against itself with a known share of its work done once more. Every run of "
    "consecutive generations as long as a comparison is one comparison, as python -m bench compare makes them. They "
    "overlap; the count is of those that do not. The first row is called slower by mistake. Several backends together "
    "are compared more strictly: fewer mistakes, and fewer slowdowns found."
)


def calibration_sections(races: Sequence[RaceResult]) -> list[Section]:
    """One, over all calibrations of one case, the oldest first."""
    lines = [
        f"{backends_of(races[-1])} against itself: {race_setting(races[-1])}.",
        started_by(*races),
        *disturbed(races),
    ]
    title = "Reliability of `compare`"
    return [Section(title, lines, [verdict_table(races)], CALIBRATION_EXPLANATION, ["calibration"])]


def verdict_table(races: Sequence[RaceResult]) -> Table:
    """How often comparisons called slower what had so much more work."""
    generations = comparison_length(races)
    rows = [
        [
            "the same, twice" if row.work == 1 else f"{percent(row.work - 1)} more work",
            percent(row.share, 1),
            f"{percent(row.interval.low, 1)} to {percent(row.interval.high, 1)}",
            str(row.comparisons),
        ]
        for row in verdicts(races, generations)
    ]
    notes = [f"Comparisons of {generations} generations, with a margin of {percent(statistics.MARGIN)}"]
    heads = ("work", "called\nslower", "95 % interval", "comparisons")
    return Table("Called slower, by how much more was done", heads, rows, notes)
