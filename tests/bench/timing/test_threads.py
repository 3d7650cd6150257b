"""Threads are requested before the libraries are imported, and read back from them."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

import bench
from bench import UserError
from bench.timing import system, threads

ROOT = bench.ROOT

READ_BACK = """
import json
from bench.timing import threads
threads.request({wanted})
import numpy, numba, scipy.linalg
numpy.ones((4, 4)) @ numpy.ones((4, 4))
print(json.dumps(threads.in_force()))
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    without = {name: value for name, value in os.environ.items() if name not in threads.VARIABLES}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=without, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("wanted", sorted({1, threads.cores()}))
def test_the_libraries_obey(wanted: int) -> None:
    done = run_python(READ_BACK.format(wanted=wanted))
    assert done.returncode == 0, done.stderr
    in_force = json.loads(done.stdout)
    assert "numba" in in_force
    assert len(in_force) > 1 or sys.platform == "darwin"  # Apple's BLAS does not report its threads
    assert set(in_force.values()) == {wanted}


def test_each_library_has_a_blas_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy's wheels contain an OpenBLAS that SciPy's developers build, in a folder of NumPy."""
    loaded = [
        {"internal_api": "openblas", "num_threads": 2, "filepath": "/x/numpy.libs/libscipy_openblas64_-8fb3d286.so"},
        {"internal_api": "openblas", "num_threads": 3, "filepath": "/x/scipy.libs/libscipy_openblas-68440149.so"},
        {"internal_api": "openmp", "num_threads": 4, "filepath": "/usr/lib/libgomp.so.1"},
    ]
    monkeypatch.setattr("threadpoolctl.threadpool_info", lambda: loaded)
    others = ("numba", "torch", "jax")  # that other tests may have imported
    in_force = {pool: count for pool, count in threads.in_force().items() if pool not in others}
    assert in_force == {"openblas (numpy)": 2, "openblas (scipy)": 3, "openmp (other)": 4}


def test_torch_reports_its_threads_and_jax_has_one_per_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threadpoolctl.threadpool_info", lambda: [])
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(get_num_threads=lambda: 3))
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace())
    in_force = {pool: count for pool, count in threads.in_force().items() if pool != "numba"}
    assert in_force == {"torch": 3, "jax": threads.cores()}


def test_a_request_after_numpy_is_imported_fails() -> None:
    done = run_python("import numpy; from bench.timing import threads; threads.request(1)")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == "RuntimeError: threads must be requested before numpy is imported"


def test_every_variable_is_set() -> None:
    requested = "import json, os; from bench.timing import threads; before = dict(os.environ); threads.request(1); "
    done = run_python(requested + "print(json.dumps([before, dict(os.environ)]))")
    before, after = json.loads(done.stdout)
    assert after == before | dict.fromkeys(threads.VARIABLES, "1")


@pytest.mark.parametrize("wanted", [0, -1, threads.cores() + 1])
def test_too_few_or_too_many_threads(wanted: int) -> None:
    before = dict(os.environ)
    with pytest.raises(UserError, match=f"^{wanted} threads: expected 1 to {threads.cores()}, the cores"):
        threads.request(wanted)
    assert dict(os.environ) == before


def test_cores_are_those_of_this_process() -> None:
    assert 1 <= threads.cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to cores")
def test_a_process_bound_to_one_core() -> None:
    bound = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from bench.timing import threads; "
    assert run_python(bound + "print(threads.cores())").stdout == "1\n"
    refused = run_python(bound + "threads.request(2)")
    assert "2 threads: expected 1 to 1" in refused.stderr.splitlines()[-1]


# --- quotas and bound threads ------------------------------------------------------------------------------


def with_cores(monkeypatch: pytest.MonkeyPatch, n: int, quota: float | None) -> None:
    """So many cores, and a CPU quota."""
    monkeypatch.setattr(threads, "usable", lambda: set(range(n)))
    monkeypatch.setattr(system, "quota", lambda: quota)


@pytest.mark.parametrize(
    ("n", "quota", "expected"), [(4, None, 4), (4, 1.0, 1), (4, 2.5, 2), (4, 0.5, 1), (4, 4.0, 4), (4, 16.0, 4)]
)
def test_a_cpu_quota_bounds_the_threads_and_is_said(
    n: int, quota: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_cores(monkeypatch, n, quota)
    assert threads.cores() == expected
    assert threads.limit() == (f"a CPU quota allows {quota:g} of its {n}" if expected < n else None)
    with pytest.raises(UserError, match=f"^{n + 1} threads: expected 1 to {expected}, the cores") as refused:
        threads.check(n + 1)
    assert ("a CPU quota" in str(refused.value)) == (expected < n)


@pytest.mark.parametrize("name", threads.BINDING)
def test_variables_that_bind_threads_are_removed_and_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {name: "true", "OMP_NUM_THREADS": "2"})
    assert threads.release() == [name]
    assert os.environ == {"OMP_NUM_THREADS": "2"}
    assert threads.release() == []


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to cores")
def test_a_process_takes_as_many_physical_cores_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[set[int]] = []
    monkeypatch.setattr(threads, "usable", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(system, "siblings", lambda core: (core // 2 * 2, core // 2 * 2 + 1))
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores: bound.append(set(cores)))
    for n in (1, 2, 3, 4):
        threads.keep_to(n)
    assert bound == [{0}, {0, 2}, {0, 1, 2}, {0, 1, 2, 3}]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, 4), ({"NPROC": "1"}, 1), ({"NPROC": "3", "PJRT_NPROC": "2"}, 2), ({"NPROC": "no"}, 4)],
)
def test_the_threads_of_jax_may_be_set(
    variables: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threadpoolctl.threadpool_info", lambda: [])
    with_cores(monkeypatch, 4, None)
    for name in ("numba", "torch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace())
    monkeypatch.setattr(os, "environ", variables)
    assert threads.in_force() == {"jax": expected}
