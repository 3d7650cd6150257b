"""What a timed call has to return: right backends do, those that are wrong only at the sizes that are timed do not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import data
import impls
from bench import UserError
from bench.agreement import timed
from bench.agreement.timed import TimedCall, timed_call
from bench.experiments.race import expected_of
from bench.timing.session import stored
from bench.timing.worker import TimingTask
from bench.workloads.cases import MINI_BATCHES, drawn, gently
from bench.workloads.recipes import Recipe, relu
from data import Digits
from impls.contract import Array, Layer, Network, Plan, Quantity, State, zero_velocities
from tests.suite.broken import Right, times

N, MOVED = 700, 35  # images; updates that are moved, of 70
SMALL = replace(MINI_BATCHES, network=relu(784, 30, 10), batch=10)


def of_case(case: Recipe, digits: Digits, quantity: Quantity = "train") -> TimedCall:
    plan = next(case.plans(len(digits.labels)))
    return timed_call(quantity, case.name, case.network, case.parameters(), digits, plan)


def failures(call: TimedCall, backend: Any, case: Recipe, digits: Digits) -> list[str]:
    """What is wrong with the call of a training by this backend."""
    prepared = backend.prepare(case.network, digits.images, digits.labels, case.dtype)
    plan = next(case.plans(len(digits.labels)))
    returned = backend.train(case.network, zero_velocities(case.parameters()), prepared, plan)
    return [result.quantity for result in call.check(backend.NAME, returned) if result.failure]


@pytest.fixture(scope="module")
def digits() -> Digits:
    return drawn(data.load("builtin").train, N)


@pytest.fixture(autouse=True)
def few_updates_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer trainings would show no more."""
    monkeypatch.setattr(timed, "MOST_UPDATES", MOVED)


@pytest.mark.parametrize(("dtype", "momentum"), [("float32", 0.9), ("float64", 0.0)])
def test_right_backends_return_it(digits: Digits, dtype: Any, momentum: float) -> None:
    """After 70 updates, half of which only `vectorized` follows."""
    case = gently(replace(SMALL, dtype=dtype, momentum=momentum), N)
    call = of_case(case, digits)
    assert len(call.expected["costs of updates"].value) == 70 == 2 * MOVED
    assert set(call.expected) >= {timed.STRETCH, "parameters of layer 1 weights", "parameters of layer 2 biases"}
    for name in ("naive", "vectorized", "minibatch", "numba", "numba_dense", "numba_sparse", "graph", "scipy_sparse"):
        assert failures(call, impls.load(name), case, digits) == [], name


class WrongFrom(Right):
    """Wrong from update 50 on: by momentum that ends, biases that rest, a rate that is a tenth too high."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        late = u >= 50
        if late and self.fault == "momentum":
            plan = replace(plan, momentum=0.0)
        if late and self.fault == "rate":
            plan = replace(plan, learning_rates=1.1 * plan.learning_rates)
        after, cost = super().update(network, state, images, labels, plan, u)
        if late and self.fault == "biases":
            layers = zip(after.parameters, state.parameters, strict=True)
            after = after._replace(parameters=tuple(Layer(new.weights, old.biases) for new, old in layers))
        return after, cost


@pytest.mark.parametrize("fault", ["momentum", "biases", "rate"])
def test_a_fault_that_begins_late_is_seen(digits: Digits, fault: str) -> None:
    case = gently(replace(SMALL, momentum=0.9), N)
    found = failures(of_case(case, digits), WrongFrom(fault), case, digits)
    assert {"costs of updates", "parameters of layer 1 weights"} & set(found)


class WrongInLargeUpdates(Right):
    """Of more than 600 images it takes 600."""

    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        return super().update(network, state, images[:600], labels[:600], plan, u)


class WrongInWideLayers(Right):
    """Of the units beyond 256 the gradient is a hundredth too small."""

    def layer_gradient(self, a: Array, delta: Array, number: int) -> Layer:
        gradient = super().layer_gradient(a, delta, number)
        gradient.weights[:, 256:] *= gradient.weights.dtype.type(0.99)
        return gradient


def test_a_fault_in_large_updates_and_one_in_wide_layers_are_seen(digits: Digits) -> None:
    for case, backend in (
        (replace(SMALL, batch=None), WrongInLargeUpdates()),
        (replace(SMALL, network=relu(784, 300, 10), batch=350), WrongInWideLayers()),
    ):
        case = gently(case, N)
        call = of_case(case, digits)
        assert failures(call, Right(), case, digits) == []
        assert failures(call, backend, case, digits) != []


def test_outputs_and_gradient(digits: Digits) -> None:
    backend: Any = impls.load("minibatch")
    parameters, network = SMALL.parameters(), SMALL.network
    prepared = backend.prepare(network, digits.images, digits.labels, "float32")
    outputs, gradients = (
        backend.outputs(network, parameters, prepared),
        backend.gradients(network, parameters, prepared),
    )
    answers: tuple[tuple[Quantity, Any], ...] = ("outputs", outputs), ("gradients", gradients)
    for quantity, returned in answers:
        call = of_case(SMALL, digits, quantity)
        results = call.check("minibatch", returned)
        assert [result.failure for result in results if result.failure] == []
        assert len(results) == (1 if quantity == "outputs" else 5)
    wrong = outputs.copy()
    wrong[N - 1] = wrong[N - 2]
    (result,) = of_case(SMALL, digits, "outputs").check("minibatch", wrong)
    assert result.failure is not None
    cost, gradient = gradients
    results = of_case(SMALL, digits, "gradients").check("minibatch", (cost, times(1.001, gradient)))
    assert [bool(result.failure) for result in results] == [False, True, True, True, True]


def test_what_has_not_the_form_of_a_result_fails_in_one_line(digits: Digits) -> None:
    call = of_case(SMALL, digits)
    for returned in (None, (None, None), np.zeros(3)):
        (result,) = call.check("odd", returned)
        assert result.failure is not None
        assert result.failure.startswith("odd, mini-batches, as timed: ")


def test_costs_are_missed_unless_a_backend_declares_that_it_has_none(digits: Digits) -> None:
    backend: Any = impls.load("minibatch")
    case = gently(SMALL, N)
    prepared = backend.prepare(case.network, digits.images, digits.labels, "float32")
    state, _ = backend.train(case.network, zero_velocities(case.parameters()), prepared, next(case.plans(N)))
    call = of_case(case, digits)
    assert [result.quantity for result in call.check("minibatch", (state, None)) if result.failure] == [timed.COSTS]
    results = call.check("minibatch", (state, None), has_costs=False)
    assert "parameters of layer 2 weights" in {result.quantity for result in results}
    assert [result.failure for result in results if result.failure] == []


def test_a_training_that_overflows_is_held_to_what_came_before(digits: Digits) -> None:
    case = replace(SMALL, learning_rate=1e200, dtype="float64")
    with np.errstate(all="ignore"):
        call = of_case(case, digits)
        assert failures(call, impls.load("minibatch"), case, digits) == []
    assert set(call.expected) == {"costs of updates"}


def test_it_is_kept_and_worked_out_anew_where_the_file_is_damaged(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timed, "CACHE", tmp_path / "expected")
    first = of_case(SMALL, digits)
    (kept,) = (tmp_path / "expected").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(timed, "WORK_OUT", {})  # nothing can be worked out
        again = of_case(SMALL, digits)
    assert again.expected.keys() == first.expected.keys()
    for name, (value, allowed) in first.expected.items():
        np.testing.assert_array_equal(again.expected[name].value, value)
        np.testing.assert_array_equal(again.expected[name].allowed, allowed)
    for content in (b"", kept.read_bytes()[:1000], b"no archive at all"):
        kept.write_bytes(content)
        assert timed.read(kept) == {}
    assert of_case(SMALL, digits).expected.keys() == first.expected.keys() == timed.read(kept).keys()
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
    others = of_case(SMALL, digits._replace(labels=(digits.labels + 1) % 10))  # other labels, another file
    assert others.expected["costs of updates"].value[0] != first.expected["costs of updates"].value[0]


def test_where_nothing_can_be_kept_it_is_worked_out_all_the_same(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(timed, "CACHE", tmp_path / "file" / "expected")
    assert "costs of updates" in of_case(SMALL, digits).expected


def test_a_follower_that_is_wrong_is_refused(digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed, "CACHE", tmp_path)
    right: Any = impls.load("vectorized")

    def gradients(*arguments: Any) -> Any:
        cost, gradient = Right.gradients(Right(), *arguments)
        return cost, times(1.000001, gradient)

    monkeypatch.setattr(right, "gradients", gradients)
    with pytest.raises(UserError, match="vectorized in float64, which says what a long training gives"):
        of_case(SMALL, digits)


class WithoutTheLastCost(Right):
    """Returns one cost too few."""

    def train(self, network: Network, state: State, prepared: Any, plan: Plan) -> tuple[State, Array | None]:
        after, costs = super().train(network, state, prepared, plan)
        assert costs is not None
        return after, costs[:-1]


@pytest.mark.parametrize("order", ["file", "shuffled"])
def test_of_a_long_epoch_the_first_costs_are_checked(
    order: Any, digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 700 images in 70 updates, what is wrong from update 50 on is seen where 60 are checked, not where 40 are."""
    monkeypatch.setattr(timed, "CACHE", tmp_path / "expected")
    case = gently(replace(SMALL, order=order, momentum=0.9), N)
    task = TimingTask("minibatch", "epoch", case, stored(digits, tmp_path / "digits"), N, 1)
    costs = "costs of updates"
    for most, late in ((605, [costs]), (405, [])):
        monkeypatch.setattr("bench.experiments.race.MOST_CHECKED", most)
        call = expected_of(task)
        assert {name: len(expected.value) for name, expected in call.expected.items()} == {costs: most // 10}
        assert failures(call, impls.load("minibatch"), case, digits) == []
        assert failures(call, WrongFrom("rate"), case, digits) == late
        assert failures(call, WithoutTheLastCost(), case, digits) == [costs]
