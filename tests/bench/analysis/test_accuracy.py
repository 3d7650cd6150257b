"""When a target counts as reached: by the lower bound of the mean over enough seeds."""

import math

import numpy as np
import pytest
from scipy.special import bdtr  # scipy.stats takes a second to import

from bench.analysis.accuracy import LEAST_SEEDS, reached


def test_the_bound_is_students_by_hand() -> None:
    found = reached([0.97, 0.98, 0.975], [0.1, 0.1, 0.1], 0.97)
    mean, sd = 0.975, 0.005
    assert found.mean == pytest.approx(mean)
    assert found.lower == pytest.approx(mean - 6.96456 * sd / math.sqrt(3))  # t(0.99; 2), from a printed table
    assert (found.seeds, found.best, found.above, found.diverged) == (3, 0.98, 1.0, 0)
    assert reached([0.96, 0.98], [0.1, 0.1], 0.97).above == 0.5


def test_seeds_enough_and_a_bound_above_the_target() -> None:
    accuracies = list(0.971 + 0.001 * np.array([-1.0, 1.0] * (LEAST_SEEDS // 2)))
    costs = [0.1] * LEAST_SEEDS
    assert reached(accuracies, costs, 0.97).lower == pytest.approx(0.97006, abs=1e-5)
    assert reached(accuracies, costs, 0.97).counts
    assert not reached(accuracies, costs, 0.9702).counts  # the mean is above it, and yet
    assert not reached(accuracies[:-1], costs[:-1], 0.9).counts  # too few
    assert reached([0.98] * LEAST_SEEDS, costs, 0.98).counts  # no scatter at all


def test_one_seed_says_nothing_of_others() -> None:
    found = reached([0.99], [0.1], 0.9)
    assert found.lower == -math.inf
    assert not found.counts
    with pytest.raises(ValueError, match="at least one seed"):
        reached([], [], 0.9)


def test_diverged_seeds_are_counted_and_kept() -> None:
    found = reached([0.98] * 9 + [0.098], [0.1] * 9 + [math.nan], 0.95)
    assert found.diverged == 1
    assert found.mean == pytest.approx(0.8918)
    assert not found.counts


def test_the_bound_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    below = [reached(list(0.97 + 0.002 * rng.standard_normal(10)), [0.1] * 10, 0.97).lower <= 0.97 for _ in range(3000)]
    assert bdtr(sum(below), 3000, 0.99) > 0.001
