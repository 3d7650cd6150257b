"""The worker's side of `--workers`: a task is a description in JSON, and a process beside the worker does it.

Whatever runs the worker (a thread here, Dask, SLURM, MPI), `perform` only passes text on. So this module needs nothing
but the standard library, the threads of the numerical libraries are settled before any of them is imported, and a
worker may be a daemon, which may have no children of multiprocessing's kind. The process ends when the worker does.
"""

import atexit
import contextlib
import os
import subprocess
import sys
import threading

from bench import ROOT

TRIES = 2  # of a task whose process ends before it answers, as one that was killed does


class TaskLost(RuntimeError):
    """A task whose process ended each time before it answered; the message says how."""


class TaskProcess:
    """A process that answers one task after the other, see `bench.experiments.workers.answering`."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "bench.experiments.workers.answering"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def ask(self, description: str) -> str | None:
        """Return the answer to a task, a line of JSON; None if the process ends without one."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(f"{description}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except (OSError, ValueError):  # ValueError: `end` has closed a pipe
            return None
        return answer if answer.endswith("\n") else None

    def end(self) -> int:
        """Let the process end, which kills its children and removes its files; return its exit code."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return self.process.wait()


class Pool:
    """The processes of this worker: as many as it does tasks at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.all: set[TaskProcess] = set()
        self.idle: list[TaskProcess] = []

    def take(self) -> TaskProcess:
        """Return an idle process, or a new one."""
        with self.lock:
            process = self.idle.pop() if self.idle else TaskProcess()
            self.all.add(process)
            return process

    def give_back(self, process: TaskProcess) -> None:
        """Keep a process for the next task."""
        with self.lock:
            self.idle.append(process)

    def drop(self, process: TaskProcess) -> int:
        """End a process; return its exit code."""
        with self.lock:
            self.all.discard(process)
        return process.end()

    def end(self) -> None:
        """End all processes, also those that are in the middle of a task."""
        with self.lock:
            processes, self.all, self.idle = self.all, set(), []
        for process in processes:
            if process.process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.process.stdin.close()  # which a process notices while it works, too
        for process in processes:
            process.process.wait()
            process.end()


POOL = Pool()
atexit.register(POOL.end)


def perform(description: str) -> str:
    """Do a task and return its answer, both JSON on one line; see `bench.experiments.workers.task`.

    Raises TaskLost where the process that does it is killed again and again.
    """
    ended = []
    for _ in range(TRIES):
        process = POOL.take()
        if answer := process.ask(description):
            POOL.give_back(process)
            return answer
        ended.append(str(POOL.drop(process)))
    raise TaskLost(
        f"the process for it ended with exit code {' and again with '.join(ended)} (a negative number is a signal's); "
        "it may need more memory than there is"
    )


def own_name() -> str:
    """What a scheduler calls this worker, for messages: they are printed and not kept."""
    if "distributed" in sys.modules:
        with contextlib.suppress(ImportError, ValueError):  # ValueError: this is no worker's thread
            from distributed import get_worker

            return str(get_worker().address)
    for variable, name in (("SLURM_JOB_ID", "job"), ("PMI_RANK", "rank"), ("OMPI_COMM_WORLD_RANK", "rank")):
        if variable in os.environ:
            return f"{name} {os.environ[variable]}"
    return "a worker here"
