"""The agreement gate alone: every backend against the reference, how far it is off, and how far it may be."""

import argparse
import json
from dataclasses import replace
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import data
import impls
from bench import machine, options
from bench.agreement import Result, plain, reference
from bench.cases import CASES, MINI_BATCHES
from bench.judging import TIME_LIMIT, Case, judge
from bench.results import SCHEMA
from bench.rounding import SAFETY
from bench.trials import trial_of
from data import Dataset, Digits
from impls.contract import DType

DTYPES: tuple[DType, ...] = ("float32", "float64")
HEADS = {
    "outputs": "outputs",
    "cost": "cost",
    "gradient": "gradient",
    "costs of updates": "costs",
    "parameters": "parameters",
    "velocities": "velocities",
}
SHUFFLED = replace(MINI_BATCHES, plan_name="mini-batches, shuffled, Nesterov 0.9", order="shuffled", momentum=0.9)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--backend",
        action="append",
        metavar="NAME",
        help="only this one; a name, or a module's dotted path; may be given several times (default: all available)",
    )
    parser.add_argument("--dtype", choices=DTYPES, help="only this one (default: both)")
    parser.add_argument("--json", type=options.output_file, metavar="FILE", help="write every comparison there")
    parser.add_argument(
        "--time-limit",
        type=options.number(0.001),
        default=TIME_LIMIT,
        metavar="SECONDS",
        help=f"for one backend, its compilation included (default: {TIME_LIMIT:g})",
    )
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a table; return 1 if a backend disagrees, with the reasons, else 0.

    Raises UnknownBackend or BackendUnavailable for a name that was asked for.
    """
    for name in arguments.backend or ():
        impls.check(name)
    console = Console(highlight=False)
    digits = data.load(arguments.data)
    with console.status(f"{impls.REFERENCE} in float64"):
        dtypes = [arguments.dtype] if arguments.dtype else DTYPES
        cases = [case for dtype in dtypes for case in cases_of(digits.train, dtype)]
    results: list[Result] = []
    for name in arguments.backend or impls.available():
        with console.status(f"{name} (the first time it may have to compile)"):
            results += judge(name, cases, arguments.time_limit)
    if arguments.json:
        arguments.json.write_text(json.dumps(record(digits, results), indent=1) + "\n", encoding="utf-8")
    show(console, digits, cases, results)
    return 1 if any(result.failure for result in results) else 0


def cases_of(train: Digits, dtype: DType) -> list[Case]:
    """The cases that are timed, and mini-batches shuffled with momentum; each with what the reference computes."""
    trials = [trial_of(replace(case, dtype=dtype), train) for case in (*CASES, SHUFFLED)]
    return [(trial, reference(trial)) for trial in trials]


def show(console: Console, digits: Dataset, cases: list[Case], results: list[Result]) -> None:
    """The table, how to read it, and a line for whatever is not in it."""
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for head in ("backend", "dtype", *HEADS.values()):
        table.add_column(head, no_wrap=True)
    for backend, dtype in dict.fromkeys((result.backend, result.dtype) for result in results):
        of_row = [result for result in results if (result.backend, result.dtype) == (backend, dtype)]
        table.add_row(backend, dtype, *(cell(of_row, quantity) for quantity in HEADS))
    console.print(f"{CASES[0].network}. {digits.notice or digits.name}")
    console.print(table)
    trials = ", ".join(dict.fromkeys(trial.name for trial, _ in cases))
    console.print(
        f"The worst error of the trials ({trials}), norm-wise, in eps of the dtype, and its share of what is allowed, "
        f"which is {SAFETY:g} times what rounding explains."
    )
    for name in impls.names():
        if reason := impls.unavailable_reason(name):
            console.print(f"unavailable: {name} {reason}", markup=False, soft_wrap=True)
    for denial in dict.fromkeys(result.denial for result in results if result.denial):
        console.print(f"denied: {denial}", markup=False, soft_wrap=True)
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


def record(digits: Dataset, results: list[Result]) -> dict[str, Any]:
    """What the JSON file holds; an error that is no finite number is null, and its failure says why."""
    return {
        "schema": SCHEMA,
        "data": digits.name,
        "data_sha256": digits.sha256,
        "machine": machine.describe(),
        "agreement": [plain(result) for result in results],
    }
