"""A backend of your own in plain NumPy, a whole batch at once: right as it stands, and yours to make faster.

    python -m bench agree --backend my_network.py   checks what it computes, in seconds
    python -m bench race --backend my_network.py    times it beside `vectorized`
    pytest --backend=my_network.py                  checks all that is promised, in half a minute

Rows are images. `network` has sizes (784, 128, 10), hidden, output, cost, pixel_scale; each of `parameters` has weights
(fan_in, fan_out) and biases (fan_out,), float32 or float64. Return arrays of the same dtype, never change what you are
given, draw nothing at random, print nothing. What each function is given is described in impls/contract.py.
"""

import copy

import numpy as np

NAME = "my_network"  # tables show the name of the file
SUMMARY = "plain NumPy, a whole batch at once"
DTYPES = ("float32", "float64")
BATCH_SIZE = 128  # images of an update by default; None: all
FUNCTIONS = {"sigmoid": lambda z: (1 + np.tanh(z / 2)) / 2, "tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}
FUNCTIONS["softmax"] = lambda z: (e := np.exp(z - z.max(axis=1, keepdims=True))) / e.sum(axis=1, keepdims=True)
DERIVATIVES = {"sigmoid": lambda a: a * (1 - a), "tanh": lambda a: 1 - a * a, "relu": lambda a: a > 0}  # from a, not z


def unsupported(quantity, network, dtype):
    """Why it cannot compute "outputs", "gradients", "costs" of a training or "train", as a text; None where it can."""
    return None


def prepare(network, images, labels, dtype):
    """Your form of the images (n, n_inputs), bytes or floats, and labels (n,) or None; made once, off the clock."""
    pixels = np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe")
    return pixels, None if labels is None else np.eye(network.sizes[-1], dtype=dtype)[labels]


def forward(network, parameters, pixels):
    """The activations of all layers, of which the first are the pixels, and the last layer's z."""
    activations = [pixels]
    for layer in parameters:  # makes five arrays or so for each layer: could they be made once, and written again?
        z = activations[-1] @ layer.weights + layer.biases
        activations.append(FUNCTIONS[network.output if layer is parameters[-1] else network.hidden](z))
    return activations, z


def outputs(network, parameters, prepared):
    """The last layer's activations, (n, n_outputs)."""
    return forward(network, parameters, prepared[0])[0][-1]


def gradients(network, parameters, prepared):
    """The mean cost of these images, a float, and its gradient, (weights, biases) for each layer."""
    pixels, targets = prepared
    (*inputs, a), z = forward(network, parameters, pixels)
    delta, gradient = (a - targets) / len(pixels), []
    if network.cost == "quadratic":
        cost = np.square(a - targets).sum() / (2 * len(pixels))
        delta = delta * DERIVATIVES[network.output](a)
    else:  # cross-entropy, from z: the logarithm of a softmax that is 0 would be infinite
        z = z - z.max(axis=1, keepdims=True)
        cost = (np.log(np.exp(z).sum(axis=1)) - z[targets == 1]).mean()
    for number in reversed(range(len(parameters))):  # the first layer's product takes most of the time
        gradient.insert(0, (inputs[number].T @ delta, delta.sum(axis=0)))
        if number:
            delta = (delta @ parameters[number].weights.T) * DERIVATIVES[network.hidden](inputs[number])
    return float(cost), gradient


def train(network, state, prepared, plan):
    """The state after the plan's updates, and the mean cost of each update's images before it, (n_updates,)."""
    state, costs = copy.deepcopy(state), np.empty(len(plan.starts), prepared[0].dtype)
    for u, (start, stop, rate) in enumerate(zip(plan.starts, plan.stops, plan.learning_rates.tolist(), strict=True)):
        chosen = slice(start, stop) if plan.order is None else plan.order[start:stop]  # the images of this update
        costs[u], gradient = gradients(network, state.parameters, [part[chosen] for part in prepared])
        for layer, velocity, step in zip(*state, gradient, strict=True):
            for p, v, g in zip(layer, velocity, step, strict=True):
                if plan.momentum:  # Nesterov's: v <- mu v + g, then p <- p - rate (g + mu v)
                    v[...] = plan.momentum * v + g
                p -= rate * (g + plan.momentum * v)
    return state, costs
