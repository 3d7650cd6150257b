"""What a time depends on: case, data, the backend's source, the measuring code, libraries, threads, the machine.

Two measurements belong together only where this key is the same.
"""

import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import impls
from bench.lines import source_files

BENCH = Path(__file__).parent
IMPLS = Path(impls.__file__).parent
# What runs while the clock does, and what it is given.
MEASURING = (
    "campaign.py",
    "cases.py",
    "child.py",
    "clock.py",
    "cold.py",
    "measuring.py",
    "plans.py",
    "roofline.py",
    "threads.py",
    "turns.py",
)
# The same of a training, beside that.
TRAINING = ("quality.py", "recipes.py", "training.py", "trainings.py")
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

    case: `Case.described()`; sources: by entrant, see `source_of`; machine: `machine.describe()`.
    """
    return {
        "measure": measure,
        **case,
        "images": images,
        "threads": n_threads,
        "data_sha256": data_sha256,
        "backends": sources,
        "measuring": hash_of(BENCH / name for name in (*MEASURING, *(TRAINING if measure == "training" else ()))),
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
    except Exception:  # what is wrong with it is told where it is checked
        return "unknown"
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        raise impls.UnknownBackend(f"backend {backend!r}: its source, {module}, is not found")
    return hash_of([*source_files(Path(spec.origin)), IMPLS / "contract.py"])


def source_in(folder: Path) -> str:
    """A hash of all of `impls` in this folder, for another revision."""
    return hash_of(sorted((folder / "impls").rglob("*.py")))


def hash_of(files: Iterable[Path]) -> str:
    """One hash of the files' names and contents; twelve hexadecimal digits."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
