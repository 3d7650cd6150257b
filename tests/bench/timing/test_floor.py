"""The floor: two products of the first layer over all images, each one matrix product in the requested dtype."""

import time
from typing import Any

import numpy as np
import pytest

from bench.timing import floor
from bench.timing.floor import floor_products, rates, seconds


@pytest.mark.parametrize("given", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_two_products(given: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 12)).astype(given)
    products = floor_products(images, 7, dtype)

    calls = []

    def recorded(left: Any, right: Any, out: Any) -> None:
        np.dot(left, right, out=out)
        calls.append((left, right, out))

    monkeypatch.setattr(np, "matmul", recorded)
    products()
    products()
    assert [(left.shape, right.shape) for left, right, _ in calls] == [((50, 12), (12, 7)), ((12, 50), (50, 7))] * 2
    for left, right, out in calls:
        assert left.dtype == right.dtype == out.dtype == dtype
        assert np.isfinite(out).all()
        assert out.any()
    assert np.array_equal(calls[0][0], images)
    assert np.array_equal(calls[1][0], images.T)
    assert calls[0][2] is calls[2][2]  # nothing is allocated while it is timed
    assert calls[1][2] is calls[3][2]


def test_the_images_stay_as_they_are() -> None:
    images = np.full((5, 12), 3, np.uint8)
    images.flags.writeable = False
    floor_products(images, 7, "float32")()
    assert images.dtype == np.uint8
    assert (images == 3).all()


def test_without_backward_there_is_one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    products = floor_products(np.ones((50, 12), np.uint8), 7, "float32", backward=False)
    shapes = []
    monkeypatch.setattr(np, "matmul", lambda left, right, out: shapes.append((left.shape, right.shape, out.shape)))
    products()
    assert shapes == [((50, 12), (12, 7), (50, 7))]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_rates_are_work_over_time(n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor, "GEMM_SIZE", 100)
    monkeypatch.setattr(floor, "COPIED", 2**16)
    copied: list[int] = []
    right = np.copyto

    def counted(target: Any, source: Any) -> None:
        right(target, source)
        copied.append(source.nbytes)

    monkeypatch.setattr(np, "copyto", counted)
    monkeypatch.setattr(floor, "seconds", lambda work: [work(), 0.5][1])
    reached = rates("float64", n_threads)
    assert reached.gemm == 2 * 100**3 / 0.5
    assert reached.bandwidth == 2 * 2**16 / 0.5
    assert copied == [2**16 // n_threads] * n_threads


def test_seconds_are_the_median_without_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 50.0, 100.0, 101.0, 200.0, 203.0, 300.0, 302.0])
    monkeypatch.setattr(floor, "REPEATS", 3)
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    assert seconds(lambda: None) == 2.0
