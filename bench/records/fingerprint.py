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
from bench.timing.source import source_files, sources_in
from bench.timing.worker import FLOOR

IMPLS = Path(impls.__file__).parent
MEASURING = ("timing", "workloads")  # rooms of bench/: what runs while the clock does, and what it is given
TRAINING = (*MEASURING, "training")  # the same for a training
OF_MACHINE = (  # of its description
    "id", "cpu", "cores", "quota", "topology", "system", "python", "libraries", "blas", "numba", "environment",
)  # fmt: skip
OF_SOME_BACKENDS = ("gpu", "interpreters")  # the same, where a backend runs on a GPU, or in another interpreter


def key(measured: dict[str, Any], sources: dict[str, str], data_sha256: str, machine: dict[str, Any]) -> dict[str, Any]:
    """The key of a measurement, for JSON. A new file in a room of the measuring code counts without being listed.

    measured: `measure`, all of `Recipe.described()`, `images` and `threads`; sources: see `sources_of`; machine:
    `environment.describe()`.
    """
    rooms = TRAINING if measured["measure"] == "training" else MEASURING
    parts = [*OF_MACHINE, *(part for part in OF_SOME_BACKENDS if part in machine)]
    return {
        **measured,
        "data_sha256": data_sha256,
        "backends": sources,
        "measuring": measuring(rooms),
        "machine": {part: machine[part] for part in parts},
    }


def measuring(rooms: Iterable[str]) -> str:
    """A hash of all sources in these rooms of bench/."""
    folder = bench.ROOT / "bench"
    return hash_of(folder, (path for room in rooms for path in (folder / room).rglob("*.py")))


def sources_of(participants: dict[str, str]) -> dict[str, str]:
    """The hash of each participant's source, except the floor's. participants: their backends, by name."""
    return {name: source_of(backend) for name, backend in participants.items() if backend != FLOOR}


def source_of(backend: str) -> str:
    """A hash of the backend's source: its file or package, the contract, and what starts ranks, if it has some.

    It is the same on every device, and for every number of ranks.

    Nothing is imported but the packages around it; "unknown" where that fails. Raises UnknownBackend where there is no
    such module.
    """
    ours = [IMPLS / "contract.py"]
    try:
        entry = impls.entry(backend)
        module, ours = entry.module, [*ours, IMPLS / "ranks.py"] if entry.ranks else ours
    except impls.UnknownBackend:
        module, _ = impls.parted(backend)  # a module's dotted path
    if impls.files.is_path(module):
        return hash_of(Path(module).parent, [Path(module), *ours])
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    except Exception:  # the agreement check reports what is wrong with it
        return "unknown"
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        raise impls.UnknownBackend(f"backend {backend!r}: its source, {module}, is not found")
    origin = Path(spec.origin)
    return hash_of(origin.parent, [*source_files(origin), *ours])


def source_in(folder: Path) -> str:
    """A hash of all of `impls` in this folder, for another revision."""
    return hash_of(folder / "impls", sources_in(folder / "impls"))


def hash_of(folder: Path, paths: Iterable[Path]) -> str:
    """One hash of these files' paths below the folder and their contents; twelve hexadecimal digits."""
    digest = hashlib.sha256()
    named = {path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name: path for path in paths}
    for name, path in sorted(named.items()):
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
