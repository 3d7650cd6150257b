"""`cuda`: a whole plan in one launch on an NVIDIA GPU, in kernels written in Python and compiled by numba.

There are two ways. A network of one hidden layer, trained on bytes, stays in the multiprocessors' shared memory from
the first update to the last (resident.py), if its share of a multiprocessor fits there beside the images of a step.
Every other network, and images of floats, are trained by matrix products in global memory (general.py), as all
outputs are computed. `way` says which, and why.

A gradient is the velocity after one update from rest: v <- mu v + g, with v = 0. So it is computed by the code that
trains.

This file has what a backend has, and lays parameters, images and plans out in memory. functions.py and device.py have
what both ways use.
"""

import functools
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numba import cuda

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State
from impls.cuda import general, resident
from impls.cuda.device import Limits, launch, limits, named_errors
from impls.cuda.resident import BUFFERS, PIECE, WORD, Shape

NAME: Final = "cuda"
SUMMARY: Final = "numba.cuda: a whole plan in one launch on a GPU; one hidden layer stays in shared memory"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128
DEVICES: Final = ("cuda",)
DEVICE: Final = "cuda"
PRECISION: Final = {"cuda": "ieee"}  # of all arithmetic, in true float32: no tensor cores, no TF32

MOST_IMAGES = 8192  # in a step of the general way, so that memory does not grow with the batch
FEWEST_IMAGES = 8  # in a step of the resident way, which would wait more than it computes
MOST_SUMS = 32  # numbers of a thread's own, for the gradient: more would leave the registers

# Each is compiled at its first call, in seconds.
trainer: Any = functools.cache(general.trainer_of)
answerer: Any = functools.cache(general.answerer_of)
resident_kernel: Any = functools.cache(resident.kernel_of)


class Prepared(NamedTuple):
    """A split in the device's memory, and room there that calls use again."""

    images: Any  # (n, pixels): bytes, in rows that are filled up with zeros to whole pieces; or floats
    labels: Any  # (n,) int32, or None
    n: int
    room: dict[str, Any]


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Everything is supported."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images and labels in the device's memory: uint8 as it is, floats in the dtype."""
    n, n_pixels = images.shape
    of_bytes = images.dtype == np.uint8
    rows = np.asarray(images, np.uint8 if of_bytes else dtype, order="C")
    if of_bytes and row_length(n_pixels) > n_pixels:
        rows = np.pad(rows, ((0, 0), (0, row_length(n_pixels) - n_pixels)))
    with named_errors():
        on_device = None if labels is None else cuda.to_device(labels.astype(np.int32))
        return Prepared(cuda.to_device(rows), on_device, n, {})


def row_length(n_pixels: int) -> int:
    """The bytes of a row of an image: an odd number of pieces."""
    return PIECE * (-(-n_pixels // PIECE) | 1)


def way(network: Network, dtype: Any, momentum: bool, of_bytes: bool, device: Limits) -> Shape | str:
    """The resident way's shape, or why a plan goes the general way. dtype: np.float32 or np.float64."""
    if len(network.sizes) != 3:
        return f"{len(network.sizes) - 2} hidden layers: expected one"
    if not of_bytes:
        return "images of floats: expected bytes"
    if not device.copies:
        return "the GPU cannot copy to shared memory in the background: expected compute capability 8.0 or more"
    n_inputs, n_hidden, n_outputs = network.sizes
    n_units = -(-n_hidden // device.n_multiprocessors)
    n_pieces, n_threads = row_length(n_inputs) // PIECE, device.n_threads
    shapes = [
        Shape(
            dtype, n_threads, device.n_multiprocessors, n_units, n_outputs, n_pieces, 0, n_words, network.hidden,
            network.output, momentum,
        )
        for n_words in (1, 2, 4)
        if WORD * n_words * n_units <= MOST_SUMS and n_pieces * PIECE // WORD // n_words <= n_threads
    ]  # fmt: skip
    if not shapes or max(shape.n_small for shape in shapes) > n_threads:
        return f"{n_units} hidden units a multiprocessor, {n_outputs} outputs, {n_inputs} pixels: too many for a block"
    shape = max(shapes, key=lambda shape: shape.groups * shape.slots)  # of those equal in threads at work, the first
    per_image = shape._replace(n_images=2).n_bytes - shape._replace(n_images=1).n_bytes
    n_images = min((device.n_bytes - shape.n_bytes) // per_image, n_threads)
    if n_images < FEWEST_IMAGES:
        return f"shared memory of {device.n_bytes} bytes: too little for its weights beside {FEWEST_IMAGES} images"
    return shape._replace(n_images=n_images)


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    dtype, device = parameters[0].weights.dtype, limits()
    all_images = Plan(np.array([0]), np.array([prepared.n]), None, np.zeros(1))
    steps = steps_of(all_images, MOST_IMAGES)
    with named_errors():
        sent = functools.partial(send, prepared.room)
        result = room(prepared.room, "result", (prepared.n, network.sizes[-1]), dtype)
        launch(
            answerer(dtype.type, device.side, network.hidden, network.output),
            general.AT_ONCE * device.n_multiprocessors, device.side**2, 0,
            prepared.images, file_order(prepared), sent("steps", steps),
            dtype.type(network.pixel_scale), sent("layers", layers_of(network, steps)),
            sent("weights", flat(parameters)), values_of(prepared.room, "values", network, steps, dtype), result,
        )  # fmt: skip
        return result.copy_to_host()


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    plan = Plan(np.array([0]), np.array([prepared.n]), None, np.zeros(1), momentum=0.5)
    at_rest = tuple(Layer(np.zeros_like(w), np.zeros_like(b)) for w, b in parameters)
    state, costs = train(network, State(parameters, at_rest), prepared, plan)
    return costs[0], state.velocities


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    dtype, device = state.parameters[0].weights.dtype, limits()
    shape = way(network, dtype.type, plan.momentum > 0, prepared.images.dtype == np.uint8, device)
    with named_errors():
        if isinstance(shape, str):
            return train_in_general(network, state, prepared, plan, device)
        return train_resident(network, state, prepared, plan, shape)


def train_resident(network: Network, state: State, prepared: Prepared, plan: Plan, shape: Shape) -> tuple[State, Array]:
    """A training whose weights stay in shared memory."""
    dtype = state.parameters[0].weights.dtype
    steps = np.pad(steps_of(plan, shape.n_images), ((0, BUFFERS), (0, 0)))  # it looks ahead
    sent, halves = functools.partial(send, prepared.room), dtype.itemsize // 4
    own, velocities = (sent(name, pack(shape, part)) for name, part in zip(State._fields, state, strict=True))
    exchanged, n_blocks = shape.n_images * shape.n_outputs * halves, len(own)
    order, rates, ends, costs, means = plan_of(plan, prepared, dtype)
    launch(
        resident_kernel(shape), n_blocks, shape.n_threads, shape.n_bytes,
        prepared.images.view(np.uint32).reshape(-1), prepared.labels, order, sent("steps", steps), rates,
        dtype.type(plan.momentum), dtype.type(network.pixel_scale), np.int32(network.sizes[1]), own, velocities,
        room(prepared.room, "logits", (exchanged * n_blocks,), np.uint64),
        room(prepared.room, "deltas", (exchanged,), np.uint64), costs, ends, means,
    )  # fmt: skip
    parameters = unpack(shape, own.copy_to_host(), network)
    moved = unpack(shape, velocities.copy_to_host(), network)
    return State(parameters, moved), means.copy_to_host()


def train_in_general(
    network: Network, state: State, prepared: Prepared, plan: Plan, device: Limits
) -> tuple[State, Array]:
    """A training of any network."""
    dtype, steps = state.parameters[0].weights.dtype, steps_of(plan, MOST_IMAGES)
    sent = functools.partial(send, prepared.room)
    weights, velocities = (sent(f"all {name}", flat(part)) for name, part in zip(State._fields, state, strict=True))
    order, rates, ends, costs, means = plan_of(plan, prepared, dtype)
    launch(
        trainer(dtype.type, device.side, network.hidden, network.output),
        general.AT_ONCE * device.n_multiprocessors, device.side**2, 0,
        prepared.images, prepared.labels, order, sent("steps", steps), rates, dtype.type(plan.momentum),
        dtype.type(network.pixel_scale), sent("layers", layers_of(network, steps)), weights, velocities,
        room(prepared.room, "gradients", weights.shape, dtype),
        values_of(prepared.room, "values", network, steps, dtype),
        values_of(prepared.room, "value deltas", network, steps, dtype), costs, ends, means,
    )  # fmt: skip
    parameters, moved = (split(array.copy_to_host(), network) for array in (weights, velocities))
    return State(parameters, moved), means.copy_to_host()


# --- memory layout ---------------------------------------------------------------------------------------------------


def room(rooms: dict[str, Any], name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """An array on the device of this name: the one of an earlier call, if it is alike."""
    kept = rooms.get(name)
    if kept is None or kept.shape != shape or kept.dtype != dtype:
        rooms.pop(name, None)  # its memory is free again before more is taken
        rooms[name] = kept = cuda.device_array(shape, dtype)
    return kept


def send(rooms: dict[str, Any], name: str, array: Array) -> Any:
    """A copy of this array on the device."""
    there = room(rooms, name, array.shape, array.dtype)
    there.copy_to_device(array)
    return there


def file_order(prepared: Prepared) -> Any:
    """The numbers of all images on the device, sent once."""
    if "file order" not in prepared.room:
        send(prepared.room, "file order", np.arange(prepared.n, dtype=np.int32))
    return prepared.room["file order"]


def steps_of(plan: Plan, most: int) -> Array:
    """The plan's updates in steps of at most so many images each, int32: see `resident.START`."""
    lengths = plan.stops - plan.starts
    counts = -(-lengths // most)
    sizes = -(-lengths // counts)
    update = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(update)) - np.repeat(np.cumsum(counts) - counts, counts)  # within its update
    begins = number * sizes[update]
    steps = np.empty((len(update), 5), np.int32)
    steps[:, resident.START] = plan.starts[update] + begins
    steps[:, resident.SIZE] = np.minimum(sizes[update], lengths[update] - begins)
    steps[:, resident.WHOLE] = lengths[update]
    steps[:, resident.LAST] = number == counts[update] - 1
    steps[:, resident.SHIFT] = [int(size - 1).bit_length() for size in steps[:, resident.SIZE]]
    return steps


def plan_of(plan: Plan, prepared: Prepared, dtype: Any) -> tuple[Any, Any, Any, Any, Any]:
    """On the device: order, rates, where each update's costs end, and room for the costs of images and of updates."""
    sent = functools.partial(send, prepared.room)
    order = file_order(prepared) if plan.order is None else sent("order", plan.order.astype(np.int32))
    ends = np.concatenate([[0], np.cumsum(plan.stops - plan.starts)])
    costs = room(prepared.room, "costs", (int(ends[-1]),), dtype)
    means = room(prepared.room, "means", plan.starts.shape, dtype)
    return order, sent("rates", plan.learning_rates.astype(dtype)), sent("ends", ends), costs, means


def layers_of(network: Network, steps: Array) -> Array:
    """The table of layers, int64: see `general.FAN_IN`."""
    fan_in, fan_out = np.array([*pairwise(network.sizes)], np.int64).T
    sizes, most = (fan_in + 1) * fan_out, int(steps[:, general.SIZE].max())
    return np.stack([fan_in, fan_out, np.cumsum(sizes) - sizes, most * (np.cumsum(fan_out) - fan_out)], axis=1)


def values_of(rooms: dict[str, Any], name: str, network: Network, steps: Array, dtype: Any) -> Any:
    """Room for a number of every unit, for the images of a step."""
    return room(rooms, name, (int(steps[:, general.SIZE].max()) * sum(network.sizes[1:]),), dtype)


def flat(parameters: Parameters) -> Array:
    """All weights and biases in one vector, each layer's biases after its weights."""
    return np.concatenate([np.ravel(array) for layer in parameters for array in layer])


def split(vector: Array, network: Network) -> Parameters:
    """The layers that `flat` put there."""
    layers, first = [], 0
    for fan_in, fan_out in pairwise(network.sizes):
        rows = vector[first : first + (fan_in + 1) * fan_out].reshape(fan_in + 1, fan_out)
        layers.append(Layer(rows[:-1].copy(), rows[-1].copy()))
        first += rows.size
    return tuple(layers)


def pack(shape: Shape, parameters: Parameters) -> Array:
    """What each block owns, (blocks, n_parameters): see `Shape.n_parameters`."""
    (first, biases), (second, output_biases) = parameters
    n_blocks = -(-len(biases) // shape.n_units)
    columns = np.zeros((n_blocks * shape.n_units, shape.n_pixels), first.dtype)
    rows = np.zeros((n_blocks * shape.n_units, 1 + shape.n_outputs), first.dtype)
    columns[: len(biases), : len(first)] = first.T
    rows[: len(biases), 0], rows[: len(biases), 1:] = biases, second
    of_blocks = rows.reshape(n_blocks, shape.n_units, -1)
    parts = [
        columns.reshape(n_blocks, -1),
        of_blocks[:, :, 0],
        of_blocks[:, :, 1:].reshape(n_blocks, -1),
        np.broadcast_to(output_biases, (n_blocks, shape.n_outputs)),
    ]
    own = np.zeros((n_blocks, shape.n_parameters), first.dtype)
    own[:, : shape.n_units * shape.n_pixels + shape.n_small] = np.concatenate(parts, axis=1)
    return own


def unpack(shape: Shape, own: Array, network: Network) -> Parameters:
    """The layers that `pack` put there."""
    n_inputs, n_hidden, n_outputs = network.sizes
    ends = np.cumsum([shape.n_units * shape.n_pixels, shape.n_units, shape.n_units * n_outputs, n_outputs])
    columns, biases, rows, output_biases, _ = np.split(own, ends, axis=1)
    first = columns.reshape(-1, shape.n_pixels)[:n_hidden, :n_inputs].T.copy()
    second = rows.reshape(-1, n_outputs)[:n_hidden].copy()
    return Layer(first, biases.reshape(-1)[:n_hidden].copy()), Layer(second, output_biases[0].copy())
