"""The agreement check of a backend in a process of its own, for a limited time.

What a backend does wrong is a result, also if it hangs, kills its process or cannot be imported; others are checked.
A registered backend that cannot be imported here supports nothing, as where a library is not installed.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

import impls
from bench.agreement.check import QUANTITIES, Expected, Problem, Result, check
from bench.timing import threads
from bench.timing.process import Child, ChildFailed, in_one_line
from impls.contract import dtype_of

AT_ONCE = 2  # backends
SLOWEST = ("torch_compile", "numba", "numba_sparse", "numba_dense", "jax")
TIME_LIMIT = 300.0  # seconds for all problems of a backend, its imports and compilation included
NOT_LOADED = "cannot be loaded"
PRINTS = "prints"
SHOWN = 80  # bytes of what a backend prints

PosedProblem = tuple[Problem, dict[str, Expected]]


class CheckedBackend(NamedTuple):
    """One backend that was checked."""

    backend: str
    results: list[Result]
    seconds: float  # import and compilation included

    @property
    def loaded(self) -> bool:
        """Whether it could be imported."""
        return all(result.quantity != NOT_LOADED for result in self.results)

    @property
    def unavailable(self) -> str | None:
        """Why nothing could be checked here; None where something was."""
        reasons = [result.unsupported for result in self.results]
        return reasons[0] if all(reasons) else None

    @property
    def failures(self) -> list[str]:
        """Why it disagrees, a line each."""
        return [result.failure for result in self.results if result.failure]

    @property
    def share(self) -> float:
        """The largest share of a tolerance that an error takes."""
        return max((result.share for result in self.results if not result.unsupported), default=0.0)


def check_isolated(
    name: str,
    cases: list[PosedProblem],
    seconds: float = TIME_LIMIT,
    n_threads: int | None = None,
    source: Path | None = None,
) -> list[Result]:
    """Check one backend in all problems; see `check_each`."""
    (checked,) = check_each([name], cases, seconds, n_threads, source)
    return checked.results


def check_each(
    names: Sequence[str],
    cases: list[PosedProblem],
    seconds: float = TIME_LIMIT,
    n_threads: int | None = None,
    source: Path | None = None,
) -> Iterator[CheckedBackend]:
    """Check backends, AT_ONCE of them at the same time, each in a process of its own; yields each when it is done.

    Nothing is timed here, and most of the time is imports and compilation on one core, so two take little longer than
    one. names: of backends, or modules' dotted paths. seconds: for each backend. n_threads: that each may use, see
    `Child`; None: as many as this process. source: a folder whose `impls` is checked; None: this checkout. A fault of a
    backend raises nothing: one that hangs, dies or cannot be imported has one failed result.
    """
    at_once = min(AT_ONCE, n_threads or threads.cores())
    waiting, running = slowest_first(names), dict[Future[list[Result]], tuple[str, float]]()
    # Each thread of the pool closes its own process. Where this ends early, all are killed before the pool waits.
    with ThreadPoolExecutor(at_once) as pool, ExitStack() as processes:
        while waiting or running:
            while waiting and len(running) < at_once:
                name, begin = waiting.pop(0), time.monotonic()
                python = impls.interpreter_of(name)
                child = Child(work, name, cases, n_threads=n_threads, source=source, python=python)
                processes.callback(child.kill)
                running[pool.submit(results_of, child, name, cases, seconds)] = name, begin
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name, begin = running.pop(future)
                yield CheckedBackend(name, future.result(), time.monotonic() - begin)


def results_of(child: Child, name: str, cases: list[PosedProblem], seconds: float) -> list[Result]:
    """Wait for the results of a process, `seconds` at most, and end it."""
    with child:
        try:
            results: list[Result] = child.answer(seconds)
        except ChildFailed as failure:
            return [failed(name, cases, failure.what, str(failure))]
    return results


def slowest_first(names: Sequence[str]) -> list[str]:
    """Those that compile most first, so that the last one to end is not alone; on whatever device."""

    def place(name: str) -> int:
        backend = name.partition(":")[0]
        return SLOWEST.index(backend) if backend in SLOWEST else len(SLOWEST)

    return sorted(names, key=place)


def work(connection: Connection, name: str, cases: list[PosedProblem]) -> None:
    """What the process does: import the backend, check it, send the results."""
    with output_kept() as output:
        results = results_here(name, cases, output)
    connection.send(results)


def results_here(name: str, cases: list[PosedProblem], output: BinaryIO) -> list[Result]:
    """Import the backend and check it, in this process. output: to which what it prints goes."""
    try:
        backend = impls.find(name)
    except impls.BackendUnavailable as unavailable:
        return [denied(name, cases, quantity, unavailable.reason) for quantity in QUANTITIES]
    except impls.UnknownBackend as error:
        return [failed(name, cases, NOT_LOADED, f"{NOT_LOADED}: {error}")]
    except (Exception, SystemExit) as error:
        return [failed(name, cases, NOT_LOADED, f"{NOT_LOADED}: {in_one_line(error)}")]
    line, when = printed(output), "while it is imported"
    results = [result for problem, expected in cases for result in check(backend, name, problem, expected)]
    if not line:
        line, when = printed(output), "while it computes"
    if line:
        reason = f"prints {line!r} {when}, expected nothing, as that takes time; print to sys.stderr while you need it"
        results += [failed(name, [case], PRINTS, reason) for case in cases]
    return results


@contextmanager
def output_kept() -> Iterator[BinaryIO]:
    """Within the `with`, what this process writes to its standard output goes to the file that is returned.

    Also what bypasses Python's streams, but for what C keeps until its process ends.
    """
    with tempfile.TemporaryFile(buffering=0) as file:
        before = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield file
        finally:
            sys.stdout.flush()
            os.dup2(before, 1)
            os.close(before)


def printed(output: BinaryIO) -> str:
    """The first line of what was written to standard output, SHOWN bytes at most; "" where nothing was."""
    sys.stdout.flush()
    output.seek(0)
    text = output.read(SHOWN).decode(errors="replace")
    output.seek(0, os.SEEK_END)
    return text.strip().partition("\n")[0] or text


def failed(name: str, cases: list[PosedProblem], quantity: str, reason: str) -> Result:
    """The one result of a backend that could not be checked."""
    return Result(name, *problem_and_dtype(cases), quantity, np.inf, 0.0, f"{name}: {reason}")


def denied(name: str, cases: list[PosedProblem], quantity: str, reason: str) -> Result:
    """The result for one quantity of a backend that cannot be used here."""
    return Result(name, *problem_and_dtype(cases), quantity, 0.0, 0.0, None, f"{name} {reason}")


def problem_and_dtype(cases: list[PosedProblem]) -> tuple[str, str]:
    """What stands for all problems in a result that is of none."""
    problem = cases[0][0]
    return problem.name, dtype_of(problem.parameters)
