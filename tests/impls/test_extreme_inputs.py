"""Backends on extreme inputs: numbers of any size, any number of images. Everything else is in conformance.py."""

import itertools
from typing import Any, cast, get_args

import numpy as np
import pytest

import impls
from impls.contract import (
    COST_OF_OUTPUT,
    Activation,
    Array,
    Backend,
    DType,
    Layer,
    Network,
    Output,
    Plan,
    Quantity,
    State,
    check_parameters,
    zero_velocities,
)
from impls.initialisation import initial_parameters

BASE = ("naive", "vectorized", "minibatch", "numba", "numba_dense", "numba_sparse", "graph", "scipy_sparse")
N = 14  # images; not a multiple of 8, the number that `numba` uses at a time
SIZES = (12, 7, 4)
FUNCTIONS = list(itertools.product(get_args(Activation), COST_OF_OUTPUT.items()))
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


OTHERS = [
    name
    for name in impls.names()
    if name not in BASE and impls.entry(name).extra not in ("peers", "light", "cluster", "cuda")
]


@pytest.fixture(params=[*BASE, *OTHERS])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend but the optional peers. Those that need only the base installation are never skipped."""
    reason = impls.unavailable_reason(request.param)
    if reason is not None and request.param not in BASE:
        pytest.skip(f"backend {request.param} {reason}")
    return impls.load(request.param)


def images_and_labels(n: int = N, n_inputs: int = SIZES[0], n_classes: int = SIZES[-1]) -> tuple[Array, Array]:
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (n, n_inputs), np.uint8), rng.integers(0, n_classes, n)


IMAGES, LABELS = images_and_labels()


def network_of(sizes: tuple[int, ...] = SIZES, hidden: Activation = "sigmoid", output: Output = "softmax") -> Network:
    return Network(sizes, hidden, output, COST_OF_OUTPUT[output])


def start_of(network: Network, dtype: DType = "float32") -> State:
    """Parameters, including biases, and velocities, none of which is zero."""
    return State(
        initial_parameters(network, "standard_normal", 1, dtype),
        initial_parameters(network, "standard_normal", 2, dtype),
    )


def plan_of(*bounds: tuple[int, int], order: Array | None = None, rate: float = 0.1, momentum: float = 0.0) -> Plan:
    starts, stops = np.array(bounds).T
    return Plan(starts, stops, order, np.full(len(bounds), rate), momentum)


def train(
    backend: Backend, network: Network, state: State, plan: Plan, images: Array = IMAGES, labels: Array = LABELS
) -> tuple[State, Array]:
    """Prepare and train; all of these backends return the costs."""
    dtype = cast(DType, state.parameters[0].weights.dtype.name)
    state, costs = backend.train(network, state, backend.prepare(network, images, labels, dtype), plan)
    assert costs is not None
    return state, costs


# --- what is supported --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", get_args(DType))
@pytest.mark.parametrize(("hidden", "output_and_cost"), FUNCTIONS)
def test_nothing_is_unsupported(backend: Backend, hidden: Any, output_and_cost: Any, dtype: DType) -> None:
    if backend.NAME not in BASE:
        pytest.skip(f"backend {backend.NAME} may do less")
    network = Network((784, 80, 10), hidden, *output_and_cost)
    assert [backend.unsupported(quantity, network, dtype) for quantity in QUANTITIES] == [None] * 4


# --- stable at any input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("hidden", "output_and_cost"), FUNCTIONS)
def test_nothing_overflows(backend: Backend, hidden: Any, output_and_cost: Any) -> None:
    """Raw pixels, all 255, and weights a thousand times too large; nearly any warning is an error here."""
    output, cost = output_and_cost
    network = Network((784, 16, 10), hidden, output, cost, pixel_scale=1)
    parameters = tuple(
        Layer(weights * np.float32(1e3), biases)
        for weights, biases in initial_parameters(network, "lecun_normal", 0, "float32")
    )
    images, labels = np.full((10, 784), 255, np.uint8), np.arange(10)
    prepared = backend.prepare(network, images, labels, "float32")
    outputs = backend.outputs(network, parameters, prepared)
    cost, gradient = backend.gradients(network, parameters, prepared)
    state, costs = train(backend, network, zero_velocities(parameters), plan_of((0, 10), rate=1e-9), images, labels)
    assert np.isfinite(outputs).all()
    assert np.isfinite(cost)
    assert np.isfinite(costs).all()
    check_parameters(network, gradient)
    check_parameters(network, state.parameters)


@pytest.mark.parametrize("factor", [1e-30, 1, 1e3, 1e30])
def test_probabilities_add_up_to_one(backend: Backend, factor: float) -> None:
    network = network_of((12, 4))
    weights, biases = initial_parameters(network, "lecun_normal", 0, "float32")[0]
    prepared = backend.prepare(network, IMAGES, None, "float32")
    outputs = backend.outputs(network, (Layer(weights * np.float32(factor), biases),), prepared)
    assert outputs.min() >= 0
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(("output", "lowest", "highest"), [("sigmoid", 0, 1), ("relu", 0, np.inf)])
def test_outputs_stay_in_their_range(backend: Backend, output: Output, lowest: float, highest: float) -> None:
    network = network_of((12, 4), output=output)
    weights, biases = initial_parameters(network, "lecun_normal", 0, "float32")[0]
    prepared = backend.prepare(network, IMAGES, None, "float32")
    outputs = backend.outputs(network, (Layer(weights * 1000, biases),), prepared)
    assert lowest <= outputs.min() < 0.01
    assert 0.99 < outputs.max() <= highest


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh"])
def test_nan_is_not_hidden(backend: Backend, activation: Activation) -> None:
    """NaN in parameters, as after a training that diverged, appears in the outputs."""
    network = network_of(hidden=activation, output="relu")
    first, second = start_of(network).parameters
    first.weights[3, 2] = np.nan
    outputs = backend.outputs(network, (first, second), backend.prepare(network, IMAGES, None, "float32"))
    assert np.isnan(outputs).all()


@pytest.mark.parametrize("n", [1, 3, 4, 5, 1001, 2003])
def test_any_number_of_images(backend: Backend, n: int) -> None:
    """Backends work in blocks of images; no image is left out if the last block is not full."""
    network, parameters = network_of(), start_of(network_of()).parameters
    images, labels = images_and_labels(n)
    outputs = backend.outputs(network, parameters, backend.prepare(network, images, labels, "float32"))
    last = backend.outputs(network, parameters, backend.prepare(network, images[-1:], None, "float32"))
    assert outputs.shape == (n, 4)
    np.testing.assert_allclose(outputs[-1:], last, rtol=1e-4)
    cost, _ = backend.gradients(network, parameters, backend.prepare(network, images, labels, "float32"))
    right = outputs[np.arange(n), labels].astype(np.float64)
    assert cost == pytest.approx(-np.log(right).mean(), rel=1e-4)
