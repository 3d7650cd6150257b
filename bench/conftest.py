"""What the benchmarks share: the digits, the agreement check before any timing, the description of the machine."""

from typing import Any

import msgspec
import pytest

import data
import impls
from bench import UserError
from bench.agreement.check import Result, lacks, plain, reference
from bench.agreement.isolated import PosedProblem, check_isolated
from bench.agreement.problems import problem_of
from bench.records import environment, fingerprint
from bench.records.files import Measurement, Suite
from bench.records.kinds import Agreement, opening
from bench.timing import threads
from bench.workloads.cases import CASES
from impls.contract import Backend

RESULTS = pytest.StashKey[dict[str, Any]]()
DATASET = pytest.StashKey[data.Dataset]()


def pytest_configure(config: pytest.Config) -> None:
    """Start what is added to the JSON of the timings."""
    config.addinivalue_line("markers", "needs(*quantities): what a backend has to have for this benchmark")
    unavailable = {name: reason for name in impls.names() if (reason := impls.unavailable_reason(name))}
    config.stash[RESULTS] = {"agreement": [], "unavailable": unavailable}


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """A random id instead of the host name."""
    machine_info["node"] = environment.local_id()


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    """What reports read: every comparison with the reference, and each measurement with its key."""
    dataset = config.stash.get(DATASET, None)
    if dataset is None:  # nothing was measured
        return
    about, measurements = opening(dataset), []
    for benchmark in output_json["benchmarks"]:
        case, info = benchmark["extra_info"].pop("case"), benchmark["extra_info"]
        n_threads = max(info["threads"].values(), default=threads.cores())
        measured = {"measure": info["quantity"], **case, "images": info["of_images"], "threads": n_threads}
        sources = fingerprint.sources_of({info["backend"]: info["backend"]})
        key = fingerprint.key(measured, sources, dataset.sha256, about["machine"])
        about_it = info | {"samples": benchmark["stats"]["data"], "key": key}
        measurements.append(msgspec.convert(about_it, Measurement))
    suite = Suite(**about, **config.stash[RESULTS], measurements=measurements)
    output_json["digitbench"] = msgspec.to_builtins(suite)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say it where the digits are no MNIST."""
    dataset = terminalreporter.config.stash.get(DATASET, None)
    if dataset is not None and dataset.notice:
        terminalreporter.write_line(dataset.notice, yellow=True)


@pytest.fixture(scope="session")
def digits(request: pytest.FixtureRequest) -> data.Dataset:
    """The data set, as `python -m data info` describes it."""
    try:
        dataset = data.load()
    except data.DataError as error:
        pytest.exit(f"error: {error}", returncode=1)
    request.config.stash[DATASET] = dataset
    return dataset


@pytest.fixture(params=impls.names())
def backend_name(request: pytest.FixtureRequest) -> str:
    """Every backend, in ladder order."""
    name: str = request.param
    reason = impls.unavailable_reason(name)
    if reason is not None:
        pytest.skip(f"backend {name} {reason}")
    return name


@pytest.fixture(scope="session")
def cases(digits: data.Dataset) -> list[PosedProblem]:
    """What every backend has to compute before it is timed."""
    try:
        problems = [problem_of(case, digits.train) for case in CASES]
        return [(problem, reference(problem)) for problem in problems]
    except UserError as error:
        pytest.exit(f"error: {error}", returncode=1)


@pytest.fixture(scope="session")
def verdicts() -> dict[str, list[Result]]:
    """The agreement check's results so far, by backend."""
    return {}


@pytest.fixture
def agreed(
    backend_name: str, cases: list[PosedProblem], verdicts: dict[str, list[Result]], request: pytest.FixtureRequest
) -> float:
    """The backend's worst error in eps over all cases.

    One that disagrees is not timed, nor one that does not support what the benchmark's mark `needs` lists.
    """
    if backend_name not in verdicts:
        verdicts[backend_name] = check_isolated(backend_name, cases)
        found = [Agreement(race=0, **plain(result)) for result in verdicts[backend_name]]
        request.config.stash[RESULTS]["agreement"] += found
    results = verdicts[backend_name]
    failures = [result.failure for result in results if result.failure]
    if failures:
        pytest.fail(f"not timed, as it disagrees: {failures[0]}", pytrace=False)
    needed = request.node.get_closest_marker("needs")
    if missing := lacks(results, *needed.args):
        pytest.skip(f"not timed: {missing[0]}")
    return max(result.error for result in results)


@pytest.fixture
def backend(backend_name: str, agreed: float) -> Backend:
    """A backend that agrees."""
    return impls.load(backend_name)
