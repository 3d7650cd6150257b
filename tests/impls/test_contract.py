"""The contract's checks: valid values pass; errors are one line: the thing, what was expected, what was found."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impls import contract
from impls.contract import (
    Array,
    ContractError,
    Layer,
    Network,
    Parameters,
    Plan,
    check_images,
    check_parameters,
    check_plan_fits,
    zero_velocities,
)

NETWORK = Network((6, 4, 3))


def message_of(call: Callable[[], object]) -> str:
    """Return the message of the ContractError that this call raises, which is one line."""
    with pytest.raises(ContractError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_mentions(message: str, *parts: str) -> None:
    missing = [part for part in parts if part not in message]
    assert not missing, f"{missing} not in {message!r}"


# --- Network -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(784, 10), (784, 80, 10), (784, 16, 16, 10), (1, 1)])
def test_any_number_of_layers(sizes: tuple[int, ...]) -> None:
    assert Network(sizes).sizes == sizes


@pytest.mark.parametrize("hidden", ["sigmoid", "relu", "tanh"])
@pytest.mark.parametrize(
    ("output", "cost"), [("sigmoid", "quadratic"), ("relu", "quadratic"), ("softmax", "cross_entropy")]
)
def test_valid_combinations(hidden: Any, output: Any, cost: Any) -> None:
    network = Network((784, 80, 10), hidden, output, cost, pixel_scale=1)
    assert_mentions(str(network), "784-80-10", hidden, output, cost)


@pytest.mark.parametrize(
    ("arguments", "mentioned"),
    [
        ({"sizes": ()}, ("network", "expected")),
        ({"sizes": (784,)}, ("network 784", "an input and an output size")),
        ({"sizes": (784, 0, 10)}, ("network 784-0-10", "positive")),
        ({"sizes": (784, -1)}, ("network 784--1", "positive")),
        ({"hidden": "softmax"}, ("hidden", "'softmax'", "sigmoid, relu, tanh")),
        ({"hidden": "ReLU"}, ("hidden", "'ReLU'", "sigmoid, relu, tanh")),
        ({"output": "softmax"}, ("'softmax'", "'quadratic'", "softmax with cross_entropy")),
        ({"cost": "cross_entropy"}, ("'sigmoid'", "'cross_entropy'", "sigmoid with quadratic")),
        ({"output": "relu", "cost": "cross_entropy"}, ("'relu'", "'cross_entropy'", "relu with quadratic")),
        ({"output": "tanh"}, ("output", "'tanh'", "expected one of")),
        ({"output": "tanh", "cost": None}, ("output", "'tanh'", "expected one of")),
        ({"cost": "absolute"}, ("cost", "'absolute'", "expected one of")),
        ({"pixel_scale": 0.0}, ("pixel scale 0.0", "positive, finite")),
        ({"pixel_scale": -1.0}, ("pixel scale -1.0", "positive, finite")),
        ({"pixel_scale": float("nan")}, ("pixel scale nan", "positive, finite")),
        ({"pixel_scale": float("inf")}, ("pixel scale inf", "positive, finite")),
    ],
)
def test_invalid_networks(arguments: dict[str, Any], mentioned: tuple[str, ...]) -> None:
    assert_mentions(message_of(lambda: Network(**{"sizes": (784, 80, 10), **arguments})), *mentioned)


# --- Plan --------------------------------------------------------------------------------------------------


def plan(**changes: Any) -> Plan:
    """Two updates of two images each, with changes."""
    valid = {"starts": [0, 2], "stops": [2, 4], "order": None, "learning_rates": [0.1, 0.0], "momentum": 0.0}
    values: dict[str, Any] = {**valid, **changes}
    arrays: Any = {name: np.array(value) if isinstance(value, list) else value for name, value in values.items()}
    return Plan(**arrays)


def test_arrays_get_the_dtypes_of_the_contract() -> None:
    made = plan(
        starts=np.array([0, 2], np.int32),
        order=np.array([3, 1, 0, 2], np.uint8),
        learning_rates=np.array([1, 2], np.float32),
    )
    assert made.order is not None
    assert [array.dtype for array in (made.starts, made.stops, made.order)] == [np.int64] * 3
    assert made.learning_rates.dtype == np.float64
    assert made.order.tolist() == [3, 1, 0, 2]


@pytest.mark.parametrize(
    "changes",
    [
        {"momentum": 0.999},
        {"learning_rates": [0.0, 1e300]},
        {"starts": [0, 0]},  # updates may overlap
        {"order": [0, 0, 0, 0]},  # and an image may come more than once
    ],
)
def test_valid_plans(changes: dict[str, Any]) -> None:
    plan(**changes)


@pytest.mark.parametrize(
    ("changes", "mentioned"),
    [
        ({"starts": [0], "stops": [2]}, ("1 starts", "1 stops", "2 learning rates", "one of each per update")),
        ({"stops": [2]}, ("2 starts", "1 stops", "2 learning rates")),
        ({"learning_rates": [0.1]}, ("2 stops", "1 learning rates")),
        (
            {"starts": np.zeros(0, int), "stops": np.zeros(0, int), "learning_rates": np.zeros(0)},
            ("no updates", "at least one"),
        ),
        ({"starts": [0.0, 2.0]}, ("starts", "float64", "integers")),
        ({"stops": [[2, 4]]}, ("stops", "(1, 2)", "vector")),
        ({"order": [0.5, 1.5]}, ("order", "float64", "integers")),
        ({"order": [True, False, True, True]}, ("order", "bool", "integers")),
        ({"starts": [-1, 2]}, ("0 <= start < stop",)),
        ({"stops": [2, 2]}, ("start < stop", "at least one image")),
        ({"stops": [2, 1]}, ("start < stop", "at least one image")),
        ({"learning_rates": [0.1, -0.5]}, ("learning rate -0.5", "update 1", "not negative")),
        ({"learning_rates": [float("nan"), 0.1]}, ("learning rate nan", "update 0", "finite")),
        ({"learning_rates": [0.1, float("inf")]}, ("learning rate inf", "update 1", "finite")),
        ({"momentum": 1.0}, ("momentum 1.0", "not including, 1")),
        ({"momentum": -0.1}, ("momentum -0.1", "from 0")),
        ({"momentum": float("nan")}, ("momentum nan", "from 0")),
    ],
)
def test_invalid_plans(changes: dict[str, Any], mentioned: tuple[str, ...]) -> None:
    assert_mentions(message_of(lambda: plan(**changes)), *mentioned)


@pytest.mark.parametrize("order", [None, [3, 1, 0, 2], [3, 3, 3, 3]])
def test_a_plan_that_fits(order: list[int] | None) -> None:
    check_plan_fits(plan(order=order), n_images=4)


@pytest.mark.parametrize(
    ("order", "mentioned"),
    [
        (None, ("ends at position 4", "3 images")),  # the batch ends beyond the data
        ([0, 1, 2], ("ends at position 4", "3")),  # or beyond the order
        ([0, 1, 2, 3], ("images 0 to 3", "there are 3")),
        ([0, 1, 2, -1], ("images -1 to 2", "there are 3")),
        ([0, 1, 2, 2, 0, 7], ("images 0 to 7", "there are 3")),  # though no update uses it
    ],
)
def test_a_plan_that_does_not_fit(order: list[int] | None, mentioned: tuple[str, ...]) -> None:
    assert_mentions(message_of(lambda: check_plan_fits(plan(order=order), n_images=3)), *mentioned)


# --- parameters --------------------------------------------------------------------------------------------


def parameters(dtype: str = "float32") -> Parameters:
    return (
        Layer(np.ones((6, 4), dtype), np.zeros(4, dtype)),
        Layer(np.ones((4, 3), dtype), np.zeros(3, dtype)),
    )


def with_value(layer: int, part: str, where: Any, value: float) -> Parameters:
    changed = parameters()
    getattr(changed[layer], part)[where] = value
    return changed


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_valid_parameters(dtype: str) -> None:
    check_parameters(NETWORK, parameters(dtype))
    assert contract.dtype_of(parameters(dtype)) == dtype


ONE, TWO = parameters()
ONE_64, TWO_64 = parameters("float64")


@pytest.mark.parametrize(
    ("wrong", "mentioned"),
    [
        ((), ("0 layers", "6-4-3", "has 2")),
        ((ONE,), ("1 layers", "6-4-3", "has 2")),
        ((ONE, TWO, TWO), ("3 layers", "6-4-3", "has 2")),
        ((TWO, ONE), ("layer 1", "weights", "(4, 3)", "expected (6, 4)")),
        ((ONE, Layer(TWO.weights.T, TWO.biases)), ("layer 2", "weights", "(3, 4)", "expected (4, 3)")),
        ((ONE, Layer(TWO.weights, TWO.biases[:2])), ("layer 2", "biases", "(2,)", "expected (3,)")),
        ((Layer(ONE.weights, ONE.biases[None]), TWO), ("layer 1", "biases", "(1, 4)", "expected (4,)")),
        ((ONE, TWO_64), ("layer 2", "weights", "float64", "one dtype")),
        ((Layer(ONE.weights, ONE_64.biases), TWO), ("layer 1", "biases", "float64", "one dtype")),
        (parameters("float16"), ("layer 1", "float16", "float32 or float64")),
        (parameters("int64"), ("layer 1", "int64", "float32 or float64")),
        (parameters("complex64"), ("layer 1", "complex64", "float32 or float64")),
        (with_value(1, "weights", (2, 1), np.nan), ("layer 2", "weights", "nan", "[2, 1]", "finite")),
        (with_value(0, "biases", 3, -np.inf), ("layer 1", "biases", "-inf", "[3]", "finite", "learning rate")),
    ],
)
def test_invalid_parameters(wrong: Parameters, mentioned: tuple[str, ...]) -> None:
    assert_mentions(message_of(lambda: check_parameters(NETWORK, wrong)), *mentioned)


def test_training_starts_at_rest() -> None:
    start = parameters()
    state = zero_velocities(start)
    assert state.parameters is start
    for velocity, layer in zip(state.velocities, start, strict=True):
        for v, p in zip(velocity, layer, strict=True):
            assert v.shape == p.shape
            assert v.dtype == p.dtype
            assert not v.any()


# --- images and labels -------------------------------------------------------------------------------------

IMAGES = np.zeros((5, 6), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1])


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_valid_images(dtype: str) -> None:
    check_images(NETWORK, IMAGES.astype(dtype), LABELS)
    check_images(NETWORK, IMAGES.astype(dtype), None)


@pytest.mark.parametrize(
    ("images", "labels", "mentioned"),
    [
        (np.zeros((5, 7), np.uint8), LABELS, ("7 pixels", "6-4-3", "6 inputs", "7-...-3")),
        (np.zeros((5, 2, 3), np.uint8), LABELS, ("(5, 2, 3)", "(n, 6)")),
        (np.zeros(6, np.uint8), None, ("(6,)", "(n, 6)")),
        (np.zeros((0, 6), np.uint8), np.zeros(0, np.int64), ("(0, 6)", "n >= 1")),
        (IMAGES.astype(np.int64), LABELS, ("images", "int64", "uint8 or a float")),
        (IMAGES.astype(bool), LABELS, ("images", "bool", "uint8 or a float")),
        (IMAGES, LABELS[:4], ("labels", "(4,)", "expected (5,)")),
        (IMAGES, LABELS[:, None], ("labels", "(5, 1)", "expected (5,)")),
        (IMAGES, np.eye(5, 3, dtype=np.int64), ("labels", "(5, 3)", "expected (5,)")),
        (IMAGES, LABELS.astype(np.uint8), ("labels", "uint8", "int64")),
        (IMAGES, LABELS.astype(np.float64), ("labels", "float64", "int64")),
        (IMAGES, np.array([0, 1, 3, 0, 1]), ("label 3", "image 2", "0 to 2", "3 outputs")),
        (IMAGES, np.array([0, 1, 2, 0, -1]), ("label -1", "image 4", "0 to 2")),
    ],
)
def test_invalid_images(images: Array, labels: Array | None, mentioned: tuple[str, ...]) -> None:
    assert_mentions(message_of(lambda: check_images(NETWORK, images, labels)), *mentioned)


def test_label_10_of_ten_digits() -> None:
    images, labels = np.zeros((2, 784), np.uint8), np.array([9, 10])
    message = message_of(lambda: check_images(Network((784, 10)), images, labels))
    assert re.match("label 10 of image 1: expected 0 to 9", message)
