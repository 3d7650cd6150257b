"""Rung 5, `numba_dense`: matrix products in vector registers, as fast as BLAS; a whole plan in one call, on all cores.

BLAS copies its operands into an order of its own before it multiplies, which pays in large products, but not in those
of a small batch. Here four images meet four vectors of weights, in sixteen of the processor's registers: each number
loaded serves four products, and nothing is copied, as what a core works on lies in its cache as it is. This is written
in LLVM's terms. Sums start at what they are added to: at biases, or at the weights themselves, so that a gradient need
not be stored. exp is a polynomial, which becomes vectors.

The weights of the first layer lie in blocks of columns, which the threads share in both directions: a block stays in
its core's cache, and no gradients of threads are added up. Threads that are more than the blocks share images forward,
and rows of weights backward. In the other layers threads share the images. They meet three times a block of images, by
counting the shares that are done; a share whose thread does not come is done by one that waits, so that nothing hangs.

Cost: a compilation at the first call (cached on disk); and code for registers, which is hard to read.
"""

import functools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numba
import numba.extending
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "numba_dense"
SUMMARY: Final = "numba: products in vector registers, weights of the first layer shared out to threads by columns"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128

SIGMOID, RELU, TANH, SOFTMAX = range(4)
CODES: Final = {"sigmoid": SIGMOID, "relu": RELU, "tanh": TANH, "softmax": SOFTMAX}

BLOCK: Final = 128  # images at a time: with a block of columns of the weights, they fit a core's cache
GROUP: Final = 4  # images, or rows of weights, that are summed at a time
VECTOR: Final = 64  # bytes in a vector register; LLVM makes two or four of it where they are smaller
SPINS_BEFORE_YIELD: Final = 4000  # some 20 us; then a waiting thread lets others run, and does what they left


def widest() -> int:
    """How many vectors are summed at a time: with GROUP, so many that the processor's registers hold them all."""
    settings: Any = numba.config
    features = settings.CPU_FEATURES  # where set, numba compiles for them
    if features is None:
        features = binding.get_host_cpu_features().flatten()
    return 4 if "+avx512f" in features else 1


WIDEST: Final = widest()
NONE, ONE = np.int64(0), np.int64(1)  # as arguments: for each 0 and 1 numba would compile a version of its own

# "contract" lets a * b + c be one fused instruction, which rounds once instead of twice; nothing else is relaxed.
# "_nrt", which numba does not document, leaves out its counting of references. Else each call and each view would add
# to the count of each array in one atomic step, and threads that hand on the same arrays do so in the same cache lines.
# All arrays outlive a plan. What is compiled so can allocate nothing, and what gets arrays from it must be, too.
intrinsic: Any = numba.extending.intrinsic
OPTIONS: Final[dict[str, Any]] = {"cache": True, "fastmath": {"contract"}, "error_model": "numpy", "_nrt": False}
njit: Any = numba.njit
jit: Any = njit(**OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # called by compiled code only
# Called from Python, by several threads at once. With numba's own threads (parallel=True), LLVM would optimise all that
# such a function calls three times more, so that the first call would take twice as long.
threaded_jit: Any = njit(**OPTIONS, nogil=True)
yield_core: Any = numba.types.ExternalFunction(
    "SwitchToThread" if os.name == "nt" else "sched_yield", numba.int32()
)  # of the operating system: gives the core to a thread that is ready

# --- types -----------------------------------------------------------------------------------------------------------

# A layer; widths and places are in numbers, multiples of a vector's.
LAYER: Final = np.dtype(
    [
        ("units", np.int64),
        ("width", np.int64),  # of a row of weights into this layer, and of its part of a row of `a` and `delta`
        ("column", np.int64),  # where the layer begins in a row of `a` and `delta`
        ("matrix", np.int64),  # where the weights into this layer begin in `rest`; the biases are the last row
        ("transposed", np.int64),  # where the same begin transposed, without biases
    ]
)
# A plan is done in blocks of images.
IMAGES: Final = np.dtype(
    [
        ("start", np.int64),
        ("stop", np.int64),
        ("update", np.int64),  # which it belongs to
        ("length", np.int64),  # the images of that update
        ("first", np.bool_),  # begins its update
        ("last", np.bool_),  # ends it
        ("direct", np.bool_),  # is all of it, so that the gradient can go straight into the weights
    ]
)


class Shape(NamedTuple):
    """A network as the compiled code sees it, and how it is shared out."""

    layers: Array  # (L + 1,) LAYER
    hidden: int
    output: int
    threads: int
    parts: int  # of the images (forward) and of the rows of weights (backward) that each block of columns is done in


class Weights(NamedTuple):
    """The parameters, their velocities, or their gradient."""

    first: Array  # (blocks, n_inputs + 1, width): the first layer by blocks of columns, with the biases as last row
    rest: Array  # (m,): the other layers' matrices, one after the other


class Values(NamedTuple):
    """What a block of images has in the network."""

    a: Array  # (BLOCK, columns): z, then activations, of all layers
    delta: Array  # the same
    transposed: Array  # (k,): transposed weights of the layers after the first
    gradients: Array  # (threads, m): of the layers after the first, summed over the images of each thread
    costs: Array  # (threads,): of the images of each
    zeros: Array  # (widest layer,): where sums start
    ones: Array  # (1,): what biases are multiplied with


class Data(NamedTuple):
    """Images, scaled, and labels, as they are; the order of a plan; an empty order means as they lie."""

    images: Array  # (n, n_inputs)
    labels: Array  # (n,) int64
    order: Array  # (m,) int64
    gathered: Array  # (2, BLOCK, n_inputs): of two blocks in turn, in the plan's order; empty without one


# --- in registers ----------------------------------------------------------------------------------------------------


@intrinsic
def pointer(typing: Any, array: Any, at: Any) -> Any:
    """Where the number at this flat index of an array, or behind a pointer, lies."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        begin = arguments[0]
        if isinstance(array, numba.types.Array):
            begin = context.make_array(array)(context, builder, begin).data
        return builder.gep(begin, [arguments[1]])

    return numba.types.CPointer(array.dtype)(array, numba.intp), generate


def in_all_lanes(builder: Any, value: Any, lanes: int) -> Any:
    """A vector whose numbers are all this value."""
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), lanes), None))


def vectors_at(builder: Any, rows: Any, start: Any, count: int, lanes: int) -> list[Any]:
    """The places of so many vectors, one after the other, from the number at `start` on."""
    kind = ir.VectorType(rows.type.pointee, lanes).as_pointer()
    first = builder.gep(rows, [start])
    return [builder.bitcast(builder.gep(first, [ir.Constant(start.type, lanes * v)]), kind) for v in range(count)]


@intrinsic(prefer_literal=True)
def sum_in_registers(
    typing: Any, group: Any, vectors: Any, x: Any, x_row: Any, x_step: Any, n: Any, rows: Any, row: Any,
    start: Any, start_row: Any, out: Any, out_row: Any,
) -> Any:  # fmt: skip
    """out[g * out_row:] = start[g * start_row:] + sum over i < n of x[g * x_row + i * x_step] * rows[i * row:].

    For all g < group, a constant, and so many vectors, at most WIDEST. x, rows, start and out are pointers.
    """
    number, integer = out.dtype, numba.intp
    signature = numba.void(
        group, integer, x, integer, integer, integer, rows, integer, start, integer, out, integer
    )  # fmt: skip
    lanes, size = VECTOR * 8 // number.bitwidth, number.bitwidth // 8

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vectors = arguments[1]
        for count in range(1, WIDEST + 1):
            with builder.if_then(builder.icmp_signed("==", vectors, ir.Constant(vectors.type, count))):
                generate_for(count, builder, *arguments[2:])
        return context.get_dummy_value()

    def generate_for(
        count: int, builder: Any, x: Any, x_row: Any, x_step: Any, n: Any, rows: Any, row: Any, start: Any,
        start_row: Any, out: Any, out_row: Any,
    ) -> None:  # fmt: skip
        members = [ir.Constant(n.type, g) for g in range(group.literal_value)]
        starts = [vectors_at(builder, start, builder.mul(g, start_row), count, lanes) for g in members]
        totals = [
            [cgutils.alloca_once_value(builder, builder.load(place, align=size)) for place in places]
            for places in starts
        ]
        with cgutils.for_range(builder, n) as loop:
            step = builder.mul(loop.index, x_step)
            factors = [builder.load(builder.gep(x, [builder.add(builder.mul(g, x_row), step)])) for g in members]
            places = vectors_at(builder, rows, builder.mul(loop.index, row), count, lanes)
            parts = [builder.load(place, align=size) for place in places]
            for of_member, factor in zip(totals, factors, strict=True):
                for total, part in zip(of_member, parts, strict=True):
                    product = builder.fmul(in_all_lanes(builder, factor, lanes), part, flags=["contract"])
                    builder.store(builder.fadd(builder.load(total), product, flags=["contract"]), total)
        for g, of_member in zip(members, totals, strict=True):
            places = vectors_at(builder, out, builder.mul(g, out_row), count, lanes)
            for total, place in zip(of_member, places, strict=True):
                builder.store(builder.load(total), place, align=size)

    return signature, generate


@jit
def product(
    m: int, n: int, width: int, x: Any, x_row: int, x_step: int, rows: Any, row: int, start: Any, start_row: int,
    out: Any, out_row: int,
) -> None:  # fmt: skip
    """out = start + x @ rows, for x (m, n), rows (n, width), start and out (m, width), all behind pointers.

    From one row to the next it is x_row, row, start_row and out_row numbers, from one number of x to the next x_step.
    """
    lanes = VECTOR * 8 // np.finfo(type(start[0])).bits
    for column in range(0, width, WIDEST * lanes):
        vectors = min(WIDEST, (width - column) // lanes)
        of_rows, of_start, of_out = pointer(rows, column), pointer(start, column), pointer(out, column)
        for k in range(0, m - GROUP + 1, GROUP):
            sum_in_registers(
                GROUP, vectors, pointer(x, k * x_row), x_row, x_step, n, of_rows, row,
                pointer(of_start, k * start_row), start_row, pointer(of_out, k * out_row), out_row,
            )  # fmt: skip
        for k in range(m - m % GROUP, m):
            sum_in_registers(
                1, vectors, pointer(x, k * x_row), x_row, x_step, n, of_rows, row,
                pointer(of_start, k * start_row), start_row, pointer(of_out, k * out_row), out_row,
            )  # fmt: skip


# --- functions of a layer --------------------------------------------------------------------------------------------


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
def softmax(a: Any, n: int, width: int) -> tuple[float, float]:
    """a = softmax(a), in place, for n numbers behind a pointer; their maximum, and the sum of exp(a - maximum).

    Whole vectors, `width` numbers, as a loop over ten numbers does not become vectors; what lies behind the n is lost.
    """
    number = type(a[0])
    lanes = VECTOR * 8 // np.finfo(number).bits
    highest, total = a[0], number(0)
    for j in range(n):
        highest = max(highest, a[j])
    for first in range(0, width, lanes):
        vector = pointer(a, first)
        for j in range(lanes):
            vector[j] = exponential(vector[j] - highest)
    for j in range(n):
        total += a[j]
    for first in range(0, width, lanes):
        vector = pointer(a, first)
        for j in range(lanes):
            vector[j] /= total
    return highest, total


@jit
def activate(kind: int, a: Any, n: int, width: int) -> None:
    """a = activation(a), in place, for n numbers behind a pointer; no exponential can overflow.

    A sigmoid below its rounding error near 1 is set to 0: products of its derivatives would soon be subnormal.
    """
    number = type(a[0])
    most = number(1 / np.finfo(number).eps)
    if kind == RELU:
        for j in range(n):
            a[j] = number(0) if a[j] < number(0) else a[j]  # NaN is kept
    elif kind == TANH:
        for j in range(n):
            a[j] = np.tanh(a[j])
    elif kind == SIGMOID:
        for j in range(n):
            e = exponential(-a[j])
            a[j] = number(0) if e > most else number(1) / (number(1) + e)
    else:
        softmax(a, n, width)


@jit
def times_derivative(kind: int, a: Any, delta: Any, n: int) -> None:
    """delta *= activation'(z), from a = activation(z), for n numbers behind pointers."""
    number = type(a[0])
    if kind == RELU:
        for j in range(n):
            delta[j] = number(0) if a[j] <= number(0) else delta[j]
    elif kind == TANH:
        for j in range(n):
            delta[j] *= number(1) - a[j] * a[j]
    else:
        for j in range(n):
            delta[j] *= a[j] * (number(1) - a[j])


@jit
def cost_and_delta(output: int, label: int, a: Any, delta: Any, n: int, width: int) -> float:
    """The cost of one image, from z of its last layer in `a`; that becomes the activation, delta dCost/dz."""
    number = type(a[0])
    cost, right = number(0), a[label]
    if output == SOFTMAX:
        highest, total = softmax(a, n, width)
        cost = highest - right + np.log(total)
    else:
        activate(output, a, n, width)
    for j in range(n):
        delta[j] = a[j]
    delta[label] -= number(1)
    if output != SOFTMAX:
        for j in range(n):
            cost += delta[j] * delta[j] / number(2)
        times_derivative(output, a, delta, n)
    return cost


# --- the first layer: threads share its columns, and images or rows of weights ---------------------------------------


@jit
def share_of(n: int, part: int, parts: int) -> tuple[int, int]:
    """Where this part of n images, or rows of weights, begins and ends: whole groups."""
    groups = (n + GROUP - 1) // GROUP
    return min(n, groups * part // parts * GROUP), min(n, groups * (part + 1) // parts * GROUP)


@jit
def gather(shape: Shape, data: Data, blocks: Array, b: int, t: int) -> None:
    """A thread's share of the images of block b, in the plan's order. None, if they are taken as they lie."""
    if len(data.order) == 0:
        return
    n_inputs, start = data.images.shape[1], blocks[b].start
    first, stop = share_of(blocks[b].stop - start, t, shape.threads)
    for k in range(first, stop):
        image = pointer(data.images, data.order[start + k] * n_inputs)
        row = pointer(data.gathered, (b % 2 * BLOCK + k) * n_inputs)
        for i in range(n_inputs):
            row[i] = image[i]


@jit
def inputs_of(data: Data, blocks: Array, b: int) -> Any:
    """Where the images of block b lie."""
    n_inputs = data.images.shape[1]
    if len(data.order) == 0:
        return pointer(data.images, blocks[b].start * n_inputs)
    return pointer(data.gathered, b % 2 * BLOCK * n_inputs)


@jit
def forward_first(weights: Array, columns: int, x: Any, first: int, stop: int, a: Array) -> None:
    """z of images first:stop of those at x, in a block of columns of the first layer."""
    _, rows, width = weights.shape
    n_inputs, row, block = rows - 1, a.shape[1], pointer(weights, columns * rows * width)
    product(
        stop - first, n_inputs, width, pointer(x, first * n_inputs), n_inputs, ONE, block, width,
        pointer(block, n_inputs * width), NONE, pointer(a, first * row + columns * width), row,
    )  # fmt: skip


@jit
def backward_first(
    target: Array, columns: int, x: Any, n: int, first: int, stop: int, delta: Array, ones: Array
) -> None:
    """Add to rows first:stop of a block of columns of the first layer the gradient of the n images at x."""
    _, rows, width = target.shape
    n_inputs, row = rows - 1, delta.shape[1]
    of_block, deltas = pointer(target, columns * rows * width), pointer(delta, columns * width)
    part = pointer(of_block, first * width)
    product(
        min(stop, n_inputs) - first, n, width, pointer(x, first), ONE, n_inputs, deltas, row, part, width, part, width
    )  # fmt: skip
    if stop == rows:
        biases = pointer(of_block, n_inputs * width)
        product(ONE, n, width, pointer(ones, 0), NONE, NONE, deltas, row, biases, width, biases, width)


# --- the other layers: threads share the images ----------------------------------------------------------------------


@jit
def forward_rest(shape: Shape, rest: Array, a: Array) -> None:
    """z of the last layer of images, from z of their first, in `a` (n, columns); activations in between."""
    n, row = a.shape
    for number in range(2, len(shape.layers)):
        before, layer = shape.layers[number - 1], shape.layers[number]
        for k in range(n):
            activate(shape.hidden, pointer(a, k * row + before.column), before.units, before.width)
        product(
            n, before.units, layer.width, pointer(a, before.column), row, ONE, pointer(rest, layer.matrix), layer.width,
            pointer(rest, layer.matrix + before.units * layer.width), NONE, pointer(a, layer.column), row,
        )  # fmt: skip


@jit
def backward_rest(shape: Shape, values: Values, first: int, stop: int, t: int) -> None:
    """delta of all layers of images first:stop, from that of their last; a thread's gradients, summed over them."""
    a, delta = values.a[first:stop], values.delta[first:stop]
    n, row = a.shape
    zeros, gradient = pointer(values.zeros, 0), pointer(values.gradients, t * values.gradients.shape[1])
    for number in range(len(shape.layers) - 1, 1, -1):
        before, layer = shape.layers[number - 1], shape.layers[number]
        deltas, deltas_before = pointer(delta, layer.column), pointer(delta, before.column)
        product(
            before.units, n, layer.width, pointer(a, before.column), ONE, row, deltas, row, zeros, NONE,
            pointer(gradient, layer.matrix), layer.width,
        )  # fmt: skip
        product(
            ONE, n, layer.width, pointer(values.ones, 0), NONE, NONE, deltas, row, zeros, NONE,
            pointer(gradient, layer.matrix + before.units * layer.width), layer.width,
        )  # fmt: skip
        product(
            n, layer.units, before.width, deltas, row, ONE, pointer(values.transposed, layer.transposed), before.width,
            zeros, NONE, deltas_before, row,
        )  # fmt: skip
        for k in range(n):
            at = k * row
            times_derivative(
                shape.hidden, pointer(a, at + before.column), pointer(deltas_before, at), before.units
            )  # fmt: skip


@jit
def transpose_weights(shape: Shape, rest: Array, transposed: Array, t: int) -> None:
    """A thread's share of the transposed weights of the layers after the first."""
    for number in range(2, len(shape.layers)):
        before, layer = shape.layers[number - 1], shape.layers[number]
        first, stop = share_of(layer.units, t, shape.threads)
        for j in range(first, stop):
            column, row = pointer(rest, layer.matrix + j), pointer(transposed, layer.transposed + j * before.width)
            for i in range(before.units):
                row[i] = column[i * layer.width]


# --- a plan ----------------------------------------------------------------------------------------------------------


@jit
def update(parameters: Any, velocities: Any, gradient: Any, n: int, rate: float, mu: float) -> None:
    """One update of n numbers behind pointers, with momentum or without.

    A velocity without gradients, as of a pixel that is seldom there, shrinks until it is subnormal, with which
    processors are many times slower. So near there it is set to 0.
    """
    number = type(rate)
    least = number(np.finfo(number).tiny / np.finfo(number).eps)
    if mu > 0:
        for p in range(n):
            velocity = mu * velocities[p] + gradient[p]
            velocities[p] = number(0) if abs(velocity) < least else velocity  # NaN is kept
            parameters[p] -= rate * (gradient[p] + mu * velocities[p])
    else:
        for p in range(n):
            parameters[p] -= rate * gradient[p]


@jit
def forward_phase(shape: Shape, weights: Weights, data: Data, blocks: Array, values: Values, b: int, t: int) -> None:
    """A thread's share of the first layer, forward for block b."""
    n, x = blocks[b].stop - blocks[b].start, inputs_of(data, blocks, b)
    if blocks[b].first:
        transpose_weights(shape, weights.rest, values.transposed, t)
    for share in range(t, len(weights.first) * shape.parts, shape.threads):
        first, stop = share_of(n, share // len(weights.first), shape.parts)
        forward_first(weights.first, share % len(weights.first), x, first, stop, values.a)


@jit
def images_phase(
    shape: Shape, weights: Weights, data: Data, blocks: Array, rates: Array, values: Values, b: int, t: int
) -> None:
    """A thread's share of the images of block b: the other layers, both ways. And of those of the next, gathered.

    Deltas take the factor that makes the gradient a mean; with a direct update also the rate.
    """
    number = rates.dtype.type
    block, last, row = blocks[b], shape.layers[-1], values.a.shape[1]
    first, stop = share_of(block.stop - block.start, t, shape.threads)
    factor = number(1) / number(block.length)
    if block.direct:
        factor *= -rates[block.update]
    forward_rest(shape, weights.rest, values.a[first:stop])
    cost = number(0)
    for k in range(first, stop):
        image, at = block.start + k, k * row + last.column
        label = data.labels[data.order[image] if len(data.order) else image]
        outputs, delta = pointer(values.a, at), pointer(values.delta, at)
        cost += cost_and_delta(shape.output, label, outputs, delta, last.units, last.width)
        for j in range(last.units):
            delta[j] *= factor
    values.costs[t] = cost
    backward_rest(shape, values, first, stop, t)
    if b + 1 < len(blocks):
        gather(shape, data, blocks, b + 1, t)


@jit
def backward_phase(
    shape: Shape, weights: Weights, velocities: Weights, gradient: Weights, data: Data, blocks: Array, rates: Array,
    mu: float, values: Values, costs: Array, b: int, t: int,
) -> None:  # fmt: skip
    """A thread's share of the gradient of block b; and of the update of all parameters, if it is the last of one.

    With a direct update the deltas hold the rate, and their products go straight into the weights.
    """
    block, threads, rate = blocks[b], shape.threads, rates[blocks[b].update]
    begins, updates = block.first and not block.direct, block.last and not block.direct
    n, x, n_blocks = block.stop - block.start, inputs_of(data, blocks, b), len(weights.first)
    for share in range(t, n_blocks * shape.parts, threads):
        columns = share % n_blocks
        first, stop = share_of(weights.first.shape[1], share // n_blocks, shape.parts)
        target = weights.first if block.direct else gradient.first
        rows = target[columns, first:stop]
        if begins:
            rows[:] = 0
        backward_first(target, columns, x, n, first, stop, values.delta, values.ones)
        if updates:
            of_rows = pointer(weights.first[columns, first:stop], 0)
            update(of_rows, pointer(velocities.first[columns, first:stop], 0), pointer(rows, 0), rows.size, rate, mu)
    first, stop = len(weights.rest) * t // threads, len(weights.rest) * (t + 1) // threads
    rest = weights.rest[first:stop] if block.direct else gradient.rest[first:stop]
    if begins:
        rest[:] = 0
    for other in range(threads):
        part = values.gradients[other, first:stop]
        for p in range(len(rest)):
            rest[p] += part[p]
    if updates:
        of_rest = pointer(weights.rest, first)
        update(of_rest, pointer(velocities.rest, first), pointer(rest, 0), len(rest), rate, mu)
    if t == 0:
        for other in range(threads):
            costs[block.update] += values.costs[other]


# --- threads ---------------------------------------------------------------------------------------------------------


@intrinsic
def claimed(typing: Any, counter: Any, phase: Any) -> Any:
    """Whether this thread raised the counter behind a pointer from `phase` to the next, before any other."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counter, phase = arguments
        after = builder.add(phase, ir.Constant(phase.type, 1))
        return builder.extract_value(builder.cmpxchg(counter, phase, after, "acq_rel", "acquire"), 1)

    return numba.boolean(counter, numba.intp), generate


@intrinsic
def count_one(typing: Any, counter: Any) -> Any:
    """Raise the counter behind a pointer by one; a thread that reads it sees all that this one wrote before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.atomic_rmw("add", arguments[0], ir.Constant(ir.IntType(64), 1), "acq_rel")
        return context.get_dummy_value()

    return numba.void(counter), generate


@intrinsic
def counted(typing: Any, counter: Any) -> Any:
    """The counter behind a pointer, as it is now."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(arguments[0], "acquire", 8)

    return numba.int64(counter), generate


@jit
def all_done(progress: Array, target: int, patience: int) -> bool:
    """Wait until so many shares are done; False if they are not after so many looks. A core is not kept from others."""
    looks = 0
    while counted(pointer(progress, 0)) < target:
        if looks == patience:
            return False
        if looks >= SPINS_BEFORE_YIELD:
            yield_core()
        looks += 1
    return True


@threaded_jit
def run_phases(
    shape: Shape, weights: Weights, velocities: Weights, gradient: Weights, data: Data, blocks: Array, rates: Array,
    mu: float, values: Values, costs: Array, progress: Array, t: int,
) -> None:  # fmt: skip
    """Thread t's part in training over a plan in blocks: weights in place, and `costs` summed over images by update.

    A phase gathers the first block; then there are three for each block, each done by all threads before the next. The
    last gradient is left in `gradient`, unless it went straight into the weights. What belongs to a share is fixed,
    whoever does it: the same number of threads gives the same bits every time.
    """
    for phase in range(3 * len(blocks) + 1):
        target, b = (phase + 1) * shape.threads, (phase - 1) // 3
        for turn in range(shape.threads):
            share = (t + turn) % shape.threads
            if turn > 0 and all_done(progress, target, SPINS_BEFORE_YIELD):
                break
            if claimed(pointer(progress, progress.shape[1] * (share + 1)), phase):
                if phase == 0:
                    gather(shape, data, blocks, b + 1, share)
                elif phase % 3 == 1:
                    forward_phase(shape, weights, data, blocks, values, b, share)
                elif phase % 3 == 2:
                    images_phase(shape, weights, data, blocks, rates, values, b, share)
                else:
                    backward_phase(
                        shape, weights, velocities, gradient, data, blocks, rates, mu, values, costs, b, share
                    )
                count_one(pointer(progress, 0))
        all_done(progress, target, -1)


@threaded_jit
def run_outputs(shape: Shape, weights: Weights, images: Array, values: Values, result: Array, t: int) -> None:
    """Thread t's part in filling `result` with the last activations; each has its own images in all layers."""
    n, n_inputs, last = len(result), images.shape[1], shape.layers[-1]
    capacity = len(values.a) // shape.threads
    a = values.a[capacity * t : capacity * (t + 1)]
    stop = n * (t + 1) // shape.threads
    for first in range(n * t // shape.threads, stop, capacity):
        count = min(capacity, stop - first)
        for columns in range(len(weights.first)):
            forward_first(weights.first, columns, pointer(images, first * n_inputs), 0, count, a)
        forward_rest(shape, weights.rest, a[:count])
        for k in range(count):
            outputs = pointer(a, k * a.shape[1] + last.column)
            activate(shape.output, outputs, last.units, last.width)
            for j in range(last.units):
                result[first + k, j] = outputs[j]


@functools.cache
def pool() -> ThreadPoolExecutor:
    """This process's threads besides the calling one. They start when first needed, and sleep in between."""
    return ThreadPoolExecutor(os.cpu_count())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.cache_clear)  # a forked process has none of its parent's threads


def in_threads(threads: int, work: Callable[[int], None]) -> None:
    """Call work(t) for every t below `threads`, at the same time: 0 here, the others in the pool."""
    others = [pool().submit(work, t) for t in range(1, threads)]
    work(0)
    for other in others:
        other.result()  # raises what was raised there


# --- memory layout ---------------------------------------------------------------------------------------------------


def aligned(*shape: Any, dtype: Any) -> Array:
    """Zeros that begin where a cache line does."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + VECTOR, np.uint8)
    first = -memory.ctypes.data % VECTOR
    return memory[first : first + size].view(dtype).reshape(shape)


def columns_of(vectors: int, threads: int) -> tuple[int, int, int]:
    """Into how many blocks of columns so many vectors are cut, of how many vectors, and in how many parts each is done.

    Every thread has as many shares, one of one part of one block. First as few vectors as may be are added to fill
    blocks; then parts are few, as one reads weights that other threads wrote; then blocks are wide. A block of one
    vector would keep few of the registers busy.
    """
    best = None
    for width in range(WIDEST, min(WIDEST, vectors, 2) - 1, -1):
        blocks = -(-vectors // width)
        found = blocks * width, threads // math.gcd(blocks, threads), blocks, width
        best = found if best is None else min(best, found)
    assert best is not None
    _, parts, blocks, width = best
    return blocks, width, parts


def shape_of(network: Network, dtype: Any) -> tuple[Shape, int, int]:
    """The network for the compiled code; into how many blocks of columns the first layer is cut, and their width."""
    lanes, threads = VECTOR // dtype.itemsize, numba.get_num_threads()
    blocks, vectors, parts = columns_of(-(-network.sizes[1] // lanes), threads)
    layers = np.zeros(len(network.sizes), LAYER)
    layers["units"] = network.sizes
    layers["width"] = -(-layers["units"] // lanes) * lanes
    layers["width"][1] = blocks * vectors * lanes
    for number in range(2, len(layers)):
        before, layer = layers[number - 1], layers[number]
        layer["column"] = before["column"] + before["width"]
        if number > 2:
            layer["matrix"] = before["matrix"] + (layers[number - 2]["units"] + 1) * before["width"]
            layer["transposed"] = before["transposed"] + before["units"] * layers[number - 2]["width"]
    return Shape(layers, CODES[network.hidden], CODES[network.output], threads, parts), blocks, vectors * lanes


def end_of(shape: Shape, what: str) -> int:
    """How many numbers the matrices of the layers after the first take, with biases ("matrix") or "transposed"."""
    *_, before, last = shape.layers
    if len(shape.layers) == 2:
        return 0
    more = (before["units"] + 1) * last["width"] if what == "matrix" else last["units"] * before["width"]
    return int(last[what] + more)


def pack(shape: Shape, blocks: int, width: int, parameters: Parameters) -> Weights:
    """Parameters in the compiled code's form, in new arrays."""
    dtype = parameters[0].weights.dtype
    weights, biases = parameters[0]
    rows = np.zeros((len(weights) + 1, blocks * width), dtype)
    rows[:-1, : len(biases)], rows[-1, : len(biases)] = weights, biases
    first = aligned(blocks, len(rows), width, dtype=dtype)
    first[:] = rows.reshape(len(rows), blocks, width).transpose(1, 0, 2)
    rest = aligned(end_of(shape, "matrix"), dtype=dtype)
    for (weights, biases), matrix in zip(parameters[1:], matrices_of(shape, rest), strict=True):
        matrix[:-1, : len(biases)], matrix[-1, : len(biases)] = weights, biases
    return Weights(first, rest)


def matrices_of(shape: Shape, rest: Array) -> list[Array]:
    """The padded matrices of the layers after the first, views of the vector they lie in."""
    found = []
    for before, layer in pairwise(shape.layers[1:]):
        rows, width, first = before["units"] + 1, layer["width"], layer["matrix"]
        found.append(rest[first : first + rows * width].reshape(rows, width))
    return found


def unpack(shape: Shape, packed: Weights) -> Parameters:
    """The layers that `pack` laid there."""
    _, n_rows, _ = packed.first.shape
    first = packed.first.transpose(1, 0, 2).reshape(n_rows, -1)
    matrices = [first, *matrices_of(shape, packed.rest)]
    sizes = shape.layers["units"][1:]
    return tuple(Layer(m[:-1, :n].copy(), m[-1, :n].copy()) for m, n in zip(matrices, sizes, strict=True))


def allocate_values(shape: Shape, dtype: Any) -> Values:
    """Room for what the blocks of images have."""
    last = shape.layers[-1]
    n, columns = max(BLOCK, GROUP * shape.threads), last["column"] + last["width"]
    return Values(
        aligned(n, columns, dtype=dtype),
        aligned(n, columns, dtype=dtype),
        aligned(end_of(shape, "transposed"), dtype=dtype),
        aligned(shape.threads, end_of(shape, "matrix"), dtype=dtype),
        aligned(shape.threads, dtype=dtype),
        aligned(shape.layers["width"][1:].max(), dtype=dtype),
        np.ones(1, dtype),
    )


def blocks_of(plan: Plan, keep: bool) -> Array:
    """The plan's updates in blocks of images, IMAGES; keep: no gradient goes straight into the weights."""
    lengths = plan.stops - plan.starts
    counts = -(-lengths // BLOCK)
    blocks = np.empty(counts.sum(), IMAGES)
    update = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(update)) - np.repeat(np.cumsum(counts) - counts, counts)  # within its update
    blocks["update"], blocks["length"] = update, lengths[update]
    blocks["start"] = plan.starts[update] + BLOCK * number
    blocks["stop"] = np.minimum(blocks["start"] + BLOCK, plan.stops[update])
    blocks["first"], blocks["last"] = number == 0, blocks["stop"] == plan.stops[update]
    blocks["direct"] = blocks["first"] & blocks["last"] & (plan.momentum == 0) & (not keep)
    return blocks


# --- what a backend has ----------------------------------------------------------------------------------------------


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: every quantity, network and dtype of the contract is supported."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> tuple[Array, Array | None]:
    """The images scaled and in the dtype, labels copied: other layouts or read-only arrays would be compiled again."""
    scaled = np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe", order="C")
    return scaled, None if labels is None else np.array(labels, np.int64)


def outputs(network: Network, parameters: Parameters, prepared: Any, /) -> Array:
    """The last activations, (n, n_outputs)."""
    images, dtype = prepared[0], parameters[0].weights.dtype
    shape, blocks, width = shape_of(network, dtype)
    weights, values = pack(shape, blocks, width, parameters), allocate_values(shape, dtype)
    result = np.empty((len(images), network.sizes[-1]), dtype)
    in_threads(shape.threads, lambda t: run_outputs(shape, weights, images, values, result, t))
    return result


def learn(
    network: Network, state: State, prepared: Any, plan: Plan, keep: bool
) -> tuple[Shape, Weights, Weights, Weights, Array]:
    """The shape, parameters, velocities, last gradient (if kept) and costs after a plan."""
    dtype = state.parameters[0].weights.dtype
    shape, blocks, width = shape_of(network, dtype)
    weights = pack(shape, blocks, width, state.parameters)
    velocities = pack(shape, blocks, width, state.velocities)
    gradient = Weights(*(aligned(*array.shape, dtype=dtype) for array in weights))
    images, labels = prepared
    order = np.empty(0, np.int64) if plan.order is None else plan.order.copy()
    data = Data(images, labels, order, np.empty((2 if len(order) else 0, BLOCK, network.sizes[0]), dtype))
    rates, mu = plan.learning_rates.astype(dtype), dtype.type(plan.momentum)
    values, parts, costs = allocate_values(shape, dtype), blocks_of(plan, keep), np.zeros_like(rates)
    # Shares done; phases that each share has begun. Each in a cache line of its own, as all threads look at the first.
    progress = aligned(1 + shape.threads, VECTOR // 8, dtype=np.int64)
    in_threads(
        shape.threads,
        lambda t: run_phases(shape, weights, velocities, gradient, data, parts, rates, mu, values, costs, progress, t),
    )
    return shape, weights, velocities, gradient, costs / (plan.stops - plan.starts).astype(dtype)


def gradients(network: Network, parameters: Parameters, prepared: Any, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    plan = Plan(np.array([0]), np.array([len(prepared[0])]), None, np.zeros(1))
    shape, _, _, gradient, costs = learn(network, State(parameters, parameters), prepared, plan, True)
    return costs[0], unpack(shape, gradient)


def train(network: Network, state: State, prepared: Any, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    shape, weights, velocities, _, costs = learn(network, state, prepared, plan, False)
    return State(unpack(shape, weights), unpack(shape, velocities)), costs
