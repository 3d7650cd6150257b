"""Peer, `graph`: a computational graph with automatic differentiation, from scratch in NumPy.

Placeholders are fed with images and targets, variables hold the parameters, and every other node is an operation, which
knows its value from those of its inputs, and its derivative with respect to each. `run` computes the nodes in
topological order. `backward` goes through them in reverse and, by the chain rule, hands each node's gradient to its
inputs (reverse-mode differentiation, as PyTorch, JAX and TensorFlow do it); the network's gradient is written nowhere.
Cost: some calls of Python, and two arrays, for each node.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "graph"
SUMMARY: Final = "a computational graph with automatic differentiation, from scratch in NumPy"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128


class Node:
    """A value in the graph; `gradient` is the derivative of the cost with respect to it, after `backward`."""

    def __init__(self, *inputs: "Node", trainable: bool = False) -> None:
        self.inputs = inputs
        self.value: Any = None
        self.gradient: Any = None
        # Whether it is a variable, or depends on one; other gradients are not computed.
        self.trainable: bool = trainable or any(node.trainable for node in inputs)


class Placeholder(Node):
    """A value that is fed: images, or their targets."""


class Variable(Node):
    """A parameter."""

    def __init__(self, value: Array) -> None:
        super().__init__(trainable=True)
        self.value = value.copy()


class Operation(Node):
    """A function of its inputs: `compute` has their values, a derivative the gradient, the value, and theirs."""

    def __init__(self, name: str, *inputs: Node) -> None:
        super().__init__(*inputs)
        self.compute, *self.derivatives = OPERATIONS[name]


def log_softmax(z: Array) -> Array:
    """The logarithm of softmax, row by row; the largest z is subtracted, so that nothing overflows."""
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


OPERATIONS: Final[dict[str, tuple[Callable[..., Any], ...]]] = {  # functions, and their derivatives by each input
    "matmul": (np.matmul, lambda g, y, a, b: g @ b.T, lambda g, y, a, b: a.T @ g),
    "add_bias": (np.add, lambda g, y, z, b: g, lambda g, y, z, b: g.sum(axis=0)),
    "sigmoid": (lambda z: (np.tanh(z * 0.5) + 1) * 0.5, lambda g, y, z: g * y * (1 - y)),  # which cannot overflow
    "tanh": (np.tanh, lambda g, y, z: g * (1 - y * y)),
    "relu": (lambda z: np.maximum(z, 0), lambda g, y, z: g * (z > 0)),
    "softmax": (lambda z: np.exp(log_softmax(z)), lambda g, y, z: y * (g - (g * y).sum(axis=1, keepdims=True))),
    # The mean cost of the rows, for targets t, which are given. Softmax is part of cross-entropy, because the
    # derivative of both together is a difference.
    "quadratic": (lambda a, t: np.square(a - t).sum() / (2 * len(a)), lambda g, y, a, t: g / len(a) * (a - t)),
    "cross_entropy": (
        lambda z, t: -(t * log_softmax(z)).sum() / len(z),
        lambda g, y, z, t: g / len(z) * (np.exp(log_softmax(z)) - t),
    ),
}


def topological_order(node: Node) -> list[Node]:
    """All nodes that this one depends on, each after its inputs, and itself: a depth-first search."""
    order: list[Node] = []
    found: set[Node] = set()
    stack = [(node, False)]
    while stack:
        node, its_inputs_are_in_order = stack.pop()
        if its_inputs_are_in_order:
            order.append(node)
        elif node not in found:
            found.add(node)
            stack += [(node, True), *((one, False) for one in node.inputs)]
    return order


def run(order: list[Node], feed: dict[Placeholder, Any]) -> Any:
    """The value of the last node, where the placeholders have these values."""
    for placeholder, value in feed.items():
        placeholder.value = value
    for node in order:
        if isinstance(node, Operation):
            node.value = node.compute(*(one.value for one in node.inputs))
    return order[-1].value


def backward(order: list[Node]) -> None:
    """Set the gradients of all nodes that are trainable, from the last, which is the cost, to the variables."""
    for node in order:
        node.gradient = None
    order[-1].gradient = 1.0
    for node in reversed(order):
        if isinstance(node, Operation):
            values = [one.value for one in node.inputs]
            for one, derivative in zip(node.inputs, node.derivatives, strict=False):
                if one.trainable:  # of a node that several operations use, the gradients are added
                    handed = derivative(node.gradient, node.value, *values)
                    one.gradient = handed if one.gradient is None else one.gradient + handed


class Model(NamedTuple):
    """The graph of a network: what is fed, the variables layer by layer, and the nodes to `run`."""

    images: Placeholder
    targets: Placeholder
    layers: list[tuple[Variable, Variable]]
    outputs: Node
    cost: Node


def build(network: Network, parameters: Parameters) -> Model:
    """The graph of the outputs and the mean cost, with these parameters."""
    images, targets = Placeholder(), Placeholder()
    layers = [(Variable(weights), Variable(biases)) for weights, biases in parameters]
    a: Node = images
    for weights, biases in layers:
        z = Operation("add_bias", Operation("matmul", a, weights), biases)
        a = Operation(network.hidden if weights is not layers[-1][0] else network.output, z)
    cost = Operation(network.cost, z if network.cost == "cross_entropy" else a, targets)
    return Model(images, targets, layers, a, cost)


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) in the dtype; targets (n, n_outputs), the labels one-hot."""

    images: Array
    targets: Array | None


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Nothing: every quantity, network and dtype of the contract is supported."""
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype; the labels one-hot."""
    scaled = np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe")
    return Prepared(scaled, None if labels is None else np.eye(network.sizes[-1], dtype=dtype)[labels])


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    model = build(network, parameters)
    return run(topological_order(model.outputs), {model.images: prepared.images})


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient."""
    model = build(network, parameters)
    order = topological_order(model.cost)
    cost = run(order, {model.images: prepared.images, model.targets: prepared.targets})
    backward(order)
    return cost, tuple(Layer(weights.gradient, biases.gradient) for weights, biases in model.layers)


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    images, targets = prepared
    assert targets is not None
    model = build(network, state.parameters)
    order = topological_order(model.cost)
    variables = [variable for layer in model.layers for variable in layer]
    velocities = [velocity.copy() for layer in state.velocities for velocity in layer]
    costs = np.empty(len(plan.starts), images.dtype)
    for u, rate in enumerate(plan.learning_rates.tolist()):
        chosen: slice | Array = slice(plan.starts[u], plan.stops[u])
        chosen = chosen if plan.order is None else plan.order[chosen]
        costs[u] = run(order, {model.images: images[chosen], model.targets: targets[chosen]})
        backward(order)
        for variable, velocity in zip(variables, velocities, strict=True):
            step = variable.gradient
            if plan.momentum > 0:
                velocity[...] = plan.momentum * velocity + step
                step = step + plan.momentum * velocity
            variable.value -= rate * step
    trained = tuple(Layer(weights.value, biases.value) for weights, biases in model.layers)
    return State(trained, tuple(map(Layer, velocities[::2], velocities[1::2]))), costs
