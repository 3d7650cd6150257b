"""Initial parameters, by the name of their distribution. The harness makes them, the same for every backend."""

import difflib
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from impls.contract import Array, ContractError, DType, Layer, Network, Parameters

Draw = Callable[[np.random.Generator, int, int], Array]


class Initialisation(NamedTuple):
    """How one layer's weights (fan_in, fan_out) and biases (fan_out,) are drawn."""

    formula: str
    weights: Draw
    biases: Draw | None = None  # None: zero


def _normal(variance: Callable[[int, int], float]) -> Draw:
    return lambda rng, fan_in, fan_out: rng.standard_normal((fan_in, fan_out)) * np.sqrt(variance(fan_in, fan_out))


def _uniform(bound: Callable[[int, int], float]) -> Draw:
    return lambda rng, fan_in, fan_out: rng.uniform(-1, 1, (fan_in, fan_out)) * bound(fan_in, fan_out)


INITIALISATIONS = {
    # LeCun, Bottou, Orr, Muller (1998), Efficient BackProp, section 4.6
    "lecun_normal": Initialisation("N(0, 1/fan_in)", _normal(lambda m, n: 1 / m)),
    # Glorot, Bengio (2010), equation 16
    "glorot_uniform": Initialisation(
        "U(-b, b), b^2 = 6/(fan_in + fan_out)", _uniform(lambda m, n: np.sqrt(6 / (m + n)))
    ),
    "glorot_normal": Initialisation("N(0, 2/(fan_in + fan_out))", _normal(lambda m, n: 2 / (m + n))),
    # He, Zhang, Ren, Sun (2015), equation 10
    "he_normal": Initialisation("N(0, 2/fan_in)", _normal(lambda m, n: 2 / m)),
    "he_uniform": Initialisation("U(-b, b), b^2 = 6/fan_in", _uniform(lambda m, n: np.sqrt(6 / m))),
    # Nielsen (2015), chapter 1: biases are drawn as well
    "standard_normal": Initialisation(
        "N(0, 1), biases as well", _normal(lambda m, n: 1.0), lambda rng, m, n: rng.standard_normal(n)
    ),
}


def initial_parameters(network: Network, initialisation: str, seed: int, dtype: DType) -> Parameters:
    """Draw a network's parameters, in float64 and then rounded, so that both dtypes start from the same point.

    Biases are zero unless the initialisation draws them. Raises ContractError for an unknown initialisation.
    """
    if initialisation not in INITIALISATIONS:
        near = difflib.get_close_matches(initialisation, INITIALISATIONS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ContractError(
            f"initialisation {initialisation!r} is unknown: {hint}There are: {', '.join(INITIALISATIONS)}"
        )
    chosen = INITIALISATIONS[initialisation]
    rng = np.random.default_rng(seed)
    layers = []
    for fan_in, fan_out in pairwise(network.sizes):
        weights = chosen.weights(rng, fan_in, fan_out)
        biases = chosen.biases(rng, fan_in, fan_out) if chosen.biases else np.zeros(fan_out)
        layers.append(Layer(weights.astype(dtype), biases.astype(dtype)))
    return tuple(layers)
