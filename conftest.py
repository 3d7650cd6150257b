"""A plain `pytest` runs the tests, `pytest --benchmark-only` the benchmarks; naming a file or folder runs that.

`pytest --backend=NAME` runs the conformance suite on one backend, and no other test.
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
from bench.timing import interleave, threads
from impls.contract import DType

pytest_plugins = ("benchmark_plugin",)

ROOT = Path(__file__).parent
CONFORMANCE = ROOT / "tests" / "suite" / "test_conformance.py"
# These extras' backends are checked only so: some compile for every shape, for minutes.
ON_REQUEST = ("peers", "light", "cluster", "cuda")
NAMED_AT_MOST = 3  # networks in one line of the summary


# What is unsupported: networks in the order of the tests, by backend, quantity, dtype and reason.
UnsupportedParts = dict[tuple[str, str, str, str], dict[str, None]]
UNSUPPORTED = pytest.StashKey[UnsupportedParts]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto` of pytest-xdist: one more than cores, as tests wait for processes that they start and end."""
    return threads.cores() + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the conformance suite."""
    group = parser.getgroup("digitbench")
    group.addoption(
        "--backend",
        metavar="NAME",
        help="run the conformance suite on this backend, a name of `python -m impls`, a module's dotted path or a file",
    )
    group.addoption(
        "--require-backends",
        metavar="NAMES",
        type=names_of,
        default=[],
        help="fail, instead of skipping, where one of these backends is unavailable; separated by commas",
    )
    group.addoption(
        "--time-limit",
        metavar="SECONDS",
        type=float,
        default=TIME_LIMIT,
        help="give a backend that one of these options names this long for its first check, in a process of its own, "
        f"with imports and compilation (default: {TIME_LIMIT:g})",
    )


def names_of(text: str) -> list[str]:
    """Return the names in a list separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def pytest_configure(config: pytest.Config) -> None:
    """Set the threads of a worker; raise UsageError for backends that do not exist and options that do not combine."""
    config.stash[UNSUPPORTED] = {}
    threads.release()  # benchmarks run in this process
    if threads.limit():  # by a CPU quota, which the libraries do not see
        os.environ |= dict.fromkeys(threads.VARIABLES, str(threads.cores()))
        threadpool_limits(threads.cores(), user_api="blas")
    if hasattr(config, "workerinput"):  # set by pytest-xdist, whose workers share the cores: one BLAS thread each
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # in processes that tests start
        threadpool_limits(1, user_api="blas")
    backend = config.getoption("backend")
    if sum(argument.partition("=")[0] == "--backend" for argument in config.invocation_params.args) > 1:
        raise pytest.UsageError("--backend: is given twice, expected once, as one backend is checked")
    try:
        for name in config.getoption("require_backends"):
            impls.entry(name)
        if backend is not None:
            config.option.backend = impls.named(backend)
            impls.check(config.option.backend)
    except (impls.UnknownBackend, impls.BackendUnavailable) as error:
        raise pytest.UsageError(str(error)) from None
    if backend is not None and config.getoption("benchmark_only", default=False):
        raise pytest.UsageError("--backend checks and does not measure; choose benchmarks with -k, or drop one option")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile once before workers share the tests; otherwise each would. Failures here are left to the tests."""
    config = session.config
    # A pytest that a test starts is no worker. Before this, pytest-benchmark has to see that this process is one.
    os.environ.pop("PYTEST_XDIST_WORKER", None)
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
    """Skip benchmarks or tests, whichever are not wanted, unless files were named on the command line."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return None
    if config.getoption("backend") is not None and collection_path.is_file():
        return True if collection_path != CONFORMANCE else None
    benchmarks = config.getoption("benchmark_only", default=False)
    return True if collection_path.is_relative_to(ROOT / ("tests" if benchmarks else "bench")) else None


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`checked` is the backend of --backend, or each in the order of `impls`, optional ones only where required.

    It is the last parameter, so that all backends follow each other in a case, whose expected values are made once.
    """
    if "checked" in metafunc.fixturenames:
        chosen, required = (metafunc.config.getoption(option) for option in ("backend", "require_backends"))
        names = [name for name in impls.names() if impls.entry(name).extra not in ON_REQUEST or name in required]
        names.append("impls.template")  # is right as it stands
        metafunc.parametrize("checked", names if chosen is None else [chosen])


@pytest.fixture
def without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report the optional peers as unavailable, so that tests over all backends stay quick."""
    available = impls.available
    monkeypatch.setattr(
        impls, "available", lambda: tuple(name for name in available() if impls.entry(name).extra not in ON_REQUEST)
    )


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let child processes receive SIGINT and SIGHUP, even if pytest runs in the background or by nohup."""
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler)}
    if sys.platform != "win32":
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def without_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not measure the machine's rates, which takes seconds; records lack them."""
    monkeypatch.setattr(interleave, "rates_are_due", lambda _: False)


@pytest.fixture(scope="session")
def unsupported_parts(request: pytest.FixtureRequest) -> UnsupportedParts:
    """What backends declare unsupported, for the summary."""
    return request.config.stash[UNSUPPORTED]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was not tested because a backend declares it unsupported."""
    unsupported = terminalreporter.config.stash[UNSUPPORTED]
    if unsupported:
        terminalreporter.section("unsupported by backends, so not tested")
    for (backend, quantity, dtype, reason), networks in unsupported.items():
        shown = list(networks)[:NAMED_AT_MOST]
        more = f" and {len(networks) - len(shown)} more" if len(networks) > len(shown) else ""
        terminalreporter.write_line(
            f"unsupported: backend {backend}: {quantity} for {', '.join(shown)}{more} in {dtype}: {reason}"
        )
