"""The agreement check: before a backend is timed, it has to compute what the reference computes.

The reference is `naive` in float64, on the same parameters widened. Errors are taken norm-wise, per tensor:
max|a - ref| / max|ref|, in units of the machine epsilon of the backend's dtype. An element-wise relative error would
say little, as sums cancel. ALLOWED is 2.5 times the worst that all backends, dtypes, activations and costs showed on
networks with up to two hidden layers and batches of 1 to 50 (25 eps, for velocities; outputs, costs and gradients
stayed below 8 eps); a wrong sign, factor or batch, or a float32 inside float64, is wrong by thousands of eps and more.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import impls
from bench.cases import Case
from data import Digits
from impls.contract import Array, Backend, Layer, Network, Parameters, Plan, Quantity, dtype_of, zero_velocities

ALLOWED = 64.0  # eps
UPDATES = 3
QUANTITIES: tuple[Quantity, ...] = ("outputs", "gradients", "train")
MOST_IMAGES = 2000  # of a full batch: enough for two blocks of any backend that works in blocks


class Result(NamedTuple):
    """One comparison; `failure` says in one line why it failed, None if it did not."""

    backend: str
    case: str
    quantity: str  # "outputs", "cost", "gradient of layer 1 weights", ...
    error: float  # in eps of the dtype
    allowed: float  # in eps
    failure: str | None


class Quantities(NamedTuple):
    """All that is compared, by name."""

    outputs: Array
    cost: float
    gradient: Parameters
    costs: Array | None
    parameters: Parameters
    velocities: Parameters


def compute(backend: Backend, network: Network, parameters: Parameters, split: Digits, plan: Plan) -> Quantities:
    """Everything the check compares, by one backend, in the dtype of the parameters."""
    prepared = backend.prepare(network, split.images, split.labels, dtype_of(parameters))
    outputs = backend.outputs(network, parameters, prepared)
    cost, gradient = backend.gradients(network, parameters, prepared)
    state, costs = backend.train(network, zero_velocities(parameters), prepared, plan)
    return Quantities(outputs, cost, gradient, costs, *state)


def widened(parameters: Parameters) -> Parameters:
    """The same parameters in float64."""
    return tuple(Layer(weights.astype(np.float64), biases.astype(np.float64)) for weights, biases in parameters)


def excerpt(case: Case, train: Digits) -> tuple[Digits, Plan]:
    """The images and updates on which a case is checked: its first three updates, a full batch cut to 2,000 images."""
    n = min(len(train.labels), MOST_IMAGES if case.batch is None else UPDATES * case.batch)
    rounds = UPDATES if case.batch is None else 1
    plans = case.plans(n, rounds)
    starts = np.concatenate([plan.starts for plan in plans])[:UPDATES]
    stops = np.concatenate([plan.stops for plan in plans])[:UPDATES]
    rates = np.concatenate([plan.learning_rates for plan in plans])[:UPDATES]
    return Digits(train.images[:n], train.labels[:n]), Plan(starts, stops, None, rates, plans[0].momentum)


def reference(case: Case, train: Digits) -> Quantities:
    """What the backends have to agree with in this case."""
    split, plan = excerpt(case, train)
    return compute(impls.load(impls.REFERENCE), case.network, widened(case.parameters()), split, plan)


def check_cases(backend: Backend, train: Digits, references: dict[Case, Quantities]) -> list[Result]:
    """Compare a backend with the reference in every case."""
    return [result for case, expected in references.items() for result in check(backend, case, train, expected)]


def check(backend: Backend, case: Case, train: Digits, expected: Quantities) -> list[Result]:
    """Compare a backend with the reference in one case. What it raises counts as a disagreement, by name."""
    split, plan = excerpt(case, train)
    name, dtype = backend.NAME, np.dtype(case.dtype)
    try:
        for quantity in QUANTITIES:
            reason = backend.unsupported(quantity, case.network, case.dtype)
            if reason is not None:
                failure = f"{name}, {case.plan_name}: has no {quantity} for {case.network} in {case.dtype}: {reason}"
                return [Result(name, case.plan_name, quantity, np.inf, ALLOWED, failure)]
        has_costs = backend.unsupported("costs", case.network, case.dtype) is None
        found = compute(backend, case.network, case.parameters(), split, plan)
        return [
            compare(name, case.plan_name, quantity, actual, wanted, dtype)
            for quantity, actual, wanted in pairs(found, expected)
            if has_costs or quantity != "costs of updates"
        ]
    except Exception as error:  # whatever a backend does wrong is a result of the check, and the others go on
        failure = f"{name}, {case.plan_name}: raised {type(error).__name__}: {error}"
        return [Result(name, case.plan_name, "call", np.inf, ALLOWED, failure)]


def pairs(found: Quantities, expected: Quantities) -> Iterator[tuple[str, Any, Array]]:
    """(quantity, found, expected) for every tensor; what is missing comes as None."""
    yield "outputs", found.outputs, expected.outputs
    yield "cost", np.asarray(found.cost), np.asarray(expected.cost)
    if expected.costs is not None:
        yield "costs of updates", found.costs, expected.costs
    for quantity, of_found, of_expected in (
        ("gradient", found.gradient, expected.gradient),
        ("parameters", found.parameters, expected.parameters),
        ("velocities", found.velocities, expected.velocities),
    ):
        for number, layer in enumerate(of_expected):
            actual = of_found[number] if number < len(of_found) else (None, None)
            for part, of_actual, wanted in zip(("weights", "biases"), actual, layer, strict=True):
                yield f"{quantity} of layer {number + 1} {part}", of_actual, wanted


def compare(backend: str, case: str, quantity: str, actual: Any, expected: Array, dtype: np.dtype[Any]) -> Result:
    """Hold one tensor against the reference: type, shape, dtype, then values. NaN fails."""
    who = f"{backend}, {case}: {quantity}"
    if not isinstance(actual, np.ndarray) or actual.shape != expected.shape:
        found = f"shape {actual.shape}" if isinstance(actual, np.ndarray) else type(actual).__name__
        failure = f"{who} should be an array of shape {expected.shape}, found {found}"
        return Result(backend, case, quantity, np.inf, ALLOWED, failure)
    if actual.dtype != dtype and actual.ndim > 0:  # a cost is a Python float
        failure = f"{who} should be {dtype}, found {actual.dtype}"
        return Result(backend, case, quantity, np.inf, ALLOWED, failure)
    difference = np.abs(actual.astype(np.float64) - expected)
    largest = np.abs(expected).max()
    error = float(difference.max() / largest / np.finfo(dtype).eps) if largest > 0 else float(difference.max())
    if error <= ALLOWED:
        return Result(backend, case, quantity, error, ALLOWED, None)
    worst = np.unravel_index(np.argmax(np.where(np.isnan(difference), np.inf, difference)), difference.shape)
    failure = (
        f"{who} is {error:.3g} eps from {impls.REFERENCE} in float64, allowed are {ALLOWED:g} eps; "
        f"worst at {[int(i) for i in worst]}"
    )
    return Result(backend, case, quantity, error, ALLOWED, failure)
