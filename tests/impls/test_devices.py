"""Backends on a device, without one: names, the second module, why a device is unusable, and what would run there.

The arithmetic of a GPU is checked on a GPU: `pytest --backend=torch:cuda`. Here are shown, on the CPU, where arrays
would lie, how products would be computed, and that a captured update computes what the calls do.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
import impls
from bench.timing import threads
from impls import BackendUnavailable, UnknownBackend, devices
from impls.__main__ import main
from impls.contract import Layer, Network, State, zero_velocities
from impls.initialisation import initial_parameters

WITH_DEVICE = ("torch", "torch_compile", "torch_manual", "jax", "array_api")
NO_GPU = "needs a GPU, and this is a test"
NETWORK = Network((12, 7, 4), "relu", "softmax", "cross_entropy")
MODULE = """
from digitbench_example import *
from digitbench_example import gradients, outputs, prepare, train, unsupported

DEVICES = ("cpu", "cuda")
DEVICE = "cpu"

def where():
    return DEVICE
"""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """There seems to be a GPU, and libraries that can use it."""
    monkeypatch.setattr(devices, "why_no_gpu", lambda: None)
    monkeypatch.setattr(devices, "REASONS", {})


@pytest.fixture
def with_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with devices that is no part of the suite."""
    monkeypatch.syspath_prepend(bench.ROOT / "tests" / "example")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "on_devices.py").write_text(MODULE)
    for name in ("on_devices", "on_devices_on_cuda"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "on_devices"


def library(name: str) -> Any:
    """The module of a peer; skips where its library is absent."""
    if reason := impls.unavailable_reason(name):
        pytest.skip(f"backend {name} {reason}")
    return impls.load(name)


# --- names ------------------------------------------------------------------------------------------------


def test_the_registry_knows_the_devices_of_the_modules() -> None:
    for name, entry in impls.BUILTIN.items():
        source = bench.ROOT / f"{entry.module.replace('.', '/')}.py"
        text = source.read_text() if source.is_file() else ""
        assert ('DEVICES: Final = ("cpu", "cuda")\nDEVICE = "cpu"' in text) == (entry.devices == ("cpu", "cuda"))
        assert (name in WITH_DEVICE) == (len(entry.devices) > 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("torch:cpu", "backend 'torch:cpu': torch runs on cpu by itself; drop ':cpu'"),
        ("torch:tpu", "backend 'torch:tpu': torch runs on cpu and cuda alone; give torch:cuda, or drop ':tpu'"),
        ("numba:cuda", "backend 'numba:cuda': numba runs on cpu alone; drop ':cuda'"),
        ("torhc:cuda", "backend 'torhc' is unknown: did you mean 'torch'"),
        ("torch:", "backend 'torch:': torch runs on cpu and cuda alone; give torch:cuda, or drop ':'"),
    ],
)
def test_names_of_nothing(text: str, message: str) -> None:
    for look_up in (impls.entry, impls.check, impls.load, impls.unavailable_reason):
        with pytest.raises(UnknownBackend) as caught:
            look_up(text)
        assert str(caught.value).startswith(message)


def test_where_a_name_runs() -> None:
    where = {"torch": "cpu", "torch:cuda": "cuda", "floor": "cpu", "no.module:cuda": "cuda", "no.module": "cpu"}
    assert {name: impls.device_of(name) for name in where} == where
    moved = {"torch": "torch:cuda", "torch:cuda": "torch:cuda", "numba": "numba", "some.module": "some.module"}
    assert {name: impls.on_device(name, "cuda") for name in moved} == moved


def test_a_backend_for_a_device_alone(monkeypatch: pytest.MonkeyPatch, gpu: None) -> None:
    monkeypatch.setitem(impls.BUILTIN, "only", impls.Entry("impls.naive", devices=("cuda",)))
    assert impls.device_of("only") == "cuda"
    assert impls.unavailable_reason("only") is None
    assert impls.on_device("only", "cuda") == "only"
    monkeypatch.setattr(devices, "why_no_gpu", lambda: NO_GPU)
    assert impls.unavailable_reason("only") == NO_GPU
    assert "only" not in impls.available()


# --- a module of its own ------------------------------------------------------------------------------------


def test_the_same_file_twice_in_one_process(with_devices: str, gpu: None) -> None:
    there, here = impls.find(f"{with_devices}:cuda"), impls.find(with_devices)
    assert there is not here
    assert impls.find(f"{with_devices}:cuda") is there
    assert [vars(one)["where"]() for one in (there, here)] == ["cuda", "cpu"]
    assert f"{with_devices}:cuda" == there.NAME
    assert here.NAME == "example"
    assert vars(there)["__file__"] == vars(here)["__file__"]


def test_modules_that_have_no_such_device(with_devices: str, gpu: None) -> None:
    with pytest.raises(UnknownBackend, match="naive runs on cpu alone; drop ':cuda'"):
        impls.find("impls.naive:cuda")
    with pytest.raises(UnknownBackend, match="'no_such_module' is unknown"):
        impls.find("no_such_module:cuda")
    with pytest.raises(BackendUnavailable, match="needs a device 'tpu', which is unknown"):
        impls.check(f"{with_devices}:tpu")


def test_a_module_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "fails_at_first.py").write_text("import no_such_library")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_library"):
            devices.second_module("fails_at_first", "cuda")


# --- why a device cannot be used ------------------------------------------------------------------------------


class Driver:
    """NVIDIA's driver, with so many devices, or an error."""

    def __init__(self, count: int, error: int = 0) -> None:
        self.count, self.error = count, error

    def cuInit(self, flags: int) -> int:
        return self.error

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self.count
        return 0

    def cuGetErrorString(self, error: int, text: Any) -> int:
        text._obj.value = b"no CUDA-capable device is detected"
        return 0


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (Driver(1), None),
        (Driver(0, 100), "driver finds none that works (no CUDA-capable device is detected); see what `nvidia-smi`"),
        (Driver(0), "driver finds none; see CUDA_VISIBLE_DEVICES"),
    ],
)
def test_what_the_driver_says(monkeypatch: pytest.MonkeyPatch, driver: Driver, reason: str | None) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: driver)
    found = devices.why_no_gpu.__wrapped__()
    assert found is None if reason is None else reason in str(found)


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "DRIVER", "libnosuchdriver.so.1")
    reason = devices.why_no_gpu.__wrapped__()
    assert "there is no libnosuchdriver.so.1; install the driver" in str(reason)
    monkeypatch.setattr(devices, "why_no_gpu", lambda: reason)
    with pytest.raises(BackendUnavailable) as caught:
        devices_of_example()
    assert str(caught.value) == f"backend 'example:cuda' {reason}"


def devices_of_example() -> None:
    """Ask for a backend on a device whose library is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(impls.BUILTIN, "example", impls.Entry("impls.naive", devices=("cpu", "cuda")))
        impls.check("example:cuda")


def test_libraries_that_are_built_for_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "why_no_gpu", lambda: None)
    monkeypatch.setattr(devices, "folder_of", lambda _: tmp_path)
    for cuda, there in (("None", False), ("'13.0'", True)):
        (tmp_path / "version.py").write_text(f"cuda: object = {cuda}\n")
        assert ("built without" not in str(devices.why_unusable("cuda", ["torch"]))) == there
    (tmp_path / "jax_plugins").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert "'jax[cuda13]'" in str(devices.why_unusable("cuda", ["jax"]))
    (tmp_path / "jax_plugins" / "xla_cuda13").mkdir()
    (tmp_path / "jax_plugins" / "xla_cuda13" / "__init__.py").touch()
    assert devices.why_unusable("cuda", ["jax"]) is None


def test_the_list_says_where_a_backend_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(impls, "names", lambda: ("example",))
    monkeypatch.setitem(impls.BUILTIN, "example", impls.Entry("impls.naive", devices=("cpu", "cuda")))
    monkeypatch.setattr(impls.load("naive"), "DEVICES", ("cpu", "cuda"), raising=False)
    for reason, said in ((None, "; also as example:cuda\n"), (NO_GPU, f"; not as example:cuda, which {NO_GPU}\n")):
        monkeypatch.setattr(devices, "why_no_gpu", lambda reason=reason: reason)
        assert main([]) == 0
        assert capsys.readouterr().out.endswith(said)


# --- what would run there ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pretended_device() -> list[str]:
    """What a process with one thread writes in which PyTorch computes on a device that does not exist."""
    for name in ("torch", "torch_manual"):
        library(name)
    command = [sys.executable, "-W", "error", "-m", "tests.helpers.pretended", "torch", "torch_manual"]
    environment = os.environ | dict.fromkeys(threads.VARIABLES, "1")
    done = subprocess.run(command, cwd=bench.ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_everything_of_pytorch_is_moved(pretended_device: list[str]) -> None:
    assert pretended_device[:-1] == ["torch", "torch_manual"]


def test_pytorch_reads_how_many_threads_it_may_use(pretended_device: list[str]) -> None:
    assert pretended_device[-1] == "threads: 1"


def test_captured_updates_compute_what_calls_do(monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu = library("torch_manual")
    from tests.helpers import pretended

    backend: Any = devices.second_module("impls.torch_manual", "pretended_graphs")
    monkeypatch.setattr(backend, "DEVICE", "cpu")
    monkeypatch.setattr(backend, "trained_by_calls", backend.trained_by_graphs)
    for network in (NETWORK, Network(NETWORK.sizes, "tanh")):
        state = zero_velocities(initial_parameters(network, "he_normal", 3, "float64"))
        prepared = on_cpu.prepare(network, pretended.IMAGES, pretended.LABELS, "float64")
        with pretended.graphs_on_the_cpu() as graphs:
            for momentum, shuffled in ((0.0, True), (0.0, False), (0.9, True)):
                plan = pretended.plan_of(momentum, shuffled)
                (captured, costs), (called, right) = (
                    one.train(network, state, prepared, plan) for one in (backend, on_cpu)
                )
                np.testing.assert_allclose(costs, right, rtol=1e-12)
                for layer, expected in zip(captured[0] + captured[1], called[0] + called[1], strict=True):
                    np.testing.assert_allclose(layer.weights, expected.weights, rtol=0, atol=1e-14)
                    np.testing.assert_allclose(layer.biases, expected.biases, rtol=0, atol=1e-14)
        assert len(graphs) == 4  # of two sizes, without and with momentum; the second call finds them


@pytest.mark.parametrize(("dtype", "parts"), [("float32", 6), ("float64", 0)])
def test_the_precision_of_jax_holds_for_every_product(dtype: str, parts: int) -> None:
    library("jax")
    import jax

    backend: Any = devices.second_module("impls.jax_scan", "cuda")
    shape = jax.ShapeDtypeStruct
    layers = tuple(Layer(shape((n, m), dtype), shape((m,), dtype)) for n, m in ((12, 7), (7, 4)))
    given = State(layers, layers), backend.Prepared(shape((13, 12), dtype), shape((13, 4), dtype))
    plan = None, shape((3,), "int64"), shape((3,), dtype)
    lowered = backend.compiled_updates.trace(*given, *plan, NETWORK, 5, 0.9).lower(lowering_platforms=("cuda",))
    products = [line for line in lowered.as_text().splitlines() if "dot_general" in line]
    assert len(products) == 5  # two forward, two of weights, one of deltas
    assert [f"num_primitive_operations = {parts}" in line for line in products] == [bool(parts)] * 5


def test_jax_starts_no_device_that_it_was_not_asked_for() -> None:
    backend = library("jax")
    assert backend.unsupported("train", NETWORK, "float32") is None
    import jax

    assert jax.config.jax_platforms == "cpu"
    on_device: Any = devices.second_module("impls.jax_scan", "nowhere")
    try:
        assert "JAX cannot use nowhere: " in on_device.unsupported("train", NETWORK, "float32")
    finally:
        jax.config.update("jax_platforms", "cpu")
