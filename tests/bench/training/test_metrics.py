"""Quality is computed from outputs: share correct, and the cost as the contract defines it."""

import math

import numpy as np
import pytest

from bench.training.loop import accuracy, mean_cost
from impls.contract import Network

SIGMOID = Network((5, 3))
SOFTMAX = Network((5, 3), output="softmax", cost="cross_entropy")


def test_share_correct() -> None:
    outputs = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [0.4, 0.3, 0.3]])
    assert accuracy(outputs, np.array([0, 2, 1, 0])) == 1
    assert accuracy(outputs, np.array([0, 2, 0, 1])) == 0.5
    assert accuracy(outputs, np.array([1, 0, 2, 2])) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_row_that_is_not_finite_is_wrong(bad: float, position: int) -> None:
    outputs = np.array([[0.1, 0.8, 0.1], [0.1, 0.8, 0.1]])
    outputs[0, position] = bad
    for label in range(3):
        assert accuracy(outputs, np.array([label, 1])) == 0.5


def test_quadratic_cost() -> None:
    """Sum over outputs of (a - t)^2, over 2 n."""
    outputs = np.array([[0.5, 0.25, 0.0], [1.0, 0.0, 2.0]])
    # (0.5^2 + 0.75^2) + (0 + 0 + 2^2), over 4
    assert mean_cost(SIGMOID, outputs, np.array([1, 0])) == pytest.approx((0.25 + 0.5625 + 4) / 4)
    assert mean_cost(SIGMOID, np.eye(3), np.arange(3)) == 0


def test_cross_entropy() -> None:
    outputs = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]])
    assert mean_cost(SOFTMAX, outputs, np.array([0, 2])) == pytest.approx((math.log(2) + math.log(8)) / 2)
    assert mean_cost(SOFTMAX, np.eye(3), np.arange(3)) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_probability_that_underflowed_has_a_finite_cost(dtype: str) -> None:
    outputs = np.array([[0, 1, 0], [0, 1, 0]], dtype)
    tiny = float(np.finfo(dtype).tiny)
    assert mean_cost(SOFTMAX, outputs, np.array([0, 1])) == pytest.approx(-math.log(tiny) / 2)


@pytest.mark.parametrize("network", [SIGMOID, SOFTMAX], ids=["quadratic", "cross_entropy"])
def test_nan_is_not_hidden(network: Network) -> None:
    outputs = np.full((2, 3), 0.5, np.float32)
    outputs[1] = np.nan
    assert math.isnan(mean_cost(network, outputs, np.array([0, 0])))


def test_sums_in_double_precision() -> None:
    """10^38 squared does not fit float32, and 0.1 added up a hundred thousand times loses digits there."""
    assert mean_cost(SIGMOID, np.full((1, 3), 1e38, np.float32), np.array([0])) == pytest.approx(1.5e76)
    outputs = np.full((100_000, 3), 0.1, np.float32)
    exact = (2 * float(np.float32(0.1)) ** 2 + (1 - float(np.float32(0.1))) ** 2) / 2
    assert mean_cost(SIGMOID, outputs, np.zeros(100_000, int)) == pytest.approx(exact, rel=1e-12)
