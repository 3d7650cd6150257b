"""The text of `minibatch`, with the images of each update shared among processes: the textbook way to train with MPI.

Each rank has all parameters. Of an update's n images, rank r takes those from n r // R up to n (r + 1) // R, and
computes their gradient; `Allreduce` adds the gradients and the costs of all ranks, and each makes the same update. So a
vector of the parameters' size travels in every update: 407 kB for 784-128-10 in float32, for 0.1 ms of arithmetic at a
batch of 128. Cost: that, and a copy of the images as floats in every rank.

In what order the gradients are added is MPI's choice; MPICH's is the same for the same ranks and sizes, and with two
ranks there is but one. On one rank the result is that of `minibatch`, bit for bit.
"""

import weakref
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from impls import ranks
from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

NAME: Final = "mpi_images"
SUMMARY: Final = "minibatch on several processes: each some of the images, gradients added by MPI"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128
RANKS = 2  # processes; a name that ends with a number, as mpi_images:4 does, sets another

BLOCK: Final = 1000  # images at a time where only outputs are computed
MOST: Final = 400_000_000  # bytes of images that a rank scales at most: enough for MNIST, even in float64


class Prepared:
    """What the ranks keep of a split, for as long as this is there. n: its images."""

    def __init__(self, kept: ranks.Kept, n: int) -> None:
        self.kept, self.n = kept, n
        weakref.finalize(self, program().forget, kept)


def program() -> ranks.Ranks:
    """The ranks, which are started at the first call."""
    return ranks.ranks_of(__file__, RANKS)


def processes() -> list[int]:
    """The numbers of the processes that compute for this one."""
    return program().pids


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: every quantity, network and dtype of the contract is supported."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """In each rank: the images scaled and in the dtype, the labels one-hot; see `Share`."""
    arrays = [images] if labels is None else [images, labels]
    with ranks.stored(*arrays) as files:
        return Prepared(program().keep("prepare_share", network, files, dtype), len(images))


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    return np.concatenate(program().call("outputs_of_share", network, parameters, prepared.kept))


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    (cost, gradient), *_ = program().call("gradient_with_others", network, parameters, prepared.kept)
    return cost, unpack(network.sizes, gradient)


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    state = State(*state)
    (parameters, velocities, costs), *_ = program().call("train_with_others", network, state, prepared.kept, plan)
    return State(unpack(network.sizes, parameters), unpack(network.sizes, velocities)), costs


def exchanged(network: Network, images: int, itemsize: int) -> int:
    """Bytes that a rank has to tell the others in an update of so many images: the gradient and the cost."""
    return itemsize * (sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(network.sizes)) + 1)


# --- in each rank -------------------------------------------------------------------------------------------------


class Share(NamedTuple):
    """Images (n, n_inputs), or scaled with a last column of ones (n, n_inputs + 1); targets (n, n_outputs), one-hot.

    All of them, as the plan decides which of them are this rank's in an update.
    """

    images: Array
    scaled: bool
    targets: Array | None


class Buffers(NamedTuple):
    """Memory for the largest update.

    The output layer has few columns, so it is stored by columns (Fortran order): then the maximum and the sum over each
    row's outputs are computed for all rows at once.
    """

    images: Array  # (rows, n_inputs + 1) with a last column of ones, used where a batch is not a view of scaled images
    a: list[Array]  # hidden layers, (rows, fan_out + 1) with a last column of ones
    delta: list[Array]  # hidden layers, (rows, fan_out)
    z: Array  # (rows, n_outputs), of the output layer
    delta_out: Array  # the same


def share_of(comm: "Intracomm", start: int, stop: int) -> tuple[int, int]:
    """Which of the positions start:stop are this rank's; none where there are more ranks than positions."""
    n = stop - start
    return start + n * comm.rank // comm.size, start + n * (comm.rank + 1) // comm.size


def prepare_share(comm: "Intracomm", network: Network, files: list[ranks.Stored], dtype: DType) -> Share:
    """The images scaled and in the dtype, with a last column of ones; the labels one-hot.

    Images that would take more than MOST bytes stay in their file, and are scaled batch by batch.
    """
    images, *labels = (one.open() for one in files)
    n, n_inputs = images.shape
    targets = np.asfortranarray(np.eye(network.sizes[-1], dtype=dtype)[labels[0]]) if labels else None
    if n * (n_inputs + 1) * np.dtype(dtype).itemsize > MOST:
        return Share(images, False, targets)
    scaled = np.ones((n, n_inputs + 1), dtype)
    scale(network, images, scaled)
    return Share(scaled, True, targets)


def scale(network: Network, images: Array, scaled: Array) -> None:
    """Fill all columns but the last of `scaled`, in its dtype."""
    np.multiply(images, network.pixel_scale, out=scaled[:, :-1], dtype=scaled.dtype, casting="unsafe")


def pack(parameters: Parameters) -> Array:
    """All parameters in one new vector: weights and biases of the first layer, of the second, ..."""
    return np.concatenate([array.ravel() for layer in parameters for array in layer])


def matrices(sizes: tuple[int, ...], vector: Array) -> list[Array]:
    """The layers in a vector made by `pack`, as views (fan_in + 1, fan_out), whose last row is the biases."""
    ends = np.cumsum([(fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes)])
    return [part.reshape(-1, size) for part, size in zip(np.split(vector, ends[:-1]), sizes[1:], strict=True)]


def unpack(sizes: tuple[int, ...], vector: Array) -> Parameters:
    """The same as layers of weights and biases, also views."""
    return tuple(Layer(matrix[:-1], matrix[-1]) for matrix in matrices(sizes, vector))


def make_buffers(network: Network, rows: int, views: bool, dtype: np.dtype[np.floating]) -> Buffers:
    """Buffers for updates of at most this many rows. views: whether all batches are views of scaled images."""
    n_inputs, *hidden, n_outputs = network.sizes
    return Buffers(
        np.ones((0 if views else rows, n_inputs + 1), dtype),
        [np.ones((rows, size + 1), dtype) for size in hidden],
        [np.empty((rows, size), dtype) for size in hidden],
        np.empty((rows, n_outputs), dtype, order="F"),
        np.empty((rows, n_outputs), dtype, order="F"),
    )


def batch_of(network: Network, share: Share, chosen: slice | Array, n: int, buffers: Buffers) -> Array:
    """The n chosen images, scaled, with a last column of ones: a view where possible, else in a buffer."""
    images = buffers.images[:n]
    if not share.scaled:
        scale(network, share.images[chosen], images)
    elif isinstance(chosen, slice):
        return share.images[chosen]
    else:  # with mode="clip" np.take needs no second buffer; the indices have been checked
        np.take(share.images, chosen, axis=0, out=images, mode="clip")
    return images


def activate(name: str, z: Array) -> None:
    """z becomes activation(z)."""
    if name == "relu":
        np.maximum(z, 0, out=z)
    elif name == "tanh":
        np.tanh(z, out=z)
    else:  # sigmoid(z) = (1 + tanh(z / 2)) / 2 cannot overflow
        z *= 0.5
        np.tanh(z, out=z)
        z *= 0.5
        z += 0.5


def times_derivative(name: str, a: Array, delta: Array) -> None:
    """delta *= activation'(z), from a = activation(z), which is overwritten."""
    if name == "relu":
        np.greater(a, 0, out=a)
    elif name == "tanh":
        a *= a
        np.subtract(1, a, out=a)
    else:
        delta *= a
        np.subtract(1, a, out=a)
    delta *= a


def forward(network: Network, layers: list[Array], images: Array, buffers: Buffers) -> None:
    """Fill the first rows of the buffers' a and z."""
    n = len(images)
    previous = images
    for weights, a in zip(layers[:-1], buffers.a, strict=True):
        np.matmul(previous, weights, out=a[:n, :-1])
        activate(network.hidden, a[:n, :-1])
        previous = a[:n]
    np.matmul(previous, layers[-1], out=buffers.z[:n])


def output_layer(network: Network, z: Array, targets: Array, delta: Array) -> float:
    """The summed cost; delta becomes d(summed cost)/dz, z is overwritten."""
    if network.cost == "cross_entropy":
        z -= z.max(axis=1, keepdims=True)
        right = np.multiply(z, targets, out=delta).sum()  # the sum of the shifted z of the labels
        np.exp(z, out=z)
        sums = z.sum(axis=1, keepdims=True)
        z /= sums
        np.subtract(z, targets, out=delta)
        return float(np.log(sums).sum() - right)
    activate(network.output, z)
    np.subtract(z, targets, out=delta)
    cost = float(np.square(delta).sum()) / 2
    times_derivative(network.output, z, delta)
    return cost


def gradient_of_batch(
    network: Network,
    layers: list[Array],
    images: Array,
    targets: Array,
    factor: float,
    buffers: Buffers,
    gradient: list[Array],
) -> float:
    """The summed cost of a batch; `gradient`, matrices like the layers', becomes factor times that sum's gradient."""
    n = len(images)
    forward(network, layers, images, buffers)
    delta = buffers.delta_out[:n]
    cost = output_layer(network, buffers.z[:n], targets, delta)
    delta *= factor
    for number in range(len(layers) - 1, 0, -1):
        a = buffers.a[number - 1][:n]
        np.matmul(a.T, delta, out=gradient[number])
        delta = np.matmul(delta, layers[number][:-1].T, out=buffers.delta[number - 1][:n])
        times_derivative(network.hidden, a[:, :-1], delta)
    np.matmul(images.T, delta, out=gradient[0])
    return cost


def add_up(comm: "Intracomm", gradient: Array, cost: float) -> float:
    """The gradient, whose last number is free, becomes the sum of those of all ranks; return the sum of their costs."""
    gradient[-1] = cost
    if comm.size > 1:
        from mpi4py import MPI

        comm.Allreduce(MPI.IN_PLACE, gradient)
    return float(gradient[-1])


def outputs_of_share(comm: "Intracomm", network: Network, parameters: Parameters, share: Share) -> Array:
    """The last activations of this rank's part of the images."""
    first, last = share_of(comm, 0, len(share.images))
    layers = matrices(network.sizes, pack(parameters))
    result = np.empty((last - first, network.sizes[-1]), layers[0].dtype)
    buffers = make_buffers(network, min(last - first, BLOCK), share.scaled, result.dtype)
    for start in range(first, last, BLOCK):
        block = slice(start, min(start + BLOCK, last))
        images = batch_of(network, share, block, block.stop - start, buffers)
        forward(network, layers, images, buffers)
        z = buffers.z[: len(images)]
        if network.output == "softmax":
            z -= z.max(axis=1, keepdims=True)
            np.exp(z, out=z)
            z /= z.sum(axis=1, keepdims=True)
        else:
            activate(network.output, z)
        result[start - first : start - first + BLOCK] = z
    return result


def gradient_with_others(
    comm: "Intracomm", network: Network, parameters: Parameters, share: Share
) -> tuple[float, Array] | None:
    """Mean cost of all images, and its gradient packed; None but in the first rank."""
    assert share.targets is not None
    n = len(share.images)
    first, last = share_of(comm, 0, n)
    packed = pack(parameters)
    gradient = np.empty(packed.size + 1, packed.dtype)
    layers, gradient_layers = matrices(network.sizes, packed), matrices(network.sizes, gradient[:-1])
    buffers = make_buffers(network, last - first, share.scaled, packed.dtype)
    images = batch_of(network, share, slice(first, last), last - first, buffers)
    targets = share.targets[first:last]
    cost = gradient_of_batch(network, layers, images, targets, 1 / n, buffers, gradient_layers)
    cost = add_up(comm, gradient, cost)
    return None if comm.rank else (cost / n, gradient[:-1])


def train_with_others(
    comm: "Intracomm", network: Network, state: State, share: Share, plan: Plan
) -> tuple[Array, Array, Array] | None:
    """Parameters and velocities after the plan, packed, and the costs; None but in the first rank."""
    assert share.targets is not None
    parameters, velocities = pack(state.parameters), pack(state.velocities)
    gradient = np.empty(parameters.size + 1, parameters.dtype)
    layers, gradient_layers = matrices(network.sizes, parameters), matrices(network.sizes, gradient[:-1])
    largest = -(-int((plan.stops - plan.starts).max()) // comm.size)
    buffers = make_buffers(network, largest, share.scaled and plan.order is None, parameters.dtype)
    mu = plan.momentum
    costs = np.empty(len(plan.starts), parameters.dtype)
    updates = zip(plan.starts.tolist(), plan.stops.tolist(), plan.learning_rates.tolist(), strict=True)
    for u, (start, stop, rate) in enumerate(updates):
        n = stop - start
        first, last = share_of(comm, start, stop)
        chosen = slice(first, last) if plan.order is None else plan.order[first:last]
        images, targets = batch_of(network, share, chosen, last - first, buffers), share.targets[chosen]
        factor = 1 / n if mu > 0 else rate / n
        cost = gradient_of_batch(network, layers, images, targets, factor, buffers, gradient_layers)
        costs[u] = add_up(comm, gradient, cost) / n
        step = gradient[:-1]
        if mu > 0:
            velocities *= mu
            velocities += step
            step += mu * velocities
            step *= rate
        parameters -= step
    return None if comm.rank else (parameters, velocities, costs)
