"""Rung 6, `numba_sparse`: zero pixels are skipped. Four fifths of MNIST's pixels are zero, and add nothing.

Forward, z of four images are sums of rows of weights. For each set of these images there is a list of the pixels that
just they have: so no zero is multiplied, and a row that is fetched serves all that need it. As images of one digit
resemble each other, those of a block are taken in the order of their labels. Four images have their lists made right
before their sums, so that both are still in the first cache; meanwhile four of the next block are fetched from memory,
a few cache lines at a time. Backward, the gradient of a pixel is a sum of rows of delta over the images that have the
pixel or its neighbour, which share the rows: strokes are wide enough that both are there or neither. Which images these
are, bits say: those of the pixels of each image, transposed. This is exact: a skipped zero changes no sum.

Threads share the columns of the first layer. Each owns the weights into some of its units, and those from them into the
second layer, which stay in its core's cache: it computes what these units add to z of the second layer, and later their
deltas and the gradients of both kinds of weights. So threads exchange sums and deltas of the second layer only, which
is usually the narrower. What follows, from the sum of these sums on, they share by images. So they meet twice a block,
by counting the shares that are done; a share whose thread does not come is done by one that waits, so that nothing can
hang. Each makes the lists that it needs. More threads than there are columns for share a block of columns, too: groups
of images forward, which divides the lists as well, and pairs of pixels backward. `divide` chooses.

Images stay as they are, uint8 and perhaps memory-mapped: lists are made in training. What it costs: the sums are
written in LLVM's terms, and fifteen loops, one for each set of four images, are seldom long.

This file has what a backend has, and lays parameters and buffers out in memory; kernels.py has all that is compiled.
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numba
import numpy as np

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State
from impls.numba_sparse.kernels import (
    BLOCK,
    GROUP,
    IMAGES,
    LAYER,
    RELU,
    SIGMOID,
    SOFTMAX,
    STRIP,
    TANH,
    TILE,
    VECTOR,
    Data,
    NonzeroLists,
    Shape,
    Values,
    Weights,
    Work,
    run_phases,
)

NAME: Final = "numba_sparse"
SUMMARY: Final = "numba: zero pixels skipped, sums in vector registers, weights shared out by columns"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128

CODES: Final = {"sigmoid": SIGMOID, "relu": RELU, "tanh": TANH, "softmax": SOFTMAX}


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Images of so many pixels that their numbers need more than 16 bits."""
    if network.sizes[0] < 2**16:
        return None
    return f"images of {network.sizes[0]} pixels: expected fewer than {2**16}, as its lists number them in 16 bits"


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> tuple[Array, Array | None]:
    """The images as they are; floats in the dtype. Seen as read-only, as one memory layout is compiled."""
    kept = read_only(np.asarray(images, images.dtype if images.dtype == np.uint8 else dtype, order="C"))
    return kept, None if labels is None else labels.copy()


def read_only(array: Array) -> Array:
    """The same numbers, not to be written."""
    view = array.view()
    view.flags.writeable = False
    return view


def outputs(network: Network, parameters: Parameters, prepared: Any, /) -> Array:
    """The last activations, (n, n_outputs)."""
    n = len(prepared[0])
    plan = Plan(np.array([0]), np.array([n]), None, np.zeros(1))
    result = np.empty((n, network.sizes[-1]), parameters[0].weights.dtype)
    run(network, State(parameters, parameters), (prepared[0], None), plan, False, result)
    return result


def run(network: Network, state: State, prepared: Any, plan: Plan, keep: bool, result: Array | None = None) -> Work:
    """Do a plan. keep: leave the last gradient; result: fill it with the outputs instead, and change nothing."""
    dtype, blocks = state.parameters[0].weights.dtype, blocks_of(plan, keep)
    longest = int((blocks["stop"] - blocks["start"]).max())
    division = divide(network.sizes[0], vectors_of(network, dtype), longest, numba.get_num_threads())
    shape = shape_of(network, dtype, division)
    weights, velocities = pack(shape, division, state.parameters), pack(shape, division, state.velocities)
    data = in_order(network, prepared, plan.order, dtype)
    work = Work(
        shape,
        weights,
        velocities,
        gradient=Weights(*(aligned(*array.shape, dtype=dtype) for array in weights)),
        data=data,
        blocks=blocks,
        rates=plan.learning_rates.astype(dtype),
        mu=dtype.type(plan.momentum),
        lists=allocate_lists(network, data, division.threads),
        values=allocate_values(shape, weights, division.threads),
        costs=np.zeros(len(plan.starts), dtype),
        result=np.empty((0, network.sizes[-1]), dtype) if result is None else result,
        parts=division.parts,
    )
    # Shares done; phases that each share has begun. Each in a cache line of its own, as all threads look at the first.
    progress = aligned(1 + division.threads, VECTOR // 8, dtype=np.int64)
    in_threads(division.threads, lambda t: run_phases(work, progress, t))
    return work


def costs_of(work: Work, plan: Plan) -> Array:
    """The mean cost before each update."""
    return work.costs / (plan.stops - plan.starts).astype(work.costs.dtype)


def gradients(network: Network, parameters: Parameters, prepared: Any, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    plan = Plan(np.array([0]), np.array([len(prepared[0])]), None, np.zeros(1))
    work = run(network, State(parameters, parameters), prepared, plan, True)
    return costs_of(work, plan)[0], unpack(work.shape, work.gradient)


def train(network: Network, state: State, prepared: Any, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    work = run(network, state, prepared, plan, False)
    return State(unpack(work.shape, work.weights), unpack(work.shape, work.velocities)), costs_of(work, plan)


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


# --- how threads share the work --------------------------------------------------------------------------------------


WIDTHS: Final = (1, 2, 4)  # vectors of a block of columns for which kernels.py has sums
FETCH: Final = 20  # cycles until a cache line has come from another core, when many are on their way


class Division(NamedTuple):
    """How threads share the first layer: each has some blocks of columns or, in turn, a part of what one has."""

    threads: int
    vectors: int  # in a block of columns
    parts: int  # of the groups of images forward, and of the pairs of pixels backward


@functools.cache
def divide(n_inputs: int, vectors: int, images: int, threads: int) -> Division:
    """The fastest division by a rough count of cycles, with at most so many threads; for blocks of so many images.

    vectors: of a row of weights of the first layer. The numbers were measured on two cores of a Zen 4, but those of
    meetings are a guess; whatever they are, each division is right. Sums and deltas of the second layer, which threads
    always fetch, are left out: for ten outputs an image has a cache line of sums from each block of columns, and one of
    deltas.
    """

    def cycles(division: Division) -> float:
        share, width, parts = division
        turns = -(-(-(-vectors // width) * parts) // share)  # blocks and parts for the thread that has most
        rows = images / GROUP * n_inputs / 3  # a third of the pixels is in a group's lists
        products = turns / parts * rows * 4.8 * (1 + width)
        fetched = n_inputs * width * (parts - 1) / parts  # cache lines of weights that another core has changed
        lists = (0.2 + 0.4 * min(1, turns / parts)) * images * n_inputs  # masks of all images, lists of its own groups
        others = 0.8 * images * n_inputs / share
        meetings = 0 if share == 1 else (2 if parts == 1 else 3) * (1000 + 200 * share)
        return products + lists + others + FETCH * fetched + meetings

    return min(
        (
            Division(share, width, parts)
            for share in range(1, threads + 1)
            for width in WIDTHS
            for parts in range(1, max(1, min(share, images // GROUP)) + 1)
        ),
        key=cycles,
    )


# --- memory layout ---------------------------------------------------------------------------------------------------


def aligned(*shape: Any, dtype: Any) -> Array:
    """Zeros that begin where a cache line does."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + VECTOR, np.uint8)
    first = -memory.ctypes.data % VECTOR
    return memory[first : first + size].view(dtype).reshape(shape)


def padded(sizes: Any, lanes: int) -> Any:
    """Sizes rounded up to whole vectors."""
    return -(-np.asarray(sizes) // lanes) * lanes


def vectors_of(network: Network, dtype: Any) -> int:
    """How many vectors a row of weights of the first layer fills."""
    return int(padded(network.sizes[1], VECTOR // dtype.itemsize)) * dtype.itemsize // VECTOR


def shape_of(network: Network, dtype: Any, division: Division) -> Shape:
    """The network for the compiled code."""
    lanes = VECTOR // dtype.itemsize
    layers = np.zeros(len(network.sizes), LAYER)
    layers["units"], layers["width"] = network.sizes, padded(network.sizes, lanes)
    for number in range(3, len(layers)):
        first, before, layer = number == 3, layers[number - 1], layers[number]
        layer["column"] = before["column"] + before["width"]
        layer["matrix"] = before["biases"] + before["width"]
        layer["biases"] = layer["matrix"] + before["units"] * layer["width"]
        layer["transposed"] = 0 if first else before["transposed"] + before["units"] * layers[number - 2]["width"]
    return Shape(layers, CODES[network.hidden], CODES[network.output])


def n_rest(shape: Shape) -> int:
    """How many numbers `rest` has: the second layer's biases, and the weights and biases of those after it."""
    last = shape.layers[-1]
    return int(last["biases"] + last["width"]) if len(shape.layers) > 2 else 0


def n_transposed(shape: Shape) -> int:
    """How many numbers the transposed weights of the layers after the second fill."""
    *_, before, last = shape.layers
    return int(last["transposed"] + last["units"] * before["width"]) if len(shape.layers) > 3 else 0


def pack(shape: Shape, division: Division, parameters: Parameters) -> Weights:
    """Parameters in the compiled code's form, in new arrays."""
    dtype = parameters[0].weights.dtype
    weights, biases = parameters[0]
    width = division.vectors * VECTOR // dtype.itemsize
    blocks = -(-len(biases) // width)
    rows = np.zeros((len(weights) + len(weights) % 2 + 1, blocks * width), dtype)  # whole pairs of pixels, and biases
    rows[: len(weights), : len(biases)], rows[-1, : len(biases)] = weights, biases
    first = aligned(blocks, len(rows), width, dtype=dtype)
    first[:] = rows.reshape(len(rows), blocks, width).transpose(1, 0, 2)
    second = aligned(blocks, width, shape.layers["width"][2] if len(parameters) > 1 else 0, dtype=dtype)
    packed = Weights(first, second, aligned(n_rest(shape), dtype=dtype))
    for (weights, biases), layer in zip(parameters[1:], layers_after_first(shape, packed), strict=True):
        layer.weights[: len(weights), : len(biases)], layer.biases[: len(biases)] = weights, biases
    return packed


def layers_after_first(shape: Shape, packed: Weights) -> list[Layer]:
    """The padded weights and biases of the layers after the first, views of where they lie."""
    found: list[Layer] = []
    for layer in shape.layers[2:]:
        biases = packed.rest[layer["biases"] : layer["biases"] + layer["width"]]
        weights = packed.rest[layer["matrix"] : layer["biases"]] if found else packed.second
        found.append(Layer(weights.reshape(-1, layer["width"]), biases))
    return found


def unpack(shape: Shape, packed: Weights) -> Parameters:
    """The layers that `pack` laid there."""
    first = packed.first.transpose(1, 0, 2).reshape(packed.first.shape[1], -1)
    layers = [Layer(first, first[-1]), *layers_after_first(shape, packed)]
    sizes = pairwise(shape.layers["units"])
    return tuple(Layer(w[:rows, :n].copy(), b[:n].copy()) for (rows, n), (w, b) in zip(sizes, layers, strict=True))


def allocate_lists(network: Network, data: Data, threads: int) -> NonzeroLists:
    """Room for the lists of a block of images."""
    n_inputs, dtype = network.sizes[0], data.floats.dtype
    return NonzeroLists(
        sequence=aligned(threads, BLOCK, dtype=np.int64),
        counts=aligned(threads, padded(network.sizes[-1] + 1, VECTOR // 8), dtype=np.int64),
        pixels=aligned(threads, 2**GROUP, n_inputs + 64, dtype=np.uint16),  # written beyond their end
        lengths=aligned(threads, 2**GROUP, dtype=np.int64),
        masks=aligned(threads, BLOCK, padded(n_inputs, STRIP) // 64, dtype=np.uint64),
        tiles=aligned(threads, TILE, BLOCK, dtype=np.uint8),
        bits=aligned(threads, padded(n_inputs, STRIP) // 2, BLOCK // 64, dtype=np.uint64),
        values=np.arange(256, dtype=dtype) * data.scale,
    )


def allocate_values(shape: Shape, weights: Weights, threads: int) -> Values:
    """Room for what the blocks of images have."""
    (blocks, _, width), wide, dtype = weights.first.shape, weights.second.shape[2], weights.first.dtype
    columns, units_of_second, last = blocks * width, 0, shape.layers[-1]
    if len(shape.layers) > 2:
        columns, units_of_second = last["column"] + last["width"], shape.layers["units"][2]
    a, delta = aligned(2, BLOCK, columns, dtype=dtype)
    return Values(
        first=aligned(blocks, BLOCK, width, dtype=dtype),
        delta_first=aligned(threads, BLOCK, width, dtype=dtype),
        second=aligned(blocks, BLOCK, wide, dtype=dtype),
        second_transposed=aligned(blocks, units_of_second, width, dtype=dtype),
        a=a,
        delta=delta,
        transposed=aligned(threads, n_transposed(shape), dtype=dtype),
        gradients=aligned(threads, len(weights.rest), dtype=dtype),
        costs=aligned(threads, dtype=dtype),
        zeros=aligned(max([width, *shape.layers["width"][2:]]), dtype=dtype),
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


def in_order(network: Network, prepared: Any, order: Array | None, dtype: Any) -> Data:
    """Prepared images and labels in the order of a plan."""
    images, labels = prepared
    nothing, of_bytes = np.empty(0, np.int64), images.dtype == np.uint8
    no_bytes = read_only(np.empty((0, network.sizes[0]), np.uint8))
    return Data(
        images if of_bytes else no_bytes,
        read_only(no_bytes.astype(dtype)) if of_bytes else images,
        nothing if labels is None else labels,
        nothing if order is None else order.copy(),
        dtype.type(network.pixel_scale),
    )
