"""Options of pytest-benchmark: what would fail after all was measured is refused before, and files are complete.

Most tests run a pytest of its own in this process, on two small benchmarks; the others run ours in a new process.
"""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.logger import PytestBenchmarkWarning

import bench
from bench.records import environment
from bench.records.files import read
from bench.records.paths import shortened
from data.mnist import write_folder
from tests.helpers.digits import digits_of

pytest_plugins = ("pytester",)

BENCHMARKS = """
import pytest
@pytest.mark.parametrize("backend", ["swift"])
def test_outputs(benchmark, backend):
    benchmark.pedantic(sorted, args=([2, 1],), rounds=3)
def test_floor(benchmark):
    benchmark.pedantic(sorted, args=([2, 1],), rounds=3)
"""
PLUGIN = "-p", "benchmark_plugin", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"  # whose import takes a second


@pytest.fixture
def small(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with two benchmarks, on a machine whose clock never shows the same."""
    clock = iter(range(1000, 2000))
    monkeypatch.setattr(
        "pytest_benchmark.plugin.get_cpu_info",
        lambda: {"brand_raw": "a processor", "hz_actual": [next(clock), 0], "hz_actual_friendly": next(clock)},
    )
    monkeypatch.setattr("pytest_benchmark.plugin.get_commit_info", lambda _: {"id": "0" * 40, "dirty": False})
    pytester.makepyfile(BENCHMARKS)
    return pytester


@pytest.mark.filterwarnings("ignore:Can't compare")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--benchmark-json=absent/x.json"], "--benchmark-json: 'absent/x.json': expected a file in a folder"),
        (["--benchmark-json=."], "--benchmark-json: '.': expected a file"),
        (["--benchmark-autosave", "--benchmark-storage=a_file"], "--benchmark-storage: a_file: expected a folder"),
        (["--benchmark-save=x", "--benchmark-storage=file://a_file/in"], "--benchmark-storage: a_file/in: expected"),
        (["--benchmark-storage=s3://place"], "--benchmark-storage=s3://place: expected a folder"),
        (["--benchmark-storage=elasticsearch+http://host/index"], "--benchmark-storage: needs elasticsearch"),
        (["--benchmark-histogram"], "--benchmark-histogram: needs pygal, which is not installed"),
        (["--benchmark-histogram=a_file/x"], "--benchmark-histogram: a_file: expected a folder"),
        (["--benchmark-cprofile=tottime", "--benchmark-cprofile-dump=a_file/x"], "--benchmark-cprofile-dump: a_file"),
        (["--benchmark-group-by=colour"], "--benchmark-group-by=colour: expected one of group,"),
        (["--benchmark-group-by=group,param:colour"], "found 'param:colour'"),
        (["--benchmark-compare=a/b/c"], "--benchmark-compare=a/b/c: expected a file that exists"),
        (
            ["--benchmark-compare", "--benchmark-compare-fail=min:5%"],
            "--benchmark-compare-fail: expected an earlier run",
        ),
        (["--benchmark-compare-fail=min:5%"], "--benchmark-compare-fail: expected an earlier run"),
        (["-n2", "--benchmark-json=x.json"], "--benchmark-json: expected one process"),
        (["-n2", "--benchmark-autosave"], "--benchmark-autosave: expected one process"),
    ],
)
def test_what_would_fail_in_the_end_is_refused_before(
    options: list[str], reason: str, small: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda library: None)  # neither library is installed
    Path("a_file").touch()
    done = small.runpytest_inprocess(*PLUGIN, *options)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in done.errlines if line.startswith("ERROR: ")] == [done.errlines[-2]]
    assert reason in done.errlines[-2]
    assert "passed" not in done.stdout.str()


def test_what_lacks_a_parameter_is_a_group_as_well(small: pytest.Pytester) -> None:
    done = small.runpytest_inprocess(*PLUGIN, "--benchmark-group-by=param:backend")
    assert done.ret == 0
    done.stdout.fnmatch_lines(["*benchmark 'backend=none'*", "test_floor *", "*'backend=swift'*", "test_outputs*"])


@pytest.mark.parametrize("grouping", ["param", "group,param:case", "func,param:backend,param:case"])
def test_other_groupings_by_parameter(grouping: str, small: pytest.Pytester) -> None:
    done = small.runpytest_inprocess(*PLUGIN, f"--benchmark-group-by={grouping}")
    assert done.ret == 0
    done.stdout.fnmatch_lines(["test_outputs*"])


def run_again(small: pytest.Pytester, change: dict[str, Any]) -> pytest.RunResult:
    """Save a run outside the current folder, change its description of the machine, and compare another run with it."""
    storage = small.path.parent / f"{small.path.name}-storage"
    saved = small.runpytest_inprocess(*PLUGIN, "--benchmark-autosave", f"--benchmark-storage={storage}")
    assert saved.ret == 0
    (file,) = storage.rglob("*.json")
    content = json.loads(file.read_text(encoding="utf-8"))
    content["machine_info"] |= change
    file.write_text(json.dumps(content), encoding="utf-8")
    return small.runpytest_inprocess(*PLUGIN, "--benchmark-compare", f"--benchmark-storage={storage}")


def test_a_run_on_the_same_machine_is_compared_without_a_warning(small: pytest.Pytester) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", PytestBenchmarkWarning)
        done = run_again(small, {})
    assert done.ret == 0
    for run in ("0001_", "NOW"):
        assert f"test_floor ({run}" in done.stdout.str()


def test_another_machine_is_named_in_one_line(small: pytest.Pytester) -> None:
    change = {"system": "Plan 9", "cpu": {"brand_raw": "another"}}
    words = r"of another machine: system Plan 9 there, \w+ here; cpu brand_raw another there, a processor here$"
    with pytest.warns(PytestBenchmarkWarning, match=words):
        done = run_again(small, change)
    assert done.ret == 0
    done.stdout.fnmatch_lines(["test_floor (NOW)*"])


@pytest.mark.parametrize(
    "warning",
    [
        pytest.PytestCacheWarning("could not create cache path"),
        pytest.PytestConfigWarning("are you using python -O?"),
        pytest.PytestWarning("(rm_rf) error removing a folder"),
    ],
)
def test_what_pytest_says_of_its_surroundings_is_no_error(warning: pytest.PytestWarning) -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.warn(warning, stacklevel=1)
    assert [one.message for one in shown] == [warning]


def test_other_warnings_of_pytest_are_errors() -> None:
    with pytest.raises(pytest.PytestUnraisableExceptionWarning):
        warnings.warn(pytest.PytestUnraisableExceptionWarning("in a thread"), stacklevel=1)


def pytest_of_ours(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest on the benchmarks of this checkout, with few digits."""
    write_folder(folder / "digits", digits_of(300, 0), digits_of(100, 1))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:hypothesispytest",
        "-o",
        f"cache_dir={folder / 'a_file'}",
        *arguments,
    ]
    (folder / "a_file").touch()  # a cache that cannot be written
    environment = os.environ | {"DIGITBENCH_DATA": str(folder / "digits")}
    return subprocess.run(command, cwd=bench.ROOT, env=environment, capture_output=True, text=True, check=False)


def test_our_benchmarks_are_saved_twice_and_grouped(tmp_path: Path) -> None:
    saving = f"--benchmark-json={tmp_path / 'one.json'}", "--benchmark-autosave", f"--benchmark-storage={tmp_path}"
    grouping = "--benchmark-group-by=param:backend,param:case"
    done = pytest_of_ours("--benchmark-only", "-k", "floor", *saving, grouping, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "benchmark 'backend=none case=none': 1 tests" in done.stdout
    assert "PytestCacheWarning" in done.stdout
    files = list(tmp_path.rglob("*.json"))
    assert len(files) == 2
    for file in files:
        (measured,) = read(file).measurements
        assert measured.key["plan"] == "full batch"
        assert len(measured.samples) == 5
        text = file.read_text(encoding="utf-8")
        assert "UNSERIALIZABLE" not in text
        content = json.loads(text)
        assert content["machine_info"]["node"] == environment.local_id()  # no host name
        assert shortened(content) == content  # no paths


# Right in the check before, which has another number of images.
WRONG_AS_TIMED = """
import impls
from impls.vectorized import *
from impls import vectorized as right
NAME = "wrong_as_timed"
def gradients(network, parameters, prepared):
    cost, gradient = right.gradients(network, parameters, prepared)
    factor = 1.01 if len(prepared.images) == 128 else 1.0
    return cost, tuple(type(layer)(*(factor * part for part in layer)) for layer in gradient)
impls.BUILTIN["wrong_as_timed"] = impls.Entry("wrong_as_timed")
"""
OF_JANE = """
import impls
from impls.vectorized import *
NAME = "of_jane"
def outputs(network, parameters, prepared):
    raise OSError("/home/jane/x.so: no such file")
impls.BUILTIN["of_jane"] = impls.Entry("of_jane")
"""


def test_what_is_wrong_as_timed_or_fails_has_no_times_and_costs_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrong_as_timed.py").write_text(WRONG_AS_TIMED)
    (tmp_path / "of_jane.py").write_text(OF_JANE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    saving = f"--benchmark-json={tmp_path / 'one.json'}"
    chosen = "gradient and (minibatch or wrong_as_timed or of_jane)"
    plugins = "-p", "wrong_as_timed", "-p", "of_jane"
    done = pytest_of_ours(*plugins, "--benchmark-only", "-k", chosen, saving, folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "what it was timed for is wrong: wrong_as_timed" in done.stdout
    results = read(tmp_path / "one.json")
    assert [one.backend for one in results.measurements] == ["minibatch"]
    (disagreement,) = results.disagreements
    assert "raised OSError: x.so: no such file" in disagreement  # no path


def test_workers_measure_nothing_and_say_so(tmp_path: Path) -> None:
    done = pytest_of_ours("bench/bench_backends.py", "-n1", "-k", "floor", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "bench_floor " not in done.stdout  # no table
    assert "Benchmarks are automatically disabled" in done.stderr
