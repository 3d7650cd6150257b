"""Peer, `torch`: PyTorch as its users write it, gradients from autograd and updates from torch.optim.SGD.

The forward pass is written with torch's operations; autograd records them and `backward` yields the gradients, so that
there is no backward pass here. The images are one tensor, made once, and a batch is a slice of it: no DataLoader.
Cost: some 40 calls into the library per update, a recording of the graph each time, and a separate gradient tensor for
every parameter.

On a GPU the same calls start some 40 kernels per update, one after the other; Python is what takes the time.
"""

import functools
from typing import Final, NamedTuple

import numpy as np
import torch

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "torch"
SUMMARY: Final = "PyTorch as its users write it: autograd and optim.SGD"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128
DEVICES: Final = ("cpu", "cuda")
DEVICE = "cpu"  # "cuda" where this file is loaded for a GPU
PRECISION: Final = {"cuda": "ieee"}  # of products of float32 there; "tf32" is faster, and far less exact

# MKL selects a function's kernel at its first call; if several threads make that call at once, one of them may get a
# kernel that is accurate to 12 bits only (PyTorch issue 188792). So the first call of tanh is made here, on one number.
for kind in (torch.float32, torch.float64):
    torch.tanh(torch.zeros(1, dtype=kind))


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs); targets: labels (n,) for cross-entropy, else labels one-hot (n, n_outputs)."""

    images: torch.Tensor
    targets: torch.Tensor | None


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Everything where PyTorch cannot use the device; otherwise nothing."""
    return why_no_device()


@functools.cache
def why_no_device() -> str | None:
    """Why PyTorch cannot make a tensor on DEVICE; None where it can."""
    try:
        torch.zeros(1).to(device())
    except (AssertionError, RuntimeError) as error:  # the former of a build without CUDA
        return f"PyTorch cannot use {DEVICE}: {' '.join(str(error).split())}"
    return None


def device() -> torch.device:
    """Where tensors live. On a GPU products are from then on of PRECISION; raises RuntimeError where that fails."""
    if DEVICE in PRECISION:
        products = torch.backends.cuda.matmul
        products.fp32_precision = PRECISION[DEVICE]
        if products.fp32_precision != PRECISION[DEVICE]:
            raise RuntimeError(f"PyTorch computes products in {products.fp32_precision}, not in {PRECISION[DEVICE]}")
    return torch.device(DEVICE)


def finish() -> None:
    """Wait until a GPU has done all that it was given, as calls return before."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images as one tensor, scaled and in the dtype; the labels in the form of the cost function."""
    scaled = torch.tensor(np.ascontiguousarray(images), dtype=getattr(torch, dtype)).to(device())
    scaled.mul_(network.pixel_scale)
    targets = None if labels is None else torch.tensor(np.ascontiguousarray(labels)).to(device())
    if targets is not None and network.cost == "quadratic":
        targets = torch.nn.functional.one_hot(targets, network.sizes[-1]).to(scaled.dtype)
    finish()
    return Prepared(scaled, targets)


def to_tensors(parameters: Parameters) -> list[torch.Tensor]:
    """Weights and biases of the first layer, of the second, ..., copied."""
    return [torch.tensor(np.ascontiguousarray(array)).to(device()) for layer in parameters for array in layer]


def to_layers(tensors: list[torch.Tensor]) -> Parameters:
    """The same as NumPy arrays, which take over the memory of tensors of the CPU."""
    arrays = [tensor.detach().cpu().numpy() for tensor in tensors]
    return tuple(map(Layer, arrays[::2], arrays[1::2]))


ACTIVATIONS: Final = {"sigmoid": torch.sigmoid, "relu": torch.relu, "tanh": torch.tanh}


def forward(network: Network, parameters: list[torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """z of the output layer, (n, n_outputs)."""
    a = images
    *hidden, (weights, biases) = zip(parameters[::2], parameters[1::2], strict=True)
    for of_layer in hidden:
        a = ACTIVATIONS[network.hidden](torch.addmm(of_layer[1], a, of_layer[0]))
    return torch.addmm(biases, a, weights)


def mean_cost(
    network: Network, parameters: list[torch.Tensor], images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """The mean cost of these images, with its graph."""
    z = forward(network, parameters, images)
    if network.cost == "cross_entropy":
        return torch.nn.functional.cross_entropy(z, targets)
    a = ACTIVATIONS[network.output](z)
    return torch.nn.functional.mse_loss(a, targets, reduction="sum") / (2 * len(images))


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    with torch.inference_mode():
        z = forward(network, to_tensors(parameters), prepared.images)
        a = torch.softmax(z, dim=1) if network.output == "softmax" else ACTIVATIONS[network.output](z)
        return a.cpu().numpy()


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    tensors = [tensor.requires_grad_() for tensor in to_tensors(parameters)]
    cost = mean_cost(network, tensors, *prepared)
    return cost.item(), to_layers(list(torch.autograd.grad(cost, tensors)))


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    images, targets = prepared
    assert targets is not None
    parameters = [tensor.requires_grad_() for tensor in to_tensors(state.parameters)]
    velocities = to_tensors(state.velocities)
    optimizer = torch.optim.SGD(parameters, lr=1.0, momentum=plan.momentum, nesterov=plan.momentum > 0)
    if plan.momentum > 0:
        for parameter, velocity in zip(parameters, velocities, strict=True):
            optimizer.state[parameter]["momentum_buffer"] = velocity
    order = None if plan.order is None else torch.tensor(plan.order).to(device())
    costs = []
    updates = zip(plan.starts.tolist(), plan.stops.tolist(), plan.learning_rates.tolist(), strict=True)
    for start, stop, rate in updates:
        batch = slice(start, stop) if order is None else order[start:stop]
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        cost = mean_cost(network, parameters, images[batch], targets[batch])
        cost.backward()
        optimizer.step()
        costs.append(cost.detach())  # a number of Python would have to wait for a GPU
    return State(to_layers(parameters), to_layers(velocities)), torch.stack(costs).cpu().numpy()
