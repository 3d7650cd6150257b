"""A plain `pytest` runs the tests, `pytest --benchmark-only` the benchmarks; what is named is what runs."""

import os
import subprocess
import sys
from pathlib import Path

import bench

ROOT = bench.ROOT

# A plugin that takes each file of tests for one test, as importing all of them takes seconds.
WHOLE_FILES = """
import pytest
class TestFile(pytest.File):
    def collect(self):
        yield WholeFile.from_parent(self, name="all")
class WholeFile(pytest.Item):
    runtest = None  # it is only collected
def pytest_pycollect_makemodule(module_path, parent):
    return TestFile.from_parent(parent, path=module_path)
"""


def collected(*arguments: str, path: Path = ROOT) -> list[str]:
    """The tests that pytest would run, from the root. path: a further folder for imports."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"PYTHONPATH": str(path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if "::" in line]


def files_of(lines: list[str]) -> set[str]:
    return {line.partition("::")[0] for line in lines}


def test_plain_pytest_collects_the_tests(tmp_path: Path) -> None:
    (tmp_path / "whole_files.py").write_text(WHOLE_FILES)
    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    assert files_of(collected("-p", "whole_files", path=tmp_path)) == expected


def test_benchmark_only_collects_the_benchmarks() -> None:
    lines = collected("--benchmark-only")
    assert files_of(lines) == {"bench/bench_backends.py"}
    names = [line.partition("::")[2] for line in lines]
    for backend in ("naive", "vectorized", "minibatch", "numba", "numba_dense", "numba_sparse"):
        assert f"bench_outputs[{backend}]" in names
        assert f"bench_gradient[{backend}]" in names
        assert f"bench_epoch[{backend}-full batch]" in names
        assert f"bench_epoch[{backend}-mini-batches]" in names
    assert "bench_floor" in names


def test_what_is_named_is_collected() -> None:
    named = "bench/bench_backends.py", "tests/test_which_tests_run.py"
    assert files_of(collected(*named)) == {*named}
    assert files_of(collected("bench")) == {"bench/bench_backends.py"}
