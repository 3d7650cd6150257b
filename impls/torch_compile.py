"""Peer, `torch_compile`: PyTorch's mathematics of `torch`, each function compiled by torch.compile.

A whole update is one compiled function: torch.func derives the gradient, and the compiler sees forward, backward and
the change of the parameters as one graph, in which it fuses elementwise operations and leaves the products to BLAS.
Gain: a single call per update instead of some 40. Cost: seconds of a C++ compiler for every batch size (cached on
disk); the backend is unsupported where there is no compiler.

On a GPU the compiler is Triton, which needs a C compiler, and an update is still one call from Python.
"""

import functools
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import torch
import torch._dynamo.config
import torch._inductor.config

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "torch_compile"
SUMMARY: Final = "PyTorch under torch.compile: an update is one compiled function"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128
DEVICES: Final = ("cpu", "cuda")
DEVICE = "cpu"  # "cuda" where this file is loaded for a GPU
PRECISION: Final = {"cuda": "ieee"}  # of products of float32 there; "tf32" is faster, and far less exact
OPTIONS: Final = {"cpu": {"cpp_wrapper": True}, "cuda": {}}  # of a compiled update

COMPILER: Final = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
# There may be many programs, one for each network, dtype and batch size; by default torch raises an error at 256.
torch._dynamo.config.accumulated_recompile_limit = 1_000_000
torch._inductor.config.compile_threads = 1  # start no compiler processes that would outlive this one
# Accept the vector instructions that the processor names. Compiling and loading a program for each kind, to see whether
# they work, takes ten seconds the first time and one at every start, and comes to the same.
torch._inductor.config.cpp.vec_isa_ok = True
warnings.filterwarnings("ignore", "TensorFloat32 tensor cores")  # the compiler's advice to round products


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs); targets: labels (n,) for cross-entropy, else labels one-hot (n, n_outputs)."""

    images: torch.Tensor
    targets: torch.Tensor | None


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Everything where there is no C++ compiler, or nothing can be compiled for DEVICE; otherwise nothing."""
    if DEVICE == "cpu" and shutil.which(COMPILER) is None:
        return f"torch.compile needs a C++ compiler, and there is no {COMPILER}; install one, or name it in CXX"
    return why_nothing_compiles()


@functools.cache
def why_nothing_compiles() -> str | None:
    """Why not even one addition can be compiled, such as a temporary folder that forbids to run programs; else None."""
    try:
        compiled(torch.add)(torch.zeros(1).to(device()), 1)
    except Exception as error:
        message, *_ = str(error).split("\n\n")  # then comes advice on debugging PyTorch
        return f"torch.compile does not work here: {' '.join(message.split())}"
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
    arrays = [tensor.contiguous().cpu().numpy() for tensor in tensors]
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
    parameters: list[torch.Tensor], images: torch.Tensor, targets: torch.Tensor, network: Network
) -> torch.Tensor:
    """The mean cost of these images."""
    z = forward(network, parameters, images)
    if network.cost == "cross_entropy":
        return torch.nn.functional.cross_entropy(z, targets)
    a = ACTIVATIONS[network.output](z)
    return torch.nn.functional.mse_loss(a, targets, reduction="sum") / (2 * len(images))


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile a function; its compiled forms are not shared with other functions."""
    return torch.compile(function, fullgraph=True, isolate_recompiles=True, **options)


@functools.cache
def compiled_outputs(network: Network, dtype: torch.dtype) -> Callable[..., Any]:
    """The last activations from parameters and images, compiled for any number of images."""

    def activations(parameters: list[torch.Tensor], images: torch.Tensor) -> torch.Tensor:
        z = forward(network, parameters, images)
        return torch.softmax(z, dim=1) if network.output == "softmax" else ACTIVATIONS[network.output](z)

    return compiled(activations, dynamic=True)


@functools.cache
def compiled_gradient(network: Network, dtype: torch.dtype) -> Callable[..., Any]:
    """Gradient and mean cost from parameters, images and targets, compiled for any number of images."""
    return compiled(torch.func.grad_and_value(functools.partial(mean_cost, network=network)), dynamic=True)


@functools.cache
def compiled_update(network: Network, dtype: torch.dtype, n: int, momentum: float) -> Callable[..., Any]:
    """An update with n images, compiled for this number; it changes parameters and velocities, and returns the cost."""
    gradient_and_cost = torch.func.grad_and_value(functools.partial(mean_cost, network=network))

    def update(
        parameters: list[torch.Tensor],
        velocities: list[torch.Tensor],
        images: torch.Tensor,
        targets: torch.Tensor,
        rate: torch.Tensor,
    ) -> torch.Tensor:
        gradient, cost = gradient_and_cost(parameters, images, targets)
        for p, v, g in zip(parameters, velocities, gradient, strict=True):
            if momentum > 0:
                v.mul_(momentum).add_(g)
                g = g + momentum * v
            p.sub_(rate * g)
        return cost

    return compiled(update, dynamic=False, options=OPTIONS[DEVICE])


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    images = prepared.images
    return compiled_outputs(network, images.dtype)(to_tensors(parameters), images).cpu().numpy()


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    gradient, cost = compiled_gradient(network, prepared.images.dtype)(to_tensors(parameters), *prepared)
    return cost.item(), to_layers(gradient)


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    images, targets = prepared
    assert targets is not None
    parameters, velocities = to_tensors(state.parameters), to_tensors(state.velocities)
    order = None if plan.order is None else torch.tensor(plan.order).to(device())
    rates = torch.tensor(plan.learning_rates, dtype=images.dtype).to(device()).unbind()
    costs = []
    for start, stop, rate in zip(plan.starts.tolist(), plan.stops.tolist(), rates, strict=True):
        batch = slice(start, stop) if order is None else order[start:stop]
        update = compiled_update(network, images.dtype, stop - start, plan.momentum)
        costs.append(update(parameters, velocities, images[batch], targets[batch], rate))
    return State(to_layers(parameters), to_layers(velocities)), torch.stack(costs).cpu().numpy()
