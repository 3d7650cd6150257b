"""The machine and the software that made a result. Every field is filled, or says "unknown"."""

import contextlib
import functools
import importlib.metadata
import platform
import secrets
import subprocess
from pathlib import Path
from typing import Any

import bench
from bench.timing import threads
from bench.timing.clock import text_of

CPU = Path("/sys/devices/system/cpu/cpu0")
CPUINFO = Path("/proc/cpuinfo")
LIBRARIES = ("numpy", "scipy", "numba", "llvmlite", "matplotlib", "pytest-benchmark")
PEERS = ("torch", "jax", "jaxlib", "scikit-learn")  # named where they are installed
BLAS = {"name": "internal_api", "version": "version", "architecture": "architecture"}  # as threadpoolctl calls them


def describe() -> dict[str, Any]:
    """CPU, cores, caches, operating system, library versions, BLAS and its threads in force, commit; no host name."""
    cpu = cpu_fields()
    return {
        "id": local_id(),
        "cpu": cpu.get("model name") or platform.processor() or "unknown",
        "cores": threads.cores(),
        "caches": caches(),
        "governor": text_of(CPU / "cpufreq" / "scaling_governor"),  # how the frequency is chosen, e.g. "performance"
        "hypervisor": "unknown" if "flags" not in cpu else "yes" if "hypervisor" in cpu["flags"].split() else "no",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": libraries(),
        "blas": blas(),
        "threads": threads.in_force(),
        "commit": commit(bench.ROOT),
    }


def local_id() -> str:
    """A random name for this machine, made at the first call and kept with the results; "unknown" if it cannot be."""
    path = bench.RESULTS / "machine-id"
    try:
        if not path.exists():
            bench.RESULTS.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{secrets.token_hex(4)}\n")
        return path.read_text().strip()
    except OSError:
        return "unknown"


def cpu_fields() -> dict[str, str]:
    """What Linux says of the first core's processor, by name; empty elsewhere."""
    first_core = text_of(CPUINFO).partition("\n\n")[0]
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first_core.splitlines())}


def caches() -> str:
    """The caches of the first core, e.g. "L1d 48K, L1i 32K, L2 2048K, L3 107520K"."""
    described = []
    for index in sorted(CPU.glob("cache/index*")):
        level, kind, size = (text_of(index / part) for part in ("level", "type", "size"))
        letter = {"Data": "d", "Instruction": "i"}.get(kind, "")
        described.append(f"L{level}{letter} {size}")
    return ", ".join(described) or "unknown"


def libraries() -> dict[str, str]:
    """Versions by library: of all that the suite needs, and of others that are installed."""
    versions = dict.fromkeys(LIBRARIES, "unknown")
    for library in (*LIBRARIES, *PEERS):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[library] = importlib.metadata.version(library)
    return versions


def blas() -> list[dict[str, str]]:
    """Every BLAS that is loaded now: its name, version and the kernels it chose for this processor."""
    import numpy  # noqa: F401 (brings its BLAS)
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    loaded = [{part: str(pool.get(name) or "unknown") for part, name in BLAS.items()} for pool in pools]
    # In an order of their own: that of threadpoolctl differs from process to process.
    return sorted(loaded, key=lambda library: sorted(library.items())) or [dict.fromkeys(BLAS, "unknown")]


@functools.cache  # what a process runs stays what it has imported
def commit(root: Path) -> str:
    """The git commit of this checkout, with "+changes" where the tree differs from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
