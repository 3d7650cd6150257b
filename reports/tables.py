"""Results of pytest-benchmark -> two tables and their sentences; any table -> terminal, Markdown and CSV."""

import csv
import html
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from bench import UserError
from bench.results import Measurement, ResultSet

if TYPE_CHECKING:
    from rich.table import Table as RichTable

REFERENCE = "naive"  # ratios are to this backend
SAME_PLAN = "mini-batches"  # the plan on which all backends are compared
Value = TypeVar("Value")
NONE = "–"
DAGGER = "†"


class Ratio(NamedTuple):
    """Median over median, and the bounds between which it lies whichever samples are taken."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One backend on one plan; seconds are medians over samples, for all images. None: not measured."""

    backend: str
    plan: str | None
    batch: int | None  # images per update; None: all
    wall: float | None  # seconds of a round of training
    cpu: float | None  # the same, user and system
    check: float | None  # seconds for the outputs of all test images
    correct: float | None  # share of the test images after the last round, 0 to 1
    rounds: int | None  # that were trained for it
    diverged: bool  # whether the cost was not finite at its end
    error: float  # worst disagreement with the reference, in eps
    lines: int
    ratio: Ratio | None  # times faster than the reference
    floors: float | None  # times the floor
    scaled: str | None  # how the seconds of the round came about if not from all images
    check_scaled: str | None


class Sheet(NamedTuple):
    """A table as text. Line breaks in heads and cells are the terminal's; Markdown and HTML take them as spaces."""

    title: str
    heads: Sequence[str]
    rows: list[list[str]]  # a cell for each head
    notes: list[str]  # to be said below
    columns_of_text: int = 1  # the first ones; the others hold numbers


class Section(NamedTuple):
    """A part of the report."""

    title: str
    lines: list[str]  # before the tables
    sheets: list[Sheet]
    explanation: str  # after the tables
    figures: list[str]  # their names; those that were not drawn are passed over


@dataclass(frozen=True)
class Table:
    """Rows under a title, and what has to be said below them."""

    title: str
    rows: list[Row]
    notes: list[str]

    @property
    def sheet(self) -> Sheet:
        """The table as text."""
        return Sheet(self.title, HEADERS, [cells(row) for row in self.rows], self.notes, COLUMNS_OF_TEXT)


HEADERS = (
    "backend",
    "plan\n(batch)",
    "round:\nwall,\ns",
    "round:\nCPU,\ns",
    "accuracy\ncheck,\ns",
    "test\nimages\ncorrect",
    "agrees\nto,\neps",
    "lines\nof\ncode",
    f"times\nfaster\nthan\n{REFERENCE}",
    "times\nthe\nfloor",
)
COLUMNS_OF_TEXT = 2  # the first ones; the others hold numbers
COMFORTABLE = 100  # columns of a terminal that leave room between those of the table
NARROWEST = 80
# Where the terminal is narrower than is comfortable.
HYPHENS = {
    "accuracy\n": "accu-\nracy\n",
    "mini-": "mini-\n",
    "outliers": "out-\nliers",
    "prepared": "pre-\npared",
    "shuffled": "shuf-\nfled",
}

EXPLANATION = (
    "Seconds are medians over samples, CPU is user and system time. Accuracy check: the outputs of all test images. "
    f"Agrees to: the worst error against {REFERENCE} in float64, in eps of the dtype. Times faster: ratio of "
    f"medians, in brackets from the fastest sample of {REFERENCE} over the slowest of the backend to the slowest over "
    "the fastest. Floor: the first layer's two products over all training images, a NumPy matmul each."
)


def check(results: ResultSet) -> None:
    """Raise UserError if the results cannot stand in one table: several networks or dtypes, or one thing twice."""
    cases = sorted({f"{measured.network}, {measured.dtype}" for measured in results.measurements})
    if len(cases) > 1:
        raise UserError(
            f"{results.path}: expected one network and dtype, found {len(cases)}: {'; '.join(cases)}; "
            "their times cannot stand in one table, write a results file for each"
        )
    seen = set()
    for measured in results.measurements:
        thing = (measured.quantity, measured.backend, measured.plan)
        if thing in seen:
            raise UserError(
                f"{results.path}: expected each measurement once, found a second {' of '.join(filter(None, thing))}; "
                "write a results file for each run"
            )
        seen.add(thing)


# --- picking out -----------------------------------------------------------------------------------------


def home_rounds(results: ResultSet) -> list[Measurement]:
    """A round of training of each backend on the plan that it is at home with."""
    return [measured for measured in results.measurements if measured.quantity == "round" and measured.at_home]


def same_plan_rounds(results: ResultSet) -> list[Measurement]:
    """A round of training of each backend on the plan that is the same for all."""
    rounds = [measured for measured in results.measurements if measured.quantity == "round"]
    return [measured for measured in rounds if measured.plan == SAME_PLAN]


def accuracy_checks(results: ResultSet) -> list[Measurement]:
    """The outputs of all test images, of each backend."""
    return [measured for measured in results.measurements if measured.quantity == "outputs"]


def floor(results: ResultSet) -> Measurement | None:
    """The two products of the first layer over all training images."""
    return next((measured for measured in results.measurements if measured.quantity == "floor"), None)


def ladder(results: ResultSet) -> list[str]:
    """The measured backends in the order of the file, which is that of the ladder."""
    backends = [measured.backend for measured in results.measurements if measured.quantity != "floor"]
    return list(dict.fromkeys(backends))


# --- rows ------------------------------------------------------------------------------------------------


def at_home(results: ResultSet) -> Table:
    """Each backend on the plan that it is at home with; one whose accuracy check alone was measured has a row too."""
    rounds = {measured.backend: measured for measured in home_rounds(results)}
    checks = {measured.backend: measured for measured in accuracy_checks(results)}
    backends = [backend for backend in ladder(results) if backend in rounds or backend in checks]
    return _table("Each backend at home", results, backends, rounds)


def on_same_plan(results: ResultSet) -> Table:
    """All backends on the same plan."""
    rounds = {measured.backend: measured for measured in same_plan_rounds(results)}
    backends = [backend for backend in ladder(results) if backend in rounds]
    return _table(f"All on the same plan: {same_plan_name(results)}", results, backends, rounds)


def same_plan_name(results: ResultSet) -> str:
    """The plan that is the same for all, with its batch size where it was measured."""
    batches = sorted({measured.batch for measured in same_plan_rounds(results) if measured.batch is not None})
    return f"{SAME_PLAN} of {' or '.join(map(str, batches))}" if batches else SAME_PLAN


def _table(title: str, results: ResultSet, backends: list[str], rounds: dict[str, Measurement]) -> Table:
    checks = {measured.backend: measured for measured in accuracy_checks(results)}
    reference, lowest = rounds.get(REFERENCE), floor(results)
    rows = [_row(rounds.get(backend), checks.get(backend), reference, lowest) for backend in backends]
    notes = [f"{DAGGER} {row.backend}: {row.scaled}" for row in rows if row.scaled]
    notes += [f"{DAGGER} {row.backend}, accuracy check: {row.check_scaled}" for row in rows if row.check_scaled]
    if rounds:
        prepared = (f"{name} {number(measured.prepare_seconds)} s" for name, measured in rounds.items())
        notes.append(f"Off the clock, bringing the training images into the backend's own form: {', '.join(prepared)}")
    return Table(title, rows, notes)


def _row(
    trained: Measurement | None, checked: Measurement | None, reference: Measurement | None, floor: Measurement | None
) -> Row:
    either = trained or checked
    assert either is not None
    curve = trained.curve if trained else None
    return Row(
        backend=either.backend,
        plan=trained.plan if trained else None,
        batch=trained.batch if trained else None,
        wall=median(trained.seconds) if trained else None,
        cpu=median(trained.cpu_seconds) if trained else None,
        check=median(checked.seconds) if checked else None,
        correct=curve.test_accuracy[-1] if curve else None,
        rounds=len(curve.test_accuracy) - 1 if curve else None,
        diverged=curve is not None and not math.isfinite(curve.train_cost[-1]),
        error=either.agreement_error,
        lines=either.lines_of_code,
        ratio=_ratio(reference, trained) if reference and trained else None,
        floors=median(trained.seconds) / median(floor.seconds) if trained and floor else None,
        scaled=scaling(trained) if trained else None,
        check_scaled=scaling(checked) if checked else None,
    )


def _ratio(slow: Measurement, fast: Measurement) -> Ratio:
    if slow is fast:
        return Ratio(1, 1, 1)
    return Ratio(
        median(slow.seconds) / median(fast.seconds),
        min(slow.seconds) / max(fast.seconds),
        max(slow.seconds) / min(fast.seconds),
    )


def scaling(measured: Measurement) -> str | None:
    """How a measurement of fewer images was scaled, and beside it the one true round where there was one."""
    if measured.images == measured.of_images:
        return None
    note = f"scaled from {measured.images:,} of {measured.of_images:,} images"
    curve = measured.curve
    if curve is None or len(curve.seconds) < 2:
        return note
    return f"{note}; one true round of all took {number(curve.seconds[1] - curve.seconds[0])} s"


# --- words -----------------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """The text on one line, without what a terminal, an XML parser or a file's encoding would stumble over."""
    return "".join(character if character.isprintable() else " " for character in text)


def number(value: float) -> str:
    """Three significant digits; 1,234 and not 1.23e+03."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def times(value: float) -> str:
    """Two significant digits, more only before the point: the ranges show that more would say nothing."""
    return f"{value:,.0f}" if abs(value) >= 9.95 else f"{value:#.2g}"


def cells(row: Row) -> list[str]:
    """A row as text, a cell for each of HEADERS, with line breaks as there."""
    of_round = f" {DAGGER}" if row.scaled else ""
    of_check = f" {DAGGER}" if row.check_scaled else ""
    return [
        printable(row.backend),
        _or_dash(row.plan, lambda plan: printable(plan) + ("" if row.batch is None else f"\n({row.batch:,})")),
        _or_dash(row.wall, lambda seconds: f"{number(seconds)}{of_round}"),
        _or_dash(row.cpu, lambda seconds: f"{number(seconds)}{of_round}"),
        _or_dash(row.check, lambda seconds: f"{number(seconds)}{of_check}"),
        correct(row),
        f"{row.error:.1f}",
        f"{row.lines:,}",
        "1" if row.ratio and row.backend == REFERENCE else _or_dash(row.ratio, with_range),
        _or_dash(row.floors, times),
    ]


def _or_dash(value: Value | None, text: Callable[[Value], str]) -> str:
    return NONE if value is None else text(value)


def correct(row: Row) -> str:
    """Per cent correct, after how much training, and how that ended if badly."""
    if row.correct is None or row.rounds is None:
        return NONE
    words = f"{100 * row.correct:.2f} %\nafter {row.rounds}\nround{'s' * (row.rounds != 1)}"
    return f"{words},\ndiverged" if row.diverged else words


def with_range(ratio: Ratio) -> str:
    """A ratio with its bounds, e.g. 38 [36, 40]."""
    return f"{times(ratio.value)}\n[{times(ratio.low)}, {times(ratio.high)}]"


def headline(results: ResultSet) -> str:
    """The report in one sentence: the shortest round at home, and on the same plan."""
    conditions = {
        "with each backend at home": at_home(results),
        f"with all on the same plan ({same_plan_name(results)})": on_same_plan(results),
    }
    shortest = [f"{condition} {words}" for condition, table in conditions.items() if (words := _shortest(table))]
    if not shortest:
        return "No round of training was measured."
    images = max(measured.of_images for measured in results.measurements if measured.quantity == "round")
    return f"A round of {images:,} images on this machine: {'; '.join(shortest)}."


def _shortest(table: Table) -> str | None:
    walls = {row.wall: row for row in table.rows if row.wall is not None}
    if not walls:
        return None
    row = walls[min(walls)]
    words = f"the shortest is that of {row.backend}, {number(min(walls))} s"
    if row.scaled:
        words += f", {row.scaled}"
    if row.ratio and row.backend != REFERENCE:
        words += f", {with_range(row.ratio)} times faster than {REFERENCE}".replace("\n", " ")
    return words


def left_out(results: ResultSet) -> list[str]:
    """Who is in no table and no figure: a line each, with the reason."""
    unavailable = (f"{backend}: {reason}" for backend, reason in results.unavailable.items())
    return [*results.disagreements, *unavailable]


def setting(results: ResultSet) -> str:
    """Data, network, dtype and threads, in a line."""
    pools: dict[str, set[int]] = {}
    for measured in results.measurements:
        for pool, count in measured.threads.items():
            pools.setdefault(pool, set()).add(count)
    threads = ", ".join(f"{pool} {' or '.join(map(str, sorted(counts)))}" for pool, counts in pools.items())
    parts = [
        results.data_name,
        *dict.fromkeys(measured.network for measured in results.measurements),
        *dict.fromkeys(measured.dtype for measured in results.measurements),
        f"threads: {threads}" if threads else "",
    ]
    return " · ".join(filter(None, parts))


# --- terminal --------------------------------------------------------------------------------------------


def for_terminal(sheet: Sheet, columns: int = COMFORTABLE) -> "RichTable":
    """The table for rich in so many columns, NARROWEST or more; long names go on in the next line."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    comfortable = columns >= COMFORTABLE
    drawn = RichTable(
        title=Text(printable(sheet.title), "bold"), title_justify="left", box=SIMPLE_HEAD, show_edge=False, leading=1
    )
    drawn.padding = (0, 1 if comfortable else 0, 0, 0)

    def text(cell: str) -> Text:
        for word, hyphenated in ({} if comfortable else HYPHENS).items():
            cell = cell.replace(word, hyphenated)
        return Text("\n".join(map(printable, cell.split("\n"))))

    for i, head in enumerate(sheet.heads):
        if i < sheet.columns_of_text:
            drawn.add_column(text(head), overflow="fold")
        else:
            drawn.add_column(text(head), justify="right", no_wrap=True)
    for name, *others in sheet.rows:
        drawn.add_row(Text(printable(name)), *map(text, others))
    return drawn


# --- Markdown --------------------------------------------------------------------------------------------


def for_markdown(sheet: Sheet) -> str:
    """The table in GitHub's form."""
    rule = ["---" if i < sheet.columns_of_text else "---:" for i in range(len(sheet.heads))]
    texts = [[markdown_text(cell) for cell in row] for row in sheet.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [map(markdown_text, sheet.heads), rule, *texts])


def markdown_text(text: str) -> str:
    """The text as it is, whatever Markdown or HTML it may contain."""
    marks = r"([\\`*_|~#]|\](?=\())"
    return re.sub(marks, r"\\\1", html.escape(printable(text), quote=False))


# --- CSV -------------------------------------------------------------------------------------------------


def for_csv(rows: Sequence[Sequence[str]]) -> str:
    """Rows, heads first, as RFC 4180 has them, but with plain line ends. A name that a spreadsheet would take for a
    formula gets an apostrophe before it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([literal(printable(" ".join(cell.split()))) for cell in row] for row in rows)
    return text.getvalue()


def literal(cell: str) -> str:
    """No formula, whatever a name begins with; a negative number is none."""
    return f"'{cell}" if re.match(r"[=+@]|-(?![\d.])", cell) else cell


def file_name(title: str) -> str:
    """What a title is called among files: letters, digits and hyphens alone, so that no name leads anywhere else."""
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))[:60] or "table"
