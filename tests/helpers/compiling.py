"""Calls compiled backends with all kinds of images that tests have, so that what numba compiles is on disk.

`conftest.py` runs it, a process for each dtype, before workers share the tests: with nothing on disk each of them, and
each process that a test starts, would compile the same at the same time. Nothing is checked here.
"""

import sys
from typing import cast

import numpy as np

import impls
from impls.contract import DType, Network, Plan, zero_velocities
from impls.initialisation import initial_parameters

NETWORK = Network((12, 7, 4), "relu", "softmax", "cross_entropy")
N = 20


def call(name: str, pixels: str, dtype: DType) -> None:
    """Outputs, gradients and a training."""
    backend = impls.load(name)
    images = np.random.default_rng(0).integers(0, 256, (N, NETWORK.sizes[0])).astype(pixels)
    parameters = initial_parameters(NETWORK, "lecun_normal", 0, dtype)
    prepared = backend.prepare(NETWORK, images, np.zeros(N, np.int64), dtype)
    backend.outputs(NETWORK, parameters, prepared)
    backend.gradients(NETWORK, parameters, prepared)
    plan = Plan(np.array([0]), np.array([N]), None, np.array([0.1]), 0.9)
    backend.train(NETWORK, zero_velocities(parameters), prepared, plan)


def main(dtype: DType) -> None:
    """All that is compiled for parameters of this dtype."""
    for name in impls.available():
        if name.startswith("numba"):
            for pixels in ("uint8", dtype):
                call(name, pixels, dtype)


if __name__ == "__main__":
    main(cast(DType, sys.argv[1]))
