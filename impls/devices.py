"""Devices besides the CPU: whether one can be used here, and a backend's module a second time, for a device.

A module that can run on a device has the constants `DEVICES`, such as ("cpu", "cuda"), and `DEVICE`, the first of them,
which its functions read when they are called. The only device so far is `cuda`, a GPU by NVIDIA. Nothing here imports a
library, or makes a GPU do something.

A module that can run on the arrays of several libraries, `array_api`, names them in `DEVICES` like devices; `LIBRARY`
is then the one that it is loaded for. One that is an MPI program has `RANKS`, the number of its processes, which a
number in place of a device sets; see `impls.ranks`.
"""

import ctypes
import functools
import importlib.util
import os
import pkgutil
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

KNOWN = ("cuda",)
LIBRARIES = {"torch": "cpu", "jax": "cpu", "cupy": "cuda"}  # for which a file may be loaded in the same way, and where
DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def second_module(path: str, device: str) -> ModuleType:
    """Execute the module of this dotted path as one of its own, whose `DEVICE` is this one; the next time, return it.

    So a backend on the CPU and the same on a device can live in one process. Raises ModuleNotFoundError where there is
    no such module, and whatever its import raises.
    """
    name = f"{path}_on_{device}"  # no colon, which compilers may not take in a name that they write into code
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.find_spec(path)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"No module named {path!r}", name=path)
    return executed(name, Path(found.origin), device, found.submodule_search_locations)


def executed(name: str, origin: Path, device: str = "", folders: list[str] | None = None) -> ModuleType:
    """Execute a source file as the module of this name; the next time, return it. Raises whatever its import raises.

    device: what its `DEVICE` is then, if one is named. folders: of the submodules of a package.
    """
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, origin, submodule_search_locations=folders)
    assert spec is not None, origin
    assert spec.loader is not None, origin
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as an import does: classes look up the module in which they are made
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    if device.isdecimal():
        vars(module)["RANKS"] = int(device)
    elif device:
        vars(module)["DEVICE"] = LIBRARIES.get(device, device)
    if device in LIBRARIES:
        vars(module)["LIBRARY"] = device
    return module


def why_unusable(device: str, libraries: Sequence[str] = ()) -> str | None:
    """Return why these libraries, which are installed, cannot use this device here, with the remedy; else None."""
    if device == "cpu" or device.isdecimal():
        return None
    if device in LIBRARIES:
        if importlib.util.find_spec(device) is None:
            return f"needs {device}, which is not installed; see the extra `peers`, or install it for your GPU"
        return why_unusable(LIBRARIES[device])
    if device not in KNOWN:
        return f"needs a device {device!r}, which is unknown; expected {', '.join(KNOWN)}"
    reasons = (REASONS[library]() for library in libraries if library in REASONS)
    return why_no_gpu() or next((reason for reason in reasons if reason), None)


@functools.cache
def why_no_gpu() -> str | None:
    """Return why there is no GPU of NVIDIA that a process can use, with the remedy; None where there is one."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return (
            f"needs a GPU and NVIDIA's driver, and there is no {DRIVER}; install the driver, "
            "or start the container with its GPUs"
        )
    text, count = ctypes.c_char_p(), ctypes.c_int(0)
    error = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if error:
        driver.cuGetErrorString(error, ctypes.byref(text))
        said = (text.value or b"no reason").decode(errors="replace")
        return f"needs a GPU, and NVIDIA's driver finds none that works ({said}); see what `nvidia-smi` says"
    return None if count.value else "needs a GPU, and NVIDIA's driver finds none; see CUDA_VISIBLE_DEVICES"


def torch_built_without() -> str | None:
    """Why the installed PyTorch can use no GPU; None where it can."""
    version = folder_of("torch") / "version.py"  # constants, which import nothing
    if version.is_file() and runpy.run_path(str(version)).get("cuda") is None:
        return "needs PyTorch with CUDA, and this one is built without; install one that is built with it"
    return None


def jax_built_without() -> str | None:
    """Why the installed JAX can use no GPU; None where it can."""
    plugins = importlib.util.find_spec("jax_plugins")
    places = (plugins.submodule_search_locations if plugins else None) or []
    if any(name.startswith("xla_cuda") for _, name, _ in pkgutil.iter_modules(places)):
        return None
    return (
        "needs JAX's plugin for CUDA, which is not installed; `pip install -c constraints.txt 'jax[cuda13]'` brings it"
    )


def numba_simulates() -> str | None:
    """Why numba.cuda uses no GPU although there may be one; None where it does."""
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0":
        return "needs a GPU, which NUMBA_ENABLE_CUDASIM has numba simulate, for tests; unset that variable"
    return None


def folder_of(library: str) -> Path:
    """The folder of an installed library."""
    spec = importlib.util.find_spec(library)
    return Path(spec.origin).parent if spec and spec.origin else Path()


REASONS: dict[str, Callable[[], str | None]] = {
    "torch": torch_built_without,
    "jax": jax_built_without,
    "numba_cuda": numba_simulates,
}
