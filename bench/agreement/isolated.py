"""Judging a backend where it can do no harm: in a process of its own, for a limited time.

What a backend does wrong is a result, also if it hangs, kills its process or cannot be imported; the others go on.
"""

from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

import impls
from bench.agreement.check import Expected, Problem, Result, check, said
from bench.timing.process import Child, ChildFailed
from impls.contract import dtype_of

TIME_LIMIT = 300.0  # seconds for all trials of a backend, its imports and compilation included

PosedProblem = tuple[Problem, dict[str, Expected]]


def check_isolated(
    name: str,
    cases: list[PosedProblem],
    seconds: float = TIME_LIMIT,
    n_threads: int | None = None,
    source: Path | None = None,
) -> list[Result]:
    """Check one backend in all trials. name: of a backend, or a module's dotted path.

    n_threads: that it may use; None: as many as this process. source: a folder whose `impls` is meant instead of this
    checkout's. Never raises for what the backend does: one that hangs, dies or cannot be imported has one failed
    result.
    """
    with Child(work, name, cases, n_threads=n_threads, source=source) as child:
        try:
            results: list[Result] = child.answer(seconds)
        except ChildFailed as failure:
            return [failed(name, cases, failure.what, str(failure))]
    return results


def work(connection: Connection, name: str, cases: list[PosedProblem]) -> None:
    """What the process does: import the backend, check it, send the results."""
    try:
        backend = impls.find(name)
    except Exception as error:
        connection.send([failed(name, cases, "cannot be loaded", f"cannot be loaded: {said(error)}")])
        return
    connection.send([result for problem, expected in cases for result in check(backend, name, problem, expected)])


def failed(name: str, cases: list[PosedProblem], quantity: str, reason: str) -> Result:
    """The one result of a backend that could not be checked."""
    problem = cases[0][0]
    return Result(name, problem.name, dtype_of(problem.parameters), quantity, np.inf, 0.0, f"{name}: {reason}")
