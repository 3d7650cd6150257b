"""Rung 3, `minibatch`: the mathematics of `vectorized`, made for many small updates.

An update of 128 images takes a few hundred microseconds, so what is small in a large batch counts here: allocating
temporaries, copying the batch, one more pass over a matrix of the weights' size. So every array that an update needs is
made once per plan, and results are written there with `out=`; the batch is a view wherever the plan has file order;
rate / n is multiplied into delta, which has a few numbers per image, instead of into the gradient; all parameters are
in one vector, so that one in-place operation updates every layer; and the biases are a last row of weights, of an input
that is always 1, so that the matrix products include them. Cost: the formulas are harder to see than one rung below,
and memory grows with the largest update.
"""

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "minibatch"
SUMMARY: Final = "matrices for many small updates: buffers made once, everything in place"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128

BLOCK: Final = 1000  # images at a time where only outputs are computed
MOST: Final = 400_000_000  # bytes of images that `prepare` scales at most: enough for MNIST, even in float64


class Prepared(NamedTuple):
    """Images (n, n_inputs), or scaled with a last column of ones (n, n_inputs + 1); targets (n, n_outputs), one-hot."""

    images: Array
    scaled: bool
    targets: Array | None


class Buffers(NamedTuple):
    """Memory for the largest update.

    The output layer has few columns, so it is stored by columns (Fortran order): then the maximum and the sum over each
    row's outputs are computed for all rows at once.
    """

    images: Array  # (rows, n_inputs + 1) with a last column of ones, used where a batch is not a view of scaled images
    a: list[Array]  # hidden layers, (rows, fan_out + 1) with a last column of ones
    delta: list[Array]  # hidden layers, (rows, fan_out)
    z: Array  # (rows, n_outputs), of the output layer
    delta_out: Array  # the same


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: every quantity, network and dtype of the contract is supported."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype, with a last column of ones; the labels one-hot.

    Images that would take more than MOST bytes are kept as they are, and scaled batch by batch.
    """
    n, n_inputs = images.shape
    targets = None if labels is None else np.asfortranarray(np.eye(network.sizes[-1], dtype=dtype)[labels])
    if n * (n_inputs + 1) * np.dtype(dtype).itemsize > MOST:
        return Prepared(images, False, targets)
    scaled = np.ones((n, n_inputs + 1), dtype)
    scale(network, images, scaled)
    return Prepared(scaled, True, targets)


def scale(network: Network, images: Array, scaled: Array) -> None:
    """Fill all columns but the last of `scaled`, in its dtype."""
    np.multiply(images, network.pixel_scale, out=scaled[:, :-1], dtype=scaled.dtype, casting="unsafe")


def pack(parameters: Parameters) -> Array:
    """All parameters in one new vector: weights and biases of the first layer, of the second, ..."""
    return np.concatenate([array.ravel() for layer in parameters for array in layer])


def matrices(sizes: tuple[int, ...], vector: Array) -> list[Array]:
    """The layers in a vector made by `pack`, as views (fan_in + 1, fan_out), whose last row is the biases."""
    ends = np.cumsum([(fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes)])
    return [part.reshape(-1, size) for part, size in zip(np.split(vector, ends[:-1]), sizes[1:], strict=True)]


def unpack(sizes: tuple[int, ...], vector: Array) -> Parameters:
    """The same as layers of weights and biases, also views."""
    return tuple(Layer(matrix[:-1], matrix[-1]) for matrix in matrices(sizes, vector))


def make_buffers(network: Network, rows: int, views: bool, dtype: np.dtype[np.floating]) -> Buffers:
    """Buffers for updates of at most this many rows. views: whether all batches are views of scaled images."""
    n_inputs, *hidden, n_outputs = network.sizes
    return Buffers(
        np.ones((0 if views else rows, n_inputs + 1), dtype),
        [np.ones((rows, size + 1), dtype) for size in hidden],
        [np.empty((rows, size), dtype) for size in hidden],
        np.empty((rows, n_outputs), dtype, order="F"),
        np.empty((rows, n_outputs), dtype, order="F"),
    )


def batch_of(network: Network, prepared: Prepared, chosen: slice | Array, n: int, buffers: Buffers) -> Array:
    """The n chosen images, scaled, with a last column of ones: a view where possible, else in a buffer."""
    images = buffers.images[:n]
    if not prepared.scaled:
        scale(network, prepared.images[chosen], images)
    elif isinstance(chosen, slice):
        return prepared.images[chosen]
    else:  # with mode="clip" np.take needs no second buffer; the indices have been checked
        np.take(prepared.images, chosen, axis=0, out=images, mode="clip")
    return images


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
    """delta *= activation'(z), from a = activation(z), which is overwritten."""
    if name == "relu":
        np.greater(a, 0, out=a)
    elif name == "tanh":
        a *= a
        np.subtract(1, a, out=a)
    else:
        delta *= a
        np.subtract(1, a, out=a)
    delta *= a


def forward(network: Network, layers: list[Array], images: Array, buffers: Buffers) -> None:
    """Fill the first rows of the buffers' a and z."""
    n = len(images)
    previous = images
    for weights, a in zip(layers[:-1], buffers.a, strict=True):
        np.matmul(previous, weights, out=a[:n, :-1])
        activate(network.hidden, a[:n, :-1])
        previous = a[:n]
    np.matmul(previous, layers[-1], out=buffers.z[:n])


def output_layer(network: Network, z: Array, targets: Array, delta: Array) -> float:
    """The summed cost; delta becomes d(summed cost)/dz, z is overwritten."""
    if network.cost == "cross_entropy":
        z -= z.max(axis=1, keepdims=True)
        right = np.multiply(z, targets, out=delta).sum()  # the sum of the shifted z of the labels
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
    layers: list[Array],
    images: Array,
    targets: Array,
    factor: float,
    buffers: Buffers,
    gradient: list[Array],
) -> float:
    """The summed cost of a batch; `gradient`, matrices like the layers', becomes factor times that sum's gradient."""
    n = len(images)
    forward(network, layers, images, buffers)
    delta = buffers.delta_out[:n]
    cost = output_layer(network, buffers.z[:n], targets, delta)
    delta *= factor
    for number in range(len(layers) - 1, 0, -1):
        a = buffers.a[number - 1][:n]
        np.matmul(a.T, delta, out=gradient[number])
        delta = np.matmul(delta, layers[number][:-1].T, out=buffers.delta[number - 1][:n])
        times_derivative(network.hidden, a[:, :-1], delta)
    np.matmul(images.T, delta, out=gradient[0])
    return cost


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    n = len(prepared.images)
    layers = matrices(network.sizes, pack(parameters))
    result = np.empty((n, network.sizes[-1]), layers[0].dtype)
    buffers = make_buffers(network, min(n, BLOCK), prepared.scaled, result.dtype)
    for first in range(0, n, BLOCK):
        block = slice(first, min(first + BLOCK, n))
        images = batch_of(network, prepared, block, block.stop - first, buffers)
        forward(network, layers, images, buffers)
        z = buffers.z[: len(images)]
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
    packed = pack(parameters)
    gradient = np.empty_like(packed)
    layers, gradient_layers = matrices(network.sizes, packed), matrices(network.sizes, gradient)
    buffers = make_buffers(network, n, prepared.scaled, packed.dtype)
    images = batch_of(network, prepared, slice(0, n), n, buffers)
    cost = gradient_of_batch(network, layers, images, prepared.targets, 1 / n, buffers, gradient_layers)
    return cost / n, unpack(network.sizes, gradient)


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    assert prepared.targets is not None
    parameters, velocities = pack(state.parameters), pack(state.velocities)
    gradient = np.empty_like(parameters)
    layers, gradient_layers = matrices(network.sizes, parameters), matrices(network.sizes, gradient)
    largest = int((plan.stops - plan.starts).max())
    buffers = make_buffers(network, largest, prepared.scaled and plan.order is None, parameters.dtype)
    mu = plan.momentum
    costs = np.empty(len(plan.starts), parameters.dtype)
    updates = zip(plan.starts.tolist(), plan.stops.tolist(), plan.learning_rates.tolist(), strict=True)
    for u, (start, stop, rate) in enumerate(updates):
        n = stop - start
        chosen = slice(start, stop) if plan.order is None else plan.order[start:stop]
        images, targets = batch_of(network, prepared, chosen, n, buffers), prepared.targets[chosen]
        factor = 1 / n if mu > 0 else rate / n
        costs[u] = gradient_of_batch(network, layers, images, targets, factor, buffers, gradient_layers) / n
        if mu > 0:
            velocities *= mu
            velocities += gradient
            gradient += mu * velocities
            gradient *= rate
        parameters -= gradient
    return State(unpack(network.sizes, parameters), unpack(network.sizes, velocities)), costs
