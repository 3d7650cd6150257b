"""The agreement of every backend with the reference."""

from collections.abc import Sequence

import impls
from bench.agreement.check import Result
from bench.agreement.isolated import PosedProblem
from bench.agreement.rounding import SAFETY
from bench.tables.table import NONE, Section, Table
from data import Dataset

QUANTITIES = ("outputs", "cost", "gradient", "costs of updates", "parameters", "velocities")


def agreement_section(digits: Dataset, cases: Sequence[PosedProblem], results: Sequence[Result]) -> Section:
    """The worst error of each backend and dtype; what could not be checked has a line below."""
    rows = [
        [*row, *(worst_error(results, (*row, quantity)) for quantity in QUANTITIES)]
        for row in dict.fromkeys((result.backend, result.dtype) for result in results)
    ]
    problems = ", ".join(dict.fromkeys(problem.name for problem, _ in cases))
    notes = [f"unavailable: {name} {reason}" for name in impls.names() if (reason := impls.unavailable_reason(name))]
    notes += [f"unsupported: {why}" for why in dict.fromkeys(one.unsupported for one in results if one.unsupported)]
    heads = ("backend", "dtype", *(quantity.removesuffix(" of updates") for quantity in QUANTITIES))
    explanation = (
        f"The worst error over the problems ({problems}), norm-wise, in eps of the dtype, and its share of what is "
        f"allowed, which is {SAFETY:g} times what rounding explains. !: it disagrees."
    )
    lines = [f"{cases[0][0].network}. {digits.notice or digits.name}"]
    return Section("Agreement with the reference", lines, [Table("Worst error", heads, rows, notes, 2)], explanation)


def worst_error(results: Sequence[Result], cell: tuple[str, str, str]) -> str:
    """The worst over layers and problems, of a backend, dtype and quantity, e.g. "3.1 2%"; with "!" if too much."""
    checked = [one for one in results if not one.unsupported]
    of_cell = [one for one in checked if (one.backend, one.dtype, one.quantity.partition(" of layer")[0]) == cell]
    if not of_cell:
        return NONE
    worst = max(of_cell, key=lambda result: (result.failure is not None, result.share))
    text = f"{worst.error:.1f} {worst.share:.0%}" if worst.share < 10 else f"{worst.error:.2g}"
    return f"{text} !" if worst.failure else text
