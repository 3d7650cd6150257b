"""Rung 4, `numba`: the naive loops again, compiled; a whole plan in one call, both cores, no Python between updates.

The images of an update are dealt out to the threads in equal runs. Each thread takes its images through the network
with plain loops, four at a time, so that a weight that came from the cache is used four times, and adds up their
gradients in a buffer of its own; the buffers are added up in a fixed order, so that the same number of threads gives
the same bits every time. What it buys: no interpreter, no temporary arrays, no call per vector. What it costs: a
compile at the first call (kept on disk afterwards), and loops that no BLAS has tuned.

All layers lie one after the other in one vector of parameters, so that one compiled function serves every network.
"""

import os
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numba
import numpy as np

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "numba"
SUMMARY: Final = "the naive loops compiled by numba, both cores, a whole plan in one call"
DTYPES: Final = ("float32", "float64")
HOME: Final = 128

SIGMOID, RELU, TANH, SOFTMAX = range(4)
CODES: Final = {"sigmoid": SIGMOID, "relu": RELU, "tanh": TANH, "softmax": SOFTMAX}

# Of numba's threading layers this one puts waiting threads to sleep. OpenMP's let them spin, which on a busy machine
# costs a time slice per update: 20 times the run time was seen with 128 images an update. NUMBA_THREADING_LAYER wins.
if "NUMBA_THREADING_LAYER" not in os.environ:
    numba.config.THREADING_LAYER = "workqueue"  # type: ignore[attr-defined]

GROUP: Final = 4  # images that share one pass over the weights

# "contract" lets a * b + c be one fused instruction, which rounds once instead of twice; nothing else is relaxed.
jit: Any = numba.njit(cache=True, fastmath={"contract"}, error_model="numpy")
parallel_jit: Any = numba.njit(cache=True, fastmath={"contract"}, error_model="numpy", parallel=True)


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
    """Images and labels in the order of a plan; an empty order means as they lie."""

    images: Array
    labels: Array
    order: Array


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: it knows every quantity, network and dtype of the contract."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype; labels copied, as a read-only array would be compiled for anew."""
    scaled = np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe")
    return Prepared(scaled, None if labels is None else labels.copy())


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


@jit
def activate(kind: int, z: Array, a: Array) -> None:
    """a = activation(z), for one layer of one image; no exponential can overflow."""
    if kind == SIGMOID:
        for j in range(len(z)):
            e = np.exp(-abs(z[j]))
            a[j] = (1 if z[j] > 0 else e) / (1 + e)
    elif kind == TANH:
        for j in range(len(z)):
            a[j] = np.tanh(z[j])
    elif kind == RELU:
        for j in range(len(z)):
            a[j] = 0 if z[j] < 0 else z[j]  # NaN goes through
    else:
        highest = z.max()
        for j in range(len(z)):
            a[j] = np.exp(z[j] - highest)
        a /= a.sum()


@jit
def times_derivative(kind: int, a: Array, delta: Array) -> None:
    """delta *= activation'(z), from a = activation(z)."""
    for j in range(len(a)):
        if kind == SIGMOID:
            delta[j] *= a[j] * (1 - a[j])
        elif kind == TANH:
            delta[j] *= 1 - a[j] * a[j]
        elif a[j] <= 0:
            delta[j] = 0


@jit
def cost_and_delta(output: int, label: int, z: Array, a: Array, delta: Array) -> float:
    """The cost of one image, from its last layer; delta becomes dCost/dz there."""
    delta[:] = a
    delta[label] -= 1
    if output == SOFTMAX:
        highest = z.max()
        return highest + np.log(np.exp(z - highest).sum()) - z[label]
    cost = (delta * delta).sum() / 2
    times_derivative(output, a, delta)
    return cost


@jit
def values_of(layer_sizes: Array, layer: int, buffer: Array) -> Array:
    """The part of a buffer that holds this layer's values of a group, (GROUP, fan_out); layer 1 comes first."""
    first = GROUP * layer_sizes[1:layer].sum()
    return buffer[first : first + GROUP * layer_sizes[layer]].reshape(GROUP, layer_sizes[layer])


@jit
def add_products(x: Array, weights: Array, z: Array) -> None:
    """z += x @ weights, for four images x, two of their inputs at a time."""
    fan_in, fan_out = weights.shape
    for i in range(0, fan_in - 1, 2):
        x0, x1, x2, x3 = x[0, i], x[1, i], x[2, i], x[3, i]
        y0, y1, y2, y3 = x[0, i + 1], x[1, i + 1], x[2, i + 1], x[3, i + 1]
        for j in range(fan_out):
            v, w = weights[i, j], weights[i + 1, j]
            z[0, j] += x0 * v + y0 * w
            z[1, j] += x1 * v + y1 * w
            z[2, j] += x2 * v + y2 * w
            z[3, j] += x3 * v + y3 * w
    if fan_in % 2:
        for k in range(GROUP):
            for j in range(fan_out):
                z[k, j] += x[k, fan_in - 1] * weights[fan_in - 1, j]


@jit
def add_outer_products(x: Array, delta: Array, gradient: Array) -> None:
    """gradient += x.T @ delta, for four images x."""
    for i in range(gradient.shape[0]):
        x0, x1, x2, x3 = x[0, i], x[1, i], x[2, i], x[3, i]
        for j in range(gradient.shape[1]):
            gradient[i, j] += x0 * delta[0, j] + x1 * delta[1, j] + x2 * delta[2, j] + x3 * delta[3, j]


@jit
def propagate_back(delta: Array, weights: Array, delta_previous: Array) -> None:
    """delta_previous = delta @ weights.T, for four images."""
    for k in range(GROUP):
        for i in range(weights.shape[0]):
            total = delta[k, 0] * weights[i, 0]
            for j in range(1, weights.shape[1]):
                total += delta[k, j] * weights[i, j]
            delta_previous[k, i] = total


@jit
def forward(network: Architecture, parameters: Array, x: Array, z: Array, a: Array) -> None:
    """Fill z and a, all layers, for the four images x."""
    sizes = network.sizes
    previous = x
    first = 0  # where the layer's parameters begin
    for layer in range(1, len(sizes)):
        fan_in, fan_out = sizes[layer - 1], sizes[layer]
        middle, last = first + fan_in * fan_out, first + (fan_in + 1) * fan_out
        weights = parameters[first:middle].reshape(fan_in, fan_out)
        z_layer, a_layer = values_of(sizes, layer, z), values_of(sizes, layer, a)
        z_layer[:] = parameters[middle:last]
        add_products(previous, weights, z_layer)
        for k in range(GROUP):
            activate(network.hidden if layer < len(sizes) - 1 else network.output, z_layer[k], a_layer[k])
        previous = a_layer
        first = last


@jit
def backward(network: Architecture, parameters: Array, x: Array, a: Array, delta: Array, gradient: Array) -> None:
    """Add the gradients of the four images x to `gradient`, once delta of the last layer is there."""
    sizes = network.sizes
    last = len(parameters)  # where the layer's parameters end
    for layer in range(len(sizes) - 1, 0, -1):
        fan_in, fan_out = sizes[layer - 1], sizes[layer]
        first, middle = last - (fan_in + 1) * fan_out, last - fan_out
        delta_layer = values_of(sizes, layer, delta)
        previous = x if layer == 1 else values_of(sizes, layer - 1, a)
        add_outer_products(previous, delta_layer, gradient[first:middle].reshape(fan_in, fan_out))
        gradient[middle:last] += delta_layer.sum(axis=0)
        if layer > 1:
            weights = parameters[first:middle].reshape(fan_in, fan_out)
            delta_previous = values_of(sizes, layer - 1, delta)
            propagate_back(delta_layer, weights, delta_previous)
            for k in range(GROUP):
                times_derivative(network.hidden, previous[k], delta_previous[k])
        last = first


@jit
def sum_of_run(
    network: Architecture, parameters: Array, sequence: Sequence, start: int, stop: int, gradient: Array
) -> float:
    """Set `gradient` to the sum over images start:stop of a sequence; their summed cost is returned."""
    images, labels, order = sequence
    sizes, output_layer = network.sizes, len(network.sizes) - 1
    x = np.empty((GROUP, images.shape[1]), gradient.dtype)
    z = np.empty(GROUP * sizes[1:].sum(), gradient.dtype)
    a, delta = np.empty_like(z), np.empty_like(z)
    z_out, a_out = values_of(sizes, output_layer, z), values_of(sizes, output_layer, a)
    delta_out = values_of(sizes, output_layer, delta)
    gradient[:] = 0
    cost = gradient.dtype.type(0)
    for group in range(start, stop, GROUP):
        members = min(GROUP, stop - group)
        x[members:] = 0
        for k in range(members):
            x[k] = images[order[group + k] if len(order) else group + k]
        forward(network, parameters, x, z, a)
        delta_out[members:] = 0  # nothing is learned from the blank images that fill up the last group
        for k in range(members):
            label = labels[order[group + k] if len(order) else group + k]
            cost += cost_and_delta(network.output, label, z_out[k], a_out[k], delta_out[k])
        backward(network, parameters, x, a, delta, gradient)
    return cost


@parallel_jit
def sum_gradients(
    network: Architecture, parameters: Array, sequence: Sequence, start: int, stop: int, gradients: Array, costs: Array
) -> None:
    """Each thread sums the gradients and costs of its run of start:stop, in its own row."""
    threads, n = len(costs), stop - start
    for t in numba.prange(threads):
        first, last = start + n * t // threads, start + n * (t + 1) // threads
        costs[t] = sum_of_run(network, parameters, sequence, first, last, gradients[t])


@jit
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
    """Train in place over a whole plan; updates are starts, stops and rates. The costs are returned."""
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
    """Fill `result` with the last activations of all images, each thread its run."""
    n, sizes = len(images), network.sizes
    for t in numba.prange(threads):
        x = np.empty((GROUP, images.shape[1]), parameters.dtype)
        z = np.empty(GROUP * sizes[1:].sum(), parameters.dtype)
        a = np.empty_like(z)
        a_out = values_of(sizes, len(sizes) - 1, a)
        stop = n * (t + 1) // threads
        for group in range(n * t // threads, stop, GROUP):
            members = min(GROUP, stop - group)
            x[members:] = 0
            x[:members] = images[group : group + members]
            forward(network, parameters, x, z, a)
            result[group : group + members] = a_out[:members]


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
