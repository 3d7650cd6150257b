"""A device besides the CPU: which one a backend computes on, and waiting until it has done what it was given.

A library returns before its GPU is done, and a GPU goes on while the process that started it is stopped. So the clock
of a backend waits for its device before it stops, whatever library started the work: through NVIDIA's driver, in the
one context that all libraries of a process share.
"""

import ctypes
import functools
import sys
import time
from collections.abc import Callable

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
RAMP = 0.5  # seconds of calls in which an idle GPU raises its clock rate


def device_of(backend: object) -> str:
    """Return the name of the device on which this backend's module computes; "cpu" also for what is no backend."""
    return str(getattr(backend, "DEVICE", "cpu"))


def drain_of(backend: object) -> Callable[[], None]:
    """Return the function that waits for this backend's device."""
    return wait_for_gpu if device_of(backend) == "cuda" else nothing


def nothing() -> None:
    """A CPU has done its work when a call returns."""


def wait_for_gpu() -> None:
    """Return once the first GPU of this process is idle. Raises RuntimeError where it failed, or is lost."""
    driver, context = first_gpu()
    previous = ctypes.c_void_p()
    call(driver, "cuCtxPushCurrent_v2", context)
    try:
        call(driver, "cuCtxSynchronize")
    finally:
        driver.cuCtxPopCurrent_v2(ctypes.byref(previous))


@functools.cache
def first_gpu() -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    """The driver, and the context that the libraries use on the first GPU; made here if none has done so yet."""
    driver, number, context = ctypes.CDLL(DRIVER), ctypes.c_int(), ctypes.c_void_p()
    call(driver, "cuInit", 0)
    call(driver, "cuDeviceGet", ctypes.byref(number), 0)
    call(driver, "cuDevicePrimaryCtxRetain", ctypes.byref(context), number)
    return driver, context


def call(driver: ctypes.CDLL, name: str, *arguments: object) -> None:
    """Call a function of the driver. Raises RuntimeError with what the driver says of an error."""
    if error := getattr(driver, name)(*arguments):
        said = ctypes.c_char_p()
        driver.cuGetErrorString(error, ctypes.byref(said))
        raise RuntimeError(f"the GPU failed: {(said.value or b'unknown error').decode(errors='replace')} ({name})")


def warm_up(backend: object, work: Callable[[], object]) -> None:
    """Do this work of a backend for RAMP seconds, so that its device is at the rate that it keeps; nothing on a CPU."""
    begin, drain = time.monotonic(), drain_of(backend)
    while device_of(backend) != "cpu" and time.monotonic() < begin + RAMP:
        work()
        drain()
