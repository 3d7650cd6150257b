"""The threads of the numerical libraries: requested before the libraries are imported, read back afterwards."""

import os
import sys

from bench import UserError

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMBA_NUM_THREADS")


def cores() -> int:
    """Return the number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check(threads: int) -> None:
    """Raise UserError for a count that is not positive or above `cores()`."""
    if not 1 <= threads <= cores():
        raise UserError(f"{threads} threads: expected 1 to {cores()}, the cores that this process may use")


def request(threads: int) -> None:
    """Set the variables that tell the libraries how many threads to use; each reads them once, when it is imported.

    Raises UserError as `check` does, RuntimeError if NumPy is already imported.
    """
    check(threads)
    if "numpy" in sys.modules:
        raise RuntimeError("threads must be requested before numpy is imported")
    os.environ |= dict.fromkeys(VARIABLES, str(threads))


def keep_to(n_cores: int) -> None:
    """Restrict this process to the first n_cores of its cores. Does nothing where the system is not Linux."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_cores])


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
        pools["jax"] = cores()  # it reads no variable, starts a thread per core, and does not report it
    return pools
