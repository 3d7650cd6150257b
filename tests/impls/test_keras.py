"""`keras:torch` and `keras:jax`: velocities convert as the rate changes, one library in a process, what is missing."""

import importlib.util
import os
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import impls
from bench.agreement.isolated import check_isolated
from impls import devices
from impls.contract import Array, Network
from tests.suite.conformance import SOME, case_of

NAMES = ("keras:torch", "keras:jax")
NETWORK = Network((12, 7, 4), "relu", "softmax", "cross_entropy")


def loaded(library: str) -> Any:
    """The module for one library, which imports no Keras until it computes."""
    return devices.second_module("impls.keras_sequential", library)


class Velocity:
    """Stands for a variable of Keras."""

    def __init__(self) -> None:
        self.value: Array = np.zeros(1)

    def assign(self, value: Array) -> None:
        self.value = value

    def __mul__(self, factor: float) -> Array:
        return self.value * factor

    def __truediv__(self, divisor: float) -> Array:
        return self.value / divisor


@pytest.mark.parametrize("rates", [(0.4, 0.2, 0.1), (0.3, 0.0, 0.0, 0.1), (1.0, 0.5), (0.2,)])
def test_velocities_under_a_changing_rate(rates: tuple[float, ...]) -> None:
    """Keras's step, u <- mu u - rate g and p <- p + mu u - rate g, makes the contract's updates."""
    mu, g, p, v = 0.9, 1.5, 0.0, np.array([0.7])
    expected = p
    u = Velocity()
    sgd = SimpleNamespace(momentums=[u], learning_rate=0.0)
    inside = loaded("torch").InKerasVelocity(sgd, [v])
    for rate in rates:
        inside.change(rate)
        u.value = mu * u.value - sgd.learning_rate * g
        if rate:  # otherwise the caller restores the parameters
            p += float((mu * u.value)[0]) - sgd.learning_rate * g
        v = mu * v + g
        expected -= rate * float((g + mu * v)[0])
        np.testing.assert_allclose(inside.velocities(), [v], rtol=1e-14)
        assert p == pytest.approx(expected, rel=1e-14)


def test_keras_on_another_library_is_named_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = SimpleNamespace(config=SimpleNamespace(backend=lambda: "tensorflow"))
    monkeypatch.setitem(sys.modules, "keras", elsewhere)
    backend = loaded("torch")
    backend.library.cache_clear()
    reason = backend.unsupported("train", NETWORK, "float32")
    assert reason == (
        "Keras computes with tensorflow in this process, expected torch, and cannot change; "
        "use another process, with KERAS_BACKEND=torch if it imports Keras itself"
    )
    with pytest.raises(RuntimeError, match="expected torch"):
        backend.prepare(NETWORK, np.zeros((1, 12), np.uint8), None, "float32")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: "found")
    for name in NAMES:
        assert "but Keras computes with tensorflow in this process" in str(impls.unavailable_reason(name))
    elsewhere.config.backend = lambda: "jax"
    assert impls.unavailable_reason("keras:jax") is None


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras reads these variables; programs that are started later do not get them."""
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.delenv("KERAS_HOME", raising=False)
    with loaded("jax").environment("folder"):
        assert (os.environ["KERAS_BACKEND"], os.environ["KERAS_HOME"]) == ("jax", "folder")
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert "KERAS_HOME" not in os.environ


@pytest.mark.parametrize("name", NAMES)
def test_without_keras(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "keras" else find_spec(name))
    monkeypatch.setattr(impls, "BUILTIN", impls.BUILTIN | {name: impls.BUILTIN[name]._replace(requires=("keras",))})
    assert str(impls.unavailable_reason(name)).startswith("needs keras, not installed; `pip install -c")
    with pytest.raises(impls.UnknownBackend, match="did you mean 'keras:"):
        impls.entry("keras")


def test_float64_is_denied_as_keras_rounds_its_products() -> None:
    """Issue 23704 of Keras: on PyTorch, 3.15.1 computes products of float64 in float32."""
    assert "rounds products of float64" in loaded("torch").unsupported("train", SOME[0], "float64")


def test_softmax_over_one_output_is_denied() -> None:
    one = Network((5, 1), "relu", "softmax", "cross_entropy")
    assert "takes a softmax over one output for a mistake" in loaded("jax").unsupported("outputs", one, "float32")


@pytest.mark.parametrize("name", NAMES)
def test_agrees_in_a_process_of_its_own(name: str) -> None:
    if reason := impls.unavailable_reason(name):
        pytest.skip(f"backend {name} {reason}")
    cases = [
        case_of(SOME[2], "float32", (5, 5, 3), momentum=0.9, order="shuffled"),
        case_of(SOME[0], "float32", (5, 3)),
    ]
    results = check_isolated(name, [(case.problem, case.expected) for case in cases])
    assert [result.failure for result in results if result.failure] == []
    assert not any(result.unsupported for result in results)
