"""Peer, `jax`: a pure function of the cost, its gradient derived, the whole plan compiled as one loop.

JAX derives the gradient of `mean_cost` and compiles it with XLA. Updates of the same size run in one compiled loop,
without Python in between, on parameters that are donated, so that each update may overwrite them. Gain: no overhead
per update, and no backward pass to write. Cost: a compilation for each batch size and number of updates, as shapes are
part of a program; a short last batch is a program of its own.

Every array is put on DEVICE, so that JAX leaves alone a GPU that it was not asked for. On a GPU the same programs run,
with products in parts of bfloat16 that are as exact as float32.
"""

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "jax"
SUMMARY: Final = "JAX: derived gradients, a plan compiled as one loop by lax.scan"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128
DEVICES: Final = ("cpu", "cuda")
DEVICE = "cpu"  # "cuda" where this file is loaded for a GPU
COSTS = 128  # in a block: 512 bytes or more, as jaxlib 0.11.1 copies all costs at every update where blocks are small
# Of products of float32 there: on tensor cores, each number as three of bfloat16. By default JAX rounds to TF32, which
# is far less exact, and so it does for "high"; "highest" is as exact as this, without tensor cores.
PRECISION: Final = {"cuda": "BF16_BF16_F32_X6"}

jax.config.update("jax_enable_x64", True)  # otherwise there is no float64


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) and targets (n, n_outputs), the labels one-hot, as arrays of JAX."""

    images: Any
    targets: Any


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Everything where JAX cannot use the device; otherwise nothing."""
    return why_no_device()


@functools.cache
def why_no_device() -> str | None:
    """Why JAX cannot start DEVICE; None where it can."""
    try:
        device()
    except RuntimeError as error:
        return f"JAX cannot use {DEVICE}: {' '.join(str(error).split())}"
    return None


def device() -> Any:
    """Where arrays live. The first call decides which devices JAX starts in this process: the CPU, or a GPU besides.

    Otherwise it would start any GPU that it finds, and there take three quarters of the memory, which others need.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    jax.config.update("jax_platforms", ",".join(dict.fromkeys([DEVICE, "cpu"])))
    return jax.devices(DEVICE)[0]


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype; the labels one-hot."""
    scaled = to_jax(np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe"))
    targets = None if labels is None else jax.nn.one_hot(to_jax(labels), network.sizes[-1], dtype=dtype)
    return Prepared(*jax.block_until_ready((scaled, targets)))


def to_jax(tree: Any) -> Any:
    """A tree of NumPy arrays, e.g. parameters, as arrays of JAX on DEVICE; copies, as they may be donated."""
    return jax.device_put(tree, device(), may_alias=False)


def to_numpy(tree: Any) -> Any:
    """A tree of JAX arrays as NumPy arrays, once all are computed."""
    return jax.tree.map(np.array, jax.block_until_ready(tree))


ACTIVATIONS: Final = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu, "tanh": jnp.tanh, "softmax": jax.nn.softmax}


def product(a: Any, weights: Any) -> Any:
    """The matrix product a @ weights; its precision holds for its derivatives as well."""
    return jnp.matmul(a, weights, precision=PRECISION.get(DEVICE) if a.dtype == jnp.float32 else None)


def forward(network: Network, parameters: Parameters, images: Any) -> Any:
    """z of the output layer, (n, n_outputs)."""
    a = images
    for weights, biases in parameters[:-1]:
        a = ACTIVATIONS[network.hidden](product(a, weights) + biases)
    return product(a, parameters[-1].weights) + parameters[-1].biases


def mean_cost(parameters: Parameters, images: Any, targets: Any, network: Network) -> Any:
    """The mean cost of these images."""
    z = forward(network, parameters, images)
    if network.cost == "cross_entropy":
        return -jnp.sum(targets * jax.nn.log_softmax(z)) / len(images)
    return jnp.sum((ACTIVATIONS[network.output](z) - targets) ** 2) / (2 * len(images))


cost_and_gradient = jax.value_and_grad(mean_cost)
compiled_cost_and_gradient = jax.jit(cost_and_gradient, static_argnames="network")


@functools.partial(jax.jit, static_argnames="network")
def compiled_outputs(parameters: Parameters, images: Any, network: Network) -> Any:
    """The last activations, (n, n_outputs)."""
    return ACTIVATIONS[network.output](forward(network, parameters, images))


def loop(update: Callable[[State, Any], tuple[State, Any]], state: State, plan: tuple[Any, Any]) -> tuple[State, Any]:
    """What lax.scan(update, state, plan) returns, the costs written in blocks of COSTS where DEVICE is the CPU.

    There jaxlib 0.11.1 copies a whole array at every step of a loop that writes a few bytes of it (JAX issue 40101). A
    block is short, and the array of all costs is written once a block. The last block ends early, so that the update is
    compiled once. On a GPU all is one block, as the host would have to ask for the end of a loop of unknown length.
    """
    n_updates, dtype = len(plan[0]), plan[1].dtype
    size = COSTS if DEVICE == "cpu" else n_updates

    def block(state: State, first: Any) -> tuple[State, Any]:
        def step(i: Any, carry: tuple[State, Any]) -> tuple[State, Any]:
            state, cost = update(carry[0], tuple(part[first + i] for part in plan))
            return state, carry[1].at[i].set(cost)

        length = jnp.minimum(size, n_updates - first) if n_updates % size else size
        return lax.fori_loop(0, length, step, (state, jnp.zeros(size, dtype)))

    state, costs = lax.scan(block, state, jnp.arange(0, n_updates, size))
    return state, costs.ravel()[:n_updates]


@functools.partial(jax.jit, static_argnames=("network", "n", "momentum"), donate_argnames="state")
def compiled_updates(
    state: State, prepared: Prepared, order: Any, starts: Any, rates: Any, network: Network, n: int, momentum: float
) -> Any:
    """The state after updates of n images each, and the cost before each; order: None for file order."""

    def update(state: State, now: tuple[Any, Any]) -> tuple[State, Any]:
        start, rate = now
        if order is None:
            images, targets = (lax.dynamic_slice_in_dim(part, start, n) for part in prepared)
        else:
            chosen = lax.dynamic_slice_in_dim(order, start, n)
            images, targets = prepared.images[chosen], prepared.targets[chosen]
        parameters, velocities = state
        cost, gradient = cost_and_gradient(parameters, images, targets, network)
        if momentum > 0:
            velocities = jax.tree.map(lambda v, g: momentum * v + g, velocities, gradient)
            gradient = jax.tree.map(lambda g, v: g + momentum * v, gradient, velocities)
        return State(jax.tree.map(lambda p, g: p - rate * g, parameters, gradient), velocities), cost

    return loop(update, state, (starts, rates))


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    return to_numpy(compiled_outputs(to_jax(parameters), prepared.images, network))


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    cost, gradient = to_numpy(compiled_cost_and_gradient(to_jax(parameters), *prepared, network))
    return float(cost), gradient


def runs_of_equal_size(plan: Plan) -> Iterator[slice]:
    """The plan's updates in order; consecutive ones with the same number of images form one slice."""
    sizes = plan.stops - plan.starts
    bounds = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
    return map(slice, bounds[:-1], bounds[1:])


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    sizes, rates = plan.stops - plan.starts, plan.learning_rates.astype(prepared.images.dtype)
    order = None if plan.order is None else to_jax(plan.order)
    # As the contract's tuples: JAX does not look into every type of another package.
    state = to_jax(State(*(tuple(Layer(*layer) for layer in part) for part in state)))
    costs = []
    for run in runs_of_equal_size(plan):
        n = int(sizes[run.start])
        state, of_run = compiled_updates(
            state, prepared, order, plan.starts[run], rates[run], network, n, plan.momentum
        )
        costs.append(of_run)
    return to_numpy(state), np.concatenate(to_numpy(costs))
