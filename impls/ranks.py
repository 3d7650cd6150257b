"""Ranks: the processes of an MPI program, in which a backend's functions run side by side.

A backend lives in one process, and its contract knows no other. One that computes with MPI has its ranks started here,
at its first call, by `mpiexec -n R`; each imports the backend's file, and waits. `Ranks.call` has all of them run one
function of that file, which gets the communicator first, and returns what each returned. Requests and answers go
through a socket for each rank; MPI carries only what the ranks tell one another meanwhile.

A rank that waits reads from its socket, and does not spin in MPI; on Linux it is also stopped (SIGSTOP), so that no
thread of a library spins on while another backend is measured. No rank outlives the process that started it: it ends
where its socket ends, and where that process is killed, Linux kills mpiexec with it, whose helper then kills the ranks,
stopped or not. All ranks are on this machine.
"""

import atexit
import contextlib
import ctypes
import functools
import math
import os
import pickle
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

    from impls.contract import Array

MPIEXEC = "MPIEXEC"
"""The environment variable that names the command which starts ranks; unset: beside this Python, then on the PATH."""
PATIENCE = 60.0  # seconds in which all ranks have to be there
GRACE = 2.0  # seconds in which they have to end
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMBA_NUM_THREADS")
NAMED = sys.platform != "linux"  # whether a file that has no name cannot be opened by another process
SERVE = "from impls.ranks import serve; serve()"
# On Linux, killed with the process that starts it, also while stopped; 1 is PR_SET_PDEATHSIG.
DIE_TOO = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"


class RanksFailed(RuntimeError):
    """Ranks cannot be started, died, or raised an exception; the message is one line, with the remedy if there is one.

    The ranks are ended by then, and what they kept is lost.
    """


class Kept(NamedTuple):
    """Stands for what each rank keeps under this number: see `Ranks.keep`."""

    number: int


class Stored(NamedTuple):
    """An array in a file, which each rank maps into its memory instead of holding a copy."""

    path: str
    offset: int
    dtype: str
    shape: tuple[int, ...]

    def open(self) -> "Array":
        """Return the array, read-only."""
        import numpy as np

        if not math.prod(self.shape):  # nothing can be mapped
            return np.empty(self.shape, self.dtype)
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


# --- in the backend's process ---------------------------------------------------------------------------------


def mpiexec() -> str | None:
    """Return the path of the command that starts ranks; None where there is none."""
    if named := os.environ.get(MPIEXEC):
        return shutil.which(named)
    return shutil.which("mpiexec", path=sysconfig.get_path("scripts")) or shutil.which("mpiexec")


def why_unusable() -> str | None:
    """Return why ranks cannot be started here though mpi4py is installed, with the remedy; None where they can."""
    if sys.platform == "win32":
        return "needs sockets of Unix for its ranks, which Windows lacks; use WSL"
    if mpiexec() is None:
        named = os.environ.get(MPIEXEC)
        found = f"{MPIEXEC} names {named!r}, which is no command" if named else "there is no mpiexec"
        return f"needs mpiexec, and {found}; `pip install -c constraints.txt '.[cluster]'` brings one"
    return None


def most() -> int:
    """The largest number of ranks that a name may ask for; more than cores take turns on them."""
    return max(16, os.cpu_count() or 1)


def shared_among(network_name: str, units: int, ranks: int) -> str | None:
    """Return why so many ranks cannot share the units of a first layer; None where each has one or more."""
    if units >= ranks:
        return None
    return f"needs a hidden unit for each of its {ranks} ranks, and {network_name} has {units}; use fewer ranks"


@functools.cache
def ranks_of(file: str, size: int) -> "Ranks":
    """Return the ranks of a backend's file, which are started when they are first asked."""
    return Ranks(file, size)


class Ranks:
    """`size` processes that run functions of a backend's file together."""

    def __init__(self, file: str, size: int) -> None:
        self.file, self.size = file, size
        self.connections: list[Connection] = []  # in the order of the ranks; empty: they are not running
        self.pids: list[int] = []
        self.handles: list[int] = []  # of the same, which no later process can have; only on Linux
        self.command: subprocess.Popen[bytes] | None = None
        self.output: Any = None  # what mpiexec and the ranks print, for the error message
        self.last = 0  # number of what was kept
        self.dropped: list[int] = []  # numbers of what ranks may forget
        atexit.register(self.end)

    def keep(self, function: str, *arguments: object) -> Kept:
        """Have each rank run a function, and keep what it returns until `forget`."""
        self.last += 1
        self._ask(function, arguments, self.last)
        return Kept(self.last)

    def forget(self, kept: Kept) -> None:
        """Let the ranks drop this, with the next request. May be called at any time, also by a finalizer."""
        self.dropped.append(kept.number)

    def call(self, function: str, *arguments: object) -> list[Any]:
        """Return what a function of the backend's file returned in each rank; it gets the communicator, and these.

        Where an argument is a `Kept`, it gets what that rank keeps. Raises RanksFailed.
        """
        return self._ask(function, arguments, None)

    def _ask(self, function: str, arguments: Sequence[object], kept: int | None) -> list[Any]:
        if not self.connections:
            if any(isinstance(one, Kept) for one in arguments):
                raise RanksFailed("the ranks were ended, and what they had prepared is lost; prepare it again")
            self._start()
        dropped, self.dropped = self.dropped, []
        request = pickle.dumps((function, arguments, kept, dropped), protocol=5)
        self._signal("SIGCONT")
        answers: dict[int, Any] = {}
        try:
            for connection in self.connections:
                connection.send_bytes(request)
            while len(answers) < self.size:
                waiting = [one for rank, one in enumerate(self.connections) if rank not in answers]
                for ready in wait(waiting):
                    rank = self.connections.index(ready)  # type: ignore[arg-type]  # `wait` may return sockets, which these are not
                    worked, answers[rank] = self.connections[rank].recv()
                    if not worked:
                        raise self._failure(f"rank {rank} of {self.size} raised {answers[rank]}")
        except (EOFError, OSError):
            raise self._failure(f"one of {self.size} ranks ended{self._said()}") from None
        except BaseException:  # an interruption: their answers would be taken for those of the next request
            self.end()
            raise
        self._signal("SIGSTOP")
        return [answers[rank] for rank in range(self.size)]

    def _signal(self, name: str) -> None:
        """Stop the ranks, or let them go on. Only on Linux, where stopped ones are killed with this process."""
        if sys.platform == "linux":
            for handle in self.handles:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, getattr(signal, name))

    def _start(self) -> None:
        """Start the ranks, and wait until each is there. Raises RanksFailed."""
        if reason := why_unusable():
            raise RanksFailed(reason)
        key = secrets.token_hex(16)
        # On Linux a name that is no file, so that nothing is left behind where this process is killed.
        address = f"\0digitbench-{key[:8]}" if sys.platform == "linux" else f"{tempfile.gettempdir()}/ranks-{key[:8]}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen(self.size)
            self.output = tempfile.TemporaryFile()  # noqa: SIM115 (`end` closes it)
            self.command = subprocess.Popen(
                self._command(address, key),
                stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, env=self._environment(),
                process_group=0,  # Ctrl-C reaches this process alone, which ends them
            )  # fmt: skip
            try:
                self._welcome(listener, key.encode())
            except BaseException:
                self.end()
                raise
            finally:
                if sys.platform != "linux":
                    Path(address).unlink()

    def _command(self, address: str, key: str) -> list[str]:
        guard = [sys.executable, "-S", "-c", DIE_TOO] if sys.platform == "linux" else []
        place = address.replace("\0", "@")
        arguments = [place, key, self.file, str(self.size)]
        return [*guard, str(mpiexec()), "-n", str(self.size), sys.executable, "-P", "-c", SERVE, *arguments]

    def _environment(self) -> dict[str, str]:
        """The variables for the ranks: this folder is found, and each has its share of the cores."""
        root = str(Path(__file__).parents[1])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        threads = str(max(1, len(usable()) // self.size))
        return {**os.environ, "PYTHONPATH": path, **dict.fromkeys(THREADS, threads)}

    def _welcome(self, listener: socket.socket, key: bytes) -> None:
        """Accept all ranks, and check that they know one another. Raises RanksFailed."""
        listener.settimeout(0.1)
        end, hellos = time.monotonic() + PATIENCE, list[tuple[int, int, int, str]]()
        met = self.connections  # so that `end` closes them
        while len(met) < self.size:
            assert self.command is not None
            if self.command.poll() is not None:
                raise self._failure(f"mpiexec ended before {self.size} ranks were there{self._said()}")
            if time.monotonic() > end:
                raise self._failure(f"{len(met)} of {self.size} ranks were there within {PATIENCE:g} s{self._said()}")
            try:
                accepted, _ = listener.accept()
            except TimeoutError:
                continue
            accepted.setblocking(True)
            connection = Connection(accepted.detach())
            if connection.recv_bytes(len(key)) != key:
                connection.close()
                continue
            met.append(connection)
            hellos.append(connection.recv())
        for rank, size, _, library in hellos:
            if size != self.size:
                raise self._failure(
                    f"{mpiexec()} started {self.size} ranks, and each finds itself rank {rank} of {size}: it is not of "
                    f"the MPI library that mpi4py uses, {library}; install both from one source, or name the mpiexec "
                    f"of that library in {MPIEXEC}"
                )
        order = sorted(range(self.size), key=lambda index: hellos[index][0])
        self.connections = [met[index] for index in order]
        self.pids = [hellos[index][2] for index in order]
        if sys.platform == "linux":
            self.handles = [os.pidfd_open(pid) for pid in self.pids]

    def _said(self) -> str:
        """How mpiexec ended, and the last line that it or a rank printed before it reported that, as a clause."""
        assert self.command is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.command.wait(GRACE)
        code = self.command.poll()
        self.output.seek(0)
        printed = self.output.read().decode(errors="replace").partition("=====")[0].split("\n")
        lines = [line.strip()[:200] for line in printed if line.strip()]
        return ", ".join([f"; mpiexec's exit code is {code}" if code is not None else "", *lines[-1:]]).rstrip(", ")

    def _failure(self, reason: str) -> RanksFailed:
        """End the ranks; return the error."""
        self.end()
        return RanksFailed(reason)

    def end(self) -> None:
        """End the ranks if they run. What they kept is lost."""
        self._signal("SIGCONT")
        for connection in self.connections:
            connection.close()
        for handle in self.handles:
            os.close(handle)
        self.connections, self.pids, self.handles, self.dropped = [], [], [], []
        if self.command is not None:
            try:
                self.command.wait(GRACE)
            except subprocess.TimeoutExpired:  # they wait for one of them that has failed
                self.command.kill()  # and its helper kills them
                self.command.wait()
        if self.output is not None:
            self.output.close()
        self.command = self.output = None


@contextlib.contextmanager
def stored(*arrays: "Array") -> Iterator[list[Stored]]:
    """Within the `with`, these arrays are in files: where a file is mapped already, that; else one made for this.

    The latter is gone afterwards, however this process ends; ranks that have mapped it by then keep what was in it.
    """
    import numpy as np

    with contextlib.ExitStack() as stack:
        places = []
        for array in arrays:
            if (place := in_file(array)) is None:
                whole = np.ascontiguousarray(array)
                opened = tempfile.NamedTemporaryFile if NAMED else tempfile.TemporaryFile
                file: Any = stack.enter_context(opened())
                path = str(file.name) if NAMED else f"/proc/{os.getpid()}/fd/{file.fileno()}"
                whole.tofile(file)
                file.flush()
                place = Stored(path, 0, whole.dtype.str, whole.shape)
            places.append(place)
        yield places


def in_file(array: "Array") -> Stored | None:
    """Where an array lies in a file that is mapped into memory; None where it does not, or with gaps."""
    import numpy as np

    mapped: Any = array
    while isinstance(mapped, np.ndarray) and not (
        isinstance(mapped, np.memmap) and not isinstance(mapped.base, np.ndarray)
    ):
        mapped = mapped.base
    if not isinstance(mapped, np.memmap) or mapped.filename is None or mapped.mode != "r":
        return None
    if not array.flags.c_contiguous:
        return None
    path = Path(mapped.filename)
    first = array.__array_interface__["data"][0] - mapped.__array_interface__["data"][0]
    if not path.is_file():  # it is mapped, but has lost its name
        return None
    return Stored(str(path.resolve()), mapped.offset + first, array.dtype.str, array.shape)


# --- in a rank --------------------------------------------------------------------------------------------------


def serve() -> None:
    """What a rank does: run what is asked, until the process that started it closes its socket."""
    place, key, file, size = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # of the helper of mpiexec that started it
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    keep_to_share(comm.rank, int(size))
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(place.replace("@", "\0", 1))
    connection = Connection(connected.detach())
    connection.send_bytes(key.encode())
    connection.send((comm.rank, comm.size, os.getpid(), MPI.Get_library_version().splitlines()[0]))
    leave_nothing_behind(comm)
    from impls import devices

    module = devices.executed("of_these_ranks", Path(file))
    kept: dict[int, Any] = {}
    while True:
        try:
            function, arguments, number, dropped = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        for one in dropped:
            kept.pop(one, None)
        try:
            given = [kept[one.number] if isinstance(one, Kept) else one for one in arguments]
            answer = getattr(module, function)(comm, *given)
        except Exception as error:  # the others may wait for this rank: all are ended
            connection.send((False, " ".join(f"{type(error).__name__}: {error}".split())))
            return
        if number is not None:
            kept[number], answer = answer, None
        connection.send((True, answer))
        del given, answer  # frees their memory


def leave_nothing_behind(comm: "Intracomm") -> None:
    """Remove the names of the memory that all ranks share by now: MPI would leave it behind where they are killed."""
    comm.Barrier()
    maps = Path("/proc/self/maps")
    if comm.rank == 0 and maps.is_file():
        for line in maps.read_text().splitlines():
            path = Path(line.split(None, 5)[-1])
            if path.parent == Path("/dev/shm") and "mpi" in path.name:
                path.unlink(missing_ok=True)
    comm.Barrier()


def keep_to_share(rank: int, size: int) -> None:
    """Restrict this process to its share of the cores that all ranks may use; more ranks than cores share all."""
    cores = sorted(usable())
    if hasattr(os, "sched_setaffinity") and size <= len(cores):
        os.sched_setaffinity(0, cores[rank * len(cores) // size : (rank + 1) * len(cores) // size])


def usable() -> set[int]:
    """Return the numbers of the cores that this process may run on."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
