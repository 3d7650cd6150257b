"""Peer, `array_api`: one text for all array libraries, written against the Python array API standard.

Every operation is one of the standard (data-apis.org/array-api), so that the same lines run on NumPy's arrays, or on
those of the library that the name ends with, as in `array_api:torch`. array-api-compat fills in where a library differs
from the standard. The output layer is computed as columns, one for each image, because libraries are slow to reduce
many short rows. Cost: what the standard lacks, such as writing a result into an array that exists; JAX's arrays cannot
be changed at all, and here JAX compiles nothing but single operations.
"""

import functools
import importlib
from typing import Any, Final, NamedTuple

import array_api_compat
import numpy as np

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "array_api"
SUMMARY: Final = "one text against the array API standard"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128
DEVICES: Final = ("cpu", "torch", "jax", "cupy")
DEVICE = "cpu"  # "cuda" where this file is loaded for CuPy
LIBRARY = "numpy"  # or which it is loaded for
NAMESPACES: Final = {"jax": "jax.numpy"}  # which is one of the standard; for others array-api-compat has one

Vector = Any  # an array of the library, as all that is not of NumPy here


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) in the dtype; targets (n_outputs, n), the labels one-hot, as columns."""

    images: Vector
    targets: Vector | None


@functools.cache
def namespace() -> Any:
    """The functions of LIBRARY, by the names of the standard."""
    if LIBRARY == "jax":
        import jax

        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_enable_x64", True)  # otherwise there is no float64
    return importlib.import_module(NAMESPACES.get(LIBRARY, f"array_api_compat.{LIBRARY}"))


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: every quantity, network and dtype of the contract is supported."""
    return None


def to_library(array: Array) -> Vector:
    """A copy of an array of NumPy."""
    return namespace().asarray(np.array(array, order="C"))


def to_numpy(array: Vector) -> Array:
    """The reverse, also a copy."""
    here = array_api_compat.to_device(array, "cpu") if DEVICE == "cuda" else array
    return np.array(np.from_dlpack(here))


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype; the labels one-hot, as columns."""
    scaled = to_library(np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe"))
    return Prepared(scaled, None if labels is None else to_library(np.eye(network.sizes[-1], dtype=dtype)[labels].T))


def activation(name: str, z: Vector) -> Vector:
    """The activation function of that name; for softmax z are columns."""
    xp = namespace()
    if name == "relu":
        return xp.maximum(z, xp.zeros_like(z[:1, :1]))
    if name == "tanh":
        return xp.tanh(z)
    if name == "sigmoid":
        return (xp.tanh(z * 0.5) + 1.0) * 0.5  # cannot overflow
    numerators = xp.exp(z - xp.max(z, axis=0))
    return numerators / xp.sum(numerators, axis=0)


def derivative(name: str, a: Vector) -> Vector:
    """The derivative of an activation function, from its value a."""
    if name == "relu":
        return namespace().astype(a > 0, a.dtype)
    return 1.0 - a * a if name == "tanh" else a * (1.0 - a)


def forward(network: Network, parameters: list[Vector], images: Vector) -> tuple[list[Vector], Vector]:
    """The activations but the last, a_0 ... a_(L-1), (n, fan_out); and z_L as columns, (n_outputs, n)."""
    activations = [images]
    *hidden, (weights, biases) = zip(parameters[::2], parameters[1::2], strict=True)
    for of_layer in hidden:
        z = activations[-1] @ of_layer[0]
        z += of_layer[1]
        activations.append(activation(network.hidden, z))
    return activations, weights.T @ activations[-1].T + biases[:, None]


def output_layer(network: Network, z: Vector, targets: Vector) -> tuple[Vector, Vector]:
    """The summed cost of the columns, and its derivative by z."""
    xp = namespace()
    if network.cost == "cross_entropy":
        shifted = z - xp.max(z, axis=0)
        numerators = xp.exp(shifted)
        sums = xp.sum(numerators, axis=0)
        return xp.sum(xp.log(sums)) - xp.sum(targets * shifted), numerators / sums - targets
    a = activation(network.output, z)
    difference = a - targets
    return xp.sum(difference * difference) / 2.0, difference * derivative(network.output, a)


def mean_gradient(
    network: Network, parameters: list[Vector], images: Vector, targets: Vector
) -> tuple[Vector, list[Vector]]:
    """The mean cost of these images and its gradient, by weights and biases of each layer."""
    xp, n = namespace(), images.shape[0]
    activations, z = forward(network, parameters, images)
    cost, delta = output_layer(network, z, targets)
    delta = delta.T / n
    gradient = [activations[-1].T @ delta, xp.sum(delta, axis=0)]
    for number in range(len(activations) - 1, 0, -1):
        a = activations[number]
        delta = (delta @ parameters[2 * number].T) * derivative(network.hidden, a)
        gradient = [activations[number - 1].T @ delta, xp.sum(delta, axis=0), *gradient]
    return cost / n, gradient


def to_list(parameters: Parameters) -> list[Vector]:
    """Weights and biases of the first layer, of the second, ..., copied."""
    return [to_library(array) for layer in parameters for array in layer]


def to_layers(arrays: list[Vector]) -> Parameters:
    """The reverse."""
    return tuple(map(Layer, map(to_numpy, arrays[::2]), map(to_numpy, arrays[1::2])))


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    _, z = forward(network, to_list(parameters), prepared.images)
    return np.ascontiguousarray(to_numpy(activation(network.output, z)).T)


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    cost, gradient = mean_gradient(network, to_list(parameters), *prepared)
    return float(cost), to_layers(gradient)


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    xp = namespace()
    images, targets = prepared
    assert targets is not None
    parameters, velocities = map(to_list, state)
    mu = plan.momentum
    order = None if plan.order is None else to_library(plan.order)
    costs = []
    updates = zip(plan.starts.tolist(), plan.stops.tolist(), plan.learning_rates.tolist(), strict=True)
    for start, stop, rate in updates:
        batch = images[start:stop, :], targets[:, start:stop]
        if order is not None:
            chosen = order[start:stop]
            batch = xp.take(images, chosen, axis=0), xp.take(targets, chosen, axis=1)
        cost, gradient = mean_gradient(network, parameters, *batch)
        if mu > 0:
            velocities = [g + mu * v for g, v in zip(gradient, velocities, strict=True)]
            gradient = [g + mu * v for g, v in zip(gradient, velocities, strict=True)]
        parameters = [p - rate * g for p, g in zip(parameters, gradient, strict=True)]
        costs.append(cost)
    return State(to_layers(parameters), to_layers(velocities)), to_numpy(xp.stack(costs))
