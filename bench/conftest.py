"""What the benchmarks share: the digits, the agreement check before any timing, the description of the machine."""

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import data
import impls
import temporary
from bench import UserError
from bench.agreement.check import Result, lacks, plain
from bench.agreement.isolated import check_isolated
from bench.analysis.race import crowded
from bench.experiments.agree import posed
from bench.records import fingerprint
from bench.records.files import Measurement, Suite
from bench.records.kinds import Agreement, opening
from bench.records.paths import shortened, without_paths
from bench.timing import threads
from bench.timing.clock import noise
from bench.timing.session import stored
from bench.timing.worker import FLOOR
from bench.workloads.cases import CASES, drawn
from bench.workloads.recipes import with_outputs
from impls.contract import Backend

RESULTS = pytest.StashKey[dict[str, Any]]()
DATASET = pytest.StashKey[data.Dataset]()
BEGIN = pytest.StashKey[tuple[float, float | None]]()  # of the measurements: the time, and `Noise.others`


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark `needs`, and prepare what is added to the JSON of the timings."""
    config.addinivalue_line("markers", "needs(*quantities): what a backend has to compute for this benchmark")
    unavailable = {name: shortened(reason) for name in impls.names() if (reason := impls.unavailable_reason(name))}
    config.stash[RESULTS] = {"agreement": [], "unavailable": unavailable}


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    """Add what reports read: every comparison with the reference, and each measurement with its key and all samples.

    `output_json` shares its parts with other files of the same run, and lacks the samples where only statistics are
    saved, so that nothing is taken from it.
    """
    dataset = config.stash.get(DATASET, None)
    if dataset is None:  # nothing was measured
        return
    about = opening(dataset, {benchmark.extra_info.get("backend", FLOOR) for benchmark in benchmarks})
    measurements = []
    for benchmark in benchmarks:
        if benchmark.has_error:
            continue
        info = benchmark.extra_info
        n_threads = max(info["threads"].values(), default=threads.cores())
        measured = {"measure": info["quantity"], **info["case"], "images": info["of_images"], "threads": n_threads}
        sources = fingerprint.sources_of({info["backend"]: info["backend"]})
        key = fingerprint.key(measured, sources, dataset.sha256, about["machine"])
        fields = info | {"samples": benchmark.stats.data, "key": key}
        measurements.append(msgspec.convert(fields, Measurement))
    suite = Suite(**about, **config.stash[RESULTS], measurements=measurements)
    output_json["digitbench"] = msgspec.to_builtins(suite)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the notice of digits that are not MNIST, and that other processes kept cores busy."""
    stash = terminalreporter.config.stash
    dataset = stash.get(DATASET, None)
    if dataset is not None and dataset.notice:
        terminalreporter.write_line(dataset.notice, yellow=True)
    begin, before = stash.get(BEGIN, (0.0, None))
    now = noise().others
    if before is not None and now is not None:
        others = (now - before) / (time.monotonic() - begin)
        if line := crowded(others, len(threads.usable()), threads.cores(), "give pytest fewer cores by `taskset`"):
            terminalreporter.write_line(f"The machine was not quiet: {line}.", yellow=True)


@pytest.fixture(scope="session")
def digits(request: pytest.FixtureRequest) -> data.Dataset:
    """The data set, as `python -m data info` describes it."""
    try:
        dataset = data.load()
    except data.DataError as error:
        pytest.exit(f"error: {error}", returncode=2)
    request.config.stash[DATASET] = dataset
    request.config.stash[BEGIN] = time.monotonic(), noise().others
    return dataset


@pytest.fixture(scope="session")
def folders(digits: data.Dataset) -> Iterator[dict[str, Path]]:
    """Where the images of each split are, as `TimingTask` needs them."""
    with temporary.folder() as folder:
        yield {name: stored(drawn(getattr(digits, name)), folder / name) for name in ("train", "test")}


@pytest.fixture(scope="session")
def results_of(digits: data.Dataset, request: pytest.FixtureRequest) -> Callable[[str], list[Result]]:
    """A function that checks a backend, once, on all benchmarked cases, before it is timed."""
    try:
        cases = [posed(with_outputs(case, digits.classes), digits.train) for case in CASES]
    except UserError as error:
        pytest.exit(f"error: {error}", returncode=2)

    @functools.cache
    def check(backend: str) -> list[Result]:
        results = check_isolated(backend, cases)
        request.config.stash[RESULTS]["agreement"] += [
            without_paths(Agreement(race=0, **plain(result))) for result in results
        ]
        return results

    return check


@pytest.fixture(params=impls.names())
def backend(request: pytest.FixtureRequest, benchmark: Any, results_of: Callable[[str], list[Result]]) -> Backend:
    """Every backend that agrees, in ladder order; its worst error, in eps, goes to the results file.

    One that disagrees fails; one that does not support what the benchmark's mark `needs` lists is skipped.
    """
    name: str = request.param
    if (reason := impls.unavailable_reason(name)) is not None:
        pytest.skip(f"backend {name} {reason}")
    results = results_of(name)
    if failures := [result.failure for result in results if result.failure]:
        pytest.fail(f"not timed, as it disagrees: {failures[0]}", pytrace=False)
    needed = request.node.get_closest_marker("needs")
    if missing := lacks(results, *needed.args):
        pytest.skip(f"not timed: {missing[0]}")
    benchmark.extra_info["agreement_error"] = max(result.error for result in results)
    return impls.load(name)
