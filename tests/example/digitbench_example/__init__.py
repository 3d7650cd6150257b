"""A backend from another package: plain NumPy, the whole batch at once. It imports nothing of digitbench."""

from typing import Any, Final

import numpy as np

NAME: Final = "example"
SUMMARY: Final = "a backend from another package: the whole batch as matrices"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = None


def unsupported(quantity: str, network: Any, dtype: str) -> str | None:
    """Everything for outputs by ReLU, and the costs of a training; otherwise nothing."""
    if network.output == "relu":
        return "an output layer of ReLU is not written yet"
    return "costs would take a second pass" if quantity == "costs" else None


def prepare(network: Any, images: Any, labels: Any, dtype: str) -> tuple[Any, Any]:
    """The pixels scaled, and the labels one-hot."""
    pixels = np.asarray(images, dtype) * np.array(network.pixel_scale, dtype)
    return pixels, None if labels is None else np.eye(network.sizes[-1], dtype=dtype)[labels]


def sigmoid(z: Any) -> Any:
    return (1 + np.tanh(z / 2)) / 2


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def relu(z: Any) -> Any:
    return np.maximum(z, 0)


FUNCTIONS: Final[dict[str, Any]] = {"sigmoid": sigmoid, "tanh": np.tanh, "relu": relu, "softmax": softmax}
DERIVATIVES: Final[dict[str, Any]] = {
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a * a,
    "relu": lambda a: a > 0,
}


def forward(network: Any, parameters: Any, pixels: Any) -> list[Any]:
    """The activations of all layers."""
    activations = [pixels]
    names = [network.hidden] * (len(parameters) - 1) + [network.output]
    for name, (weights, biases) in zip(names, parameters, strict=True):
        activations.append(FUNCTIONS[name](activations[-1] @ weights + biases))
    return activations


def outputs(network: Any, parameters: Any, prepared: Any) -> Any:
    return forward(network, parameters, prepared[0])[-1]


def gradients(network: Any, parameters: Any, prepared: Any) -> tuple[float, Any]:
    pixels, targets = prepared
    activations = forward(network, parameters, pixels)
    delta = (activations[-1] - targets) / pixels.dtype.type(len(pixels))
    if network.cost == "quadratic":
        cost = ((activations[-1] - targets) ** 2).sum() / (2 * len(pixels))
        delta = delta * DERIVATIVES[network.output](activations[-1])
    else:
        z = activations[-2] @ parameters[-1][0] + parameters[-1][1]
        z = z - z.max(axis=1, keepdims=True)
        cost = (np.log(np.exp(z).sum(axis=1)) - (z * targets).sum(axis=1)).mean()
    gradient: list[Any] = []
    for number in reversed(range(len(parameters))):
        gradient.insert(0, (activations[number].T @ delta, delta.sum(axis=0)))
        if number:
            delta = (delta @ parameters[number][0].T) * DERIVATIVES[network.hidden](activations[number])
    return float(cost), gradient


def train(network: Any, state: Any, prepared: Any, plan: Any) -> tuple[Any, None]:
    parameters, velocities = state
    for start, stop, rate in zip(plan.starts, plan.stops, plan.learning_rates.tolist(), strict=True):
        chosen = slice(start, stop) if plan.order is None else plan.order[start:stop]
        _, step = gradients(network, parameters, [part[chosen] for part in prepared])
        if plan.momentum:
            velocities = combined(plan.momentum, velocities, step)
            step = combined(plan.momentum, velocities, step)
        parameters = combined(-rate, step, parameters)
    return state._replace(parameters=parameters, velocities=velocities), None


def combined(factor: float, first: Any, second: Any) -> list[Any]:
    """factor * first + second, layer by layer."""
    return [(factor * w1 + w2, factor * b1 + b2) for (w1, b1), (w2, b2) in zip(first, second, strict=True)]
