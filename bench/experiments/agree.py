"""Every backend held against the reference."""

from dataclasses import replace
from typing import Any

from bench.agreement.check import Result, plain, reference
from bench.agreement.isolated import PosedProblem
from bench.agreement.problems import problem_of
from bench.records.kinds import opening
from bench.workloads.cases import CASES, MINI_BATCHES
from data import Dataset, Digits
from impls.contract import DType

DTYPES: tuple[DType, ...] = ("float32", "float64")
SHUFFLED = replace(MINI_BATCHES, name="mini-batches, shuffled, Nesterov 0.9", order="shuffled", momentum=0.9)


def cases_of(train: Digits, dtype: DType) -> list[PosedProblem]:
    """The cases that are timed, and mini-batches shuffled with momentum; each with what the reference computes."""
    problems = [problem_of(replace(case, dtype=dtype), train) for case in (*CASES, SHUFFLED)]
    return [(problem, reference(problem)) for problem in problems]


def agreement_record(digits: Dataset, results: list[Result]) -> dict[str, Any]:
    """What the JSON file holds; an error that is no finite number is null, and its failure says why."""
    return opening(digits) | {"data_sha256": digits.sha256, "agreement": [plain(result) for result in results]}
