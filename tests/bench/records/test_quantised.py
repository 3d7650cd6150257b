"""A network at 8 bits a weight: what is kept is within half a step of what it was."""

import dataclasses
from typing import Any

import msgspec
import numpy as np
import pytest

from bench.records.quantised import QuantisedNetwork, SampleDigits, Stage, n_bytes, quantise, restored, unfit
from impls.contract import Layer, Network
from impls.initialisation import initial_parameters

NETWORK = Network((784, 6, 10))


def test_what_is_kept_is_within_half_a_step() -> None:
    parameters = initial_parameters(NETWORK, "he_normal", 0, "float32")
    parameters[0].weights[:, 1] *= 1000  # a unit has steps of its own
    parameters[0].weights[:, 2] = 0
    small = quantise(parameters)
    assert len(small) == n_bytes(NETWORK.sizes) == 6 * (784 + 16) + 10 * (6 + 16)
    for before, after in zip(parameters, restored(small, NETWORK, "float32"), strict=True):
        assert after.weights.dtype == after.biases.dtype == np.float32
        np.testing.assert_array_equal(after.biases, before.biases)
        steps = np.abs(before.weights).max(axis=0) / 127
        assert np.all(np.abs(after.weights - before.weights) <= 0.501 * steps)


def test_numbers_of_float64_that_float32_lacks() -> None:
    network = dataclasses.replace(NETWORK, sizes=(784, 10))
    layer = Layer(np.full((784, 10), 1e300), np.full(10, -1e300))
    (after,) = restored(quantise((layer,)), network, "float64")
    np.testing.assert_allclose(after.weights, layer.weights)
    np.testing.assert_array_equal(after.biases, layer.biases)


@pytest.mark.parametrize(
    ("sizes", "fits"),
    [((784, 10), True), ((784, 128, 10), True), ((784, 100, 100, 10), True), ((785, 10), False), ((784, 9), False)],
)
def test_which_networks_fit(sizes: tuple[int, ...], fits: bool) -> None:
    assert (unfit(sizes) is None) is fits


def content(**changes: Any) -> dict[str, Any]:
    small = quantise(initial_parameters(NETWORK, "he_normal", 0, "float32"))
    network = QuantisedNetwork(
        sizes=[*NETWORK.sizes],
        hidden="relu",
        output="sigmoid",
        pixel_scale=1 / 255,
        stages=[Stage(None, small, 0.5, 0.5)],
        digits=SampleDigits(bytes(784), [3]),
    )
    return msgspec.to_builtins(network) | changes


def test_a_record_is_read_as_it_was_written() -> None:
    there = msgspec.convert(content(), QuantisedNetwork)
    assert msgspec.to_builtins(there) == content()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": [784, 7, 10]}, "Expected 5830 bytes of finite parameters"),
        ({"sizes": [100, 10]}, "a drawing needs 784 inputs"),
        ({"digits": {"pixels": "AAAA", "labels": [1]}}, "Expected 784 pixels for each of 1 test digits"),
        ({"digits": {"pixels": "", "labels": [10]}}, "Expected `int` <= 9"),
        ({"stages": []}, "length >= 1"),
        ({"hidden": "swish"}, "Invalid enum value"),
        ({"pixel_scale": 0}, "> 0"),
    ],
)
def test_a_record_that_cannot_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(content(**change), QuantisedNetwork)


def test_parameters_that_are_not_finite() -> None:
    small = bytearray(quantise(initial_parameters(NETWORK, "he_normal", 0, "float32")))
    small[:8] = np.float64(np.nan).tobytes()
    with pytest.raises(msgspec.ValidationError, match="finite"):
        msgspec.convert(content(stages=[msgspec.to_builtins(Stage(0, bytes(small), 0.5, 0.5))]), QuantisedNetwork)
