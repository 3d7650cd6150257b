"""Where `--workers` has trainings run, each place an executor of `concurrent.futures`.

    N                  N processes of this machine
    tcp://HOST:8786    the workers of a Dask scheduler that runs there
    slurm:PARTITION    jobs of a SLURM partition, by submitit
    mpi                the other ranks of `mpiexec -n N python -m mpi4py.futures -m bench ...`

The libraries for the last three are in the extra `cluster`, and are imported only here.
"""

import argparse
import itertools
import logging
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import bench
from bench import UserError
from bench.experiments.workers.performing import POOL
from bench.timing import threads
from command_line import whole_number

REACHED = 10.0  # seconds in which a scheduler has to answer
BEGUN = 30.0  # and in which it has to have a worker, which may have been started a moment ago
JOBS = 32  # of SLURM at once
HOURS = 2  # that a job may take; each does one task
LOOKING = 1.0  # seconds between two looks for the answer of a job
LOOKS = 30  # after which SLURM is asked whether it still has the job; its answer may be there a moment later
EXTRA = "install the extra `cluster`: pip install -c constraints.txt -e '.[cluster]'"


class Workers(NamedTuple):
    """What does tasks: the executor, how many tasks it does at once as things stand, and what to tell of it."""

    executor: Executor
    size: Callable[[], int]
    about: list[str]


def read(text: str) -> str:
    """Read the value of --workers."""
    scheme, _, rest = text.partition(":")
    if text == "mpi" or (scheme in ("tcp", "tls", "slurm") and rest.strip("/")):
        return text
    try:
        return str(whole_number(1)(text))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected a number of processes, tcp://HOST:PORT of a Dask scheduler, slurm:PARTITION, or mpi"
        ) from None


@contextmanager
def workers(text: str, n_threads: int) -> Iterator[Workers]:
    """Within the `with`, workers for tasks of so many threads. text: as `read` returns it.

    At its end, processes here end in the middle of their tasks. Raises UserError where there are no such workers.
    """
    scheme, _, rest = text.partition(":")
    kinds: dict[str, Callable[..., Any]] = {"tcp": on_dask, "tls": on_dask, "slurm": on_slurm, "mpi": on_mpi}
    there = kinds[scheme](text if scheme != "slurm" else rest, n_threads) if scheme in kinds else here(text, n_threads)
    with there as found:
        try:
            yield found
        finally:
            found.executor.shutdown(wait=False)
            POOL.end()


@contextmanager
def here(text: str, n_threads: int) -> Iterator[Workers]:
    """Processes of this machine, each asked by a thread."""
    n = int(text)
    if n * n_threads > threads.cores():
        raise UserError(
            f"--workers {n}: with --threads {n_threads} each, expected at most {threads.cores() // n_threads}, as this "
            f"process may use {threads.cores()} cores"
        )
    yield Workers(ThreadPoolExecutor(n), lambda: n, [])


@contextmanager
def on_dask(address: str, n_threads: int) -> Iterator[Workers]:
    """The workers of a running Dask scheduler; each thread of a worker does one task at a time."""
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError(f"--workers {address}: Dask cannot be imported ({error}); {EXTRA}") from None
    try:
        client = Client(address, timeout=REACHED, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"--workers {address}: no Dask scheduler answered within {REACHED:g} s ({' '.join(str(error).split())}); "
            f"start one by `PYTHONPATH=. dask scheduler` in the checkout's folder, and workers by `PYTHONPATH=. dask "
            f"worker {address} --nthreads 1`"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=BEGUN)
        except TimeoutError:
            raise UserError(
                f"--workers {address}: the scheduler has had no worker for {BEGUN:g} s; start some by `PYTHONPATH=. "
                f"dask worker {address} --nthreads 1` in the checkout's folder"
            ) from None
        about = [f"Dask's dashboard: {client.dashboard_link}"]
        # Not pure: to Dask, the same call twice would be one.
        yield Workers(client.get_executor(pure=False), lambda: sum(client.nthreads().values()), about)


def in_queue(job: str) -> bool:
    """Whether SLURM has a job that has not ended."""
    listed = subprocess.run(["squeue", "--noheader", "--job", job], capture_output=True, check=False)
    return bool(listed.stdout.strip())


@contextmanager
def on_slurm(partition: str, n_threads: int) -> Iterator[Workers]:
    """Jobs of SLURM, a task each; a thread here waits for each job, and cancels it where this ends before."""
    try:
        import submitit
    except ImportError as error:
        raise UserError(f"--workers slurm:{partition}: submitit cannot be imported ({error}); {EXTRA}") from None
    jobs = bench.RESULTS / "slurm"
    try:
        slurm = submitit.AutoExecutor(folder=jobs / "%j", cluster="slurm")
    except RuntimeError as error:
        raise UserError(
            f"--workers slurm:{partition}: SLURM cannot be used here ({error}); run this on a node with `sbatch`"
        ) from None
    slurm.update_parameters(
        name="digitbench", slurm_partition=partition, cpus_per_task=n_threads, timeout_min=60 * HOURS
    )

    logging.getLogger("submitit").setLevel(logging.ERROR)  # it warns where SLURM keeps no accounts, and does without
    over = threading.Event()

    def in_a_job(function: Callable[[str], str], description: str) -> str:
        job, missed = slurm.submit(function, description), 0
        for look in itertools.count(1):
            if job.done():
                return str(job.result())
            if over.wait(LOOKING):
                break
            if look % LOOKS == 0:
                missed = 0 if in_queue(job.job_id) else missed + 1
            if missed == 2:  # submitit would wait for ever where SLURM keeps no accounts
                raise RuntimeError(f"job {job.job_id} left the queue without an answer, as a cancelled one does")
        job.cancel()
        raise CancelledError

    class Jobs(ThreadPoolExecutor):
        """Submits a job for each task."""

        def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Any:
            return super().submit(in_a_job, function, *arguments, **options)

    about = [f"Jobs are called digitbench, at most {JOBS} at once; `scancel --name digitbench` cancels them."]
    try:
        yield Workers(Jobs(JOBS), lambda: JOBS, about)
    finally:
        over.set()


@contextmanager
def on_mpi(_: str, n_threads: int) -> Iterator[Workers]:
    """The other ranks of this MPI job; each does one task at a time."""
    try:
        from mpi4py import MPI
        from mpi4py.futures import MPIPoolExecutor
    except (ImportError, RuntimeError) as error:
        raise UserError(f"--workers mpi: mpi4py cannot be imported ({error}); {EXTRA}") from None
    size = MPI.COMM_WORLD.Get_size()
    if size < 2:
        raise UserError(
            "--workers mpi: expected several ranks, found 1; start this by `mpiexec -n 3 python -m mpi4py.futures -m "
            "bench ...`, with the mpiexec of the MPI that mpi4py uses"
        )
    about = [f"Of {size} ranks, {size - 1} {'train' if size > 2 else 'trains'}."]
    yield Workers(MPIPoolExecutor(), lambda: size - 1, about)
