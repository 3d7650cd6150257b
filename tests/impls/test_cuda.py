"""The backend `cuda` without a GPU: its kernels simulated, compiled for one, and the reasons why it is unavailable."""

import ctypes
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import impls
from impls import nvidia

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


@pytest.fixture
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """What the driver said is forgotten before and after the test."""
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    nvidia.no_gpu.cache_clear()
    yield monkeypatch
    nvidia.no_gpu.cache_clear()


class Driver:
    """A stand-in for NVIDIA's driver, with as many devices, or an error."""

    def __init__(self, count: int = 1, code: int = 0) -> None:
        self.count, self.code = count, code

    def cuInit(self, flags: int) -> int:
        assert flags == 0
        return self.code

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self.count
        return 0

    def cuGetErrorName(self, code: int, name: Any) -> int:
        assert code == self.code
        name._obj.value = b"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"
        return 0


def test_without_a_driver(asked_anew: pytest.MonkeyPatch) -> None:
    asked_anew.setattr(nvidia, "DRIVER", "no_such_driver.so")
    assert nvidia.no_gpu() == "needs an NVIDIA GPU; its driver (no_such_driver.so) is not installed here"


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (Driver(), None),
        (Driver(count=0), "0 devices, as CUDA_VISIBLE_DEVICES may say"),
        (Driver(code=803), "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"),
    ],
)
def test_what_the_driver_says(driver: Driver, reason: str | None, asked_anew: pytest.MonkeyPatch) -> None:
    asked_anew.setattr(ctypes, "CDLL", lambda _: driver)
    found = f"needs an NVIDIA GPU; the driver finds none: {reason}; see `nvidia-smi`"
    assert nvidia.no_gpu() == (None if reason is None else found)


def test_the_simulator_is_no_gpu(asked_anew: pytest.MonkeyPatch) -> None:
    """Otherwise a race would time it."""
    asked_anew.setenv("NUMBA_ENABLE_CUDASIM", "1")
    asked_anew.setattr(ctypes, "CDLL", lambda _: Driver())
    assert "NUMBA_ENABLE_CUDASIM" in str(nvidia.no_gpu())


def test_the_reason_is_listed(asked_anew: pytest.MonkeyPatch) -> None:
    """First the library, then the GPU; and no library is imported for it."""
    asked_anew.setattr(nvidia, "DRIVER", "no_such_driver.so")
    asked_anew.setattr(importlib.util, "find_spec", lambda _: None)
    reason = impls.unavailable_reason("cuda")
    assert reason is not None
    assert reason.startswith("needs numba, numba_cuda, not installed; `pip install -c constraints.txt '.[cuda]'`")
    asked_anew.setattr(importlib.util, "find_spec", lambda _: object())
    asked_anew.delenv("NUMBA_DISABLE_JIT", raising=False)
    with pytest.raises(impls.BackendUnavailable, match="'cuda' needs an NVIDIA GPU; its driver"):
        impls.load("cuda")
