"""The problems in which a backend has to agree before it is timed: its cases on a few images, for some updates.

ReLU has a kink, at which float32 may take either side, and one image on the other side makes as large an error as a
wrong formula. So images that come near a kink are left out, at every update anew as each has images of its own. They
are drawn at random, the same ones every time, so that all digits are among them also where a file is sorted by label.
"""

import numpy as np

from bench.agreement.check import Problem, widened
from bench.agreement.rounding import evaluate, flat, forward, layers, scaled, updated
from bench.workloads.recipes import Recipe
from data import Digits
from impls.contract import Array, Layer, Network, Parameters, Plan

MOST_IMAGES = 1100  # two blocks of the backends that work in blocks; `vectorized` has smaller ones in tests only
MOST_UPDATES = 4
FULL_BATCH_UPDATES = 2
CANDIDATES = 2000  # images among which those of a problem are chosen
MARGIN = 100.0  # times as far from kinks as rounding reaches in one evaluation: in a training it reaches farther


def problem_of(case: Recipe, train: Digits) -> Problem:
    """The case's first updates on images that keep away from kinks.

    Biases start at random: with zeros, as training starts, a backend that forgets them would agree. Raises UserError
    where there are fewer images than a batch.
    """
    n = len(train.labels)
    case.images_per_update(n)  # raises
    size = case.batch or min(MOST_IMAGES, n)
    n_updates = 1 if case.batch is None else min(MOST_UPDATES, max(1, MOST_IMAGES // size))
    stops = size * np.arange(1, n_updates + 1)
    plan = Plan(stops - size, stops, None, np.full(n_updates, case.learning_rate), case.momentum)
    parameters = with_random_biases(case.parameters())
    eps = float(np.finfo(case.dtype).eps)
    candidates = np.random.default_rng(3).permutation(n)[:CANDIDATES]
    batches = clear_of_kinks(case.network, widened(parameters), train, candidates, plan, eps)
    chosen = np.concatenate(batches)
    stops = np.cumsum([len(batch) for batch in batches])
    starts = np.concatenate([[0], stops[:-1]])
    if case.batch is None:
        starts, stops = np.repeat(starts, FULL_BATCH_UPDATES), np.repeat(stops, FULL_BATCH_UPDATES)
    order = None
    if case.order != "file":  # the images lie scattered, and the order finds them
        order = np.random.default_rng(1).permutation(len(chosen))
        chosen = chosen[np.argsort(order)]
    plan = Plan(starts, stops, order, np.full(len(starts), case.learning_rate), case.momentum)
    return Problem(case.name, case.network, parameters, train.images[chosen], train.labels[chosen], plan)


def with_random_biases(parameters: Parameters) -> Parameters:
    """The same weights, and biases from N(0, 0.1^2)."""
    rng = np.random.default_rng(2)
    return tuple(Layer(w, (0.1 * rng.standard_normal(b.shape)).astype(b.dtype)) for w, b in parameters)


def clear_of_kinks(
    network: Network, parameters: Parameters, digits: Digits, candidates: Array, plan: Plan, eps: float
) -> list[Array]:
    """For each update the indices of its images: the next candidates that keep away from kinks by then.

    parameters: float64; velocities begin at 0. plan: without an order; gives the number of images and the rate of each
    update. eps: of the dtype that is checked. The last update may be short, and where the candidates run out there
    are fewer updates; there is always one image at least.
    """
    has_kinks = "relu" in ([network.hidden] * (len(parameters) - 1) + [network.output])
    p = flat(parameters)
    v = [np.zeros_like(array) for array in p]
    batches = []
    position = 0
    for size, rate in zip(plan.stops - plan.starts, plan.learning_rates, strict=True):
        window = candidates[position : position + 2 * size]
        if not window.size:
            break
        near = np.zeros(len(window), bool)
        if has_kinks:
            near = forward(network, layers(p), scaled(network, digits.images[window]), MARGIN * eps).kinks
        clear = np.flatnonzero(~near)[:size]
        if not clear.size:
            clear = np.arange(1)  # nothing else is left: rounding's bounds allow for the kink
        batch = window[clear]
        position += int(clear[-1]) + 1
        batches.append(batch)
        if has_kinks:
            here = evaluate(network, layers(p), scaled(network, digits.images[batch]), digits.labels[batch], eps)
            p, v = updated(p, v, here.gradient, rate, plan.momentum)
    return batches
