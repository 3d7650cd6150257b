"""Rung 6, `numba_sparse`: zero pixels are skipped. Four fifths of MNIST's pixels are zero, and add nothing.

Four images share a list: of the pixels that at least one of them has, and their values. Both products of the first
layer are sums over that list, of rows of weights or of delta. A skipped zero changes no sum: this is exact. As images
of one digit resemble each other, those of a block are taken in the order of their labels.

Threads share the columns of the first layer: each owns a part of the weights, which stays in its core's cache, and
makes all lists for itself. Then they share the images, for the other layers. So they meet twice a block, by counting
the shares that are done; a share whose thread does not come is done by one that waits, so that nothing can hang.

Images stay as they are, uint8 and perhaps memory-mapped: lists are made block by block, in training. What it costs:
the sums are written in LLVM's terms, and four images that differ much share many zeros that are multiplied after all.

This file has what a backend has, and lays parameters and buffers out in memory; kernels.py has all that is compiled.
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Final

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
    VECTOR,
    Data,
    NonzeroLists,
    Shape,
    Values,
    Weights,
    run_outputs,
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
    dtype = parameters[0].weights.dtype
    shape, blocks, width = shape_of(network, dtype)
    weights = pack(shape, blocks, width, parameters)
    data = in_order(network, (prepared[0], None), None, dtype)
    lists, values = allocate_lists(network, dtype), allocate_values(shape, weights)
    result = np.empty((len(prepared[0]), network.sizes[-1]), dtype)
    in_threads(lambda t: run_outputs(shape, weights, data, lists, values, result, t))
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
    lists, values = allocate_lists(network, dtype), allocate_values(shape, weights)
    parts, costs = blocks_of(plan, keep), np.zeros_like(rates)
    progress = np.zeros(1 + len(values.costs), np.int64)  # shares done; phases that each share has begun
    in_threads(
        lambda t: run_phases(
            shape, weights, velocities, gradient, data, parts, rates, mu, lists, values, costs, progress, t
        )
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


@functools.cache
def pool() -> ThreadPoolExecutor:
    """This process's threads besides the calling one. They start when first needed, and sleep in between."""
    return ThreadPoolExecutor(os.cpu_count())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.cache_clear)  # a forked process has none of its parent's threads


def in_threads(work: Callable[[int], None]) -> None:
    """Call work(t) for every t below numba's number of threads, at the same time: 0 here, the others in the pool."""
    others = [pool().submit(work, t) for t in range(1, numba.get_num_threads())]
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
    layers["units"], layers["width"] = network.sizes, padded(network.sizes, lanes)
    for number in range(2, len(layers)):
        first, before, layer = number == 2, layers[number - 1], layers[number]
        columns = padded(before["units"] + 1, lanes)
        layer["column"] = before["column"] + (max(columns, blocks * width) if first else columns)
        layer["matrix"] = 0 if first else before["matrix"] + (layers[number - 2]["units"] + 1) * before["width"]
        layer["transposed"] = 0 if first else before["transposed"] + before["units"] * layers[number - 2]["width"]
    return Shape(layers, CODES[network.hidden], CODES[network.output]), blocks, width


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


def allocate_lists(network: Network, dtype: Any) -> NonzeroLists:
    """Room for the lists of a block of images, for each thread."""
    threads, n_inputs = numba.get_num_threads(), network.sizes[0]
    groups = BLOCK // GROUP
    capacity = int(padded(n_inputs + 1, VECTOR)) + VECTOR  # beyond the end of a list a whole vector is written
    return NonzeroLists(
        sequence=aligned(threads, BLOCK, dtype=np.int64),
        counts=aligned(threads, padded(network.sizes[-1] + 1, VECTOR // 8), dtype=np.int64),
        ends=aligned(threads, groups, -(-n_inputs // STRIP), dtype=np.int64),
        pixels=aligned(threads, groups, capacity, dtype=np.uint16),
        values=aligned(threads, groups, GROUP, capacity, dtype=dtype),
        rows=aligned(threads, GROUP, capacity * dtype.itemsize, dtype=np.uint8),
        kept=aligned(threads, GROUP, capacity * dtype.itemsize, dtype=np.uint8),
    )


def allocate_values(shape: Shape, weights: Weights) -> Values:
    """Room for what the blocks of images have."""
    blocks, _, width = weights.first.shape
    dtype, threads = weights.first.dtype, numba.get_num_threads()
    n, last = max(BLOCK, GROUP * threads), shape.layers[-1]
    columns = last["column"] + padded(last["units"] + 1, VECTOR // dtype.itemsize)
    if len(shape.layers) == 2:
        columns = max(columns, blocks * width)
    rows = aligned(2, n, columns, dtype=dtype)
    first = aligned(blocks, n, width, dtype=dtype)
    transposed = aligned(threads, end_of(shape, "transposed"), dtype=dtype)
    gradients = aligned(threads, len(weights.rest), dtype=dtype)
    return Values(first, rows[0], rows[1], transposed, gradients, aligned(threads, dtype=dtype))


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
    no_images = read_only(np.empty((0, network.sizes[0]), dtype if of_bytes else np.uint8))
    return Data(
        images if of_bytes else no_images,
        no_images if of_bytes else images,
        nothing if labels is None else labels,
        nothing if order is None else order.copy(),
        dtype.type(network.pixel_scale),
    )
