"""Peer, `autograd`: NumPy whose operations are recorded, and differentiated by HIPS autograd.

Only the cost is written down, with the functions of autograd.numpy, and `value_and_grad` makes a function of it that
returns its gradient, too: what `graph` does from scratch, here from a library. Parameters are a list of pairs, as in
autograd's examples. Cost: a recording for each update, in which every operation is a few calls of Python.
"""

from typing import Any, Final, NamedTuple

import autograd.numpy as np
import numpy
from autograd import value_and_grad
from autograd.extend import defvjp, primitive

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "autograd"
SUMMARY: Final = "NumPy differentiated by HIPS autograd"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128

Pairs = list[tuple[Array, Array]]  # weights and biases of each layer


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) in the dtype; targets (n, n_outputs), the labels one-hot."""

    images: Array
    targets: Array | None


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: every quantity, network and dtype of the contract is supported."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype; the labels one-hot."""
    scaled = numpy.multiply(numpy.asarray(images), network.pixel_scale, dtype=dtype, casting="unsafe")
    return Prepared(scaled, None if labels is None else numpy.eye(network.sizes[-1], dtype=dtype)[labels])


@primitive
def relu(z: Any) -> Any:
    """max(z, 0). Not np.maximum itself, whose derivative at 0 autograd takes to be 0.5."""
    return numpy.maximum(z, 0)


defvjp(relu, lambda a, z: lambda gradient: gradient * (z > 0))


@primitive
def tanh(z: Any) -> Any:
    """The hyperbolic tangent. Not np.tanh itself, for whose derivative autograd squares cosh, which overflows."""
    return numpy.tanh(z)


defvjp(tanh, lambda a, z: lambda gradient: gradient * (1 - a * a))


def sigmoid(z: Any) -> Any:
    """1 / (1 + exp(-z)), computed as (1 + tanh(z / 2)) / 2, which cannot overflow."""
    return 0.5 * (tanh(0.5 * z) + 1)


def log_softmax(z: Any) -> Any:
    """The logarithm of softmax, row by row; the largest z is subtracted, so that nothing overflows."""
    shifted = z - np.max(z, axis=1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))


ACTIVATIONS: Final = {
    "sigmoid": sigmoid,
    "relu": relu,
    "tanh": tanh,
    "softmax": lambda z: np.exp(log_softmax(z)),
}


def forward(network: Network, parameters: Any, images: Array) -> Any:
    """z of the output layer, (n, n_outputs)."""
    a = images
    for weights, biases in parameters[:-1]:
        a = ACTIVATIONS[network.hidden](np.dot(a, weights) + biases)
    weights, biases = parameters[-1]
    return np.dot(a, weights) + biases


def mean_cost(parameters: Any, network: Network, images: Array, targets: Array) -> Any:
    """The mean cost of these images."""
    z = forward(network, parameters, images)
    if network.cost == "cross_entropy":
        return -np.sum(targets * log_softmax(z)) / len(images)
    return np.sum((ACTIVATIONS[network.output](z) - targets) ** 2) / (2 * len(images))


cost_and_gradient = value_and_grad(mean_cost)


def pairs(parameters: Parameters) -> Pairs:
    """The parameters as autograd's examples have them, as plain arrays: it knows no subclass, such as a memory map."""
    return [(numpy.asarray(weights), numpy.asarray(biases)) for weights, biases in parameters]


def layers(parameters: Pairs) -> Parameters:
    """The reverse; copies where nothing was computed, so that no result is an input."""
    return tuple(Layer(numpy.array(weights), numpy.array(biases)) for weights, biases in parameters)


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    return ACTIVATIONS[network.output](forward(network, pairs(parameters), prepared.images))


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    cost, gradient = cost_and_gradient(pairs(parameters), network, *prepared)
    return float(cost), layers(gradient)


def add(first: Pairs, factor: float, second: Pairs) -> Pairs:
    """first + factor * second, layer by layer."""
    return [(w1 + factor * w2, b1 + factor * b2) for (w1, b1), (w2, b2) in zip(first, second, strict=True)]


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    images, targets = prepared
    assert targets is not None
    parameters, velocities = map(pairs, state)
    costs = numpy.empty(len(plan.starts), images.dtype)
    for u, rate in enumerate(plan.learning_rates.tolist()):
        chosen: Any = slice(plan.starts[u], plan.stops[u])
        chosen = chosen if plan.order is None else plan.order[chosen]
        costs[u], gradient = cost_and_gradient(parameters, network, images[chosen], targets[chosen])
        if plan.momentum > 0:
            velocities = add(gradient, plan.momentum, velocities)
            gradient = add(gradient, plan.momentum, velocities)
        parameters = add(parameters, -rate, gradient)
    return State(layers(parameters), layers(velocities)), costs
