"""Waiting for a device: on the clock, for the device of the backend alone, and how often to warm it up."""

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bench.timing import device
from bench.timing.clock import Clock

ON_GPU, ON_CPU = SimpleNamespace(DEVICE="cuda"), SimpleNamespace()


class Driver:
    """NVIDIA's driver, which writes down what is asked of it; a function of this name returns an error."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.done: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., int]:
        def function(*_: Any) -> int:
            self.done.append(name)
            return int(name == self.failing)

        return function

    def cuGetErrorString(self, error: int, text: Any) -> int:
        text._obj.value = b"CUDA-capable device(s) is/are busy or unavailable"
        return 0


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    pretended = Driver()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pretended)
    monkeypatch.setattr(device, "first_gpu", device.first_gpu.__wrapped__)
    return pretended


def test_the_clock_of_a_gpu_waits_before_it_stops(driver: Driver) -> None:
    def drain() -> None:
        device.drain_of(ON_GPU)()
        order.append(driver.done[-2:])

    order: list[object] = []
    with Clock(drain) as clock:
        order.append("work")
        assert clock.elapsed.wall == 0
    assert order == ["work", ["cuCtxSynchronize", "cuCtxPopCurrent_v2"]]
    assert driver.done[:3] == ["cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain"]
    assert clock.elapsed.wall > 0


def test_the_clock_of_a_cpu_asks_no_driver(driver: Driver) -> None:
    for backend in (ON_CPU, None):
        with Clock(device.drain_of(backend)):
            pass
        device.warm_up(backend, lambda: pytest.fail("a CPU is not warmed up"))
    assert driver.done == []


@pytest.mark.parametrize("function", ["cuDevicePrimaryCtxRetain", "cuCtxSynchronize"])
def test_what_fails_is_named_with_the_reason(driver: Driver, function: str) -> None:
    driver.failing = function
    with pytest.raises(RuntimeError, match="the GPU failed: CUDA-capable") as caught:
        device.wait_for_gpu()
    assert str(caught.value).endswith(f"({function})")


def test_a_gpu_is_warmed_up_for_a_time(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 0.1, 0.3, 0.6])
    monkeypatch.setattr(device, "time", SimpleNamespace(monotonic=lambda: next(now)))
    calls: list[int] = []
    device.warm_up(ON_GPU, lambda: calls.append(driver.done.count("cuCtxSynchronize")))
    assert calls == [0, 1]  # each waits for the one before
