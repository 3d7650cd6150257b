"""The implementations of one neural network, and their registry: `names`, `load`, `unavailable_reason`.

Listing imports no library; `load` imports one backend. Other packages add backends through the entry-point group
`digitbench.backends`, each a name and a module that fulfils `impls.contract.Backend`.
"""

import difflib
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from impls.contract import Backend

ENTRY_POINTS = "digitbench.backends"


class Entry(NamedTuple):
    """Where a backend lives and which libraries it needs beyond the base installation."""

    module: str
    requires: tuple[str, ...] = ()
    extra: str = ""  # the optional dependency group that brings them
    gpu: bool = False  # whether it needs one of NVIDIA's
    fault: str = ""  # why it can never be loaded under this name, with the remedy


# In ladder order: from a loop over images to compiled kernels, each rung changes one thing of the one before.
BUILTIN = {
    "naive": Entry("impls.naive"),
    "vectorized": Entry("impls.vectorized"),
    "minibatch": Entry("impls.minibatch"),
    "numba": Entry("impls.numba_loops", requires=("numba",)),
    "numba_dense": Entry("impls.numba_dense", requires=("numba",)),
    "numba_sparse": Entry("impls.numba_sparse", requires=("numba",)),
    # Peers: the same network as users of other libraries write it.
    "scipy_sparse": Entry("impls.scipy_sparse", requires=("scipy",)),
    "sklearn": Entry("impls.sklearn_mlp", requires=("sklearn",), extra="peers"),
    "torch": Entry("impls.torch_autograd", requires=("torch",), extra="peers"),
    "torch_compile": Entry("impls.torch_compile", requires=("torch",), extra="peers"),
    "torch_manual": Entry("impls.torch_manual", requires=("torch",), extra="peers"),
    "jax": Entry("impls.jax_scan", requires=("jax",), extra="peers"),
    # On a GPU.
    "cuda": Entry("impls.cuda", requires=("numba", "numba_cuda"), extra="cuda", gpu=True),
}
REFERENCE = "naive"
PARTS = ("NAME", "SUMMARY", "DTYPES", "BATCH_SIZE", "unsupported", "prepare", "outputs", "gradients", "train")


class UnknownBackend(ValueError):
    """No backend has this name."""


class BackendUnavailable(RuntimeError):
    """A backend cannot be used here: a library is not installed, or its import fails; `reason` says why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"backend {name!r} {reason}")
        self.reason = reason


def entries() -> dict[str, Entry]:
    """All backends by name: the built-in ones in ladder order, then those of other packages by name.

    An entry point whose name is taken is listed as `name (module)`, with a fault, so that it can be seen.
    """
    known = dict(BUILTIN)
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    for name, module in sorted((point.name, point.value) for point in points):
        if name not in known:
            known[name] = Entry(module)
            continue
        kind = "built-in backend" if name in BUILTIN else "backend"
        fault = f"has the name of the {kind} {known[name].module}, expected one of its own; rename its entry point"
        known[f"{name} ({module})"] = Entry(module, fault=fault)
    return known


def names() -> tuple[str, ...]:
    """Return the names of all backends, available or not."""
    return tuple(entries())


def entry(name: str) -> Entry:
    """Return the entry of this name. Raises UnknownBackend, which suggests the nearest name."""
    if name in BUILTIN:  # without a look at all installed packages
        return BUILTIN[name]
    known = entries()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownBackend(
            f"backend {name!r} is unknown: {hint}There are: {', '.join(known)}; or give a module's dotted path"
        )
    return known[name]


def unavailable_reason(name: str) -> str | None:
    """Return why this backend cannot be used here, with the remedy, or None if it can. Imports no library."""
    wanted = entry(name)
    if wanted.fault:
        return wanted.fault
    missing = [library for library in wanted.requires if importlib.util.find_spec(library) is None]
    if not missing and "numba" in wanted.requires and os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return "needs numba to compile, which NUMBA_DISABLE_JIT forbids; unset that variable"
    if not missing and wanted.gpu:
        from impls.nvidia import no_gpu

        return no_gpu()
    if not missing:
        return None
    target = f"'.[{wanted.extra}]'" if wanted.extra else "."
    return f"needs {', '.join(missing)}, not installed; `pip install -c constraints.txt {target}` brings it"


def available() -> tuple[str, ...]:
    """Return the names of the backends that can be used here."""
    return tuple(name for name in names() if unavailable_reason(name) is None)


def load(name: str) -> "Backend":
    """Import one backend and return its module.

    Raises UnknownBackend, or BackendUnavailable where a library is absent, the name is taken, or the import fails, for
    whatever reason.
    """
    reason = unavailable_reason(name)
    if reason is not None:
        raise BackendUnavailable(name, reason)
    try:
        module = import_module(entry(name).module)
    except (Exception, SystemExit) as error:  # also of a library that is there but broken
        raise BackendUnavailable(name, f"cannot be imported: {why(error)}") from error
    return cast("Backend", module)


def why(error: BaseException) -> str:
    """What an import raised, in one line, with the remedy where there is one."""
    message = " ".join(f"{type(error).__name__}: {error}".split())
    if "cannot cache function" in message:  # numba's, where it finds no folder to write to
        message += "; name a folder that can be written in NUMBA_CACHE_DIR"
    return message


def import_module(path: str) -> ModuleType:
    """Import a backend's module; if it has imported numba, its compiled functions are kept on disk safely."""
    module = importlib.import_module(path)
    if "numba" in sys.modules:
        from impls.numba_cache import make_safe

        make_safe()
    return module


def missing_parts(module: object) -> str:
    """The parts of a backend that a module lacks, separated by commas; empty if it has all."""
    return ", ".join(part for part in PARTS if not hasattr(module, part))


def check(text: str) -> None:
    """Raise UnknownBackend or BackendUnavailable for what is neither a usable backend nor a module. Imports neither."""
    package = text.partition(".")[0]
    if text not in names() and package and importlib.util.find_spec(package) is not None:
        return  # an import will show what is wrong with the module
    reason = unavailable_reason(text)
    if reason is not None:
        raise BackendUnavailable(text, reason)


def find(text: str) -> "Backend":
    """Import and return the backend of this name or, if there is none, the module of this dotted path.

    Raises UnknownBackend if it is neither, or if the module lacks a part of a backend; BackendUnavailable as `load`.
    """
    if text in BUILTIN or text in names():
        return load(text)
    try:
        module = import_module(text)
    except ModuleNotFoundError as error:
        if not f"{text}.".startswith(f"{error.name}."):  # the module exists, but imports one that does not
            raise
        raise UnknownBackend(
            f"{text!r} is neither a backend ({', '.join(names())}) nor a module that can be imported"
        ) from None
    if missing := missing_parts(module):
        raise UnknownBackend(f"module {text!r} is no backend: expected {', '.join(PARTS)}; missing {missing}")
    return cast("Backend", module)
