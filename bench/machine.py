"""The machine and the software that made a result. Every field is filled, or says "unknown"."""

import importlib.metadata
import platform
import secrets
import subprocess
from pathlib import Path
from typing import Any

from bench import threads
from bench.results import FOLDER

ROOT = Path(__file__).parent.parent
LIBRARIES = ("numpy", "scipy", "numba", "matplotlib", "pytest-benchmark")


def describe() -> dict[str, Any]:
    """CPU, cores, operating system, library versions, BLAS and its threads in force, commit; no host name."""
    return {
        "id": local_id(),
        "cpu": cpu_model(),
        "cores": threads.cores(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in LIBRARIES},
        "blas": blas(),
        "threads": threads.in_force(),
        "commit": commit(),
    }


def local_id() -> str:
    """A random name for this machine, made at the first call and kept beside the results; "unknown" if it cannot be."""
    path = FOLDER / "machine-id"
    try:
        if not path.exists():
            FOLDER.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{secrets.token_hex(4)}\n")
        return path.read_text().strip()
    except OSError:
        return "unknown"


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def version(library: str) -> str:
    """The installed version of a library."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def blas() -> list[dict[str, str]]:
    """Every BLAS that is loaded now: its name, version and the kernels it chose for this processor."""
    import numpy  # noqa: F401 (brings its BLAS)
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return [
        {
            "name": str(pool["internal_api"]),
            "version": str(pool.get("version") or "unknown"),
            "architecture": str(pool.get("architecture") or "unknown"),
        }
        for pool in pools
    ] or [{"name": "unknown", "version": "unknown", "architecture": "unknown"}]


def commit() -> str:
    """The git commit of this checkout, with "+changes" where the tree differs from it."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
