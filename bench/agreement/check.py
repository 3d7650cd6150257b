"""Agreement: does a backend compute what the reference computes?

The reference is `naive` in float64, on the same parameters widened. Errors are taken norm-wise, per tensor:
max|a - ref| / max|ref|, in units of the machine epsilon of the backend's dtype. What is allowed is SAFETY times what
rounding explains (`rounding.py`), worked out anew for each tensor of each problem.
"""

import copy
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import impls
from bench import UserError
from bench.agreement.rounding import SAFETY, distances, drift_of_training, evaluate, flat, scaled
from bench.timing.process import in_one_line
from impls.contract import Array, Backend, Layer, Network, Parameters, Plan, Quantity, State, dtype_of, zero_velocities

QUANTITIES: tuple[Quantity, ...] = ("outputs", "gradients", "costs", "train")
CALLS: tuple[Quantity, ...] = ("outputs", "gradients", "train")  # those with a function; costs come with "train"
MOST_DRIFT = 0.01  # of the size of parameters: where rounding alone may move them by more, a check proves nothing


class Problem(NamedTuple):
    """What is computed: outputs, cost and gradient of all images, and a training over a plan, from velocities of 0."""

    name: str
    network: Network
    parameters: Parameters  # in the dtype of the problem
    images: Array
    labels: Array
    plan: Plan


class Expected(NamedTuple):
    """One tensor of the reference, and the error that is allowed."""

    value: Array  # float64
    allowed: float | Array  # absolute, of all numbers alike or of each


class Result(NamedTuple):
    """One comparison; `failure` says in one line why it failed, None if it did not."""

    backend: str
    problem: str
    dtype: str
    quantity: str  # "outputs", "cost", "gradient of layer 1 weights", ...
    error: float  # in eps of the dtype
    allowed: float  # in eps
    failure: str | None
    unsupported: str | None = None  # why the backend does not support this quantity: nothing was compared

    @property
    def share(self) -> float:
        """The error as a fraction of what is allowed."""
        return self.error / self.allowed if self.allowed > 0 else (np.inf if self.error > 0 else 0.0)


def plain(result: Result) -> dict[str, Any]:
    """A result for JSON, which has no infinity: an error that is no finite number is None."""
    return result._asdict() | {"error": result.error if np.isfinite(result.error) else None}


class Disagreement(Exception):
    """What a backend returned has not the form that the contract asks for; the message says how."""


def widened(parameters: Parameters) -> Parameters:
    """The same parameters in float64."""
    return tuple(Layer(weights.astype(np.float64), biases.astype(np.float64)) for weights, biases in parameters)


def reference(problem: Problem, quantities: Sequence[Quantity] = CALLS) -> dict[str, Expected]:
    """What the backends have to compute, and how far they may be off, tensor by tensor. quantities: of CALLS.

    Raises UserError for a training so sensitive to rounding that right and wrong could not be distinguished.
    """
    name, network, parameters, images, labels, plan = problem
    eps = float(np.finfo(dtype_of(parameters)).eps)
    parameters = widened(parameters)
    naive = impls.load(impls.REFERENCE)
    prepared = naive.prepare(network, images, labels, "float64")
    values: dict[str, Array] = {}
    errors: dict[Quantity, list[Array]] = {}
    if "outputs" in quantities or "gradients" in quantities:
        here = evaluate(network, parameters, scaled(network, images), labels, eps)
        errors["outputs"] = [here.outputs.error]
        errors["gradients"] = [here.cost.error, *(part.error for part in flat(here.gradient))]
    if "train" in quantities:
        drift = drift_of_training(network, parameters, images, labels, plan, eps)
        errors["train"] = [drift.costs.error, *distances(drift.parameters, eps), *distances(drift.velocities, eps)]
    for quantity in quantities:
        values |= call(naive, quantity, problem._replace(parameters=parameters), prepared)
    expected = {}
    for (tensor, value), error in zip(values.items(), [e for q in quantities for e in errors[q]], strict=True):
        allowed = SAFETY * eps * float(error.max())
        if tensor.startswith("parameters") and not allowed <= MOST_DRIFT * scale_of(value):
            raise UserError(
                f"{name}: rounding alone may move the {tensor} by {allowed / scale_of(value):.2g} of their size, "
                f"so a check proves nothing; expected at most {MOST_DRIFT:g}: lower the learning rate, or take float64"
            )
        expected[tensor] = Expected(np.asarray(value), allowed)
    return expected


def scale_of(value: Array) -> float:
    """The size of a tensor, to which its error is relative: the largest magnitude, 1 if all is zero."""
    return float(np.abs(value).max()) or 1.0


def check(backend: Backend, name: str, problem: Problem, expected: dict[str, Expected]) -> list[Result]:
    """Compare a backend, called `name`, with the reference in one problem. Each fault is a failed result."""
    dtype = dtype_of(problem.parameters)
    what = f"{name}, {problem.name}, {dtype}"
    given = copy.deepcopy(problem)
    tensors, faults, unsupported = computed(backend, given)
    changed = differing(problem, given)
    # Compared when all calls are done, so that a result that a later call overwrites is noticed.
    results = [compare(name, problem, tensor, actual, expected[tensor]) for tensor, actual in tensors.items()]
    unchecked = Result(name, problem.name, dtype, "", 0.0, 0.0, None)
    results += [
        unchecked._replace(quantity=quantity, unsupported=f"{what}: has no {quantity}: {reason}")
        for quantity, reason in unsupported.items()
    ]
    results += [
        unchecked._replace(quantity=step, error=np.inf, failure=f"{what}: {fault}") for step, fault in faults.items()
    ]
    if changed:  # first, as it may be why results are wrong
        failure = f"{what}: modified its inputs: {', '.join(changed)}"
        results.insert(0, unchecked._replace(quantity="inputs", error=np.inf, failure=failure))
    return results


def computed(backend: Backend, problem: Problem) -> tuple[dict[str, Any], dict[str, str], dict[Quantity, str]]:
    """Everything that a backend computes for a problem: tensors by name; what went wrong; what it does not support.

    An exception that it raises is one thing that went wrong; the other quantities are computed all the same.
    """
    tensors: dict[str, Any] = {}
    faults: dict[str, str] = {}
    unsupported: dict[Quantity, str] = {}
    step = "unsupported"
    try:
        unsupported = unsupported_quantities(backend, problem)
        step = "prepare"
        if not unsupported.keys() >= set(CALLS):
            prepared = backend.prepare(problem.network, problem.images, problem.labels, dtype_of(problem.parameters))
    except Exception as error:
        return tensors, {step: fault_of(step, error) + line_of(backend, error)}, unsupported
    for quantity in CALLS:
        if quantity not in unsupported:
            try:
                tensors |= call(backend, quantity, problem, prepared)
            except Exception as error:
                faults[quantity] = fault_of(quantity, error) + line_of(backend, error)
    if "costs" in unsupported:
        tensors.pop("costs of updates", None)
    return tensors, faults, unsupported


def unsupported_quantities(backend: Backend, problem: Problem) -> dict[Quantity, str]:
    """The quantities that a backend does not support for this network and dtype, and why not."""
    dtype = dtype_of(problem.parameters)
    answers = {quantity: backend.unsupported(quantity, problem.network, dtype) for quantity in QUANTITIES}
    reasons = {quantity: reason for quantity, reason in answers.items() if reason is not None}
    for quantity, reason in reasons.items():
        if not (isinstance(reason, str) and reason):
            raise Disagreement(f"unsupported({quantity!r}, ...) should be None or a reason, found {reason!r}")
    return reasons


def lacks(results: list[Result], *needed: Quantity) -> list[str]:
    """Why a backend with these results does not support a quantity that is needed, a reason each; empty if it does."""
    return [result.unsupported for result in results if result.unsupported and result.quantity in needed]


def fault_of(step: str, error: Exception) -> str:
    """What went wrong, in one line."""
    return str(error) if isinstance(error, Disagreement) else f"{step} raised {in_one_line(error)}"


def line_of(backend: Backend, error: Exception) -> str:
    """Where in the backend's own file an exception was raised, in brackets; "" where it was not raised from there."""
    file = str(getattr(backend, "__file__", ""))
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" ({Path(file).name}, line {lines[-1]})" if lines else ""


def call(backend: Backend, quantity: Quantity, problem: Problem, prepared: Any) -> dict[str, Any]:
    """The tensors, by name, that a backend returns for one of CALLS: "gradients" includes the cost.

    Raises Disagreement where they do not have the form that the contract asks for, and what the backend raises.
    """
    network, parameters = problem.network, problem.parameters
    if quantity == "outputs":
        return named(quantity, backend.outputs(network, parameters, prepared), network)
    if quantity == "gradients":
        return named(quantity, backend.gradients(network, parameters, prepared), network)
    return named(quantity, backend.train(network, zero_velocities(parameters), prepared, problem.plan), network)


def named(quantity: Quantity, returned: Any, network: Network) -> dict[str, Any]:
    """The tensors, by name, in what a backend returned. Raises Disagreement where it has not the contract's form."""
    if quantity == "outputs":
        return {"outputs": returned}
    if quantity == "gradients":
        cost, gradient = pair(returned, "cost and gradient")
        if not isinstance(cost, float | np.floating):
            raise Disagreement(f"cost should be a float, found {type(cost).__name__}")
        return {"cost": cost} | tensors_of("gradient", gradient, network)
    state, costs = pair(returned, "state and costs of updates")
    if not isinstance(state, State):
        raise Disagreement(
            f"the state after training should be a State, found {form_of(state)}; "
            "return state._replace(parameters=..., velocities=...)"
        )
    velocities = tensors_of("velocities", state.velocities, network)
    return {"costs of updates": costs} | tensors_of("parameters", state.parameters, network) | velocities


def pair(returned: Any, what: str) -> tuple[Any, Any]:
    """Return the two parts of what a backend returned, called `what`. Raises Disagreement if there are not two."""
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        raise Disagreement(f"{what} should be a pair, found {form_of(returned)}")
    return returned[0], returned[1]


def tensors_of(quantity: str, returned: Any, network: Network) -> dict[str, Any]:
    """Return all weights and biases by name. Raises Disagreement unless there are as many layers as the network has."""
    n_layers = len(network.sizes) - 1
    if not isinstance(returned, tuple | list) or len(returned) != n_layers:
        raise Disagreement(f"{quantity} should be {n_layers} layers, found {form_of(returned)}")
    named = {}
    for number, layer in enumerate(returned, start=1):
        parts = pair(layer, f"{quantity} of layer {number}, weights and biases,")
        named[f"{quantity} of layer {number} weights"], named[f"{quantity} of layer {number} biases"] = parts
    return named


def form_of(returned: Any) -> str:
    """The type of what a backend returned, with dtype and shape or length."""
    if isinstance(returned, np.ndarray):
        return f"{returned.dtype} of shape {returned.shape}"
    name = type(returned).__name__
    return f"{name} of {len(returned)}" if isinstance(returned, tuple | list) else name


def compare(name: str, problem: Problem, quantity: str, actual: Any, expected: Expected) -> Result:
    """Compare one tensor with the reference: type, shape, dtype, then values. NaN fails."""
    dtype = dtype_of(problem.parameters)
    unit = scale_of(expected.value) * float(np.finfo(dtype).eps)
    result = Result(name, problem.name, dtype, quantity, np.inf, float(np.max(expected.allowed)) / unit, None)
    if quantity != "cost" and (
        not isinstance(actual, np.ndarray) or actual.shape != expected.value.shape or actual.dtype != dtype
    ):
        form = f"{dtype} of shape {expected.value.shape}"
        failure = f"{name}, {problem.name}, {dtype}: {quantity} should be {form}, found {form_of(actual)}"
        return result._replace(failure=failure)
    difference = np.abs(np.asarray(actual, np.float64) - expected.value)
    beyond = np.where(np.isnan(difference), np.inf, difference - expected.allowed)
    worst = np.unravel_index(np.argmax(beyond), difference.shape)
    error, allowed = (float(np.broadcast_to(a, difference.shape)[worst]) / unit for a in (difference, expected.allowed))
    result = result._replace(allowed=allowed)
    if error <= allowed:
        return result._replace(error=error)
    failure = (
        f"{name}, {problem.name}, {dtype}: {quantity} is {error:.3g} eps from {impls.REFERENCE} in float64, "
        f"allowed are {result.allowed:.3g} eps; worst at {[int(i) for i in worst]}"
    )
    return result._replace(error=error, failure=failure)


def differing(problem: Problem, given: Problem) -> list[str]:
    """The names of the arrays that a backend was given and has changed."""
    before, now = (
        {"images": one.images, "labels": one.labels}
        | {f"plan {part}": value for part, value in vars(one.plan).items()}
        | tensors_of("parameters", one.parameters, one.network)
        for one in (problem, given)
    )
    return [part for part, value in before.items() if not np.array_equal(value, now[part])]
