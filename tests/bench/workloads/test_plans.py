"""Plans: every image once an epoch, learning rates over all epochs, an order of its own for each shuffled epoch."""

import itertools
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from bench import UserError
from bench.workloads.plans import learning_rates, parts
from impls.contract import Array, ContractError, Plan, check_plan_fits
from tests.helpers.plans import plans_by_epoch


def images_of(plan: Plan, n: int) -> list[Array]:
    """The images of each update."""
    order = np.arange(n) if plan.order is None else plan.order
    return [order[start:stop] for start, stop in zip(plan.starts, plan.stops, strict=True)]


@pytest.mark.parametrize("order", ["file", "shuffled"])
@pytest.mark.parametrize(("n", "batch"), [(10, None), (10, 10), (10, 5), (10, 4), (10, 9), (10, 1), (1, 1), (1, None)])
def test_an_epoch_uses_every_image_once(n: int, batch: int | None, order: Any) -> None:
    for plan in plans_by_epoch(n, batch, epochs=3, order=order):
        check_plan_fits(plan, n)
        updates = images_of(plan, n)
        assert len(updates) == math.ceil(n / (batch or n))
        assert sorted(np.concatenate(updates)) == list(range(n))
        sizes = [len(update) for update in updates]
        assert set(sizes[:-1]) <= {batch}
        assert 1 <= sizes[-1] <= (batch or n)


def test_file_order_needs_no_copy() -> None:
    plans = list(plans_by_epoch(10, 4, epochs=2))
    assert [plan.order for plan in plans] == [None, None]
    assert plans[0].starts.tolist() == plans[1].starts.tolist() == [0, 4, 8]
    assert plans[0].stops.tolist() == plans[1].stops.tolist() == [4, 8, 10]


def orders(seed: int, epochs: int) -> list[list[int]]:
    plans = plans_by_epoch(20, 6, epochs, order="shuffled", seed=seed)
    return [plan.order.tolist() for plan in plans if plan.order is not None]


def test_each_shuffled_round_has_its_own_order() -> None:
    found = orders(seed=0, epochs=3)
    assert len(found) == 3
    assert all(one != other for one, other in itertools.combinations([*found, list(range(20))], 2))


def test_the_seed_decides_the_orders() -> None:
    assert orders(seed=0, epochs=2) == orders(seed=0, epochs=3)[:2]  # more epochs continue where fewer end
    assert not any(order in orders(seed=1, epochs=3) for order in orders(seed=0, epochs=3))


def test_orders_are_drawn_one_after_the_other() -> None:
    rng = np.random.default_rng([5, 1])
    assert orders(seed=5, epochs=3) == [rng.permutation(20).tolist() for _ in range(3)]


def test_many_shuffled_rounds_cost_no_memory() -> None:
    tracemalloc.start()
    try:
        n = sum(len(plan.starts) for plan in plans_by_epoch(10_000, None, epochs=200, order="shuffled"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n == 200
    assert peak < 10 * 10_000 * 8  # ten orders, not two hundred


def test_orders_are_not_drawn_from_the_stream_of_the_parameters() -> None:
    assert orders(seed=5, epochs=1)[0] != np.random.default_rng(5).permutation(20).tolist()


def test_constant_learning_rate() -> None:
    assert learning_rates(0.3, "constant", 4).tolist() == [0.3] * 4


def test_linear_fall() -> None:
    np.testing.assert_allclose(learning_rates(2.0, "linear", 4), [2.0, 1.5, 1.0, 0.5])


def test_the_fall_runs_over_all_rounds() -> None:
    plans = plans_by_epoch(10, 5, epochs=3, learning_rate=6.0, schedule="linear")
    np.testing.assert_allclose([plan.learning_rates for plan in plans], [[6, 5], [4, 3], [2, 1]])


def test_momentum_is_that_of_every_plan() -> None:
    assert [plan.momentum for plan in plans_by_epoch(10, 5, 2, momentum=0.9)] == [0.9, 0.9]


@pytest.mark.parametrize("batch", [0, -1, 11])
def test_bad_batch(batch: int) -> None:
    with pytest.raises(UserError, match=f"^batch {batch}: expected 1 to 10, the number of training images; take more "):
        plans_by_epoch(10, batch, epochs=1)


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_bad_learning_rate(rate: float) -> None:
    with pytest.raises(ContractError, match=f"learning rate {rate}"):
        list(plans_by_epoch(10, 5, epochs=1, learning_rate=rate))


def test_a_trapezoid_stays_and_then_falls_to_nearly_nothing() -> None:
    assert learning_rates(0.8, "hold-then-linear", 8) == pytest.approx([0.8] * 5 + [0.6, 0.4, 0.2])


def test_parts_of_a_plan_are_the_plan() -> None:
    plan = Plan(np.arange(0, 50, 10), np.arange(10, 60, 10), np.arange(50), np.arange(5.0), 0.9)
    found = parts(plan, [0, 1, 3])
    expected = images_of(plan, 50)
    assert [images.tolist() for part in found for images in images_of(part, 50)] == [i.tolist() for i in expected]
    assert [len(part.starts) for part in found] == [1, 2, 2]
    assert [len(part.order) for part in found if part.order is not None] == [10, 20, 20]
    assert [part.learning_rates.tolist() for part in found] == [[0], [1, 2], [3, 4]]
    assert all(part.momentum == 0.9 for part in found)
    in_file_order = Plan(np.array([0, 10, 0]), np.array([10, 15, 10]), None, np.ones(3))
    assert [part.order for part in parts(in_file_order, [0, 2])] == [None, None]
