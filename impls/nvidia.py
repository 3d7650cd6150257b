"""Whether this machine has an NVIDIA GPU that can be used, asked of its driver alone: no library is imported."""

import ctypes
import functools
import os
import sys

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


@functools.cache
def no_gpu() -> str | None:
    """Return why no GPU can be used here, in words that follow a backend's name; None if one can.

    Without a driver this takes microseconds; with one, a fraction of a second, once in a process.
    """
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0":
        return "needs an NVIDIA GPU, which NUMBA_ENABLE_CUDASIM has numba simulate, for tests; unset that variable"
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return f"needs an NVIDIA GPU; its driver ({DRIVER}) is not installed here"
    count = ctypes.c_int()
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if code or not count.value:
        return f"needs an NVIDIA GPU; the driver finds none: {name_of(driver, code)}; see `nvidia-smi`"
    return None


def name_of(driver: ctypes.CDLL, code: int) -> str:
    """What the driver calls an error."""
    if not code:
        return "0 devices, as CUDA_VISIBLE_DEVICES may say"
    name = ctypes.c_char_p()
    driver.cuGetErrorName(code, ctypes.byref(name))
    return (name.value or b"error %d" % code).decode()
