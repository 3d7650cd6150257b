"""A plain `pytest` runs the tests, `pytest --benchmark-only` the benchmarks; what is named is what runs."""

import pytest

import bench
from tests.helpers.pytests import Done, run_all

ROOT = bench.ROOT

# A plugin that takes each file of tests for one test, as importing all of them takes seconds.
ONE_TEST_A_FILE = """
import pytest
class TestFile(pytest.File):
    def collect(self):
        yield WholeFile.from_parent(self, name="all")
class WholeFile(pytest.Item):
    runtest = None  # it is only collected
def pytest_pycollect_makemodule(module_path, parent):
    return TestFile.from_parent(parent, path=module_path)
"""


NAMED = "bench/bench_backends.py", "tests/test_which_tests_run.py"
RUNS = {
    "plain": ("-p", "one_test_a_file"),
    "benchmarks": ("--benchmark-only",),
    "named files": NAMED,
    "a named folder": ("bench",),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """What pytest collects in each of RUNS."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "one_test_a_file.py").write_text(ONE_TEST_A_FILE)
    return run_all({name: ("--collect-only", *arguments) for name, arguments in RUNS.items()}, folder)


def collected(done: Done) -> list[str]:
    """The tests that pytest would run."""
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if "::" in line]


def files_of(lines: list[str]) -> set[str]:
    return {line.partition("::")[0] for line in lines}


def test_plain_pytest_collects_the_tests(runs: dict[str, Done]) -> None:
    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    lines = collected(runs["plain"])
    assert {line.partition("::")[2] for line in lines} == {"all"}  # not one file was imported
    assert files_of(lines) == expected


def test_benchmark_only_collects_the_benchmarks(runs: dict[str, Done]) -> None:
    lines = collected(runs["benchmarks"])
    assert files_of(lines) == {"bench/bench_backends.py"}
    names = [line.partition("::")[2] for line in lines]
    for backend in ("naive", "vectorized", "minibatch", "numba", "numba_dense", "numba_sparse"):
        assert f"bench_outputs[{backend}]" in names
        assert f"bench_gradient[{backend}]" in names
        assert f"bench_epoch[{backend}-full batch]" in names
        assert f"bench_epoch[{backend}-mini-batches]" in names
    assert "bench_floor" in names


def test_what_is_named_is_collected(runs: dict[str, Done]) -> None:
    assert files_of(collected(runs["named files"])) == {*NAMED}
    assert files_of(collected(runs["a named folder"])) == {"bench/bench_backends.py"}
