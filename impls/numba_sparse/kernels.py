"""All that numba compiles of `numba_sparse`, and the types and constants that it was compiled for.

It is one file for a reason: what numba keeps on disk is keyed by the file of the function that was called. A change in
another file, of a function, a constant or a type that this one uses, would go unnoticed, and the old machine code would
be run and timed. For the same reason no backend imports another.

Sums are written for the processor's vector registers, in LLVM's terms: in sixteen of them lies what is summed of four
images, in eight of them what is summed of two pixels. What they add is read where it lies: pixels, weights and deltas.

A plan is run in phases, each of which all threads finish before the next; `do_share` says what each is.
"""

import contextlib
import functools
import math
import os
from typing import Any, Final, NamedTuple

import numba
import numba.extending
import numpy as np
from llvmlite import ir
from numba.core import cgutils, codegen, config

from impls.contract import Array

SIGMOID, RELU, TANH, SOFTMAX = range(4)

BLOCK: Final = 128  # images at a time
GROUP: Final = 4  # images that share lists; BLOCK is a multiple
TILE: Final = 16  # bytes of each row of a tile that is transposed in registers
STRIP: Final = 8 * TILE  # pixels with a bit each in a row of a tile
SPINS_BEFORE_YIELD: Final = 4000  # some 20 us; then a waiting thread lets others run, and does what they left
VECTOR: Final = 64  # bytes in a vector register; LLVM makes two or four of it where they are smaller

# "contract" lets a * b + c be one fused instruction, which rounds once instead of twice; nothing else is relaxed.
# "_nrt", which numba does not document, leaves out its counting of references. Else each call and each view would add
# to the count of each array in one atomic step, and threads that hand on the same arrays do so in the same cache lines.
# All arrays outlive a plan. What is compiled so can allocate nothing, and what gets arrays from it must be, too.
intrinsic: Any = numba.extending.intrinsic
options: dict[str, Any] = {"cache": True, "fastmath": {"contract"}, "error_model": "numpy", "_nrt": False}
njit: Any = numba.njit
jit: Any = njit(**options, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # called by compiled code only
# Compiled as a part of each caller: what such a function calls is then optimised once less.
inlined: Any = njit(**options, no_cpython_wrapper=True, no_cfunc_wrapper=True, inline="always")
# Called from Python, by several threads at once. With numba's own threads (parallel=True), LLVM would optimise all that
# such a function calls three times more, so that the first call would take twice as long.
threaded_jit: Any = njit(**options, nogil=True)
yield_core: Any = numba.types.ExternalFunction(
    "SwitchToThread" if os.name == "nt" else "sched_yield", numba.int32()
)  # of the operating system: gives the core to a thread that is ready

# Whether the processor moves chosen bytes of a vector together; where it does not, LLVM would do that byte by byte.
features: Any = config.CPU_FEATURES  # type: ignore[attr-defined]
COMPRESSES: Final = "+avx512vbmi2" in (codegen.get_host_cpu_features() if features is None else features)

# --- types ------------------------------------------------------------------------------------------------------

# A layer; widths and places are in numbers, multiples of a vector's.
LAYER: Final = np.dtype(
    [
        ("units", np.int64),
        ("width", np.int64),  # of a row of weights into this layer
        ("column", np.int64),  # where the layer begins in a row of `a` and `delta`
        ("matrix", np.int64),  # where the weights into this layer begin in `rest`
        ("biases", np.int64),  # where its biases begin there, after the weights
        ("transposed", np.int64),  # where the weights begin in `transposed`
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
    second: Array  # (blocks, width, wide): the weights from these columns into the second layer; wide is 0 without one
    rest: Array  # (m,): the second layer's biases; then of each later layer its weights and its biases


class NonzeroLists(NamedTuple):
    """Where a block of images is not zero: which pixels, by groups of images; and which images, by pairs of pixels.

    Each thread has its own. Lists of pixels are those of the group that it works on.
    """

    sequence: Array  # (threads, BLOCK) int64: which images, ordered by label
    counts: Array  # (threads, n_outputs + 1) int64: of the labels
    pixels: Array  # (threads, 2 ** GROUP, n_inputs) uint16: which ones just these of the group's images have
    lengths: Array  # (threads, 2 ** GROUP) int64: of these lists
    masks: Array  # (threads, BLOCK, words) uint64: a bit for each pixel that an image has
    tiles: Array  # (threads, TILE, BLOCK) uint8: bits of the images of a block by eight pixels, for a strip
    bits: Array  # (threads, pairs, BLOCK // 64) uint64: a bit for each image that has one of the two pixels
    values: Array  # (256,) in the dtype: what a pixel of a byte is in the network


class Values(NamedTuple):
    """What a block of images has in the network.

    `a` and `delta` have the layers from the second on, or the only one; in `a` lies z until it is activated.
    """

    first: Array  # (blocks, BLOCK, width): activations of the first layer by blocks of columns; of the only layer, z
    delta_first: Array  # (threads, BLOCK, width): dCost/dz of the block of columns that a thread works on
    second: Array  # (blocks, BLOCK, wide): what each block of columns adds to z of the second layer
    second_transposed: Array  # (blocks, units of the second layer, width): the weights from these columns into it
    a: Array  # (BLOCK, columns): activations
    delta: Array  # (BLOCK, columns): dCost/dz
    transposed: Array  # (threads, n): transposed weights of the layers after the second
    gradients: Array  # (threads, m): of what is in `rest`
    costs: Array  # (threads,): of the images of each
    zeros: Array  # (n,): as many as the widest row has, where a sum begins with nothing


class Data(NamedTuple):
    """Images as they are, labels, and the order of a plan; an empty order means as they lie.

    One of the two arrays of images is empty: so both kinds are of the same type, and compiled once.
    """

    bytes: Array  # (n, n_inputs) uint8
    floats: Array  # (n, n_inputs) in the dtype
    labels: Array
    order: Array
    scale: Any


class Work(NamedTuple):
    """A plan, or images whose outputs are wanted, with all the memory that it takes."""

    shape: Shape
    weights: Weights
    velocities: Weights
    gradient: Weights
    data: Data
    blocks: Array  # (m,) IMAGES
    rates: Array  # (n_updates,)
    mu: Any
    lists: NonzeroLists
    values: Values
    costs: Array  # (n_updates,): summed over images
    result: Array  # (n, n_outputs): where outputs go; (0, n_outputs) in training
    parts: int  # of a block of columns


# --- in registers -----------------------------------------------------------------------------------------------


@intrinsic
def pointer(typing: Any, array: Any, at: Any) -> Any:
    """Where the number at this flat index lies."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(context.make_array(array)(context, builder, arguments[0]).data, [arguments[1]])

    return numba.types.CPointer(array.dtype)(array, numba.intp), generate


@intrinsic
def offset(typing: Any, numbers: Any, by: Any) -> Any:
    """A pointer so many numbers further on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers, by = arguments
        return builder.gep(numbers, [by])

    return numbers(numbers, numba.intp), generate


@intrinsic
def n_lanes(typing: Any, numbers: Any) -> Any:
    """How many of the numbers behind a pointer a vector holds."""
    count = VECTOR // (numbers.dtype.bitwidth // 8)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(numba.intp, count)

    return numba.intp(numbers), generate


def in_all_lanes(builder: Any, value: Any, lanes: int) -> Any:
    """A vector whose numbers are all this value."""
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), lanes), None))


def vectors_at(builder: Any, numbers: Any, start: Any, count: int) -> list[Any]:
    """The places of so many vectors, one after the other, from the number at `start` behind a pointer on."""
    lanes = lanes_of(numbers.type.pointee)
    kind = ir.VectorType(numbers.type.pointee, lanes).as_pointer()
    first = builder.gep(numbers, [start])
    return [builder.bitcast(builder.gep(first, [ir.Constant(start.type, lanes * v)]), kind) for v in range(count)]


def lanes_of(number: Any) -> int:
    """How many numbers of a type of LLVM's a vector has."""
    return VECTOR // (number.width // 8 if isinstance(number, ir.IntType) else {"float": 4, "double": 8}[str(number)])


def load_each(builder: Any, places: list[Any]) -> list[Any]:
    """What lies at these places, which need not be aligned."""
    return [builder.load(place, align=1) for place in places]


def store_each(builder: Any, totals: list[Any], places: list[Any]) -> None:
    """Store sums there."""
    for total, place in zip(totals, places, strict=True):
        builder.store(builder.load(total), place, align=1)


def add_products(builder: Any, totals: list[Any], factor: Any, parts: list[Any]) -> None:
    """totals += factor * parts, by vectors."""
    in_all = in_all_lanes(builder, factor, lanes_of(factor.type))
    for total, part in zip(totals, parts, strict=True):
        product = builder.fmul(in_all, part, flags=["contract"])
        builder.store(builder.fadd(builder.load(total), product, flags=["contract"]), total)


def function(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """A function of LLVM's."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


@contextlib.contextmanager
def for_bits(builder: Any, bits: Any) -> Any:
    """A loop over the numbers of the bits of a word that are set, the lowest first."""
    word, bit = ir.IntType(64), ir.IntType(1)
    zeros = function(builder, "llvm.cttz.i64", word, word, bit)
    left = cgutils.alloca_once_value(builder, bits)
    head, body, end = (builder.append_basic_block(name) for name in ("bits", "bits.one", "bits.end"))
    builder.branch(head)
    builder.position_at_end(head)
    now = builder.load(left)
    builder.cbranch(builder.icmp_unsigned("!=", now, ir.Constant(word, 0)), body, end)
    builder.position_at_end(body)
    builder.store(builder.and_(now, builder.sub(now, ir.Constant(word, 1))), left)
    yield builder.call(zeros, (now, ir.Constant(bit, 1)))
    builder.branch(head)
    builder.position_at_end(end)


@intrinsic(prefer_literal=True)
def sum_of_rows(
    typing: Any, vectors: Any, group: Any, x: Any, x_row: Any, x_step: Any, n: Any, rows: Any, row: Any, initial: Any,
    initial_row: Any, out: Any, out_row: Any,
) -> Any:  # fmt: skip
    """out[g * out_row:] = initial[g * initial_row:] + sum over i < n of x[g * x_row + i * x_step] * rows[i * row:].

    For all g < group. The number of vectors, and of sums, is constant; x, rows, initial and out are pointers.
    """
    count, integer = vectors.literal_value, numba.intp
    signature = numba.void(vectors, group, x, integer, integer, integer, rows, integer, initial, integer, out, integer)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, _, x, x_row, x_step, n, rows, row, initial, initial_row, out, out_row = arguments
        members = [context.get_constant(integer, g) for g in range(group.literal_value)]
        begin = [load_each(builder, vectors_at(builder, initial, builder.mul(g, initial_row), count)) for g in members]
        totals = [[cgutils.alloca_once_value(builder, part) for part in of_member] for of_member in begin]
        with cgutils.for_range(builder, n) as loop:
            place = builder.mul(loop.index, x_step)
            factors = [builder.load(builder.gep(x, [builder.add(builder.mul(g, x_row), place)])) for g in members]
            parts = load_each(builder, vectors_at(builder, rows, builder.mul(loop.index, row), count))
            for of_member, factor in zip(totals, factors, strict=True):
                add_products(builder, of_member, factor, parts)
        for g, of_member in zip(members, totals, strict=True):
            store_each(builder, of_member, vectors_at(builder, out, builder.mul(g, out_row), count))
        return context.get_dummy_value()

    return signature, generate


def pixel_value(builder: Any, pixels: Any, at: Any, values: Any, scale: Any) -> Any:
    """A pixel as the number that it is in the network: of a byte from a table, of a float times the scale."""
    pixel = builder.load(builder.gep(pixels, [at]))
    if isinstance(pixel.type, ir.IntType):
        return builder.load(builder.gep(values, [builder.zext(pixel, at.type)]))
    return builder.fmul(pixel, scale)


@intrinsic(prefer_literal=True)
def sum_of_listed_rows(
    typing: Any, vectors: Any, images: Any, n_inputs: Any, sequence: Any, values: Any, scale: Any, pixels: Any,
    list_step: Any, lengths: Any, first: Any, rows: Any, out: Any,
) -> Any:  # fmt: skip
    """out[g] = first + sum over pixels of image g of value * rows[pixel], for all g < GROUP.

    For rows of a constant number of vectors. Image g begins at images[sequence[g] * n_inputs]. List m has lengths[m]
    pixels, from pixels[m * list_step] on: those that just the images have whose bit is set in m. So no zero is
    multiplied, and each row is loaded once.
    """
    count, integer = vectors.literal_value, numba.intp
    signature = numba.void(
        vectors, images, integer, sequence, values, scale, pixels, integer, lengths, first, rows, out
    )

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, images, n_inputs, sequence, values, scale, pixels, list_step, lengths, first, rows, out = arguments
        row = context.get_constant(integer, count * lanes_of(rows.type.pointee))
        members = [context.get_constant(integer, g) for g in range(GROUP)]
        chosen = [builder.load(builder.gep(sequence, [g])) for g in members]
        of_images = [builder.gep(images, [builder.mul(image, n_inputs)]) for image in chosen]
        initial = load_each(builder, vectors_at(builder, first, members[0], count))
        totals = [[cgutils.alloca_once_value(builder, part) for part in initial] for _ in members]
        for which in range(1, 2**GROUP):
            number = context.get_constant(integer, which)
            of_list = builder.gep(pixels, [builder.mul(number, list_step)])
            with cgutils.for_range(builder, builder.load(builder.gep(lengths, [number]))) as loop:
                pixel = builder.zext(builder.load(builder.gep(of_list, [loop.index])), loop.index.type)
                parts = load_each(builder, vectors_at(builder, rows, builder.mul(pixel, row), count))
                for g in (g for g in range(GROUP) if which >> g & 1):
                    value = pixel_value(builder, of_images[g], pixel, values, scale)
                    add_products(builder, totals[g], value, parts)
        for g, of_member in zip(members, totals, strict=True):
            store_each(builder, of_member, vectors_at(builder, out, builder.mul(g, row), count))
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def add_rows_of_images(
    typing: Any, vectors: Any, images: Any, n_inputs: Any, sequence: Any, values: Any, scale: Any, bits: Any,
    bits_step: Any, part: Any, parts: Any, delta: Any, rows: Any,
) -> Any:  # fmt: skip
    """rows[i] += sum over images k of the value of pixel i * delta[k], for every parts-th pair of pixels.

    From pair `part` on; for rows of a constant number of vectors, and up to 64 images: those whose bit is set in the
    word of a pair. These words lie bits_step apart. Image k begins at images[sequence[k] * n_inputs]. An odd last pixel
    makes a pair with itself; what that adds to the row after its own, nothing reads.
    """
    count, integer = vectors.literal_value, numba.intp
    signature = numba.void(
        vectors, images, integer, sequence, values, scale, bits, integer, integer, integer, delta, rows
    )

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, images, n_inputs, sequence, values, scale, bits, bits_step, part, parts, delta, rows = arguments
        one, two, row = (context.get_constant(integer, n) for n in (1, 2, count * lanes_of(rows.type.pointee)))
        pairs = builder.sdiv(builder.add(n_inputs, one), two)
        with cgutils.for_range_slice(builder, part, pairs, parts) as (pair, _):
            having, first = builder.load(builder.gep(bits, [builder.mul(pair, bits_step)])), builder.mul(pair, two)
            with builder.if_then(builder.icmp_unsigned("!=", having, ir.Constant(having.type, 0)), likely=True):
                after = builder.add(first, one)
                second = builder.select(builder.icmp_signed("<", after, n_inputs), after, first)
                of_pixels = [builder.gep(images, [pixel]) for pixel in (first, second)]
                places = [vectors_at(builder, rows, builder.mul(i, row), count) for i in (first, after)]
                totals = [[cgutils.alloca_once_value(builder, of) for of in load_each(builder, at)] for at in places]
                with for_bits(builder, having) as image:
                    begin = builder.mul(builder.load(builder.gep(sequence, [image])), n_inputs)
                    deltas = load_each(builder, vectors_at(builder, delta, builder.mul(image, row), count))
                    for pixels, of_pixel in zip(of_pixels, totals, strict=True):
                        add_products(builder, of_pixel, pixel_value(builder, pixels, begin, values, scale), deltas)
                for of_place, of_pixel in zip(places, totals, strict=True):
                    store_each(builder, of_pixel, of_place)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def nonzero_bits(typing: Any, numbers: Any, at: Any) -> Any:
    """A bit for each of 64 numbers, from a place behind a pointer on, the first lowest: whether it is not 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers_, start = arguments
        lanes, word = lanes_of(numbers_.type.pointee), ir.IntType(64)
        differ = builder.fcmp_unordered if isinstance(numbers.dtype, numba.types.Float) else builder.icmp_unsigned
        bits = ir.Constant(word, 0)
        for v, vector in enumerate(load_each(builder, vectors_at(builder, numbers_, start, 64 // lanes))):
            mask = differ("!=", vector, ir.Constant(vector.type, None))  # NaN is not 0
            of_vector = builder.zext(builder.bitcast(mask, ir.IntType(lanes)), word)
            bits = builder.or_(bits, builder.shl(of_vector, ir.Constant(word, lanes * v)))
        return bits

    return numba.uint64(numbers, numba.intp), generate


def append_numbers(builder: Any, bits: Any, base: Any, out: Any, end: Any) -> Any:
    """out[end:] = base + the numbers of a word's bits that are set; the new end. What lies behind it may change."""
    if not COMPRESSES:
        at = cgutils.alloca_once_value(builder, end)
        with for_bits(builder, bits) as number:
            now = builder.load(at)
            builder.store(builder.trunc(builder.add(base, number), ir.IntType(16)), builder.gep(out, [now]))
            builder.store(builder.add(now, ir.Constant(now.type, 1)), at)
        return builder.load(at)
    kind, part = ir.VectorType(ir.IntType(8), 64), ir.VectorType(ir.IntType(16), 16)
    mask = builder.bitcast(bits, ir.VectorType(ir.IntType(1), 64))
    compress = function(builder, "llvm.experimental.vector.compress.v64i8", kind, kind, mask.type, kind)
    numbers = builder.call(compress, (ir.Constant(kind, list(range(64))), mask, ir.Constant(kind, None)))
    n = builder.call(function(builder, "llvm.ctpop.i64", bits.type, bits.type), (bits,))
    bases = in_all_lanes(builder, builder.trunc(base, ir.IntType(16)), 16)

    def store(first: int) -> None:
        chosen = ir.Constant(ir.VectorType(ir.IntType(32), 16), list(range(first, first + 16)))
        widened = builder.add(builder.zext(builder.shuffle_vector(numbers, numbers, chosen), part), bases)
        place = builder.gep(out, [builder.add(end, ir.Constant(end.type, first))])
        builder.store(widened, builder.bitcast(place, part.as_pointer()), align=2)

    store(0)
    with builder.if_then(builder.icmp_unsigned(">", n, ir.Constant(n.type, 16)), likely=False):
        for first in range(16, 64, 16):
            store(first)
    return builder.add(end, n)


@intrinsic
def append_pixels(
    typing: Any, b0: Any, b1: Any, b2: Any, b3: Any, first: Any, pixels: Any, list_step: Any, lengths: Any
) -> Any:
    """Append 64 pixels, from `first` on, to the lists of `sum_of_listed_rows`. b0 to b3: which of them an image has."""
    signature = numba.void(b0, b1, b2, b3, numba.intp, pixels, numba.intp, lengths)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *of_images, first, pixels, list_step, lengths = arguments
        for chosen in range(1, 2**GROUP):
            which = context.get_constant(numba.intp, chosen)
            bits = [b if chosen >> g & 1 else builder.not_(b) for g, b in enumerate(of_images)]
            place = builder.gep(lengths, [which])
            of_list = builder.gep(pixels, [builder.mul(which, list_step)])
            end = append_numbers(builder, functools.reduce(builder.and_, bits), first, of_list, builder.load(place))
            builder.store(end, place)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def transpose_tile(typing: Any, rows: Any, row: Any, out: Any, out_row: Any) -> Any:
    """out[i * out_row + k] = rows[k * row + i], for i and k below TILE; both are pointers to bytes."""
    signature = numba.void(rows, numba.intp, out, numba.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, row, out, out_row = arguments
        kind = ir.VectorType(rows.type.pointee, TILE).as_pointer()
        numbers = [context.get_constant(numba.intp, k) for k in range(TILE)]
        starts = [builder.gep(rows, [builder.mul(k, row)]) for k in numbers]
        tile = [builder.load(builder.bitcast(start, kind), align=1) for start in starts]
        dealt = [lane // 2 + TILE * (lane % 2) for lane in range(2 * TILE)]
        halves = [ir.Constant(ir.VectorType(ir.IntType(32), TILE), part) for part in (dealt[:TILE], dealt[TILE:])]
        # Dealing out both halves of all bytes in turn, like cards, as often as 2 divides TILE, transposes them.
        for _ in range(TILE.bit_length() - 1):
            pairs = list(zip(tile[: TILE // 2], tile[TILE // 2 :], strict=True))
            tile = [builder.shuffle_vector(*pair, half) for pair in pairs for half in halves]
        for number, vector in zip(numbers, tile, strict=True):
            place = builder.gep(out, [builder.mul(number, out_row)])
            builder.store(vector, builder.bitcast(place, kind), align=1)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def bits_of_mask(typing: Any, bytes_: Any, at: Any, mask: Any) -> Any:
    """A bit for each byte of a vector, as in `nonzero_bits`: whether it has a bit of the mask, a whole number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bytes_, start, mask = arguments
        (vector,) = load_each(builder, vectors_at(builder, bytes_, start, 1))
        of_mask = in_all_lanes(builder, builder.trunc(mask, vector.type.element), vector.type.count)
        has = builder.icmp_unsigned("!=", builder.and_(vector, of_mask), ir.Constant(vector.type, None))
        return builder.bitcast(has, ir.IntType(64))

    return numba.uint64(bytes_, numba.intp, numba.intp), generate


@intrinsic
def prefetch(typing: Any, numbers: Any) -> Any:
    """Have the cache lines of 64 numbers behind a pointer fetched."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, integer = ir.IntType(8).as_pointer(), ir.IntType(32)
        fetch = function(builder, "llvm.prefetch.p0", ir.VoidType(), byte, integer, integer, integer)
        read, second_cache, data = (ir.Constant(integer, value) for value in (0, 2, 1))
        lines = 64 // lanes_of(arguments[0].type.pointee)
        for place in vectors_at(builder, arguments[0], context.get_constant(numba.intp, 0), lines):
            builder.call(fetch, (builder.bitcast(place, byte), read, second_cache, data))
        return context.get_dummy_value()

    return numba.void(numbers), generate


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


def exponential(builder: Any, x: Any) -> Any:
    """exp(x) of a vector, between exp(-60) and exp(60), by Taylor's series.

    Further out, products with it would be below the normal numbers, with which processors are slow.
    """
    number, bits, mantissa, terms = x.type, 32, 23, 8
    if isinstance(x.type.element, ir.DoubleType):
        bits, mantissa, terms = 64, 52, 13

    def constant(value: float) -> Any:
        return ir.Constant(number, [value] * number.count)

    def multiplied_and_added(x: Any, factor: Any, more: Any) -> Any:
        return builder.fadd(builder.fmul(x, factor, flags=["contract"]), more, flags=["contract"])

    x = builder.select(builder.fcmp_ordered("<", x, constant(-60.0)), constant(-60.0), x)  # NaN goes through
    x = builder.select(builder.fcmp_ordered(">", x, constant(60.0)), constant(60.0), x)
    rint = function(builder, f"llvm.rint.v{number.count}f{bits}", number, number)
    k = builder.call(rint, (builder.fmul(x, constant(1.4426950408889634)),))
    r = multiplied_and_added(k, constant(-355 / 512), x)  # x - k log 2 in two steps, the first of which is exact
    r = multiplied_and_added(k, constant(2.1219444005469058e-4), r)  # |r| < 0.35
    p = constant(1 / math.factorial(terms))
    for i in range(terms - 1, -1, -1):
        p = multiplied_and_added(p, r, constant(1 / math.factorial(i)))
    # Times 2 ** k, from its bits: adding 1.5 * 2 ** mantissa leaves k in the lowest; where k is NaN, something defined.
    whole = ir.VectorType(ir.IntType(bits), number.count)
    shifted = builder.bitcast(builder.fadd(k, constant(1.5 * 2.0**mantissa)), whole)
    shifted = builder.shl(shifted, ir.Constant(whole, [mantissa] * number.count))
    return builder.fmul(p, builder.bitcast(builder.add(shifted, builder.bitcast(constant(1.0), whole)), number))


@contextlib.contextmanager
def for_vectors(builder: Any, numbers: Any, n: Any) -> Any:
    """A loop over the vectors that n numbers behind a pointer fill: the place, and which lanes are among the n."""
    lanes = lanes_of(numbers.type.pointee)
    count = builder.udiv(builder.add(n, ir.Constant(n.type, lanes - 1)), ir.Constant(n.type, lanes))
    with cgutils.for_range(builder, count) as loop:
        first = builder.mul(loop.index, ir.Constant(n.type, lanes))
        left = in_all_lanes(builder, builder.trunc(builder.sub(n, first), ir.IntType(32)), lanes)
        among = builder.icmp_signed("<", ir.Constant(left.type, list(range(lanes))), left)
        yield vectors_at(builder, numbers, first, 1)[0], among


@intrinsic
def softmax(typing: Any, a: Any, n: Any) -> Any:
    """a = softmax(a), in place, for n numbers behind a pointer; their maximum, and the sum of exp(a - maximum).

    The numbers that fill the last vector may change, here and in `sigmoid`.
    """
    signature = numba.types.UniTuple(a.dtype, 2)(a, numba.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, n = arguments
        number = a.type.pointee
        kind = ir.VectorType(number, lanes_of(number))
        suffix = f"v{kind.count}f{512 // kind.count}"
        highest = cgutils.alloca_once_value(builder, ir.Constant(kind, [-math.inf] * kind.count))
        with for_vectors(builder, a, n) as (place, among):
            of_numbers = builder.select(
                among, builder.load(place, align=1), ir.Constant(kind, [-math.inf] * kind.count)
            )
            before = builder.load(highest)
            builder.store(builder.select(builder.fcmp_ordered("<", before, of_numbers), of_numbers, before), highest)
        most = builder.call(
            function(builder, f"llvm.vector.reduce.fmax.{suffix}", number, kind), (builder.load(highest),)
        )
        totals = cgutils.alloca_once_value(builder, ir.Constant(kind, None))
        with for_vectors(builder, a, n) as (place, among):
            above = builder.fsub(builder.load(place, align=1), in_all_lanes(builder, most, kind.count))
            powers = builder.select(among, exponential(builder, above), ir.Constant(kind, None))
            builder.store(powers, place, align=1)
            builder.store(builder.fadd(builder.load(totals), powers), totals)
        add = function(builder, f"llvm.vector.reduce.fadd.{suffix}", number, number, kind)
        zero = ir.Constant(number, -0.0)
        total = builder.call(add, (zero, builder.load(totals)), fastmath=["reassoc"])
        with for_vectors(builder, a, n) as (place, _):
            builder.store(
                builder.fdiv(builder.load(place, align=1), in_all_lanes(builder, total, kind.count)), place, align=1
            )
        return context.make_tuple(builder, signature.return_type, (most, total))

    return signature, generate


@intrinsic
def sigmoid(typing: Any, a: Any, n: Any) -> Any:
    """a = sigmoid(a), in place, for n numbers behind a pointer.

    Below its rounding near 1 it is 0: its derivatives would soon multiply to less than the normal numbers.
    """
    signature = numba.void(a, numba.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        eps = float(np.finfo(str(signature.args[0].dtype)).eps)
        with for_vectors(builder, *arguments) as (place, _):
            z = builder.load(place, align=1)
            one = ir.Constant(z.type, [1.0] * z.type.count)
            power = exponential(builder, builder.fneg(z))
            least = builder.fcmp_ordered(">", power, ir.Constant(z.type, [1 / eps] * z.type.count))
            value = builder.fdiv(one, builder.fadd(one, power))
            builder.store(builder.select(least, ir.Constant(z.type, None), value), place, align=1)
        return context.get_dummy_value()

    return signature, generate


@jit
def product(
    m: int, n: int, width: int, x: Any, x_row: int, x_step: int, rows: Any, row: int, initial: Any, initial_row: int,
    out: Any, out_row: int,
) -> None:  # fmt: skip
    """out = initial + x @ rows, for x (m, n) and rows (n, width); all four are pointers.

    The steps between the rows of each are named after it; x also has one between the numbers of a row. Where
    initial_row is 0, all sums begin with the same row. initial may be out.
    """
    vector, first = n_lanes(out), 0
    while first < width:
        wide = width - first >= 4 * vector
        k = 0
        while k < m:
            x_k, rows_k = offset(x, k * x_row), offset(rows, first)
            initial_k, out_k = offset(initial, k * initial_row + first), offset(out, k * out_row + first)
            if wide and m - k >= 4:
                sum_of_rows(4, 4, x_k, x_row, x_step, n, rows_k, row, initial_k, initial_row, out_k, out_row)
                k += 4
            elif wide:
                sum_of_rows(4, 1, x_k, x_row, x_step, n, rows_k, row, initial_k, initial_row, out_k, out_row)
                k += 1
            elif m - k >= 4:
                sum_of_rows(1, 4, x_k, x_row, x_step, n, rows_k, row, initial_k, initial_row, out_k, out_row)
                k += 4
            else:
                sum_of_rows(1, 1, x_k, x_row, x_step, n, rows_k, row, initial_k, initial_row, out_k, out_row)
                k += 1
        first += (4 if wide else 1) * vector


# --- functions of a layer -----------------------------------------------------------------------------------------


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
        sigmoid(a, n)
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
def image_at(data: Data, k: int) -> int:
    """Which image is the k-th in the order of a plan."""
    return data.order[k] if len(data.order) else k


@jit
def sort_block_by_label(data: Data, start: int, n: int, sequence: Array, counts: Array) -> None:
    """Which images the block start : start + n of a plan's order has, by label; those of one label as they came.

    The rest of the sequence repeats the last.
    """
    for k in range(n):
        sequence[k] = image_at(data, start + k)
    if len(data.labels):
        counts[:] = 0
        for k in range(n):
            counts[data.labels[sequence[k]] + 1] += 1
        for label in range(1, len(counts)):
            counts[label] += counts[label - 1]
        for k in range(n):
            image = image_at(data, start + k)
            label = data.labels[image]
            sequence[counts[label]] = image
            counts[label] += 1
    sequence[n:] = sequence[n - 1]


@jit
def bits_from(image: Any, first: int, n_inputs: int) -> Any:
    """A bit for each of up to 64 pixels of an image, from `first` on: whether it is not 0. No others are read."""
    if first + 64 <= n_inputs:
        return nonzero_bits(image, first)
    if n_inputs >= 64:  # all but the rest of the last 64
        return nonzero_bits(image, n_inputs - 64) >> np.uint64(first + 64 - n_inputs)
    bits = np.uint64(0)
    for pixel in range(n_inputs):
        bits |= np.uint64(image[pixel] != 0) << np.uint64(pixel)  # NaN is not 0
    return bits


@jit
def list_pixels(
    data: Data, images: Array, chosen: Any, later: int, stop: int, listed: bool, masks: Array, pixels: Array,
    lengths: Array,
) -> None:  # fmt: skip
    """A mask for each image of a group, to which `chosen` points, and the lists of the group's pixels if `listed`.

    Meanwhile the images later:stop of the plan's order are fetched, a few lines at a time: of many at once, a processor
    drops some.
    """
    n_inputs = images.shape[1]
    i0, i1 = pointer(images, chosen[0] * n_inputs), pointer(images, chosen[1] * n_inputs)
    i2, i3 = pointer(images, chosen[2] * n_inputs), pointer(images, chosen[3] * n_inputs)
    lengths[:] = 0
    for first in range(0, n_inputs, 64):
        for k in range(later, stop):
            prefetch(pointer(images, image_at(data, k) * n_inputs + first))
        b0, b1 = bits_from(i0, first, n_inputs), bits_from(i1, first, n_inputs)
        b2, b3 = bits_from(i2, first, n_inputs), bits_from(i3, first, n_inputs)
        word = first // 64
        masks[0, word], masks[1, word], masks[2, word], masks[3, word] = b0, b1, b2, b3
        if listed and b0 | b1 | b2 | b3 != 0:
            append_pixels(b0, b1, b2, b3, first, pointer(pixels, 0), pixels.shape[1], pointer(lengths, 0))


@jit
def list_images(masks: Array, n: int, tile: Array, bits: Array) -> None:
    """Which of the n images of a block have one of a pair of pixels, by their masks."""
    of_bytes, one = masks.view(np.uint8), np.uint64(1)
    row = of_bytes.shape[1]
    for strip in range(row // TILE):
        for k in range(0, n, TILE):
            transpose_tile(pointer(of_bytes, k * row + strip * TILE), row, pointer(tile, k), BLOCK)
        for byte in range(TILE):
            for word in range((n + 63) // 64):
                there = ~np.uint64(0)
                if n < 64 * (word + 1):  # beyond them is what an earlier block has left there
                    there = (one << np.uint64(n - 64 * word)) - one
                for of_byte in range(4):
                    having = bits_of_mask(pointer(tile, 0), byte * BLOCK + 64 * word, 3 << 2 * of_byte)
                    bits[strip * STRIP // 2 + 4 * byte + of_byte, word] = having & there


@jit
def groups_of(n: int) -> int:
    """How many groups n images make; the last may be short."""
    return (n + GROUP - 1) // GROUP


@jit
def forward_group(
    weights: Array, images: Array, scale: Any, chosen: Any, pixels: Array, lengths: Any, values: Any, z: Any, width: int
) -> None:
    """z (GROUP, width) of a group of images, to which `chosen` points, for one block of columns of the first layer."""
    n_inputs, vectors, step = images.shape[1], width * weights.itemsize // VECTOR, pixels.shape[1]
    biases = pointer(weights, (len(weights) - 1) * width)
    if vectors == 4:
        sum_of_listed_rows(
            4, pointer(images, 0), n_inputs, chosen, values, scale, pointer(pixels, 0), step, lengths, biases,
            pointer(weights, 0), z,
        )  # fmt: skip
    elif vectors == 2:
        sum_of_listed_rows(
            2, pointer(images, 0), n_inputs, chosen, values, scale, pointer(pixels, 0), step, lengths, biases,
            pointer(weights, 0), z,
        )  # fmt: skip
    else:
        sum_of_listed_rows(
            1, pointer(images, 0), n_inputs, chosen, values, scale, pointer(pixels, 0), step, lengths, biases,
            pointer(weights, 0), z,
        )  # fmt: skip


@jit
def add_biases(delta: Any, row: int, n: int, biases: Any, width: int) -> None:
    """Add delta, summed over n images, whose first numbers are `row` apart. Both are pointers."""
    for k in range(n):
        for j in range(width):
            biases[j] += delta[k * row + j]


@jit
def backward_first(
    weights: Array, velocities: Array, gradient: Array, delta: Array, images: Array, scale: Any, sequence: Any,
    values: Any, of_pairs: Array, block: Any, rate: float, mu: float, part: int, parts: int,
) -> None:  # fmt: skip
    """The gradient of a block of images for every parts-th pair of pixels, from `part` on, of one block of columns.

    It goes straight into the weights where the block is a whole update without momentum: then delta holds the rate.
    Otherwise the update follows the last block. After the pairs, as if they were one more, come the biases.
    """
    width, n, n_inputs, words = delta.shape[1], block.stop - block.start, images.shape[1], of_pairs.shape[1]
    vectors, pairs = width * delta.itemsize // VECTOR, (n_inputs + 1) // 2
    target = pointer(weights if block.direct else gradient, 0)
    if block.first and not block.direct:
        for pair in range(part, pairs + 1, parts):
            gradient[2 * pair : 2 * pair + 2] = 0
    for word in range((n + 63) // 64):
        chosen, bits = offset(sequence, 64 * word), pointer(of_pairs, word)
        of_word = pointer(delta, 64 * word * width)
        if vectors == 4:
            add_rows_of_images(
                4, pointer(images, 0), n_inputs, chosen, values, scale, bits, words, part, parts, of_word, target
            )
        elif vectors == 2:
            add_rows_of_images(
                2, pointer(images, 0), n_inputs, chosen, values, scale, bits, words, part, parts, of_word, target
            )
        else:
            add_rows_of_images(
                1, pointer(images, 0), n_inputs, chosen, values, scale, bits, words, part, parts, of_word, target
            )
    if pairs % parts == part:
        add_biases(pointer(delta, 0), width, n, offset(target, 2 * width * pairs), width)
    if block.last and not block.direct:
        for pair in range(part, pairs + 1, parts):
            at = 2 * width * pair
            n_numbers = min(2 * width, weights.size - at)
            sgd_update(pointer(weights, at), pointer(velocities, at), pointer(gradient, at), n_numbers, rate, mu)


# --- from the first layer to the second: a block of columns owns its weights into it --------------------------------


@jit
def units_of(work: Work, columns: int) -> int:
    """How many units of the first layer a block of columns has; what follows them only fills vectors."""
    width = work.values.first.shape[2]
    return min(width, work.shape.layers[1].units - columns * width)


@jit
def forward_columns(work: Work, columns: int, first: int, stop: int) -> None:
    """Activations of a block of columns for images first:stop, from z, and what they add to z of the second layer."""
    if len(work.shape.layers) == 2:
        return  # z of the only layer is activated with its cost
    a, weights, z = work.values.first[columns], work.weights.second[columns], work.values.second[columns]
    units, width, wide = units_of(work, columns), a.shape[1], z.shape[1]
    for k in range(first, stop):
        activate(work.shape.hidden, pointer(a, k * width), units)
    product(
        stop - first, units, wide, pointer(a, first * width), width, 1, pointer(weights, 0), wide,
        pointer(work.values.zeros, 0), 0, pointer(z, first * wide), wide,
    )  # fmt: skip


@jit
def delta_of_columns(work: Work, columns: int, n: int, delta_first: Array) -> None:
    """dCost/dz of a block of columns for n images, from that of the second layer; or a copy, of the only layer."""
    a, delta, width = work.values.first[columns], work.values.delta, delta_first.shape[1]
    if len(work.shape.layers) == 2:
        for k in range(n):
            for j in range(width):
                delta_first[k, j] = delta[k, columns * width + j]
        return
    product(
        n, work.shape.layers[2].units, width, pointer(delta, 0), delta.shape[1], 1,
        pointer(work.values.second_transposed[columns], 0), width, pointer(work.values.zeros, 0), 0,
        pointer(delta_first, 0), width,
    )  # fmt: skip
    units = units_of(work, columns)
    for k in range(n):
        times_derivative(work.shape.hidden, pointer(a, k * width), pointer(delta_first, k * width), units)


@jit
def learn_columns(work: Work, block: Any, columns: int, part: int) -> None:
    """The gradient of a part of the weights from a block of columns into the second layer, and the update.

    As in `backward_first`, it goes straight into the weights where the block is a whole update without momentum.
    """
    a, delta, units = work.values.first[columns], work.values.delta, units_of(work, columns)
    weights, gradient = work.weights.second[columns], work.gradient.second[columns]
    rows, wide = slice(units * part // work.parts, units * (part + 1) // work.parts), weights.shape[1]
    target = pointer(weights if block.direct else gradient, rows.start * wide)
    fresh = block.first and not block.direct
    initial, initial_row = (pointer(work.values.zeros, 0), 0) if fresh else (target, wide)
    product(
        rows.stop - rows.start, block.stop - block.start, wide, pointer(a, rows.start), 1, a.shape[1],
        pointer(delta, 0), delta.shape[1], initial, initial_row, target, wide,
    )  # fmt: skip
    if block.last and not block.direct:
        at, n_numbers = rows.start * wide, (rows.stop - rows.start) * wide
        velocities, rate = pointer(work.velocities.second[columns], at), work.rates[block.update]
        sgd_update(pointer(weights, at), velocities, pointer(gradient, at), n_numbers, rate, work.mu)


@jit
def transpose_columns(work: Work, columns: int) -> None:
    """The transposed weights from a block of columns into the second layer."""
    weights, transposed = work.weights.second[columns], work.values.second_transposed[columns]
    for j in range(len(transposed)):
        for i in range(units_of(work, columns)):
            transposed[j, i] = weights[i, j]


# --- the layers after the first: threads share the images -----------------------------------------------------------


@jit
def sum_columns(work: Work, first: int, a: Array) -> None:
    """z of the second layer for images from `first` on, summed over blocks of columns; or of the only layer."""
    row = a.shape[1]
    if len(work.shape.layers) == 2:
        width = work.values.first.shape[2]
        for columns in range(len(work.values.first)):
            z, out = pointer(work.values.first[columns], first * width), pointer(a, columns * width)
            for k in range(len(a)):
                for j in range(width):
                    out[k * row + j] = z[k * width + j]
        return
    width, biases = work.shape.layers[2].width, pointer(work.weights.rest, work.shape.layers[2].biases)
    for columns in range(len(work.values.first)):
        more, out = pointer(work.values.second[columns], first * width), pointer(a, 0)
        for k in range(len(a)):
            for j in range(width):
                out[k * row + j] = (biases[j] if columns == 0 else out[k * row + j]) + more[k * width + j]


@jit
def forward_rest(shape: Shape, rest: Array, a: Array) -> None:
    """z of the last layer of images, from z of the second, in `a` (n, columns); activations in between."""
    row = a.shape[1]
    for number in range(3, len(shape.layers)):
        before, layer = shape.layers[number - 1], shape.layers[number]
        for k in range(len(a)):
            activate(shape.hidden, pointer(a, k * row + before.column), before.units)
        product(
            len(a), before.units, layer.width, pointer(a, before.column), row, 1, pointer(rest, layer.matrix),
            layer.width, pointer(rest, layer.biases), 0, pointer(a, layer.column), row,
        )  # fmt: skip


@jit
def backward_rest(shape: Shape, transposed: Array, zeros: Any, a: Array, delta: Array, gradient: Array) -> None:
    """delta of layers from the second on (n, columns), from that of the last; `gradient`, summed over the n images."""
    row, n = a.shape[1], len(a)
    gradient[:] = 0
    for number in range(len(shape.layers) - 1, 1, -1):
        before, layer = shape.layers[number - 1], shape.layers[number]
        of_layer = pointer(delta, layer.column)
        add_biases(of_layer, row, n, pointer(gradient, layer.biases), layer.width)
        if number == 2:
            return
        product(
            before.units, n, layer.width, pointer(a, before.column), 1, row, of_layer, row, zeros, 0,
            pointer(gradient, layer.matrix), layer.width,
        )  # fmt: skip
        product(
            n, layer.units, before.width, of_layer, row, 1, pointer(transposed, layer.transposed), before.width,
            zeros, 0, pointer(delta, before.column), row,
        )  # fmt: skip
        for k in range(n):
            at = k * row + before.column
            times_derivative(shape.hidden, pointer(a, at), pointer(delta, at), before.units)


@jit
def transpose_weights(shape: Shape, rest: Array, transposed: Array) -> None:
    """The transposed weights of the layers after the second."""
    for number in range(3, len(shape.layers)):
        before, layer = shape.layers[number - 1], shape.layers[number]
        for j in range(layer.units):
            column, row = pointer(rest, layer.matrix + j), pointer(transposed, layer.transposed + j * before.width)
            for i in range(before.units):
                row[i] = column[i * layer.width]


@jit
def learn_rest(work: Work, b: int, first: int, stop: int, t: int) -> None:
    """Deltas, costs and gradients of images first:stop of block b, in the layers after the first, or the only one.

    With a direct update deltas hold the rate.
    """
    shape, values, block, number = work.shape, work.values, work.blocks[b], work.rates.dtype.type
    a, delta, rest = values.a[first:stop], values.delta[first:stop], work.weights.rest
    factor = number(1) / number(block.length)
    if block.direct:
        factor *= -work.rates[block.update]
    transpose_weights(shape, rest, values.transposed[t])
    sum_columns(work, first, a)
    forward_rest(shape, rest, a)
    last, n_outputs, sequence = shape.layers[-1].column, shape.layers[-1].units, work.lists.sequence[t]
    cost, row = number(0), a.shape[1]
    for k in range(len(a)):
        cost += cost_and_delta(
            shape.output,
            work.data.labels[sequence[first + k]],
            pointer(a, k * row + last),
            pointer(delta, k * row + last),
            n_outputs,
        )
        for j in range(n_outputs):
            delta[k, last + j] *= factor
    values.costs[t] = cost
    backward_rest(shape, values.transposed[t], pointer(values.zeros, 0), a, delta, values.gradients[t])


@jit
def outputs_of(work: Work, b: int, first: int, stop: int, t: int) -> None:
    """The last activations of images first:stop of block b."""
    shape, sequence = work.shape, work.lists.sequence[t]
    a, last, n_outputs = work.values.a[first:stop], shape.layers[-1].column, shape.layers[-1].units
    sum_columns(work, first, a)
    forward_rest(shape, work.weights.rest, a)
    for k in range(len(a)):
        activate(shape.output, pointer(a, k * a.shape[1] + last), n_outputs)
        for j in range(n_outputs):
            work.result[sequence[first + k], j] = a[k, last + j]


# --- a plan -------------------------------------------------------------------------------------------------------


@jit
def sgd_update(parameters: Any, velocities: Any, gradient: Any, n: int, rate: float, mu: float) -> None:
    """One update of n numbers behind pointers, with momentum or without.

    A velocity without gradients, as of a pixel that is seldom there, shrinks until it is below the normal numbers,
    with which processors are many times slower. So near there it is 0.
    """
    number = type(rate)
    least = number(np.finfo(number).tiny / np.finfo(number).eps)
    if mu > 0:
        for p in range(n):
            velocity = mu * velocities[p] + gradient[p]
            velocities[p] = number(0) if abs(velocity) < least else velocity  # NaN goes through
            parameters[p] -= rate * (gradient[p] + mu * velocities[p])
    else:
        for p in range(n):
            parameters[p] -= rate * gradient[p]


@jit
def add_rest(work: Work, block: Any, t: int) -> None:
    """A thread's share of what is in `rest`: its gradient of a block of images, and the update.

    With a direct update the deltas hold the rate, and their products go straight into the weights.
    """
    threads, n = len(work.values.costs), len(work.weights.rest)
    part = slice(n * t // threads, n * (t + 1) // threads)
    target = work.weights.rest[part] if block.direct else work.gradient.rest[part]
    if block.first and not block.direct:
        target[:] = 0
    for other in range(threads):
        more = work.values.gradients[other, part]
        for p in range(len(target)):
            target[p] += more[p]
        if t == 0:
            work.costs[block.update] += work.values.costs[other]
    if block.last and not block.direct:
        weights, velocities = pointer(work.weights.rest, part.start), pointer(work.velocities.rest, part.start)
        sgd_update(weights, velocities, pointer(target, 0), len(target), work.rates[block.update], work.mu)


@jit
def other_layers(work: Work, b: int, t: int) -> None:
    """A thread's share of the images of block b in the layers after the first: both ways, or forward for a result."""
    n, threads = work.blocks[b].stop - work.blocks[b].start, len(work.values.costs)
    first, stop = n * t // threads, n * (t + 1) // threads
    if len(work.result):
        outputs_of(work, b, first, stop, t)
        return
    learn_rest(work, b, first, stop, t)
    for columns in range(t, len(work.weights.first), threads):  # before any part of these weights changes
        transpose_columns(work, columns)


@jit
def is_in_part(group: int, groups: int, part: int, parts: int) -> bool:
    """Whether a group belongs to a part of the groups of a block."""
    return groups * part // parts <= group < groups * (part + 1) // parts


@jit
def list_group(work: Work, images: Array, b: int, group: int, t: int) -> None:
    """What a thread needs to know of a group of images of block b, while as many of the block after it are fetched.

    Masks; and lists, if it has the group in one of its blocks of columns.
    """
    first, lists, later, stop, listed = GROUP * group, work.lists, 0, 0, False
    if b + 1 < len(work.blocks):
        later, stop = work.blocks[b + 1].start + first, work.blocks[b + 1].stop
    groups = groups_of(work.blocks[b].stop - work.blocks[b].start)
    for unit in range(t, len(work.weights.first) * work.parts, len(work.values.costs)):
        listed |= is_in_part(group, groups, unit % work.parts, work.parts)
    list_pixels(
        work.data, images, pointer(lists.sequence[t], first), later, min(later + GROUP, stop), listed,
        lists.masks[t, first : first + GROUP], lists.pixels[t], lists.lengths[t],
    )  # fmt: skip


@inlined
def forward(work: Work, images: Array, b: int, t: int) -> None:
    """A thread's share of the first layer's columns for block b: activations, and their sums for the second layer."""
    block, lists, parts, width = work.blocks[b], work.lists, work.parts, work.values.first.shape[2]
    n, units, threads = block.stop - block.start, len(work.weights.first) * parts, len(work.values.costs)
    groups = groups_of(n)
    sort_block_by_label(work.data, block.start, n, lists.sequence[t], lists.counts[t])
    for group in range(groups):
        list_group(work, images, b, group, t)
        chosen, lengths = pointer(lists.sequence[t], GROUP * group), pointer(lists.lengths[t], 0)
        for unit in range(t, units, threads):
            columns = unit // parts
            if is_in_part(group, groups, unit % parts, parts):
                forward_group(
                    work.weights.first[columns], images, work.data.scale, chosen, lists.pixels[t], lengths,
                    pointer(lists.values, 0), pointer(work.values.first[columns], GROUP * group * width), width,
                )  # fmt: skip
    for unit in range(t, units, threads):
        part = unit % parts
        first, stop = GROUP * (groups * part // parts), GROUP * (groups * (part + 1) // parts)
        forward_columns(work, unit // parts, first, stop)


@inlined
def backward(work: Work, images: Array, b: int, t: int) -> None:
    """A thread's share of the first layer's columns for block b: gradients of their weights, and the update."""
    block, lists, delta_first = work.blocks[b], work.lists, work.values.delta_first[t]
    list_images(lists.masks[t], block.stop - block.start, lists.tiles[t], lists.bits[t])
    for unit in range(t, len(work.weights.first) * work.parts, len(work.values.costs)):
        columns, part = unit // work.parts, unit % work.parts
        delta_of_columns(work, columns, block.stop - block.start, delta_first)
        learn_columns(work, block, columns, part)
        backward_first(
            work.weights.first[columns], work.velocities.first[columns], work.gradient.first[columns], delta_first,
            images, work.data.scale, pointer(lists.sequence[t], 0), pointer(lists.values, 0), lists.bits[t], block,
            work.rates[block.update], work.mu, part, work.parts,
        )  # fmt: skip


@jit
def stages_of(work: Work) -> int:
    """How often all threads meet for a block of images."""
    return 2 if work.parts == 1 else 3


@inlined
def do_share(work: Work, images: Array, b: int, stage: int, t: int) -> None:
    """A share of a stage for block b: at first, the layers after the first for the block before.

    Then follows the first layer: backward for the block before, and forward for block b. These are one stage; but two
    if blocks of columns have parts, as then a thread reads weights that others change.
    """
    if stage == 0 and b > 0:
        other_layers(work, b - 1, t)
    if stage == 1 and b > 0 and len(work.result) == 0:
        add_rest(work, work.blocks[b - 1], t)
        backward(work, images, b - 1, t)
    if stage == stages_of(work) - 1 and b < len(work.blocks):
        forward(work, images, b, t)


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
def run_phases(work: Work, progress: Array, t: int) -> None:
    """Thread t's part in training over a plan in blocks, in phases, each done by all threads before the next.

    Weights change in place, `costs` are summed over the images of an update. If `result` has rows, they become the last
    activations instead. The last gradient is left in `gradient`, unless it went straight into the weights. What belongs
    to a share is fixed, whichever thread does it: the same division gives the same bits.
    """
    threads, stages = len(work.values.costs), stages_of(work)
    for phase in range(stages * (len(work.blocks) + 1)):
        for turn in range(threads):
            share = (t + turn) % threads
            if turn > 0 and all_done(progress, (phase + 1) * threads, SPINS_BEFORE_YIELD):
                break
            if claimed(pointer(progress, progress.shape[1] * (share + 1)), phase):
                if len(work.data.bytes):
                    do_share(work, work.data.bytes, phase // stages, phase % stages, share)
                else:
                    do_share(work, work.data.floats, phase // stages, phase % stages, share)
                count_one(pointer(progress, 0))
        all_done(progress, (phase + 1) * threads, -1)
