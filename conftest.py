"""A plain `pytest` runs the tests, `pytest --benchmark-only` the benchmarks; naming a file or folder runs that.

`pytest --backend=NAME` judges one backend: it runs the conformance tests, of this one alone.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from threadpoolctl import threadpool_limits

import impls
from bench.agreement.isolated import TIME_LIMIT
from bench.timing import interleave
from impls.contract import DType

ROOT = Path(__file__).parent
CONFORMANCE = ROOT / "tests" / "suite" / "test_conformance.py"
PEERS = "peers"  # the extra whose backends are judged when asked for: some compile for every shape, which takes minutes
NAMED_AT_MOST = 3  # networks in one line of the summary


# What backends deny: the networks, in the order in which they were met, by backend, quantity, dtype and reason.
UnsupportedParts = dict[tuple[str, str, str, str], dict[str, None]]
UNSUPPORTED = pytest.StashKey[UnsupportedParts]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options by which backends are judged."""
    group = parser.getgroup("digitbench")
    group.addoption(
        "--backend", metavar="NAME", help="judge one backend: a name of `python -m impls`, or a module's dotted path"
    )
    group.addoption(
        "--require-backends",
        metavar="NAMES",
        type=names_of,
        default=[],
        help="backends, separated by commas, whose tests fail where they are unavailable, instead of being skipped",
    )
    group.addoption(
        "--time-limit",
        metavar="SECONDS",
        type=float,
        default=TIME_LIMIT,
        help="for the first trial of a backend, in a process of its own, imports and compilation included "
        f"(default: {TIME_LIMIT:g})",
    )


def names_of(text: str) -> list[str]:
    """The names in a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def pytest_configure(config: pytest.Config) -> None:
    """Refuse names of backends that do not exist."""
    config.stash[UNSUPPORTED] = {}
    if hasattr(config, "workerinput"):  # of pytest-xdist: the workers share the cores, so BLAS has one thread in each
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # in processes that tests start
        os.environ.pop("PYTEST_XDIST_WORKER", None)  # a pytest that a test starts is no worker
        threadpool_limits(1, user_api="blas")
    backend = config.getoption("backend")
    try:
        for name in config.getoption("require_backends"):
            impls.entry(name)
        if backend is not None:
            impls.check(backend)
    except (impls.UnknownBackend, impls.BackendUnavailable) as error:
        raise pytest.UsageError(str(error)) from None
    if backend is not None and config.getoption("benchmark_only", default=False):
        raise pytest.UsageError("--backend judges and measures nothing; choose benchmarks by -k, or leave one of both")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile before workers share all tests, or each would compile the same. What fails here is left to the tests."""
    config = session.config
    shared = not hasattr(config, "workerinput") and config.getoption("numprocesses", default=None)
    if not shared or config.args_source is not pytest.Config.ArgsSource.TESTPATHS or config.getoption("backend"):
        return
    commands = [[sys.executable, "-m", "tests.helpers.compiling", dtype] for dtype in get_args(DType)]
    processes = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) for command in commands]
    try:
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(config.getoption("time_limit"))
    finally:
        for process in processes:
            process.kill()
            process.wait()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the room that is not meant, unless it was named on the command line."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return None
    if config.getoption("backend") is not None and collection_path.is_file():
        return True if collection_path != CONFORMANCE else None
    benchmarks = config.getoption("benchmark_only", default=False)
    return True if collection_path.is_relative_to(ROOT / ("tests" if benchmarks else "bench")) else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`judged` is the one backend that was asked for, or all in ladder order, but peers only where required."""
    if "checked" in metafunc.fixturenames:
        asked_for, required = (metafunc.config.getoption(option) for option in ("backend", "require_backends"))
        names = [name for name in impls.names() if impls.entry(name).extra != PEERS or name in required]
        metafunc.parametrize("checked", names if asked_for is None else [asked_for], scope="session")


@pytest.fixture
def without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optional peers are there by name alone, whether installed or not: what goes over all backends stays quick."""
    available = impls.available
    monkeypatch.setattr(
        impls, "available", lambda: tuple(name for name in available() if impls.entry(name).extra != PEERS)
    )


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What is started hears SIGINT, also where pytest itself was started in the background, to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def without_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """No floor measures what the machine reaches, which takes seconds: records are without it."""
    monkeypatch.setattr(interleave, "rates_are_due", lambda _: False)


@pytest.fixture(scope="session")
def denials(request: pytest.FixtureRequest) -> UnsupportedParts:
    """What backends deny, to be listed in the summary."""
    return request.config.stash[UNSUPPORTED]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was not tested, as the backend says that it does not have it."""
    unsupported = terminalreporter.config.stash[UNSUPPORTED]
    if unsupported:
        terminalreporter.section("denied by backends, so not tested")
    for (backend, quantity, dtype, reason), networks in unsupported.items():
        shown = list(networks)[:NAMED_AT_MOST]
        more = f" and {len(networks) - len(shown)} more" if len(networks) > len(shown) else ""
        terminalreporter.write_line(
            f"denied: backend {backend}: {quantity} for {', '.join(shown)}{more} in {dtype}: {reason}"
        )
