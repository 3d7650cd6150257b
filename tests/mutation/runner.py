"""Judge mutants: each in a process of its own, forked from one that has imported what the tests need."""

import contextlib
import importlib
import io
import os
import re
import resource
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from multiprocessing import connection, get_context
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from tests.mutation.mutants import Mutant, mutated
from tests.mutation.plain import stand_ins

# Read by the libraries when they are imported. One thread each for BLAS, as the mutants share the cores; of numba three
# threads' shares, so that they are uneven.
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "3",
    "PYTHONDONTWRITEBYTECODE": "1",
}
NO_TESTS, NO_PROGRAM = 5, 100  # exit codes: pytest's when there are no tests; ours when a mutant is a syntax error

FORK = get_context("fork")


class Target(NamedTuple):
    """A module, and the tests that are run on its mutants."""

    module: str
    source: str
    arguments: list[str]  # pytest's
    limit: float  # seconds that a mutant may take


class Result(NamedTuple):
    """What became of a mutant."""

    outcome: str  # "killed", "timeout", "survived" or "no program"
    test: str  # that failed first
    seconds: float


def preload(tree: Path) -> None:
    """Import the libraries, and pytest's plugins by a run without tests: a forked mutant has them at once.

    The numba backends run as plain Python, so that a mutant need not be compiled.
    """
    sys.dont_write_bytecode = True
    for name in ("numpy", "numba", "impls.contract"):
        importlib.import_module(name)
    sys.modules["numba"].config.DISABLE_JIT = 1  # not by its variable, with which the registry refuses these backends
    (tree / "nothing.py").touch()
    pytest = importlib.import_module("pytest")
    with contextlib.redirect_stdout(io.StringIO()) as output:
        code = pytest.main(["-q", "-p", "no:cacheprovider", "nothing.py"])
    if code != NO_TESTS:
        raise SystemExit(f"error: pytest fails where there is nothing to test:\n{output.getvalue()}")


def judge(target: Target, mutant: Mutant | None, log: Path) -> None:
    """In a process of its own: put the mutant in the place of the module, in memory, run the tests, exit as they do."""
    os.setsid()  # a group of its own, so that it can be ended with whatever it starts
    seconds = int(target.limit) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))  # also when its parent is gone
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        source = target.source if mutant is None else mutated(target.source, mutant)
        code = compile(source, f"mutant of {target.module}", "exec")
    except SyntaxError:
        sys.exit(NO_PROGRAM)
    sys.meta_path.insert(0, Finder(target.module, code))
    pytest = importlib.import_module("pytest")
    sys.exit(int(pytest.main(target.arguments)))


class Finder:
    """Finds the modules of impls: one has other code, and any may have stand-ins for what only compiled code can do."""

    def __init__(self, module: str, code: CodeType) -> None:
        self.module, self.code = module, code

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where a module is, and how it is loaded; None for those of others."""
        spec = PathFinder.find_spec(name, path) if name.startswith("impls.") else None
        if spec is not None and spec.origin is not None:
            spec.loader = Loader(name, spec.origin)
            spec.loader.mutant = self.code if name == self.module else None
        return spec


class Loader(SourceFileLoader):
    """Loads a module for `Finder`."""

    mutant: CodeType | None = None

    def get_code(self, fullname: str) -> CodeType | None:
        """The mutant's, or that of the file."""
        return self.mutant or super().get_code(fullname)

    def exec_module(self, module: ModuleType) -> None:
        """Run it, and put stand-ins into it."""
        super().exec_module(module)
        vars(module).update(stand_ins(module))


def run(
    target: Target, mutants: Sequence[Mutant | None], jobs: int, record: Callable[[Mutant | None, Result], None]
) -> None:
    """Judge mutants, some at the same time, and record each when it is done; None is the module as it is."""
    waiting = deque(enumerate(mutants))
    running: dict[int, tuple[Any, Mutant | None, Path, float]] = {}
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    number, mutant = waiting.popleft()
                    log = Path(folder) / str(number)
                    process = FORK.Process(target=judge, args=(target, mutant, log))
                    process.start()
                    running[process.sentinel] = process, mutant, log, time.monotonic()
                ended = connection.wait(list(running), timeout=1)
                for sentinel, (process, mutant, log, start) in list(running.items()):
                    seconds = time.monotonic() - start
                    if sentinel in ended or seconds > target.limit:
                        end(process)
                        del running[sentinel]
                        record(mutant, result_of(process.exitcode, log, seconds))
        finally:
            for process, *_ in running.values():
                end(process)


def end(process: Any) -> None:
    """End a process, if it has not ended, and whatever it has started."""
    process.kill()
    with contextlib.suppress(ProcessLookupError):  # there is nothing of it left
        os.killpg(process.pid, signal.SIGKILL)
    process.join()


def result_of(code: int, log: Path, seconds: float) -> Result:
    """What the exit code and the output of a mutant's process say."""
    output = log.read_text(errors="replace") if log.exists() else ""
    if code == NO_TESTS:
        raise SystemExit(f"error: pytest found no tests, expected those of one backend:\n{output}")
    outcomes = {0: "survived", NO_PROGRAM: "no program", -signal.SIGKILL: "timeout", -signal.SIGXCPU: "timeout"}
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    return Result(outcomes.get(code, "killed"), failed[1] if failed else "", seconds)
