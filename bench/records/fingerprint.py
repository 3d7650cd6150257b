"""What a time depends on: case, data, the backend's source, the measuring code, libraries, threads, the machine.

Two measurements belong together only where this key is the same.
"""

import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bench
import impls
from bench.timing.source import source_files

IMPLS = Path(impls.__file__).parent
MEASURING = ("timing", "workloads")  # rooms of bench/: what runs while the clock does, and what it is given
TRAINING = (*MEASURING, "training")  # the same of a training
OF_MACHINE = ("id", "cpu", "cores", "system", "python", "libraries", "blas")  # of its description


def key(
    case: dict[str, Any],
    measure: str,
    images: int,
    n_threads: int,
    sources: dict[str, str],
    data_sha256: str,
    machine: dict[str, Any],
) -> dict[str, Any]:
    """The key of a measurement, for JSON.

    case: `Recipe.described()`; sources: by participant, see `source_of`; machine: `environment.describe()`.
    """
    return {
        "measure": measure,
        **case,
        "images": images,
        "threads": n_threads,
        "data_sha256": data_sha256,
        "backends": sources,
        "measuring": hash_of_rooms(*(TRAINING if measure == "training" else MEASURING)),
        "machine": {part: machine[part] for part in OF_MACHINE},
    }


def source_of(backend: str) -> str:
    """A hash of the backend's source: its module, or package, and the contract. Its module is not imported.

    "unknown" where the package around it cannot be. Raises UnknownBackend.
    """
    try:
        module = impls.entry(backend).module
    except impls.UnknownBackend:
        module = backend  # a module's dotted path
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    except Exception:  # the agreement check reports what is wrong with it
        return "unknown"
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        raise impls.UnknownBackend(f"backend {backend!r}: its source, {module}, is not found")
    origin = Path(spec.origin)
    return hash_of(origin.parent, [*source_files(origin), IMPLS / "contract.py"])


def source_in(folder: Path) -> str:
    """A hash of all of `impls` in this folder, for another revision."""
    return hash_of(folder / "impls", (folder / "impls").rglob("*.py"))


def hash_of_rooms(*rooms: str) -> str:
    """A hash of all code in these folders of bench/: a new file in one of them counts without being listed."""
    folder = bench.ROOT / "bench"
    return hash_of(folder, (path for room in rooms for path in (folder / room).rglob("*.py")))


def hash_of(folder: Path, files: Iterable[Path]) -> str:
    """One hash of the files' paths below the folder and their contents; twelve hexadecimal digits."""
    digest = hashlib.sha256()
    named = {path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name: path for path in files}
    for name, path in sorted(named.items()):
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
