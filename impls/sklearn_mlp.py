"""Peer, `sklearn`: scikit-learn's MLPClassifier, with partial_fit on as much of the plan as one call can do.

MLPClassifier is the library's own loop over batches, in NumPy. It cuts its images into batches of `batch_size` and
makes one update for each; so consecutive updates of one size and learning rate are one call, in which only the last may
be shorter. A plan at a constant rate is a single call; one with a decreasing rate is a call per update. Cost: checks of
its input at each call, a cost with every update, needed or not, velocities even without momentum, and for a plan with
an order a copy of all images of a call.

Parameters are set and read as `coefs_` and `intercepts_`; the library's own biases, random numbers and penalty `alpha`
are replaced or switched off. Its velocity is u = -rate * v, from which v is computed after each call.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from sklearn.neural_network import MLPClassifier

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "sklearn"
SUMMARY: Final = "scikit-learn's MLPClassifier, as few calls of partial_fit as the plan allows"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128

ACTIVATIONS: Final = {"sigmoid": "logistic", "relu": "relu", "tanh": "tanh"}


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) in the dtype, labels (n,)."""

    images: Array
    labels: Array | None


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Outputs other than softmax over at least three classes, gradients, and the cost of a single update."""
    if network.output != "softmax":
        return "MLPClassifier has no other outputs than softmax with cross-entropy"
    if network.sizes[-1] < 3:
        return f"MLPClassifier takes {network.sizes[-1]} classes for a yes or no, with one sigmoid output"
    if quantity == "gradients":
        return "MLPClassifier shows no gradient, and its cost is of probabilities clipped at eps"
    if quantity == "costs":
        return "MLPClassifier returns the mean cost over a call, not the cost before each update"
    return None


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled and in the dtype."""
    return Prepared(np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe"), labels)


def classifier(network: Network, parameters: Parameters, momentum: float) -> Any:
    """A classifier that starts from these parameters."""
    dtype = parameters[0].weights.dtype
    model = MLPClassifier(
        hidden_layer_sizes=network.sizes[1:-1],
        activation=ACTIVATIONS[network.hidden],
        solver="sgd",
        alpha=0.0,  # no penalty on large weights
        batch_size=1,
        shuffle=False,
        momentum=momentum,
        nesterovs_momentum=momentum > 0,
        random_state=0,  # so that no shared random numbers are drawn; the parameters are replaced
    )
    # Only a call builds the model, so it gets a blank image; the parameters are set afterwards.
    model.partial_fit(np.zeros((1, network.sizes[0]), dtype), np.zeros(1, int), classes=np.arange(network.sizes[-1]))
    model.coefs_ = [weights.copy() for weights, _ in parameters]
    model.intercepts_ = [biases.copy() for _, biases in parameters]
    return model


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    return classifier(network, parameters, momentum=0.0).predict_proba(prepared.images)


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Raise NotImplementedError with the reason why gradients are unsupported."""
    raise NotImplementedError(unsupported("gradients", network, "float64"))


def calls(plan: Plan) -> Iterator[slice]:
    """The plan's updates in order; those that one call of partial_fit can make form one slice."""
    starts, stops, rates = plan.starts, plan.stops, plan.learning_rates
    sizes = stops - starts
    continues = (starts[1:] == stops[:-1]) & (rates[1:] == rates[:-1]) & (rates[1:] > 0)
    first = 0
    for u in range(1, len(starts) + 1):
        if u == len(starts) or not (continues[u - 1] and sizes[u - 1] == sizes[first] >= sizes[u]):
            yield slice(first, u)
            first = u


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, None]:
    """The state after the plan's updates; no costs."""
    images, labels = prepared
    assert labels is not None
    model = classifier(network, state.parameters, plan.momentum)
    # scikit-learn lists all weights first, then all biases.
    velocities = [array.copy() for part in zip(*state.velocities, strict=True) for array in part]
    for call in calls(plan):
        start, stop = int(plan.starts[call.start]), int(plan.stops[call.stop - 1])
        chosen = slice(start, stop) if plan.order is None else plan.order[start:stop]
        model.batch_size = int(plan.stops[call.start]) - start
        rate = float(plan.learning_rates[call.start])
        velocities = fit(model, images[chosen], labels[chosen], rate, velocities)
    n_layers = len(model.coefs_)
    return State(
        tuple(map(Layer, model.coefs_, model.intercepts_)),
        tuple(map(Layer, velocities[:n_layers], velocities[n_layers:])),
    ), None


def fit(model: Any, images: Array, labels: Array, rate: float, velocities: list[Array]) -> list[Array]:
    """Call partial_fit once; return the velocities after it.

    At a rate of 0 only the velocities change, but scikit-learn's u would be 0, from which they cannot be computed. So
    the step is made at a rate of 1, and the parameters are restored.
    """
    before = [array.copy() for array in model.coefs_ + model.intercepts_] if rate == 0 else []
    optimizer = model._optimizer
    optimizer.learning_rate = rate or 1.0
    optimizer.velocities = [-optimizer.learning_rate * v for v in velocities]
    model.partial_fit(images, labels)
    if before:
        model.coefs_, model.intercepts_ = before[: len(model.coefs_)], before[len(model.coefs_) :]
    if model.momentum == 0:
        return velocities
    return [u / -optimizer.learning_rate for u in optimizer.velocities]
