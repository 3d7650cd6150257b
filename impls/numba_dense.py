"""Rung 5, `numba_dense`: BLAS for the matrix products, numba for everything else; a whole plan in one call.

Compiled loops are slower than BLAS at matrix products, and NumPy needs a call and a pass over memory for each small
operation between them. So `np.dot` inside compiled code calls SciPy's BLAS, and what lies between two products is loops
over values that the first has left in the cache: bias and activation, softmax with cost and delta, derivative and bias
gradient, the update with its momentum. Nothing is allocated after the start. exp is a polynomial that is vectorised.

Threads share the images of an update: each propagates its own through all layers, forward and back, with BLAS on one
thread; then each adds up a part of the gradients. So no thread waits during the small operations. Cost: a compilation
at the first call (cached on disk), and BLAS packs the weights in every thread, which slows small batches.

All layers are stored one after the other in one vector of parameters, so that one compiled function serves every
network.
"""

from itertools import pairwise
from typing import Any, Final, NamedTuple

import numba
import numba.extending
import numpy as np
import scipy.linalg  # noqa: F401  np.dot in compiled code is SciPy's BLAS
import threadpoolctl
from llvmlite import ir

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "numba_dense"
SUMMARY: Final = "numba around BLAS: images shared out to threads, products by BLAS, compiled loops between them"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128

SIGMOID, RELU, TANH, SOFTMAX = range(4)
CODES: Final = {"sigmoid": SIGMOID, "relu": RELU, "tanh": TANH, "softmax": SOFTMAX}

BLOCK: Final = 500  # images at a time: enough that BLAS reaches full speed, few enough that they stay in the cache

intrinsic: Any = numba.extending.intrinsic
njit: Any = numba.njit
# "contract" lets a * b + c be one fused instruction, which rounds once instead of twice; nothing else is relaxed.
# Arrays are copied in loops: to assign to a slice would compile the error message for a wrong shape into every caller,
# which takes as long as all else.
OPTIONS: Final = {"cache": True, "fastmath": {"contract"}, "error_model": "numpy"}
jit: Any = njit(**OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # called by compiled code only
parallel_jit: Any = njit(**OPTIONS, parallel=True)
blas: Any = threadpoolctl.ThreadpoolController().select(user_api="blas")


class Architecture(NamedTuple):
    """A network as the compiled code sees it."""

    sizes: Array  # (L + 1,) int64
    hidden: int
    output: int


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) in the dtype, labels (n,)."""

    images: Array
    labels: Array | None


class Buffers(NamedTuple):
    """All that the compiled code writes to besides parameters and velocities; each thread has its own."""

    x: Array  # (threads, n, n_inputs): images that a plan's order has gathered
    y: Array  # (threads, n) int64: their labels
    a: Array  # (threads, n * (n_1 + ... + n_L)): z, then activations; layer after layer
    delta: Array  # the same
    gradients: Array  # (threads, parameters): sums over a thread's images; after an update, first the mean of all
    part: Array  # (threads, largest matrix): the gradient of a block of them
    costs: Array  # (updates, threads): the sum over the thread's images


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: every quantity, network and dtype of the contract is supported."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype, labels copied: other layouts or read-only arrays would be compiled again."""
    scaled = np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe", order="C")
    return Prepared(scaled, None if labels is None else np.array(labels, np.int64))


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


def make_buffers(sizes: tuple[int, ...], n: int, updates: int, gathers: bool, dtype: Any) -> Buffers:
    """Buffers for updates of up to n images."""
    threads = numba.get_num_threads()
    n = min(-(-n // threads), BLOCK)
    matrices = [fan_in * fan_out for fan_in, fan_out in pairwise(sizes)]
    x = np.empty((threads, n if gathers else 0, sizes[0]), dtype)
    y = np.empty(x.shape[:2], np.int64)
    a, delta = np.empty((2, threads, n * sum(sizes[1:])), dtype)
    gradients = np.empty((threads, sum(matrices) + sum(sizes[1:])), dtype)
    part, costs = np.empty((threads, max(matrices)), dtype), np.empty((updates, threads), dtype)
    return Buffers(x, y, a, delta, gradients, part, costs)


@intrinsic
def power_of_two(typing: Any, k: Any) -> Any:
    """2 ** k for a whole k in the range of normal numbers, from its bits; vectorises in loops."""
    mantissa = {32: 23, 64: 52}[k.bitwidth]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number, integer = context.get_value_type(k), ir.IntType(k.bitwidth)
        # Adding 1.5 * 2 ** mantissa leaves k in the lowest bits; if k is NaN, the result is some number.
        shifted = builder.fadd(arguments[0], ir.Constant(number, 1.5 * 2.0**mantissa))
        bits = builder.shl(builder.bitcast(shifted, integer), ir.Constant(integer, mantissa))
        one = builder.bitcast(ir.Constant(number, 1.0), integer)
        return builder.bitcast(builder.add(bits, one), number)

    return k(k), generate


@jit
def exponential(x: float) -> float:
    """exp(x), clipped to exp(-60) and exp(60); without a branch or a call, so that loops over it are vectorised.

    Beyond that range, products with it would be subnormal numbers, with which processors are slow.
    """
    number = type(x)
    x = number(-60) if x < number(-60) else x  # NaN is kept
    x = number(60) if x > number(60) else x
    k = np.rint(x * number(1.4426950408889634))
    r = (x - k * number(355 / 512)) - k * number(-2.1219444005469058e-4)  # x - k log 2; k * 355 / 512 is exact
    p = number(1)
    for i in range(13, 0, -1):  # Taylor's series, |r| < 0.35
        p = number(1) + r * p * number(1 / i)
    return p * power_of_two(k)


@jit
def activate(kind: int, biases: Array, block: Array) -> None:
    """a = activation(z + biases) of all images of a block, in place; no exponential can overflow.

    Whole blocks at once, as a loop over a row of ten is not vectorised. A sigmoid below its rounding error near 1 is
    set to 0: products of its derivatives would soon be subnormal.
    """
    n, fan_out = block.shape
    number = block.dtype.type
    most = number(1 / np.finfo(number).eps)
    for k in range(n):
        for j in range(fan_out):
            block[k, j] += biases[j]
    if kind == SOFTMAX:
        for k in range(n):
            highest = block[k, 0]
            for j in range(fan_out):
                highest = max(highest, block[k, j])
            for j in range(fan_out):
                block[k, j] -= highest
    a = block.ravel()
    if kind == RELU:
        for i in range(len(a)):
            a[i] = number(0) if a[i] < number(0) else a[i]  # NaN is kept
    elif kind == TANH:
        for i in range(len(a)):
            a[i] = np.tanh(a[i])
    elif kind == SIGMOID:
        for i in range(len(a)):
            e = exponential(-a[i])
            a[i] = number(0) if e > most else number(1) / (number(1) + e)
    else:
        for i in range(len(a)):
            a[i] = exponential(a[i])
        for k in range(n):
            total = number(0)
            for j in range(fan_out):
                total += block[k, j]
            for j in range(fan_out):
                block[k, j] /= total


@jit
def times_derivative(kind: int, block: Array, deltas: Array) -> None:
    """delta *= activation'(z), from a = activation(z), of all images of a block."""
    a, delta = block.ravel(), deltas.ravel()
    number = a.dtype.type
    if kind == RELU:
        for i in range(len(a)):
            delta[i] = number(0) if a[i] <= number(0) else delta[i]
    elif kind == TANH:
        for i in range(len(a)):
            delta[i] *= number(1) - a[i] * a[i]
    else:
        for i in range(len(a)):
            delta[i] *= a[i] * (number(1) - a[i])


@jit
def cost_and_delta(output: int, labels: Array, biases: Array, a: Array, delta: Array) -> float:
    """The summed cost of a block, from z of the last layer, less biases, in `a`; that becomes a, and delta dCost/dz."""
    n, n_outputs = a.shape
    number = a.dtype.type
    cost = number(0)
    if output == SOFTMAX:
        for k in range(n):
            highest = a[k, 0] + biases[0]
            for j in range(n_outputs):
                highest = max(highest, a[k, j] + biases[j])
            cost += highest - (a[k, labels[k]] + biases[labels[k]])
    activate(output, biases, a)
    for k in range(n):
        for j in range(n_outputs):
            delta[k, j] = a[k, j]
        delta[k, labels[k]] -= number(1)
    if output == SOFTMAX:
        for k in range(n):
            most = a[k, 0]
            for j in range(n_outputs):
                most = max(most, a[k, j])
            cost -= np.log(most)  # the largest a is 1 / sum(exp(z - max z))
        return cost
    for k in range(n):
        for j in range(n_outputs):
            cost += delta[k, j] * delta[k, j]
    times_derivative(output, a, delta)
    return cost / number(2)


@jit
def values_of(sizes: Array, layer: int, n: int, buffer: Array) -> Array:
    """The part of a buffer with this layer's values of n images, (n, fan_out); layer 1 comes first."""
    first = n * sizes[1:layer].sum()
    return buffer[first : first + n * sizes[layer]].reshape(n, sizes[layer])


@jit
def forward(network: Architecture, parameters: Array, x: Array, a: Array) -> None:
    """All activations of a block of images x; for the last layer only the product."""
    sizes, n = network.sizes, len(x)
    previous = x
    first = 0  # where the layer's parameters begin
    for layer in range(1, len(sizes)):
        fan_in, fan_out = sizes[layer - 1], sizes[layer]
        middle, last = first + fan_in * fan_out, first + (fan_in + 1) * fan_out
        here = values_of(sizes, layer, n, a)
        np.dot(previous, parameters[first:middle].reshape(fan_in, fan_out), here)
        if layer < len(sizes) - 1:
            activate(network.hidden, parameters[middle:last], here)
        previous = here
        first = last


@jit
def backward(
    network: Architecture, parameters: Array, x: Array, a: Array, delta: Array, gradient: Array, part: Array, add: bool
) -> None:
    """Set the gradient to that of a block of images x, or add it; needs delta of the last layer."""
    sizes, n = network.sizes, len(x)
    last = len(parameters)  # where the layer's parameters end
    for layer in range(len(sizes) - 1, 0, -1):
        fan_in, fan_out = sizes[layer - 1], sizes[layer]
        first, middle = last - (fan_in + 1) * fan_out, last - fan_out
        delta_here = values_of(sizes, layer, n, delta)
        previous = x if layer == 1 else values_of(sizes, layer - 1, n, a)
        weights, biases = gradient[first:middle], gradient[middle:last]
        product = part[: middle - first] if add else weights
        np.dot(previous.T, delta_here, product.reshape(fan_in, fan_out))
        if add:
            for p in range(len(weights)):
                weights[p] += product[p]
        else:
            biases[:] = 0
        for k in range(n):
            for j in range(fan_out):
                biases[j] += delta_here[k, j]
        if layer > 1:
            delta_previous = values_of(sizes, layer - 1, n, delta)
            np.dot(delta_here, parameters[first:middle].reshape(fan_in, fan_out).T, delta_previous)
            times_derivative(network.hidden, previous, delta_previous)
        last = first


@jit
def sum_of_run(
    network: Architecture, parameters: Array, images: Array, labels: Array, order: Array, start: int, stop: int,
    x: Array, y: Array, a: Array, delta: Array, gradient: Array, part: Array,
) -> float:  # fmt: skip
    """Set the gradient to the sum over images start:stop of an order, empty for file order; return their cost."""
    sizes = network.sizes
    biases = parameters[len(parameters) - sizes[-1] :]
    cost = parameters.dtype.type(0)
    if start == stop:
        gradient[:] = 0
    for first in range(start, stop, BLOCK):
        n = min(BLOCK, stop - first)
        block, right = images[first : first + n], labels[first : first + n]
        if len(order):
            block, right = x[:n], y[:n]
            for k in range(n):
                image = order[first + k]
                right[k] = labels[image]
                for i in range(images.shape[1]):
                    block[k, i] = images[image, i]
        forward(network, parameters, block, a)
        outputs, errors = values_of(sizes, len(sizes) - 1, n, a), values_of(sizes, len(sizes) - 1, n, delta)
        cost += cost_and_delta(network.output, right, biases, outputs, errors)
        backward(network, parameters, block, a, delta, gradient, part, first > start)
    return cost


@jit
def mean_of(gradients: Array, first: int, last: int, share: float) -> None:
    """The mean of all images in the first row, for parameters first:last, from the threads' sums, in a fixed order."""
    total = gradients[0, first:last]
    for other in range(1, len(gradients)):
        sums = gradients[other, first:last]
        for p in range(len(total)):
            total[p] += sums[p]
    for p in range(len(total)):
        total[p] *= share


@jit
def update(parameters: Array, velocities: Array, rate: float, mu: float, gradient: Array) -> None:
    """One update, with momentum or without."""
    if mu > 0:
        for p in range(len(parameters)):
            velocities[p] = mu * velocities[p] + gradient[p]
            parameters[p] -= rate * (gradient[p] + mu * velocities[p])
    else:
        for p in range(len(parameters)):
            parameters[p] -= rate * gradient[p]


@parallel_jit
def run_plan(
    network: Architecture, parameters: Array, velocities: Array, images: Array, labels: Array, order: Array,
    updates: tuple[Array, Array, Array], mu: float, buffers: Buffers,
) -> None:  # fmt: skip
    """Train in place over a whole plan; updates are starts, stops and rates. The last gradient is left in the buffers.

    Each thread has fixed images and parameters: the same number of threads gives the same bits every time.
    """
    starts, stops, rates = updates
    x, y, a, delta, gradients, part, costs = buffers
    threads, number = len(gradients), parameters.dtype.type
    for u in range(len(rates)):
        start, n = starts[u], stops[u] - starts[u]
        for t in numba.prange(threads):
            first, last = start + n * t // threads, start + n * (t + 1) // threads
            costs[u, t] = sum_of_run(
                network, parameters, images, labels, order, first, last,
                x[t], y[t], a[t], delta[t], gradients[t], part[t],
            )  # fmt: skip
        for t in numba.prange(threads):
            first, last = len(parameters) * t // threads, len(parameters) * (t + 1) // threads
            mean_of(gradients, first, last, number(1) / number(n))
            update(parameters[first:last], velocities[first:last], rates[u], mu, gradients[0, first:last])


@parallel_jit
def all_outputs(network: Architecture, parameters: Array, images: Array, buffers: Buffers, result: Array) -> None:
    """Fill `result` with the last activations of all images, each thread its part."""
    sizes, a, threads = network.sizes, buffers.a, len(buffers.a)
    biases = parameters[len(parameters) - sizes[-1] :]
    for t in numba.prange(threads):
        stop = len(images) * (t + 1) // threads
        for first in range(len(images) * t // threads, stop, BLOCK):
            n = min(BLOCK, stop - first)
            forward(network, parameters, images[first : first + n], a[t])
            outputs = values_of(sizes, len(sizes) - 1, n, a[t])
            activate(network.output, biases, outputs)
            for k in range(n):
                for j in range(outputs.shape[1]):
                    result[first + k, j] = outputs[k, j]


def architecture(network: Network) -> Architecture:
    """This network for the compiled code."""
    return Architecture(np.array(network.sizes), CODES[network.hidden], CODES[network.output])


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    packed = pack(parameters)
    n = len(prepared.images)
    result = np.empty((n, network.sizes[-1]), packed.dtype)
    buffers = make_buffers(network.sizes, n, 0, False, packed.dtype)
    with blas.limit(limits=1):
        all_outputs(architecture(network), packed, prepared.images, buffers, result)
    return result


def learn(network: Network, state: State, prepared: Prepared, plan: Plan) -> tuple[State, Parameters, Array]:
    """The state after the plan's updates, the last gradient, and the cost before each update."""
    images, labels = prepared
    parameters, velocities = pack(state.parameters), pack(state.velocities)
    dtype, lengths = parameters.dtype, plan.stops - plan.starts
    order = np.empty(0, np.int64) if plan.order is None else plan.order.copy()
    updates = plan.starts.copy(), plan.stops.copy(), plan.learning_rates.astype(dtype)
    buffers = make_buffers(network.sizes, int(lengths.max()), len(lengths), plan.order is not None, dtype)
    mu = dtype.type(plan.momentum)
    with blas.limit(limits=1):
        run_plan(architecture(network), parameters, velocities, images, labels, order, updates, mu, buffers)
    after, change, gradient = (
        unpack(network.sizes, vector) for vector in (parameters, velocities, buffers.gradients[0])
    )
    return State(after, change), gradient, buffers.costs.sum(axis=1) / lengths.astype(dtype)


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    plan = Plan(np.array([0]), np.array([len(prepared.images)]), None, np.zeros(1))  # an update that changes nothing
    _, gradient, costs = learn(network, State(parameters, parameters), prepared, plan)
    return costs[0], gradient


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    after, _, costs = learn(network, state, prepared, plan)
    return after, costs
