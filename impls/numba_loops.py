"""Rung 4, `numba`: the loops of `naive`, compiled; a whole plan in one call, on all cores, without Python in between.

The images of an update are divided among the threads in equal parts. Each thread propagates its images through the
network in plain loops, block by block, and sums their gradients in a buffer of its own; the buffers are added in a
fixed order, so that the same number of threads gives the same bits every time. The loops over a matrix of weights use
eight inputs, or eight images, at a time: then the sums are loaded and stored an eighth as often. Gain: no interpreter,
no temporary arrays, no call per vector. Cost: a compilation at the first call (cached on disk), and loops that are not
tuned as BLAS is.

All layers are stored one after the other in one vector of parameters, so that one compiled function serves every
network.
"""

import os
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numba
import numpy as np

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "numba"
SUMMARY: Final = "the naive loops compiled by numba, all cores, a whole plan in one call"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128

SIGMOID, RELU, TANH, SOFTMAX = range(4)
CODES: Final = {"sigmoid": SIGMOID, "relu": RELU, "tanh": TANH, "softmax": SOFTMAX}

# How long GNU OpenMP's waiting threads spin before they sleep, in loops of about 50 ns; read when numba starts them.
# By default they spin for milliseconds, and if another process needs the core, an update of 128 images then costs a
# time slice, up to 20 times the run time. Without any spinning, waking up costs a third of the run time.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

BLOCK: Final = 64  # images at a time; their 128 activations in float32 take 32 KiB

njit: Any = numba.njit
# "contract" lets a * b + c be one fused instruction, which rounds once instead of twice; nothing else is relaxed.
# Arrays are copied in loops: to assign to a slice would compile the error message for a wrong shape into every caller,
# which takes longer than all else.
OPTIONS: Final = {"cache": True, "fastmath": {"contract"}, "error_model": "numpy"}
inner_jit: Any = njit(**OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # called by compiled code only
jit: Any = njit(**OPTIONS)
parallel_jit: Any = njit(**OPTIONS, parallel=True)


class Architecture(NamedTuple):
    """A network as the compiled code sees it."""

    sizes: Array  # (L + 1,) int64
    hidden: int
    output: int


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) in the dtype, labels (n,)."""

    images: Array
    labels: Array | None


class Sequence(NamedTuple):
    """Images and labels in the order of a plan; an empty order is file order."""

    images: Array
    labels: Array
    order: Array


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: every quantity, network and dtype of the contract is supported."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype, labels copied: other layouts or read-only arrays would be compiled again."""
    scaled = np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe", order="C")
    return Prepared(scaled, None if labels is None else labels.copy())


def pack(parameters: Parameters) -> Array:
    """All parameters in one new vector: weights and biases of the first layer, of the second, ..."""
    return np.concatenate([array.ravel() for layer in parameters for array in layer])


def unpack(sizes: tuple[int, ...], vector: Array) -> Parameters:
    """The layers in a vector made by `pack`, as views."""
    layers = []
    first = 0
    for fan_in, fan_out in pairwise(sizes):
        middle, last = first + fan_in * fan_out, first + (fan_in + 1) * fan_out
        layers.append(Layer(vector[first:middle].reshape(fan_in, fan_out), vector[middle:last]))
        first = last
    return tuple(layers)


@inner_jit
def activate(kind: int, z: Array, a: Array) -> None:
    """a = activation(z), for one layer of one image; no exponential can overflow.

    An exponential that is negligible relative to 1 is set to 0 in a sigmoid, and bounded below in softmax: products
    with it would be subnormal numbers, with which processors are slow.
    """
    number = a.dtype.type
    least = number(np.finfo(number).eps)
    if kind == SIGMOID:
        for j in range(len(z)):
            e = np.exp(-abs(z[j]))
            e = number(0) if e < least else e  # NaN is kept
            a[j] = (1 if z[j] > 0 else e) / (1 + e)
    elif kind == TANH:
        for j in range(len(z)):
            a[j] = np.tanh(z[j])
    elif kind == RELU:
        for j in range(len(z)):
            a[j] = 0 if z[j] < 0 else z[j]  # NaN is kept
    else:
        highest = z.max()
        for j in range(len(z)):
            x = z[j] - highest
            a[j] = np.exp(number(-60) if x < number(-60) else x)
        a /= a.sum()


@inner_jit
def times_derivative(kind: int, a: Array, delta: Array) -> None:
    """delta *= activation'(z), from a = activation(z)."""
    if kind == SIGMOID:
        for j in range(len(a)):
            delta[j] *= a[j] * (1 - a[j])
    elif kind == TANH:
        for j in range(len(a)):
            delta[j] *= 1 - a[j] * a[j]
    else:
        for j in range(len(a)):
            delta[j] = 0 if a[j] <= 0 else delta[j]


@inner_jit
def cost_and_delta(output: int, label: int, z: Array, a: Array, delta: Array) -> float:
    """The cost of one image, from its last layer; delta becomes dCost/dz there."""
    for j in range(len(a)):
        delta[j] = a[j]
    delta[label] -= 1
    if output == SOFTMAX:
        return z.max() - z[label] - np.log(a.max())  # the largest a is 1 / sum(exp(z - max z))
    cost = (delta * delta).sum() / 2
    times_derivative(output, a, delta)
    return cost


@inner_jit
def values_of(sizes: Array, layer: int, n: int, buffer: Array) -> Array:
    """The part of a buffer with this layer's values of n images, (n, fan_out); layer 1 comes first."""
    first = BLOCK * sizes[1:layer].sum()
    return buffer[first : first + n * sizes[layer]].reshape(n, sizes[layer])


@inner_jit
def add_products(x: Array, weights: Array, z: Array) -> None:
    """z += x @ weights, eight inputs at a time."""
    fan_in, fan_out = weights.shape
    for i in range(0, fan_in - 7, 8):
        w = weights[i : i + 8]
        for k in range(len(x)):
            x0, x1, x2, x3 = x[k, i], x[k, i + 1], x[k, i + 2], x[k, i + 3]
            x4, x5, x6, x7 = x[k, i + 4], x[k, i + 5], x[k, i + 6], x[k, i + 7]
            for j in range(fan_out):
                z[k, j] += (x0 * w[0, j] + x1 * w[1, j] + x2 * w[2, j] + x3 * w[3, j]) + (
                    x4 * w[4, j] + x5 * w[5, j] + x6 * w[6, j] + x7 * w[7, j]
                )
    for i in range(fan_in - fan_in % 8, fan_in):
        for k in range(len(x)):
            for j in range(fan_out):
                z[k, j] += x[k, i] * weights[i, j]


@inner_jit
def add_outer_products(x: Array, delta: Array, gradient: Array) -> None:
    """gradient += x.T @ delta, eight images at a time."""
    n, fan_out = delta.shape
    for k in range(0, n - 7, 8):
        d = delta[k : k + 8]
        for i in range(x.shape[1]):
            x0, x1, x2, x3 = x[k, i], x[k + 1, i], x[k + 2, i], x[k + 3, i]
            x4, x5, x6, x7 = x[k + 4, i], x[k + 5, i], x[k + 6, i], x[k + 7, i]
            for j in range(fan_out):
                gradient[i, j] += (x0 * d[0, j] + x1 * d[1, j] + x2 * d[2, j] + x3 * d[3, j]) + (
                    x4 * d[4, j] + x5 * d[5, j] + x6 * d[6, j] + x7 * d[7, j]
                )
    for k in range(n - n % 8, n):
        for i in range(x.shape[1]):
            for j in range(fan_out):
                gradient[i, j] += x[k, i] * delta[k, j]


@inner_jit
def propagate_back(delta: Array, weights: Array, delta_previous: Array) -> None:
    """delta_previous = delta @ weights.T"""
    for k in range(len(delta)):
        for i in range(len(weights)):
            total = delta[k, 0] * weights[i, 0]
            for j in range(1, weights.shape[1]):
                total += delta[k, j] * weights[i, j]
            delta_previous[k, i] = total


@inner_jit
def forward(network: Architecture, parameters: Array, x: Array, z: Array, a: Array) -> None:
    """Fill z and a, all layers, for a block of images x."""
    sizes, n = network.sizes, len(x)
    previous = x
    first = 0  # where the layer's parameters begin
    for layer in range(1, len(sizes)):
        fan_in, fan_out = sizes[layer - 1], sizes[layer]
        middle, last = first + fan_in * fan_out, first + (fan_in + 1) * fan_out
        z_layer, a_layer = values_of(sizes, layer, n, z), values_of(sizes, layer, n, a)
        biases = parameters[middle:last]
        for k in range(n):
            for j in range(fan_out):
                z_layer[k, j] = biases[j]
        add_products(previous, parameters[first:middle].reshape(fan_in, fan_out), z_layer)
        for k in range(n):
            activate(network.hidden if layer < len(sizes) - 1 else network.output, z_layer[k], a_layer[k])
        previous = a_layer
        first = last


@inner_jit
def backward(network: Architecture, parameters: Array, x: Array, a: Array, delta: Array, gradient: Array) -> None:
    """Add the gradients of a block of images x to `gradient`; needs delta of the last layer."""
    sizes, n = network.sizes, len(x)
    last = len(parameters)  # where the layer's parameters end
    for layer in range(len(sizes) - 1, 0, -1):
        fan_in, fan_out = sizes[layer - 1], sizes[layer]
        first, middle = last - (fan_in + 1) * fan_out, last - fan_out
        delta_layer = values_of(sizes, layer, n, delta)
        previous = x if layer == 1 else values_of(sizes, layer - 1, n, a)
        add_outer_products(previous, delta_layer, gradient[first:middle].reshape(fan_in, fan_out))
        biases = gradient[middle:last]
        for k in range(n):
            for j in range(fan_out):
                biases[j] += delta_layer[k, j]
        if layer > 1:
            delta_previous = values_of(sizes, layer - 1, n, delta)
            propagate_back(delta_layer, parameters[first:middle].reshape(fan_in, fan_out), delta_previous)
            for k in range(n):
                times_derivative(network.hidden, previous[k], delta_previous[k])
        last = first


@inner_jit
def sum_of_run(
    network: Architecture, parameters: Array, sequence: Sequence, start: int, stop: int, gradient: Array
) -> float:
    """Set `gradient` to the sum over images start:stop of a sequence; return their summed cost."""
    images, labels, order = sequence
    sizes = network.sizes
    x = np.empty((BLOCK, images.shape[1]), gradient.dtype)
    z = np.empty(BLOCK * sizes[1:].sum(), gradient.dtype)
    a, delta = np.empty_like(z), np.empty_like(z)
    gradient[:] = 0
    cost = gradient.dtype.type(0)
    for first in range(start, stop, BLOCK):
        n = min(BLOCK, stop - first)
        for k in range(n):
            image = images[order[first + k] if len(order) else first + k]
            for i in range(len(image)):
                x[k, i] = image[i]
        forward(network, parameters, x[:n], z, a)
        z_out, a_out = values_of(sizes, len(sizes) - 1, n, z), values_of(sizes, len(sizes) - 1, n, a)
        delta_out = values_of(sizes, len(sizes) - 1, n, delta)
        for k in range(n):
            label = labels[order[first + k] if len(order) else first + k]
            cost += cost_and_delta(network.output, label, z_out[k], a_out[k], delta_out[k])
        backward(network, parameters, x[:n], a, delta, gradient)
    return cost


@parallel_jit
def sum_gradients(
    network: Architecture, parameters: Array, sequence: Sequence, start: int, stop: int, gradients: Array, costs: Array
) -> None:
    """Each thread sums the gradients and costs of its part of start:stop, in its own row."""
    threads, n = len(costs), stop - start
    for t in numba.prange(threads):
        first, last = start + n * t // threads, start + n * (t + 1) // threads
        costs[t] = sum_of_run(network, parameters, sequence, first, last, gradients[t])


@inner_jit
def update(parameters: Array, velocities: Array, rate: float, mu: float, n: float, gradients: Array) -> None:
    """One update, from the threads' sums of gradients over n images, added up in a fixed order."""
    total = gradients[0]
    for other in range(1, len(gradients)):
        for p in range(len(total)):
            total[p] += gradients[other, p]
    if mu > 0:
        for p in range(len(total)):
            velocities[p] = mu * velocities[p] + total[p] / n
            parameters[p] -= rate * (total[p] / n + mu * velocities[p])
    else:
        for p in range(len(total)):
            parameters[p] -= rate * (total[p] / n)


@jit
def run_plan(
    network: Architecture,
    parameters: Array,
    velocities: Array,
    sequence: Sequence,
    updates: tuple[Array, Array, Array],
    mu: float,
    threads: int,
) -> Array:
    """Train in place over a whole plan; updates are starts, stops and rates. Return the costs."""
    gradients = np.empty((threads, len(parameters)), parameters.dtype)
    costs = np.empty(threads, parameters.dtype)
    starts, stops, rates = updates
    costs_of_updates = np.empty_like(rates)
    for u in range(len(rates)):
        sum_gradients(network, parameters, sequence, starts[u], stops[u], gradients, costs)
        n = rates.dtype.type(stops[u] - starts[u])
        update(parameters, velocities, rates[u], mu, n, gradients)
        costs_of_updates[u] = costs.sum() / n
    return costs_of_updates


@parallel_jit
def all_outputs(network: Architecture, parameters: Array, images: Array, threads: int, result: Array) -> None:
    """Fill `result` with the last activations of all images, each thread its part."""
    sizes = network.sizes
    for t in numba.prange(threads):
        z = np.empty(BLOCK * sizes[1:].sum(), parameters.dtype)
        a = np.empty_like(z)
        stop = len(images) * (t + 1) // threads
        for first in range(len(images) * t // threads, stop, BLOCK):
            x = images[first : min(first + BLOCK, stop)]
            forward(network, parameters, x, z, a)
            outputs = values_of(sizes, len(sizes) - 1, len(x), a)
            for k in range(len(x)):
                for j in range(outputs.shape[1]):
                    result[first + k, j] = outputs[k, j]


def architecture(network: Network) -> Architecture:
    """This network for the compiled code."""
    return Architecture(np.array(network.sizes), CODES[network.hidden], CODES[network.output])


def in_order(prepared: Prepared, order: Array | None) -> Sequence:
    """Prepared images in the order of a plan."""
    assert prepared.labels is not None
    return Sequence(prepared.images, prepared.labels, np.empty(0, np.int64) if order is None else order.copy())


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    packed = pack(parameters)
    result = np.empty((len(prepared.images), network.sizes[-1]), packed.dtype)
    all_outputs(architecture(network), packed, prepared.images, numba.get_num_threads(), result)
    return result


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    packed = pack(parameters)
    n, threads = len(prepared.images), numba.get_num_threads()
    sums = np.empty((threads, packed.size), packed.dtype)
    costs = np.empty(threads, packed.dtype)
    sum_gradients(architecture(network), packed, in_order(prepared, None), 0, n, sums, costs)
    return costs.sum() / n, unpack(network.sizes, sums.sum(axis=0) / n)


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    parameters, velocities = pack(state.parameters), pack(state.velocities)
    dtype, threads = parameters.dtype, numba.get_num_threads()
    sequence = in_order(prepared, plan.order)
    updates = plan.starts.copy(), plan.stops.copy(), plan.learning_rates.astype(dtype)
    mu = dtype.type(plan.momentum)
    costs = run_plan(architecture(network), parameters, velocities, sequence, updates, mu, threads)
    return State(unpack(network.sizes, parameters), unpack(network.sizes, velocities)), costs
