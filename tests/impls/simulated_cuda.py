"""The kernels of the backend `cuda` in a simulated grid, all blocks at once. test_cuda.py runs this file in a process
of its own, as numba simulates a GPU only where it is told before its import:

    NUMBA_ENABLE_CUDASIM=1 pytest tests/impls/simulated_cuda.py
"""

from dataclasses import replace
from typing import Any, cast, get_args

import numpy as np
import pytest
from numba import cuda

import impls
from bench.agreement.problems import with_random_biases
from impls import cuda as backend
from impls.contract import (
    COST_OF_OUTPUT,
    Array,
    Backend,
    DType,
    Network,
    Output,
    Plan,
    State,
    check_parameters,
    zero_velocities,
)
from impls.cuda import simulated, steps_of, way
from impls.cuda.device import Limits
from impls.initialisation import initial_parameters
from tests.helpers import simulated_grid
from tests.suite.conformance import CHECKS, SOME

SIMULATED = cast(Backend, simulated_grid)
H100 = Limits(132, 232_448, True)
RESIDENT, GENERAL, DEEP = SOME[0], SOME[2], SOME[1]


def problem(
    network: Network, n: int = 20, dtype: DType = "float32", momentum: float = 0.9
) -> tuple[Array, Array, State, Plan]:
    """Images, labels, a state without zeros, and a plan of updates of different sizes in a shuffled order."""
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (n, network.sizes[0]), np.uint8)
    state = State(*(with_random_biases(initial_parameters(network, "lecun_normal", seed, dtype)) for seed in (1, 2)))
    plan = Plan(np.array([0, 3, 1]), np.array([n, 5, n - 1]), rng.permutation(n), np.array([0.3, 0.2, 0.1]), momentum)
    return images, rng.integers(0, network.sizes[-1], n), state, plan


def trained(backend: Backend, network: Network, posed: tuple[Array, Array, State, Plan]) -> list[Array]:
    """Costs, parameters and velocities."""
    images, labels, state, plan = posed
    dtype = cast(DType, state.parameters[0].weights.dtype.name)
    after, costs = backend.train(network, state, backend.prepare(network, images, labels, dtype), plan)
    assert costs is not None
    return [costs, *(array for part in after for layer in part for array in layer)]


def assert_as_vectorized(network: Network, posed: tuple[Array, Array, State, Plan]) -> None:
    """All results of a training agree with `vectorized`."""
    atol = 1e-6 if posed[2].parameters[0].weights.dtype == np.float32 else 1e-14
    expected = trained(impls.load("vectorized"), network, posed)
    for right, found in zip(expected, trained(SIMULATED, network, posed), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("check", "network", "dtype"),
    [
        ("results_are_well_formed", RESIDENT, "float32"),
        ("results_are_well_formed", DEEP, "float32"),
        ("short_last_batch", RESIDENT, "float64"),
        ("short_last_batch", GENERAL, "float32"),
        ("an_image_used_twice_counts_twice", RESIDENT, "float32"),
        ("velocities_rest_without_momentum", RESIDENT, "float32"),
        ("velocities_rest_without_momentum", GENERAL, "float64"),
        ("halves_combine_to_the_whole", DEEP, "float64"),
        ("halves_combine_to_the_whole", RESIDENT, "float64"),
        ("derivative_of_relu_at_zero", DEEP, "float32"),
    ],
)
def test_promises(check: str, network: Network, dtype: DType) -> None:
    CHECKS[check].run(SIMULATED, network, dtype)


@pytest.mark.parametrize("output", COST_OF_OUTPUT)
@pytest.mark.parametrize("n_hidden", [1, 5, 7])
def test_hidden_units_are_shared_out(n_hidden: int, output: Any) -> None:
    """Among three multiprocessors, of which the last may have fewer, or none."""
    network = Network((12, n_hidden, 4), "sigmoid", output, COST_OF_OUTPUT[output])
    assert_as_vectorized(network, problem(network, 6))


def test_more_blocks_than_parts_that_are_added_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then a thread adds up what others have received."""
    monkeypatch.setattr(simulated_grid, "LIMITS", simulated_grid.LIMITS._replace(n_multiprocessors=10))
    network = Network((12, 10, 5), "tanh", "softmax", "cross_entropy")
    assert_as_vectorized(network, problem(network, 6))


@pytest.mark.parametrize(("n_pixels", "n_words"), [(16, 1), (112, 1), (200, 2), (480, 4)])
def test_pixels_are_shared_out(n_pixels: int, n_words: int) -> None:
    """Among 32 threads: one word of four pixels each, two or four."""
    network = Network((n_pixels, 2, 4), "tanh", "softmax", "cross_entropy")
    shape = way(network, np.float32, True, True, simulated_grid.LIMITS)
    assert not isinstance(shape, str)
    assert shape.n_words == n_words
    assert_as_vectorized(network, problem(network, 6))


@pytest.mark.parametrize("dtype", get_args(DType))
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_update_in_several_steps(momentum: float, dtype: DType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where shared memory has no room for all of its images."""
    network, real = Network((12, 7, 4), "relu", "softmax", "cross_entropy"), np.dtype(dtype).type
    shape = way(network, real, momentum > 0, True, simulated_grid.LIMITS)
    assert not isinstance(shape, str)
    limits = simulated_grid.LIMITS._replace(n_bytes=shape._replace(n_images=9).n_bytes)
    assert way(network, real, momentum > 0, True, limits) == shape._replace(n_images=9)
    monkeypatch.setattr(simulated_grid, "LIMITS", limits)
    assert_as_vectorized(network, problem(network, 20, dtype, momentum))


def test_an_update_in_several_steps_of_the_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "MOST_IMAGES", 7)
    assert_as_vectorized(GENERAL, problem(GENERAL))


@pytest.mark.parametrize("network", [RESIDENT, GENERAL])
def test_the_same_bits_in_whatever_order_threads_run(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    posed, results = problem(network, 9), []
    for seed in (1, 2, 3):
        monkeypatch.setattr(simulated_grid, "SEED", seed)
        results.append(trained(SIMULATED, network, posed))
    for first, *others in zip(*results, strict=True):
        for other in others:
            np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("network", [RESIDENT, GENERAL])
def test_nan_is_not_hidden(network: Network) -> None:
    """In a weight it reaches outputs, cost and gradient, and ends no training."""
    images, labels, state, _ = problem(network, 4)
    state.parameters[0].weights[3, 2] = np.nan
    prepared = SIMULATED.prepare(network, images, labels, "float32")
    assert np.isnan(SIMULATED.outputs(network, state.parameters, prepared)).all()
    cost, gradient = SIMULATED.gradients(network, state.parameters, prepared)
    assert np.isnan(cost)
    assert all(np.isnan(array).any() for layer in gradient for array in layer)


@pytest.mark.parametrize("n_pixels", [40, 600])  # resident, general
@pytest.mark.parametrize(("hidden", "output"), [("relu", "softmax"), ("sigmoid", "sigmoid"), ("tanh", "relu")])
def test_nothing_overflows(hidden: Any, output: Any, n_pixels: int) -> None:
    """Raw pixels, all 255, and weights a thousand times too large."""
    network = Network((n_pixels, 3, 4), hidden, output, COST_OF_OUTPUT[cast(Output, output)], pixel_scale=1)
    layers = initial_parameters(network, "lecun_normal", 0, "float32")
    parameters = tuple(layer._replace(weights=layer.weights * np.float32(1e3)) for layer in layers)
    prepared = SIMULATED.prepare(network, np.full((2, n_pixels), 255, np.uint8), np.array([0, 3]), "float32")
    cost, gradient = SIMULATED.gradients(network, parameters, prepared)
    assert np.isfinite(SIMULATED.outputs(network, parameters, prepared)).all()
    assert np.isfinite(cost)
    check_parameters(network, gradient)


# --- which way, and how memory is shared out --------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [False, True])
def test_the_article_s_network_fits_an_h100_with_a_batch_of_128(momentum: bool) -> None:
    """One hidden unit a multiprocessor, and a batch in one step."""
    shape = way(Network((784, 128, 10), "relu", "softmax", "cross_entropy"), np.float32, momentum, True, H100)
    assert not isinstance(shape, str)
    assert (shape.most_blocks, shape.n_units) == (132, 1)
    assert shape.n_images >= 128
    assert shape.groups * shape.slots == 490
    assert shape.n_bytes <= H100.n_bytes


NETWORK = Network((784, 128, 10), "relu", "softmax", "cross_entropy")


@pytest.mark.parametrize(
    ("sizes", "of_bytes", "device", "reason"),
    [
        ((784, 10), True, H100, "0 hidden layers: expected one"),
        ((784, 30, 30, 10), True, H100, "2 hidden layers: expected one"),
        ((784, 128, 10), False, H100, "images of floats: expected bytes"),
        ((784, 128, 10), True, H100._replace(copies=False), "expected compute capability 8.0"),
        ((784, 128, 10), True, H100._replace(n_bytes=30_000), "shared memory of 30000 bytes: too little"),
        ((784, 4096, 10), True, H100, "32 hidden units a multiprocessor, 10 outputs, 784 pixels: too many for a block"),
        ((784, 128, 600), True, H100, "1 hidden units a multiprocessor, 600 outputs, 784 pixels: too many"),
        ((9000, 128, 10), True, H100, "1 hidden units a multiprocessor, 10 outputs, 9000 pixels: too many"),
    ],
)
def test_what_goes_the_general_way(sizes: tuple[int, ...], of_bytes: bool, device: Limits, reason: str) -> None:
    found = way(replace(NETWORK, sizes=sizes), np.float32, False, of_bytes, device)
    assert isinstance(found, str)
    assert reason in found


def test_steps() -> None:
    """Updates of at most four images stay whole; others are cut into steps of about the same size."""
    plan = Plan(np.array([0, 2, 1]), np.array([4, 11, 2]), None, np.zeros(3))
    assert steps_of(plan, 4).tolist() == [
        [0, 4, 4, 1, 2],
        [2, 3, 9, 0, 2],
        [5, 3, 9, 0, 2],
        [8, 3, 9, 1, 2],
        [1, 1, 1, 1, 0],
    ]


# --- the simulated grid itself ----------------------------------------------------------------------------------------


def launched(kernel: Any, *arguments: Any) -> None:
    """Run on two blocks of four threads."""
    cuda.jit(kernel)[2, 4, 0, 64](*arguments)


def test_threads_that_wait_for_ever_are_an_error() -> None:
    def meet_alone() -> None:
        if simulated_grid.current().block == 0:
            simulated_grid.current().grid.sync()

    def wait_in_vain() -> None:
        while True:
            simulated.give_way()

    with pytest.raises(simulated_grid.Deadlock, match="4 threads wait at barriers that others do not reach"):
        launched(meet_alone)
    with pytest.raises(simulated_grid.Deadlock, match="8 threads wait for words that nobody sends"):
        launched(wait_in_vain)


def test_what_a_thread_raises_ends_all() -> None:
    def fail() -> None:
        if simulated_grid.current().threadIdx.x == 2:
            raise ValueError("thread 2")
        simulated_grid.current().syncthreads()

    with pytest.raises(ValueError, match="thread 2"):
        launched(fail)


def test_a_trained_state_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No result is a view of what a later call writes to."""
    posed = problem(RESIDENT, 6)
    images, labels, state, plan = posed
    prepared = SIMULATED.prepare(RESIDENT, images, labels, "float32")
    first, _ = SIMULATED.train(RESIDENT, state, prepared, plan)
    before = [array.copy() for part in first for layer in part for array in layer]
    SIMULATED.train(RESIDENT, zero_velocities(first.parameters), prepared, plan)
    for array, kept in zip((a for part in first for layer in part for a in layer), before, strict=True):
        np.testing.assert_array_equal(array, kept)
