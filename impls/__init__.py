"""The implementations of one neural network, and their registry: `names`, `load`, `unavailable_reason`.

Listing imports no library; `load` imports one backend. Other packages add backends through the entry-point group
`digitbench.backends`, each a name and a module that fulfils `impls.contract.Backend`. `named` adds one in a file.

A name may end with a device, as in `torch:cuda`; without one a backend runs on the first of its devices, which is the
CPU for all but those written for a device alone. That of a backend with ranks may end with their number, `mpi_units:4`.
`keras:torch` and `keras:jax` are two names as they stand: Keras by itself computes with a library that is not among the
peers, so that there is no `keras` alone.
"""

import difflib
import functools
import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, cast

from impls import devices, files, interpreters, ranks

if TYPE_CHECKING:
    from impls.contract import Backend
    from impls.interpreters import Interpreter

ENTRY_POINTS = "digitbench.backends"


class Entry(NamedTuple):
    """Where a backend lives and which libraries it needs beyond the base installation."""

    module: str  # its dotted path, or the path of a file
    requires: tuple[str, ...] = ()
    extra: str = ""  # the optional dependency group that brings them
    fault: str = ""  # why it can never be loaded under this name, with the remedy
    devices: tuple[str, ...] = ("cpu",)  # on which it can run, the first where none is named; empty: its module says
    library: str = ""  # for which its module is loaded, where it is written for several and runs on none by itself
    ranks: int = 0  # of an MPI program: its processes, where no number follows its name


# In ladder order: from a loop over images to compiled kernels, each rung changes one thing of the one before.
BUILTIN = {
    "naive": Entry("impls.naive"),
    "vectorized": Entry("impls.vectorized"),
    "minibatch": Entry("impls.minibatch"),
    "numba": Entry("impls.numba_loops", requires=("numba",)),
    "numba_dense": Entry("impls.numba_dense", requires=("numba",)),
    "numba_sparse": Entry("impls.numba_sparse", requires=("numba",)),
    # Peers: the same network as users of other libraries write it.
    "graph": Entry("impls.graph"),
    "autograd": Entry("impls.autograd_numpy", requires=("autograd",), extra="light"),
    "c": Entry("impls.c", requires=("cffi",), extra="light"),
    "array_api": Entry(
        "impls.array_api", requires=("array_api_compat",), extra="light", devices=("cpu", "torch", "jax", "cupy")
    ),
    "scipy_sparse": Entry("impls.scipy_sparse", requires=("scipy",)),
    "sklearn": Entry("impls.sklearn_mlp", requires=("sklearn",), extra="peers"),
    "torch": Entry("impls.torch_autograd", requires=("torch",), extra="peers", devices=("cpu", "cuda")),
    "torch_compile": Entry("impls.torch_compile", requires=("torch",), extra="peers", devices=("cpu", "cuda")),
    "torch_manual": Entry("impls.torch_manual", requires=("torch",), extra="peers", devices=("cpu", "cuda")),
    "jax": Entry("impls.jax_scan", requires=("jax",), extra="peers", devices=("cpu", "cuda")),
    "optax": Entry("impls.optax_sgd", requires=("jax", "optax"), extra="peers"),
    "keras:torch": Entry("impls.keras_sequential", requires=("keras", "torch"), extra="peers", library="torch"),
    "keras:jax": Entry("impls.keras_sequential", requires=("keras", "jax"), extra="peers", library="jax"),
    # On several processes.
    "mpi_images": Entry("impls.mpi_images", requires=("mpi4py",), extra="cluster", ranks=2),
    "mpi_units": Entry("impls.mpi_units", requires=("mpi4py",), extra="cluster", ranks=2),
    # On a GPU.
    "cuda": Entry("impls.cuda", requires=("numba", "numba_cuda"), extra="cuda", devices=("cuda",)),
}
REFERENCE = "naive"
PARTS = ("NAME", "SUMMARY", "DTYPES", "BATCH_SIZE", "unsupported", "prepare", "outputs", "gradients", "train")


class UnknownBackend(ValueError):
    """No backend has this name, or what it names is no backend."""


class BackendUnavailable(RuntimeError):
    """A backend cannot be used here: a library is not installed, or its import fails; `reason` says why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"backend {name!r} {reason}")
        self.reason = reason


def entries() -> dict[str, Entry]:
    """All backends by name: the built-in ones in ladder order, those of other packages by name, those in files.

    An entry point whose name is taken is listed as `name (module)`, with a fault, so that it can be seen.
    """
    known = dict(BUILTIN)
    for name, module in of_packages(tuple(sys.path)):
        if name not in known:
            known[name] = Entry(module, devices=())
            continue
        kind = "built-in backend" if name in BUILTIN else "backend"
        fault = f"has the name of the {kind} {known[name].module}, expected one of its own; rename its entry point"
        known[f"{name} ({module})"] = Entry(module, fault=fault)
    return known | {name: Entry(str(path), devices=()) for name, path in files.known().items()}


@functools.cache
def of_packages(path: tuple[str, ...]) -> list[tuple[str, str]]:
    """The names and modules of the backends that packages on this path, `sys.path`, offer, sorted.

    The look at all that is installed takes milliseconds, and a command asks for names many times.
    """
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return sorted((point.name, point.value) for point in points)


def names() -> tuple[str, ...]:
    """Return the names of all backends, available or not."""
    return tuple(entries())


def named(text: str) -> str:
    """Return the name of the backend in a file, which is known from then on; anything but a path as it is.

    The path may end with a device, as in `my_network.py:cuda`. Raises UnknownBackend where it cannot be a backend.
    """
    path, colon, device = text.rpartition(":")
    if not (colon and path.endswith(files.SUFFIX)):
        path, colon, device = text, "", ""
    if not files.is_path(path):
        return text
    try:
        return files.add(path, entries().keys() - files.known().keys()) + colon + device
    except files.NoBackendFile as error:
        raise UnknownBackend(str(error)) from None


def parted(text: str) -> tuple[str, str]:
    """Return the name, or module's dotted path, in this text, and the device, or number of ranks, that it names.

    The latter is "" where it names none.
    """
    if ":" not in text or text in names():
        return text, ""
    name, _, device = text.rpartition(":")
    return name, device


def entry(text: str) -> Entry:
    """Return the entry of this name, with or without a device.

    Raises UnknownBackend, which suggests the nearest name, or says on which devices the backend can run.
    """
    name, _ = parted(text)
    known = BUILTIN if name in BUILTIN else entries()  # the former without a look at all installed packages
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownBackend(
            f"backend {name!r} is unknown: {hint}There are: {', '.join(known)}; or give a module's dotted path, "
            "or a file such as my_network.py"
        )
    found = known[name]
    if name != text and found.devices:
        check_device(text, found.devices, found.ranks > 0)
    return found


def check_device(text: str, of_backend: tuple[str, ...], has_ranks: bool = False) -> None:
    """Raise UnknownBackend for a name with a device on which its backend does not run, or runs anyway.

    Also for one with a number of ranks that it cannot have.
    """
    name, _, device = text.rpartition(":")
    if has_ranks:
        if not (device.isdecimal() and 1 <= int(device) <= ranks.most()):
            raise UnknownBackend(
                f"backend {text!r}: expected a number of ranks from 1 to {ranks.most()} after the colon, as in {name}:2"
            )
        return
    if device == of_backend[0]:
        raise UnknownBackend(f"backend {text!r}: {name} runs on {device} by itself; drop ':{device}'")
    if device not in of_backend:
        others = [one for one in of_backend[1:] if one]
        remedy = f"give {' or '.join(f'{name}:{one}' for one in others)}, or drop" if others else "drop"
        raise UnknownBackend(f"backend {text!r}: {name} runs on {' and '.join(of_backend)} alone; {remedy} ':{device}'")


def device_of(text: str) -> str:
    """Return the device that a backend of this name runs on, "cpu" also for what is no backend. Imports nothing."""
    name, device = parted(text)
    found = BUILTIN.get(name) or entries().get(name)
    named = device or (found.devices[0] if found and found.devices else "cpu")
    if named.isdecimal():  # of ranks
        return "cpu"
    return devices.LIBRARIES.get(named, named)


def ranks_of(text: str) -> int:
    """Return how many ranks a backend of this name has, 0 where it is no MPI program. Imports nothing."""
    name, number = parted(text)
    found = BUILTIN.get(name)
    return (int(number) if number.isdecimal() else found.ranks) if found and found.ranks else 0


def on_device(text: str, device: str) -> str:
    """Return the name of this backend on a device, where it can run there; else the same name."""
    name, named = parted(text)
    found = BUILTIN.get(name) or entries().get(name)
    return f"{name}:{device}" if not named and found and device in found.devices[1:] else text


def interpreter_of(name: str) -> "Interpreter | None":
    """Return the other interpreter in which this backend runs, see `impls.interpreters`; None: the one of this code."""
    return interpreters.of(name)


def unavailable_reason(name: str) -> str | None:
    """Return why this backend cannot be used here, with the remedy, or None if it can. Imports no library."""
    wanted = entry(name)
    if wanted.fault:
        return wanted.fault
    if interpreter_of(name) is not None:  # which was asked
        return None
    missing = [library for library in wanted.requires if importlib.util.find_spec(library) is None]
    if not missing and "numba" in wanted.requires and os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return "needs numba to compile, which NUMBA_DISABLE_JIT forbids; unset that variable"
    if not missing and "cffi" in wanted.requires and shutil.which(compiler := os.environ.get("CC", "cc")) is None:
        return f"needs a C compiler, and there is no {compiler}; install one, or name it in CC"
    if not missing and "keras" in wanted.requires and (other := library_of_keras()) not in ("", wanted.library):
        return (
            f"needs Keras on {wanted.library}, but Keras computes with {other} in this process, and cannot change; "
            f"use another process, with KERAS_BACKEND={wanted.library} if it imports Keras itself"
        )
    if not missing:
        return (ranks.why_unusable() if wanted.ranks else None) or devices.why_unusable(
            device_of(name), wanted.requires
        )
    target = f"'.[{wanted.extra}]'" if wanted.extra else "."
    return f"needs {', '.join(missing)}, not installed; `pip install -c constraints.txt {target}` brings it"


def library_of_keras() -> str:
    """Return the library that Keras computes with in this process; "" where it is not imported."""
    imported = sys.modules.get("keras")
    return str(imported.config.backend()) if imported else ""


def available() -> tuple[str, ...]:
    """Return the names of the backends that can be used here."""
    return tuple(name for name in names() if unavailable_reason(name) is None)


def load(name: str) -> "Backend":
    """Import one backend and return its module; on a device that its name names, a module of its own.

    Raises UnknownBackend, or BackendUnavailable where a library or the device is absent, the name is taken, or the
    import fails, for whatever reason. What is wrong with a file raises UnknownBackend.
    """
    reason = unavailable_reason(name)
    if reason is not None:
        raise BackendUnavailable(name, reason)
    wanted = entry(name)
    where = wanted.module
    try:
        module = import_module(where, parted(name)[1] or wanted.library)
    except (Exception, SystemExit) as error:  # also of a library that is there but broken
        if files.is_path(where):
            raise UnknownBackend(f"{Path(where).name} cannot be imported: {why(error)}") from error
        raise BackendUnavailable(name, f"cannot be imported: {why(error)}") from error
    if files.is_path(where):
        check_complete(Path(where).name, module)
    if files.is_path(where) or wanted.library:
        vars(module)["NAME"] = name  # also where a file was copied under another one
    return on_its_device(name, module)


def why(error: BaseException) -> str:
    """What an import raised, in one line, with the remedy where there is one."""
    message = " ".join(f"{type(error).__name__}: {error}".split())
    if "cannot cache function" in message:  # numba's, where it finds no folder to write to
        message += "; name a folder that can be written in NUMBA_CACHE_DIR"
    if isinstance(error, ModuleNotFoundError):
        message += "; install it in this environment"
    return message


def on_its_device(text: str, module: ModuleType) -> "Backend":
    """Return the module, under the name with the device. Raises UnknownBackend where it cannot run there."""
    if parted(text)[1]:
        check_device(text, tuple(getattr(module, "DEVICES", ("cpu",))), hasattr(module, "RANKS"))
        vars(module)["NAME"] = text
    return cast("Backend", module)


def import_module(path: str, device: str = "") -> ModuleType:
    """Import a backend's module, for this device if one is named; functions of numba are then kept on disk safely.

    path: its dotted path, or a file's.
    """
    if files.is_path(path):
        module = files.module_in(Path(path), device)
    else:
        module = devices.second_module(path, device) if device else importlib.import_module(path)
    if "numba" in sys.modules:
        from impls.numba_cache import make_safe

        make_safe()
    return module


def missing_parts(module: object) -> str:
    """The parts of a backend that a module lacks, separated by commas; empty if it has all."""
    return ", ".join(part for part in PARTS if not hasattr(module, part))


def check_complete(what: str, module: object) -> None:
    """Raise UnknownBackend where a module, called `what`, lacks a part of a backend."""
    if missing := missing_parts(module):
        raise UnknownBackend(f"{what} is no backend: expected {', '.join(PARTS)}; missing {missing}")


def check(text: str) -> None:
    """Raise UnknownBackend or BackendUnavailable for what is neither a usable backend nor a module. Imports neither."""
    if interpreter_of(text) is not None:  # which was asked
        return
    name, device = parted(text)
    package = name.partition(".")[0]
    if name not in names() and package and importlib.util.find_spec(package) is not None:
        if device and (reason := devices.why_unusable(device)):
            raise BackendUnavailable(text, reason)
        return  # an import will show what is wrong with the module
    reason = unavailable_reason(text)
    if reason is not None:
        raise BackendUnavailable(text, reason)


def find(text: str) -> "Backend":
    """Import and return the backend of this name or, if there is none, the module of this dotted path.

    Both may end with a device. Raises UnknownBackend if it is neither, if the module lacks a part of a backend, or if
    it cannot run on that device; BackendUnavailable as `load`.
    """
    path, device = parted(text)
    if path in BUILTIN or path in names():
        return load(text)
    try:
        module = import_module(path, device)
    except ModuleNotFoundError as error:
        if f"{path}.".startswith(f"{error.name}."):
            entry(path)  # raises UnknownBackend, which says what there is
        raise  # the module exists, but imports one that does not
    check_complete(f"module {path!r}", module)
    return on_its_device(text, module)
