"""Peer, `torch_manual`: PyTorch as an array library, gradients by hand, everything in place, no autograd.

The tensors that an update needs are made once per plan. A product adds directly to what it changes: without momentum
`addmm_` with a negative factor is gradient and update in one, so that no gradient of the weights is written, but for
updates of many thousand images. Gain: half as many calls into the library as with autograd, and one pass over the
weights instead of three. Cost: the backward pass is derived and maintained by hand.

On a GPU an update is captured as a CUDA graph, once for each number of images, and replayed: one call from Python then
starts all its kernels. A graph uses the same memory each time, and keeps the numbers that it was captured with; so
images, targets and rate are copied to where it reads them.
"""

import functools
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import torch

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "torch_manual"
SUMMARY: Final = "PyTorch without autograd: gradients by hand, in place"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128
DEVICES: Final = ("cpu", "cuda")
DEVICE = "cpu"  # "cuda" where this file is loaded for a GPU
PRECISION: Final = {"cuda": "ieee"}  # of products of float32 there; "tf32" is faster, and far less exact
COST_OF_SUM: Final = {"quadratic": 0.5, "cross_entropy": -1.0}  # what `output_layer` sums, times this, is the cost
# Images whose products are added straight to the weights. A BLAS may add each by itself; of more images each is so
# small beside a weight that float32 loses much of it.
MOST_ADDED: Final = 5000
WARM_UPS: Final = 3  # updates before one is captured, as PyTorch's manual on CUDA graphs asks for
NETWORKS: Final = 4  # whose graphs are kept

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


class Training(NamedTuple):
    """What updates change, each a list: weights and biases of the first layer, of the second, ..."""

    parameters: list[torch.Tensor]
    velocities: list[torch.Tensor]
    gradient: list[torch.Tensor]


class Captured(NamedTuple):
    """An update of some number of images as a CUDA graph, and the tensors that it uses, which have to stay."""

    images: torch.Tensor
    targets: torch.Tensor
    rate: torch.Tensor  # ()
    buffers: Buffers
    total: torch.Tensor  # (), see COST_OF_SUM
    replay: Callable[[], None]


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
    """The images as one tensor, scaled and in the dtype; the labels one-hot."""
    scaled = torch.tensor(np.ascontiguousarray(images), dtype=getattr(torch, dtype)).to(device())
    scaled.mul_(network.pixel_scale)
    targets = None
    if labels is not None:
        on_device = torch.tensor(np.ascontiguousarray(labels)).to(device())
        targets = torch.nn.functional.one_hot(on_device, network.sizes[-1]).to(scaled.dtype)
    finish()
    return Prepared(scaled, targets)


def to_tensors(parameters: Parameters) -> list[torch.Tensor]:
    """Weights and biases of the first layer, of the second, ..., copied."""
    return [torch.tensor(np.ascontiguousarray(array)).to(device()) for layer in parameters for array in layer]


def to_layers(tensors: list[torch.Tensor]) -> Parameters:
    """The same as NumPy arrays, which take over the memory of tensors of the CPU."""
    arrays = [tensor.cpu().numpy() for tensor in tensors]
    return tuple(map(Layer, arrays[::2], arrays[1::2]))


def make_buffers(network: Network, rows: int, dtype: torch.dtype) -> Buffers:
    """Buffers for updates of at most this many rows."""
    a, delta = ([torch.empty(rows, size, dtype=dtype, device=device()) for size in network.sizes[1:]] for _ in range(2))
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


def output_layer(network: Network, z: torch.Tensor, targets: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """A sum, (), from which COST_OF_SUM makes the summed cost; delta becomes d(summed cost)/dz. z is overwritten."""
    if network.cost == "cross_entropy":
        torch.log_softmax(z, dim=1, out=delta)
        total = torch.mul(delta, targets, out=z).sum()
        delta.exp_().sub_(targets)
        return total
    activate(network.output, z)
    torch.sub(z, targets, out=delta)
    total = delta.square().sum()
    times_derivative(network.output, z, delta)
    return total


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


def times_rate(step: torch.Tensor, rate: float | torch.Tensor) -> tuple[torch.Tensor, float]:
    """A step and the factor that it is still to be multiplied by; a rate that is a tensor is multiplied into it."""
    return (step.mul_(rate), 1.0) if isinstance(rate, torch.Tensor) else (step, rate)


def update(
    network: Network,
    momentum: float,
    training: Training,
    batch: Prepared,
    buffers: Buffers,
    rate: float | torch.Tensor,
) -> torch.Tensor:
    """Change parameters and velocities; return the sum that `output_layer` does. rate: a tensor () in a CUDA graph."""
    images, targets = batch
    assert targets is not None
    n = len(images)
    forward(network, training.parameters, images, buffers.a)
    total = output_layer(network, buffers.a[-1], targets, buffers.delta[-1])
    for number, inputs, delta in backward(network, training.parameters, images, buffers):
        parameters, velocities, gradient = (part[2 * number : 2 * number + 2] for part in training)
        if momentum > 0 or n > MOST_ADDED:
            gradient_of_layer(inputs, delta.div_(n), gradient)
            for p, v, g in zip(parameters, velocities, gradient, strict=True):
                if momentum > 0:
                    v.mul_(momentum).add_(g)
                    g.add_(v, alpha=momentum)
                step, factor = times_rate(g, rate)
                p.sub_(step, alpha=factor)
        else:
            weights, biases = parameters
            step, factor = times_rate(delta, rate)
            weights.addmm_(inputs.t(), step, alpha=-factor / n)
            biases.sub_(step.sum(dim=0), alpha=factor / n)
    return total


@torch.inference_mode()
def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    images = prepared.images
    buffers = make_buffers(network, len(images), images.dtype)
    forward(network, to_tensors(parameters), images, buffers.a)
    z = buffers.a[-1]
    if network.output == "softmax":
        return torch.softmax(z, dim=1).cpu().numpy()
    activate(network.output, z)
    return z.cpu().numpy()


@torch.inference_mode()
def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    images, targets = prepared
    n = len(images)
    tensors = to_tensors(parameters)
    gradient = [torch.empty_like(tensor) for tensor in tensors]
    buffers = make_buffers(network, n, images.dtype)
    forward(network, tensors, images, buffers.a)
    assert targets is not None
    total = output_layer(network, buffers.a[-1], targets, buffers.delta[-1])
    for number, inputs, delta in backward(network, tensors, images, buffers):
        gradient_of_layer(inputs, delta.div_(n), gradient[2 * number : 2 * number + 2])
    return COST_OF_SUM[network.cost] * total.item() / n, to_layers(gradient)


@torch.inference_mode()
def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    trained, totals = (trained_by_graphs if DEVICE == "cuda" else trained_by_calls)(network, state, prepared, plan)
    costs = COST_OF_SUM[network.cost] * totals.cpu().numpy().astype(np.float64) / (plan.stops - plan.starts)
    after = State(to_layers(trained.parameters), to_layers(trained.velocities))
    return after, costs.astype(state.parameters[0].weights.dtype)


def updates_of(plan: Plan) -> Iterator[tuple[int, int, float]]:
    """Start, stop and learning rate of each update, as numbers of Python."""
    return zip(plan.starts.tolist(), plan.stops.tolist(), plan.learning_rates.tolist(), strict=True)


def trained_by_calls(network: Network, state: State, prepared: Prepared, plan: Plan) -> tuple[Training, torch.Tensor]:
    """What a plan leaves, and the sum that `output_layer` returned in each update, (n_updates,)."""
    assert prepared.targets is not None
    parameters = to_tensors(state.parameters)
    training = Training(parameters, to_tensors(state.velocities), [torch.empty_like(one) for one in parameters])
    order = None if plan.order is None else torch.tensor(plan.order)
    largest = make_buffers(network, int((plan.stops - plan.starts).max()), prepared.images.dtype)
    totals = []
    for start, stop, rate in updates_of(plan):
        chosen = slice(start, stop) if order is None else order[start:stop]
        batch = Prepared(prepared.images[chosen], prepared.targets[chosen])
        buffers = Buffers(*([part[: stop - start] for part in parts] for parts in largest))
        totals.append(update(network, plan.momentum, training, batch, buffers, rate))
    return training, torch.stack(totals)


def trained_by_graphs(network: Network, state: State, prepared: Prepared, plan: Plan) -> tuple[Training, torch.Tensor]:
    """The same by CUDA graphs. The tensors of the training are those of the graphs, which the next call overwrites."""
    assert prepared.targets is not None
    images, targets = prepared.images, prepared.targets
    training, graphs = resident(network, images.dtype, plan.momentum)
    for n in np.unique(plan.stops - plan.starts).tolist():  # before the state is there, as capturing changes it
        if n not in graphs:
            graphs[n] = captured(network, plan.momentum, training, n)
    for there, given in ((training.parameters, state.parameters), (training.velocities, state.velocities)):
        for tensor, new in zip(there, to_tensors(given), strict=True):
            tensor.copy_(new)
    order = None if plan.order is None else torch.tensor(plan.order).to(device())
    rates = torch.tensor(plan.learning_rates, dtype=images.dtype).to(device())
    totals = torch.empty_like(rates)
    for u, (start, stop, _) in enumerate(updates_of(plan)):
        one = graphs[stop - start]
        if order is None:
            one.images.copy_(images[start:stop])
            one.targets.copy_(targets[start:stop])
        else:
            torch.index_select(images, 0, order[start:stop], out=one.images)
            torch.index_select(targets, 0, order[start:stop], out=one.targets)
        one.rate.copy_(rates[u])
        one.replay()
        totals[u].copy_(one.total)
    return training, totals


@functools.lru_cache(maxsize=NETWORKS)
def resident(network: Network, dtype: torch.dtype, momentum: float) -> tuple[Training, dict[int, Captured]]:
    """The tensors that the graphs of a network change, and its graphs by number of images, at first none."""
    shapes = [shape for fan_in, fan_out in pairwise(network.sizes) for shape in ((fan_in, fan_out), (fan_out,))]
    parts = ([torch.zeros(shape, dtype=dtype, device=device()) for shape in shapes] for _ in Training._fields)
    return Training(*parts), {}


def captured(network: Network, momentum: float, training: Training, n: int) -> Captured:
    """Capture an update with n images. The updates that this makes before it leave no meaning in the training."""
    parameters = training.parameters[0]
    images, targets = (parameters.new_zeros(n, size) for size in (network.sizes[0], network.sizes[-1]))
    rate, buffers = parameters.new_zeros(()), make_buffers(network, n, parameters.dtype)

    def work() -> torch.Tensor:
        return update(network, momentum, training, Prepared(images, targets), buffers, rate)

    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        total = work()
    return Captured(images, targets, rate, buffers, total, graph.replay)
