"""The agreement of every backend with the reference."""

from collections.abc import Sequence

import impls
from bench.agreement.check import Result
from bench.agreement.isolated import PosedProblem
from bench.agreement.rounding import SAFETY
from bench.tables.table import NONE, Section, Table
from bench.workloads.cases import CASES
from data import Dataset

QUANTITIES = {  # with their heads
    "outputs": "outputs",
    "cost": "cost",
    "gradient": "gradient",
    "costs of updates": "costs",
    "parameters": "parameters",
    "velocities": "velocities",
}


def agreement_section(digits: Dataset, cases: Sequence[PosedProblem], results: Sequence[Result]) -> Section:
    """The worst error of each backend and dtype; what could not be checked has a line below."""
    rows = [
        [backend, dtype, *(worst_error(of_row, quantity) for quantity in QUANTITIES)]
        for backend, dtype in dict.fromkeys((result.backend, result.dtype) for result in results)
        for of_row in ([result for result in results if (result.backend, result.dtype) == (backend, dtype)],)
    ]
    problems = ", ".join(dict.fromkeys(problem.name for problem, _ in cases))
    notes = [f"unavailable: {name} {reason}" for name in impls.names() if (reason := impls.unavailable_reason(name))]
    notes += [f"unsupported: {why}" for why in dict.fromkeys(one.unsupported for one in results if one.unsupported)]
    table = Table("Worst error", ("backend", "dtype", *QUANTITIES.values()), rows, notes, 2)
    explanation = (
        f"The worst error over the problems ({problems}), norm-wise, in eps of the dtype, and its share of what is "
        f"allowed, which is {SAFETY:g} times what rounding explains. !: it disagrees."
    )
    lines = [f"{CASES[0].network}. {digits.notice or digits.name}"]
    return Section("Agreement with the reference", lines, [table], explanation)


def worst_error(results: Sequence[Result], quantity: str) -> str:
    """The worst of a quantity over layers and problems, e.g. "3.1 2%"; with a "!" where it is too much."""
    of_quantity = [result for result in results if result.quantity.partition(" of layer")[0] == quantity]
    if not of_quantity:
        return NONE
    worst = max(of_quantity, key=lambda result: (result.failure is not None, result.share))
    text = f"{worst.error:.1f} {worst.share:.0%}" if worst.share < 10 else f"{worst.error:.2g}"
    return f"{text} !" if worst.failure else text
