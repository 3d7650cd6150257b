"""Tables as text, and how numbers, ratios, intervals and sizes are written."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from rich.box import SIMPLE
from rich.table import Table

from bench.analysis import statistics

if TYPE_CHECKING:
    from rich.table import Table as RichTable

Value = TypeVar("Value")
NONE = "–"
DAGGER = "†"


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


def printable(text: str) -> str:
    """The text on one line, without what a terminal, an XML parser or a file's encoding would stumble over."""
    return "".join(character if character.isprintable() else " " for character in text)


def number(value: float) -> str:
    """Three significant digits; 1,234 and not 1.23e+03."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def times(value: float) -> str:
    """Two significant digits, more only before the point: the ranges show that more would say nothing."""
    return f"{value:,.0f}" if abs(value) >= 9.95 else f"{value:#.2g}"


def or_dash(value: Value | None, text: Callable[[Value], str]) -> str:
    """The text of a value, or a dash where there is none."""
    return NONE if value is None else text(value)


def for_terminal(sheet: Sheet, columns: int = COMFORTABLE) -> "RichTable":
    """The table for rich in so many columns, NARROWEST or more; long names go on in the next line."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    comfortable = columns >= COMFORTABLE
    drawn = RichTable(
        title=Text(printable(sheet.title), "bold"),
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        leading=1,
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


def table_of(*heads: str) -> Table:
    """An empty table with these columns, the first to the left."""
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, head in enumerate(heads):  # where all do not fit, a long name goes over two lines
        table.add_column(head, no_wrap=i > 0, overflow="fold", justify="right" if i else "left")
    return table


def in_short(ratio: float) -> str:
    """Three decimals, or three digits where it is large or small."""
    return f"{ratio:.3f}" if 0.1 <= ratio < 100 else f"{ratio:.3g}"


def interval_in_words(interval: statistics.Interval) -> str:
    """From one end to the other."""
    return " to ".join(map(in_short, interval))


def epochs_in_words(number: float) -> str:
    """A number of rounds; "never" for infinity."""
    return "never" if math.isinf(number) else f"{number:,.0f}"


def mebibytes(size: int | None) -> str:
    """A size; "unknown" where the system does not say."""
    return "unknown" if size is None else f"{size / 2**20:.0f} MiB"


def interval_of(ratio: statistics.Ratio | None) -> str:
    """From one end to the other, or a dash."""
    return interval_in_words(ratio.interval).replace(" to ", " to\n") if ratio and ratio.interval else NONE


def with_interval(ratio: statistics.Ratio) -> str:
    """A ratio, e.g. "0.521 [0.510, 0.532]"."""
    words = in_short(ratio.estimate)
    return f"{words} [{interval_in_words(ratio.interval).replace(' to ', ', ')}]" if ratio.interval else words


def power(exponent: float) -> str:
    """An exponent, without a minus before 0.00."""
    return f"{round(exponent, 2) + 0.0:.2f}"


def percent(share: float | None, decimals: int = 0) -> str:
    """A share, or a dash."""
    return NONE if share is None else f"{100 * share:.{decimals}f} %"


def enumerated(names: Sequence[str]) -> str:
    """Names in a sentence."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def capitalised(words: str) -> str:
    """As it stands at the beginning of a sentence."""
    return words[:1].upper() + words[1:]


def faster(ratio: statistics.Ratio) -> str:
    """A ratio the other way round, in three digits: "5.10 [4.93, 5.31] times as fast"."""
    words = number(1 / ratio.estimate)
    if ratio.interval:
        low, high = (number(1 / end) if end else "∞" for end in reversed(ratio.interval))
        words += f" [{low}, {high}]"
    return f"{words} times as fast"


def share(value: float | None) -> str:
    """A share in per cent, two decimals where there are any."""
    return NONE if value is None else f"{100 * value:.2f} %".replace(".00 %", " %")
