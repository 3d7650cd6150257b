"""Peer, `scipy_sparse`: the images as SciPy's CSR matrix, so that the first layer skips pixels that are zero.

Four fifths of MNIST's pixels are zero, and adding zero times something changes no sum; so the two products of the first
layer need a fifth of the arithmetic. The other layers are dense NumPy. Gain: images in a third of the memory, and fewer
multiplications. Cost: SciPy's sparse products are plain loops on one core, not tuned as BLAS is.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "scipy_sparse"
SUMMARY: Final = "matrices, with the images as SciPy's sparse rows"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) as a CSR matrix in the dtype, labels (n,)."""

    images: Any
    labels: Array | None


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: every quantity, network and dtype of the contract is supported."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The pixels that are not zero, scaled and in the dtype. `csr_array(images)` finds them too, in twice the time."""
    n, n_inputs = images.shape
    inked = images != 0
    values = np.multiply(images[inked], network.pixel_scale, dtype=dtype, casting="unsafe")
    columns = np.broadcast_to(np.arange(n_inputs, dtype=np.int32), (n, n_inputs))[inked]
    ends = np.cumsum(np.count_nonzero(inked, axis=1))
    return Prepared(csr_array((values, columns, np.concatenate([[0], ends])), shape=(n, n_inputs)), labels)


def rows(images: Any, start: int, stop: int) -> Any:
    """images[start:stop] without a copy of the values, which SciPy would make."""
    first, last = images.indptr[[start, stop]]
    parts = images.data[first:last], images.indices[first:last], images.indptr[start : stop + 1] - first
    return csr_array(parts, shape=(stop - start, images.shape[1]))


def activate(name: str, z: Array) -> Array:
    """activation(z), in place; softmax subtracts the largest z of each row first."""
    if name == "relu":
        return np.maximum(z, 0, out=z)
    if name == "tanh":
        return np.tanh(z, out=z)
    if name == "sigmoid":  # (1 + tanh(z / 2)) / 2 cannot overflow
        z *= 0.5
        np.tanh(z, out=z)
        z += 1
        z *= 0.5
        return z
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
    return z


def derivative(name: str, a: Array) -> Array:
    """The derivative of an activation function, from its value a."""
    if name == "sigmoid":
        return a * (1 - a)
    if name == "tanh":
        return 1 - a * a
    return a > 0


def forward(network: Network, parameters: Parameters, images: Any) -> list[Any]:
    """a_0 ... a_(L-1), and z of the output layer."""
    activations = [images]
    for number, (weights, biases) in enumerate(parameters, start=1):
        z = activations[-1] @ weights
        z += biases
        activations.append(activate(network.hidden, z) if number < len(parameters) else z)
    return activations


def mean_gradient(network: Network, parameters: Parameters, images: Any, labels: Array) -> tuple[float, Parameters]:
    """The mean cost of these images, and its gradient."""
    n = len(labels)
    *activations, z = forward(network, parameters, images)
    right = np.arange(n), labels
    if network.cost == "cross_entropy":
        z -= z.max(axis=1, keepdims=True)
        of_right = z[right]
        np.exp(z, out=z)
        sums = z.sum(axis=1, keepdims=True)
        cost = (np.log(sums[:, 0]) - of_right).mean()
        delta = np.divide(z, sums, out=z)
        delta[right] -= 1
    else:
        a = activate(network.output, z)
        delta = a.copy()
        delta[right] -= 1
        cost = np.square(delta).sum() / (2 * n)
        delta *= derivative(network.output, a)
    delta /= n
    gradient = []
    for number in range(len(parameters) - 1, -1, -1):
        a = activations[number]
        gradient.append(Layer(a.T @ delta, delta.sum(axis=0)))
        if number:
            delta = delta @ parameters[number].weights.T
            delta *= derivative(network.hidden, a)
    return float(cost), tuple(reversed(gradient))


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    return activate(network.output, forward(network, parameters, prepared.images)[-1])


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    assert prepared.labels is not None
    return mean_gradient(network, parameters, prepared.images, prepared.labels)


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    images, labels = prepared
    assert labels is not None
    parameters, velocities = (tuple(Layer(weights.copy(), biases.copy()) for weights, biases in part) for part in state)
    costs = np.empty(len(plan.starts), parameters[0].weights.dtype)
    updates = zip(plan.starts.tolist(), plan.stops.tolist(), plan.learning_rates.tolist(), strict=True)
    for u, (start, stop, rate) in enumerate(updates):
        if plan.order is None:
            batch, answers = rows(images, start, stop), labels[start:stop]
        else:
            chosen = plan.order[start:stop]
            batch, answers = images[chosen], labels[chosen]
        costs[u], gradient = mean_gradient(network, parameters, batch, answers)
        for layer, of_velocity, of_gradient in zip(parameters, velocities, gradient, strict=True):
            for p, v, g in zip(layer, of_velocity, of_gradient, strict=True):
                if plan.momentum > 0:
                    v *= plan.momentum
                    v += g
                    g += plan.momentum * v
                g *= rate
                p -= g
    return State(parameters, velocities), costs
