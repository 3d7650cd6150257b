"""The threads of the numerical libraries: requested before the libraries are imported, read back afterwards."""

import os
import sys

from bench import UserError
from bench.timing import system

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMBA_NUM_THREADS")
# With one of these, OpenMP binds the thread that loads it to one core, and so everything that this thread then starts.
BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "KMP_HW_SUBSET")
# The environment of this process before any library adds to it: this module is imported before them.
GIVEN = dict(os.environ)


def usable() -> set[int]:
    """Return the numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def cores() -> int:
    """Return the number of cores that this process can keep busy: those it may run on, or fewer under a CPU quota.

    A quota of 2.5 cores makes it two: with a third thread, all would be halted again and again.
    """
    quota = system.quota()
    return len(usable()) if quota is None else max(1, min(len(usable()), int(quota)))


def limit() -> str | None:
    """Return how a CPU quota bounds the threads, in words; None where it does not."""
    quota = system.quota()
    if quota is None or quota >= len(usable()):
        return None
    return f"a CPU quota allows {quota:g} of its {len(usable())}"


def check(threads: int) -> None:
    """Raise UserError for a count that is not positive or above `cores()`."""
    if not 1 <= threads <= cores():
        quota = f"; {limit()}" if limit() else ""
        raise UserError(f"{threads} threads: expected 1 to {cores()}, the cores that this process may use{quota}")


def release() -> list[str]:
    """Remove the variables that bind threads to cores, before OpenMP reads them; return those that were set.

    The cores of a process are set here and by the system's own means (taskset, containers), which every library obeys.
    """
    there = [name for name in BINDING if name in os.environ]
    for name in there:
        del os.environ[name]
    return there


def request(threads: int) -> None:
    """Set the variables that tell the libraries how many threads to use; each reads them once, when it is imported.

    Raises UserError as `check` does, RuntimeError if NumPy is already imported.
    """
    check(threads)
    if "numpy" in sys.modules:
        raise RuntimeError("threads must be requested before numpy is imported")
    os.environ |= dict.fromkeys(VARIABLES, str(threads))


def keep_to(n_cores: int) -> None:
    """Restrict this process to n_cores of its cores, of as many physical cores as there are. Only on Linux."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, system.one_of_each_first(usable())[:n_cores])


def begin_on_first_core() -> None:
    """Move this thread to the first of its cores, then let the scheduler move it. Does nothing where it is not Linux.

    On a machine that others share, cores are not equally fast: calls that start on the same one scatter less.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cores)})
        os.sched_setaffinity(0, cores)


def in_force() -> dict[str, int]:
    """Return the number of threads of every pool that is loaded, read back from it, e.g. {"openblas (numpy)": 2}."""
    from threadpoolctl import threadpool_info

    pools: dict[str, int] = {}
    for pool in threadpool_info():
        owner = next((name for name in ("numpy", "scipy") if f"{name}.libs" in pool["filepath"]), "other")
        pools[f"{pool['internal_api']} ({owner})"] = int(pool["num_threads"])
    for library in ("numba", "torch"):
        if library in sys.modules:
            pools[library] = int(sys.modules[library].get_num_threads())
    if "jax" in sys.modules:
        # It does not report its threads: one per core of the process, or as many as one of these variables says.
        asked = (os.environ.get(name, "") for name in ("PJRT_NPROC", "NPROC"))
        pools["jax"] = next((int(n) for n in asked if n.isdecimal() and int(n)), len(usable()))
    return pools
