"""The agreement of every backend as a table."""

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import impls
from bench.agreement.check import Result
from bench.agreement.isolated import PosedProblem
from bench.agreement.rounding import SAFETY
from bench.workloads.cases import CASES
from data import Dataset

HEADS = {
    "outputs": "outputs",
    "cost": "cost",
    "gradient": "gradient",
    "costs of updates": "costs",
    "parameters": "parameters",
    "velocities": "velocities",
}


def print_agreement(console: Console, digits: Dataset, cases: list[PosedProblem], results: list[Result]) -> None:
    """The table, how to read it, and a line for whatever is not in it."""
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for head in ("backend", "dtype", *HEADS.values()):
        table.add_column(head, no_wrap=True)
    for backend, dtype in dict.fromkeys((result.backend, result.dtype) for result in results):
        of_row = [result for result in results if (result.backend, result.dtype) == (backend, dtype)]
        table.add_row(backend, dtype, *(cell(of_row, quantity) for quantity in HEADS))
    console.print(f"{CASES[0].network}. {digits.notice or digits.name}")
    console.print(table)
    problems = ", ".join(dict.fromkeys(problem.name for problem, _ in cases))
    console.print(
        f"The worst error of the problems ({problems}), norm-wise, in eps of the dtype, and its share of what is "
        f"allowed, which is {SAFETY:g} times what rounding explains."
    )
    for name in impls.names():
        if reason := impls.unavailable_reason(name):
            console.print(f"unavailable: {name} {reason}", markup=False, soft_wrap=True)
    for unsupported in dict.fromkeys(result.unsupported for result in results if result.unsupported):
        console.print(f"denied: {unsupported}", markup=False, soft_wrap=True)
    for result in results:
        if result.failure:
            console.print(f"[red]disagrees:[/] {escape(result.failure)}", soft_wrap=True)


def cell(results: list[Result], quantity: str) -> str:
    """The worst of a quantity over layers and trials, e.g. "3.1 2%"."""
    found = [result for result in results if result.quantity.partition(" of layer")[0] == quantity]
    if not found:
        return "-"
    worst = max(found, key=lambda result: (result.failure is not None, result.share))
    text = f"{worst.error:.1f} {worst.share:.0%}" if worst.share < 10 else f"{worst.error:.2g}"
    return f"[red]{text}[/]" if worst.failure else text
