"""Tables and sections; how numbers, times, ratios and intervals are written; and how the terminal shows them."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from bench.analysis import statistics

Value = TypeVar("Value")
NONE = "–"
DAGGER = "†"
INTERVAL = "95 %\ninterval"  # a head that many tables have


class Table(NamedTuple):
    """A table as text. Line breaks in heads and cells are the terminal's; Markdown and HTML take them as spaces."""

    title: str
    heads: Sequence[str]
    rows: list[list[str]]  # a cell for each head
    notes: Sequence[str] = ()  # below the table
    columns_of_text: int = 1  # the first ones; the others hold numbers


Columns = Mapping[str, Callable[[Value], str]]  # by head: the function that gives the cell of an item


def table_of(
    title: str, items: Iterable[Value], columns: Columns[Value], notes: Sequence[str] = (), columns_of_text: int = 1
) -> Table:
    """A table with a row for each item, and a column for each head with its cells."""
    rows = [[cell(item) for cell in columns.values()] for item in items]
    return Table(title, list(columns), rows, notes, columns_of_text)


class Section(NamedTuple):
    """A part of a report, or what a command prints at its end."""

    title: str
    lines: Sequence[str]  # before the tables
    tables: Sequence[Table]
    explanation: str = ""  # after the tables
    figures: Sequence[str] = ()  # their names; those that were not drawn are passed over


COMFORTABLE = 100  # columns of a terminal that leave room between those of a table
NARROWEST = 80
HYPHENS = {  # where the terminal is narrower than is comfortable
    "accuracy\n": "accu-\nracy\n",
    "break-even": "break-\neven",
    "mini-": "mini-\n",
    "outliers": "out-\nliers",
    "included": "in-\ncluded",
    "preparation": "prepa-\nration",
    "reproduced": "repro-\nduced",
    "shuffled": "shuf-\nfled",
}


def print_sections(console: Console, sections: Iterable[Section]) -> None:
    """Titles, lines, tables, notes and explanations, as a page has them, without the figures."""
    for section in sections:
        console.print()
        print_line(console, section.title, "bold")
        for line in section.lines:
            print_line(console, line)
        for table in section.tables:
            console.print()
            if table.rows:
                console.print(for_terminal(table, console.width))
            else:
                print_line(console, f"{table.title}: nothing of this was measured.")
            for note in table.notes:
                print_line(console, f"{note.rstrip('.')}.")
        if section.explanation:
            print_line(console, section.explanation, "dim")


def print_left_out(console: Console, reasons: Iterable[str]) -> None:
    """What is in no table because of a failure, each once and on one line."""
    for reason in dict.fromkeys(reasons):
        print_line(console, f"left out: {reason}", "red", soft_wrap=True)


def print_line(console: Console, words: str, style: str = "", soft_wrap: bool = False) -> None:
    """Text that is no markup; long lines are wrapped, or with `soft_wrap` left to the terminal."""
    console.print(Text(printable(words)), style=style, soft_wrap=soft_wrap)


def for_terminal(table: Table, columns: int = COMFORTABLE) -> RichTable:
    """The table for rich in so many columns, NARROWEST or more; long names continue in the next line."""
    comfortable = columns >= COMFORTABLE
    spaced = any("\n" in cell for row in table.rows for cell in row)  # then a blank line separates the rows
    title, padding = Text(printable(table.title), "bold"), (0, 1 if comfortable else 0, 0, 0)
    drawn = RichTable(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, leading=spaced, padding=padding
    )

    def text(cell: str) -> Text:
        for word, hyphenated in ({} if comfortable else HYPHENS).items():
            cell = cell.replace(word, hyphenated)
        return Text("\n".join(map(printable, cell.split("\n"))))

    for head in table.heads[: table.columns_of_text]:
        drawn.add_column(text(head), overflow="fold")
    for head in table.heads[table.columns_of_text :]:
        drawn.add_column(text(head), justify="right", no_wrap=True)
    for name, *others in table.rows:
        drawn.add_row(Text(printable(name)), *map(text, others))
    return drawn


def printable(text: str) -> str:
    """The text on one line, without characters that a terminal, an XML parser or an encoding cannot take."""
    return "".join(character if character.isprintable() else " " for character in text)


def plural(n: int, word: str) -> str:
    """E.g. "1 seed", "1,000 seeds"."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


def enumerated(names: Sequence[str]) -> str:
    """Names in a sentence."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def or_dash(value: Value | None, text: Callable[[Value], str]) -> str:
    """The text of a value, or a dash where there is none."""
    return NONE if value is None else text(value)


def number(value: float) -> str:
    """Three significant digits; 1,234 and not 1.23e+03."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def duration(seconds: float | None) -> str:
    """Seconds in three digits, below 0.1 s in ms or µs: "6.37 ms"; or a dash."""
    if seconds is None:
        return NONE
    if 0 < seconds < 0.99995e-4:
        return f"{number(1e6 * seconds)} µs"
    return f"{number(1e3 * seconds)} ms" if 0 < seconds < 0.09995 else f"{number(seconds)} s"


def times(value: float) -> str:
    """Two significant digits, more only before the point, where a range follows that is wider anyway."""
    return f"{value:,.0f}" if abs(value) >= 9.95 else f"{value:#.2g}"


def in_short(ratio: float) -> str:
    """Three decimals, or three digits where it is large or small."""
    return f"{ratio:.3f}" if 0.1 <= ratio < 10 else f"{ratio:#.3g}" if 10 <= ratio < 99.95 else f"{ratio:.3g}"


power = "{:z.2f}".format  # of an exponent, without a minus before 0.00
ROOM = len("0.188 to 0.202")  # for an interval on one line, in tables that have the room


def interval_of(ends: Sequence[float] | None, text: Callable[[float], str] = in_short, room: int = 0) -> str:
    """From one end to the other, or a dash; on two lines where it is longer than `room`."""
    words = " to ".join(map(text, ends)) if ends else NONE
    return words if len(words) <= room else words.replace(" to ", " to\n")


def in_brackets(value: float, ends: Sequence[float] | None, text: Callable[[float], str]) -> str:
    """A value and its interval, if it has one, e.g. "0.521 [0.510, 0.532]"."""
    return f"{text(value)} [{', '.join(map(text, ends))}]" if ends else text(value)


def ratio_of(ratio: statistics.Ratio | None, of_baseline: bool = False) -> str:
    """The estimate of a ratio; "1" for that of the baseline to itself, a dash where it is not known."""
    return in_short(ratio.estimate) if ratio else "1" if of_baseline else NONE


def with_interval(ratio: statistics.Ratio) -> str:
    """A ratio, e.g. "0.521 [0.510, 0.532]"."""
    return in_brackets(ratio.estimate, ratio.interval, in_short)


def faster(ratio: statistics.Ratio) -> str:
    """A ratio the other way round, in three digits: "5.10 [4.93, 5.31] times as fast"."""
    ends = [1 / end if end else math.inf for end in reversed(ratio.interval)] if ratio.interval else None
    return f"{in_brackets(1 / ratio.estimate, ends, number).replace('inf', '∞')} times as fast"


def mebibytes(size: int | None) -> str:
    """A size; "unknown" where the system does not say."""
    return "unknown" if size is None else f"{size / 2**20:.0f} MiB"


def percent(share: float | None, decimals: int = 0) -> str:
    """A share, or a dash."""
    return NONE if share is None else f"{100 * share:.{decimals}f} %"


def share(value: float | None) -> str:
    """A share in per cent, two decimals where there are any."""
    return percent(value, 2).replace(".00 %", " %")
