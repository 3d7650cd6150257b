"""What `agree` checks: every backend compared with the reference, in the cases that are timed and one more."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.console import Console

from bench.agreement.check import reference
from bench.agreement.isolated import TIME_LIMIT, CheckedBackend, PosedProblem, check_each
from bench.agreement.problems import problem_of
from bench.workloads.cases import MINI_BATCHES
from bench.workloads.recipes import Recipe
from data import Digits

SHUFFLED = replace(MINI_BATCHES, name="mini-batches, shuffled, Nesterov 0.9", order="shuffled", momentum=0.9)


def posed(case: Recipe, train: Digits) -> PosedProblem:
    """The problem of a case, and what the reference computes for it. Raises UserError where a check proves nothing."""
    problem = problem_of(case, train)
    return problem, reference(problem)


def agree(
    console: Console,
    names: Sequence[str],
    cases: list[PosedProblem],
    seconds: float = TIME_LIMIT,
    keep: Callable[[list[CheckedBackend]], None] = lambda _: None,
) -> list[CheckedBackend]:
    """Check these backends and print a line for each as soon as it is done; returns all, in the order of the names.

    keep: is called after each with those that are done, in the order of the names.
    """
    checked: dict[str, CheckedBackend] = {}
    for one in check_each(names, cases, seconds):
        checked[one.backend] = one
        console.print(line_of(one), soft_wrap=True, markup=False)
        console.file.flush()  # also where it is a pipe
        keep([checked[name] for name in names if name in checked])
    return [checked[name] for name in names]


def line_of(one: CheckedBackend) -> str:
    """One backend in one line."""
    if not one.loaded:
        return one.failures[0]
    if one.unavailable:
        return f"not checked: {one.unavailable}"
    if one.failures:
        return f"{one.backend} disagrees: {one.failures[0]}"
    unsupported = dict.fromkeys(result.quantity for result in one.results if result.unsupported)
    missing = f"; unsupported: {', '.join(unsupported)}" if unsupported else ""
    return f"{one.backend} agrees: at most {one.share:.0%} of a tolerance, {one.seconds:.1f} s{missing}"
