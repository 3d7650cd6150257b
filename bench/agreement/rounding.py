"""How far rounding may move what a network computes: an error analysis that accompanies the values.

Every number here goes with a bound of its error, in units of the machine epsilon of the dtype that is checked. The
rules are those of a running error analysis to first order (Higham, Accuracy and Stability of Numerical Algorithms, 2nd
ed. 2002, section 3.3): an operation hands errors on by its derivative, and adds one rounding of its own. A sum of m
products adds sqrt(m) roundings, as independent roundings do (Higham and Mary 2019, "A new approach to probabilistic
rounding error analysis"), each of the size that its partial sums have; the worst case, m, does not happen.

README.md says how kinks of ReLU are treated, and how the drift of a training is measured. Trainings that drift apart
run as one: their parameters are stacked along an axis before those of a matrix, and so is all that follows from them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np

from impls.contract import Array, Layer, Network, Parameters, Plan

Part = TypeVar("Part")
SAFETY = 4.0  # 2, as the reference rounds as well, times a safety factor of 2
DRAWS = 4  # of random signs; the farthest counts
BLOCK = 2000  # images at a time


@dataclass(frozen=True)
class Rounded:
    """Float64 values and, of the same shape, bounds of their errors in eps.

    What products need of a factor is kept: the images of a batch are a factor in every evaluation on it.
    """

    value: Array
    error: Array

    @cached_property
    def square(self) -> Array:
        """The squares of the values."""
        return self.value**2

    @cached_property
    def terms(self) -> Array:
        """How many values are not zero in each row, (n, 1)."""
        return (self.value != 0).sum(axis=-1, keepdims=True)

    @cached_property
    def spread(self) -> Array:
        """The squares of what a value adds to the error of a sum over its row: its own error, and a term's rounding."""
        return self.error**2 + self.terms * self.square


@dataclass(frozen=True)
class Mean(Rounded):
    """A mean over images, and what tells how rounding strikes where its terms are added up one by one."""

    n_terms: Array  # that are not zero, each as often as it is repeated
    squares: Array  # sum of the squares of the terms, each already divided by the number of images


class Forward(NamedTuple):
    """What every layer makes of some images, (n, fan_out) each."""

    activations: list[Rounded]  # the scaled images first
    slopes: list[Rounded]  # derivatives of the activations
    pre_activations: list[Rounded]
    kinks: Array  # (n,) bool: images with a pre-activation of ReLU that may lie on either side of 0


Gradient = tuple[tuple[Mean, Mean], ...]  # of weights and biases, layer by layer


class Evaluation(NamedTuple):
    """The network at some parameters on some images."""

    outputs: Rounded
    cost: Rounded
    gradient: Gradient


def exact(value: Array) -> Rounded:
    """Values without an error, from which every backend starts."""
    return Rounded(value, np.zeros_like(value))


def product(x: Rounded, weights: Array) -> Rounded:
    """x @ weights, which are exact. The errors of different inputs or units are independent: their squares add up."""
    value = x.value @ weights
    return Rounded(value, np.sqrt(x.spread @ weights**2 + x.terms * value**2))


def mean_product(x: Rounded, y: Rounded, alike: Array) -> Mean:
    """x transposed @ y / n, a mean over n images. A function may be off alike in all of them, so that errors add up.

    alike: (n,), see `multiplicities`.
    """
    n, total, squares = x.value.shape[-2], x.value.mT @ y.value, x.square.mT @ y.square
    n_terms = ((x.value != 0) * alike[:, None]).sum(axis=-2)[..., None]
    error = x.error.mT @ np.abs(y.value) + np.abs(x.value).mT @ y.error + np.sqrt(n_terms * (squares + total**2))
    return Mean(total / n, error / n, n_terms, squares / n**2)


def adding(a: Array, mean: Mean, rate: float, eps: float) -> Array:
    """The error of a + rate * mean in eps, also where each term of the mean is added to `a` by itself.

    That is as right as adding the mean at once, and what a matrix product does in part that adds to its result. A term
    is rounded to the spacing of `a`, and no more of it can be lost than there is.
    """
    size = np.abs(a)
    return size + np.sqrt(mean.n_terms * np.minimum(size**2, (rate / eps) ** 2 * mean.squares))


def multiplicities(images: Array, labels: Array) -> Array:
    """How many images are the same as each one, itself included, with the same label; (n,).

    Their terms are equal and are rounded alike: m of them add m roundings to a sum, not sqrt(m). With m as the weight
    of each, the sum of weights is the square of that.
    """
    keys = [(image.tobytes(), label) for image, label in zip(images, labels.tolist(), strict=True)]
    counts = Counter(keys)
    return np.array([counts[key] for key in keys])


def times(x: Rounded, y: Rounded) -> Rounded:
    """x * y, element by element."""
    value = x.value * y.value
    return Rounded(value, x.error * np.abs(y.value) + np.abs(x.value) * y.error + np.abs(value))


def activate(name: str, z: Rounded) -> tuple[Rounded, Rounded]:
    """The activation of z and its derivative, which for ReLU is that of values that keep away from 0."""
    if name == "relu":
        above = np.where(z.value > 0, 1.0, 0.0)
        return Rounded(np.maximum(z.value, 0), above * z.error), exact(above)
    if name == "tanh":
        a = np.tanh(z.value)
        error = (1 - a * a) * z.error + np.abs(a)
        return Rounded(a, error), Rounded(1 - a * a, 2 * np.abs(a) * error + 1)
    if name == "sigmoid":  # as (1 + tanh(z / 2)) / 2 it has the absolute error of a number near 1
        a = (1 + np.tanh(z.value / 2)) / 2
        error = a * (1 - a) * z.error + 1
        return Rounded(a, error), Rounded(a * (1 - a), np.abs(1 - 2 * a) * error + a)
    shifted = z.value - z.value.max(axis=-1, keepdims=True)
    a = np.exp(shifted)
    a /= a.sum(axis=-1, keepdims=True)
    mean_error = (a * z.error).sum(axis=-1, keepdims=True)
    return Rounded(a, a * (z.error + mean_error + np.abs(shifted) + 2)), exact(np.ones_like(a))


def scaled(network: Network, images: Array) -> Rounded:
    """The images scaled, (n, n_inputs), for any number of evaluations on them."""
    x = images * network.pixel_scale
    return Rounded(x, 2 * np.abs(x))


def forward(network: Network, parameters: Parameters, x: Rounded, eps: float, many: bool = False) -> Forward:
    """All layers, with their errors; the arguments are those of `evaluate`."""
    activations, slopes, pre_activations = [x], list[Rounded](), list[Rounded]()
    kinks: Array = np.zeros(len(x.value), bool)
    names = [network.hidden] * (len(parameters) - 1) + [network.output]
    for name, (weights, biases) in zip(names, parameters, strict=True):
        summed, biases = product(activations[-1], weights), biases[..., None, :]
        z = Rounded(summed.value + biases, summed.error + np.abs(biases))
        a, slope = activate(name, z)
        if name == "relu":
            drift = np.abs(z.value - z.value[0]) if z.value.ndim > 2 else 0.0
            reach = eps * z.error if many else SAFETY * (eps * z.error + drift)
            at_kink = (np.abs(z.value) <= reach) & (reach > 0)
            kinks = kinks | at_kink.any(axis=-1)
            a = Rounded(a.value, np.where(at_kink, z.error, a.error))
            slope = Rounded(slope.value, at_kink / eps)
        pre_activations.append(z)
        activations.append(a)
        slopes.append(slope)
    return Forward(activations, slopes, pre_activations, kinks)


def first_row(mean: Mean) -> Mean:
    """The first row of each matrix, as a vector."""
    return Mean(*(part[..., 0, :] for part in (mean.value, mean.error, mean.n_terms, mean.squares)))


def evaluate(
    network: Network, parameters: Parameters, x: Rounded, labels: Array, eps: float, many: bool = False
) -> Evaluation:
    """Outputs, mean cost and its gradient, with their errors.

    parameters: float64; if several are stacked, the others drift apart from the first. x: the images, (n, n_inputs),
    from `scaled`. eps: the machine epsilon of the dtype that is checked. many: whether this is one of many updates, in
    which trainings that drift apart come to lie on either side of a kink by themselves, so that not all that might is
    counted; of a few updates it has to be.
    """
    activations, slopes, pre_activations, _ = forward(network, parameters, x, eps, many)
    targets = np.eye(network.sizes[-1])[labels]
    cost, delta = cost_and_delta(network, pre_activations[-1], activations[-1], slopes[-1], targets, eps)
    ones, alike = exact(np.ones((len(labels), 1))), multiplicities(x.value, labels)
    gradient: list[tuple[Mean, Mean]] = []
    for number in range(len(parameters) - 1, -1, -1):
        of_biases = mean_product(ones, delta, alike)
        of_weights = mean_product(activations[number], delta, alike)
        gradient.insert(0, (of_weights, first_row(of_biases)))
        if number > 0:
            delta = times(product(delta, parameters[number].weights.mT), slopes[number - 1])
    return Evaluation(activations[-1], cost, tuple(gradient))


def cost_and_delta(
    network: Network, z: Rounded, a: Rounded, slope: Rounded, targets: Array, eps: float
) -> tuple[Rounded, Rounded]:
    """The mean cost, and dCost/dz of the output layer for each image."""
    n = len(targets)
    difference = Rounded(a.value - targets, a.error + np.abs(a.value - targets))
    if network.cost == "cross_entropy":
        highest = z.value.max(axis=-1)
        of_image = (
            highest + np.log(np.exp(z.value - highest[..., None]).sum(axis=-1)) - (targets * z.value).sum(axis=-1)
        )
        error = ((a.value + targets) * z.error).sum(axis=-1) + np.abs(z.value).max(axis=-1) + 1
        delta = difference
    else:
        of_image = (difference.value**2).sum(axis=-1) / 2  # saturated outputs leave only the second order
        error = (np.abs(difference.value) * difference.error + eps * difference.error**2 / 2).sum(axis=-1) + of_image
        delta = times(difference, slope)
    summing = np.sqrt(n) * np.abs(of_image).mean(axis=-1)
    return Rounded(of_image.mean(axis=-1), error.mean(axis=-1) + summing), delta


class Drift(NamedTuple):
    """A training that is repeated with every update moved by what rounding may do to it."""

    costs: Rounded  # (n_updates,), before each update
    parameters: list[Array]  # weights and biases in turn after the last; in a stack, the undisturbed training first
    velocities: list[Array]


def drift_of_training(
    network: Network,
    parameters: Parameters,
    images: Array,
    labels: Array,
    plan: Plan,
    eps: float,
    many: bool = False,
) -> Drift:
    """How far rounding may move the costs of a plan's updates, and the parameters and velocities after them.

    parameters: float64; velocities begin at 0. images, labels: of the plan. eps: of the dtype that is checked. many:
    whether there are many updates, see `evaluate`. From where parameters are so large that products of them may
    overflow in that dtype, errors are infinite.
    """
    rng = np.random.default_rng(0)
    mu = plan.momentum
    p = [array[None] for array in flat(parameters)]  # stacked: one undisturbed, and after the first update the draws
    v = [np.zeros_like(array) for array in p]
    costs, errors, overflows = np.zeros(len(plan.starts)), np.zeros(len(plan.starts)), False
    for u, (start, stop, rate) in enumerate(zip(plan.starts, plan.stops, plan.learning_rates, strict=True)):
        chosen = slice(start, stop) if plan.order is None else plan.order[start:stop]
        cost, gradient = cost_and_gradient(network, layers(p), images[chosen], labels[chosen], eps, many)
        costs[u] = cost.value[0]
        errors[u] = np.inf if overflows else (np.abs(cost.value - cost.value[0]) / eps + cost.error).max()
        g = flat(gradient)
        v_error = [(part.error + adding(a, part, 1.0, eps)) * (mu > 0) for part, a in zip(g, v, strict=True)]
        p_error = [
            rate * (part.error + mu * f) + adding(a, part, rate, eps) for part, f, a in zip(g, v_error, p, strict=True)
        ]
        p, v = updated(p, v, gradient, rate, mu)
        p, v = jolted(p, p_error, eps, rng), jolted(v, v_error, eps, rng)
        overflows = overflows or not all(np.abs(a[0]).max() < eps**-2 for a in p)
    return Drift(Rounded(costs, errors), p, v)


def distances(stacked: list[Array], eps: float) -> list[Array]:
    """How far the trainings of a stack are from the first, in eps."""
    return [np.abs(a - a[0]).max(axis=0) / eps for a in stacked]


def cost_and_gradient(
    network: Network, parameters: Parameters, images: Array, labels: Array, eps: float, many: bool = False
) -> tuple[Rounded, Gradient]:
    """As `evaluate` does, for any number of images: in blocks, as every array of it has a number for each image.

    An error of a sum of m terms has sqrt(m) roundings of partial sums that grow with m, so that the error of a mean is
    sqrt(k) times that of one of k blocks.
    """
    n = len(labels)
    blocks = [slice(first, first + BLOCK) for first in range(0, n, BLOCK)]
    found = [evaluate(network, parameters, scaled(network, images[b]), labels[b], eps, many) for b in blocks]
    if len(found) == 1:
        return found[0].cost, found[0].gradient
    shares, k = [len(labels[b]) / n for b in blocks], np.sqrt(len(blocks))
    cost = Rounded(weighted(shares, [f.cost.value for f in found]), k * weighted(shares, [f.cost.error for f in found]))
    gradient = []
    for parts in zip(*(flat(f.gradient) for f in found), strict=True):
        values, errors = ([getattr(part, name) for part in parts] for name in ("value", "error"))
        n_terms = np.sum([part.n_terms for part in parts], axis=0)
        squares = weighted([share**2 for share in shares], [part.squares for part in parts])
        gradient.append(Mean(weighted(shares, values), k * weighted(shares, errors), n_terms, squares))
    return cost, tuple(zip(gradient[::2], gradient[1::2], strict=True))


def weighted(weights: list[float], arrays: list[Array]) -> Array:
    """The sum of the arrays, each times its weight."""
    return np.sum([weight * array for weight, array in zip(weights, arrays, strict=True)], axis=0)


def jolted(arrays: list[Array], errors: list[Array], eps: float, rng: np.random.Generator) -> list[Array]:
    """In every draw each number moved by its error, up or down at random; the first of a stack stays undisturbed."""
    moved = []
    for a, error in zip(arrays, errors, strict=True):
        signs = 2 * rng.integers(0, 2, (1 + DRAWS, *a.shape[1:])) - 1.0
        signs[0] = 0
        moved.append(a + eps * error * signs)
    return moved


def updated(
    p: list[Array], v: list[Array], gradient: Gradient, rate: float, mu: float
) -> tuple[list[Array], list[Array]]:
    """Parameters and velocities after one update, as the contract says."""
    g = [part.value for part in flat(gradient)]
    if mu > 0:
        v = [mu * a + b for a, b in zip(v, g, strict=True)]
    return [a - rate * (b + mu * c) for a, b, c in zip(p, g, v, strict=True)], v


def layers(arrays: list[Array]) -> Parameters:
    """Weights and biases in turn, as layers."""
    return tuple(map(Layer, arrays[::2], arrays[1::2]))


def flat(layers: Iterable[tuple[Part, Part]]) -> list[Part]:
    """The parts of layers, weights and biases in turn."""
    return [part for layer in layers for part in layer]
