"""What trainings to one and the same accuracy say, from their records alone: rows, and the factors between them."""

import math
from collections.abc import Iterable
from statistics import median
from typing import Any, NamedTuple

from bench.raced import Course, Raced
from bench.reaching import Reached, reached


class Row(NamedTuple):
    """What the trainings of a step say."""

    name: str
    backend: str
    case: dict[str, Any]  # of the recipe: batch, learning_rate, dtype, ...
    target: float
    until: bool
    reached: Reached
    seconds: float  # of a training, median
    passes: float  # over the images, median
    a_pass: float  # seconds that one took, median
    walls: dict[int, float]  # seconds of a training, by seed
    curves: list[Course]  # of each seed that was followed

    @property
    def counts(self) -> bool:
        """Whether the target is reached: by every seed, where they went on until; else by the rule."""
        return self.reached.above == 1 if self.until else self.reached.counts


def rows(races: Iterable[Raced]) -> list[Row]:
    """A row for each step that has a finished training, in their order."""
    found = []
    for race in races:
        ((name, entrant),) = race.entrants.items()
        mine = sorted((one for one in entrant.trainings if one.images), key=lambda one: one.seed)
        if not mine or race.target is None:
            continue
        passes = [(one.images or 0) / race.key["images"] for one in mine]
        found.append(
            Row(
                name,
                entrant.backend,
                race.key,
                race.target,
                race.until,
                reached([one.accuracy for one in mine], [one.cost for one in mine], race.target),
                median(one.wall for one in mine),
                median(passes),
                median(one.wall / p for one, p in zip(mine, passes, strict=True)),
                {one.seed: one.wall for one in mine},
                entrant.courses,
            )
        )
    return found


def said(row: Row) -> str:
    """In a cell: how many seeds reached it, and the best if not all; or their mean, and its lower bound."""
    found = row.reached
    if row.until and row.counts:
        return f"all of {found.seeds}"
    if row.until:
        return f"{round(found.above * found.seeds)} of {found.seeds} ({found.best:.2%})"
    return f"{found.mean:.2%} ({found.lower:.2%})" if math.isfinite(found.lower) else f"{found.mean:.2%}"


def factor(before: Row, row: Row) -> str:
    """How many times faster a row reached the target; at least so many, where the other one gave up; or nothing."""
    if not row.counts or not (before.counts or before.until):
        return ""
    times = before.seconds / row.seconds
    return f"{'' if before.counts else '> '}{f'{times:.3g}' if times < 1000 else f'{times:,.0f}'}"
