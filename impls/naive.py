"""Rung 1, `naive`: one image at a time, as a textbook writes it.

Each image passes through the network alone, as a vector, forward and back; the gradients are summed, and the mean is
taken at the end of the batch. Nothing is optimised here: this is the reference of the whole suite, and every other
backend has to agree with it in float64. Cost: a dozen NumPy calls per image, and two passes over a matrix of the
weights' size to add one image's gradient.

Comparisons use `.real`, so that derivatives can also be computed by a complex step.

The four equations are Nielsen's (2015, chapter 2, BP1 to BP4), transposed so that a layer is `a @ weights + biases`.
"""

from typing import Final, NamedTuple

import numpy as np

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "naive"
SUMMARY: Final = "one image at a time, NumPy vectors; the reference"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = None


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) in the dtype, labels (n,)."""

    images: Array
    labels: Array | None


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: every quantity, network and dtype of the contract is supported."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype, all at once, as this is not part of the loop over images."""
    return Prepared(np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe"), labels)


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), written so that the exponent is never positive and nothing can overflow."""
    positive = z.real > 0
    e = np.exp(np.where(positive, -z, z))
    return np.where(positive, 1, e) / (1 + e)


def softmax(z: Array) -> Array:
    """exp(z) / sum(exp(z)); subtracting the largest z changes nothing and keeps exp from overflowing."""
    e = np.exp(z - z.real.max())
    return e / e.sum()


def activation(name: str, z: Array) -> Array:
    """The activation function of that name, of one layer's pre-activations."""
    if name == "sigmoid":
        return sigmoid(z)
    if name == "tanh":
        return np.tanh(z)
    if name == "relu":
        return np.where(z.real < 0, 0, z)  # NaN is kept
    return softmax(z)


def derivative(name: str, a: Array) -> Array:
    """The derivative of an activation function, from its value a."""
    if name == "sigmoid":
        return a * (1 - a)
    if name == "tanh":
        return 1 - a * a
    return np.where(a.real > 0, 1, 0).astype(a.dtype)


def forward(network: Network, parameters: Parameters, image: Array) -> tuple[list[Array], Array]:
    """The activations a_0 ... a_L of one image, and z_L."""
    activations = [image]
    names = [network.hidden] * (len(parameters) - 1) + [network.output]
    for name, (weights, biases) in zip(names, parameters, strict=True):
        z = activations[-1] @ weights + biases
        activations.append(activation(name, z))
    return activations, z


def backward(network: Network, parameters: Parameters, image: Array, label: int) -> tuple[float, list[Layer]]:
    """The cost of one image, and its gradient, layer by layer."""
    activations, z = forward(network, parameters, image)
    target = np.zeros_like(activations[-1])
    target[label] = 1
    error = activations[-1] - target
    if network.cost == "cross_entropy":
        highest = z.real.max()
        cost = highest + np.log(np.exp(z - highest).sum()) - z[label]
        delta = error
    else:
        cost = (error * error).sum() / 2
        delta = error * derivative(network.output, activations[-1])
    gradient = [Layer(np.outer(activations[-2], delta), delta)]
    for number in range(len(parameters) - 1, 0, -1):
        delta = (parameters[number].weights @ delta) * derivative(network.hidden, activations[number])
        gradient.insert(0, Layer(np.outer(activations[number - 1], delta), delta))
    return cost, gradient


def mean_gradient(
    network: Network, parameters: Parameters, prepared: Prepared, indices: Array | range
) -> tuple[float, Parameters]:
    """The mean cost of these images and its gradient: the loop that other backends replace."""
    assert prepared.labels is not None
    total_cost = parameters[0].biases.dtype.type(0)
    total = [Layer(np.zeros_like(weights), np.zeros_like(biases)) for weights, biases in parameters]
    for index in indices:
        cost, gradient = backward(network, parameters, prepared.images[index], prepared.labels[index])
        total_cost += cost
        for of_all, of_one in zip(total, gradient, strict=True):
            of_all.weights[...] += of_one.weights
            of_all.biases[...] += of_one.biases
    n = len(indices)
    return total_cost / n, tuple(Layer(weights / n, biases / n) for weights, biases in total)


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs), computed one image at a time."""
    return np.array([forward(network, parameters, image)[0][-1] for image in prepared.images])


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    return mean_gradient(network, parameters, prepared, range(len(prepared.images)))


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    parameters, velocities = state
    mu = plan.momentum
    costs = []
    for start, stop, rate in zip(plan.starts, plan.stops, plan.learning_rates, strict=True):
        indices = range(start, stop) if plan.order is None else plan.order[start:stop]
        cost, gradient = mean_gradient(network, parameters, prepared, indices)
        costs.append(cost)
        if mu > 0:
            velocities = step(velocities, mu, gradient, 1.0)
            gradient = step(gradient, 1.0, velocities, mu)
        parameters = step(parameters, 1.0, gradient, -float(rate))
    return State(parameters, velocities), np.array(costs)


def step(first: Parameters, p: float, second: Parameters, q: float) -> Parameters:
    """p * first + q * second, layer by layer."""
    return tuple(Layer(p * w1 + q * w2, p * b1 + q * b2) for (w1, b1), (w2, b2) in zip(first, second, strict=True))
