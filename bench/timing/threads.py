"""How many threads the numerical libraries may use: asked for before they are imported, read back afterwards."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping

from bench import UserError

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMBA_NUM_THREADS")


def cores() -> int:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def request(threads: int, environment: MutableMapping[str, str] = os.environ) -> None:
    """Ask the libraries for this many threads. They read these variables once, when they are imported.

    Raises UserError for a count that is not positive or beyond the machine, RuntimeError if it comes too late.
    """
    if not 1 <= threads <= cores():
        raise UserError(f"{threads} threads: expected 1 to {cores()}, the cores that this process may use")
    if environment is os.environ and "numpy" in sys.modules:
        raise RuntimeError("threads must be requested before numpy is imported")
    for variable in VARIABLES:
        environment[variable] = str(threads)


def keep_to(n_cores: int) -> None:
    """Let this process run on so many of its cores, the first ones; only Linux can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_cores])


def begin_on_first_core() -> None:
    """Move this thread to the first of its cores, and let it go on from there as it likes; only Linux can.

    On a machine that others share no two cores are equally fast. One thread on any of two took times that scattered by
    13 %; from the same one on, by 7 %.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cores)})
        os.sched_setaffinity(0, cores)


@contextlib.contextmanager
def asked_for(threads: int | None, others: Mapping[str, str]) -> Iterator[None]:
    """Processes that are started meanwhile use this many threads, and have these other variables in their environment.

    None: as many as this process was asked to.
    """
    wanted = dict(others)
    if threads is not None:
        request(threads, wanted)
    before = {variable: os.environ.get(variable) for variable in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value


def in_force() -> dict[str, int]:
    """The threads of every pool that is loaded now, read back from the libraries, e.g. {"openblas (numpy)": 2}."""
    from threadpoolctl import threadpool_info

    pools: dict[str, int] = {}
    for pool in threadpool_info():
        owner = next((name for name in ("numpy", "scipy") if f"{name}.libs" in pool["filepath"]), "other")
        pools[f"{pool['internal_api']} ({owner})"] = int(pool["num_threads"])
    if "numba" in sys.modules:
        import numba

        pools["numba"] = int(numba.get_num_threads())
    if "torch" in sys.modules:
        import torch

        pools["torch"] = int(torch.get_num_threads())
    if "jax" in sys.modules:
        pools["jax"] = cores()  # it heeds no variable, makes a thread a core, and does not tell
    return pools
