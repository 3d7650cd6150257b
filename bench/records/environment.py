"""The machine and the software that made a result. Every field is filled, or says "unknown"."""

import importlib.metadata
import platform
import secrets
import subprocess
from pathlib import Path
from typing import Any

import bench
from bench import ROOT
from bench.timing import threads
from bench.timing.noise import text_of

CPU = Path("/sys/devices/system/cpu/cpu0")
LIBRARIES = ("numpy", "scipy", "numba", "llvmlite", "matplotlib", "pytest-benchmark")
PEERS = ("torch", "jax", "jaxlib", "scikit-learn")  # named where they are installed


def describe() -> dict[str, Any]:
    """CPU, cores, caches, operating system, library versions, BLAS and its threads in force, commit; no host name."""
    return {
        "id": local_id(),
        "cpu": cpu_model(),
        "cores": threads.cores(),
        "caches": caches(),
        "governor": governor(),
        "hypervisor": hypervisor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": libraries(),
        "blas": blas(),
        "threads": threads.in_force(),
        "commit": commit(),
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


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    for line in text_of(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def caches(root: Path = CPU) -> str:
    """What the first core has, e.g. "L1d 48K, L1i 32K, L2 2048K, L3 107520K"."""
    found = []
    for index in sorted(root.glob("cache/index*")):
        level, kind, size = (text_of(index / part) for part in ("level", "type", "size"))
        letter = {"Data": "d", "Instruction": "i"}.get(kind, "")
        found.append(f"L{level}{letter} {size}")
    return ", ".join(found) or "unknown"


def governor(root: Path = CPU) -> str:
    """How the first core's frequency is chosen, e.g. "performance"."""
    return text_of(root / "cpufreq" / "scaling_governor")


def hypervisor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Whether this is a virtual machine: "yes" or "no"."""
    flags = [line for line in text_of(cpuinfo).splitlines() if line.startswith("flags")]
    return ("yes" if "hypervisor" in flags[0].split() else "no") if flags else "unknown"


def libraries() -> dict[str, str]:
    """Versions by library: of all that the suite needs, and of others that are installed."""
    found = {library: version(library) for library in (*LIBRARIES, *PEERS)}
    return {library: said for library, said in found.items() if library in LIBRARIES or said != "unknown"}


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
    found = [
        {
            "name": str(pool["internal_api"]),
            "version": str(pool.get("version") or "unknown"),
            "architecture": str(pool.get("architecture") or "unknown"),
        }
        for pool in pools
    ]
    # In an order of their own: that of threadpoolctl differs from process to process.
    return sorted(found, key=lambda library: sorted(library.items())) or [
        {"name": "unknown", "version": "unknown", "architecture": "unknown"}
    ]


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
