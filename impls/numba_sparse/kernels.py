"""All that numba compiles of `numba_sparse`, and the types and constants that it was compiled for.

It is one file for a reason: what numba keeps on disk is keyed by the file of the function that was called. A change in
another file, of a function, a constant or a type that this one uses, would go unnoticed, and the old machine code would
be run and timed. For the same reason no backend imports another.

Four rows of z are sums of the rows of weights that a list names, and each row, once fetched, serves all four images of
the list. Backward, the same list tells which rows of weights change, by sums of the four rows of delta. These sums are
written for the processor's vector registers, in LLVM's terms: in sixteen of them lies what is summed, or the deltas.

A plan is run in phases, two for each block of images: by columns of the first layer, then by images in the others.
"""

import functools
import os
from typing import Any, Final, NamedTuple

import numba
import numba.extending
import numpy as np
from llvmlite import ir
from numba.core import cgutils

from impls.contract import Array

SIGMOID, RELU, TANH, SOFTMAX = range(4)

BLOCK: Final = 128  # images at a time
GROUP: Final = 4  # images that share a list; BLOCK is a multiple
STRIP: Final = 128  # pixels at a time, backward: their rows of weights stay in the first cache for all groups
SPINS_BEFORE_YIELD: Final = 4000  # some 20 us; then a waiting thread lets others run, and does what they left
VECTOR: Final = 64  # bytes in a vector register; LLVM makes two or four of it where they are smaller

# "contract" lets a * b + c be one fused instruction, which rounds once instead of twice; nothing else is relaxed.
intrinsic: Any = numba.extending.intrinsic
options: dict[str, Any] = {"cache": True, "fastmath": {"contract"}, "error_model": "numpy"}
njit: Any = numba.njit
jit: Any = njit(**options, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # called by compiled code only
# Called from Python, by several threads at once. With numba's own threads (parallel=True), LLVM would optimise all that
# such a function calls three times more, so that the first call would take twice as long.
threaded_jit: Any = njit(**options, nogil=True)
yield_core: Any = numba.types.ExternalFunction(
    "SwitchToThread" if os.name == "nt" else "sched_yield", numba.int32()
)  # of the operating system: gives the core to a thread that is ready

# --- types ------------------------------------------------------------------------------------------------------

# A layer; widths and places are in numbers, multiples of a vector's.
LAYER: Final = np.dtype(
    [
        ("units", np.int64),
        ("width", np.int64),  # of a row of weights into this layer
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
    """A network as the compiled code sees it."""

    layers: Array  # (L + 1,) LAYER
    hidden: int
    output: int


class Weights(NamedTuple):
    """The parameters, their velocities, or their gradient."""

    first: Array  # (blocks, n_inputs + 1, width): the first layer by blocks of columns, with the biases as last row
    rest: Array  # (m,): the other layers' matrices, one after the other


class NonzeroLists(NamedTuple):
    """The pixels of a block of images that are not zero, by groups of images; for each thread.

    The last in each list is pixel n_inputs, which is 1 in every image, for the biases.
    """

    sequence: Array  # (threads, BLOCK) int64: which images, in the order of their labels
    counts: Array  # (threads, n_outputs + 1) int64: of the labels
    ends: Array  # (threads, groups, strips) int64: where the pixels of a strip end in a group's list
    pixels: Array  # (threads, groups, capacity) uint16
    values: Array  # (threads, groups, GROUP, capacity) in the dtype: scaled
    rows: Array  # (threads, GROUP, bytes) uint8: a group's images in their dtype, followed by zeros
    kept: Array  # (threads, GROUP, bytes) uint8: those of their pixels that the list names, in the same dtype


class Values(NamedTuple):
    """What a block of images has in the network."""

    first: Array  # (blocks, BLOCK, width): z of the first layer, by blocks of columns; later its delta
    a: Array  # (BLOCK, columns): of all layers; after each layer a 1, for the biases
    delta: Array  # the same
    transposed: Array  # (threads, ...): transposed weights of the layers after the first
    gradients: Array  # (threads, m): of the layers after the first
    costs: Array  # (threads,): of the images of each


class Data(NamedTuple):
    """Images as they are, labels, and the order of a plan; an empty order means as they lie.

    One of the two arrays of images is empty: so both kinds are of the same type, and compiled once.
    """

    bytes: Array  # (n, n_inputs) uint8
    floats: Array  # (n, n_inputs) in the dtype
    labels: Array
    order: Array
    scale: Any


# --- in registers -----------------------------------------------------------------------------------------------


@intrinsic
def pointer(typing: Any, array: Any, at: Any) -> Any:
    """Where the number at this flat index lies. Numba would count references to an array at every call, not to this."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(context.make_array(array)(context, builder, arguments[0]).data, [arguments[1]])

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
    typing: Any, vectors: Any, group: Any, x: Any, x_row: Any, x_step: Any, index: Any, n: Any, rows: Any, row: Any,
    out: Any, out_row: Any,
) -> Any:  # fmt: skip
    """`sum_of_rows` for a constant number of vectors and of sums."""
    count, number, integer = vectors.literal_value, out.dtype, numba.intp
    signature = numba.void(vectors, group, x, integer, integer, index, integer, rows, integer, out, integer)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, _, x, x_row, x_step, indices, n, rows, row, out, out_row = arguments
        lanes, size = VECTOR * 8 // number.bitwidth, number.bitwidth // 8
        members = [context.get_constant(integer, g) for g in range(group.literal_value)]
        none = ir.Constant(ir.VectorType(context.get_value_type(number), lanes), None)
        totals = [[cgutils.alloca_once_value(builder, none) for _ in range(count)] for _ in members]
        with cgutils.for_range(builder, n) as loop:
            i, place = loop.index, builder.mul(loop.index, x_step)
            factors = [builder.load(builder.gep(x, [builder.add(builder.mul(g, x_row), place)])) for g in members]
            if index is not numba.types.none:
                i = builder.zext(builder.load(builder.gep(indices, [i])), i.type)
            places = vectors_at(builder, rows, builder.mul(i, row), count, lanes)
            parts = [builder.load(place, align=size) for place in places]
            for g, factor in enumerate(factors):
                for total, part in zip(totals[g], parts, strict=True):
                    product = builder.fmul(in_all_lanes(builder, factor, lanes), part, flags=["contract"])
                    builder.store(builder.fadd(builder.load(total), product, flags=["contract"]), total)
        for g, member in enumerate(members):
            targets = vectors_at(builder, out, builder.mul(member, out_row), count, lanes)
            for total, target in zip(totals[g], targets, strict=True):
                builder.store(builder.load(total), target, align=size)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def add_from_registers(
    typing: Any, vectors: Any, x: Any, x_row: Any, index: Any, n: Any, delta: Any, rows: Any, row: Any
) -> Any:
    """`add_to_rows` for a constant number of vectors."""
    count, number, integer = vectors.literal_value, delta.dtype, numba.intp
    signature = numba.void(vectors, x, integer, index, integer, delta, rows, integer)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, x, x_row, indices, n, delta, rows, row = arguments
        lanes, size = VECTOR * 8 // number.bitwidth, number.bitwidth // 8
        members = [context.get_constant(integer, g) for g in range(GROUP)]
        places = [vectors_at(builder, delta, builder.mul(g, row), count, lanes) for g in members]
        deltas = [[builder.load(place, align=size) for place in of_member] for of_member in places]
        with cgutils.for_range(builder, n) as loop:
            factors = [builder.load(builder.gep(x, [builder.add(builder.mul(g, x_row), loop.index)])) for g in members]
            i = builder.zext(builder.load(builder.gep(indices, [loop.index])), loop.index.type)
            targets = vectors_at(builder, rows, builder.mul(i, row), count, lanes)
            totals = [builder.load(target, align=size) for target in targets]
            for factor, of_member in zip(factors, deltas, strict=True):
                for v, part in enumerate(of_member):
                    product = builder.fmul(in_all_lanes(builder, factor, lanes), part, flags=["contract"])
                    totals[v] = builder.fadd(totals[v], product, flags=["contract"])
            for total, target in zip(totals, targets, strict=True):
                builder.store(total, target, align=size)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def append_nonzero(typing: Any, rows: Any, row: Any, first: Any, kept: Any, pixels: Any, end: Any) -> Any:
    """Of a vector of pixels of GROUP images, append those that one or more of them have; the new end is returned.

    `rows` and `kept` have GROUP rows, `row` numbers apart. All are pointers.
    """
    signature = numba.intp(rows, numba.intp, numba.intp, kept, pixels, numba.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows_, row, first, kept, pixels, end = arguments
        size = rows.dtype.bitwidth // 8
        lanes = VECTOR // size
        members = [context.get_constant(numba.intp, g) for g in range(GROUP)]
        starts = [builder.add(builder.mul(g, row), first) for g in members]
        images = [builder.load(vectors_at(builder, rows_, start, 1, lanes)[0], align=size) for start in starts]
        zero = ir.Constant(images[0].type, None)
        differ = builder.fcmp_unordered if isinstance(rows.dtype, numba.types.Float) else builder.icmp_unsigned
        mask = functools.reduce(builder.or_, [differ("!=", image, zero) for image in images])  # NaN is kept

        def compress(what: Any, bits: int, mask: Any, place: Any) -> None:
            kind = ir.FunctionType(what.type, (what.type, mask.type, what.type))
            name = f"llvm.experimental.vector.compress.v{what.type.count}i{bits}"
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            together = builder.call(function, (what, mask, ir.Constant(what.type, None)))
            builder.store(together, builder.bitcast(place, what.type.as_pointer()), align=bits // 8)

        # As whole numbers: with floats LLVM 22 ends the process where a processor has no such instruction.
        whole = ir.VectorType(ir.IntType(8 * size), lanes)
        for g, image in zip(members, images, strict=True):
            compress(
                builder.bitcast(image, whole),
                8 * size,
                mask,
                builder.gep(kept, [builder.add(builder.mul(g, row), end)]),
            )
        part = min(lanes, VECTOR // 2)  # as many numbers of 16 bits as a vector has
        for begin in range(0, lanes, part):
            lanes_of_part = list(range(begin, begin + part))
            of_part = builder.shuffle_vector(
                mask, mask, ir.Constant(ir.VectorType(ir.IntType(32), part), lanes_of_part)
            )
            counted = ir.Constant(ir.VectorType(ir.IntType(16), part), lanes_of_part)
            numbers = builder.add(counted, in_all_lanes(builder, builder.trunc(first, ir.IntType(16)), part))
            compress(numbers, 16, of_part, builder.gep(pixels, [end]))
            end = builder.add(end, builder.zext(builder.ctpop(builder.bitcast(of_part, ir.IntType(part))), end.type))
        return end

    return signature, generate


@intrinsic
def prefetch(typing: Any, place: Any) -> Any:
    """Have the cache line behind a pointer fetched."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, integer = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), (byte, integer, integer, integer))
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, second_cache, data = (ir.Constant(integer, value) for value in (0, 2, 1))
        builder.call(function, (builder.bitcast(arguments[0], byte), read, second_cache, data))
        return context.get_dummy_value()

    return numba.void(place), generate


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
def sum_of_rows(
    vectors: int, x: Any, x_row: int, x_step: int, index: Any, n: int, rows: Any, row: int, out: Any, out_row: int
) -> None:
    """out[g * out_row:] = sum over i < n of x[g * x_row + i * x_step] * rows[index[i] * row:], for all g < GROUP.

    For at most four vectors of numbers. Without an index it is i itself. x, index, rows and out are pointers.
    """
    if vectors == 4:
        sum_in_registers(4, GROUP, x, x_row, x_step, index, n, rows, row, out, out_row)
    elif vectors == 3:
        sum_in_registers(3, GROUP, x, x_row, x_step, index, n, rows, row, out, out_row)
    elif vectors == 2:
        sum_in_registers(2, GROUP, x, x_row, x_step, index, n, rows, row, out, out_row)
    else:
        sum_in_registers(1, GROUP, x, x_row, x_step, index, n, rows, row, out, out_row)


@jit
def add_to_rows(vectors: int, x: Any, x_row: int, index: Any, n: int, delta: Any, rows: Any, row: int) -> None:
    """rows[index[i] * row:] += sum over g < GROUP of x[g * x_row + i] * delta[g * row:], for all i < n.

    For at most four vectors of numbers. x, index, delta and rows are pointers.
    """
    if vectors == 4:
        add_from_registers(4, x, x_row, index, n, delta, rows, row)
    elif vectors == 3:
        add_from_registers(3, x, x_row, index, n, delta, rows, row)
    elif vectors == 2:
        add_from_registers(2, x, x_row, index, n, delta, rows, row)
    else:
        add_from_registers(1, x, x_row, index, n, delta, rows, row)


@jit
def product(
    m: int, n: int, width: int, x: Array, x_at: int, x_row: int, x_step: int, rows: Array, rows_at: int, row: int,
    out: Array, out_at: int, out_row: int,
) -> None:  # fmt: skip
    """out = x @ rows, for x (m, n), rows (n, width): each begins somewhere in an array, and has its steps there."""
    lanes = VECTOR // out.itemsize
    for first in range(0, width, 4 * lanes):
        vectors = min(4, (width - first) // lanes)
        for k in range(0, m // GROUP * GROUP, GROUP):
            sum_of_rows(
                vectors, pointer(x, x_at + k * x_row), x_row, x_step, None, n, pointer(rows, rows_at + first), row,
                pointer(out, out_at + k * out_row + first), out_row,
            )  # fmt: skip
        for k in range(m // GROUP * GROUP, m):
            for v in range(vectors):
                sum_in_registers(
                    1, 1, pointer(x, x_at + k * x_row), x_row, x_step, None, n,
                    pointer(rows, rows_at + first + v * lanes), row,
                    pointer(out, out_at + k * out_row + first + v * lanes), out_row,
                )  # fmt: skip


# --- functions of a layer -----------------------------------------------------------------------------------------


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
    """a = activation(a), in place, for n numbers behind a pointer; no exponential can overflow.

    A sigmoid below its rounding near 1 is 0: its derivatives would soon multiply to less than the normal numbers.
    """
    number = type(a[0])
    most = number(1 / np.finfo(number).eps)
    if kind == RELU:
        for j in range(n):
            a[j] = number(0) if a[j] < number(0) else a[j]  # NaN goes through
    elif kind == TANH:
        for j in range(n):
            a[j] = np.tanh(a[j])
    elif kind == SIGMOID:
        for j in range(n):
            e = exponential(-a[j])
            a[j] = number(0) if e > most else number(1) / (number(1) + e)
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
def sort_block_by_label(data: Data, start: int, n: int, lists: NonzeroLists, t: int) -> None:
    """Which images the block start : start + n of a sequence has, by label; those of one label as they came."""
    sequence, counts = lists.sequence[t], lists.counts[t]
    for k in range(n):
        sequence[k] = data.order[start + k] if len(data.order) else start + k
    if len(data.labels) == 0:
        return
    counts[:] = 0
    for k in range(n):
        counts[data.labels[sequence[k]] + 1] += 1
    for label in range(1, len(counts)):
        counts[label] += counts[label - 1]
    for k in range(n):
        image = data.order[start + k] if len(data.order) else start + k
        label = data.labels[image]
        sequence[counts[label]] = image
        counts[label] += 1


@jit
def make_lists(data: Data, n: int, lists: NonzeroLists, t: int) -> None:
    """The lists of the n images in a thread's sequence."""
    if len(data.bytes):
        make_lists_of(data.bytes, data.scale, n, lists, t)
    else:
        make_lists_of(data.floats, data.scale, n, lists, t)


@jit
def make_lists_of(images: Array, scale: Any, n: int, lists: NonzeroLists, t: int) -> None:
    """The same for images of either dtype. The last group repeats its last image until it is full."""
    rows, kept, n_inputs = lists.rows[t].view(images.dtype), lists.kept[t].view(images.dtype), images.shape[1]
    lanes, capacity, number = VECTOR // rows.itemsize, rows.shape[1], lists.values.dtype.type
    for group in range(groups_of(n)):
        for g in range(GROUP):
            image = lists.sequence[t, min(GROUP * group + g, n - 1)]
            for pixel in range(n_inputs):
                rows[g, pixel] = images[image, pixel]
        for k in range(GROUP * (group + 1), min(GROUP * (group + 2), n)):  # while this group is worked on
            for pixel in range(0, n_inputs, lanes):
                prefetch(pointer(images, lists.sequence[t, k] * n_inputs + pixel))
        pixels, values, ends, end = lists.pixels[t, group], lists.values[t, group], lists.ends[t, group], 0
        for strip in range(len(ends)):
            for pixel in range(strip * STRIP, min((strip + 1) * STRIP, n_inputs), lanes):
                end = append_nonzero(pointer(rows, 0), capacity, pixel, pointer(kept, 0), pointer(pixels, 0), end)
            ends[strip] = end
        for g in range(GROUP):
            for entry in range(end):
                values[g, entry] = number(kept[g, entry]) * scale
            values[g, end] = 1
        pixels[end] = n_inputs
        ends[-1] += 1


@jit
def groups_of(n: int) -> int:
    """How many groups n images make; the last may be short."""
    return (n + GROUP - 1) // GROUP


@jit
def forward_first(weights: Array, n: int, lists: NonzeroLists, t: int, z: Array) -> None:
    """z (BLOCK, width) of n images, for one block of columns of the first layer."""
    groups, _, capacity = lists.values[t].shape
    width = z.shape[1]
    for group in range(groups_of(n)):
        of_group = t * groups + group
        sum_of_rows(
            width * z.itemsize // VECTOR, pointer(lists.values, of_group * GROUP * capacity), capacity, 1,
            pointer(lists.pixels, of_group * capacity), lists.ends[t, group, -1], pointer(weights, 0), width,
            pointer(z, GROUP * group * width), width,
        )  # fmt: skip


@jit
def backward_first(delta: Array, n: int, lists: NonzeroLists, t: int, gradient: Array) -> None:
    """gradient (n_inputs + 1, width) += inputs transposed @ delta, for one block of columns of the first layer."""
    groups, _, capacity = lists.values[t].shape
    width = delta.shape[1]
    delta[n : GROUP * groups_of(n)] = 0  # of the images that were repeated
    for strip in range(lists.ends.shape[2]):
        for group in range(groups_of(n)):
            of_group = t * groups + group
            first = lists.ends[t, group, strip - 1] if strip > 0 else 0
            add_to_rows(
                width * delta.itemsize // VECTOR, pointer(lists.values, of_group * GROUP * capacity + first), capacity,
                pointer(lists.pixels, of_group * capacity + first), lists.ends[t, group, strip] - first,
                pointer(delta, GROUP * group * width), pointer(gradient, 0), width,
            )  # fmt: skip


# --- the other layers: threads share the images -----------------------------------------------------------------------


@jit
def forward_rest(shape: Shape, rest: Array, a: Array) -> None:
    """z of the last layer of images, from z of their first, in `a` (n, columns); activations in between."""
    row = a.shape[1]
    for number in range(2, len(shape.layers)):
        before, layer = shape.layers[number - 1], shape.layers[number]
        for k in range(len(a)):
            activate(shape.hidden, pointer(a, k * row + before.column), before.units)
            a[k, before.column + before.units] = 1
        product(
            len(a), before.units + 1, layer.width, a, before.column, row, 1, rest, layer.matrix, layer.width,
            a, layer.column, row,
        )  # fmt: skip


@jit
def backward_rest(shape: Shape, transposed: Array, a: Array, delta: Array, gradient: Array) -> None:
    """delta of all layers (n, columns) of images, from that of their last; `gradient`, summed over the images."""
    row, n = a.shape[1], len(a)
    for number in range(len(shape.layers) - 1, 1, -1):
        before, layer = shape.layers[number - 1], shape.layers[number]
        product(
            before.units + 1, n, layer.width, a, before.column, 1, row, delta, layer.column, row,
            gradient, layer.matrix, layer.width,
        )  # fmt: skip
        product(
            n, layer.units, before.width, delta, layer.column, row, 1, transposed, layer.transposed, before.width,
            delta, before.column, row,
        )  # fmt: skip
        for k in range(n):
            at = k * row + before.column
            times_derivative(shape.hidden, pointer(a, at), pointer(delta, at), before.units)


@jit
def transpose_weights(shape: Shape, rest: Array, transposed: Array) -> None:
    """The transposed weights of the layers after the first."""
    for number in range(2, len(shape.layers)):
        before, layer = shape.layers[number - 1], shape.layers[number]
        for j in range(layer.units):
            column, row = pointer(rest, layer.matrix + j), pointer(transposed, layer.transposed + j * before.width)
            for i in range(before.units):
                row[i] = column[i * layer.width]


@jit
def gather_first_layer(z: Array, first: int, a: Array) -> None:
    """z of the first layer of images from `first` on, from its blocks of columns."""
    width = z.shape[2]
    for block in range(len(z)):
        for k in range(len(a)):
            for j in range(width):
                a[k, block * width + j] = z[block, first + k, j]


@jit
def scatter_delta(delta: Array, first: int, delta_first: Array) -> None:
    """delta of the first layer of images from `first` on, into its blocks of columns."""
    width = delta_first.shape[2]
    for block in range(len(delta_first)):
        for k in range(len(delta)):
            for j in range(width):
                delta_first[block, first + k, j] = delta[k, block * width + j]


@jit
def learn_rest(
    shape: Shape, rest: Array, data: Data, sequence: Array, first: int, stop: int, factor: float, t: int, values: Values
) -> None:
    """Deltas, costs and gradients of images first:stop of a block in that sequence; deltas take a factor."""
    a, delta = values.a[first:stop], values.delta[first:stop]
    transpose_weights(shape, rest, values.transposed[t])
    last, n_outputs = shape.layers[-1].column, shape.layers[-1].units
    gather_first_layer(values.first, first, a)
    forward_rest(shape, rest, a)
    cost, row = a.dtype.type(0), a.shape[1]
    for k in range(len(a)):
        cost += cost_and_delta(
            shape.output,
            data.labels[sequence[first + k]],
            pointer(a, k * row + last),
            pointer(delta, k * row + last),
            n_outputs,
        )
        for j in range(n_outputs):
            delta[k, last + j] *= factor
    values.costs[t] = cost
    backward_rest(shape, values.transposed[t], a, delta, values.gradients[t])
    scatter_delta(delta, first, values.first)


# --- a plan -------------------------------------------------------------------------------------------------------


@jit
def sgd_update(parameters: Array, velocities: Array, gradient: Array, rate: float, mu: float) -> None:
    """One update of flat arrays, with momentum or without.

    A velocity without gradients, as of a pixel that is seldom there, shrinks until it is below the normal numbers,
    with which processors are many times slower. So near there it is 0.
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
def finish_block(
    weights: Weights, velocities: Weights, gradient: Weights, block: Any, rate: float, mu: float, lists: NonzeroLists,
    values: Values, t: int,
) -> None:  # fmt: skip
    """A thread's share of the gradient of a block of images; and of the update of all parameters, if it is the last.

    With a direct update the deltas hold the rate, and their products go straight into the weights.
    """
    threads = len(values.costs)
    begins, updates = block.first and not block.direct, block.last and not block.direct
    for columns in range(t, len(weights.first), threads):
        target = weights.first[columns] if block.direct else gradient.first[columns]
        if begins:
            target[:] = 0
        backward_first(values.first[columns], block.stop - block.start, lists, t, target)
        if updates:
            sgd_update(weights.first[columns].ravel(), velocities.first[columns].ravel(), target.ravel(), rate, mu)
    first, stop = len(weights.rest) * t // threads, len(weights.rest) * (t + 1) // threads
    rest = weights.rest[first:stop] if block.direct else gradient.rest[first:stop]
    if begins:
        rest[:] = 0
    for other in range(threads):
        part = values.gradients[other, first:stop]
        for p in range(len(rest)):
            rest[p] += part[p]
    if updates:
        sgd_update(weights.rest[first:stop], velocities.rest[first:stop], rest, rate, mu)


@jit
def first_layer_phase(
    weights: Weights, velocities: Weights, gradient: Weights, data: Data, blocks: Array, rates: Array, mu: float,
    lists: NonzeroLists, values: Values, costs: Array, b: int, t: int,
) -> None:  # fmt: skip
    """A thread's share of columns: the first layer, backward for the block before b, and then forward for block b."""
    threads = len(values.costs)
    if b > 0:
        before = blocks[b - 1]
        finish_block(weights, velocities, gradient, before, rates[before.update], mu, lists, values, t)
        if t == 0:
            for other in range(threads):
                costs[before.update] += values.costs[other]
    if b < len(blocks):
        n = blocks[b].stop - blocks[b].start
        sort_block_by_label(data, blocks[b].start, n, lists, t)
        if t < len(weights.first):
            make_lists(data, n, lists, t)
        for columns in range(t, len(weights.first), threads):
            forward_first(weights.first[columns], n, lists, t, values.first[columns])


@jit
def other_layers_phase(
    shape: Shape, weights: Weights, data: Data, blocks: Array, rates: Array, lists: NonzeroLists, values: Values,
    b: int, t: int,
) -> None:  # fmt: skip
    """A thread's share of the images of block b: the other layers, both ways."""
    threads, number = len(values.costs), rates.dtype.type
    n = blocks[b].stop - blocks[b].start
    factor = number(1) / number(blocks[b].length)
    if blocks[b].direct:
        factor *= -rates[blocks[b].update]
    learn_rest(
        shape, weights.rest, data, lists.sequence[t], n * t // threads, n * (t + 1) // threads, factor, t, values
    )


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
    mu: float, lists: NonzeroLists, values: Values, costs: Array, progress: Array, t: int,
) -> None:  # fmt: skip
    """Thread t's part in training over a plan in blocks: weights in place, and `costs` summed over images by update.

    The phases are by columns, by images, by columns and so on, each done by all threads before the next. The last
    gradient is left in `gradient`, unless it went straight into the weights. Which columns and images belong to a share
    is fixed, whoever does it: the same number of threads gives the same bits every time.
    """
    threads = len(values.costs)
    for phase in range(2 * len(blocks) + 1):
        target = (phase + 1) * threads
        for turn in range(threads):
            share = (t + turn) % threads
            if turn > 0 and all_done(progress, target, SPINS_BEFORE_YIELD):
                break
            if claimed(pointer(progress, share + 1), phase):
                if phase % 2 == 0:
                    first_layer_phase(
                        weights, velocities, gradient, data, blocks, rates, mu, lists, values, costs, phase // 2, share
                    )
                else:
                    other_layers_phase(shape, weights, data, blocks, rates, lists, values, phase // 2, share)
                count_one(pointer(progress, 0))
        all_done(progress, target, -1)


@threaded_jit
def run_outputs(
    shape: Shape, weights: Weights, data: Data, lists: NonzeroLists, values: Values, result: Array, t: int
) -> None:
    """Thread t's part in filling `result` with the last activations; each has its own images in all layers."""
    threads, n = len(lists.ends), len(result)
    capacity = max(1, BLOCK // threads // GROUP) * GROUP
    part = slice(capacity * t, capacity * (t + 1))
    z, a = values.first[:, part], values.a[part]
    last, n_outputs, stop = shape.layers[-1].column, shape.layers[-1].units, n * (t + 1) // threads
    for first in range(n * t // threads, stop, capacity):
        count = min(capacity, stop - first)
        sort_block_by_label(data, first, count, lists, t)
        make_lists(data, count, lists, t)
        for block in range(len(weights.first)):
            forward_first(weights.first[block], count, lists, t, z[block])
        gather_first_layer(z, 0, a[:count])
        forward_rest(shape, weights.rest, a[:count])
        for k in range(count):
            activate(shape.output, pointer(a, k * a.shape[1] + last), n_outputs)
            for j in range(n_outputs):
                result[first + k, j] = a[k, last + j]
