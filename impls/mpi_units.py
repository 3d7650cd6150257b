"""The text of `minibatch`, with the units of the first hidden layer shared among processes.

Rank r of R has the units from h r // R up to h (r + 1) // R: the columns of the first layer's weights and biases that
belong to them, and the rows of the second layer's weights; the last rank also has the second layer's biases. Each rank
reads every image. What its units add to the second layer's z, (n, n_outputs) where that is the last, is all that it
tells the others: 5 kB for 128 images and ten outputs in float32, and each rank then has all that its own gradient
needs. Layers after the second are the same in every rank, which all compute them. Cost: a copy of the images as floats
in every rank, and each of them converts every batch where the plan shuffles; and no more ranks than units.

The parts of z are gathered (`Allgather`), and each rank adds them in the order of the ranks: the same bits in every
rank, and every time. On one rank the result is that of `minibatch`, bit for bit.
"""

import weakref
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from impls import ranks
from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

NAME: Final = "mpi_units"
SUMMARY: Final = "minibatch on several processes: each some of the hidden units, partial sums exchanged"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128
RANKS = 2  # processes; a name that ends with a number, as mpi_units:4 does, sets another

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
    """A network with fewer units in its first hidden layer, perhaps none, than ranks; but one rank can do all."""
    units = network.sizes[1] if len(network.sizes) > 2 else 0
    return ranks.shared_among(str(network), units, RANKS) if RANKS > 1 else None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """In each rank: the images scaled and in the dtype, the labels one-hot; see `Share`."""
    arrays = [images] if labels is None else [images, labels]
    with ranks.stored(*arrays) as files:
        return Prepared(program().keep("prepare_share", network, files, dtype), len(images))


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    result, *_ = program().call("outputs_with_others", network, parameters, prepared.kept)
    return np.asarray(result)


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    answers = program().call("gradient_of_share", network, parameters, prepared.kept)
    return answers[0][0], joined([gradient for _, gradient in answers])


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    answers = program().call("train_share", network, State(*state), prepared.kept, plan)
    parameters, velocities = (joined([answer[part] for answer in answers]) for part in (0, 1))
    return State(parameters, velocities), answers[0][2]


def joined(shares: list[list[Array]]) -> Parameters:
    """The layers, from each rank's matrices (fan_in + 1, fan_out), whose last row is the biases; see `share_of`."""
    first, *others = shares[0]
    layers = [np.concatenate([share[0] for share in shares], axis=1) if len(shares) > 1 else first]
    if others:
        layers.append(np.concatenate([share[1] for share in shares]))
    layers += others[1:]
    return tuple(Layer(matrix[:-1], matrix[-1]) for matrix in layers)


def exchanged(network: Network, images: int, itemsize: int) -> int:
    """Bytes that a rank has to tell the others in an update of so many images: its part of the second layer's z."""
    return itemsize * images * network.sizes[2]


# --- in each rank -------------------------------------------------------------------------------------------------


class Share(NamedTuple):
    """Images (n, n_inputs), or scaled with a last column of ones (n, n_inputs + 1); labels (n,).

    All of them: this rank's share is of the units.
    """

    images: Array
    scaled: bool
    labels: Array | None


class Buffers(NamedTuple):
    """Memory for the largest update.

    The output layer has few columns, so it is stored by columns (Fortran order): then the maximum and the sum over each
    row's outputs are computed for all rows at once. `parts` is stored so too, as each rank sends what lies together.
    """

    images: Array  # (rows, n_inputs + 1) with a last column of ones, used where a batch is not a view of scaled images
    a: list[
        Array
    ]  # hidden layers, (rows, fan_out + 1) with a last column of ones; the first one's are this rank's units
    delta: list[Array]  # hidden layers, (rows, fan_out); the first one's are this rank's units
    part: Array  # (rows * size of the second layer,), what this rank's units add to z there
    parts: Array  # (ranks, the same)
    z: Array  # (rows, n_outputs), of the output layer
    delta_out: Array  # the same


def prepare_share(comm: "Intracomm", network: Network, files: list[ranks.Stored], dtype: DType) -> Share:
    """The images scaled and in the dtype, with a last column of ones; the labels as they are.

    Images that would take more than MOST bytes stay in their file, and are scaled batch by batch.
    """
    images, *labels = (one.open() for one in files)
    n, n_inputs = images.shape
    if n * (n_inputs + 1) * np.dtype(dtype).itemsize > MOST:
        return Share(images, False, labels[0] if labels else None)
    scaled = np.ones((n, n_inputs + 1), dtype)
    scale(network, images, scaled)
    return Share(scaled, True, labels[0] if labels else None)


def scale(network: Network, images: Array, scaled: Array) -> None:
    """Fill all columns but the last of `scaled`, in its dtype."""
    np.multiply(images, network.pixel_scale, out=scaled[:, :-1], dtype=scaled.dtype, casting="unsafe")


def share_of(comm: "Intracomm", parameters: Parameters) -> list[Array]:
    """This rank's part of each layer, new matrices whose last row is the biases.

    The first layer's (n_inputs + 1, units), the second's (units, fan_out), in the last rank with a last row for the
    biases, and all others whole. On one rank, the whole network.
    """
    whole = [np.vstack([weights, biases]) for weights, biases in parameters]
    if comm.size == 1 or len(whole) == 1:
        return whole
    units = whole[0].shape[1]
    first, last = units * comm.rank // comm.size, units * (comm.rank + 1) // comm.size
    rows = slice(first, last + (comm.rank == comm.size - 1))
    return [np.ascontiguousarray(whole[0][:, first:last]), np.ascontiguousarray(whole[1][rows]), *whole[2:]]


def like(layers: list[Array], vector: Array) -> list[Array]:
    """Parts of a vector, one for each matrix, of its shape."""
    ends = np.cumsum([layer.size for layer in layers])
    parts = np.split(vector, ends[:-1])
    return [part.reshape(layer.shape) for part, layer in zip(parts, layers, strict=True)]


def in_a_vector(layers: list[Array]) -> Array:
    """All matrices in one new vector."""
    return np.concatenate([layer.ravel() for layer in layers])


def make_buffers(comm: "Intracomm", layers: list[Array], rows: int, views: bool) -> Buffers:
    """Buffers for updates of at most this many rows. views: whether all batches are views of scaled images."""
    dtype, n_inputs, n_outputs = layers[0].dtype, layers[0].shape[0] - 1, layers[-1].shape[1]
    hidden = [layer.shape[1] for layer in layers[:-1]]
    exchanged = rows * layers[1].shape[1] if hidden else 0
    return Buffers(
        np.ones((0 if views else rows, n_inputs + 1), dtype),
        [np.ones((rows, size + 1), dtype) for size in hidden],
        [np.empty((rows, size), dtype) for size in hidden],
        np.empty(exchanged, dtype),
        np.empty((comm.size, exchanged), dtype),
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


def add_parts(comm: "Intracomm", a: Array, weights: Array, z: Array, buffers: Buffers) -> None:
    """z becomes the sum over all ranks of a @ weights, added in the order of the ranks."""
    used = a[:, : len(weights)]  # without the column of ones where this rank does not have the biases
    if comm.size == 1:
        np.matmul(used, weights, out=z)
        return
    n, size = z.shape
    part, parts = buffers.part[: z.size], buffers.parts.reshape(-1)[: comm.size * z.size]
    np.matmul(used, weights, out=part.reshape(size, n).T)
    comm.Allgather(part, parts)
    first, second, *others = parts.reshape(comm.size, size, n)
    np.add(first.T, second.T, out=z)
    for other in others:
        z += other.T


def forward(comm: "Intracomm", network: Network, layers: list[Array], images: Array, buffers: Buffers) -> None:
    """Fill the first rows of the buffers' a and z."""
    n = len(images)
    previous = images
    for number, weights in enumerate(layers):
        last = number == len(layers) - 1
        z = buffers.z[:n] if last else buffers.a[number][:n, :-1]
        if number == 1:
            add_parts(comm, previous, weights, z, buffers)
        else:
            np.matmul(previous, weights, out=z)
        if not last:
            activate(network.hidden, z)
            previous = buffers.a[number][:n]


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
    comm: "Intracomm",
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
    forward(comm, network, layers, images, buffers)
    delta = buffers.delta_out[:n]
    cost = output_layer(network, buffers.z[:n], targets, delta)
    delta *= factor
    for number in range(len(layers) - 1, 0, -1):
        a, units = buffers.a[number - 1][:n], layers[number - 1].shape[1]
        np.matmul(a[:, : len(layers[number])].T, delta, out=gradient[number])
        delta = np.matmul(delta, layers[number][:units].T, out=buffers.delta[number - 1][:n])
        times_derivative(network.hidden, a[:, :-1], delta)
    np.matmul(images.T, delta, out=gradient[0])
    return cost


def targets_of(layers: list[Array], labels: Array) -> Array:
    """The labels one-hot, (n, n_outputs)."""
    return np.asfortranarray(np.eye(layers[-1].shape[1], dtype=layers[-1].dtype)[labels])


def outputs_with_others(comm: "Intracomm", network: Network, parameters: Parameters, share: Share) -> Array | None:
    """The last activations of all images, (n, n_outputs); None but in the first rank."""
    n, layers = len(share.images), share_of(comm, parameters)
    result = np.empty((n, network.sizes[-1]), layers[0].dtype)
    buffers = make_buffers(comm, layers, min(n, BLOCK), share.scaled)
    for first in range(0, n, BLOCK):
        block = slice(first, min(first + BLOCK, n))
        images = batch_of(network, share, block, block.stop - first, buffers)
        forward(comm, network, layers, images, buffers)
        z = buffers.z[: len(images)]
        if network.output == "softmax":
            z -= z.max(axis=1, keepdims=True)
            np.exp(z, out=z)
            z /= z.sum(axis=1, keepdims=True)
        else:
            activate(network.output, z)
        result[first : first + BLOCK] = z
    return None if comm.rank else result


def gradient_of_share(
    comm: "Intracomm", network: Network, parameters: Parameters, share: Share
) -> tuple[float, list[Array]]:
    """Mean cost of all images, and the gradient of this rank's part of each layer."""
    assert share.labels is not None
    n, layers = len(share.images), share_of(comm, parameters)
    gradient = [np.empty_like(layer) for layer in layers]
    buffers = make_buffers(comm, layers, n, share.scaled)
    images = batch_of(network, share, slice(0, n), n, buffers)
    targets = targets_of(layers, share.labels)
    return gradient_of_batch(comm, network, layers, images, targets, 1 / n, buffers, gradient) / n, gradient


def train_share(
    comm: "Intracomm", network: Network, state: State, share: Share, plan: Plan
) -> tuple[list[Array], list[Array], Array]:
    """This rank's part of the parameters and velocities after the plan; the cost before each update."""
    assert share.labels is not None
    layers, of_velocities = share_of(comm, state.parameters), share_of(comm, state.velocities)
    parameters, velocities = in_a_vector(layers), in_a_vector(of_velocities)
    gradient = np.empty_like(parameters)
    layers, gradient_layers = like(layers, parameters), like(layers, gradient)
    largest = int((plan.stops - plan.starts).max())
    buffers = make_buffers(comm, layers, largest, share.scaled and plan.order is None)
    mu = plan.momentum
    costs = np.empty(len(plan.starts), parameters.dtype)
    updates = zip(plan.starts.tolist(), plan.stops.tolist(), plan.learning_rates.tolist(), strict=True)
    for u, (start, stop, rate) in enumerate(updates):
        n = stop - start
        chosen = slice(start, stop) if plan.order is None else plan.order[start:stop]
        images, targets = batch_of(network, share, chosen, n, buffers), targets_of(layers, share.labels[chosen])
        factor = 1 / n if mu > 0 else rate / n
        costs[u] = gradient_of_batch(comm, network, layers, images, targets, factor, buffers, gradient_layers) / n
        if mu > 0:
            velocities *= mu
            velocities += gradient
            gradient += mu * velocities
            gradient *= rate
        parameters -= gradient
    return layers, like(layers, velocities), costs
