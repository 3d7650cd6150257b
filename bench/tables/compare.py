"""Before against after, of two revisions or two files; several races in columns; how often verdicts are right."""

from collections.abc import Iterable, Sequence

from bench.analysis import statistics
from bench.analysis.calibrate import Verdicts, comparison_length, verdicts
from bench.analysis.compare import changes, verdict
from bench.analysis.race import resources, times_of
from bench.records.files import ResultSet
from bench.records.races import RaceResult
from bench.tables import table as text
from bench.tables.race import backends_of, disturbed, race_setting, started_by, work
from bench.tables.table import INTERVAL, Columns, Section, Table, table_of

COMPARISON_EXPLANATION = (
    "Slower: the interval lies wholly above 1, and the estimate is beyond the margin. All intervals hold together with "
    "95 %, across generations of processes. Two revisions are measured interleaved, each in processes of its own."
)
COLUMNS_EXPLANATION = (
    "The machine may have changed between races. Compare them by how often the floor fits into a measurement; ratios "
    "within one race say more."
)
CALIBRATION_EXPLANATION = (
    "A backend raced against itself, and against itself with a known share of its work done once more. Every run of "
    "consecutive generations as long as a comparison is one comparison, as python -m bench compare makes them. They "
    "overlap; the count is of those that do not. The first row is called slower by mistake. Several backends together "
    "are compared more strictly: fewer mistakes, and fewer slowdowns found."
)


def compare_sections(races: Sequence[RaceResult], margin: float = statistics.MARGIN) -> list[Section]:
    """The section of two revisions, with a row for each backend."""
    lines = [f"{work(races[0]).capitalize()}: {race_setting(races[0])}.", started_by(races[0]), *disturbed(races)]
    return [comparison_section(changes(races).items(), margin, lines)]


def comparison_setting(races: Sequence[RaceResult]) -> str:
    """What was compared, in a line."""
    return f"{work(races[0])}: {race_setting(races[0])}"


def comparison_section(
    ratios: Iterable[tuple[str, statistics.Ratio | None]], margin: float, lines: Sequence[str] = ()
) -> Section:
    """Ratios of after to before, by what was compared, and their verdicts."""
    columns: Columns[tuple[str, statistics.Ratio | None]] = {
        "backend": lambda row: row[0],
        "after /\nbefore": lambda row: text.ratio_of(row[1]),
        INTERVAL: lambda row: text.interval_of(row[1] and row[1].interval, room=text.ROOM),
        "verdict": lambda row: verdict(row[1], margin),
    }
    table = table_of("After over before", ratios, columns, [f"Margin: {margin:g}"])
    return Section("Has it become slower?", lines, [table], COMPARISON_EXPLANATION, ["comparison"])


def races_in_columns(several: Sequence[ResultSet]) -> Section:
    """Races of several files, a column each."""
    races = [results.races[0] for results in several]
    letters = [chr(ord("A") + i) if i < 26 else f"no. {i + 1}" for i in range(len(races))]
    lines = [
        f"{letter}: {results.path.name}, {work(race)}: {race_setting(race)}. {started_by(race)}"
        for letter, results, race in zip(letters, several, races, strict=True)
    ]
    seconds = [times_of(race) for race in races]
    floors = [{name: row.floors for name, row in resources(race).items()} for race in races]
    rows = [
        [name, *(text.duration(one.get(name)) for one in seconds), *(text.percent(one.get(name)) for one in floors)]
        for name in dict.fromkeys(name for times in seconds for name in times)
    ]
    heads = [f"{letter}:\ntime" for letter in letters] + [f"{letter}: floor\nover its time" for letter in letters]
    table = Table("Side by side", ["backend", *heads], rows)
    return Section("Several races", lines, [table], COLUMNS_EXPLANATION)


def calibration_sections(races: Sequence[RaceResult]) -> list[Section]:
    """The section on all calibrations of one case, the oldest first: how often more work was called slower."""
    setting = f"{backends_of(races[-1])} against itself: {race_setting(races[-1])}."
    lines = [setting, started_by(*races), *disturbed(races)]
    generations = comparison_length(races)
    columns: Columns[Verdicts] = {
        "work": lambda row: "the same, twice" if row.work == 1 else f"{text.percent(row.work - 1)} more work",
        "called\nslower": lambda row: text.percent(row.share, 1),
        "95 % interval": lambda row: f"{text.percent(row.interval.low, 1)} to {text.percent(row.interval.high, 1)}",
        "comparisons": lambda row: str(row.comparisons),
    }
    notes = [f"Comparisons of {generations} generations, with a margin of {text.percent(statistics.MARGIN)}"]
    tables = [table_of("Called slower, by how much more was done", verdicts(races, generations), columns, notes)]
    return [Section("Reliability of `compare`", lines, tables, CALIBRATION_EXPLANATION, ["calibration"])]
