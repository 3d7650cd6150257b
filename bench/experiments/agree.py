"""Every backend held against the reference."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

from bench.agreement.check import Result, plain, reference
from bench.agreement.isolated import TIME_LIMIT, Checked, PosedProblem, check_each
from bench.agreement.problems import problem_of
from bench.records.kinds import opening
from bench.workloads.cases import CASES, MINI_BATCHES
from bench.workloads.recipes import Recipe
from data import Dataset, Digits
from impls.contract import DType

DTYPES: tuple[DType, ...] = ("float32", "float64")
SHUFFLED = replace(MINI_BATCHES, name="mini-batches, shuffled, Nesterov 0.9", order="shuffled", momentum=0.9)


def cases_of(train: Digits, dtype: DType) -> list[PosedProblem]:
    """The cases that are timed, and mini-batches shuffled with momentum; each with what the reference computes."""
    return [posed(replace(case, dtype=dtype), train) for case in (*CASES, SHUFFLED)]


def posed(case: Recipe, train: Digits) -> PosedProblem:
    """A case and what the reference computes for it. Raises UserError where rounding makes a check meaningless."""
    problem = problem_of(case, train)
    return problem, reference(problem)


def agreement_record(digits: Dataset, results: list[Result]) -> dict[str, Any]:
    """What the JSON file holds; an error that is no finite number is null, and its failure says why."""
    return opening(digits) | {"data_sha256": digits.sha256, "agreement": [plain(result) for result in results]}


def agree(
    console: Console, names: Sequence[str], cases: list[PosedProblem], seconds: float = TIME_LIMIT
) -> list[Checked]:
    """Check these backends and print a line for each as soon as it is done; returns all, in the order of the names."""
    done: dict[str, Checked] = {}
    for one in check_each(names, cases, seconds):
        done[one.backend] = one
        console.print(line_of(one), soft_wrap=True, markup=False)
        console.file.flush()  # also where it is a pipe
    return [done[name] for name in names]


def line_of(one: Checked) -> str:
    """One backend in one line."""
    if not one.loaded:
        return one.failures[0]
    if one.failures:
        return f"{one.backend} disagrees: {one.failures[0]}"
    unsupported = dict.fromkeys(result.quantity for result in one.results if result.unsupported)
    missing = f"; unsupported: {', '.join(unsupported)}" if unsupported else ""
    return f"{one.backend} agrees: at most {one.share:.0%} of a tolerance, {one.seconds:.1f} s{missing}"
