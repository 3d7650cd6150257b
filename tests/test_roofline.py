"""The floor: two products of the first layer over all images, each one matrix product in the dtype asked for."""

from typing import Any

import numpy as np
import pytest

from bench.roofline import floor_products


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
