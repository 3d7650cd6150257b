"""Rung 2, `vectorized`: the whole batch as matrices, one row per image.

The loop over images becomes a matrix product: one for each layer forward, two for each layer back. NumPy hands them to
BLAS, which reads a weight once for many images and uses all cores. Large batches are split into blocks of rows, so that
activations stay in the caches and their memory does not grow with the batch; the gradients of the blocks are added.
Cost: a dozen temporary arrays per block, allocated each time.
"""

from typing import Final, NamedTuple

import numpy as np

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "vectorized"
SUMMARY: Final = "the whole batch as matrices, in blocks of rows"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = None

BLOCK: Final = 5000  # images: with fewer, the overhead of NumPy's calls counts; with more, activations leave the caches


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) in the dtype, labels (n,)."""

    images: Array
    labels: Array | None


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: every quantity, network and dtype of the contract is supported."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype."""
    return Prepared(np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe"), labels)


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), computed as (1 + tanh(z / 2)) / 2, which cannot overflow."""
    a = np.tanh(z * 0.5)
    a += 1
    a *= 0.5
    return a


def exponentials(z: Array) -> tuple[Array, Array, Array]:
    """Each row's z minus its largest, so that nothing overflows; their exponentials; and the sums of these.

    As columns, (n_outputs, n), (n_outputs, n) and (n,): NumPy reduces short rows one by one, but columns all at once.
    """
    shifted = z.T.copy()
    shifted -= shifted.max(axis=0)
    numerators = np.exp(shifted)
    return shifted, numerators, numerators.sum(axis=0)


def activation(name: str, z: Array) -> Array:
    """The activation function of that name; z may be overwritten."""
    if name == "sigmoid":
        return sigmoid(z)
    if name == "tanh":
        return np.tanh(z)
    if name == "relu":
        return np.maximum(z, 0, out=z)
    _, numerators, denominators = exponentials(z)
    return (numerators / denominators).T


def derivative(name: str, a: Array) -> Array:
    """The derivative of an activation function, from its value a."""
    if name == "sigmoid":
        return a * (1 - a)
    if name == "tanh":
        return 1 - a * a
    return a > 0


def forward(network: Network, parameters: Parameters, images: Array) -> tuple[list[Array], Array]:
    """The activations of a block of images except the last layer's, a_0 ... a_(L-1), and z_L."""
    activations = [images]
    for weights, biases in parameters:
        z = activations[-1] @ weights
        z += biases
        if weights is not parameters[-1].weights:
            activations.append(activation(network.hidden, z))
    return activations, z


def summed_gradient(
    network: Network, parameters: Parameters, images: Array, labels: Array
) -> tuple[float, list[Layer]]:
    """The summed cost of a block of images, and its gradient."""
    activations, z = forward(network, parameters, images)
    rows, ones = np.arange(len(labels)), np.ones(len(labels), z.dtype)
    if network.cost == "cross_entropy":
        shifted, columns, sums = exponentials(z)
        cost = np.log(sums).sum() - shifted[labels, rows].sum()
        columns /= sums
        columns[labels, rows] -= 1
        delta = columns.T
    else:
        outputs = activation(network.output, z)
        delta = outputs.copy()
        delta[rows, labels] -= 1
        cost = (delta * delta).sum() / 2
        delta *= derivative(network.output, outputs)
    gradient = [Layer(activations[-1].T @ delta, ones @ delta)]
    for number in range(len(parameters) - 1, 0, -1):
        delta = delta @ parameters[number].weights.T
        delta *= derivative(network.hidden, activations[number])
        gradient.insert(0, Layer(activations[number - 1].T @ delta, ones @ delta))
    return cost, gradient


def mean_gradient(
    network: Network, parameters: Parameters, prepared: Prepared, indices: Array | slice, n: int
) -> tuple[float, Parameters]:
    """The mean cost of these n images and its gradient, block by block."""
    assert prepared.labels is not None
    total_cost = 0.0
    total = tuple(Layer(np.zeros_like(weights), np.zeros_like(biases)) for weights, biases in parameters)
    for first in range(0, n, BLOCK):
        if isinstance(indices, slice):
            block: Array | slice = slice(indices.start + first, min(indices.start + first + BLOCK, indices.stop))
        else:
            block = indices[first : first + BLOCK]
        cost, gradient = summed_gradient(network, parameters, prepared.images[block], prepared.labels[block])
        total_cost += cost
        for of_all, of_block in zip(total, gradient, strict=True):
            of_all.weights[...] += of_block.weights
            of_all.biases[...] += of_block.biases
    for weights, biases in total:
        weights /= n
        biases /= n
    return total_cost / n, total


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    n = len(prepared.images)
    result = np.empty((n, network.sizes[-1]), parameters[0].weights.dtype)
    for first in range(0, n, BLOCK):
        block = slice(first, first + BLOCK)
        _, z = forward(network, parameters, prepared.images[block])
        result[block] = activation(network.output, z)
    return result


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    n = len(prepared.images)
    return mean_gradient(network, parameters, prepared, slice(0, n), n)


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    parameters, velocities = state
    mu = plan.momentum
    costs = np.empty(len(plan.starts), parameters[0].weights.dtype)
    for u, rate in enumerate(plan.learning_rates.tolist()):
        start, stop = int(plan.starts[u]), int(plan.stops[u])
        indices = slice(start, stop) if plan.order is None else plan.order[start:stop]
        costs[u], gradient = mean_gradient(network, parameters, prepared, indices, stop - start)
        if mu > 0:
            velocities = add(gradient, mu, velocities)
            gradient = add(gradient, mu, velocities)
        parameters = add(parameters, -rate, gradient)
    return State(parameters, velocities), costs


def add(first: Parameters, factor: float, second: Parameters) -> Parameters:
    """first + factor * second, layer by layer."""
    return tuple(Layer(w1 + factor * w2, b1 + factor * b2) for (w1, b1), (w2, b2) in zip(first, second, strict=True))
