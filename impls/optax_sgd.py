"""Peer, `optax`: JAX's gradient, Optax's loss and its SGD, as Optax's own introduction writes a training.

An update is one compiled function: the loss and its gradient, `optimizer.update`, `optax.apply_updates`. A loop in
Python calls it for each update with the images of that update. The learning rate is a hyperparameter that
`optax.inject_hyperparams` keeps in the optimizer's state, which each call sets, so that a rate that changes compiles
nothing. Gain: an optimizer that is not written by hand, and a loop in which anything may happen between two updates.
Cost: a call from Python for each update, with all arrays of the state as its arguments; `jax` has none of these.

Optax's `trace` is the velocity of the contract: the rate is outside of it, and `nesterov` looks ahead in the same way.
"""

import functools
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "optax"
SUMMARY: Final = "JAX with Optax: its loss and its SGD, one compiled update after the other"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128

jax.config.update("jax_enable_x64", True)  # otherwise there is no float64


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) and labels (n,), as arrays of NumPy, which a compiled function takes as they are."""

    images: Array
    labels: Any  # None where there are none


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing is unsupported."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype."""
    scaled = np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe")
    return Prepared(scaled, None if labels is None else labels.astype(np.int32))


def to_jax(tree: Any) -> Any:
    """A tree of NumPy arrays, e.g. parameters, as arrays of JAX on the CPU; copies, as they may be donated.

    JAX starts no GPU for that, and what is called with them runs where they are.
    """
    jax.config.update("jax_platforms", "cpu")
    return jax.device_put(tree, jax.devices("cpu")[0], may_alias=False)


def to_numpy(tree: Any) -> Any:
    """A tree of JAX arrays as NumPy arrays, once all are computed."""
    return jax.tree.map(np.array, jax.block_until_ready(tree))


ACTIVATIONS: Final = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu, "tanh": jnp.tanh, "softmax": jax.nn.softmax}


def forward(network: Network, parameters: Parameters, images: Any) -> Any:
    """z of the output layer, (n, n_outputs)."""
    a = images
    for weights, biases in parameters[:-1]:
        a = ACTIVATIONS[network.hidden](a @ weights + biases)
    return a @ parameters[-1].weights + parameters[-1].biases


def mean_cost(parameters: Parameters, images: Any, labels: Any, network: Network) -> Any:
    """The mean cost of these images."""
    z = forward(network, parameters, images)
    if network.cost == "cross_entropy":
        return optax.softmax_cross_entropy_with_integer_labels(z, labels).mean()
    targets = jax.nn.one_hot(labels, network.sizes[-1], dtype=z.dtype)
    return optax.l2_loss(ACTIVATIONS[network.output](z), targets).sum(axis=-1).mean()  # half of the square


@functools.cache
def optimizer(momentum: float) -> Any:
    """Optax's SGD, whose learning rate is in its state. Without momentum it keeps no velocities."""
    made = optax.inject_hyperparams(optax.sgd, static_args=("momentum", "nesterov"))
    return made(learning_rate=0.0, momentum=momentum or None, nesterov=True)


@functools.partial(jax.jit, static_argnames=("network", "momentum"), donate_argnames=("parameters", "of_optimizer"))
def update(
    parameters: Parameters, of_optimizer: Any, images: Any, labels: Any, rate: Any, network: Network, momentum: float
) -> tuple[Parameters, Any, Any]:
    """The parameters and the optimizer's state after one update, and the cost before it."""
    cost, gradient = jax.value_and_grad(mean_cost)(parameters, images, labels, network)
    of_optimizer = optax.tree_utils.tree_set(of_optimizer, learning_rate=rate)
    steps, of_optimizer = optimizer(momentum).update(gradient, of_optimizer, parameters)
    return optax.apply_updates(parameters, steps), of_optimizer, cost


@functools.partial(jax.jit, static_argnames="network")
def compiled_outputs(parameters: Parameters, images: Any, network: Network) -> Any:
    """The last activations, (n, n_outputs)."""
    return ACTIVATIONS[network.output](forward(network, parameters, images))


compiled_cost_and_gradient = jax.jit(jax.value_and_grad(mean_cost), static_argnames="network")


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    return to_numpy(compiled_outputs(to_jax(parameters), prepared.images, network))


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    cost, gradient = to_numpy(compiled_cost_and_gradient(to_jax(parameters), *prepared, network))
    return float(cost), gradient


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    # As the contract's tuples: JAX does not look into every type of another package.
    parameters, velocities = (to_jax(tuple(Layer(*layer) for layer in part)) for part in state)
    of_optimizer = to_jax(optimizer(plan.momentum).init(parameters))
    if plan.momentum:
        of_optimizer = optax.tree_utils.tree_set(of_optimizer, trace=velocities)
    rates, costs = plan.learning_rates.astype(prepared.images.dtype), []
    for start, stop, rate in zip(plan.starts, plan.stops, rates, strict=True):
        chosen = slice(start, stop) if plan.order is None else plan.order[start:stop]
        images, labels = prepared.images[chosen], prepared.labels[chosen]
        parameters, of_optimizer, cost = update(parameters, of_optimizer, images, labels, rate, network, plan.momentum)
        costs.append(cost)
    if plan.momentum:
        velocities = optax.tree_utils.tree_get(of_optimizer, "trace")
    return to_numpy(State(parameters, velocities)), np.array(jax.device_get(costs))
