"""Judging a backend where it can do no harm: in a process of its own, for a limited time.

What a backend does wrong is a result, also if it hangs, kills its process or cannot be imported; others are checked.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

import impls
from bench.agreement.check import Expected, Problem, Result, check, in_one_line
from bench.timing import threads
from bench.timing.process import Child, ChildFailed
from impls.contract import dtype_of

AT_ONCE = 2
SLOWEST = ("torch_compile", "numba_sparse", "jax", "numba_dense", "numba")  # first, so that the last is not alone
TIME_LIMIT = 300.0  # seconds for all problems of a backend, its imports and compilation included

PosedProblem = tuple[Problem, dict[str, Expected]]


def check_isolated(
    name: str,
    cases: list[PosedProblem],
    seconds: float = TIME_LIMIT,
    n_threads: int | None = None,
    source: Path | None = None,
) -> list[Result]:
    """Check one backend in all problems. name: of a backend, or a module's dotted path.

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


def check_each(
    names: Sequence[str], cases: list[PosedProblem], seconds: float = TIME_LIMIT
) -> Iterator[tuple[str, list[Result], float]]:
    """Check backends, AT_ONCE of them at the same time, each in a process of its own.

    Nothing is timed here, and most of the time is imports and compilation on one core, so two take little longer than
    one. seconds: for each backend. Yields each when it is done: its name, its results, and how many seconds it took,
    import and compilation included.
    """

    def checked(name: str) -> tuple[str, list[Result], float]:
        begin = time.monotonic()
        return name, check_isolated(name, cases, seconds), time.monotonic() - begin

    slowest_first = sorted(names, key=lambda name: SLOWEST.index(name) if name in SLOWEST else len(SLOWEST))
    with ThreadPoolExecutor(min(AT_ONCE, threads.cores())) as pool:
        for future in as_completed([pool.submit(checked, name) for name in slowest_first]):
            yield future.result()


def work(connection: Connection, name: str, cases: list[PosedProblem]) -> None:
    """What the process does: import the backend, check it, send the results."""
    try:
        backend = impls.find(name)
    except Exception as error:
        connection.send([failed(name, cases, "cannot be loaded", f"cannot be loaded: {in_one_line(error)}")])
        return
    connection.send([result for problem, expected in cases for result in check(backend, name, problem, expected)])


def failed(name: str, cases: list[PosedProblem], quantity: str, reason: str) -> Result:
    """The one result of a backend that could not be checked."""
    problem = cases[0][0]
    return Result(name, problem.name, dtype_of(problem.parameters), quantity, np.inf, 0.0, f"{name}: {reason}")
