"""`array_api`: on NumPy and PyTorch it agrees; array-api-strict knows all that it uses; names of libraries."""

from typing import Any

import numpy as np
import pytest

import impls
from impls import devices
from tests.suite.conformance import SOME, answered, case_of, hold


@pytest.fixture(params=["numpy", "torch", "strict"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """On NumPy, on PyTorch, and on a library that has nothing but the standard, and mixes nothing with its arrays."""
    name = "array_api:torch" if request.param == "torch" else "array_api"
    if reason := impls.unavailable_reason(name):
        pytest.skip(f"backend {name} {reason}")
    module: Any = impls.load(name)
    if request.param == "strict":
        strict = pytest.importorskip("array_api_strict")
        monkeypatch.setattr(module, "namespace", lambda: strict)
    return module


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_agrees_on_every_library_and_uses_nothing_but_the_standard(backend: Any, dtype: Any) -> None:
    for network in SOME:
        case = case_of(network, dtype, (5, 5, 3), momentum=0.9, order="shuffled")
        for quantity in ("outputs", "gradients", "train"):
            hold(backend, case, answered(backend, case.problem, quantity))
    prepared = backend.prepare(network, np.zeros((1, network.sizes[0]), np.uint8), None, dtype)
    assert type(prepared.images) is type(backend.namespace().zeros(1))


def test_a_library_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    where = {"array_api": "cpu", "array_api:torch": "cpu", "array_api:jax": "cpu", "array_api:cupy": "cuda"}
    assert {name: impls.device_of(name) for name in where} == where
    with pytest.raises(impls.UnknownBackend, match="array_api:torch or array_api:jax or array_api:cupy"):
        impls.entry("array_api:tensorflow")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "needs torch, which is not installed" in str(devices.why_unusable("torch"))
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: "found")
    monkeypatch.setattr(devices, "why_no_gpu", lambda: "no GPU")
    assert devices.why_unusable("cupy") == "no GPU"
    assert devices.why_unusable("jax") is None
