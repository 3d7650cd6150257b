"""The possible answers, each as a plain implementation in NumPy; `questions.py` says which is the contract's."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from bench.dialects.given import MOMENTUM, RATES


def three_steps(
    rates: Sequence[float] = RATES,
    *,
    momentum: float = MOMENTUM,
    nesterov: bool = False,
    rate_inside: bool = False,
    decay: float = 0.0,
    decay_in: Literal["gradient", "parameter"] = "gradient",
    dampening: float = 0.0,
    dampened_at_first: bool = False,
    averaged: bool = False,
    start: float = 0.0,
) -> float:
    """The parameter after updates with gradient 1 at these rates.

    rate_inside: the velocity adds up rate times gradient, and not gradients. decay_in: whether a weight decay is added
    to the gradient, before the velocity, or taken from the parameter beside the velocity. averaged: the velocity is a
    weighted mean, not a sum.
    """
    p, v = start, 0.0
    for step, rate in enumerate(rates):
        g = 1.0 + (decay * p if decay_in == "gradient" else 0.0)
        shrunk = p * rate * decay if decay_in == "parameter" else 0.0
        share = 1 - momentum if averaged else 1 - dampening if step or dampened_at_first else 1.0
        v = momentum * v + share * g * (rate if rate_inside else 1)
        change = (g * (rate if rate_inside else 1) + momentum * v) if nesterov else v
        p -= shrunk + change * (1 if rate_inside else rate)
    return p


def clipped(gradients: Sequence[float], largest: float, together: bool) -> list[float]:
    """Gradients of single parameters scaled down to a norm of at most `largest`: of all together, or of each."""
    norms = [float(np.linalg.norm(gradients))] * len(gradients) if together else [abs(g) for g in gradients]
    return [g * min(1.0, largest / norm) for g, norm in zip(gradients, norms, strict=True)]


def softmax(logits: Any) -> Any:
    """Probabilities; logits: (n_outputs,)."""
    powers = np.exp(logits - np.max(logits))
    return powers / powers.sum()


def cost(logits: Any, label: int, epsilon: float = 0.0) -> float:
    """Cross-entropy of one image, of its probability or epsilon, whichever is larger."""
    return float(-np.log(max(softmax(np.asarray(logits, float))[label], epsilon)))


def cost_gradient(logits: Any, label: int, epsilon: float = 0.0) -> float:
    """The derivative of that cost with respect to the logit of the label; 0 where epsilon takes effect."""
    probability = softmax(np.asarray(logits, float))[label]
    return float(probability - 1) if probability > epsilon else 0.0


def gradient_of_max(values: Sequence[float], ties: Literal["shared", "first", "last", "each"]) -> list[float]:
    """The derivative of the largest of some values with respect to each of them."""
    largest = np.flatnonzero(np.asarray(values) == max(values))
    chosen = {"shared": largest, "each": largest, "first": largest[:1], "last": largest[-1:]}[ties]
    gradient = np.zeros(len(values))
    gradient[chosen] = 1 / len(chosen) if ties == "shared" else 1
    return gradient.tolist()


def sum_one_by_one(values: Any) -> Any:
    """The sum in the dtype of the values, each rounded to it."""
    return np.add.accumulate(values, dtype=values.dtype)[-1]


def wrapped(number: int, bits: int) -> int:
    """A whole number as so many bits keep it, without a sign."""
    return number % 2**bits


def correct_bits(product: Any, exact: Any) -> float:
    """How many leading bits of the largest result are right in every result: 23 in float32, 11 in TF32, about."""
    error = float(np.max(np.abs(np.asarray(product, float) - exact)) / np.max(np.abs(exact)))
    return -np.log2(max(error, 2.0**-60))


def rounded(values: Any, bits: int) -> Any:
    """float32 values with only so many bits of the fraction, rounded to nearest: 10 in TF32, 7 in bfloat16."""
    dropped = 23 - bits
    whole = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64) + (1 << (dropped - 1))
    return ((whole >> dropped) << dropped).astype(np.uint32).view(np.float32)


def start(distribution: Literal["uniform", "normal", "truncated"], variance: float, bias: float = 0.0) -> list[float]:
    """What `described_start` says of weights of this distribution and variance; bias: the largest that there may be.

    The largest of 100,352 normal numbers is expected at 4.4 standard deviations; one truncated at two of them before it
    is scaled to the variance (by 0.8796, the deviation that the truncation leaves) ends at 2.27.
    """
    return [float(np.sqrt(variance)), {"uniform": 3**0.5, "truncated": 2 / 0.8796, "normal": 4.4}[distribution], bias]


def described_start(weights: Any, biases: Any) -> list[float]:
    """Standard deviation of a layer's weights, the largest in standard deviations, and the largest bias."""
    deviation = float(np.std(weights, dtype=float))
    return [deviation, float(np.max(np.abs(weights))) / deviation, float(np.max(np.abs(biases)))]


def of_other_bits(one: Any, two: Any) -> float:
    """The share of elements that differ, be it in the last bit."""
    return float(np.mean(np.asarray(one) != np.asarray(two)))
