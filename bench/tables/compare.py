"""Before against after: two revisions, or two files; and races of several files in columns."""

from collections.abc import Iterable, Sequence

from bench.analysis import statistics
from bench.analysis.compare import changes, verdict
from bench.analysis.race import resources, times_of
from bench.records.files import ResultSet
from bench.records.races import RaceResult
from bench.tables.race import disturbed, race_setting, started_by, work
from bench.tables.table import (
    INTERVAL,
    NONE,
    ROOM,
    Section,
    Table,
    capitalised,
    duration,
    in_short,
    interval_of,
    or_dash,
    percent,
)

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
    lines = [f"{capitalised(comparison_setting(races))}.", started_by(races[0]), *disturbed(races)]
    return [comparison_section(changes(races).items(), margin, lines)]


def comparison_setting(races: Sequence[RaceResult]) -> str:
    """What was measured, in a line."""
    return f"{work(races[0])}: {race_setting(races[0])}"


def comparison_section(
    ratios: Iterable[tuple[str, statistics.Ratio | None]], margin: float, lines: Sequence[str] = ()
) -> Section:
    """Ratios of after to before, by what was compared, and their verdicts."""
    rows = [
        [name, or_dash(ratio, lambda known: in_short(known.estimate)), interval_of(ratio, ROOM), verdict(ratio, margin)]
        for name, ratio in ratios
    ]
    table = Table(
        "After over before", ("backend", "after /\nbefore", INTERVAL, "verdict"), rows, [f"Margin: {margin:g}"]
    )
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
        [
            name,
            *(duration(one[name]) if name in one else NONE for one in seconds),
            *(percent(one.get(name)) for one in floors),
        ]
        for name in dict.fromkeys(name for times in seconds for name in times)
    ]
    heads = ["backend", *(f"{letter}:\ntime" for letter in letters)]
    heads += [f"{letter}: floor\nover its time" for letter in letters]
    return Section("Several races", lines, [Table("Side by side", heads, rows)], COLUMNS_EXPLANATION)
