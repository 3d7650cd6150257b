"""Every backend computes what the reference computes, the reference computes derivatives, and the check can fail."""

import functools
import itertools
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

import impls
from bench import agreement
from bench.agreement import Quantities, check, compare, compute, pairs, widened
from bench.cases import FULL_BATCH, MINI_BATCHES, Case
from data import Digits
from impls.contract import COST_OF_OUTPUT, Array, Backend, DType, Layer, Network, Parameters, Plan
from impls.initialisation import initial_parameters

HIDDEN = ("sigmoid", "relu", "tanh")
FUNCTIONS = list(itertools.product(HIDDEN, COST_OF_OUTPUT.items()))
SIZES = [(12, 4), (12, 7, 4), (12, 6, 5, 4)]


def random_digits(n: int, n_inputs: int, n_classes: int, seed: int = 3) -> Digits:
    """Sparse images like MNIST's, a fifth of their pixels not zero, and labels."""
    rng = np.random.default_rng(seed)
    images = (rng.integers(1, 256, (n, n_inputs)) * (rng.random((n, n_inputs)) < 0.2)).astype(np.uint8)
    images[:, 0] = 255  # no image is blank
    return Digits(images, rng.integers(0, n_classes, n))


def with_biases(parameters: Parameters) -> Parameters:
    """Biases that are not zero, so that a forgotten one is seen."""
    return tuple(
        Layer(weights, np.linspace(-0.2, 0.3, len(biases)).astype(biases.dtype)) for weights, biases in parameters
    )


def plans(n: int) -> dict[str, Plan]:
    """Three updates each: full batch; batches with a short last one; a scattered order that uses an image twice."""
    order = np.random.default_rng(4).permutation(n)
    order[-1] = order[0]
    batches = np.arange(3) * ((n + 2) // 3), np.minimum((np.arange(3) + 1) * ((n + 2) // 3), n)
    rates = np.array([0.5, 0.3, 0.1])
    return {
        "full batch": Plan(np.zeros(3, int), np.full(3, n), None, rates),
        "file order": Plan(*batches, None, rates, momentum=0.9),
        "scattered": Plan(*batches, order, rates, momentum=0.5),
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("hidden", "output_and_cost"), FUNCTIONS)
@pytest.mark.parametrize("name", impls.names())
def test_backend_agrees_with_the_reference(name: str, hidden: Any, output_and_cost: Any, dtype: DType) -> None:
    reason = impls.unavailable_reason(name)
    if reason is not None:
        pytest.skip(f"backend {name} {reason}")
    for sizes, n, plan_name in itertools.product(SIZES, (7, 50), plans(7)):
        network = Network(sizes, hidden, *output_and_cost)
        found = compute(impls.load(name), *small_case(network, n, plan_name, dtype))
        case = f"{network}, {n} images, {plan_name}"
        for quantity, actual, wanted in pairs(found, expected(network, n, plan_name, dtype)):
            result = compare(name, case, quantity, actual, wanted, np.dtype(dtype))
            assert result.failure is None, result.failure


def small_case(network: Network, n: int, plan_name: str, dtype: DType) -> tuple[Network, Parameters, Digits, Plan]:
    parameters = with_biases(initial_parameters(network, "lecun_normal", 5, dtype))
    return network, parameters, random_digits(n, network.sizes[0], network.sizes[-1]), plans(n)[plan_name]


@functools.cache
def expected(network: Network, n: int, plan_name: str, dtype: DType) -> Quantities:
    """The reference's answer, computed once for all backends."""
    _, parameters, split, plan = small_case(network, n, plan_name, dtype)
    return compute(impls.load(impls.REFERENCE), network, widened(parameters), split, plan)


@pytest.mark.parametrize(("hidden", "output_and_cost"), FUNCTIONS)
@pytest.mark.parametrize("sizes", SIZES)
def test_reference_gradient_is_the_derivative_of_its_cost(
    sizes: tuple[int, ...], hidden: Any, output_and_cost: Any
) -> None:
    """Central differences along random directions; their error is of the order of step^2 and eps / step."""
    network = Network(sizes, hidden, *output_and_cost)
    backend = impls.load(impls.REFERENCE)
    split = random_digits(9, sizes[0], sizes[-1])
    parameters = with_biases(initial_parameters(network, "lecun_normal", 6, "float64"))
    prepared = backend.prepare(network, split.images, split.labels, "float64")
    _, gradient = backend.gradients(network, parameters, prepared)
    step = np.finfo(float).eps ** (1 / 3)
    rng = np.random.default_rng(7)
    for _ in range(5):
        direction = tuple(Layer(*(rng.standard_normal(array.shape) for array in layer)) for layer in parameters)
        ahead, behind = (
            backend.gradients(network, moved(parameters, sign * step, direction), prepared)[0] for sign in (1, -1)
        )
        slope = sum(
            float((g * d).sum())
            for layer, along in zip(gradient, direction, strict=True)
            for g, d in zip(layer, along, strict=True)
        )
        assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=1e-7, abs=1e-8)


def moved(parameters: Parameters, factor: float, direction: Parameters) -> Parameters:
    return tuple(
        Layer(*(array + factor * along for array, along in zip(layer, of_layer, strict=True)))
        for layer, of_layer in zip(parameters, direction, strict=True)
    )


# --- the check can fail -----------------------------------------------------------------------------------

CASES = [
    Case(
        case.plan_name, batch, case.learning_rate, case.rounds, Network((12, 7, 4), "relu", "softmax", "cross_entropy")
    )
    for case, batch in ((FULL_BATCH, None), (MINI_BATCHES, 20))
]


def broken(**replaced: Any) -> Backend:
    """The vectorised backend with some of its functions replaced."""
    whole = impls.load("vectorized")
    names = ("NAME", "SUMMARY", "DTYPES", "HOME", "unsupported", "prepare", "outputs", "gradients", "train")
    parts = {name: getattr(whole, name) for name in names} | {"NAME": "broken"} | replaced
    return cast(Backend, SimpleNamespace(**parts))


def with_gradient(change: Any) -> dict[str, Any]:
    def gradients(*arguments: Any) -> tuple[float, Parameters]:
        cost, gradient = impls.load("vectorized").gradients(*arguments)
        return cost, change(gradient)

    return {"gradients": gradients}


def with_state(change: Any) -> dict[str, Any]:
    def train(network: Network, state: Any, prepared: Any, plan: Plan) -> Any:
        return change(network, state, prepared, plan)

    return {"train": train}


def train_whole(network: Network, state: Any, prepared: Any, plan: Plan) -> Any:
    return impls.load("vectorized").train(network, state, prepared, plan)


def raise_error(*_: Any) -> Any:
    raise RuntimeError("out of luck")


def scaled(factor: float, gradient: Parameters) -> Parameters:
    return tuple(Layer(weights * np.float32(factor), biases * np.float32(factor)) for weights, biases in gradient)


def in_double(*arguments: Any) -> Array:
    return impls.load("vectorized").outputs(*arguments).astype(np.float64)


def of_nan(*arguments: Any) -> Array:
    return impls.load("vectorized").outputs(*arguments) * np.float32(np.nan)


BROKEN = {
    "no 1/n": (with_gradient(lambda g: scaled(60.0, g)), "gradient of layer 1 weights"),
    "sign": (with_gradient(lambda g: scaled(-1.0, g)), "gradient of layer 1 weights"),
    "one part in a thousand": (with_gradient(lambda g: scaled(1.001, g)), "gradient of layer 1 weights"),
    "second layer only": (
        with_gradient(lambda g: (g[0], Layer(g[1].weights, g[1].biases * np.float32(0.99)))),
        "gradient of layer 2 biases",
    ),
    "layer missing": (with_gradient(lambda g: g[:1]), "gradient of layer 2 weights"),
    "transposed": (
        with_gradient(lambda g: (Layer(g[0].weights.T, g[0].biases), g[1])),
        "gradient of layer 1 weights",
    ),
    "NaN": ({"outputs": of_nan}, "outputs"),
    "None": ({"outputs": lambda *_: None}, "outputs"),
    "another dtype": ({"outputs": in_double}, "outputs"),
    "raises": ({"outputs": raise_error}, "call"),
    "does not train": (
        with_state(lambda n, s, p, plan: (s, train_whole(n, s, p, plan)[1])),
        "parameters of layer 1 weights",
    ),
    "costs not given": (with_state(lambda *a: (train_whole(*a)[0], None)), "costs of updates"),
    "velocities lost": (
        with_state(lambda *a: (train_whole(*a)[0]._replace(velocities=a[1].velocities[:1]), train_whole(*a)[1])),
        "velocities of layer 2 weights",
    ),
    "cost is text": ({"gradients": lambda *a: ("low", impls.load("vectorized").gradients(*a)[1])}, "call"),
    "asked in vain": ({"unsupported": raise_error}, "call"),
    "no gradient": ({"gradients": lambda *a: (0.5, None)}, "call"),
    "denies to train": ({"unsupported": lambda quantity, *_: "no" if quantity == "train" else None}, "train"),
    "last update forgotten": (
        with_state(
            lambda n, s, p, plan: (
                train_whole(n, s, p, Plan(plan.starts[:-1], plan.stops[:-1], None, plan.learning_rates[:-1]))[0],
                train_whole(n, s, p, plan)[1],
            )
        ),
        "parameters of layer 1 weights",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.plan_name)
def test_a_right_backend_passes_the_check(case: Case) -> None:
    digits = random_digits(60, 12, 4)
    assert [r.failure for r in check(broken(), case, digits, agreement.reference(case, digits)) if r.failure] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.plan_name)
@pytest.mark.parametrize(("replaced", "quantity"), BROKEN.values(), ids=BROKEN)
def test_a_broken_backend_is_rejected_and_named(case: Case, replaced: dict[str, Any], quantity: str) -> None:
    digits = random_digits(60, 12, 4)
    results = check(broken(**replaced), case, digits, agreement.reference(case, digits))
    failed = [result for result in results if result.failure]
    assert failed
    assert failed[0].quantity == quantity
    assert failed[0].failure is not None
    assert failed[0].failure.startswith(f"broken, {case.plan_name}")


def test_plain_tuples_and_denied_costs_are_right() -> None:
    """A backend from elsewhere need not import our types, and may say that it has no costs."""
    whole = impls.load("vectorized")

    def gradients(*arguments: Any) -> Any:
        cost, gradient = whole.gradients(*arguments)
        return cost, tuple(map(tuple, gradient))

    foreign = broken(
        gradients=gradients,
        train=lambda *a: (tuple(train_whole(*a)[0]), None),
        unsupported=lambda quantity, *_: "has none" if quantity == "costs" else None,
    )
    digits = random_digits(60, 12, 4)
    for case in CASES:
        results = check(foreign, case, digits, agreement.reference(case, digits))
        assert [result.failure for result in results if result.failure] == []


@pytest.mark.parametrize("n", [2003, 4001])
@pytest.mark.parametrize("name", impls.names())
def test_blocks_of_images_add_up(name: str, n: int) -> None:
    """Large batches, which some backends take block by block; their last block is a short one."""
    network = Network((12, 7, 4), "tanh", "softmax", "cross_entropy")
    parameters = with_biases(initial_parameters(network, "lecun_normal", 5, "float64"))
    split = random_digits(n, 12, 4)
    plan = Plan(np.array([0, 1]), np.array([n, n]), None, np.array([0.5, 0.3]))
    found = compute(impls.load(name), network, parameters, split, plan)
    for quantity, actual, wanted in pairs(found, expected_of_blocks(n)):
        result = compare(name, f"{n} images", quantity, actual, wanted, np.dtype("float64"))
        assert result.failure is None, result.failure


@functools.cache
def expected_of_blocks(n: int) -> Quantities:
    network = Network((12, 7, 4), "tanh", "softmax", "cross_entropy")
    parameters = with_biases(initial_parameters(network, "lecun_normal", 5, "float64"))
    plan = Plan(np.array([0, 1]), np.array([n, n]), None, np.array([0.5, 0.3]))
    return compute(impls.load(impls.REFERENCE), network, parameters, random_digits(n, 12, 4), plan)


def test_message_names_backend_quantity_error_allowed_and_worst_index() -> None:
    expected = np.array([[1.0, 2.0], [4.0, 0.0]])
    actual = expected.astype(np.float32)
    actual[1, 0] += 0.001
    result = compare("numba", "full batch", "outputs", actual, expected, np.dtype("float32"))
    assert result.failure is not None
    for part in ("numba, full batch: outputs", "2.1e+03 eps", "allowed are 64 eps", "[1, 0]"):
        assert part in result.failure


def test_error_is_taken_norm_wise_in_eps() -> None:
    expected = np.array([1e-9, 8.0])
    eps = np.finfo(np.float64).eps
    actual = expected + np.array([8.0 * 3 * eps, 0.0])  # relative to its own size the first is far off
    assert compare("b", "c", "q", actual, expected, np.dtype("float64")).error == pytest.approx(3, rel=0.1)


def test_quantities_of_the_reference_tell_images_apart() -> None:
    """A reference that is constant or saturated would accept anything."""
    digits = random_digits(60, 12, 4)
    found: Quantities = agreement.reference(CASES[0], digits)
    assert found.outputs.std(axis=0).min() > 0.01
    assert found.outputs.max() < 0.99
    assert np.abs(found.gradient[0].weights).max() > 1e-3
