"""Rung 5, `numba_dense`: BLAS for the matrix products, numba for all else; a whole plan in one call.

Compiled loops cannot match what BLAS makes of a matrix product, and NumPy cannot do the small things between the
products without a pass over memory and a call for each. Here both do what they are good at: `np.dot` inside compiled
code is SciPy's BLAS, and what lies between two products is one loop over what the first has left in the cache: bias
and activation, softmax with cost and delta, derivative and bias gradient, the update with its momentum. Nothing is
allocated after the start. exp is a polynomial that loops can do in vectors. What it costs: a compile at the first
call (kept on disk afterwards), and one core idles while the other does the small things; only BLAS uses both.

All layers lie one after the other in one vector of parameters, so that one compiled function serves every network.
"""

from itertools import pairwise
from typing import Any, Final, NamedTuple

import numba
import numba.extending
import numpy as np
import scipy.linalg  # noqa: F401  np.dot in compiled code is SciPy's BLAS
from llvmlite import ir

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "numba_dense"
SUMMARY: Final = "numba around BLAS: the products by BLAS, all between them fused, a whole plan in one call"
DTYPES: Final = ("float32", "float64")
HOME: Final = 128

SIGMOID, RELU, TANH, SOFTMAX = range(4)
CODES: Final = {"sigmoid": SIGMOID, "relu": RELU, "tanh": TANH, "softmax": SOFTMAX}

BLOCK: Final = 1000  # images at a time: so much that BLAS works at full speed, so little that it stays in the cache

intrinsic: Any = numba.extending.intrinsic
# "contract" lets a * b + c be one fused instruction, which rounds once instead of twice; nothing else is relaxed.
jit: Any = numba.njit(cache=True, fastmath={"contract"}, error_model="numpy")


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
    """All that the compiled code writes to, beside parameters and velocities."""

    x: Array  # (BLOCK, n_inputs): images that a plan's order has gathered
    a: Array  # (BLOCK * (n_1 + ... + n_L),): z, then activations; layer after layer
    delta: Array  # the same
    gradient: Array  # like the parameters
    part: Array  # (largest matrix,): the gradient of a block's images


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: it knows every quantity, network and dtype of the contract."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype, labels copied: other layouts, or read-only, would be compiled for anew."""
    scaled = np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe", order="C")
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


def make_buffers(sizes: tuple[int, ...], n: int, gathers: bool, dtype: Any) -> Buffers:
    """Buffers for blocks of up to n images."""
    n = min(n, BLOCK)
    matrices = [fan_in * fan_out for fan_in, fan_out in pairwise(sizes)]
    x = np.empty((n if gathers else 0, sizes[0]), dtype)
    a, delta = np.empty((2, n * sum(sizes[1:])), dtype)
    gradient = np.empty(sum(matrices) + sum(sizes[1:]), dtype)
    return Buffers(x, a, delta, gradient, np.empty(max(matrices), dtype))


@intrinsic
def power_of_two(typing: Any, k: Any) -> Any:
    """2 ** k for a whole k in the range of normal numbers, from its bits; in loops that become vectors."""
    mantissa = {32: 23, 64: 52}[k.bitwidth]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number, integer = context.get_value_type(k), ir.IntType(k.bitwidth)
        # Adding 1.5 * 2 ** mantissa leaves k in the lowest bits; where k is NaN, something defined.
        shifted = builder.fadd(arguments[0], ir.Constant(number, 1.5 * 2.0**mantissa))
        bits = builder.shl(builder.bitcast(shifted, integer), ir.Constant(integer, mantissa))
        one = builder.bitcast(ir.Constant(number, 1.0), integer)
        return builder.bitcast(builder.add(bits, one), number)

    return k(k), generate


@jit
def exponential(x: float) -> float:
    """exp(x), between exp(-60) and exp(60); without a branch or a call, so that loops of it become vectors.

    Further out, products with it would be below the normal numbers, with which processors are slow.
    """
    number = type(x)
    x = number(-60) if x < number(-60) else x  # NaN goes through
    x = number(60) if x > number(60) else x
    k = np.rint(x * number(1.4426950408889634))
    r = (x - k * number(355 / 512)) - k * number(-2.1219444005469058e-4)  # x - k log 2; k * 355 / 512 is exact
    p = number(1)
    for i in range(13, 0, -1):  # Taylor's series, |r| < 0.35
        p = number(1) + r * p * number(1 / i)
    return p * power_of_two(k)


@jit
def activate(kind: int, biases: Array, a: Array) -> None:
    """a = activation(a + biases), in place, for one image; no exponential can overflow.

    A sigmoid below its rounding near 1 is 0: its derivatives would soon multiply to less than the normal numbers.
    """
    number = a.dtype.type
    most = number(1 / np.finfo(number).eps)
    if kind == RELU:
        for j in range(len(a)):
            z = a[j] + biases[j]
            a[j] = number(0) if z < number(0) else z  # NaN goes through
    elif kind == TANH:
        for j in range(len(a)):
            a[j] = np.tanh(a[j] + biases[j])
    elif kind == SIGMOID:
        for j in range(len(a)):
            e = exponential(-(a[j] + biases[j]))
            a[j] = number(0) if e > most else number(1) / (number(1) + e)
    else:
        highest, total = a[0] + biases[0], number(0)
        for j in range(len(a)):
            a[j] += biases[j]
            highest = max(highest, a[j])
        for j in range(len(a)):
            a[j] = exponential(a[j] - highest)
        for j in range(len(a)):
            total += a[j]
        for j in range(len(a)):
            a[j] /= total


@jit
def times_derivative(kind: int, a: Array, delta: Array) -> None:
    """delta *= activation'(z), from a = activation(z), for one image."""
    number = a.dtype.type
    if kind == RELU:
        for j in range(len(a)):
            delta[j] = number(0) if a[j] <= number(0) else delta[j]
    elif kind == TANH:
        for j in range(len(a)):
            delta[j] *= number(1) - a[j] * a[j]
    else:
        for j in range(len(a)):
            delta[j] *= a[j] * (number(1) - a[j])


@jit
def cost_and_delta(output: int, label: int, biases: Array, a: Array, delta: Array) -> float:
    """The cost of one image, from z of its last layer, less biases, in `a`; which becomes a, and delta dCost/dz."""
    number = a.dtype.type
    highest, right = a[0] + biases[0], a[label] + biases[label]
    for j in range(len(a)):
        highest = max(highest, a[j] + biases[j])
    activate(output, biases, a)
    cost, most = number(0), a[0]
    for j in range(len(a)):
        most = max(most, a[j])
        delta[j] = a[j]
    delta[label] -= number(1)
    if output == SOFTMAX:
        return highest - right - np.log(most)  # the largest a is 1 / sum(exp(z - max z))
    for j in range(len(a)):
        cost += delta[j] * delta[j]
    times_derivative(output, a, delta)
    return cost / number(2)


@jit
def values_of(sizes: Array, layer: int, n: int, buffer: Array) -> Array:
    """The part of a buffer that holds this layer's values of n images, (n, fan_out); layer 1 comes first."""
    first = n * sizes[1:layer].sum()
    return buffer[first : first + n * sizes[layer]].reshape(n, sizes[layer])


@jit
def forward(network: Architecture, parameters: Array, x: Array, a: Array) -> None:
    """All activations of a block of images x; of the last layer only the product."""
    sizes, n = network.sizes, len(x)
    previous = x
    first = 0  # where the layer's parameters begin
    for layer in range(1, len(sizes)):
        fan_in, fan_out = sizes[layer - 1], sizes[layer]
        middle, last = first + fan_in * fan_out, first + (fan_in + 1) * fan_out
        here = values_of(sizes, layer, n, a)
        np.dot(previous, parameters[first:middle].reshape(fan_in, fan_out), here)
        if layer < len(sizes) - 1:
            for k in range(n):
                activate(network.hidden, parameters[middle:last], here[k])
        previous = here
        first = last


@jit
def backward(network: Architecture, parameters: Array, x: Array, buffers: Buffers, add: bool) -> None:
    """Set the gradient to that of a block of images x, or add it, once delta of the last layer is there."""
    sizes, n = network.sizes, len(x)
    last = len(parameters)  # where the layer's parameters end
    for layer in range(len(sizes) - 1, 0, -1):
        fan_in, fan_out = sizes[layer - 1], sizes[layer]
        first, middle = last - (fan_in + 1) * fan_out, last - fan_out
        delta = values_of(sizes, layer, n, buffers.delta)
        previous = x if layer == 1 else values_of(sizes, layer - 1, n, buffers.a)
        gradient, biases = buffers.gradient[first:middle], buffers.gradient[middle:last]
        product = buffers.part[: middle - first] if add else gradient
        np.dot(previous.T, delta, product.reshape(fan_in, fan_out))
        if add:
            for p in range(len(gradient)):
                gradient[p] += product[p]
        else:
            biases[:] = 0
        for k in range(n):
            for j in range(fan_out):
                biases[j] += delta[k, j]
        if layer > 1:
            delta_previous = values_of(sizes, layer - 1, n, buffers.delta)
            np.dot(delta, parameters[first:middle].reshape(fan_in, fan_out).T, delta_previous)
            for k in range(n):
                times_derivative(network.hidden, previous[k], delta_previous[k])
        last = first


@jit
def gradient_of_mean(
    network: Architecture,
    parameters: Array,
    images: Array,
    labels: Array,
    order: Array,
    start: int,
    stop: int,
    buffers: Buffers,
) -> float:
    """Set the gradient in the buffers to that of the mean cost of images start:stop in an order; return this cost.

    An empty order means as they lie.
    """
    sizes = network.sizes
    number = parameters.dtype.type
    cost, share = number(0), number(1) / number(stop - start)
    for first in range(start, stop, BLOCK):
        n = min(BLOCK, stop - first)
        x = buffers.x[:n] if len(order) else images[first : first + n]
        if len(order):
            for k in range(n):
                x[k] = images[order[first + k]]
        forward(network, parameters, x, buffers.a)
        a, delta = values_of(sizes, len(sizes) - 1, n, buffers.a), values_of(sizes, len(sizes) - 1, n, buffers.delta)
        biases = parameters[len(parameters) - sizes[-1] :]
        for k in range(n):
            label = labels[order[first + k] if len(order) else first + k]
            cost += cost_and_delta(network.output, label, biases, a[k], delta[k])
            for j in range(sizes[-1]):
                delta[k, j] *= share
        backward(network, parameters, x, buffers, first > start)
    return cost * share


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


@jit
def run_plan(
    network: Architecture,
    parameters: Array,
    velocities: Array,
    images: Array,
    labels: Array,
    order: Array,
    updates: tuple[Array, Array, Array],
    mu: float,
    buffers: Buffers,
) -> Array:
    """Train in place over a whole plan; updates are starts, stops and rates. The costs are returned."""
    starts, stops, rates = updates
    costs = np.empty_like(rates)
    for u in range(len(rates)):
        costs[u] = gradient_of_mean(network, parameters, images, labels, order, starts[u], stops[u], buffers)
        update(parameters, velocities, rates[u], mu, buffers.gradient)
    return costs


@jit
def all_outputs(network: Architecture, parameters: Array, images: Array, buffers: Buffers, result: Array) -> None:
    """Fill `result` with the last activations of all images."""
    sizes = network.sizes
    biases = parameters[len(parameters) - sizes[-1] :]
    for first in range(0, len(images), BLOCK):
        n = min(BLOCK, len(images) - first)
        forward(network, parameters, images[first : first + n], buffers.a)
        result[first : first + n] = values_of(sizes, len(sizes) - 1, n, buffers.a)
        for k in range(n):
            activate(network.output, biases, result[first + k])


def architecture(network: Network) -> Architecture:
    """This network for the compiled code."""
    return Architecture(np.array(network.sizes), CODES[network.hidden], CODES[network.output])


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    packed = pack(parameters)
    n = len(prepared.images)
    result = np.empty((n, network.sizes[-1]), packed.dtype)
    buffers = make_buffers(network.sizes, n, False, packed.dtype)
    all_outputs(architecture(network), packed, prepared.images, buffers, result)
    return result


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    images, labels = prepared
    packed = pack(parameters)
    buffers = make_buffers(network.sizes, len(images), False, packed.dtype)
    no_order = np.empty(0, np.int64)
    cost = gradient_of_mean(architecture(network), packed, images, labels, no_order, 0, len(images), buffers)
    return cost, unpack(network.sizes, buffers.gradient)


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    images, labels = prepared
    parameters, velocities = pack(state.parameters), pack(state.velocities)
    dtype = parameters.dtype
    order = np.empty(0, np.int64) if plan.order is None else plan.order.copy()
    updates = plan.starts.copy(), plan.stops.copy(), plan.learning_rates.astype(dtype)
    buffers = make_buffers(network.sizes, int((plan.stops - plan.starts).max()), bool(len(order)), dtype)
    mu = dtype.type(plan.momentum)
    costs = run_plan(architecture(network), parameters, velocities, images, labels, order, updates, mu, buffers)
    return State(unpack(network.sizes, parameters), unpack(network.sizes, velocities)), costs
