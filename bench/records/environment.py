"""The machine and the software that made a result. Every field is filled, or says "unknown"."""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import platform
import secrets
import subprocess
from pathlib import Path
from typing import Any

import bench
import temporary
from bench.records.paths import shortened
from bench.timing import system, threads
from bench.timing.interleave import CACHES
from bench.timing.system import text_of

CPU = Path("/sys/devices/system/cpu/cpu0")
CPUINFO = Path("/proc/cpuinfo")
LIBRARIES = ("numpy", "scipy", "numba", "llvmlite", "matplotlib", "pytest-benchmark")
# Named where they are installed.
PEERS = ("torch", "jax", "jaxlib", "keras", "scikit-learn", "autograd", "array-api-compat", "cffi", "optax", "tinygrad")
BLAS = {"name": "internal_api", "version": "version", "architecture": "architecture"}  # as threadpoolctl calls them
# How variables begin that change which code the libraries run, on which threads, or how they use memory. Those of the
# number of threads are set for every process that measures; where compiled code is kept changes no time.
VARIABLES = (
    "ATEN_", "BLIS_", "CC", "CXX", "DNNL_", "GLIBC_TUNABLES", "GOMP_", "JAX_", "KMP_", "LD_PRELOAD", "MALLOC_", "MKL_",
    "NPROC", "NPY_", "NUMBA_", "OMP_", "ONEDNN_", "OPENBLAS_", "PJRT_", "PYTHONDEVMODE", "PYTHONMALLOC",
    "PYTHONOPTIMIZE", "PYTHON_GIL", "PYTHON_JIT", "PYTORCH_", "TORCH", "XLA_",
)  # fmt: skip
WITHOUT = (*threads.VARIABLES, *CACHES)
GPU = {  # as nvidia-smi calls them: what is recorded of each GPU
    "name": "name", "driver": "driver_version", "memory": "memory.total", "power limit": "power.limit",
    "clock": "clocks.max.sm", "ECC": "ecc.mode.current", "MIG": "mig.mode.current",
}  # fmt: skip
OF_GPUS = ("CUBLAS_", "CUDA_", "NVIDIA_TF32_OVERRIDE")  # how further variables begin that change what a GPU does
FOR_GPUS = ("cuda-", "cupy-", "jax-cuda", "numba-cuda", "nvidia-", "triton")  # and how names of its libraries do
ANSWER = 30.0  # seconds that nvidia-smi may take


def describe() -> dict[str, Any]:
    """Processor, cores, caches, system, versions, BLAS, numba's target, threads in force, commit; no host name.

    `cores` are those that this process can keep busy. `environment` has the variables that can change a time.
    """
    cpu = cpu_fields()
    return {
        "id": local_id(),
        "cpu": cpu.get("model name") or platform.processor() or "unknown",
        "cores": threads.cores(),
        "quota": system.quota() or "none",
        "topology": topology(threads.usable()),
        "caches": caches(),
        "governor": text_of(CPU / "cpufreq" / "scaling_governor"),  # how the frequency is chosen, e.g. "performance"
        "hypervisor": "unknown" if "flags" not in cpu else "yes" if "hypervisor" in cpu["flags"].split() else "no",
        "system": f"{platform.system()} {platform.release()}",
        **software(),
        "environment": settings(),
        "threads": threads.in_force(),
        "commit": commit(bench.ROOT),
    }


def software() -> dict[str, Any]:
    """Python, libraries, every BLAS, and the processor that numba compiles for, of this interpreter."""
    return {
        "python": platform.python_version(),
        "libraries": libraries(),
        "blas": blas(),
        "numba": numba_target(),
    }


def gpu() -> dict[str, Any]:
    """What a time on a GPU depends on: each GPU by nvidia-smi, the libraries for it, and the variables set for it.

    `gpus` is "unknown" where nvidia-smi is not there or fails.
    """
    command = ["nvidia-smi", f"--query-gpu={','.join(GPU.values())}", "--format=csv,noheader"]
    gpus: object = "unknown"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=ANSWER)
        lines = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
        gpus = [dict(zip(GPU, line, strict=False)) for line in lines] or "unknown"
    return {
        "gpus": gpus,
        "libraries": libraries_of_gpus(),
        "environment": {
            name: shortened(text) for name, text in sorted(threads.GIVEN.items()) if name.startswith(OF_GPUS)
        },
    }


def libraries_of_gpus() -> dict[str, str]:
    """Versions of the libraries for GPUs that are installed, by name."""
    found = importlib.metadata.distributions()
    installed = {one.name.lower().replace("_", "-"): one.version for one in found if one.name}
    return {name: installed[name] for name in sorted(installed) if name.startswith(FOR_GPUS)}


def local_id() -> str:
    """A random name for this machine, made at the first call and kept with the results; "unknown" if it cannot be.

    A full disk or a kill may leave the file empty; then the next call makes the name.
    """
    path = bench.RESULTS / "machine-id"
    if (known := text_of(path)) != "unknown":
        return known
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+", encoding="ascii") as file:
            with contextlib.suppress(OSError):  # there are no locks
                temporary.lock(file.fileno(), wait=True)  # for another run that makes it
            file.seek(0)
            if not file.read().strip():
                file.write(f"{secrets.token_hex(4)}\n")
    except OSError:
        return "unknown"
    return text_of(path)


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


def topology(cores: set[int]) -> str:
    """The cores that a process may run on, those of a physical core together, e.g. "2 physical cores: 0+4, 1+5"."""
    together = sorted({tuple(one for one in system.siblings(core) if one in cores) for core in cores})
    named = ", ".join("+".join(map(str, physical)) for physical in together)
    return f"{len(together)} physical core{'s' if len(together) > 1 else ''}: {named}"


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


def numba_target() -> dict[str, str]:
    """The processor that numba compiles for, and a hash of the features that it uses, unless told otherwise."""
    try:
        from llvmlite import binding  # numba's compiler, which it asks as well; importing numba would start threads

        host, of_host = binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    except (ImportError, OSError, RuntimeError):  # it is absent or broken, or does not know this processor
        return {"cpu": "unknown", "features": "unknown"}
    cpu = threads.GIVEN.get("NUMBA_CPU_NAME") or host
    features = threads.GIVEN.get("NUMBA_CPU_FEATURES") or ("" if cpu == "generic" else of_host)
    return {"cpu": cpu, "features": hashlib.sha256(features.encode()).hexdigest()[:12]}


def settings() -> dict[str, str]:
    """The variables of VARIABLES with which this process was started."""
    return {name: value for name, value in given(VARIABLES).items() if name not in WITHOUT}


def given(beginnings: tuple[str, ...]) -> dict[str, str]:
    """The variables with which this process was started whose names begin so, without folders in their values."""
    return {name: shortened(value) for name, value in sorted(threads.GIVEN.items()) if name.startswith(beginnings)}


@functools.cache  # what a process runs stays what it has imported
def commit(root: Path) -> str:
    """The git commit of this checkout, with "+changes" where the tree differs from it.

    "unknown" where there is no checkout: a folder inside the repository of something else has that one's commits.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, env=outside_git(), capture_output=True, text=True, check=True).stdout.strip()

    try:
        if git("rev-parse", "--show-prefix"):  # the way down from the repository's root
            return "unknown"
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def outside_git() -> dict[str, str]:
    """The environment without git's own variables, which in a hook of another repository lead git there."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
