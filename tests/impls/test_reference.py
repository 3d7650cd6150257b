"""The reference is right: `naive` compared with arithmetic by hand, and with derivatives computed independently."""

import itertools
import math
from typing import Any, get_args

import numpy as np
import pytest

from impls import naive
from impls.contract import (
    COST_OF_OUTPUT,
    Activation,
    Array,
    Layer,
    Network,
    Parameters,
    Plan,
    State,
    zero_velocities,
)

EPS = np.finfo(np.float64).eps


def assert_same(actual: Any, expected: Any, allowed: float) -> None:
    """Norm-wise: max|actual - expected| / max|expected| within `allowed` eps. NaN fails."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    error = np.abs(actual - expected).max() / (np.abs(expected).max() or 1) / EPS
    assert error <= allowed, f"{error:.3g} eps apart, allowed are {allowed:g}:\n{actual}\nexpected\n{expected}"


def assert_same_layers(actual: Parameters, expected: Parameters, allowed: float) -> None:
    assert len(actual) == len(expected)
    for of_actual, of_expected in zip(actual, expected, strict=True):
        assert_same(of_actual.weights, of_expected.weights, allowed)
        assert_same(of_actual.biases, of_expected.biases, allowed)


# --- by hand -----------------------------------------------------------------------------------------------
#
# Weights are multiples of r = ln 3, so that every activation is a fraction:
#
#     sigmoid(r) = 3/4   sigmoid(-r) = 1/4   sigmoid(-2r) = 1/10   tanh(r) = 4/5   softmax(2r, r) = (3/4, 1/4)
#
# delta is dCost/dz of one image; e = a - t; layer 2 has delta2 = e * f'(z2), layer 1 delta1 = (W2 @ delta2) * f'(z1).
# The gradient of a layer is outer(its input, delta) for the weights and delta for the biases; of two images, the mean.
# A dozen operations, each rounded once, and two images that partly cancel: some 10 eps.

BY_HAND = 32.0  # eps
r = math.log(3)  # 1.0986122886681098


def layer(weights: Any, biases: Any) -> Layer:
    return Layer(np.array(weights, np.float64), np.array(biases, np.float64))


def test_sigmoid_with_quadratic_cost_by_hand() -> None:
    network = Network((2, 2, 2), "sigmoid", "sigmoid", "quadratic", pixel_scale=1 / 2)
    parameters = (layer([[-r, r], [r, -r]], [0, r]), layer([[0, 2 * r], [-4 * r, -2 * r]], [r, r / 2]))
    prepared = naive.prepare(network, np.array([[2, 4], [2, 2]], np.uint8), np.array([1, 0]), "float64")

    # Image 1, pixels (2, 4), label 1                           Image 2, pixels (2, 2), label 0
    # x      = (1, 2)                                           (1, 1)
    # z1     = (-r + 2r, r - 2r + r) = (r, 0)                   (-r + r, r - r + r) = (0, r)
    # a1     = (3/4, 1/2)                                       (1/2, 3/4)
    # z2     = (-4r/2 + r, 6r/4 - 2r/2 + r/2) = (-r, r)         (-12r/4 + r, 2r/2 - 6r/4 + r/2) = (-2r, 0)
    # a2     = (1/4, 3/4)                                       (1/10, 1/2)
    # e      = (1/4, 3/4 - 1) = (1/4, -1/4)                     (1/10 - 1, 1/2) = (-9/10, 1/2)
    # cost   = (1/16 + 1/16) / 2 = 0.0625                       (0.81 + 0.25) / 2 = 0.53
    # a2(1-a2) = (3/16, 3/16)                                   (0.09, 0.25)
    # delta2 = (3/64, -3/64) = (0.046875, -0.046875)            (-0.081, 0.125)
    # W2 @ delta2 = (2r * -3/64, -4r * 3/64 + 2r * 3/64)        (2r * 0.125, 4r * 0.081 - 2r * 0.125)
    #        = (-0.09375 r, -0.09375 r)                         (0.25 r, 0.074 r)
    # a1(1-a1) = (3/16, 1/4)                                    (1/4, 3/16)
    # delta1 = (-0.017578125 r, -0.0234375 r)                   (0.0625 r, 0.013875 r)
    delta1, delta2 = np.array([-0.017578125, -0.0234375]) * r, np.array([0.046875, -0.046875])
    first = (layer([delta1, 2 * delta1], delta1), layer([0.75 * delta2, 0.5 * delta2], delta2))
    delta1, delta2 = np.array([0.0625, 0.013875]) * r, np.array([-0.081, 0.125])
    second = (layer([delta1, delta1], delta1), layer([0.5 * delta2, 0.75 * delta2], delta2))

    assert_same(naive.outputs(network, parameters, prepared), [[0.25, 0.75], [0.1, 0.5]], BY_HAND)
    cost, gradient = naive.gradients(network, parameters, prepared)
    assert_same(cost, (0.0625 + 0.53) / 2, BY_HAND)
    assert_same_layers(gradient, combined(0.5, first, 0.5, second), BY_HAND)

    # Two updates, mu = 1/2: image 2 with eta = 0, so that image 1 has the same parameters, then image 1 with eta = 2.
    # v = second            p = p - 0
    # v = second/2 + first  p = p - 2 (first + v/2) = p - 3 first - second/2
    plan = Plan(np.array([0, 1]), np.array([1, 2]), np.array([1, 0]), np.array([0.0, 2.0]), momentum=0.5)
    state, costs = naive.train(network, zero_velocities(parameters), prepared, plan)
    assert_same(costs, [0.53, 0.0625], BY_HAND)
    assert_same_layers(state.velocities, combined(1, first, 0.5, second), BY_HAND)
    assert_same_layers(state.parameters, combined(1, parameters, -1, combined(3, first, 0.5, second)), BY_HAND)


def combined(p: float, first: Parameters, q: float, second: Parameters) -> Parameters:
    """p * first + q * second."""
    return tuple(
        Layer(p * of_first.weights + q * of_second.weights, p * of_first.biases + q * of_second.biases)
        for of_first, of_second in zip(first, second, strict=True)
    )


def test_relu_with_softmax_and_cross_entropy_by_hand() -> None:
    network = Network((2, 2, 2), "relu", "softmax", "cross_entropy", pixel_scale=1 / 2)
    parameters = (layer([[1, -1], [-1, 1]], [1, -1]), layer([[r / 2, r], [-r, r]], [r, 0]))
    prepared = naive.prepare(network, np.array([[4, 2], [2, 6]], np.uint8), np.array([0, 1]), "float64")

    # Image 1, pixels (4, 2), label 0                           Image 2, pixels (2, 6), label 1
    # x      = (2, 1)                                           (1, 3)
    # z1     = (2 - 1 + 1, -2 + 1 - 1) = (2, -2)                (1 - 3 + 1, -1 + 3 - 1) = (-1, 1)
    # a1     = (2, 0)                                           (0, 1)
    # z2     = (2r/2 + r, 2r) = (2r, 2r)                        (-r + r, r) = (0, r)
    # a2     = (1/2, 1/2)                                       (1/4, 3/4)
    # cost   = -ln 1/2 = ln 2                                   -ln 3/4 = ln 4/3
    # delta2 = e = (-1/2, 1/2)                                  (1/4, -1/4)
    # W2 @ delta2 = (-r/4 + r/2, r/2 + r/2) = (r/4, r)          (r/8 - r/4, -r/4 - r/4) = (-r/8, -r/2)
    # delta1 = (r/4, 0), for f'(z1) = (1, 0)                    (0, -r/2), for f'(z1) = (0, 1)
    first = (layer([[r / 2, 0], [r / 4, 0]], [r / 4, 0]), layer([[-1, 1], [0, 0]], [-1 / 2, 1 / 2]))
    second = (layer([[0, -r / 2], [0, -3 * r / 2]], [0, -r / 2]), layer([[0, 0], [1 / 4, -1 / 4]], [1 / 4, -1 / 4]))

    assert_same(naive.outputs(network, parameters, prepared), [[1 / 2, 1 / 2], [1 / 4, 3 / 4]], BY_HAND)
    cost, gradient = naive.gradients(network, parameters, prepared)
    assert_same(cost, 0.49041462650586315, BY_HAND)  # (ln 2 + ln 4/3) / 2 = (ln 8/3) / 2
    assert_same_layers(gradient, combined(0.5, first, 0.5, second), BY_HAND)

    # Two updates, mu = 1/2: image 1 with eta = 4r/3, then image 2 with eta = 1/2.
    # v = first, so p = p - 4r/3 (first + first/2) = p - 2r first, with r^2 for r * r:
    #     W1 = (1 - r^2, -1; -1 - r^2/2, 1)    b1 = (1 - r^2/2, -1)
    #     W2 = (r/2 + 2r, r - 2r; -r, r)       b2 = (r + r, 0 - r)
    # Image 2 with these parameters
    # z1     = (1 - r^2 - 3 - 3r^2/2 + 1 - r^2/2, 1) = (-1 - 3r^2, 1)
    # a1     = (0, 1)
    # z2     = (-r + 2r, r - r) = (r, 0)
    # a2     = (3/4, 1/4)
    # cost   = -ln 1/4 = ln 4
    # delta2 = (3/4, -3/4)
    # W2 @ delta2 = (..., -3r/4 - 3r/4) = (..., -3r/2)
    # delta1 = (0, -3r/2)
    # g:     W1: (0, -3r/2; 0, -9r/2)       b1: (0, -3r/2)      W2: (0, 0; 3/4, -3/4)          b2: (3/4, -3/4)
    # v = first/2 + g:
    #        W1: (r/4, -3r/2; r/8, -9r/2)   b1: (r/8, -3r/2)    W2: (-1/2, 1/2; 3/4, -3/4)     b2: (1/2, -1/2)
    # g + v/2:
    #        W1: (r/8, -9r/4; r/16, -27r/4) b1: (r/16, -9r/4)   W2: (-1/4, 1/4; 9/8, -9/8)     b2: (1, -1)
    # and p = p - (g + v/2) / 2.
    plan = Plan(np.array([0, 1]), np.array([1, 2]), None, np.array([4 * r / 3, 0.5]), momentum=0.5)
    state, costs = naive.train(network, zero_velocities(parameters), prepared, plan)
    assert_same(costs, [0.6931471805599453, 1.3862943611198906], BY_HAND)  # ln 2, ln 4
    velocities = (
        layer([[r / 4, -3 * r / 2], [r / 8, -9 * r / 2]], [r / 8, -3 * r / 2]),
        layer([[-1 / 2, 1 / 2], [3 / 4, -3 / 4]], [1 / 2, -1 / 2]),
    )
    trained = (
        layer(
            [[1 - r * r - r / 16, -1 + 9 * r / 8], [-1 - r * r / 2 - r / 32, 1 + 27 * r / 8]],
            [1 - r * r / 2 - r / 32, -1 + 9 * r / 8],
        ),
        layer([[5 * r / 2 + 1 / 8, -r - 1 / 8], [-r - 9 / 16, r + 9 / 16]], [2 * r - 1 / 2, -r + 1 / 2]),
    )
    assert_same_layers(state.velocities, velocities, BY_HAND)
    assert_same_layers(state.parameters, trained, BY_HAND)


def test_tanh_with_relu_and_quadratic_cost_by_hand() -> None:
    network = Network((2, 2, 2), "tanh", "relu", "quadratic", pixel_scale=1 / 2)
    parameters = (layer([[-r, r], [r, -r]], [0, 0]), layer([[1, 2], [-1, 1]], [0, -1]))
    prepared = naive.prepare(network, np.array([[2, 4]], np.uint8), np.array([1]), "float64")

    # x      = (1, 2)
    # z1     = (-r + 2r, r - 2r) = (r, -r)
    # a1     = (0.8, -0.8)
    # z2     = (0.8 + 0.8, 1.6 - 0.8 - 1) = (1.6, -0.2)
    # a2     = (1.6, 0)
    # e      = (1.6, 0 - 1) = (1.6, -1)
    # cost   = (2.56 + 1) / 2 = 1.78
    # delta2 = (1.6, 0), for f'(z2) = (1, 0)
    # W2 @ delta2 = (1.6, -1.6)
    # delta1 = (0.576, -0.576), for f'(z1) = 1 - a1^2 = (0.36, 0.36)
    gradient = (
        layer([[0.576, -0.576], [1.152, -1.152]], [0.576, -0.576]),
        layer([[1.28, 0], [-1.28, 0]], [1.6, 0]),
    )
    assert_same(naive.outputs(network, parameters, prepared), [[1.6, 0]], BY_HAND)
    actual_cost, actual_gradient = naive.gradients(network, parameters, prepared)
    assert_same(actual_cost, 1.78, BY_HAND)
    assert_same_layers(actual_gradient, gradient, BY_HAND)

    # One update without momentum, eta = 1/4: p = p - g/4, and the velocities do not change.
    plan = Plan(np.array([0]), np.array([1]), None, np.array([0.25]))
    state, _ = naive.train(network, State(parameters, parameters), prepared, plan)
    assert_same_layers(state.parameters, combined(1, parameters, -0.25, gradient), BY_HAND)
    assert_same_layers(state.velocities, parameters, 0)


# --- kinks and large numbers -------------------------------------------------------------------------------


def test_the_derivative_of_relu_at_zero_is_zero() -> None:
    """In the output layer, and in a hidden one: in both, what would be passed back through the kink is not zero."""
    image = np.array([[1, 1]], np.uint8)
    network = Network((2, 2), "relu", "relu", "quadratic", pixel_scale=1)
    prepared = naive.prepare(network, image, np.array([0]), "float64")
    # z = (1 - 1, 2 + 1) = (0, 3), e = (-1, 3), delta = (0, 3)
    cost, (gradient,) = naive.gradients(network, (layer([[1, 2], [-1, 1]], [0, 0]),), prepared)
    assert cost == 5
    assert gradient.biases.tolist() == [0, 3]
    assert gradient.weights.tolist() == [[0, 3], [0, 3]]

    network = Network((2, 2, 2), "relu", "relu", "quadratic", pixel_scale=1)
    parameters = (layer([[1, 2], [-1, 1]], [0, 0]), layer([[1, 1], [1, 1]], [0, 0]))
    # a1 = (0, 3), a2 = (3, 3), delta2 = e = (2, 3), W2 @ delta2 = (5, 5), delta1 = (0, 5)
    _, (gradient, _) = naive.gradients(network, parameters, prepared)
    assert gradient.biases.tolist() == [0, 5]
    assert gradient.weights.tolist() == [[0, 5], [0, 5]]


@pytest.mark.parametrize(
    ("output", "costs", "delta"),
    [
        # softmax(1000, -1000) = (1, 0): cost 0 for label 0, 1000 - -1000 for label 1, with e = (1, -1)
        ("softmax", (0.0, 2000.0), [1.0, -1.0]),
        # sigmoid = (1, 0), and saturated
        ("sigmoid", (0.0, 1.0), [0.0, 0.0]),
        # relu = (1000, 0): e = (999, 0) and (1000, -1)
        ("relu", (999**2 / 2, (1000**2 + 1) / 2), [1000.0, 0.0]),
    ],
)
@pytest.mark.parametrize("hidden", get_args(Activation))
def test_large_pre_activations_give_no_warning(
    hidden: Activation, output: Any, costs: tuple[float, float], delta: list[float]
) -> None:
    """Hidden pre-activations of 1000 and -1000, then outputs of 1000 and -1000."""
    network = Network((1, 2, 2), hidden, output, COST_OF_OUTPUT[output], pixel_scale=1)
    active = 1000.0 if hidden == "relu" else 1.0
    parameters = (layer([[1000, -1000]], [0, 0]), layer([[1000 / active, -1000 / active], [0, 0]], [0, 0]))
    image = np.ones((1, 1), np.uint8)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        for label, cost in enumerate(costs):
            prepared = naive.prepare(network, image, np.array([label]), "float64")
            actual, gradient = naive.gradients(network, parameters, prepared)
            assert actual == cost
            assert all(np.isfinite(array).all() for of_layer in gradient for array in of_layer)
        assert gradient[1].biases.tolist() == delta


# --- derivatives computed independently ---------------------------------------------------------------------

N_IMAGES = 6
SIZES = [(4, 3), (4, 5, 3), (4, 5, 4, 3), (4, 5, 4, 6, 3)]
NETWORKS = [
    Network(sizes, hidden, output, cost)
    for sizes, hidden, (output, cost) in itertools.product(SIZES, get_args(Activation), COST_OF_OUTPUT.items())
    if len(sizes) > 2 or hidden == "sigmoid"  # without a hidden layer its activation does not matter
]
EVERY_NETWORK = pytest.mark.parametrize("network", NETWORKS, ids=str)


def case(network: Network) -> tuple[Parameters, naive.Prepared]:
    """Parameters drawn from N(0, 1), and a few images of noise; with this seed no ReLU is dead or near its kink."""
    rng = np.random.default_rng(117)
    parameters = tuple(
        Layer(rng.standard_normal(shape), rng.standard_normal(shape[1])) for shape in itertools.pairwise(network.sizes)
    )
    images = rng.integers(0, 256, (N_IMAGES, network.sizes[0]), np.uint8)
    return parameters, naive.prepare(network, images, rng.integers(0, network.sizes[-1], N_IMAGES), "float64")


@EVERY_NETWORK
def test_every_derivative_by_complex_step(network: Network) -> None:
    """Im cost(p + ih) / h is the derivative up to h^2, which is negligible: no difference is taken, nothing cancels.

    What remains is rounding: a few eps per layer, more where the terms of images cancel; some 26 eps at most.
    """
    parameters, prepared = case(network)
    assert_away_from_kinks(network, parameters, prepared, 1e-3)
    _, gradient = naive.gradients(network, parameters, prepared)
    assert_not_vanishing(gradient)
    assert_same_layers(gradient, by_complex_step(network, parameters, prepared), 64)


def by_complex_step(network: Network, parameters: Parameters, prepared: naive.Prepared) -> Parameters:
    step = 1e-20
    moved = tuple(Layer(weights.astype(complex), biases.astype(complex)) for weights, biases in parameters)
    derivatives = tuple(Layer(np.empty_like(weights), np.empty_like(biases)) for weights, biases in parameters)
    for of_moved, of_derivatives in zip(moved, derivatives, strict=True):
        for array, out in zip(of_moved, of_derivatives, strict=True):
            for index in np.ndindex(array.shape):
                value = array[index]
                array[index] = value + 1j * step
                out[index] = naive.gradients(network, moved, prepared)[0].imag / step
                array[index] = value
    return derivatives


@EVERY_NETWORK
def test_slopes_along_random_directions_by_central_differences(network: Network) -> None:
    """A second check, in real numbers alone. Its error is of the order of step^2, and of eps / step."""
    parameters, prepared = case(network)
    step = EPS ** (1 / 3)
    assert_away_from_kinks(network, parameters, prepared, 100 * step)
    _, gradient = naive.gradients(network, parameters, prepared)
    rng = np.random.default_rng(7)
    for _ in range(5):
        direction = tuple(Layer(*(rng.standard_normal(array.shape) for array in of_layer)) for of_layer in parameters)
        ahead, behind = (
            naive.gradients(network, combined(1, parameters, sign * step, direction), prepared)[0] for sign in (1, -1)
        )
        slope = sum(
            float((g * d).sum())
            for of_gradient, of_direction in zip(gradient, direction, strict=True)
            for g, d in zip(of_gradient, of_direction, strict=True)
        )
        assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=1e-7, abs=1e-8)


def assert_away_from_kinks(network: Network, parameters: Parameters, prepared: naive.Prepared, distance: float) -> None:
    """No pre-activation of a ReLU is nearer to 0 than `distance`; some are below 0, some above."""
    names = [network.hidden] * (len(parameters) - 1) + [network.output]
    for number, (name, (weights, biases)) in enumerate(zip(names, parameters, strict=True)):
        if name == "relu":
            inputs: Array = np.array([naive.forward(network, parameters, x)[0][number] for x in prepared.images])
            z = inputs @ weights + biases
            assert np.abs(z).min() > distance
            assert z.min() < 0 < z.max()


def assert_not_vanishing(gradient: Parameters) -> None:
    """No part of the gradient is nearly zero, as for dead or saturated units; it would agree with anything."""
    for of_layer in gradient:
        for array in of_layer:
            assert np.abs(array).max() > 1e-3
