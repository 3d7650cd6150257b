"""How one comparison is made and worded, and the results of a whole check. Which faults it finds: see broken.py."""

from typing import Any, cast

import numpy as np
import pytest

from bench.agreement.check import Expected, Problem, Result, check, compare, reference, scale_of
from impls.contract import DType, Layer, Network, Parameters, Plan, Quantity, State
from tests.suite.broken import Right
from tests.suite.conformance import SOME, case_of

EPS = float(np.finfo(np.float32).eps)
CASE = case_of(SOME[2], "float32", (5, 5, 3), momentum=0.9, order="shuffled")
PROBLEM = CASE.problem._replace(name="a case")


def checked(actual: Any, value: Any, allowed_eps: float, quantity: str = "outputs") -> Result:
    """Compare with a value that may be off so many eps of its largest element."""
    expected = np.array(value, np.float64)
    return compare("numba", PROBLEM, quantity, actual, Expected(expected, allowed_eps * EPS * scale_of(expected)))


def outcome(backend: Right) -> list[Result]:
    return check(backend, "tested", PROBLEM, CASE.expected)


# --- one comparison ----------------------------------------------------------------------------------------


def test_a_failure_names_backend_problem_quantity_error_allowed_and_worst_index() -> None:
    actual = np.array([[1, 2], [4.001, 0]], np.float32)
    assert checked(actual, [[1, 2], [4, 0]], 64).failure == (
        "numba, a case, float32: outputs is 2.1e+03 eps from naive in float64, allowed are 64 eps; worst at [1, 0]"
    )


def test_errors_are_norm_wise_in_eps() -> None:
    """Relative to its own size the first is far off; to the largest it is not."""
    result = checked(np.array([24 * EPS, 8], np.float32), [0, 8], 4)
    assert result.failure is None
    assert result.error == pytest.approx(3)
    assert result.allowed == pytest.approx(4)
    assert result.share == pytest.approx(0.75)


def test_what_is_allowed_is_allowed_and_no_more() -> None:
    assert checked(np.array([1 + 4 * EPS], np.float32), [1], 4).failure is None
    assert checked(np.array([1 + 5 * EPS], np.float32), [1], 4).failure is not None


def test_the_error_of_a_tensor_of_zeros_is_relative_to_1() -> None:
    assert checked(np.zeros(3, np.float32), np.zeros(3), 0).failure is None
    assert checked(np.full(3, EPS, np.float32), np.zeros(3), 2).error == pytest.approx(1)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_fails_where_it_is(spoilt: float) -> None:
    result = checked(np.array([1, spoilt, 3], np.float32), [1, 2, 3], 1e9)
    assert result.failure is not None
    assert result.failure.endswith("worst at [1]")


@pytest.mark.parametrize(
    ("actual", "found"),
    [
        (np.zeros(3), "float64 of shape (3,)"),
        (np.zeros((3, 1), np.float32), "float32 of shape (3, 1)"),
        ([0.0, 0.0, 0.0], "list of 3"),
        (None, "NoneType"),
    ],
)
def test_another_form_is_named(actual: Any, found: str) -> None:
    result = checked(actual, np.zeros(3), 4, "gradient of layer 2 biases")
    assert result.failure == (
        f"numba, a case, float32: gradient of layer 2 biases should be float32 of shape (3,), found {found}"
    )
    assert result.error == np.inf


# --- the gate ----------------------------------------------------------------------------------------------


def test_everything_that_the_reference_computes_is_compared_once() -> None:
    results = outcome(Right())
    assert sorted(result.quantity for result in results) == sorted(CASE.expected)
    assert [result.failure or result.unsupported for result in results if result.failure or result.unsupported] == []
    assert {(result.backend, result.problem, result.dtype) for result in results} == {("tested", "a case", "float32")}


def test_plain_tuples_and_lists_are_right() -> None:
    """A backend from elsewhere need not import our types."""

    class Foreign(Right):
        def gradients(self, network: Network, parameters: Parameters, prepared: Any) -> Any:
            cost, gradient = super().gradients(network, parameters, prepared)
            return float(cost), [tuple(layer) for layer in gradient]

        def train(self, network: Network, state: State, prepared: Any, plan: Plan) -> Any:
            after, costs = super().train(network, state, prepared, plan)
            parameters, velocities = (cast(Any, list(map(list, part))) for part in after)
            return state._replace(parameters=parameters, velocities=velocities), costs

    assert [result.failure for result in outcome(Foreign()) if result.failure] == []


def test_a_state_that_a_training_cannot_continue_from_is_refused() -> None:
    """The next plan's training, and whatever evaluates the network, read `state.parameters`."""

    class Pairs(Right):
        def train(self, network: Network, state: State, prepared: Any, plan: Plan) -> Any:
            after, costs = super().train(network, state, prepared, plan)
            return tuple(after), costs

    (failure,) = {result.failure for result in outcome(Pairs()) if result.failure}
    assert failure.startswith("tested, a case, float32: the state after training should be a State, found ")
    assert failure.endswith("return state._replace(parameters=..., velocities=...)")


@pytest.mark.parametrize(
    ("quantity", "left_out"),
    [
        ("outputs", {"outputs"}),
        ("gradients", {"cost", "gradient"}),
        ("costs", {"costs"}),
        ("train", {"costs", "parameters", "velocities"}),
    ],
)
def test_what_is_unsupported_is_no_failure_and_the_rest_is_compared(quantity: Quantity, left_out: set[str]) -> None:
    class Less(Right):
        def unsupported(self, asked: Quantity, network: Network, dtype: DType) -> str | None:
            return "not written yet" if asked == quantity else None

        def train(self, network: Network, state: State, prepared: Any, plan: Plan) -> Any:
            after, costs = super().train(network, state, prepared, plan)
            return after, None if quantity == "costs" else costs

    results = outcome(Less())
    assert [result.failure for result in results if result.failure] == []
    assert [result.unsupported for result in results if result.unsupported] == [
        f"tested, a case, float32: has no {quantity}: not written yet"
    ]
    compared = {kind_of(result.quantity) for result in results if not result.unsupported}
    assert compared == {kind_of(quantity) for quantity in CASE.expected} - left_out


def kind_of(quantity: str) -> str:
    """Of all layers alike."""
    return quantity.partition(" of ")[0]


def test_a_call_that_raises_is_named_and_the_rest_is_compared() -> None:
    class Unlucky(Right):
        def gradients(self, network: Network, parameters: Parameters, prepared: Any) -> Any:
            raise RuntimeError("out of\nluck")

    results = outcome(Unlucky())
    assert [result.failure for result in results if result.failure] == [
        "tested, a case, float32: gradients raised RuntimeError: out of luck"
    ]
    assert "outputs" in {result.quantity for result in results}


@pytest.mark.parametrize("part", ["unsupported", "prepare"])
def test_a_backend_that_has_no_first_result(part: str) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of luck")

    backend = Right()
    setattr(backend, part, fail)
    assert [result.failure for result in outcome(backend)] == [
        f"tested, a case, float32: {part} raised RuntimeError: out of luck"
    ]


def test_a_result_that_a_later_call_overwrites_is_none() -> None:
    class OneBuffer(Right):
        def outputs(self, network: Network, parameters: Parameters, prepared: Any) -> Any:
            self.found = super().outputs(network, parameters, prepared)
            return self.found

        def train(self, network: Network, state: State, prepared: Any, plan: Plan) -> Any:
            self.found[:] = 0
            return super().train(network, state, prepared, plan)

    assert [result.quantity for result in outcome(OneBuffer()) if result.failure] == ["outputs"]


def test_inputs_that_are_modified_are_named_and_spared() -> None:
    class Sloppy(Right):
        def gradients(self, network: Network, parameters: Parameters, prepared: Any) -> Any:
            found = super().gradients(network, parameters, prepared)
            parameters[1].biases[:] = 0
            return found

    parameters = PROBLEM.parameters[1].biases.copy()
    assert outcome(Sloppy())[0].failure == (
        "tested, a case, float32: modified its inputs: parameters of layer 2 biases"
    )
    assert np.array_equal(PROBLEM.parameters[1].biases, parameters)


# --- the reference -----------------------------------------------------------------------------------------


def test_the_reference_distinguishes_images() -> None:
    """One that is constant or saturated would accept anything."""
    outputs = reference(PROBLEM)["outputs"].value
    assert outputs.std(axis=0).min() > 0.01
    assert outputs.max() < 0.99


def test_the_reference_starts_from_the_same_parameters() -> None:
    """Those of float32, widened: a float64 problem from them expects the same values, within less."""
    wide = tuple(Layer(w.astype(np.float64), b.astype(np.float64)) for w, b in PROBLEM.parameters)
    problem = Problem(PROBLEM.name, PROBLEM.network, wide, PROBLEM.images, PROBLEM.labels, PROBLEM.plan)
    for (quantity, (value, allowed)), other in zip(reference(problem).items(), CASE.expected.values(), strict=True):
        assert np.array_equal(value, other.value), quantity
        assert allowed < 1e-6 * other.allowed, quantity
