"""What `minibatch` promises beyond the contract: images that would fill the memory are not scaled beforehand."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from impls import minibatch
from impls.contract import Array, DType, Network, Plan, zero_velocities
from impls.initialisation import initial_parameters

NETWORK = Network((100, 40, 10), "relu", "softmax", "cross_entropy")


def arrays_after(images: Array, labels: Array, dtype: DType) -> list[Array]:
    """All results for prepared images: outputs, gradients, trainings in file order and shuffled."""
    state = zero_velocities(initial_parameters(NETWORK, "he_normal", 1, dtype))
    prepared = minibatch.prepare(NETWORK, images, labels, dtype)
    cost, gradient = minibatch.gradients(NETWORK, state.parameters, prepared)
    results = [minibatch.outputs(NETWORK, state.parameters, prepared), np.array(cost)]
    results += [array for layer in gradient for array in layer]
    for order in (None, np.random.default_rng(2).permutation(len(images))):
        plan = Plan(np.array([0, 50, 120]), np.array([50, 300, 121]), order, np.full(3, 0.1), 0.9)
        after, costs = minibatch.train(NETWORK, state, prepared, plan)
        results += [costs, *(array for part in after for layer in part for array in layer)]
    return results


@pytest.mark.parametrize("dtype", get_args(DType))
def test_too_many_images_stay_on_disk_and_results_do_not_change(
    dtype: DType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minibatch, "BLOCK", 128)  # outputs in three blocks, the last one short
    rng = np.random.default_rng(3)
    images, labels = rng.integers(0, 256, (300, 100), np.uint8), rng.integers(0, 10, 300)
    expected = arrays_after(images, labels, dtype)
    images.tofile(tmp_path / "images")
    mapped = np.memmap(tmp_path / "images", np.uint8, "r", shape=images.shape)
    monkeypatch.setattr(minibatch, "MOST", 300 * 101 * np.dtype(dtype).itemsize)
    assert not np.shares_memory(minibatch.prepare(NETWORK, mapped, labels, dtype).images, mapped)
    monkeypatch.setattr(minibatch, "MOST", minibatch.MOST - 1)
    assert np.shares_memory(minibatch.prepare(NETWORK, mapped, labels, dtype).images, mapped)
    for before, now in zip(expected, arrays_after(mapped, labels, dtype), strict=True):
        np.testing.assert_array_equal(now, before)
