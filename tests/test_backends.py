"""What every backend promises beside the right numbers: it is stable, leaves its inputs alone, obeys any plan."""

import itertools
from collections.abc import Iterator
from pathlib import Path
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
    Parameters,
    Plan,
    Quantity,
    State,
    check_parameters,
    zero_velocities,
)
from impls.initialisation import initial_parameters

BASE = ("naive", "vectorized", "minibatch", "numba")
N = 14  # images; no multiple of 4, which is how many `numba` takes at a time
SIZES = (12, 7, 4)
FUNCTIONS = list(itertools.product(get_args(Activation), COST_OF_OUTPUT.items()))
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


@pytest.fixture(params=impls.names())
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend. Those that need no more than the base installation are never left out."""
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
    """Parameters, biases among them, and velocities that are not zero."""
    return State(
        initial_parameters(network, "standard_normal", 1, dtype),
        initial_parameters(network, "standard_normal", 2, dtype),
    )


def plan_of(*bounds: tuple[int, int], order: Array | None = None, rate: float = 0.1, momentum: float = 0.0) -> Plan:
    starts, stops = np.array(bounds).T
    return Plan(starts, stops, order, np.full(len(bounds), rate), momentum)


FULL_BATCH = plan_of((0, N), (0, N))
BATCHES = plan_of((0, 5), (5, 10), (10, 14), momentum=0.9)  # the last is short
SHUFFLED = plan_of((0, 5), (5, 10), (10, 14), order=np.random.default_rng(6).permutation(N), momentum=0.9)
PLANS = {"full batch": FULL_BATCH, "batches": BATCHES, "shuffled": SHUFFLED}


def train(
    backend: Backend, network: Network, state: State, plan: Plan, images: Array = IMAGES, labels: Array = LABELS
) -> tuple[State, Array]:
    """Prepare and train; all four backends tell the costs."""
    dtype = cast(DType, state.parameters[0].weights.dtype.name)
    state, costs = backend.train(network, state, backend.prepare(network, images, labels, dtype), plan)
    assert costs is not None
    return state, costs


def arrays_of(state: State) -> Iterator[Array]:
    """All of a state's arrays, parameters first."""
    return (array for parameters in state for layer in parameters for array in layer)


def same(one: State, other: State) -> bool:
    """Bit for bit, except that 0 and -0 are the same."""
    return all(np.array_equal(a, b) for a, b in zip(arrays_of(one), arrays_of(other), strict=True))


def assert_close(one: State, other: State) -> None:
    """Up to the rounding of float32, norm-wise."""
    for a, b in zip(arrays_of(one), arrays_of(other), strict=True):
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max()


# --- what it can -------------------------------------------------------------------------------------------


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
    """Raw pixels, all 255, and weights a thousand times too large; a warning would be an error here."""
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
    """Parameters that a diverging training has spoilt are seen in the outputs."""
    network = network_of(hidden=activation, output="relu")
    first, second = start_of(network).parameters
    first.weights[3, 2] = np.nan
    outputs = backend.outputs(network, (first, second), backend.prepare(network, IMAGES, None, "float32"))
    assert np.isnan(outputs).all()


# --- inputs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_inputs_stay_as_they_are(backend: Backend, plan: Plan) -> None:
    network, state = network_of(), start_of(network_of())
    images, labels = images_and_labels()
    prepared = backend.prepare(network, images, labels, "float32")
    arrays = [images, labels, *arrays_of(state), plan.starts, plan.stops, plan.learning_rates]
    arrays += [] if plan.order is None else [plan.order]
    before = [array.copy() for array in arrays]
    expected = backend.outputs(network, state.parameters, prepared)
    backend.gradients(network, state.parameters, prepared)
    backend.train(network, state, prepared, plan)
    assert all(np.array_equal(array, copy) for array, copy in zip(arrays, before, strict=True))
    assert np.array_equal(backend.outputs(network, state.parameters, prepared), expected)


@pytest.mark.parametrize("plan", [BATCHES, SHUFFLED], ids=["batches", "shuffled"])
def test_read_only_inputs(backend: Backend, plan: Plan) -> None:
    network = network_of()
    expected, expected_costs = train(backend, network, start_of(network), plan)
    expected_gradient = backend.gradients(
        network, start_of(network).parameters, backend.prepare(network, IMAGES, LABELS, "float32")
    )

    (images, labels), state = images_and_labels(), start_of(network)
    order = None if plan.order is None else plan.order.copy()
    same_plan = Plan(plan.starts.copy(), plan.stops.copy(), order, plan.learning_rates.copy(), plan.momentum)
    arrays = [images, labels, *arrays_of(state), same_plan.starts, same_plan.stops, same_plan.learning_rates]
    for array in [*arrays, *([] if same_plan.order is None else [same_plan.order])]:
        array.flags.writeable = False
    found, costs = train(backend, network, state, same_plan, images, labels)
    assert same(found, expected)
    assert np.array_equal(costs, expected_costs)
    cost, gradient = backend.gradients(network, state.parameters, backend.prepare(network, images, labels, "float32"))
    assert cost == expected_gradient[0]
    assert same(State(gradient, ()), State(expected_gradient[1], ()))


def test_memory_mapped_images(backend: Backend, tmp_path: Path) -> None:
    network, state = network_of(), start_of(network_of())
    IMAGES.tofile(tmp_path / "images")
    mapped = np.memmap(tmp_path / "images", np.uint8, "r", shape=IMAGES.shape)
    found, costs = train(backend, network, state, BATCHES, mapped)
    expected, expected_costs = train(backend, network, state, BATCHES)
    assert same(found, expected)
    assert np.array_equal(costs, expected_costs)
    assert not any(isinstance(array, np.memmap) for array in arrays_of(found))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_images_may_be_floats(backend: Backend, dtype: str) -> None:
    network, state = network_of(), start_of(network_of())
    found, _ = train(backend, network, state, BATCHES, IMAGES.astype(dtype))
    expected, _ = train(backend, network, state, BATCHES)
    assert_close(found, expected)


def test_outputs_need_no_labels(backend: Backend) -> None:
    network, parameters = network_of(), start_of(network_of()).parameters
    without = backend.outputs(network, parameters, backend.prepare(network, IMAGES, None, "float32"))
    assert np.array_equal(
        without, backend.outputs(network, parameters, backend.prepare(network, IMAGES, LABELS, "float32"))
    )


# --- results -----------------------------------------------------------------------------------------------


def assert_are(found: Parameters, network: Network, dtype: str) -> None:
    check_parameters(network, found)
    assert found[0].weights.dtype == dtype


@pytest.mark.parametrize("dtype", get_args(DType))
def test_results_have_the_dtype_and_shape_of_the_parameters(backend: Backend, dtype: DType) -> None:
    network, state = network_of(), start_of(network_of(), dtype)
    prepared = backend.prepare(network, IMAGES, LABELS, dtype)
    outputs = backend.outputs(network, state.parameters, prepared)
    assert outputs.shape == (N, 4)
    assert outputs.dtype == dtype
    cost, gradient = backend.gradients(network, state.parameters, prepared)
    assert np.ndim(cost) == 0
    assert_are(gradient, network, dtype)
    for plan in PLANS.values():
        trained, costs = backend.train(network, state, prepared, plan)
        assert_are(trained.parameters, network, dtype)
        assert_are(trained.velocities, network, dtype)
        assert costs is not None
        assert costs.shape == plan.starts.shape  # one an update
        assert costs.dtype == dtype


def test_the_first_cost_of_a_training_is_that_of_the_gradient(backend: Backend) -> None:
    network, state = network_of(), start_of(network_of())
    cost, _ = backend.gradients(network, state.parameters, backend.prepare(network, IMAGES, LABELS, "float32"))
    _, costs = train(backend, network, state, FULL_BATCH)
    assert costs[0] == pytest.approx(cost, rel=1e-6)
    assert costs[1] < costs[0]


@pytest.mark.parametrize("sizes", [(12, 4), (12, 7, 4), (12, 9, 7, 5, 4)])
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_same_answer_twice(backend: Backend, sizes: tuple[int, ...], plan: Plan) -> None:
    network = network_of(sizes)
    state = start_of(network)
    (first, first_costs), (second, second_costs) = (train(backend, network, state, plan) for _ in range(2))
    assert same(first, second)
    assert np.array_equal(first_costs, second_costs)
    prepared = backend.prepare(network, IMAGES, LABELS, "float32")
    outputs = [backend.outputs(network, state.parameters, prepared) for _ in range(2)]
    assert np.array_equal(outputs[0], outputs[1])


def test_a_result_is_not_changed_by_the_next_call(backend: Backend) -> None:
    network, state = network_of(), start_of(network_of())
    prepared = backend.prepare(network, IMAGES, LABELS, "float32")
    outputs = backend.outputs(network, state.parameters, prepared)
    _, gradient = backend.gradients(network, state.parameters, prepared)
    trained, _ = backend.train(network, state, prepared, BATCHES)
    arrays = [outputs, *arrays_of(State(gradient, ())), *arrays_of(trained)]
    before = [array.copy() for array in arrays]
    backend.outputs(network, trained.parameters, prepared)
    backend.gradients(network, trained.parameters, prepared)
    backend.train(network, trained, prepared, SHUFFLED)
    assert all(np.array_equal(array, copy) for array, copy in zip(arrays, before, strict=True))


# --- plans -------------------------------------------------------------------------------------------------


def test_without_momentum_the_velocities_go_through(backend: Backend) -> None:
    network, state = network_of(), start_of(network_of())
    trained, _ = train(backend, network, state, FULL_BATCH)
    assert same(State((), trained.velocities), State((), state.velocities))
    assert not same(State(trained.parameters, ()), State(state.parameters, ()))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_learning_rate_zero_changes_no_parameter(backend: Backend, momentum: float) -> None:
    network, state = network_of(), start_of(network_of())
    trained, costs = train(backend, network, state, plan_of((0, N), (0, N), rate=0, momentum=momentum))
    assert same(State(trained.parameters, ()), State(state.parameters, ()))
    assert costs[0] == costs[1]
    assert same(State((), trained.velocities), State((), state.velocities)) == (momentum == 0)


def test_velocities_carry_on(backend: Backend) -> None:
    """With momentum the state says all that a training has to know: in two calls it goes as in one."""
    network, state = network_of(), start_of(network_of())
    at_once, costs = train(backend, network, state, BATCHES)
    halfway, first = train(backend, network, state, plan_of((0, 5), momentum=0.9))
    afterwards, second = train(backend, network, halfway, plan_of((5, 10), (10, 14), momentum=0.9))
    assert_close(afterwards, at_once)
    np.testing.assert_allclose(np.concatenate([first, second]), costs, rtol=1e-5)


def test_order_is_obeyed(backend: Backend) -> None:
    """Training on images in an order is training on the images so ordered; one may come twice, another never."""
    network, state = network_of(), start_of(network_of())
    order = np.array([3, 3, 0, 13, 7, 3, 11, 2, 2])
    bounds = (0, 4), (4, 9)
    found, costs = train(backend, network, state, plan_of(*bounds, order=order, momentum=0.9))
    expected, expected_costs = train(
        backend, network, state, plan_of(*bounds, momentum=0.9), IMAGES[order], LABELS[order]
    )
    assert_close(found, expected)
    np.testing.assert_allclose(costs, expected_costs, rtol=1e-5)


@pytest.mark.parametrize("order", [None, np.random.default_rng(7).permutation(N)], ids=["file", "shuffled"])
def test_batches_of_one(backend: Backend, order: Array | None) -> None:
    network, state = network_of(), start_of(network_of())
    found, costs = train(backend, network, state, plan_of(*((i, i + 1) for i in range(N)), order=order))
    assert costs.shape == (N,)
    for index in range(N) if order is None else order:
        image, label = IMAGES[index : index + 1], LABELS[index : index + 1]
        state, _ = train(backend, network, state, plan_of((0, 1)), image, label)
    assert_close(found, state)


def test_a_short_last_batch_counts_its_own_images(backend: Backend) -> None:
    """Its mean is over the images it has, not over the batch size."""
    network, state = network_of(), start_of(network_of())
    found, _ = train(backend, network, state, plan_of((0, 11), (11, 14)))
    halfway, _ = train(backend, network, state, plan_of((0, 11)))
    expected, _ = train(backend, network, halfway, plan_of((0, 3)), IMAGES[11:], LABELS[11:])
    assert_close(found, expected)


def test_every_update_has_its_learning_rate(backend: Backend) -> None:
    network, state = network_of(), start_of(network_of())
    starts, stops = np.zeros(2, int), np.full(2, N)
    found, _ = train(backend, network, state, Plan(starts, stops, None, np.array([0.3, 0.0])))
    expected, _ = train(backend, network, state, plan_of((0, N), rate=0.3))
    assert same(found, expected)


def test_updates_may_leave_gaps_and_overlap(backend: Backend) -> None:
    network, state = network_of(), start_of(network_of())
    found, _ = train(backend, network, state, plan_of((6, 12), (2, 8)))
    halfway, _ = train(backend, network, state, plan_of((0, 6)), IMAGES[6:12], LABELS[6:12])
    expected, _ = train(backend, network, halfway, plan_of((0, 6)), IMAGES[2:8], LABELS[2:8])
    assert_close(found, expected)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 1001, 2003])
def test_any_number_of_images(backend: Backend, n: int) -> None:
    """Backends work in blocks of images; none is left out where the last block is not full."""
    network, parameters = network_of(), start_of(network_of()).parameters
    images, labels = images_and_labels(n)
    outputs = backend.outputs(network, parameters, backend.prepare(network, images, labels, "float32"))
    last = backend.outputs(network, parameters, backend.prepare(network, images[-1:], None, "float32"))
    assert outputs.shape == (n, 4)
    np.testing.assert_allclose(outputs[-1:], last, rtol=1e-4)
    cost, _ = backend.gradients(network, parameters, backend.prepare(network, images, labels, "float32"))
    right = outputs[np.arange(n), labels].astype(np.float64)
    assert cost == pytest.approx(-np.log(right).mean(), rel=1e-4)
