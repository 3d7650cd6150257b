"""What the benchmarks share: the digits, the agreement check before any timing, the description of the machine."""

from typing import Any

import pytest

import data
import impls
from bench import UserError, agreement, machine
from bench.cases import CASES, Case
from bench.results import SCHEMA
from impls.contract import Backend

RESULTS = pytest.StashKey[dict[str, Any]]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the record that goes into the JSON beside the timings."""
    unavailable = {name: reason for name in impls.names() if (reason := impls.unavailable_reason(name))}
    config.stash[RESULTS] = {"schema": SCHEMA, "agreement": [], "unavailable": unavailable}


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """NumPy, BLAS and threads beside pytest-benchmark's own fields; a random id instead of the host name."""
    machine_info["digitbench"] = machine.describe()
    machine_info["node"] = machine_info["digitbench"]["id"]


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    """Who agreed and who did not: one that was left out leaves a line that says why."""
    output_json["digitbench"] = config.stash[RESULTS]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say it where the digits are no MNIST."""
    notice = terminalreporter.config.stash[RESULTS].get("notice")
    if notice:
        terminalreporter.write_line(notice, yellow=True)


@pytest.fixture(scope="session")
def digits(request: pytest.FixtureRequest) -> data.Dataset:
    """The data set, as `python -m data info` describes it."""
    try:
        dataset = data.load()
    except data.DataError as error:
        pytest.exit(f"error: {error}", returncode=1)
    request.config.stash[RESULTS] |= {"data": dataset.name, "data_sha256": dataset.sha256, "notice": dataset.notice}
    return dataset


@pytest.fixture(params=impls.names())
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend, in ladder order."""
    reason = impls.unavailable_reason(request.param)
    if reason is not None:
        pytest.skip(f"backend {request.param} {reason}")
    return impls.load(request.param)


@pytest.fixture(scope="session")
def references(digits: data.Dataset) -> dict[Case, agreement.Quantities]:
    """What the reference computes, once for each case."""
    try:
        return {case: agreement.reference(case, digits.train) for case in CASES}
    except UserError as error:
        pytest.exit(f"error: {error}", returncode=1)


@pytest.fixture(scope="session")
def checked() -> dict[str, list[agreement.Result]]:
    """The agreement check's results so far, by backend."""
    return {}


@pytest.fixture
def agreed(
    backend: Backend,
    digits: data.Dataset,
    references: dict[Case, agreement.Quantities],
    checked: dict[str, list[agreement.Result]],
    request: pytest.FixtureRequest,
) -> float:
    """The backend's worst error in eps over all cases; a backend that disagrees is not timed."""
    if backend.NAME not in checked:
        results = agreement.check_cases(backend, digits.train, references)
        checked[backend.NAME] = results
        request.config.stash[RESULTS]["agreement"] += [result._asdict() for result in results]
    results = checked[backend.NAME]
    failures = [result.failure for result in results if result.failure]
    if failures:
        pytest.fail(f"not timed, as it disagrees: {failures[0]}", pytrace=False)
    return max(result.error for result in results)
