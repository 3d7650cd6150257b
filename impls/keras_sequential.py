"""Peers, `keras:torch` and `keras:jax`: Keras 3 as its users write it, on PyTorch and on JAX.

The network is a `keras.Sequential` of `Dense` layers, the cost is written with `keras.ops`, and `keras.optimizers.SGD`
makes every update, in the training loops that Keras's guides write from scratch for each library: on PyTorch `backward`
and `apply`, one update after the other; on JAX `stateless_call` and `stateless_apply` under `jit`, with all updates of
a size in one `lax.scan`. Cross-entropy is computed from logits: from probabilities Keras clips them at 1e-7, and an
image whose label has less would teach nothing. Cost: on PyTorch the checks and conversions around every operation; on
JAX a compilation for each batch size and number of updates.

Keras has the learning rate inside its velocity, u = -rate * v, so that u is computed from the contract's v at the
start, again where the rate changes, and v from u at the end. Keras computes with one library in a process, which it
reads from the environment when it is imported.
"""

import contextlib
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "keras"
SUMMARY: Final = "Keras 3 as its users write it: Sequential, Dense and SGD, in a training loop written from scratch"
DTYPES: Final = ("float32",)
BATCH_SIZE: Final = 128
LIBRARY = ""  # "torch" or "jax", which this file is loaded for

Tensor = Any  # of that library


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) and targets (n, n_outputs), the labels one-hot, in the dtype."""

    images: Tensor
    targets: Tensor  # None without labels


# --- Keras on one library -----------------------------------------------------------------------------------


@functools.cache
def library() -> Any:
    """Keras, which computes with LIBRARY on the CPU. Raises RuntimeError where it computes with another one here.

    When Keras is imported, it reads its settings from the environment and from a file in the user's home, which it
    writes if there is none. Here it gets the settings of LIBRARY, and for its file a folder that is removed again.
    """
    if LIBRARY == "jax":
        import jax

        jax.config.update("jax_platforms", "cpu")
    if "keras" not in sys.modules:
        with tempfile.TemporaryDirectory() as home, environment(home):
            import keras
    keras = sys.modules["keras"]
    if (other := keras.config.backend()) != LIBRARY:
        raise RuntimeError(
            f"Keras computes with {other} in this process, expected {LIBRARY}, and cannot change; "
            f"use another process, with KERAS_BACKEND={LIBRARY} if it imports Keras itself"
        )
    if LIBRARY == "torch":
        import torch

        # MKL selects a function's kernel at its first call; if several threads make that call at once, one of them may
        # get a kernel that is accurate to 12 bits only (PyTorch issue 188792). So the first call is made here.
        torch.tanh(torch.zeros(1))
    return keras


@contextlib.contextmanager
def environment(home: str) -> Iterator[None]:
    """Variables that Keras reads when it is imported; afterwards they are as before."""
    wanted = {"KERAS_BACKEND": LIBRARY, "KERAS_HOME": home, "KERAS_TORCH_DEVICE": "cpu", "KERAS_NNX_ENABLED": "0"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ |= wanted
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """float64, softmax over one output; and everything where Keras computes with another library, or is not there."""
    if dtype == "float64":
        return "Keras 3 rounds products of float64 to float32 on some of its libraries, without saying so"
    if network.output == "softmax" and network.sizes[-1] == 1:
        return "Keras takes a softmax over one output for a mistake, and warns of it"
    try:
        library()
    except RuntimeError as error:
        return str(error)
    except Exception as error:  # whatever Keras, or the library under it, raises when it is imported
        return f"Keras cannot be imported: {' '.join(f'{type(error).__name__}: {error}'.split())}"
    return None


# --- the network ----------------------------------------------------------------------------------------------


class Model(NamedTuple):
    """A network in Keras: up to the logits, where the output is softmax; and with its outputs."""

    trained: Any
    answering: Any


@functools.cache
def model(network: Network) -> Model:
    """The layers, made once for each network; their weights are set later."""
    keras = library()
    *hidden, n_outputs = network.sizes[1:]
    of_output = None if network.output == "softmax" else network.output
    functions = [network.hidden] * len(hidden) + [of_output]
    # Zeros, as random numbers would be drawn for nothing.
    layers = [
        keras.layers.Dense(size, activation=function, kernel_initializer="zeros")
        for size, function in zip([*hidden, n_outputs], functions, strict=True)
    ]
    pixels = keras.Input((network.sizes[0],))
    trained = keras.Sequential([pixels, *layers])
    softmax = [keras.layers.Softmax()] if network.output == "softmax" else []
    return Model(trained, keras.Sequential([pixels, trained, *softmax]))


@functools.cache
def optimizer(network: Network, momentum: float) -> Any:
    """SGD for the weights of this network, with Nesterov's momentum if there is one."""
    sgd = library().optimizers.SGD(learning_rate=1.0, momentum=float(momentum), nesterov=momentum > 0)
    sgd.build(model(network).trained.trainable_variables)
    return sgd


def mean_cost(network: Network, answers: Tensor, targets: Tensor) -> Tensor:
    """The mean cost of these images. answers: logits where the output is softmax, else the last activations."""
    ops = library().ops
    if network.cost == "cross_entropy":
        return ops.mean(ops.categorical_crossentropy(targets, answers, from_logits=True))
    return ops.sum(ops.square(answers - targets)) / (2 * len(targets))


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype; the labels one-hot."""
    to_tensor = library().ops.convert_to_tensor
    scaled = to_tensor(np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe"))
    return Prepared(scaled, None if labels is None else to_tensor(np.eye(network.sizes[-1], dtype=dtype)[labels]))


def to_list(parameters: Parameters) -> list[Array]:
    """Weights and biases of the first layer, of the second, ..., copied, as Keras lists them."""
    return [np.array(array, order="C") for layer in parameters for array in layer]


def to_layers(tensors: list[Tensor]) -> Parameters:
    """The reverse, also copied."""
    arrays = list(map(to_numpy, tensors))
    return tuple(map(Layer, arrays[::2], arrays[1::2]))


def to_numpy(tensor: Tensor) -> Array:
    """A copy as an array of NumPy. Keras's own conversion of a tensor of PyTorch draws a warning of NumPy 2."""
    return np.array(tensor.detach().numpy() if LIBRARY == "torch" else tensor)


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    find = outputs_of_torch if LIBRARY == "torch" else outputs_of_jax
    return to_numpy(find(network, to_list(parameters), prepared.images))


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    find = gradient_of_torch if LIBRARY == "torch" else gradient_of_jax
    cost, gradient = find(network, to_list(parameters), *prepared)
    return float(cost), to_layers(gradient)


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    update = updates_of_torch if LIBRARY == "torch" else updates_of_jax
    before = to_list(state.parameters), to_list(state.velocities)
    parameters, velocities, costs = update(network, *before, prepared, plan)
    after = to_layers(parameters), to_layers(velocities) if plan.momentum > 0 else state.velocities
    return State(*after), costs


# --- on PyTorch -----------------------------------------------------------------------------------------------


def outputs_of_torch(network: Network, parameters: list[Array], images: Tensor) -> Tensor:
    """The last activations, (n, n_outputs)."""
    import torch

    answering = model(network).answering
    answering.set_weights(parameters)
    with torch.inference_mode():
        return answering(images)


def gradient_of_torch(
    network: Network, parameters: list[Array], images: Tensor, targets: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """The mean cost of these images and its gradient."""
    trained = model(network).trained
    trained.set_weights(parameters)
    cost = mean_cost(network, trained(images, training=True), targets)
    trained.zero_grad()
    cost.backward()
    return cost.detach(), [variable.value.grad for variable in trained.trainable_variables]


def updates_of_torch(
    network: Network, parameters: list[Array], velocities: list[Array], prepared: Prepared, plan: Plan
) -> tuple[list[Tensor], list[Tensor], Array]:
    """Parameters and velocities after the plan's updates, and the cost before each."""
    import torch

    trained, sgd = model(network).trained, optimizer(network, plan.momentum)
    trained.set_weights(parameters)
    variables = trained.trainable_variables
    rates = InKerasVelocity(sgd, velocities)
    order = None if plan.order is None else torch.tensor(plan.order)
    costs = []
    updates = zip(plan.starts.tolist(), plan.stops.tolist(), plan.learning_rates.tolist(), strict=True)
    for start, stop, rate in updates:
        batch = slice(start, stop) if order is None else order[start:stop]
        rates.change(rate)
        before = [] if rate else [variable.value.detach().clone() for variable in variables]
        cost = mean_cost(network, trained(prepared.images[batch], training=True), prepared.targets[batch])
        trained.zero_grad()
        cost.backward()
        with torch.no_grad():
            sgd.apply([variable.value.grad for variable in variables], variables)
        if before:
            trained.set_weights(before)
        costs.append(cost.detach())
    return [variable.value for variable in variables], rates.velocities(), torch.stack(costs).numpy()


class InKerasVelocity:
    """The velocities u = -rate * v of an optimizer of Keras, which are rescaled where the rate changes.

    At a rate of 0 u would be 0, from which v cannot be computed; so it stands for 1, and whoever makes that update has
    to restore the parameters.
    """

    def __init__(self, sgd: Any, velocities: list[Array]) -> None:
        self.sgd, self.rate = sgd, 1.0
        sgd.learning_rate = self.rate
        for u, v in zip(sgd.momentums, velocities, strict=False):  # without momentum there are none
            u.assign(-v)

    def change(self, rate: float) -> None:
        """Let the next updates have this rate."""
        rate = rate or 1.0
        if rate == self.rate:
            return
        for u in self.sgd.momentums:
            u.assign(u * (rate / self.rate))
        self.sgd.learning_rate = self.rate = rate

    def velocities(self) -> list[Tensor]:
        """The contract's v; empty without momentum."""
        return [u / -self.rate for u in self.sgd.momentums]


# --- on JAX ---------------------------------------------------------------------------------------------------


@functools.cache
def compiled_outputs(network: Network) -> Callable[..., Any]:
    """The last activations from parameters and images."""
    import jax

    answering = model(network).answering
    return jax.jit(lambda parameters, images: answering.stateless_call(parameters, [], images)[0])


def outputs_of_jax(network: Network, parameters: list[Array], images: Tensor) -> Tensor:
    """The last activations, (n, n_outputs)."""
    return compiled_outputs(network)(parameters, images)


@functools.cache
def cost_and_gradient(network: Network) -> Callable[..., Any]:
    """A function of parameters, images and targets, which JAX derives."""
    import jax

    trained = model(network).trained

    def cost(parameters: list[Tensor], images: Tensor, targets: Tensor) -> Tensor:
        answers, _ = trained.stateless_call(parameters, [], images, training=True)
        return mean_cost(network, answers, targets)

    return jax.value_and_grad(cost)


@functools.cache
def compiled_gradient(network: Network) -> Callable[..., Any]:
    """The same, compiled."""
    import jax

    return jax.jit(cost_and_gradient(network))


def gradient_of_jax(
    network: Network, parameters: list[Array], images: Tensor, targets: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """The mean cost of these images and its gradient."""
    return compiled_gradient(network)(parameters, images, targets)


@functools.cache
def compiled_updates(network: Network, momentum: float) -> Callable[..., Any]:
    """A function that makes updates of n images each; order: None for file order."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    find, sgd = cost_and_gradient(network), optimizer(network, momentum)

    def update(state: Any, images: Tensor, targets: Tensor, rate: Tensor) -> Any:
        """velocities: the contract's v, and none without momentum. A rate of 0 stands for 1, as u would be 0."""
        parameters, velocities = state
        cost, gradient = find(parameters, images, targets)
        used = jnp.where(rate > 0, rate, 1) if momentum > 0 else rate
        inside = [0, used, *(-used * v for v in velocities)]  # the variables of SGD; the first counts updates
        changed, (_, _, *inside) = sgd.stateless_apply(inside, gradient, parameters)
        if momentum > 0:
            changed = [jnp.where(rate > 0, new, old) for new, old in zip(changed, parameters, strict=True)]
        return (changed, [u / -used for u in inside]), cost

    @functools.partial(jax.jit, static_argnames="n", donate_argnames="state")
    def updates(state: Any, prepared: Prepared, order: Tensor, starts: Tensor, rates: Tensor, n: int) -> Any:
        def following(state: Any, now: tuple[Tensor, Tensor]) -> Any:
            start, rate = now
            if order is None:
                images, targets = (lax.dynamic_slice_in_dim(part, start, n) for part in prepared)
            else:
                chosen = lax.dynamic_slice_in_dim(order, start, n)
                images, targets = (part[chosen] for part in prepared)
            return update(state, images, targets, rate)

        return lax.scan(following, state, (starts, rates))

    return updates


def runs_of_equal_size(plan: Plan) -> Iterator[slice]:
    """The plan's updates in order; consecutive ones with the same number of images form one slice."""
    sizes = plan.stops - plan.starts
    bounds = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
    return map(slice, bounds[:-1], bounds[1:])


def updates_of_jax(
    network: Network, parameters: list[Array], velocities: list[Array], prepared: Prepared, plan: Plan
) -> tuple[list[Tensor], list[Tensor], Array]:
    """Parameters and velocities after the plan's updates, and the cost before each."""
    import jax

    compiled = compiled_updates(network, plan.momentum)
    sizes, rates = plan.stops - plan.starts, plan.learning_rates.astype(np.float32)
    order = None if plan.order is None else jax.numpy.array(plan.order)
    state = jax.device_put((parameters, velocities if plan.momentum > 0 else []), may_alias=False)
    costs = []
    for run in runs_of_equal_size(plan):
        n = int(sizes[run.start])
        state, of_run = compiled(state, prepared, order, plan.starts[run], rates[run], n)
        costs.append(of_run)
    (after, velocities), costs = jax.block_until_ready((state, costs))
    return after, velocities, np.concatenate(costs)
