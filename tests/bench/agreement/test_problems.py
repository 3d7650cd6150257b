"""The problems before a timing: images of all digits, away from kinks."""

from dataclasses import replace

import numpy as np
import pytest

from bench import UserError
from bench.agreement.check import reference, widened
from bench.agreement.problems import FULL_BATCH_UPDATES, MARGIN, MOST_IMAGES, MOST_UPDATES, problem_of
from bench.agreement.rounding import forward, scaled
from bench.workloads.cases import FULL_BATCH, MINI_BATCHES
from bench.workloads.recipes import Recipe
from data import Digits
from impls.contract import DType, check_images, check_parameters, check_plan_fits


def digits_of(n: int) -> Digits:
    rng = np.random.default_rng(1)
    images = (rng.integers(1, 256, (n, 784)) * (rng.random((n, 784)) < 0.2)).astype(np.uint8)
    images[:, :2] = np.stack(np.divmod(np.arange(n), 256), axis=1)  # each image says which it is
    return Digits(images, rng.integers(0, 10, n))


def numbers(images: np.ndarray) -> np.ndarray:
    """Which images these are."""
    return images[:, :2] @ [256, 1]


@pytest.mark.parametrize("case", [FULL_BATCH, MINI_BATCHES], ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_images_keep_away_from_kinks(case: Recipe, dtype: DType) -> None:
    case = replace(case, dtype=dtype)
    train = digits_of(1500)
    problem = problem_of(case, train)
    check_images(problem.network, problem.images, problem.labels)
    check_parameters(problem.network, problem.parameters)
    check_plan_fits(problem.plan, len(problem.labels))
    assert problem.plan.order is None
    chosen = numbers(problem.images)
    assert len(set(chosen.tolist())) == len(chosen)
    assert np.array_equal(problem.labels, train.labels[chosen])
    if case.batch is None:
        assert len(chosen) <= MOST_IMAGES < 1.5 * len(chosen)
        assert problem.plan.stops.tolist() == [len(chosen)] * FULL_BATCH_UPDATES
    else:
        assert (problem.plan.stops - problem.plan.starts).tolist() == [case.batch] * MOST_UPDATES
    first = slice(0, problem.plan.stops[0])
    eps = MARGIN * float(np.finfo(dtype).eps)
    x = scaled(problem.network, problem.images[first])
    assert not forward(problem.network, widened(problem.parameters), x, eps).kinks.any()


def test_tolerances_of_the_problems_are_sharp() -> None:
    """One part in a thousand is 8,400 eps of float32: each tensor of a gradient would show it."""
    for case in (FULL_BATCH, MINI_BATCHES):
        for quantity, expected in reference(problem_of(case, digits_of(1500))).items():
            if quantity.startswith(("outputs", "cost", "gradient")):
                assert expected.allowed < 2000 * 2.0**-23 * np.abs(expected.value).max(), quantity


def test_a_shuffled_problem_scatters_the_images_and_names_each_once() -> None:
    plain, shuffled = (
        problem_of(replace(MINI_BATCHES, order=order, momentum=0.9), digits_of(1500)) for order in ("file", "shuffled")
    )
    order = shuffled.plan.order
    assert order is not None
    assert np.array_equal(np.sort(order), np.arange(len(shuffled.labels)))
    assert not np.array_equal(shuffled.images, plain.images)
    assert np.array_equal(shuffled.images[order], plain.images)  # update by update the same images
    assert shuffled.plan.momentum == 0.9


def test_biases_are_not_zero_and_weights_are_the_cases() -> None:
    problem = problem_of(FULL_BATCH, digits_of(200))
    for layer, of_case in zip(problem.parameters, FULL_BATCH.parameters(), strict=True):
        assert np.array_equal(layer.weights, of_case.weights)
        assert np.abs(layer.biases).min() > 0


def test_few_images_make_few_updates_and_fewer_than_a_batch_none() -> None:
    problem = problem_of(MINI_BATCHES, digits_of(130))
    assert len(problem.plan.starts) <= 2
    assert problem.plan.stops[-1] == len(problem.labels) > 64
    assert len(problem_of(replace(MINI_BATCHES, batch=1), digits_of(1)).labels) == 1
    with pytest.raises(UserError, match="batch 128: expected 1 to 100"):
        problem_of(MINI_BATCHES, digits_of(100))


def test_a_training_that_rounding_decides_is_refused() -> None:
    wild = replace(MINI_BATCHES, learning_rate=1e4)
    with pytest.raises(UserError, match=r"rounding alone may move .* lower the learning rate"):
        reference(problem_of(wild, digits_of(600)))


@pytest.mark.parametrize("case", [FULL_BATCH, MINI_BATCHES], ids=lambda case: case.name)
def test_all_digits_are_among_the_images_also_where_a_file_is_sorted(case: Recipe) -> None:
    train = digits_of(2500)
    by_label = np.argsort(train.labels, kind="stable")
    problem = problem_of(case, Digits(train.images[by_label], train.labels[by_label]))
    for start, stop in zip(problem.plan.starts, problem.plan.stops, strict=True):
        assert set(problem.labels[start:stop].tolist()) == set(range(10))
    reference(problem)  # raises where rounding alone decides
