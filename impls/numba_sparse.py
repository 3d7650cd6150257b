"""Rung 6, `numba_sparse`: zero pixels are skipped. Four fifths of MNIST's pixels are zero, and add nothing.

Each image becomes a list of its pixels that are not zero, with their values. Then a row of z is the sum of those rows
of weights that its list names. For the gradient the lists are turned round: each pixel gets the images in which it is
not zero, and its row of weights changes by the sum of their rows of delta. A skipped zero changes no sum: this is
exact.

Each of these is a sum of rows, weighted, and so is every other product here; one function, `sum_of_rows`, does them
all. It is written for the processor's vector registers: the sums stay in four of them while the rows stream past.

Threads share the columns of the first layer: each owns a part of the weights, which stays in its core's cache. Then
they share the images, for the other layers, and the pixels, for the lists of the next block of images. So they meet
twice a block, at the ends of parallel regions and nowhere else.

Images stay as they are, uint8 and perhaps memory-mapped: lists are made block by block, in training. What it costs:
the sums are written in LLVM's terms, and where no pixel is zero, dense products are faster.
"""

import os
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numba
import numba.extending
import numpy as np
from llvmlite import ir
from numba.core import cgutils

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "numba_sparse"
SUMMARY: Final = "numba: zero pixels skipped, sums in vector registers, weights shared out by columns"
DTYPES: Final = ("float32", "float64")
HOME: Final = 128

SIGMOID, RELU, TANH, SOFTMAX = range(4)
CODES: Final = {"sigmoid": SIGMOID, "relu": RELU, "tanh": TANH, "softmax": SOFTMAX}

# How long GNU OpenMP's waiting threads spin before they sleep, in loops of about 50 ns; read when numba starts them.
# By its default they spin on for milliseconds, in the way of whatever else wants the core. Here threads meet often and
# wait briefly: beside other busy processes 1500 was faster than 5000, in passes that scattered widely.
os.environ.setdefault("GOMP_SPINCOUNT", "1500")

BLOCK: Final = 128  # images at a time; their deltas for 64 columns in float32 take 32 KiB, which the first cache holds
VECTOR: Final = 64  # bytes in a vector register; LLVM makes two or four of it where they are smaller

# "contract" lets a * b + c be one fused instruction, which rounds once instead of twice; nothing else is relaxed.
intrinsic: Any = numba.extending.intrinsic
options: dict[str, Any] = {"cache": True, "fastmath": {"contract"}, "error_model": "numpy"}
njit: Any = numba.njit
jit: Any = njit(**options, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # called by compiled code only
parallel_jit: Any = njit(**options, parallel=True)

# What the compiled code knows of a layer; widths and places are in numbers, multiples of a vector's.
LAYER: Final = np.dtype(
    [
        ("size", np.int64),
        ("width", np.int64),  # of a row of weights into this layer
        ("column", np.int64),  # where the layer begins in a row of `a` and `delta`
        ("matrix", np.int64),  # where the weights into this layer begin in `rest`; the biases are the last row
        ("turned", np.int64),  # where the same begin transposed, without biases
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
    """A network as the compiled code sees it."""

    layers: Array  # (L + 1,) LAYER
    hidden: int
    output: int


class Weights(NamedTuple):
    """The parameters, their velocities, or their gradient."""

    first: Array  # (blocks, n_inputs + 1, width): the first layer by blocks of columns, with the biases as last row
    rest: Array  # (m,): the other layers' matrices, one after the other


class Lists(NamedTuple):
    """The pixels of a block of images that are not zero; for each thread."""

    shares: Array  # (threads, 2) int64: each thread's first pixel, and where they end; n_inputs is the one that is 1
    ends: Array  # (threads, BLOCK) int64: where the list of an image ends
    pixels: Array  # (threads, BLOCK * (n_inputs + 1) + VECTOR) uint16: image by image
    values: Array  # the same in the dtype: scaled
    ends_there: Array  # (threads, n_inputs + 1) uint32: where the list of a pixel ends
    images: Array  # (threads, BLOCK * (n_inputs + 1) + VECTOR) uint16: pixel by pixel
    values_there: Array  # the same in the dtype


class Values(NamedTuple):
    """What a block of images has in the network."""

    first: Array  # (blocks, BLOCK, width): z of the first layer, by blocks of columns; later its delta
    a: Array  # (BLOCK, columns): of all layers; after each layer a 1, for the biases
    delta: Array  # the same
    turned: Array  # (threads, ...): transposed weights of the layers after the first
    gradients: Array  # (threads, m): of the layers after the first
    costs: Array  # (threads, 8)


class Data(NamedTuple):
    """Images as they are, labels, and the order of a plan; an empty order means as they lie."""

    images: Array
    labels: Array
    order: Array
    scale: Any


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Images of so many pixels that their numbers need more than 16 bits."""
    if network.sizes[0] < 2**16:
        return None
    return f"images of {network.sizes[0]} pixels: expected fewer than {2**16}, as its lists number them in 16 bits"


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> tuple[Array, Array | None]:
    """The images as they are; floats in the dtype. Seen as read-only, as one memory layout is compiled."""
    view = np.asarray(images, images.dtype if images.dtype == np.uint8 else dtype, order="C").view()
    view.flags.writeable = False
    return view, None if labels is None else labels.copy()


# --- in registers -----------------------------------------------------------------------------------------------


@intrinsic
def pointer(typing: Any, array: Any, at: Any) -> Any:
    """Where the number at this flat index lies. Numba would count references to an array at every call, not to this."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(context.make_array(array)(context, builder, arguments[0]).data, [arguments[1]])

    return numba.types.CPointer(array.dtype)(array, numba.intp), generate


@intrinsic
def ahead(typing: Any, place: Any, n: Any) -> Any:
    """The pointer to the number that lies n numbers after this."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return place(place, numba.intp), generate


@intrinsic(prefer_literal=True)
def sum_in_registers(
    typing: Any, vectors: Any, x: Any, step: Any, index: Any, n: Any, rows: Any, row: Any, out: Any, add: Any
) -> Any:
    """`sum_of_rows` for a constant number of vectors."""
    count, number, integer = vectors.literal_value, out.dtype, numba.intp
    signature = numba.void(vectors, x, integer, index, integer, rows, integer, out, numba.boolean)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, x, step, indices, n, rows, row, out, add = arguments
        lanes, size = VECTOR * 8 // number.bitwidth, number.bitwidth // 8
        vector = ir.VectorType(context.get_value_type(number), lanes)

        def constant(value: int) -> Any:
            return context.get_constant(integer, value)

        def vectors_at(place: Any) -> list[Any]:
            return [
                builder.bitcast(builder.gep(place, [constant(lanes * v)]), vector.as_pointer()) for v in range(count)
            ]

        def add_row(i: Any, totals: list[Any]) -> None:
            factor = in_all_lanes(builder, builder.load(builder.gep(x, [builder.mul(i, step)])), vector)
            if index is not numba.types.none:
                i = builder.zext(builder.load(builder.gep(indices, [i])), i.type)
            parts = vectors_at(builder.gep(rows, [builder.mul(i, row)]))
            for total, part in zip(totals, parts, strict=True):
                product = builder.fmul(factor, builder.load(part, align=size), flags=["contract"])
                builder.store(builder.fadd(builder.load(total), product, flags=["contract"]), total)

        # A fused multiply-add takes four cycles, and each cycle can begin two: there are enough sums to keep that busy.
        chains = -(-4 // count)
        totals = [[cgutils.alloca_once(builder, vector) for _ in range(count)] for _ in range(chains)]
        targets, none = vectors_at(out), ir.Constant(vector, None)
        for v, target in enumerate(targets):
            builder.store(builder.select(add, builder.load(target, align=size), none), totals[0][v])
            for chain in range(1, chains):
                builder.store(none, totals[chain][v])
        rounds = builder.sdiv(n, constant(chains))
        with cgutils.for_range(builder, rounds) as loop:
            for chain in range(chains):
                add_row(builder.add(builder.mul(loop.index, constant(chains)), constant(chain)), totals[chain])
        done = builder.mul(rounds, constant(chains))
        with cgutils.for_range(builder, builder.sub(n, done)) as loop:
            add_row(builder.add(done, loop.index), totals[0])
        for v, target in enumerate(targets):
            total = builder.load(totals[0][v])
            for chain in range(1, chains):
                total = builder.fadd(total, builder.load(totals[chain][v]))
            builder.store(total, target, align=size)
        return context.get_dummy_value()

    return signature, generate


def in_all_lanes(builder: Any, value: Any, vector: Any) -> Any:
    """A vector whose numbers are all this value."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None))


@intrinsic
def append_nonzero(
    typing: Any, images: Any, at: Any, pixel: Any, scale: Any, pixels: Any, values: Any, end: Any
) -> Any:
    """Append those of a vector of pixels that are not zero, scaled, to lists with this end; the new end is returned."""
    signature = numba.intp(images, numba.intp, numba.intp, values.dtype, pixels, values, numba.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        images_, at, pixel, scale, pixels_, values_, end = arguments
        lanes = VECTOR * 8 // values.dtype.bitwidth
        numbers = ir.VectorType(context.get_value_type(values.dtype), lanes)
        indices = ir.VectorType(ir.IntType(16), lanes)
        read = ir.VectorType(context.get_value_type(images.dtype), lanes)

        def place(kind: Any, array: Any, at: Any, vector: Any) -> Any:
            start = builder.gep(context.make_array(kind)(context, builder, array).data, [at])
            return builder.bitcast(start, vector.as_pointer())

        x = builder.load(place(images, images_, at, read), align=images.dtype.bitwidth // 8)
        if images.dtype == numba.uint8:
            x = builder.uitofp(x, numbers)
        x = builder.fmul(x, in_all_lanes(builder, scale, numbers))
        mask = builder.fcmp_unordered("!=", x, ir.Constant(numbers, None))  # NaN is kept
        counted = ir.Constant(indices, list(range(lanes)))
        which = builder.add(counted, in_all_lanes(builder, builder.trunc(pixel, ir.IntType(16)), indices))
        for kind, array, vector, name, what in (
            (pixels, pixels_, indices, f"v{lanes}i16", which),
            (values, values_, numbers, f"v{lanes}f{values.dtype.bitwidth}", x),
        ):
            kind_of = ir.FunctionType(vector, (vector, mask.type, vector))
            compress = cgutils.get_or_insert_function(
                builder.module, kind_of, f"llvm.experimental.vector.compress.{name}"
            )
            together = builder.call(compress, (what, mask, ir.Constant(vector, None)))
            builder.store(together, place(kind, array, end, vector), align=kind.dtype.bitwidth // 8)
        bits = builder.bitcast(mask, ir.IntType(lanes))
        return builder.add(end, builder.zext(builder.ctpop(bits), end.type))

    return signature, generate


@intrinsic
def power_of_two(typing: Any, k: Any) -> Any:
    """2 ** k for a whole k in the range of normal numbers, from its bits. In loops that become vectors."""
    mantissa = {32: 23, 64: 52}[k.bitwidth]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number, integer = context.get_value_type(k), ir.IntType(k.bitwidth)
        # Adding 1.5 * 2 ** mantissa leaves k in the lowest bits, also where k is NaN something defined.
        shifted = builder.fadd(arguments[0], ir.Constant(number, 1.5 * 2.0**mantissa))
        bits = builder.shl(builder.bitcast(shifted, integer), ir.Constant(integer, mantissa))
        one = builder.bitcast(ir.Constant(number, 1.0), integer)
        return builder.bitcast(builder.add(bits, one), number)

    return k(k), generate


@jit
def sum_of_rows(vectors: int, x: Any, step: int, index: Any, n: int, rows: Any, row: int, out: Any, add: bool) -> None:
    """out (+)= sum over i < n of x[i * step] * rows[index[i] * row :], for at most four vectors of numbers.

    Without an index it is i itself. x, index, rows and out are pointers.
    """
    if vectors == 4:
        sum_in_registers(4, x, step, index, n, rows, row, out, add)
    elif vectors == 3:
        sum_in_registers(3, x, step, index, n, rows, row, out, add)
    elif vectors == 2:
        sum_in_registers(2, x, step, index, n, rows, row, out, add)
    else:
        sum_in_registers(1, x, step, index, n, rows, row, out, add)


@jit
def product(
    m: int, n: int, width: int, x: Array, x_at: int, x_row: int, x_step: int, rows: Array, rows_at: int, row: int,
    out: Array, out_at: int, out_row: int,
) -> None:  # fmt: skip
    """out = x @ rows, for x (m, n), rows (n, width): each begins somewhere in an array, and has its steps there."""
    lanes = VECTOR // out.itemsize
    for first in range(0, width, 4 * lanes):
        vectors = min(4, (width - first) // lanes)
        for k in range(m):
            sum_of_rows(
                vectors, pointer(x, x_at + k * x_row), x_step, None, n, pointer(rows, rows_at + first), row,
                pointer(out, out_at + k * out_row + first), False,
            )  # fmt: skip


# --- functions of a layer -----------------------------------------------------------------------------------------


@jit
def exponential(x: float) -> float:
    """exp(x), between exp(-87) and exp(87); without a branch or a call, so that loops of it become vectors."""
    number = type(x)
    x = number(-87) if x < number(-87) else x  # NaN goes through
    x = number(87) if x > number(87) else x
    k = np.rint(x * number(1.4426950408889634))
    r = (x - k * number(355 / 512)) - k * number(-2.1219444005469058e-4)  # x - k log 2; k * 355 / 512 is exact
    p = number(1)
    for i in range(13, 0, -1):  # Taylor's series, |r| < 0.35
        p = number(1) + r * p * number(1 / i)
    return p * power_of_two(k)


@jit
def softmax(a: Any, n: int) -> tuple[float, float]:
    """a = softmax(a), in place, for n numbers behind a pointer; their maximum, and the sum of exp(a - maximum)."""
    number = type(a[0])
    highest, total = a[0], number(0)
    for j in range(n):
        highest = max(highest, a[j])
    for j in range(n):
        a[j] = exponential(a[j] - highest)
    for j in range(n):
        total += a[j]
    for j in range(n):
        a[j] /= total
    return highest, total


@jit
def activate(kind: int, a: Any, n: int) -> None:
    """a = activation(a), in place, for n numbers behind a pointer; no exponential can overflow."""
    number = type(a[0])
    if kind == RELU:
        for j in range(n):
            a[j] = number(0) if a[j] < number(0) else a[j]  # NaN goes through
    elif kind == TANH:
        for j in range(n):
            a[j] = np.tanh(a[j])
    elif kind == SIGMOID:
        for j in range(n):
            a[j] = number(1) / (number(1) + exponential(-a[j]))
    else:
        softmax(a, n)


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
def cost_and_delta(output: int, label: int, a: Any, delta: Any, n: int) -> float:
    """The cost of one image, from z of its last layer in `a`; that becomes the activation, delta dCost/dz."""
    number = type(a[0])
    cost, right = number(0), a[label]
    if output == SOFTMAX:
        highest, total = softmax(a, n)
        cost = highest - right + np.log(total)
    else:
        activate(output, a, n)
    for j in range(n):
        delta[j] = a[j]
    delta[label] -= number(1)
    if output != SOFTMAX:
        for j in range(n):
            cost += delta[j] * delta[j] / number(2)
        times_derivative(output, a, delta, n)
    return cost


# --- the first layer: threads share its columns ---------------------------------------------------------------------


@jit
def make_lists(data: Data, start: int, n: int, lists: Lists, s: int) -> None:
    """Of images start : start + n of a sequence, those pixels of share s that are not zero, scaled.

    After the last pixel comes one that is 1 in every image, for the biases.
    """
    ends, pixels, values = lists.ends[s], lists.pixels[s], lists.values[s]
    n_inputs, end, number = data.images.shape[1], 0, values.dtype.type
    first, stop = lists.shares[s]
    lanes = VECTOR // values.itemsize
    for k in range(n):
        image = data.order[start + k] if len(data.order) else start + k
        whole = first + (min(stop, n_inputs) - first) // lanes * lanes
        for pixel in range(first, whole, lanes):
            end = append_nonzero(data.images, image * n_inputs + pixel, pixel, data.scale, pixels, values, end)
        for pixel in range(whole, stop):
            value = number(data.images[image, pixel]) * data.scale if pixel < n_inputs else number(1)
            pixels[end], values[end] = pixel, value
            end += value != 0
        ends[k] = end


@jit
def turn_lists(n: int, lists: Lists, s: int) -> None:
    """The same by pixel: the images in which each is not zero."""
    ends, pixels, values = lists.ends[s], lists.pixels[s], lists.values[s]
    ends_there, images, values_there = lists.ends_there[s], lists.images[s], lists.values_there[s]
    for pixel in range(lists.shares[s, 0], lists.shares[s, 1]):
        ends_there[pixel] = 0
    for entry in range(ends[n - 1]):
        ends_there[pixels[entry]] += np.uint32(1)
    total = np.uint32(0)
    for pixel in range(
        lists.shares[s, 0], lists.shares[s, 1]
    ):  # where a list begins; as it fills, that moves to its end
        count = ends_there[pixel]
        ends_there[pixel] = total
        total += count
    first = 0
    for k in range(n):
        for entry in range(first, ends[k]):
            pixel = pixels[entry]
            there = ends_there[pixel]
            images[there], values_there[there] = k, values[entry]
            ends_there[pixel] = there + np.uint32(1)
        first = ends[k]


@jit
def forward_first(weights: Array, n: int, lists: Lists, first_share: int, stop_share: int, z: Array) -> None:
    """z (BLOCK, width) of n images, for one block of columns of the first layer."""
    width = z.shape[1]
    vectors = width * z.itemsize // VECTOR
    for s in range(first_share, stop_share):
        x, index = pointer(lists.values, s * lists.values.shape[1]), pointer(lists.pixels, s * lists.pixels.shape[1])
        first = 0
        for k in range(n):
            end = lists.ends[s, k]
            sum_of_rows(
                vectors, ahead(x, first), 1, ahead(index, first), end - first, pointer(weights, 0), width,
                pointer(z, k * width), s > first_share,
            )  # fmt: skip
            first = end


@jit
def backward_first(delta: Array, lists: Lists, first_share: int, stop_share: int, add: bool, gradient: Array) -> None:
    """gradient (n_inputs + 1, width) (+)= inputs transposed @ delta, for one block of columns of the first layer."""
    width = delta.shape[1]
    vectors = width * delta.itemsize // VECTOR
    for s in range(first_share, stop_share):
        x, index = (
            pointer(lists.values_there, s * lists.values.shape[1]),
            pointer(lists.images, s * lists.images.shape[1]),
        )
        first = np.int64(0)
        for pixel in range(lists.shares[s, 0], lists.shares[s, 1]):
            end = np.int64(lists.ends_there[s, pixel])
            if end > first or not add:
                sum_of_rows(
                    vectors, ahead(x, first), 1, ahead(index, first), end - first, pointer(delta, 0), width,
                    pointer(gradient, pixel * width), add,
                )  # fmt: skip
            first = end


# --- the other layers: threads share the images -----------------------------------------------------------------------


@jit
def forward_rest(shape: Shape, rest: Array, a: Array) -> None:
    """z of the last layer of images, from z of their first, in `a` (n, columns); activations in between."""
    row = a.shape[1]
    for number in range(2, len(shape.layers)):
        before, layer = shape.layers[number - 1], shape.layers[number]
        for k in range(len(a)):
            activate(shape.hidden, pointer(a, k * row + before.column), before.size)
            a[k, before.column + before.size] = 1
        product(
            len(a), before.size + 1, layer.width, a, before.column, row, 1, rest, layer.matrix, layer.width,
            a, layer.column, row,
        )  # fmt: skip


@jit
def backward_rest(shape: Shape, turned: Array, a: Array, delta: Array, gradient: Array) -> None:
    """delta of all layers (n, columns) of images, from that of their last; `gradient`, summed over the images."""
    row, n = a.shape[1], len(a)
    for number in range(len(shape.layers) - 1, 1, -1):
        before, layer = shape.layers[number - 1], shape.layers[number]
        product(
            before.size + 1, n, layer.width, a, before.column, 1, row, delta, layer.column, row,
            gradient, layer.matrix, layer.width,
        )  # fmt: skip
        product(
            n, layer.size, before.width, delta, layer.column, row, 1, turned, layer.turned, before.width,
            delta, before.column, row,
        )  # fmt: skip
        for k in range(n):
            at = k * row + before.column
            times_derivative(shape.hidden, pointer(a, at), pointer(delta, at), before.size)


@jit
def turn_weights(shape: Shape, rest: Array, turned: Array) -> None:
    """The transposed weights of the layers after the first."""
    for number in range(2, len(shape.layers)):
        before, layer = shape.layers[number - 1], shape.layers[number]
        for j in range(layer.size):
            for i in range(before.size):
                turned[layer.turned + j * before.width + i] = rest[layer.matrix + i * layer.width + j]


@jit
def fetch(z: Array, first: int, a: Array) -> None:
    """z of the first layer of images from `first` on, from its blocks of columns."""
    width = z.shape[2]
    for block in range(len(z)):
        for k in range(len(a)):
            for j in range(width):
                a[k, block * width + j] = z[block, first + k, j]


@jit
def hand_over(delta: Array, first: int, delta_first: Array) -> None:
    """delta of the first layer of images from `first` on, into its blocks of columns."""
    width = delta_first.shape[2]
    for block in range(len(delta_first)):
        for k in range(len(delta)):
            for j in range(width):
                delta_first[block, first + k, j] = delta[k, block * width + j]


@jit
def learn_rest(
    shape: Shape, rest: Array, data: Data, start: int, first: int, stop: int, factor: float, t: int, values: Values
) -> None:
    """Deltas, costs and gradients of images first:stop of the block that starts at `start`; deltas take a factor."""
    a, delta = values.a[first:stop], values.delta[first:stop]
    turn_weights(shape, rest, values.turned[t])
    last, n_outputs = shape.layers[-1].column, shape.layers[-1].size
    fetch(values.first, first, a)
    forward_rest(shape, rest, a)
    cost, row = a.dtype.type(0), a.shape[1]
    for k in range(len(a)):
        label = data.labels[data.order[start + first + k] if len(data.order) else start + first + k]
        cost += cost_and_delta(
            shape.output, label, pointer(a, k * row + last), pointer(delta, k * row + last), n_outputs
        )
        for j in range(n_outputs):
            delta[k, last + j] *= factor
    values.costs[t, 0] = cost
    backward_rest(shape, values.turned[t], a, delta, values.gradients[t])
    hand_over(delta, first, values.first)


# --- a plan -------------------------------------------------------------------------------------------------------


@jit
def move(parameters: Array, velocities: Array, gradient: Array, rate: float, mu: float) -> None:
    """One update of flat arrays, with momentum or without.

    A velocity without gradients, as of a pixel that is seldom there, shrinks until it is below the normal numbers,
    with which processors are slow: a pass in batches of 16 took eight times as long. So near there it is 0.
    """
    number = type(rate)
    least = number(np.finfo(number).tiny / np.finfo(number).eps)
    if mu > 0:
        for p in range(len(parameters)):
            velocity = mu * velocities[p] + gradient[p]
            velocities[p] = number(0) if abs(velocity) < least else velocity  # NaN goes through
            parameters[p] -= rate * (gradient[p] + mu * velocities[p])
    else:
        for p in range(len(parameters)):
            parameters[p] -= rate * gradient[p]


@jit
def by_images(
    shape: Shape, weights: Weights, data: Data, blocks: Array, rates: Array, mu: float, lists: Lists, values: Values,
    b: int, t: int,
) -> None:  # fmt: skip
    """A thread's share of images: the other layers, both ways, for the block before b; and its lists of block b."""
    threads, number = len(values.costs), rates.dtype.type
    if b > 0:
        before = blocks[b - 1]
        n = before.stop - before.start
        factor = number(1) / number(before.length)
        if before.direct:
            factor *= -rates[before.update]
        first, stop = n * t // threads, n * (t + 1) // threads
        learn_rest(shape, weights.rest, data, before.start, first, stop, factor, t, values)
    if b < len(blocks):
        start, n = blocks[b].start, blocks[b].stop - blocks[b].start
        share = b % 2 * threads + t
        make_lists(data, start, n, lists, share)
        turn_lists(n, lists, share)


@jit
def by_columns(
    weights: Weights, velocities: Weights, gradient: Weights, blocks: Array, rates: Array, mu: float, lists: Lists,
    values: Values, b: int, t: int,
) -> None:  # fmt: skip
    """A thread's share of columns: the first layer, backward for the block before b, and then forward for block b.

    If the block before was the last of its update, all parameters are updated in between.
    """
    threads = len(values.costs)
    if b > 0:
        direct, add, last = blocks[b - 1].direct, not blocks[b - 1].first, blocks[b - 1].last
        rate = rates[blocks[b - 1].update]
        shares = (b - 1) % 2 * threads
        for block in range(t, len(weights.first), threads):
            if direct:  # delta holds the rate: straight into the weights
                backward_first(values.first[block], lists, shares, shares + threads, True, weights.first[block])
            else:
                of_block = gradient.first[block]
                backward_first(values.first[block], lists, shares, shares + threads, add, of_block)
                if last:
                    move(weights.first[block].ravel(), velocities.first[block].ravel(), of_block.ravel(), rate, mu)
        first, stop = len(weights.rest) * t // threads, len(weights.rest) * (t + 1) // threads
        target = weights.rest[first:stop] if direct else gradient.rest[first:stop]
        if not (direct or add):
            target[:] = 0
        for other in range(threads):
            for p in range(stop - first):
                target[p] += values.gradients[other, first + p]
        if last and not direct:
            move(weights.rest[first:stop], velocities.rest[first:stop], target, rate, mu)
    if b < len(blocks):
        n = blocks[b].stop - blocks[b].start
        shares = b % 2 * threads
        for block in range(t, len(weights.first), threads):
            forward_first(weights.first[block], n, lists, shares, shares + threads, values.first[block])


@parallel_jit
def run_blocks(
    shape: Shape, weights: Weights, velocities: Weights, gradient: Weights, data: Data, blocks: Array, rates: Array,
    mu: float, lists: Lists, values: Values,
) -> Array:  # fmt: skip
    """Train in place over a plan in blocks, and return the summed costs of its updates.

    The last gradient is left in `gradient`, unless it went straight into the weights. Only `prange` makes threads meet,
    and which columns and images are whose is fixed: so it is right even if one of them has to do the work of two, and
    the same number of threads gives the same bits every time.
    """
    threads, n_blocks = len(values.costs), len(blocks)
    costs = np.zeros_like(rates)
    for b in range(n_blocks + 1):
        for t in numba.prange(threads):
            by_images(shape, weights, data, blocks, rates, mu, lists, values, b, t)
        for t in numba.prange(threads):
            by_columns(weights, velocities, gradient, blocks, rates, mu, lists, values, b, t)
        if b > 0:
            for t in range(threads):
                costs[blocks[b - 1].update] += values.costs[t, 0]
    return costs


@parallel_jit
def run_outputs(shape: Shape, weights: Weights, data: Data, lists: Lists, values: Values, result: Array) -> None:
    """Fill `result` with the last activations of all images; here each thread has its own images in all layers."""
    threads, n = len(lists.ends), len(data.images)
    room = max(1, BLOCK // threads)
    for t in numba.prange(threads):
        stop = n * (t + 1) // threads
        mine = slice(room * t, room * (t + 1))
        z, a = values.first[:, mine], values.a[mine]
        last, n_outputs = shape.layers[-1].column, shape.layers[-1].size
        for first in range(n * t // threads, stop, room):
            count = min(room, stop - first)
            make_lists(data, first, count, lists, t)
            for block in range(len(weights.first)):
                forward_first(weights.first[block], count, lists, t, t + 1, z[block])
            fetch(z, 0, a[:count])
            forward_rest(shape, weights.rest, a[:count])
            for k in range(count):
                activate(shape.output, pointer(a, k * a.shape[1] + last), n_outputs)
                for j in range(n_outputs):
                    result[first + k, j] = a[k, last + j]


# --- around it ------------------------------------------------------------------------------------------------------


def aligned(*shape: int, dtype: Any) -> Array:
    """Zeros that begin where a cache line does."""
    n = int(np.prod(shape))
    room = np.zeros(n * np.dtype(dtype).itemsize + VECTOR, np.uint8)
    first = -room.ctypes.data % VECTOR
    return room[first : first + n * np.dtype(dtype).itemsize].view(dtype).reshape(shape)


def padded(sizes: Any, lanes: int) -> Any:
    """Sizes rounded up to whole vectors."""
    return -(-np.asarray(sizes) // lanes) * lanes


def shape_of(network: Network, dtype: Any) -> tuple[Shape, int, int]:
    """The network for the compiled code; into how many blocks of columns the first layer is cut, and their width."""
    lanes, threads = VECTOR // dtype.itemsize, numba.get_num_threads()
    vectors = int(padded(network.sizes[1], lanes)) // lanes
    blocks = min(vectors, threads * -(-vectors // (4 * threads)))
    width = -(-vectors // blocks) * lanes
    blocks = -(-vectors * lanes // width)
    layers = np.zeros(len(network.sizes), LAYER)
    layers["size"], layers["width"] = network.sizes, padded(network.sizes, lanes)
    for number in range(2, len(layers)):
        first, before, layer = number == 2, layers[number - 1], layers[number]
        room = padded(before["size"] + 1, lanes)
        layer["column"] = before["column"] + (max(room, blocks * width) if first else room)
        layer["matrix"] = 0 if first else before["matrix"] + (layers[number - 2]["size"] + 1) * before["width"]
        layer["turned"] = 0 if first else before["turned"] + before["size"] * layers[number - 2]["width"]
    return Shape(layers, CODES[network.hidden], CODES[network.output]), blocks, width


def end_of(shape: Shape, what: str) -> int:
    """How many numbers the matrices of the layers after the first take, with biases ("matrix") or "turned"."""
    *_, before, last = shape.layers
    if len(shape.layers) == 2:
        return 0
    more = (before["size"] + 1) * last["width"] if what == "matrix" else last["size"] * before["width"]
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
        rows, width, first = before["size"] + 1, layer["width"], layer["matrix"]
        found.append(rest[first : first + rows * width].reshape(rows, width))
    return found


def unpack(shape: Shape, packed: Weights) -> Parameters:
    """The layers that `pack` laid there."""
    _, n_rows, _ = packed.first.shape
    first = packed.first.transpose(1, 0, 2).reshape(n_rows, -1)
    matrices = [first, *matrices_of(shape, packed.rest)]
    sizes = shape.layers["size"][1:]
    return tuple(Layer(m[:-1, :n].copy(), m[-1, :n].copy()) for m, n in zip(matrices, sizes, strict=True))


def shares_of(n_inputs: int, lanes: int) -> Array:
    """The pixels shared out to the threads, in whole vectors."""
    threads = numba.get_num_threads()
    bounds = n_inputs * np.arange(threads + 1) // threads // lanes * lanes
    bounds[-1] = n_inputs + 1
    return np.stack([bounds[:-1], bounds[1:]], axis=1)


def make_lists_of(shares: Array, dtype: Any) -> Lists:
    """Room for lists of a block of images, where each thread has these pixels."""
    threads, n_rows = len(shares), int(shares.max())
    entries = BLOCK * n_rows + VECTOR
    return Lists(
        shares=shares,
        ends=aligned(threads, BLOCK, dtype=np.int64),
        pixels=aligned(threads, entries, dtype=np.uint16),
        values=aligned(threads, entries, dtype=dtype),
        ends_there=aligned(threads, n_rows, dtype=np.uint32),
        images=aligned(threads, entries, dtype=np.uint16),
        values_there=aligned(threads, entries, dtype=dtype),
    )


def make_values(shape: Shape, weights: Weights) -> Values:
    """Room for what the blocks of images have."""
    blocks, _, width = weights.first.shape
    dtype, threads = weights.first.dtype, numba.get_num_threads()
    n, last = max(BLOCK, threads), shape.layers[-1]
    columns = last["column"] + padded(last["size"] + 1, VECTOR // dtype.itemsize)
    if len(shape.layers) == 2:
        columns = max(columns, blocks * width)
    rows = aligned(2, n, columns, dtype=dtype)
    first = aligned(blocks, n, width, dtype=dtype)
    turned = aligned(threads, end_of(shape, "turned"), dtype=dtype)
    gradients = aligned(threads, len(weights.rest), dtype=dtype)
    return Values(first, rows[0], rows[1], turned, gradients, aligned(threads, 8, dtype=dtype))


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


def in_order(network: Network, prepared: Any, order: Array | None, dtype: Any) -> Data:
    """Prepared images and labels in the order of a plan."""
    images, labels = prepared
    nothing = np.empty(0, np.int64)
    return Data(images, nothing if labels is None else labels, nothing if order is None else order.copy(),
                dtype.type(network.pixel_scale))  # fmt: skip


def outputs(network: Network, parameters: Parameters, prepared: Any, /) -> Array:
    """The last activations, (n, n_outputs)."""
    dtype = parameters[0].weights.dtype
    shape, blocks, width = shape_of(network, dtype)
    weights = pack(shape, blocks, width, parameters)
    result = np.empty((len(prepared[0]), network.sizes[-1]), dtype)
    shares = np.array([(0, network.sizes[0] + 1)] * numba.get_num_threads())
    run_outputs(
        shape,
        weights,
        in_order(network, prepared, None, dtype),
        make_lists_of(shares, dtype),
        make_values(shape, weights),
        result,
    )
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
    data = in_order(network, prepared, plan.order, dtype)
    rates, mu = plan.learning_rates.astype(dtype), dtype.type(plan.momentum)
    shares = shares_of(network.sizes[0], VECTOR // dtype.itemsize)
    lists = make_lists_of(np.concatenate([shares, shares]), dtype)  # of a block and of the next
    values = make_values(shape, weights)
    costs = run_blocks(shape, weights, velocities, gradient, data, blocks_of(plan, keep), rates, mu, lists, values)
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
