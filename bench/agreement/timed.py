"""What a timed call has to return, so that what was timed is what was checked.

A float32 training cannot be held against a float64 one for ever: where a ReLU's pre-activation is above 0 in one and
not in the other they part, and the difference grows from update to update. So the float64 training runs five times,
once undisturbed and four times moved by what rounding may do. In the first updates every one is moved, and the
reference says whether they are right; then `vectorized` goes on with all of them, and they part as any do. A cost may
be as far from the undisturbed one as these ever were until then, times SAFETY. Where that leaves the final parameters
no sharp tolerance, the costs decide, and their means over stretches of the training, which differ by less.
"""

import contextlib
import hashlib
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import impls
import temporary
from bench import RESULTS, UserError
from bench.agreement import check, rounding
from bench.agreement.check import (
    MOST_DRIFT,
    Disagreement,
    Expected,
    Problem,
    Result,
    compare,
    fault_of,
    named,
    scale_of,
    widened,
)
from bench.agreement.rounding import SAFETY, cost_and_gradient, distances, drift_of_training, flat, forward, scaled
from bench.workloads.plans import parts
from data import Digits
from impls import contract
from impls.contract import Array, Layer, Network, Parameters, Plan, Quantity, State, dtype_of

FOLLOWER = "vectorized"
MOST_UPDATES = 100  # that are moved
MOST_WORK = 2e9  # images times parameters of these updates: some seconds
FEW = 8  # updates, in which so few images come near a kink that all of them count
STRETCHES = 8  # of the costs
COSTS, STRETCH = "costs of updates", "mean costs of stretches"
SAMPLE = 100  # images on which the follower is held against the reference
CACHE = RESULTS / "expected"


@dataclass(frozen=True)
class TimedCall:
    """What a call returns that is timed; sent to the process that makes it."""

    quantity: Quantity
    problem: Problem  # without its images
    expected: dict[str, Expected]

    def check(self, backend: str, returned: Any, has_costs: bool = True) -> list[Result]:
        """Compare what a backend returned, tensor by tensor; without costs only where it declares that it has none."""
        try:
            tensors = named(self.quantity, returned, self.problem.network)
        except Disagreement as error:
            what = f"{backend}, {self.problem.name}: {fault_of(self.quantity, error)}"
            dtype = dtype_of(self.problem.parameters)
            return [Result(backend, self.problem.name, dtype, self.quantity, np.inf, 0.0, what)]
        if not has_costs:
            tensors.pop(COSTS, None)
        return self.compared(backend, tensors)

    def check_costs(self, backend: str, costs: Array) -> list[Result]:
        """Compare the costs of a training that begins with the updates of this plan, or ended before the last."""
        n_updates = len(self.problem.plan.starts)
        if len(costs) >= n_updates:
            return self.compared(backend, {COSTS: costs[:n_updates]})
        value, allowed = self.expected[COSTS]
        expected = Expected(value[: len(costs)], np.asarray(allowed)[: len(costs)])
        return [compare(backend, self.problem, COSTS, costs[: len(value)], expected)]

    def compared(self, backend: str, tensors: dict[str, Any]) -> list[Result]:
        """The comparison of each of these tensors that is expected."""
        costs = tensors.get(COSTS)
        if isinstance(costs, np.ndarray) and costs.shape == self.problem.plan.starts.shape:
            tensors = tensors | {COSTS: costs[: len(self.expected[COSTS].value)]}
            if STRETCH in self.expected:
                tensors[STRETCH] = mean_costs(costs).astype(costs.dtype)
        names = [name for name in self.expected if name in tensors]
        return [compare(backend, self.problem, name, tensors[name], self.expected[name]) for name in names]


def mean_costs(costs: Array) -> Array:
    """The mean of the costs in each of STRETCHES parts of a training, in float64."""
    return np.array([part.mean(dtype=np.float64) for part in np.array_split(costs, STRETCHES)])


def timed_call(
    quantity: Quantity,
    name: str,
    network: Network,
    parameters: Parameters,
    digits: Digits,
    plan: Plan,
    first: int | None = None,
) -> TimedCall:
    """What a call has to return, from the file where an earlier command left it, or worked out anew and kept there.

    parameters: from which it starts, in the dtype of the backends. digits: that it is given. plan: of a training.
    first: so many of its updates only. Raises UserError where the follower disagrees with the reference.
    """
    if first is not None and first < len(plan.starts):
        plan, _ = parts(plan, [0, first])
    problem = Problem(f"{name}, as timed", network, parameters, digits.images[:0], digits.labels[:0], plan)
    file = CACHE / f"{key_of(quantity, problem, digits)}.npz"
    expected = read(file)
    if not expected:
        eps = float(np.finfo(dtype_of(parameters)).eps)
        with np.errstate(over="ignore", invalid="ignore"):
            expected = WORK_OUT[quantity](problem._replace(parameters=widened(parameters)), digits, eps)
        keep(file, expected)
    return TimedCall(quantity, problem, expected)


def of_training(problem: Problem, digits: Digits, eps: float) -> dict[str, Expected]:
    """The costs, and the final parameters and velocities where rounding leaves them a sharp tolerance."""
    network, plan = problem.network, problem.plan
    head, *tail = parts(plan, [0, n] if (n := moved_updates(plan, network)) < len(plan.starts) else [0])
    drift = drift_of_training(network, problem.parameters, *digits, head, eps, many=len(plan.starts) > FEW)
    costs, errors = drift.costs.value, drift.costs.error
    states = [
        State(layers_of(drift.parameters, run), layers_of(drift.velocities, run))
        for run in range(len(drift.parameters[0]))
    ]
    if tail:
        for parameters in (problem.parameters, states[0].parameters):
            hold_follower(network, parameters, digits)
        follower = impls.load(FOLLOWER)
        prepared = follower.prepare(network, *digits, "float64")
        trained = [follower.train(network, state, prepared, tail[0]) for state in states]
        states, runs = [state for state, _ in trained], [of_run for _, of_run in trained]
        apart = np.abs(np.array(runs) - runs[0]).max(axis=0) / eps
        costs, errors = np.concatenate([costs, runs[0]]), np.concatenate([errors, apart + errors[-1]])
    known = int(np.logical_and.accumulate(np.isfinite(costs) & np.isfinite(errors)).sum())  # until it overflows
    costs, errors = costs[:known], np.maximum.accumulate(errors[:known])
    expected = {COSTS: Expected(costs, SAFETY * eps * errors)}
    if known == len(plan.starts) >= STRETCHES**2:
        spread = np.sqrt(mean_costs((SAFETY * eps * errors) ** 2))
        expected[STRETCH] = Expected(mean_costs(costs), spread / 2)
    for part in ("parameters", "velocities"):
        stacked = [np.stack(arrays) for arrays in zip(*(flat(getattr(state, part)) for state in states), strict=True)]
        for number, (array, error) in enumerate(zip(stacked, distances(stacked, eps), strict=True)):
            allowed = SAFETY * eps * float(error.max())
            if allowed <= MOST_DRIFT * scale_of(array[0]):
                what = f"{part} of layer {number // 2 + 1} {'biases' if number % 2 else 'weights'}"
                expected[what] = Expected(array[0], allowed)
    return expected


def moved_updates(plan: Plan, network: Network) -> int:
    """How many updates are moved: one at least, MOST_UPDATES at most, and no more than MOST_WORK."""
    weights = sum(a * b for a, b in pairwise(network.sizes))
    work = np.cumsum((plan.stops - plan.starts) * float(weights))
    return min(MOST_UPDATES, max(1, int(np.searchsorted(work, MOST_WORK))), len(work))


def layers_of(stacked: list[Array], run: int) -> Parameters:
    """Of stacked weights and biases in turn, the layers of one run."""
    arrays = [array[min(run, len(array) - 1)] for array in stacked]
    return tuple(map(Layer, arrays[::2], arrays[1::2]))


def hold_follower(network: Network, parameters: Parameters, digits: Digits) -> None:
    """Raise UserError unless the follower's gradient is the reference's, on a few images; not where it overflows."""
    few = Digits(digits.images[:SAMPLE], digits.labels[:SAMPLE])
    eps = float(np.finfo(np.float64).eps)
    cost, gradient = cost_and_gradient(network, parameters, *few, eps)
    found = []
    for name in (impls.REFERENCE, FOLLOWER):
        backend = impls.load(name)
        prepared = backend.prepare(network, *few, "float64")
        found.append(named("gradients", backend.gradients(network, parameters, prepared), network))
    allowed = [SAFETY * eps * float(part.error.max()) for part in (cost, *flat(gradient))]
    for (tensor, right), other, most in zip(found[0].items(), found[1].values(), allowed, strict=True):
        if np.isfinite(most) and not np.abs(right - other).max() <= most:
            raise UserError(
                f"{FOLLOWER} in float64, which says what a long training gives: its {tensor} is not that of "
                f"{impls.REFERENCE}; `python -m bench agree --backend {FOLLOWER} --dtype float64` says more"
            )


def of_gradient(problem: Problem, digits: Digits, eps: float) -> dict[str, Expected]:
    """The cost of all images and its gradient."""
    cost, gradient = cost_and_gradient(problem.network, problem.parameters, *digits, eps)
    values = named("gradients", (cost.value, [[w.value, b.value] for w, b in gradient]), problem.network)
    errors = (cost, *flat(gradient))
    return {
        tensor: Expected(np.asarray(value), SAFETY * eps * float(part.error.max()))
        for (tensor, value), part in zip(values.items(), errors, strict=True)
    }


def of_outputs(problem: Problem, digits: Digits, eps: float) -> dict[str, Expected]:
    """The outputs of all images."""
    blocks = [digits.images[first : first + rounding.BLOCK] for first in range(0, len(digits.images), rounding.BLOCK)]
    found = [
        forward(problem.network, problem.parameters, scaled(problem.network, block), eps).activations[-1]
        for block in blocks
    ]
    error = max(float(one.error.max()) for one in found)
    return {"outputs": Expected(np.concatenate([one.value for one in found]), SAFETY * eps * error)}


WORK_OUT: dict[str, Callable[[Problem, Digits, float], dict[str, Expected]]] = {
    "train": of_training,
    "gradients": of_gradient,
    "outputs": of_outputs,
}


def key_of(quantity: Quantity, problem: Problem, digits: Digits) -> str:
    """A hash of all that the expected values depend on: the problem, the images, and the code that works them out."""
    digest = hashlib.sha256(f"{quantity} {problem.network!r} {problem.plan.momentum} {np.__version__}".encode())
    follower: Any = impls.load(FOLLOWER)
    for source in (__file__, check.__file__, rounding.__file__, contract.__file__, follower.__file__):
        digest.update(Path(source).read_bytes())
    plan = problem.plan
    for array in (*digits, *flat(problem.parameters), plan.starts, plan.stops, plan.order, plan.learning_rates):
        if array is not None:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:24]


def read(file: Path) -> dict[str, Expected]:
    """What an earlier command kept; empty if it kept nothing, or what cannot be read."""
    try:
        with file.open("rb") as opened, np.load(opened) as arrays:
            names = [name.removesuffix(VALUE) for name in arrays.files if name.endswith(VALUE)]
            return {name: Expected(arrays[name + VALUE], arrays[name + ALLOWED]) for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return {}


VALUE, ALLOWED = " value", " allowed"


def keep(file: Path, expected: dict[str, Expected]) -> None:
    """Keep this for the next command, whole or not at all; where the folder cannot be written it is worked out anew."""
    arrays: dict[str, Any] = {}
    for name, (value, allowed) in expected.items():
        arrays |= {name + VALUE: value, name + ALLOWED: np.asarray(allowed)}
    with contextlib.suppress(OSError), temporary.folder(file.parent) as private:
        np.savez(private / file.name, **arrays)
        (private / file.name).replace(file)
