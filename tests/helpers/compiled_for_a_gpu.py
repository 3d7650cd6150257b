"""Compiles the kernels of the backend `cuda` for an H100, where numba-cuda is installed, without a GPU.

`python -m tests.helpers.compiled_for_a_gpu resident float32 momentum` prints what is to be known of one kernel's PTX as
JSON. A GPU's own compiler, ptxas, which would say more, is not among the libraries that numba-cuda needs.
"""

import json
import re
import sys
from typing import Any

import numpy as np
from numba import cuda, types
from numba.cuda import compiler, dispatcher

from impls.contract import Network
from impls.cuda import general, resident, way
from impls.cuda.device import Limits

CAPABILITY = (9, 0)
H100 = Limits(132, 232_448, True)
NETWORK = Network((784, 128, 10), "relu", "softmax", "cross_entropy")


def vector(of: Any) -> Any:
    """The type of a contiguous vector."""
    return types.Array(of, 1, "C")


def matrix(of: Any) -> Any:
    """The type of a contiguous matrix."""
    return types.Array(of, 2, "C")


def kernel_and_types(name: str, real: Any, momentum: bool) -> tuple[Any, list[Any]]:
    """A kernel, and the types of its arguments as the backend launches it."""
    number, index, word = types.float32 if real is np.float32 else types.float64, vector(types.int32), types.uint64
    steps, values = matrix(types.int32), vector(number)
    if name == "resident":
        shape = way(NETWORK, real, momentum, True, H100)
        assert not isinstance(shape, str)
        of_plan = [vector(types.uint32), index, index, steps, values, number, number, types.int32]
        exchanged = [matrix(number), matrix(number), vector(word), vector(word)]
        return resident.kernel_of(shape), [*of_plan, *exchanged, values, vector(types.int64), values]
    images, layers, side = matrix(types.uint8), matrix(types.int64), H100.side
    if name == "trainer":
        of_plan = [images, index, index, steps, values, number, number, layers]
        return general.trainer_of(real, side, NETWORK.hidden, NETWORK.output), [
            *of_plan, *[values] * 6, vector(types.int64), values,
        ]  # fmt: skip
    arguments = [images, index, steps, number, layers, values, values, matrix(number)]
    return general.answerer_of(real, side, NETWORK.hidden, NETWORK.output), arguments


def main(name: str, dtype: str, momentum: bool) -> None:
    """Compile one kernel and print what its PTX has."""

    class Device:
        """What numba asks of the GPU to compile a device function."""

        compute_capability = CAPABILITY

    dispatcher.get_current_device = lambda: Device
    kernel, of_arguments = kernel_and_types(name, np.dtype(dtype).type, momentum)
    options = {"cc": CAPABILITY, "launch_bounds": kernel.targetoptions["launch_bounds"]}
    ptx, _ = cuda.compile(kernel.py_func, types.void(*of_arguments), device=False, output="ptx", abi="numba", **options)
    compiled = compiler.compile_cuda(kernel.py_func, types.void, tuple(of_arguments), cc=CAPABILITY)
    found = {
        "doubles": len(re.findall(r"\.f64\b", ptx)),
        "arrays in memory": len(re.findall(r"\.local\s+\.align", ptx)),
        "conversions of pixels": len(re.findall(r"cvt\.rn\.f(?:32|64)\.[us](?:8|16)", ptx)),
        "copies in the background": len(re.findall(r"cp\.async\.cg\.shared\.global", ptx)),
        "loads of 16 bytes": len(re.findall(r"ld\.shared\.v[24]", ptx)),
        "calls": sorted(set(re.findall(r"call\.uni[^;]*?\b(\w+),\s*\(", ptx.replace("\n", " ")))),
        "cooperative": compiled.library.use_cooperative,
        "bounds": [int(n) for n in re.findall(r"\.(?:maxntid|minnctapersm) (\d+)", ptx)],  # threads, blocks at once
    }
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "momentum" in sys.argv[3:])
