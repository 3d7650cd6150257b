"""The device: what it has, how a kernel is launched on it, and how its errors are named."""

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from numba import cuda

SIMULATED = not hasattr(cuda, "syncwarp")  # numba's simulator lacks it
gpu: Any = importlib.import_module(f"impls.cuda.{'simulated' if SIMULATED else 'ptx'}")
ALIGNED, at, device_function, kernel = gpu.ALIGNED, gpu.at, gpu.device_function, gpu.kernel


class Limits(NamedTuple):
    """What a device has, and how many threads are launched on it."""

    n_multiprocessors: int
    n_bytes: int  # of shared memory that a block may have
    copies: bool  # whether it copies to shared memory in the background: from compute capability 8.0 on
    n_threads: int = 512  # of a block that has a multiprocessor for itself; a power of two
    side: int = 16  # of the square of threads that share a tile of a matrix product


def limits() -> Limits:
    """The device that this process uses; in the simulator a small one, as each of its threads is one of Python's."""
    if SIMULATED:
        return Limits(1, 232_448, True, n_threads=32, side=2)
    device = cuda.get_current_device()
    capability = device.compute_capability
    return Limits(device.MULTIPROCESSOR_COUNT, device.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, capability[0] >= 8)


def launch(compiled: Any, n_blocks: int, n_threads: int, n_bytes: int, *arguments: Any) -> None:
    """Run a kernel and wait for it. n_bytes: of dynamic shared memory for each block, which may be all there is."""
    if not SIMULATED and n_bytes:
        # numba has no public way to allow more than 48 KiB (its issue 94).
        from numba.cuda.cudadrv.driver import binding, driver

        types_of_arguments = tuple(compiled.typeof_pyval(argument) for argument in arguments)
        function = compiled.compile(types_of_arguments)._codelibrary.get_cufunc()
        allowed = binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        driver.cuKernelSetAttribute(allowed, n_bytes, function.handle, function.device.id)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a launch of few blocks leaves much of the GPU idle
        configured = compiled[n_blocks, n_threads, 0, n_bytes]
    configured(*arguments)
    cuda.synchronize()


OF_CUDA = {"CudaDriverError", "CudaSupportError", "CUDAError"}  # what numba and NVIDIA's bindings raise


@contextlib.contextmanager
def named_errors() -> Iterator[None]:
    """Raise what CUDA reports in one line, as MemoryError or RuntimeError, with the remedy."""
    try:
        yield
    except Exception as error:
        if not OF_CUDA & {kind.__name__ for kind in type(error).__mro__}:
            raise
        text = " ".join(str(error).split())
        if "OUT_OF_MEMORY" in text:
            raise MemoryError(
                f"the GPU's memory is too small for these images and this network, or others use it: {text}; use "
                "fewer images or smaller batches, or end other programs on it"
            ) from error
        raise RuntimeError(f"the GPU failed: {text}; this process cannot use it any more, start another") from error
