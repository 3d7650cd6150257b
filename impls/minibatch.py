"""Rung 3, `minibatch`: the mathematics of `vectorized`, made for many small updates.

An update of 128 images takes a few hundred microseconds, so what is small in a large batch counts here: allocating
temporaries, copying the batch, walking once more over a matrix of the weights' size. So every array that an update
needs is made once per plan and results are written there with `out=`; the batch is a view wherever the images lie in
order; rate / n is multiplied into delta, which has a few numbers an image, instead of into the gradient; all parameters
lie in one vector, so that one in-place operation updates every layer. What it costs: the formulas are harder to see
than one rung below, and memory grows with the largest update.
"""

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "minibatch"
SUMMARY: Final = "matrices for many small updates: buffers made once, everything in place"
DTYPES: Final = ("float32", "float64")
HOME: Final = 128

BLOCK: Final = 1000  # images at a time where only outputs are asked


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) in the dtype, and targets (n, n_outputs), the labels one-hot in the dtype."""

    images: Array
    targets: Array | None


class Buffers(NamedTuple):
    """Room for the largest update; a and delta hold one array a layer, (rows, fan_out).

    The output layer has few columns, so it lies in memory column by column (Fortran order): then the maximum and the
    sum over each row's outputs are taken for all rows at once.
    """

    images: Array  # (rows, n_inputs), used where an order scatters the batch
    a: list[Array]
    delta: list[Array]


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: it knows every quantity, network and dtype of the contract."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype; the labels as rows of the unit matrix."""
    scaled = np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe")
    if labels is None:
        return Prepared(scaled, None)
    return Prepared(scaled, np.asfortranarray(np.eye(network.sizes[-1], dtype=dtype)[labels]))


def pack(parameters: Parameters) -> Array:
    """All parameters in one new vector: weights and biases of the first layer, of the second, ..."""
    return np.concatenate([array.ravel() for layer in parameters for array in layer])


def unpack(sizes: tuple[int, ...], vector: Array) -> Parameters:
    """The layers that `pack` laid into this vector, as views."""
    layers = []
    first = 0
    for fan_in, fan_out in pairwise(sizes):
        middle, last = first + fan_in * fan_out, first + (fan_in + 1) * fan_out
        layers.append(Layer(vector[first:middle].reshape(fan_in, fan_out), vector[middle:last]))
        first = last
    return tuple(layers)


def make_buffers(network: Network, rows: int, scattered: bool, dtype: np.dtype[np.floating]) -> Buffers:
    """Buffers for updates of at most this many rows."""
    hidden, n_outputs = network.sizes[1:-1], network.sizes[-1]
    a, delta = (
        [np.empty((rows, size), dtype) for size in hidden] + [np.empty((rows, n_outputs), dtype, order="F")]
        for _ in range(2)
    )
    return Buffers(np.empty((rows if scattered else 0, network.sizes[0]), dtype), a, delta)


def activate(name: str, z: Array) -> None:
    """z becomes activation(z)."""
    if name == "relu":
        np.maximum(z, 0, out=z)
    elif name == "tanh":
        np.tanh(z, out=z)
    else:  # sigmoid(z) = (1 + tanh(z / 2)) / 2 cannot overflow
        z *= 0.5
        np.tanh(z, out=z)
        z *= 0.5
        z += 0.5


def times_derivative(name: str, a: Array, delta: Array) -> None:
    """delta *= activation'(z), from a = activation(z), which is used up."""
    if name == "relu":
        np.greater(a, 0, out=a)
    elif name == "tanh":
        a *= a
        np.subtract(1, a, out=a)
    else:
        delta *= a
        np.subtract(1, a, out=a)
    delta *= a


def hidden_layers(network: Network, parameters: Parameters, images: Array, a: list[Array]) -> None:
    """Fill a with the activations of all hidden layers, and with z of the last."""
    previous = images
    for number, (weights, biases) in enumerate(parameters):
        np.matmul(previous, weights, out=a[number])
        a[number] += biases
        if number < len(parameters) - 1:
            activate(network.hidden, a[number])
        previous = a[number]


def output_layer(network: Network, z: Array, targets: Array, delta: Array) -> float:
    """The summed cost; delta becomes d(summed cost)/dz, z the outputs (and is used up)."""
    if network.cost == "cross_entropy":
        z -= z.max(axis=1, keepdims=True)
        right = np.multiply(z, targets, out=delta).sum()  # the shifted z of the right answers, summed
        np.exp(z, out=z)
        sums = z.sum(axis=1, keepdims=True)
        z /= sums
        np.subtract(z, targets, out=delta)
        return float(np.log(sums).sum() - right)
    activate(network.output, z)
    np.subtract(z, targets, out=delta)
    cost = float(np.square(delta).sum()) / 2
    times_derivative(network.output, z, delta)
    return cost


def gradient_of_batch(
    network: Network,
    parameters: Parameters,
    images: Array,
    targets: Array,
    factor: float,
    buffers: Buffers,
    gradient: Parameters,
) -> float:
    """The summed cost of a batch; `gradient` becomes factor times the gradient of that sum."""
    n = len(images)
    a = [values[:n] for values in buffers.a]
    delta = [values[:n] for values in buffers.delta]
    hidden_layers(network, parameters, images, a)
    cost = output_layer(network, a[-1], targets, delta[-1])
    delta[-1] *= factor
    for number in range(len(parameters) - 1, -1, -1):
        previous = a[number - 1] if number > 0 else images
        np.matmul(previous.T, delta[number], out=gradient[number].weights)
        np.sum(delta[number], axis=0, out=gradient[number].biases)
        if number > 0:
            np.matmul(delta[number], parameters[number].weights.T, out=delta[number - 1])
            times_derivative(network.hidden, previous, delta[number - 1])
    return cost


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    n = len(prepared.images)
    result = np.empty((n, network.sizes[-1]), parameters[0].weights.dtype)
    buffers = make_buffers(network, min(n, BLOCK), False, result.dtype)
    for first in range(0, n, BLOCK):
        images = prepared.images[first : first + BLOCK]
        a = [values[: len(images)] for values in buffers.a]
        hidden_layers(network, parameters, images, a)
        z = a[-1]
        if network.output == "softmax":
            z -= z.max(axis=1, keepdims=True)
            np.exp(z, out=z)
            z /= z.sum(axis=1, keepdims=True)
        else:
            activate(network.output, z)
        result[first : first + BLOCK] = z
    return result


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    assert prepared.targets is not None
    n = len(prepared.images)
    gradient = unpack(network.sizes, np.empty_like(pack(parameters)))
    buffers = make_buffers(network, n, False, parameters[0].weights.dtype)
    cost = gradient_of_batch(network, parameters, prepared.images, prepared.targets, 1 / n, buffers, gradient)
    return cost / n, gradient


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    assert prepared.targets is not None
    parameters, velocities = pack(state.parameters), pack(state.velocities)
    gradient = np.empty_like(parameters)
    layers, gradient_layers = unpack(network.sizes, parameters), unpack(network.sizes, gradient)
    largest = int((plan.stops - plan.starts).max())
    buffers = make_buffers(network, largest, plan.order is not None, parameters.dtype)
    mu = plan.momentum
    costs = np.empty(len(plan.starts), parameters.dtype)
    updates = zip(plan.starts.tolist(), plan.stops.tolist(), plan.learning_rates.tolist(), strict=True)
    for u, (start, stop, rate) in enumerate(updates):
        n = stop - start
        if plan.order is None:
            images, targets = prepared.images[start:stop], prepared.targets[start:stop]
        else:
            chosen = plan.order[start:stop]  # mode="clip" spares np.take a second buffer; the indices are checked
            images = np.take(prepared.images, chosen, axis=0, out=buffers.images[:n], mode="clip")
            targets = prepared.targets[chosen]
        factor = 1 / n if mu > 0 else rate / n
        costs[u] = gradient_of_batch(network, layers, images, targets, factor, buffers, gradient_layers) / n
        if mu > 0:
            velocities *= mu
            velocities += gradient
            gradient += mu * velocities
            gradient *= rate
        parameters -= gradient
    return State(layers, unpack(network.sizes, velocities)), costs
