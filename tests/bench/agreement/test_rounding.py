"""What rounding explains: the analysis computes the right values, covers what rounding does, and little more."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import impls
from bench.agreement import rounding
from bench.agreement.check import Problem, check, compare, reference, scale_of, tensors_of, widened
from bench.agreement.rounding import (
    Rounded,
    adding,
    cost_and_gradient,
    distances,
    drift_of_training,
    evaluate,
    flat,
    forward,
    product,
    scaled,
)
from impls.contract import COST_OF_OUTPUT, Array, DType, Layer, Network, Parameters, Plan, zero_velocities
from impls.initialisation import initial_parameters

FUNCTIONS = list(itertools.product(("sigmoid", "relu", "tanh"), COST_OF_OUTPUT.items()))
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
N = 40


def digits(n: int, n_inputs: int = 12) -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    images = (rng.integers(1, 256, (n, n_inputs)) * (rng.random((n, n_inputs)) < 0.2)).astype(np.uint8)
    images[:, 0] = 255  # no image is blank
    return images, rng.integers(0, 4, n)


def start(network: Network, dtype: DType, logits: float = 1.0) -> Parameters:
    """Parameters with biases that are not zero; the last layer's weights times `logits`."""
    parameters = [
        Layer(weights, np.linspace(-0.2, 0.3, len(biases)).astype(dtype))
        for weights, biases in initial_parameters(network, "lecun_normal", 5, dtype)
    ]
    parameters[-1] = Layer((logits * parameters[-1].weights).astype(dtype), parameters[-1].biases)
    return tuple(parameters)


def plan_of(n_updates: int, momentum: float = 0.9, batch: int = 8) -> Plan:
    order = np.random.default_rng(n_updates).integers(0, N, n_updates * batch)
    starts = batch * np.arange(n_updates)
    return Plan(starts, starts + batch, order, np.full(n_updates, 0.1), momentum)


def distance(parameters: Any, others: Any) -> list[float]:
    """The largest difference in each tensor."""
    return [
        float(np.abs(a - b).max())
        for layer, other in zip(parameters, others, strict=True)
        for a, b in zip(layer, other, strict=True)
    ]


@pytest.mark.parametrize(("hidden", "output_and_cost"), FUNCTIONS)
@pytest.mark.parametrize("sizes", [(12, 4), (12, 6, 5, 4)])
def test_its_values_are_those_of_the_reference(sizes: tuple[int, ...], hidden: Any, output_and_cost: Any) -> None:
    network = Network(sizes, hidden, *output_and_cost)
    parameters, (images, labels) = start(network, "float64"), digits(N)
    found = evaluate(network, parameters, scaled(network, images), labels, EPS["float64"])
    naive = impls.load("naive")
    prepared = naive.prepare(network, images, labels, "float64")
    cost, gradient = naive.gradients(network, parameters, prepared)
    np.testing.assert_allclose(found.outputs.value, naive.outputs(network, parameters, prepared), rtol=1e-13)
    assert found.cost.value == pytest.approx(cost, rel=1e-13)
    for part, wanted in zip(flat(found.gradient), [array for layer in gradient for array in layer], strict=True):
        np.testing.assert_allclose(part.value, wanted, rtol=0, atol=1e-14 * np.abs(wanted).max())


@pytest.mark.parametrize("logits", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize(("hidden", "output_and_cost"), FUNCTIONS)
@pytest.mark.parametrize("name", ["naive", "vectorized"])
def test_it_covers_what_float32_does_to_one_gradient(
    name: str, hidden: Any, output_and_cost: Any, logits: float
) -> None:
    """Also without SAFETY, also where outputs are saturated or large."""
    backend = impls.load(name)
    for sizes, n in (((12, 4), 7), ((12, 6, 5, 4), N), ((300, 9, 4), 3)):
        network = Network(sizes, hidden, *output_and_cost)
        parameters, (images, labels) = start(network, "float32", logits), digits(n, sizes[0])
        explained = evaluate(network, widened(parameters), scaled(network, images), labels, EPS["float32"])
        prepared = backend.prepare(network, images, labels, "float32")
        cost, gradient = backend.gradients(network, parameters, prepared)
        outputs = backend.outputs(network, parameters, prepared)
        found = [outputs, np.asarray(cost), *(array for layer in gradient for array in layer)]
        for actual, part in zip(found, [explained.outputs, explained.cost, *flat(explained.gradient)], strict=True):
            assert np.abs(actual - part.value).max() <= EPS["float32"] * part.error.max()


@pytest.mark.parametrize(("hidden", "output_and_cost"), FUNCTIONS)
def test_it_explains_no_more_than_a_few_hundred_eps(hidden: Any, output_and_cost: Any) -> None:
    """A bound that is too wide would let a wrong backend through: one part in a thousand is 8,400 eps of float32."""
    network = Network((784, 30, 10), hidden, *output_and_cost)
    images, labels = digits(N, 784)
    problem = Problem("wide", network, start(network, "float64"), images, labels, plan_of(1))
    for quantity, expected in reference(problem).items():
        of_size = expected.allowed / EPS["float64"] / scale_of(expected.value)
        assert of_size < 2000, quantity


@pytest.mark.parametrize("n_updates", [1, 10, 100])
@pytest.mark.parametrize(("hidden", "output_and_cost"), FUNCTIONS[::4])  # each hidden activation, each output
def test_drift_is_how_far_the_reference_moves_when_its_start_moves_by_an_ulp(
    hidden: Any, output_and_cost: Any, n_updates: int
) -> None:
    """The drift is larger, as rounding strikes in every update and not only at the start, but not by much."""
    network = Network((12, 6, 4), hidden, *output_and_cost)
    parameters, (images, labels) = start(network, "float64"), digits(N)
    plan, eps = plan_of(n_updates), EPS["float32"]  # large against the reference's own rounding
    naive = impls.load("naive")
    prepared = naive.prepare(network, images, labels, "float64")
    rng = np.random.default_rng(11)
    nudged = tuple(
        Layer(*(array * (1 + eps * rng.choice((-1, 1), array.shape)) for array in layer)) for layer in parameters
    )
    states = [naive.train(network, zero_velocities(p), prepared, plan)[0] for p in (parameters, nudged)]
    moved = np.array(distance(states[0].parameters, states[1].parameters)) / eps
    of_parameters = distances(drift_of_training(network, parameters, images, labels, plan, eps).parameters, eps)
    drift = np.array([error.max() for error in of_parameters])
    assert np.all(drift > 0.5 * moved)
    assert np.all(drift < 300 * moved)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("hidden", "output_and_cost"), FUNCTIONS[::4])
def test_drift_covers_a_hundred_updates(hidden: Any, output_and_cost: Any, dtype: DType) -> None:
    network = Network((12, 6, 4), hidden, *output_and_cost)
    images, labels = digits(N)
    problem = Problem("long", network, start(network, dtype), images, labels, plan_of(100))
    expected = reference(problem)
    for name in ("naive", "vectorized", "minibatch", "numba", "graph", "scipy_sparse"):
        assert [r.failure for r in check(impls.load(name), name, problem, expected) if r.failure] == []


def test_kinks_are_seen() -> None:
    """A pre-activation within its error of 0 may have either derivative; one that is exactly 0 has not."""
    network = Network((2, 3, 2), "relu", "softmax", "cross_entropy", pixel_scale=1.0)
    # Unit 1 of the hidden layer sees 0.3 x - 0.1 y: 0 for (1, 3), but not in binary.
    weights = np.array([[0.3, 1.0, 1.0], [-0.1, 1.0, 0.5]])
    parameters = (Layer(weights, np.zeros(3)), Layer(np.ones((3, 2)) * [1.0, -1.0], np.zeros(2)))
    images = np.array([[1.0, 3.0], [1.0, 1.0], [0.0, 0.0]])
    x = scaled(network, images)
    assert forward(network, parameters, x, EPS["float32"]).kinks.tolist() == [True, False, False]
    found = evaluate(network, parameters, x, np.array([1, 1, 0]), EPS["float32"])
    kinked = flat(found.gradient)[0].error * EPS["float32"]
    assert kinked[:, 0].max() > 0.1  # of the unit at its kink the gradient is open
    assert kinked[:, 1:].max() < 1e-5


def test_one_update_drifts_by_its_own_errors() -> None:
    """Every draw moves each number by its error from the undisturbed training, which stays where it is."""
    network = Network((12, 6, 4), "tanh", "softmax", "cross_entropy")
    parameters, (images, labels) = start(network, "float64"), digits(N)
    plan, eps = plan_of(1, momentum=0.0), EPS["float32"]  # large against the rounding of this test
    of_parameters = distances(drift_of_training(network, parameters, images, labels, plan, eps).parameters, eps)
    here = evaluate(network, parameters, scaled(network, images[plan.order]), labels[plan.order], eps)
    for drift, before, gradient in zip(of_parameters, flat(parameters), flat(here.gradient), strict=True):
        rate = plan.learning_rates[0]
        np.testing.assert_allclose(drift, rate * gradient.error + adding(before, gradient, rate, eps), rtol=1e-6)


def test_velocities_at_rest_and_without_momentum_do_not_drift() -> None:
    network = Network((12, 6, 4), "tanh", "softmax", "cross_entropy")
    images, labels = digits(N)
    plan = plan_of(5, momentum=0.0)
    drift = drift_of_training(network, start(network, "float64"), images, labels, plan, 2.0**-52)
    assert [error.max() for error in distances(drift.velocities, 1.0)] == [0.0] * 4
    assert all(error.max() > 0 for error in distances(drift.parameters, 1.0))
    assert drift.costs.value.shape == drift.costs.error.shape == (5,)


def test_tolerances_are_those_of_a_product_by_hand() -> None:
    """11 = 1 * 3 + 2 * 4 has two roundings of products and two of sums, and inputs are off: squares of all add up."""
    x = Rounded(np.array([[1.0, 2.0, 0.0]]), np.array([[5.0, 0.0, 0.0]]))
    found = product(x, np.array([[3.0], [4.0], [7.0]]))
    assert found.value.tolist() == [[11.0]]
    assert found.error.item() == pytest.approx(math.sqrt((5 * 3) ** 2 + 2 * ((1 * 3) ** 2 + (2 * 4) ** 2) + 2 * 11**2))


def test_four_times_what_rounding_explains_is_allowed() -> None:
    network = Network((12, 6, 4), "tanh", "softmax", "cross_entropy")
    images, labels = digits(N)
    problem = Problem("any", network, start(network, "float32"), images, labels, plan_of(1))
    x = scaled(network, images)
    explained = evaluate(network, widened(problem.parameters), x, labels, EPS["float32"]).outputs.error.max()
    assert reference(problem)["outputs"].allowed == pytest.approx(4 * EPS["float32"] * explained)


def test_a_gradient_in_blocks_is_that_of_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its errors are bounds as well, that is larger than those at once, by no more than the root of the blocks."""
    network = Network((12, 6, 4), "tanh", "softmax", "cross_entropy")
    parameters, (images, labels) = start(network, "float64"), digits(N)
    args = network, parameters, images, labels, EPS["float32"]
    cost, gradient = cost_and_gradient(*args)
    monkeypatch.setattr(rounding, "BLOCK", 9)
    in_blocks, of_blocks = cost_and_gradient(*args)
    for one, other in zip([cost, *flat(gradient)], [in_blocks, *flat(of_blocks)], strict=True):
        np.testing.assert_allclose(one.value, other.value, rtol=1e-12, atol=1e-14)
        assert np.all(other.error >= 0.999 * one.error)
        assert np.all(other.error <= 3 * one.error)
    for one, other in zip(flat(gradient), flat(of_blocks), strict=True):
        np.testing.assert_allclose(one.squares, other.squares, rtol=1e-12)
        np.testing.assert_array_equal(one.n_terms, other.n_terms)


# --- any order of adding ------------------------------------------------------------------------------------

ORDERS: dict[
    str, Callable[[int], Array]
] = {  # how the terms of an update get into the weights: sizes of the pieces that are added one after the other
    "one image at a time": lambda n: np.arange(n)[:, None],
    "one at a time, the last first": lambda n: np.arange(n)[::-1, None],
    "eight at a time": lambda n: np.arange(n).reshape(-1, 8),
    "by halves": lambda n: np.arange(n).reshape(2, -1),
    "at once": lambda n: np.arange(n)[None],
}


def added(problem: Problem, pieces: Array, dtype: DType) -> Parameters:
    """The parameters after one update of all images, whose pieces are added to them one after the other."""
    backend, rate = impls.load("vectorized"), problem.plan.learning_rates[0]
    n, parameters = len(problem.labels), problem.parameters
    for piece in pieces:
        prepared = backend.prepare(problem.network, problem.images[piece], problem.labels[piece], dtype)
        _, gradient = backend.gradients(problem.network, problem.parameters, prepared)
        factor = np.array(-rate * len(piece) / n, dtype)
        parameters = tuple(
            Layer(w + factor * dw, b + factor * db) for (w, b), (dw, db) in zip(parameters, gradient, strict=True)
        )
    return parameters


def of_kind(kind: str, n: int) -> tuple[Array, Array]:
    """Images of 784 pixels as they come, of only 0 and 1, all blank, or one image over and over."""
    images, labels = digits(n, 784)
    if kind == "binary":
        images = (images > 0).astype(np.uint8)
    elif kind == "blank":
        images = np.zeros_like(images)
    elif kind == "the same":
        images, labels = np.repeat(images[:1], n, axis=0), np.repeat(labels[:1], n)
    return images, labels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["usual", "binary", "blank", "the same"])
def test_every_order_of_adding_is_right(kind: str, dtype: DType) -> None:
    """Also for images whose terms are equal, so that their roundings are, too."""
    n, network = 800, Network((784, 12, 4), "tanh", "softmax", "cross_entropy")
    images, labels = of_kind(kind, n)
    plan = Plan(np.array([0]), np.array([n]), None, np.array([0.1]))
    problem = Problem(kind, network, start(network, dtype), images, labels, plan)
    expected = reference(problem, ("train",))
    for order, pieces in ORDERS.items():
        found = tensors_of("parameters", added(problem, pieces(n), dtype), network)
        results = [compare(order, problem, name, array, expected[name]) for name, array in found.items()]
        assert [result.failure for result in results if result.failure] == [], order


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_image_that_is_left_out_is_no_rounding(dtype: DType) -> None:
    n, network = 800, Network((784, 12, 4), "tanh", "softmax", "cross_entropy")
    images, labels = of_kind("usual", n)
    plan = Plan(np.array([0]), np.array([n]), None, np.array([0.1]))
    problem = Problem("usual", network, start(network, dtype), images, labels, plan)
    expected = reference(problem, ("train",))
    for pieces in (np.arange(n - 1)[None], np.array([[*range(n), 0]])):  # one too few, one twice
        found = tensors_of("parameters", added(problem, pieces, dtype), network)
        results = [compare("wrong", problem, name, array, expected[name]) for name, array in found.items()]
        assert all(result.failure for result in results)
