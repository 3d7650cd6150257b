"""Agreement: does a backend compute what the reference computes?

The reference is `naive` in float64, on the same parameters widened. Errors are taken norm-wise, per tensor:
max|a - ref| / max|ref|, in units of the machine epsilon of the backend's dtype. An element-wise relative error would
say little, as sums cancel. What is allowed is SAFETY times what rounding explains (`rounding.py`), worked out anew
for each tensor of each problem: it depends on the network, the images, the size of the pre-activations, and for a
training on how far the errors of early updates grow until the last.
"""

import copy
from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

import impls
from bench import UserError
from bench.agreement.rounding import SAFETY, drift_of_training, evaluate, flat
from impls.contract import Array, Backend, Layer, Network, Parameters, Plan, Quantity, State, dtype_of, zero_velocities

QUANTITIES: tuple[Quantity, ...] = ("outputs", "gradients", "costs", "train")
TELLING = 0.01  # a training in which rounding alone may move parameters by more of their size tells nothing


class Problem(NamedTuple):
    """What is computed: outputs, cost and gradient of all images, and a training over a plan, at rest at first."""

    name: str
    network: Network
    parameters: Parameters  # in the dtype of the problem
    images: Array
    labels: Array
    plan: Plan


class Expected(NamedTuple):
    """One tensor as the reference has it."""

    value: Array  # float64
    allowed: float  # absolute


class Result(NamedTuple):
    """One comparison; `failure` says in one line why it failed, None if it did not."""

    backend: str
    problem: str
    dtype: str
    quantity: str  # "outputs", "cost", "gradient of layer 1 weights", ...
    error: float  # in eps of the dtype
    allowed: float  # in eps
    failure: str | None
    unsupported: str | None = None  # why the backend says that it has no such quantity: nothing was compared

    @property
    def share(self) -> float:
        """How much of what is allowed the error takes."""
        return self.error / self.allowed if self.allowed > 0 else (np.inf if self.error > 0 else 0.0)


def plain(result: Result) -> dict[str, Any]:
    """A result for JSON, which has no infinity: an error that is no finite number is None."""
    return result._asdict() | {"error": result.error if np.isfinite(result.error) else None}


class Disagreement(Exception):
    """What came back has not even the form that the contract asks for; the message continues after the quantity."""


def widened(parameters: Parameters) -> Parameters:
    """The same parameters in float64."""
    return tuple(Layer(weights.astype(np.float64), biases.astype(np.float64)) for weights, biases in parameters)


def reference(problem: Problem) -> dict[str, Expected]:
    """What the backends have to compute, and how far they may be off, tensor by tensor.

    Raises UserError for a training so sensitive to rounding that right and wrong could not be distinguished.
    """
    name, network, parameters, images, labels, plan = problem
    eps = float(np.finfo(dtype_of(parameters)).eps)
    parameters = widened(parameters)
    naive = impls.load(impls.REFERENCE)
    values: dict[str, Array] = {}
    prepared = naive.prepare(network, images, labels, "float64")
    for call in CALLS.values():
        values |= call(naive, problem._replace(parameters=parameters), prepared)
    here = evaluate(network, parameters, images, labels, eps)
    drift = drift_of_training(network, parameters, images, labels, plan, eps)
    errors = chain(
        [here.outputs.error, here.cost.error],
        [part.error for part in flat(here.gradient)],
        [drift.costs, *drift.parameters, *drift.velocities],
    )
    expected = {}
    for (quantity, value), error in zip(values.items(), errors, strict=True):
        allowed = SAFETY * eps * float(error.max())
        if quantity.startswith("parameters") and not allowed <= TELLING * scale_of(value):
            raise UserError(
                f"{name}: rounding alone may move the {quantity} by {allowed / scale_of(value):.2g} of their size, "
                f"so nothing can be told; expected at most {TELLING:g}: lower the learning rate, or take float64"
            )
        expected[quantity] = Expected(np.asarray(value), allowed)
    return expected


def scale_of(value: Array) -> float:
    """The size of a tensor, to which its error is held: the largest magnitude, 1 if all is zero."""
    return float(np.abs(value).max()) or 1.0


def check(backend: Backend, name: str, problem: Problem, expected: dict[str, Expected]) -> list[Result]:
    """Hold a backend, called `name`, against the reference in one problem. Whatever it does wrong is a result."""
    dtype = dtype_of(problem.parameters)
    what = f"{name}, {problem.name}, {dtype}"

    def result(quantity: str, failure: str | None, unsupported: str | None = None) -> Result:
        return Result(name, problem.name, dtype, quantity, np.inf if failure else 0.0, 0.0, failure, unsupported)

    given = copy.deepcopy(problem)
    found, faults, unsupported = computed(backend, given)
    # Compared when all calls are done: a result that a later call overwrites is none.
    results = [compare(name, problem, quantity, actual, expected[quantity]) for quantity, actual in found.items()]
    results += [result(quantity, f"{what}: {reason}") for quantity, reason in faults.items()]
    results += [result(quantity, None, f"{what}: has no {quantity}: {why}") for quantity, why in unsupported.items()]
    if changed := differing(problem, given):
        results.append(result("inputs", f"{what}: modified its inputs: {', '.join(changed)}"))
    return results


def computed(backend: Backend, problem: Problem) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """Everything that a backend computes for a problem: tensors by name; what went wrong; what it does not support."""
    found: dict[str, Any] = {}
    faults: dict[str, str] = {}
    unsupported: dict[str, str] = {}
    quantity: str = "unsupported"
    try:
        unsupported = unsupported_quantities(backend, problem)
        quantity = "prepare"
        if not unsupported.keys() >= CALLS.keys():
            prepared = backend.prepare(problem.network, problem.images, problem.labels, dtype_of(problem.parameters))
    except (
        Exception
    ) as error:  # whatever a backend raises is a result of the check, and the others are checked all the same
        return found, {quantity: fault(quantity, error)}, unsupported
    for quantity in [q for q in CALLS if q not in unsupported]:
        try:
            found |= CALLS[quantity](backend, problem, prepared)
        except Exception as error:
            faults[quantity] = fault(quantity, error)
    if "costs" in unsupported:
        found.pop("costs of updates", None)
    return found, faults, unsupported


def unsupported_quantities(backend: Backend, problem: Problem) -> dict[str, str]:
    """The quantities that a backend says it does not have for this network and dtype, and why not."""
    answers = {q: backend.unsupported(q, problem.network, dtype_of(problem.parameters)) for q in QUANTITIES}
    for quantity, reason in answers.items():
        if reason is not None and not (isinstance(reason, str) and reason):
            raise Disagreement(f"unsupported({quantity!r}, ...) should be None or a reason, found {reason!r}")
    return {quantity: reason for quantity, reason in answers.items() if reason is not None}


def lacks(results: list[Result], *needed: Quantity) -> list[str]:
    """Why a backend, checked with these results, says that it has not what is needed; the rest it may do without."""
    return [result.unsupported for result in results if result.unsupported and result.quantity in needed]


def fault(quantity: str, error: Exception) -> str:
    """What went wrong, in one line."""
    return str(error) if isinstance(error, Disagreement) else f"{quantity} raised {said(error)}"


def said(error: Exception) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def outputs_of(backend: Backend, problem: Problem, prepared: Any) -> dict[str, Any]:
    """The outputs."""
    return {"outputs": backend.outputs(problem.network, problem.parameters, prepared)}


def gradients_of(backend: Backend, problem: Problem, prepared: Any) -> dict[str, Any]:
    """The cost and its gradient."""
    cost, gradient = pair(backend.gradients(problem.network, problem.parameters, prepared), "cost and gradient")
    if not isinstance(cost, float | np.floating):
        raise Disagreement(f"cost should be a float, found {type(cost).__name__}")
    return {"cost": cost} | tensors("gradient", gradient, problem.network)


def training_of(backend: Backend, problem: Problem, prepared: Any) -> dict[str, Any]:
    """The costs of the updates, and the state after them."""
    start = zero_velocities(problem.parameters)
    state, costs = pair(backend.train(problem.network, start, prepared, problem.plan), "state and costs of updates")
    if not isinstance(state, State):
        raise Disagreement(
            f"the state after training should be a State, found {form_of(state)}; "
            "return state._replace(parameters=..., velocities=...)"
        )
    return (
        {"costs of updates": costs}
        | tensors("parameters", state.parameters, problem.network)
        | tensors("velocities", state.velocities, problem.network)
    )


CALLS: dict[Quantity, Callable[[Backend, Problem, Any], dict[str, Any]]] = {
    "outputs": outputs_of,
    "gradients": gradients_of,
    "train": training_of,
}


def pair(found: Any, what: str) -> tuple[Any, Any]:
    """Two things that belong together. Raises Disagreement if they are not two."""
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise Disagreement(f"{what} should be a pair, found {form_of(found)}")
    return found[0], found[1]


def tensors(quantity: str, found: Any, network: Network) -> dict[str, Any]:
    """The layers' parts by name. Raises Disagreement unless there are as many layers as the network has."""
    n_layers = len(network.sizes) - 1
    if not isinstance(found, tuple | list) or len(found) != n_layers:
        raise Disagreement(f"{quantity} should be {n_layers} layers, found {form_of(found)}")
    named = {}
    for number, layer in enumerate(found, start=1):
        weights, biases = pair(layer, f"{quantity} of layer {number}, weights and biases,")
        named[f"{quantity} of layer {number} weights"] = weights
        named[f"{quantity} of layer {number} biases"] = biases
    return named


def form_of(found: Any) -> str:
    """What something is, without its values."""
    if isinstance(found, np.ndarray):
        return f"{found.dtype} of shape {found.shape}"
    return f"{type(found).__name__} of {len(found)}" if isinstance(found, tuple | list) else type(found).__name__


def compare(name: str, problem: Problem, quantity: str, actual: Any, expected: Expected) -> Result:
    """Hold one tensor against the reference: type, shape, dtype, then values. NaN fails."""
    dtype = np.dtype(dtype_of(problem.parameters))
    what = f"{name}, {problem.name}, {dtype}: {quantity}"
    unit = scale_of(expected.value) * float(np.finfo(dtype).eps)
    result = Result(name, problem.name, str(dtype), quantity, np.inf, expected.allowed / unit, None)
    if quantity != "cost" and (
        not isinstance(actual, np.ndarray) or actual.shape != expected.value.shape or actual.dtype != dtype
    ):
        return result._replace(
            failure=f"{what} should be {dtype} of shape {expected.value.shape}, found {form_of(actual)}"
        )
    difference = np.abs(np.asarray(actual, np.float64) - expected.value)
    error = float(difference.max()) / unit
    if error <= result.allowed:
        return result._replace(error=error)
    worst = np.unravel_index(np.argmax(np.where(np.isnan(difference), np.inf, difference)), difference.shape)
    failure = (
        f"{what} is {error:.3g} eps from {impls.REFERENCE} in float64, allowed are {result.allowed:.3g} eps; "
        f"worst at {[int(i) for i in worst]}"
    )
    return result._replace(error=error, failure=failure)


def inputs_of(problem: Problem) -> dict[str, Array]:
    """Every array that a backend is given, by name."""
    named = {"images": problem.images, "labels": problem.labels}
    named |= {f"plan {part}": getattr(problem.plan, part) for part in ("starts", "stops", "learning_rates")}
    if problem.plan.order is not None:
        named["plan order"] = problem.plan.order
    return named | tensors("parameters", problem.parameters, problem.network)


def differing(problem: Problem, given: Problem) -> list[str]:
    """The inputs that are no longer what they were."""
    now = inputs_of(given)
    return [part for part, before in inputs_of(problem).items() if not np.array_equal(before, now[part])]
