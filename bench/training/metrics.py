"""How good a network is, computed by the harness from outputs; never reported by a backend."""

import numpy as np

from impls.contract import Array, Network


def accuracy(outputs: Array, labels: Array) -> float:
    """The share of images whose largest output is that of their label; a row with NaN counts as wrong."""
    right = (outputs.argmax(axis=1) == labels) & np.isfinite(outputs).all(axis=1)
    return float(right.mean())


def mean_cost(network: Network, outputs: Array, labels: Array) -> float:
    """The network's cost from its outputs (n, n_outputs), summed in float64; NaN where outputs are.

    A probability that underflowed to 0 counts as the smallest normal number of the outputs' dtype, as its logarithm
    would be infinite though the cost is not.
    """
    right = outputs[np.arange(len(labels)), labels].astype(np.float64)
    if network.cost == "cross_entropy":
        return float(-np.log(np.maximum(right, np.finfo(outputs.dtype).tiny)).mean())
    squares = np.square(outputs, dtype=np.float64).sum(axis=1) - right**2 + (right - 1) ** 2
    return float(squares.mean() / 2)
