"""The backend `cuda` without a GPU: its kernels simulated, compiled for one, and the reasons why it is unavailable."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import impls
from impls import devices

ROOT = Path(__file__).parents[2]


def run_python(*arguments: str, **variables: str) -> str:
    """Return what a Python with these arguments prints; fail with it where its exit code is not 0."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ | variables, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_kernels_in_a_simulated_grid() -> None:
    """Many tests in a process of its own: numba is told before its import that it simulates a GPU."""
    plain = ("-p", "no:cacheprovider", "-p", "no:xdist", "-q")
    printed = run_python("-m", "pytest", *plain, "tests/impls/simulated_cuda.py", NUMBA_ENABLE_CUDASIM="1")
    assert " passed" in printed
    assert "skipped" not in printed


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (
            ("resident", "float32", "momentum"),
            {"doubles": 0, "conversions of pixels": 0, "loads of 16 bytes": 5, "bounds": [512, 1]},
        ),
        (("trainer", "float32"), {"doubles": 0, "bounds": [256, 2]}),
    ],
)
def test_the_kernels_compile_for_a_gpu(kernel: tuple[str, ...], expected: dict[str, Any]) -> None:
    """float32 stays float32, sums stay in registers, and all is one cooperative launch."""
    if importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("numba-cuda, which compiles for a GPU, is not installed: the extra `cuda` brings it")
    found = json.loads(run_python("-m", "tests.helpers.compiled_for_a_gpu", *kernel).splitlines()[-1])
    assert found | expected == found
    assert found["cooperative"]
    assert found["arrays in memory"] == 0
    assert found["calls"] == ["cudaCGGetIntrinsicHandle", "cudaCGSynchronize"]


# --- where there is no GPU --------------------------------------------------------------------------------------------


def test_the_simulator_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a race would time it."""
    monkeypatch.setattr(devices, "why_no_gpu", lambda: None)
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    assert devices.why_unusable("cuda", ("numba", "numba_cuda")) is None
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    assert "NUMBA_ENABLE_CUDASIM" in str(devices.why_unusable("cuda", ("numba", "numba_cuda")))


def test_the_reason_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """First the library, then the GPU; and no library is imported for it."""
    monkeypatch.setattr(devices, "why_no_gpu", lambda: "needs a GPU and a driver")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    reason = impls.unavailable_reason("cuda")
    assert reason is not None
    assert reason.startswith("needs numba, numba_cuda, not installed; `pip install -c constraints.txt '.[cuda]'`")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    with pytest.raises(impls.BackendUnavailable, match="'cuda' needs a GPU and a driver"):
        impls.load("cuda")
