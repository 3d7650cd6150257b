"""Judging a backend where it can do no harm: in a process of its own, for a limited time.

What a backend does wrong is a result, also if it hangs, kills its process or cannot be imported; others are checked.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

import impls
from bench.agreement.check import Expected, Problem, Result, check, said
from bench.timing import threads
from bench.timing.process import Child, ChildFailed
from impls.contract import dtype_of

AT_ONCE = 2
SLOWEST = ("torch_compile", "numba_sparse", "jax", "numba_dense", "numba")
TIME_LIMIT = 300.0  # seconds for all problems of a backend, its imports and compilation included
NOT_LOADED = "cannot be loaded"

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


class Checked(NamedTuple):
    """One backend that was checked."""

    backend: str
    results: list[Result]
    seconds: float  # import and compilation included

    @property
    def loaded(self) -> bool:
        """Whether it could be imported."""
        return all(result.quantity != NOT_LOADED for result in self.results)

    @property
    def failures(self) -> list[str]:
        """Why it disagrees, a line each."""
        return [result.failure for result in self.results if result.failure]

    @property
    def share(self) -> float:
        """The largest share of a tolerance that an error takes."""
        return max((result.share for result in self.results if not result.unsupported), default=0.0)


def check_each(names: Sequence[str], cases: list[PosedProblem], seconds: float = TIME_LIMIT) -> Iterator[Checked]:
    """Check backends, AT_ONCE of them at the same time, each in a process of its own; yields each when it is done.

    Nothing is timed here, and most of the time is imports and compilation on one core, so two take little longer than
    one. seconds: for each backend.
    """

    def checked(name: str) -> Checked:
        begin = time.monotonic()
        results = check_isolated(name, cases, seconds)
        return Checked(name, results, time.monotonic() - begin)

    with ThreadPoolExecutor(min(AT_ONCE, threads.cores())) as pool:
        for future in as_completed([pool.submit(checked, name) for name in slowest_first(names)]):
            yield future.result()


def slowest_first(names: Sequence[str]) -> list[str]:
    """Those that compile most first, so that the last one to end is not alone."""
    return sorted(names, key=lambda name: SLOWEST.index(name) if name in SLOWEST else len(SLOWEST))


def work(connection: Connection, name: str, cases: list[PosedProblem]) -> None:
    """What the process does: import the backend, check it, send the results."""
    try:
        backend = impls.find(name)
    except Exception as error:
        connection.send([failed(name, cases, NOT_LOADED, f"{NOT_LOADED}: {said(error)}")])
        return
    connection.send([result for problem, expected in cases for result in check(backend, name, problem, expected)])


def failed(name: str, cases: list[PosedProblem], quantity: str, reason: str) -> Result:
    """The one result of a backend that could not be checked."""
    problem = cases[0][0]
    return Result(name, problem.name, dtype_of(problem.parameters), quantity, np.inf, 0.0, f"{name}: {reason}")
