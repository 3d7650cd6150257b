"""A history in words and tables: which backend became slower or faster since when, and the ratios of every run."""

from collections.abc import Sequence
from datetime import datetime

from bench.analysis.compare import yardstick
from bench.analysis.history import UNKNOWN, Change, History, Run
from bench.records.journal import differences
from bench.tables import table as text
from bench.tables.race import race_setting
from bench.tables.table import NONE, Columns, Section, Table, table_of

EXPLANATION = (
    "Each ratio is how many times as long as the floor a backend took: the first layer's matrix products over all "
    "images, measured in the same rounds. So ratios of different days can be compared, and times cannot. A change is a "
    "step from one level to another whose interval is without 1, and that is more than 2 %; all intervals of a history "
    "hold together with 95 %. With fewer than six runs they are of the generations within each run; from six on "
    "they also allow for how much successive runs differ, and a level of one run does not count unless it is the "
    "newest. A gradual change is listed as steps."
)
SHORT = 7  # letters of a commit


def history_section(history: History, number: int) -> Section:
    """The changes of a history, and its latest ratios. number: of the history, from 1."""
    return Section(
        f"History {number}: {race_setting(history.runs[-1].race)}",
        history_lines(history),
        [changes_table(history), levels_table(history)],
        EXPLANATION,
        [f"history-{number}"],
    )


def history_lines(history: History) -> list[str]:
    """Of which runs and which machine it is, what the newest change is, and where its courses are interrupted."""
    first, last = history.runs[0], history.runs[-1]
    machine = last.race.machine
    lines = [
        f"{text.plural(len(history.runs), 'run')} from {date(first.when)} to {date(last.when)} on "
        f"{machine.get('cpu')}, {machine.get('cores')} cores, machine {machine.get('id')}."
    ]
    changes = history.changes
    lines += [f"{in_words(changes[0])}."] if changes else ["No change exceeds the intervals."]
    runs = [history.runs[places[0]] for places in history.yardsticks]
    for run in runs[1:]:
        lines.append(
            f"From {date(run.when)} on some runs have another floor ({different_floor(runs[0], run)}): the lines of "
            "the figure are interrupted, and no change is looked for between these runs and the others."
        )
    return lines


def in_words(change: Change) -> str:
    """A change as a sentence, e.g. "numba_sparse: 1.18 [1.12, 1.25] times as fast since 2f1ab3c, 2026-11-20"."""
    since = "an unknown revision" if change.since.commit == UNKNOWN else revision(change.since)
    return f"{change.backend}: {factor(change)} since {since}, {date(change.since.when)}"


def factor(change: Change) -> str:
    """How many times as fast, or as long, with its interval."""
    if change.ratio < 1:
        ends = [1 / end for end in reversed(change.interval)]
        return f"{text.in_brackets(1 / change.ratio, ends, text.number)} times as fast"
    return f"{text.in_brackets(change.ratio, change.interval, text.number)} times as long"


def revision(run: Run) -> str:
    """The commit in few letters, with "+changes" where the checkout differed from it."""
    commit, plus, changes = run.commit.partition("+")
    return commit[:SHORT] + plus + changes


def date(when: datetime) -> str:
    """The day, in the time zone of the run."""
    return f"{when:%Y-%m-%d}"


def changes_table(history: History) -> Table:
    """A row for each change, the newest first."""
    columns: Columns[Change] = {
        "backend": lambda one: one.backend,
        "change": lambda one: factor(one).replace("] ", "]\n"),
        "since": lambda one: f"{revision(one.since)},\n{date(one.since.when)}",
        "last run\nbefore": lambda one: f"{revision(one.before)},\n{date(one.before.when)}",
        "what else differs": lambda one: ";\n".join(different(one)) or "nothing that\nwas recorded",
        "times the\nfloor": lambda one: " →\n".join(text.in_short(level.ratio) for level in one.levels),
        "runs": lambda one: " →\n".join(f"{level.runs:,}" for level in one.levels),
    }
    return table_of("Changes", history.changes, columns, columns_of_text=5)


def different(change: Change) -> list[str]:
    """What differs between the runs around a change, besides the revision: the backend's source, libraries, system."""
    old, new = change.before.race.key, change.since.race.key
    sources = [key.get("backends", {}).get(change.backend) for key in (old, new)]
    lines = [] if sources[0] == sources[1] else ["its source"]
    parts = ("python", "system", "libraries", "numba")
    there, here = ({part: key["machine"].get(part) for part in parts} for key in (old, new))
    return lines + [from_to(line) for line in differences(there, here)]


def different_floor(old: Run, new: Run) -> str:
    """What differs between two runs of all that the floor depends on."""
    return "; ".join(map(from_to, differences(yardstick(old.race), yardstick(new.race))))


def from_to(line: str) -> str:
    """A line of `differences` about two runs of which one came after the other."""
    old, _, new = line.removesuffix(" here").partition(" there, ")
    return f"{old.removeprefix('libraries ')} → {new}"


def levels_table(history: History) -> Table:
    """Each backend's newest ratio, and its level before: a row a backend, the fastest of the newest ratios first."""
    newest = {name: history.runs[courses[-1].places[-1]] for name, courses in history.courses.items()}
    rows = []
    for name, run in sorted(newest.items(), key=lambda item: item[1].ratios[item[0]].estimate):
        ratio, measured = run.ratios[name], sum(len(course.places) for course in history.courses[name])
        ends = text.interval_of(ratio.interval, room=text.ROOM)
        rows.append([name, text.in_short(ratio.estimate), ends, date(run.when), revision(run), f"{measured:,}"])
    heads = ("backend", "times the\nfloor", text.INTERVAL, "newest run", "revision", "runs")
    return Table("Newest ratios", heads, rows)


def runs_table(history: History, number: int) -> Table:
    """The ratio of every run to its floor with the interval: a row a run, a column a backend."""
    names = [*history.courses]
    rows = [
        [
            f"{run.when:%Y-%m-%d %H:%M}",
            revision(run),
            *(text.or_dash(run.ratios.get(name), text.with_interval) for name in names),
        ]
        for run in history.runs
    ]
    notes = [] if all(run.ratios.keys() >= set(names) for run in history.runs) else [f"{NONE}: not in that run"]
    return Table(f"Every run of history {number}: times the floor", ["run", "revision", *names], rows, notes, 2)


def runs_as_rows(histories: Sequence[History]) -> list[list[str]]:
    """Every ratio of every history under its heads, in full precision, for CSV."""
    rows = [["history", "file", "started", "commit", "backend", "times_the_floor", "low", "high", "generations"]]
    for number, history in enumerate(histories, start=1):
        for run in history.runs:
            for name, ratio in run.ratios.items():
                ends = map(repr, ratio.interval) if ratio.interval else ("", "")
                about = [str(number), run.file, run.when.isoformat(), run.commit, name]
                rows.append([*about, repr(ratio.estimate), *ends, str(ratio.generations)])
    return rows
