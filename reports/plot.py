"""Small figures as rows of HTML: a name, marks on a common axis, and the number in words. They fit any width.

The text stays text of the page's own size, so that such a figure can be read on a phone, in either theme, and by a
screen reader, to which it is a list. `templates/plot.html.j2` draws it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeGuard

MOST_ROWS = 9  # of which one still sees at a glance what they say
MARGIN = 0.04  # of the axis, on both sides of the outermost mark
TICKS = 4  # at most
BEYOND = 3.0  # times the outermost mark: so far a logarithmic axis follows an interval


class Row(NamedTuple):
    """One row: a value with its words, its interval, and single measurements."""

    label: str
    value: float
    words: str
    interval: Sequence[float] | None = None  # two ends, 0 and infinite among them
    samples: Sequence[float] = ()
    other: float | None = None  # a value of another kind, drawn hollow
    kind: str = ""  # "best" and "base" are highlighted


class Mark(NamedTuple):
    """Where something is drawn, in per cent of the axis; width: of a bar."""

    left: float
    width: float = 0.0


class Drawn(NamedTuple):
    """A row with the places of its marks."""

    row: Row
    value: Mark
    bar: Mark | None
    samples: list[Mark]
    other: Mark | None


class Plot(NamedTuple):
    """A small figure, ready to be drawn."""

    title: str  # what the axis shows
    rows: list[Drawn]
    ticks: list[tuple[Mark, str]]
    legend: str = ""  # what filled and hollow marks are


def plot(
    title: str,
    rows: Iterable[Row],
    write: Callable[[float], str],
    *,
    logarithmic: bool = True,
    limits: tuple[float, float] | None = None,
    legend: str = "",
) -> Plot | None:
    """Place rows on an axis, whose ticks `write` words; None where no row has a value that can be shown.

    limits: the values that the axis shows at least. Rows after the first MOST_ROWS are left out, and values that are
    not finite or, on a logarithmic axis, not positive.
    """
    scale: Callable[[float], float] = math.log10 if logarithmic else float

    def drawable(value: float | None) -> TypeGuard[float]:
        return value is not None and math.isfinite(value) and (value > 0 or not logarithmic)

    kept = [row for row in rows if drawable(row.value)][:MOST_ROWS]
    if not kept:
        return None
    values = [value for row in kept for value in (row.value, row.other, *row.samples) if drawable(value)]
    values += limits or ()
    low, high = min(values), max(values)
    ends = [end for row in kept for end in row.interval or ()]
    if logarithmic:
        ends = [min(max(end, low / BEYOND), high * BEYOND) for end in ends]
    least, most = scale(min([low, *ends])), scale(max([high, *ends]))
    span = max(most - least, 0.3 if logarithmic else 1e-9)

    def place(value: float) -> float:
        share = (scale(max(value, 10.0**least) if logarithmic else value) - least) / span
        return round(100 * (MARGIN + (1 - 2 * MARGIN) * min(max(share, 0.0), 1.0)), 2)

    drawn = []
    for row in kept:
        bar = None
        if row.interval:
            left, right = map(place, row.interval)
            bar = Mark(left, round(right - left, 2))
        samples = [Mark(place(value)) for value in row.samples if drawable(value)]
        other = Mark(place(row.other)) if drawable(row.other) else None
        drawn.append(Drawn(row, Mark(place(row.value)), bar, samples, other))
    chosen = ticks_between(least, least + span, logarithmic)
    return Plot(title, drawn, [(Mark(place(value)), write(value)) for value in chosen], legend)


def ticks_between(low: float, high: float, logarithmic: bool) -> list[float]:
    """At most TICKS round numbers within these limits, which are exponents of ten on a logarithmic axis."""
    if not logarithmic:
        step = next(step for step in steps() if (math.floor(high / step) - math.ceil(low / step)) < TICKS)
        return [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    for factors in ((1, 2, 5), (1, 3), (1,)):
        first, last = math.floor(low), math.ceil(high)
        numbers = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
        inside = [number for number in numbers if low - 1e-9 <= math.log10(number) <= high + 1e-9]
        if len(inside) <= TICKS:
            return inside
    return inside[:: math.ceil(len(inside) / TICKS)]


def steps() -> Iterable[float]:
    """1, 2, 5, 10, ... times a small power of ten, without end."""
    power = 1e-6
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10
