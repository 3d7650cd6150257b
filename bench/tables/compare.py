"""Before against after: two revisions, or two files; and races of several files in columns."""

from collections.abc import Iterable, Sequence

from bench.analysis import statistics
from bench.analysis.compare import changes, verdict
from bench.analysis.race import fastest_first, resources, times_of
from bench.records.files import ResultSet
from bench.records.races import RaceResult
from bench.tables import table as text
from bench.tables.race import disturbed, race_setting, started_by, work
from bench.tables.table import INTERVAL, Columns, Section, Table, table_of

COMPARISON_EXPLANATION = (
    "Slower: the interval lies wholly above 1, and the estimate is beyond the margin. All intervals hold together with "
    "95 %, across generations of processes. Two revisions are measured interleaved, each in processes of its own."
)
COLUMNS_EXPLANATION = (
    "The machine may have changed between races. Compare them by how often the floor fits into a measurement; ratios "
    "within one race say more."
)


def compare_sections(races: Sequence[RaceResult], margin: float = statistics.MARGIN) -> list[Section]:
    """One for two revisions, with a row a backend."""
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
        for name in dict.fromkeys(name for race in races for name in fastest_first(race))
    ]
    heads = (
        "backend",
        *(f"{letter}:\ntime" for letter in letters),
        *(f"{letter}: floor\nover its time" for letter in letters),
    )
    return Section("Several races", lines, [Table("Side by side", heads, rows)], COLUMNS_EXPLANATION)
