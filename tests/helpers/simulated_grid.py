"""A GPU of three multiprocessors, simulated: the backend `cuda`, whose kernels run as Python, all blocks at once.

numba's simulator runs one block of a launch after the other, so that blocks cannot wait for one another. Here the
threads of all blocks take turns: one runs until it waits at a barrier or for a word, then another goes on, drawn at
random from a fixed seed. So nothing depends on the machine, a missing barrier shows, and a deadlock is an error.

`NUMBA_ENABLE_CUDASIM=1 pytest --backend=tests.helpers.simulated_grid` runs the conformance suite on it.
"""

import random
import sys
import threading
from typing import Any

import numpy as np
from numba import cuda

if hasattr(cuda, "syncwarp"):
    raise ImportError("set NUMBA_ENABLE_CUDASIM=1 before numba is imported: this is numba's CUDA simulator")

from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
from numba.cuda.simulator.kernel import FakeCUDAKernel
from numba.cuda.simulator.kernelapi import Dim3, FakeCUDAModule

from impls import cuda as backend
from impls.cuda import BATCH_SIZE as BATCH_SIZE
from impls.cuda import DTYPES as DTYPES
from impls.cuda import (
    NAME,
    SUMMARY,
    device,
    functions,
    general,
    gradients,
    outputs,
    prepare,
    resident,
    simulated,
    train,
)
from impls.cuda import unsupported as unsupported

__all__ = ["NAME", "SUMMARY", "gradients", "outputs", "prepare", "train"]
MODULES: tuple[Any, ...] = (functions, general, resident)  # whose `cuda` is the simulated one in a launch
SEED = 1
MOST_VAIN_TURNS = 1000  # of each thread, one after the other, until all are said to wait for ever
LIMITS = device.Limits(3, 232_448, True, n_threads=32, side=2)


class Deadlock(RuntimeError):
    """No thread of a launch can go on."""


class Stopped(BaseException):
    """Another thread of the launch has failed."""


def closed() -> threading.Lock:
    """A lock that is held, for one thread to wait for and another to release: far quicker than a semaphore."""
    lock = threading.Lock()
    lock.acquire()
    return lock


class Thread(threading.Thread):
    """A thread of a kernel. `threadIdx` and `blockIdx` are what numba's simulator looks for."""

    def __init__(self, grid: "Grid", block: int, number: int) -> None:
        super().__init__(daemon=True)
        self.grid, self.block, self.threadIdx, self.blockIdx = grid, block, Dim3(number, 0, 0), Dim3(block, 0, 0)
        self.turn = closed()
        self.vain = 0

    def run(self) -> None:
        """Run the kernel when it is this thread's turn."""
        self.turn.acquire()
        try:
            with np.errstate(all="ignore"):
                if self.grid.error is None:
                    self.grid.function(*self.grid.arguments)
        except Stopped:
            pass
        except BaseException as error:
            self.grid.error = self.grid.error or error
        self.grid.leave()

    def syncthreads(self) -> None:
        """Wait for the threads of this block."""
        self.grid.meet(self, self.grid.at_barriers[self.block], self.grid.n_threads)


class Grid:
    """A launch: its threads, of which one runs at a time."""

    def __init__(self, function: Any, arguments: tuple[Any, ...], n_blocks: int, n_threads: int) -> None:
        self.function, self.arguments, self.n_threads = function, arguments, n_threads
        self.threads = [Thread(self, block, number) for block in range(n_blocks) for number in range(n_threads)]
        self.ready, self.left = [*self.threads], len(self.threads)
        self.at_barriers: list[list[Thread]] = [[] for _ in range(n_blocks)]
        self.at_meeting: list[Thread] = []
        self.error: BaseException | None = None
        self.vain = 0
        self.random, self.done = random.Random(SEED), closed()

    def run(self) -> None:
        """Run all threads to their ends. Raises what one of them raised, or Deadlock."""
        for thread in self.threads:
            thread.start()
        self.next()
        self.done.acquire()
        for thread in self.threads:
            thread.join()
        if self.error is not None:
            raise self.error

    def next(self) -> None:
        """Give the turn to a thread that can go on."""
        if not self.ready and self.left:
            self.error = self.error or Deadlock(f"{self.left} threads wait at barriers that others do not reach")
        if self.error is not None:  # wake all, one after the other, to end
            waiting = [*self.ready, *self.at_meeting, *(thread for block in self.at_barriers for thread in block)]
            self.ready, self.at_meeting, self.at_barriers = waiting, [], [[] for _ in self.at_barriers]
        if not self.left:
            self.done.release()
            return
        place = self.random.randrange(len(self.ready))
        self.ready[place], self.ready[-1] = self.ready[-1], self.ready[place]
        self.ready.pop().turn.release()

    def wait(self, thread: Thread) -> None:
        """Hand the turn on, and wait for the next."""
        self.next()
        thread.turn.acquire()
        if self.error is not None:
            raise Stopped

    def leave(self) -> None:
        """End a thread."""
        self.left, self.vain = self.left - 1, 0
        self.next()

    def meet(self, thread: Thread, waiting: list[Thread], n: int) -> None:
        """Wait until n threads do."""
        self.vain = 0
        waiting.append(thread)
        if len(waiting) == n:
            self.ready += waiting
            waiting.clear()
        self.wait(thread)

    def give_way(self, thread: Thread) -> None:
        """Wait for a word: let others run."""
        self.vain += 1
        if self.vain > MOST_VAIN_TURNS * self.left:
            self.error = self.error or Deadlock(f"{self.left} threads wait for words that nobody sends")
        self.ready.append(thread)
        self.wait(thread)

    def sync(self) -> None:
        """All blocks meet: what `cuda.cg.this_grid()` offers."""
        self.meet(current(), self.at_meeting, len(self.threads))


def current() -> Thread:
    """The thread of a kernel that runs."""
    thread = threading.current_thread()
    assert isinstance(thread, Thread)
    return thread


class Shared:
    """A block's shared memory: dynamic for a shape of 0, otherwise one array for each place in the code."""

    def __init__(self, n_bytes: int) -> None:
        self.memory, self.arrays = np.zeros(n_bytes, np.uint8), dict[Any, Any]()

    def array(self, shape: Any, dtype: Any, alignment: None = None) -> Any:
        """As `cuda.shared.array`."""
        if shape == 0:
            return self.memory[: len(self.memory) // np.dtype(dtype).itemsize * np.dtype(dtype).itemsize].view(dtype)
        frame = sys._getframe(1)
        return self.arrays.setdefault((frame.f_code, frame.f_lineno), np.full(shape, 77, dtype))


class Module(FakeCUDAModule):  # type: ignore[misc]
    """What kernels call `cuda`."""

    def __init__(self, grid: Grid, n_blocks: int, n_bytes: int) -> None:
        super().__init__((n_blocks, 1, 1), (grid.n_threads, 1, 1), 0)
        self.the_grid, self.memories = grid, [Shared(n_bytes) for _ in range(n_blocks)]

    @property
    def shared(self) -> Shared:
        """Of this block."""
        return self.memories[current().block]

    @property
    def cg(self) -> Any:
        """Cooperative groups."""
        return self

    def this_grid(self) -> Grid:
        """The group of all threads."""
        return self.the_grid


def call(kernel: Any, *arguments: Any) -> Any:
    """Call a device function, or launch a kernel. In place of numba's `FakeCUDAKernel.__call__`."""
    if kernel._device:
        return kernel.fn(*arguments)
    n_blocks, n_threads, n_bytes = kernel.grid_dim[0], kernel.block_dim[0], kernel.dynshared_size
    plain = tuple(argument._ary if isinstance(argument, FakeCUDAArray) else argument for argument in arguments)
    grid = Grid(kernel.fn, plain, n_blocks, n_threads)
    simulated = Module(grid, n_blocks, n_bytes)
    before = [module.cuda for module in MODULES]
    for module in MODULES:
        module.cuda = simulated
    try:
        grid.run()
    finally:
        for module, real in zip(MODULES, before, strict=True):
            module.cuda = real
    return None


def install() -> None:
    """Have numba's simulator run launches as this module says."""
    FakeCUDAKernel.__call__ = call
    simulated.give_way = lambda: current().grid.give_way(current())
    backend.limits = lambda: LIMITS  # type: ignore[attr-defined]


assert cuda.is_available()
install()
