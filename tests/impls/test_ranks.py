"""Backends that are MPI programs: one rank is the serial text, several agree, and no process is left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import impls
from bench.records.fingerprint import source_of
from bench.timing.clock import Clock, processes_of, seconds_of
from impls import ranks
from impls.contract import Network
from tests.suite.conformance import Order, answered, case_of, hold

NETWORK = Network((12, 7, 4), "tanh", "softmax", "cross_entropy")
DEEP = Network((12, 6, 5, 4), "sigmoid", "sigmoid", "quadratic")
ROOT = Path(__file__).parents[2]
REASON = impls.unavailable_reason("mpi_units")
with_mpi = pytest.mark.skipif(REASON is not None, reason=f"mpi_units {REASON}")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux a waiting process is stopped")


@contextlib.contextmanager
def running(name: str) -> Iterator[Any]:
    """A backend whose ranks are ended afterwards."""
    backend: Any = impls.load(name)
    try:
        yield backend
    finally:
        backend.program().end()


@with_mpi
@pytest.mark.parametrize("name", ["mpi_images:1", "mpi_units:1"])
def test_one_rank_is_minibatch_bit_for_bit(name: str) -> None:
    with running(name) as backend:
        for network in (NETWORK, DEEP):
            orders: tuple[tuple[Order, float], ...] = (("file", 0.0), ("shuffled", 0.9))
            for order, momentum in orders:
                problem = case_of(network, "float32", (5, 5, 3), momentum=momentum, order=order).problem
                expected = answered(impls.load("minibatch"), problem)
                for quantity, found in answered(backend, problem).items():
                    np.testing.assert_array_equal(found, expected[quantity], err_msg=quantity, strict=True)


@with_mpi
@pytest.mark.parametrize("name", ["mpi_images:3", "mpi_units:2"])
def test_several_ranks_agree_wait_stopped_and_start_anew_where_one_dies(name: str) -> None:
    with running(name) as backend:
        for sizes in ((5, 5, 3), (1, 2)):  # with three ranks, some have no image of the last
            case = case_of(DEEP, "float32", sizes, momentum=0.9)
            first = answered(backend, case.problem)
            hold(backend, case, first)
            again = answered(backend, case.problem)
            assert all(np.array_equal(first[quantity], again[quantity]) for quantity in first)
        pids = backend.processes()
        assert len(pids) == len(set(pids)) == backend.RANKS
        if sys.platform == "linux":
            end = time.monotonic() + 30
            while {state_of(pid) for pid in pids} != {"T"}:  # as soon as each has received the signal
                assert time.monotonic() < end, [state_of(pid) for pid in pids]
            assert all(len(os.sched_getaffinity(pid)) for pid in pids)
        prepared = backend.prepare(DEEP, case.problem.images, case.problem.labels, "float32")
        os.kill(pids[-1], signal.SIGKILL)
        with pytest.raises(ranks.RanksFailed, match=r"one of \d ranks ended; mpiexec's exit code is \d+"):
            backend.outputs(DEEP, case.problem.parameters, prepared)
        with pytest.raises(ranks.RanksFailed, match="what they had prepared is lost; prepare it again"):
            backend.outputs(DEEP, case.problem.parameters, prepared)
        hold(backend, case, answered(backend, case.problem))


def state_of(pid: int) -> str:
    """T where a process is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


KILLED = """
import os, signal, impls
from tests.impls.test_ranks import NETWORK
import numpy as np
backend = impls.load("mpi_units:2")
backend.prepare(NETWORK, np.zeros((3, 12), np.uint8), np.zeros(3, np.int64), "float32")
print(*backend.processes(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@with_mpi
@linux
def test_stopped_ranks_are_killed_with_the_process_that_started_them() -> None:
    before = set(Path("/dev/shm").glob("mpich_shm_*"))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", KILLED]
    killed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    for pid in map(int, killed.stdout.split()):
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            handle = os.pidfd_open(pid)
            try:
                assert ended(handle), f"rank {pid} is still there"
            finally:
                os.close(handle)
    assert set(Path("/dev/shm").glob("mpich_shm_*")) <= before


def ended(handle: int) -> bool:
    """Wait for the end of a process, half a minute at most."""
    import select

    return bool(select.select([handle], [], [], 30)[0])


@with_mpi
def test_an_mpiexec_of_another_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rank is alone in its world then, as where nothing started it."""
    alone = tmp_path / "mpiexec"
    alone.write_text('#!/bin/sh\nshift 2\n"$@" &\n"$@" &\nwait\n')
    alone.chmod(0o700)
    monkeypatch.setenv(ranks.MPIEXEC, str(alone))
    with (
        running("mpi_units:2") as backend,
        pytest.raises(ranks.RanksFailed, match="finds itself rank 0 of 1: it is no"),
    ):
        backend.prepare(NETWORK, np.zeros((3, 12), np.uint8), None, "float32")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ranks.MPIEXEC, "/there/is/none")
    assert "MPIEXEC names '/there/is/none', which is no command" in str(ranks.why_unusable())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "needs mpi4py, not installed; `pip install -c constraints.txt '.[cluster]'`" in str(
        impls.unavailable_reason("mpi_images:4")
    )


@pytest.mark.parametrize("number", ["0", "100000", "cuda", ""])
def test_a_number_of_ranks_that_cannot_be(number: str) -> None:
    with pytest.raises(impls.UnknownBackend, match="expected a number of ranks from 1 to"):
        impls.entry(f"mpi_units:{number}")
    assert impls.device_of("mpi_units:3") == "cpu"
    assert [impls.ranks_of(name) for name in ("mpi_units:3", "minibatch", "no_such")] == [3, 0, 0]
    with pytest.raises(impls.UnknownBackend, match="minibatch runs on cpu alone; drop ':2'"):
        impls.entry("minibatch:2")


def test_more_ranks_than_units_are_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from impls import mpi_units

    monkeypatch.setattr(mpi_units, "RANKS", 8)
    reason = mpi_units.unsupported("train", NETWORK, "float32")
    assert reason == (
        "needs a hidden unit for each of its 8 ranks, and 12-7-4 tanh, softmax with cross_entropy has 7; "
        "use fewer ranks"
    )
    monkeypatch.setattr(mpi_units, "RANKS", 7)
    assert mpi_units.unsupported("train", NETWORK, "float32") is None


def test_what_is_exchanged_in_an_update() -> None:
    from impls import mpi_images, mpi_units

    network = Network((784, 128, 10), "relu", "softmax", "cross_entropy")
    assert [impls.ranks_of(str(one.NAME)) for one in (mpi_images, mpi_units)] == [mpi_images.RANKS, mpi_units.RANKS]
    assert mpi_images.exchanged(network, 128, 4) == 4 * (101_770 + 1)
    assert mpi_units.exchanged(network, 128, 4) == 5120


def test_ranks_map_what_is_mapped_and_get_a_file_of_anything_else(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.arange(60, dtype=np.uint8).reshape(10, 6))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    mapped = [images, images[2:7], images.reshape(5, 12)[1:], np.asarray(images)[3:]]
    others = [images[::2], images[:, :3], np.array(images), np.arange(0)]
    with ranks.stored(*mapped, *others) as files:
        for array, file in zip([*mapped, *others], files, strict=True):
            np.testing.assert_array_equal(file.open(), array, strict=True)
        assert [file.path == str(tmp_path / "images.npy") for file in files] == [True] * 4 + [False] * 4
    assert [Path(file.path).exists() for file in files] == [True] * 4 + [False] * 4


@linux
def test_the_cpu_time_of_other_processes_counts() -> None:
    class Elsewhere:
        """A backend that computes in another process."""

        @staticmethod
        def processes() -> list[int]:
            return [busy.pid]

    work = "import sys; sys.stdin.readline(); sum(range(3_000_000)); print(flush=True); sys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as busy:
        assert busy.stdin is not None
        assert busy.stdout is not None
        with Clock(processes=processes_of(Elsewhere())) as clock:
            print(file=busy.stdin, flush=True)
            busy.stdout.readline()
        assert clock.elapsed.user > 0.01
        assert seconds_of(busy.pid) >= clock.elapsed.user / 2
    assert processes_of(None)() == []


def test_a_change_to_what_starts_ranks_is_another_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hashes() -> list[str]:
        return [source_of(name) for name in ("mpi_units:2", "mpi_units:3", "minibatch")]

    before = hashes()
    assert before[0] == before[1] != before[2]
    (tmp_path / "contract.py").write_bytes((ROOT / "impls" / "contract.py").read_bytes())
    (tmp_path / "ranks.py").write_text("changed")
    monkeypatch.setattr("bench.records.fingerprint.IMPLS", tmp_path)
    assert [a == b for a, b in zip(before, hashes(), strict=True)] == [False, False, True]
