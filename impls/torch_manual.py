"""Peer, `torch_manual`: PyTorch as an array library, gradients by hand, everything in place, no autograd.

The tensors that an update needs are made once per plan. A product adds directly to what it changes: without momentum
`addmm_` with a negative factor is gradient and update in one, so that no gradient of the weights is ever written. Gain:
half as many calls into the library as with autograd, and one pass over the weights instead of three. Cost: the backward
pass is derived and maintained by hand.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import torch

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "torch_manual"
SUMMARY: Final = "PyTorch without autograd: gradients by hand, in place"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128

# MKL selects a function's kernel at its first call; if several threads make that call at once, one of them may get a
# kernel that is accurate to 12 bits only (PyTorch issue 188792). So the first call of each is made here, on one number.
for first_called in (torch.exp, torch.tanh):
    for kind in (torch.float32, torch.float64):
        first_called(torch.zeros(1, dtype=kind))


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs), and targets (n, n_outputs), the labels one-hot."""

    images: torch.Tensor
    targets: torch.Tensor | None


class Buffers(NamedTuple):
    """Memory for the largest update: activations and deltas of each layer, (rows, fan_out)."""

    a: list[torch.Tensor]  # for the output layer first z, then the outputs
    delta: list[torch.Tensor]


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: every quantity, network and dtype of the contract is supported."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images as one tensor, scaled and in the dtype; the labels one-hot."""
    scaled = torch.tensor(np.ascontiguousarray(images), dtype=getattr(torch, dtype)).mul_(network.pixel_scale)
    if labels is None:
        return Prepared(scaled, None)
    one_hot = torch.nn.functional.one_hot(torch.tensor(np.ascontiguousarray(labels)), network.sizes[-1])
    return Prepared(scaled, one_hot.to(scaled.dtype))


def to_tensors(parameters: Parameters) -> list[torch.Tensor]:
    """Weights and biases of the first layer, of the second, ..., copied."""
    return [torch.tensor(np.ascontiguousarray(array)) for layer in parameters for array in layer]


def to_layers(tensors: list[torch.Tensor]) -> Parameters:
    """The same as NumPy arrays, which take over the tensors' memory."""
    arrays = [tensor.numpy() for tensor in tensors]
    return tuple(map(Layer, arrays[::2], arrays[1::2]))


def make_buffers(network: Network, rows: int, dtype: torch.dtype) -> Buffers:
    """Buffers for updates of at most this many rows."""
    a, delta = ([torch.empty(rows, size, dtype=dtype) for size in network.sizes[1:]] for _ in range(2))
    return Buffers(a, delta)


def activate(name: str, z: torch.Tensor) -> None:
    """z becomes activation(z)."""
    if name == "relu":
        z.relu_()
    elif name == "tanh":
        z.tanh_()
    else:
        z.sigmoid_()


def times_derivative(name: str, a: torch.Tensor, delta: torch.Tensor) -> None:
    """delta *= activation'(z), from a = activation(z), which is overwritten."""
    if name == "relu":
        delta.mul_(a.gt_(0))
    elif name == "tanh":
        delta.mul_(a.square_().neg_().add_(1))
    else:
        delta.mul_(a).mul_(a.neg_().add_(1))


def forward(network: Network, parameters: list[torch.Tensor], images: torch.Tensor, a: list[torch.Tensor]) -> None:
    """Fill a with the activations of the hidden layers, and z of the output layer."""
    previous = images
    for number, a_of_layer in enumerate(a):
        weights, biases = parameters[2 * number : 2 * number + 2]
        torch.addmm(biases, previous, weights, out=a_of_layer)
        if number < len(a) - 1:
            activate(network.hidden, a_of_layer)
        previous = a_of_layer


def output_layer(network: Network, z: torch.Tensor, targets: torch.Tensor, delta: torch.Tensor) -> float:
    """The summed cost; delta becomes d(summed cost)/dz. z is overwritten."""
    if network.cost == "cross_entropy":
        torch.log_softmax(z, dim=1, out=delta)
        cost = -torch.mul(delta, targets, out=z).sum().item()
        delta.exp_().sub_(targets)
        return cost
    activate(network.output, z)
    torch.sub(z, targets, out=delta)
    cost = delta.square().sum().item() / 2
    times_derivative(network.output, z, delta)
    return cost


def backward(
    network: Network, parameters: list[torch.Tensor], images: torch.Tensor, buffers: Buffers
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Yield number, inputs and delta of each layer, the last first; inputs' @ delta is the gradient of its weights.

    A layer's parameters are not used after it is yielded, so they may then be changed.
    """
    a, delta = buffers
    for number in range(len(a) - 1, -1, -1):
        inputs = a[number - 1] if number else images
        if number:
            torch.mm(delta[number], parameters[2 * number].t(), out=delta[number - 1])
        yield number, inputs, delta[number]
        if number:
            times_derivative(network.hidden, inputs, delta[number - 1])


def gradient_of_layer(inputs: torch.Tensor, delta: torch.Tensor, gradient: list[torch.Tensor]) -> None:
    """Write the gradient of a layer's weights and biases from the delta of the mean cost."""
    weights, biases = gradient
    torch.mm(inputs.t(), delta, out=weights)
    torch.sum(delta, dim=0, out=biases)


@torch.inference_mode()
def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    images = prepared.images
    buffers = make_buffers(network, len(images), images.dtype)
    forward(network, to_tensors(parameters), images, buffers.a)
    z = buffers.a[-1]
    if network.output == "softmax":
        return torch.softmax(z, dim=1).numpy()
    activate(network.output, z)
    return z.numpy()


@torch.inference_mode()
def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    images, targets = prepared
    n = len(images)
    tensors = to_tensors(parameters)
    gradient = [torch.empty_like(tensor) for tensor in tensors]
    buffers = make_buffers(network, n, images.dtype)
    forward(network, tensors, images, buffers.a)
    cost = output_layer(network, buffers.a[-1], targets, buffers.delta[-1]) / n
    for number, inputs, delta in backward(network, tensors, images, buffers):
        gradient_of_layer(inputs, delta.div_(n), gradient[2 * number : 2 * number + 2])
    return cost, to_layers(gradient)


@torch.inference_mode()
def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    assert prepared.targets is not None
    parameters, velocities = to_tensors(state.parameters), to_tensors(state.velocities)
    order = None if plan.order is None else torch.tensor(plan.order)
    largest = make_buffers(network, int((plan.stops - plan.starts).max()), prepared.images.dtype)
    gradient = [torch.empty_like(tensor) for tensor in parameters]
    costs = np.empty(len(plan.starts), state.parameters[0].weights.dtype)
    updates = zip(plan.starts.tolist(), plan.stops.tolist(), plan.learning_rates.tolist(), strict=True)
    for u, (start, stop, rate) in enumerate(updates):
        batch = slice(start, stop) if order is None else order[start:stop]
        images, targets = prepared.images[batch], prepared.targets[batch]
        n = stop - start
        buffers = Buffers(*([part[:n] for part in parts] for parts in largest))
        forward(network, parameters, images, buffers.a)
        costs[u] = output_layer(network, buffers.a[-1], targets, buffers.delta[-1]) / n
        for number, inputs, delta in backward(network, parameters, images, buffers):
            of_layer = slice(2 * number, 2 * number + 2)
            if plan.momentum > 0:
                gradient_of_layer(inputs, delta.div_(n), gradient[of_layer])
                for p, v, g in zip(parameters[of_layer], velocities[of_layer], gradient[of_layer], strict=True):
                    v.mul_(plan.momentum).add_(g)
                    p.sub_(g.add_(v, alpha=plan.momentum), alpha=rate)
            else:
                weights, biases = parameters[of_layer]
                weights.addmm_(inputs.t(), delta, alpha=-rate / n)
                biases.sub_(delta.sum(dim=0), alpha=rate / n)
    return State(to_layers(parameters), to_layers(velocities)), costs
