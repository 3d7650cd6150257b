"""How often the verdicts of `compare` are right."""

from collections.abc import Sequence

from bench.analysis import statistics
from bench.analysis.calibrate import Verdicts, comparison_length, verdicts
from bench.records.races import RaceResult
from bench.tables.race import backends_of, disturbed, race_setting, started_by
from bench.tables.table import Columns, Section, percent, table_of

CALIBRATION_EXPLANATION = (
    "A backend raced against itself, and against itself with a known share of its work done once more. Every run of "
    "consecutive generations as long as a comparison is one comparison, as python -m bench compare makes them. They "
    "overlap; the count is of those that do not. The first row is called slower by mistake. Several backends together "
    "are compared more strictly: fewer mistakes, and fewer slowdowns found."
)


def calibration_sections(races: Sequence[RaceResult]) -> list[Section]:
    """One, over all calibrations of one case, the oldest first: how often what had more work was called slower."""
    setting = f"{backends_of(races[-1])} against itself: {race_setting(races[-1])}."
    lines = [setting, started_by(*races), *disturbed(races)]
    generations = comparison_length(races)
    columns: Columns[Verdicts] = {
        "work": lambda row: "the same, twice" if row.work == 1 else f"{percent(row.work - 1)} more work",
        "called\nslower": lambda row: percent(row.share, 1),
        "95 % interval": lambda row: f"{percent(row.interval.low, 1)} to {percent(row.interval.high, 1)}",
        "comparisons": lambda row: str(row.comparisons),
    }
    notes = [f"Comparisons of {generations} generations, with a margin of {percent(statistics.MARGIN)}"]
    tables = [table_of("Called slower, by how much more was done", verdicts(races, generations), columns, notes)]
    return [Section("Reliability of `compare`", lines, tables, CALIBRATION_EXPLANATION, ["calibration"])]
