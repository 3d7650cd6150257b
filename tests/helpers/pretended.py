"""Pretended parts of a GPU: tensors that have a device and no values, and CUDA graphs that repeat what they recorded.

As a script, it has backends of PyTorch compute on a device that does not exist, as the device cannot be removed from a
process again: `python -m tests.helpers.pretended BACKEND...`. It writes which did, or raises what a forgotten move to
the device leads to; then how many threads PyTorch uses.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import impls
from bench.timing import threads
from impls import devices
from impls.contract import Array, Network, Plan, zero_velocities
from impls.initialisation import initial_parameters

NETWORK = Network((12, 7, 4), "relu", "softmax", "cross_entropy")
IMAGES, LABELS = np.arange(13 * 12, dtype=np.uint8).reshape(13, 12), np.arange(13) % 4


def plan_of(momentum: float, shuffled: bool) -> Plan:
    """Three updates at different rates, of which the last is short."""
    order = np.random.default_rng(0).permutation(13) if shuffled else None
    return Plan(np.array([0, 5, 10]), np.array([5, 10, 13]), order, np.array([0.3, 0.2, 0.1]), momentum)


# --- CUDA graphs ------------------------------------------------------------------------------------------


class Graph(TorchDispatchMode):  # type: ignore[misc]
    """What is computed within `capturing` is recorded; `replay` computes it again, in the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded: list[tuple[Any, Any, dict[str, Any], Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        assert "_local_scalar_dense" not in str(func), "a number of Python is waited for, which a graph cannot do"
        returned = func(*args, **(kwargs or {}))
        self.recorded.append((func, args, kwargs or {}, returned))
        return returned

    def replay(self) -> None:
        for func, args, kwargs, before in self.recorded:
            now = func(*args, **kwargs)
            if now.data_ptr() != before.data_ptr():
                before.copy_(now)


@contextlib.contextmanager
def graphs_on_the_cpu() -> Iterator[list[Graph]]:
    """Within the `with`, torch.cuda has pretended streams and graphs, on tensors of the CPU; yields those graphs."""
    made: list[Graph] = []

    def graph() -> Graph:
        made.append(Graph())
        return made[-1]

    parts: dict[str, Any] = {
        "Stream": mock.Mock(),
        "current_stream": mock.Mock(),
        "stream": lambda _: contextlib.nullcontext(),
    }
    with mock.patch.multiple(torch.cuda, **parts, CUDAGraph=graph, graph=lambda graph: graph):
        yield made


# --- a device without values ------------------------------------------------------------------------------


def compute_on_pretended_device(backend: Any) -> None:
    """Call everything that a backend offers. Raises RuntimeError where tensors of the CPU and the device are mixed."""
    parameters = initial_parameters(NETWORK, "he_normal", 3, "float32")
    for network in (NETWORK, Network(NETWORK.sizes)):
        prepared = backend.prepare(network, IMAGES, LABELS, "float32")
        assert {tensor.device.type for tensor in prepared} == {backend.DEVICE}
        assert backend.outputs(network, parameters, prepared).shape == (13, 4)
        assert backend.gradients(network, parameters, prepared)[1][0].weights.shape == (12, 7)
        for momentum in (0.0, 0.9):
            state = zero_velocities(parameters)
            state, costs = backend.train(network, state, prepared, plan_of(momentum, shuffled=bool(momentum)))
            assert state.velocities[1].weights.shape == (7, 4)
            assert costs.shape == (3,)


TO: Any = torch.Tensor.to


def moved(tensor: Any, *to: Any) -> Any:
    """Tensor.to, which for a device would ask for its library."""
    return torch.ops.aten._to_copy(tensor, device=to[0]) if isinstance(to[0], torch.device) else TO(tensor, *to)


def without_values(tensor: Any) -> Array:
    """Tensor.numpy, which only tensors of the CPU have."""
    assert tensor.device.type == "cpu", f"a tensor on {tensor.device} is not moved to the CPU"
    return np.zeros(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


def main(names: list[str]) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend("pretended")
    parts: dict[str, Any] = {"to": moved, "numpy": without_values, "item": lambda _: 0.0}
    for name in names:
        backend: Any = devices.second_module(impls.entry(name).module, "pretended")
        with mock.patch.multiple(torch.Tensor, **parts), FakeTensorMode():
            compute_on_pretended_device(backend)
        sys.stdout.write(f"{name}\n")
    sys.stdout.write(f"threads: {threads.in_force()['torch']}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
