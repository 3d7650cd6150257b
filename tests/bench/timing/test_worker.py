"""What a worker reports, and where its measurements start."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench.timing.clock import Clock, Elapsed
from bench.timing.session import stored
from bench.timing.worker import FLOOR, Anonymous, TimingTask, Worker
from bench.workloads.cases import MINI_BATCHES
from data import Digits


@pytest.mark.parametrize(("before", "after", "expected"), [(1000, 1700, 700), (1700, 1000, 0), (None, 1000, None)])
def test_the_memory_of_a_call_is_never_negative(
    before: int | None, after: int, expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = stored(Digits(np.zeros((20, 784), np.uint8), np.zeros(20, np.int64)), tmp_path / "digits")
    worker = Worker(TimingTask(FLOOR, "epoch", MINI_BATCHES, digits, 20, 1))
    worker.load()
    monkeypatch.setattr("bench.timing.worker.status", lambda *_: after)
    monkeypatch.setattr("bench.timing.worker.reset_peak", lambda *_: before)
    assert worker.describe(with_rates=False)["call_peak"] == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a thread to cores")
def test_every_measurement_starts_on_the_first_core_and_is_not_bound_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = stored(Digits(np.zeros((20, 784), np.uint8), np.zeros(20, np.int64)), tmp_path / "digits")
    worker = Worker(TimingTask(FLOOR, "epoch", MINI_BATCHES, digits, 20, 1))
    done: list[object] = []
    cores, bind = os.sched_getaffinity(0), os.sched_setaffinity

    def recorded(pid: int, to: set[int]) -> None:
        done.append(to)
        bind(pid, to)

    monkeypatch.setattr(os, "sched_setaffinity", recorded)
    worker.work = lambda: done.append("work")
    worker.measure(2)
    assert done == [{min(cores)}, cores, "work", "work"]
    assert os.sched_getaffinity(0) == cores


def test_a_time_is_of_one_call_however_often_it_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(Clock):
        def stop(self) -> Elapsed:
            self.elapsed = Elapsed(6.0, 3.0, 1.5)
            return self.elapsed

    monkeypatch.setattr("bench.timing.worker.Clock", Stopped)
    worker = Worker(TimingTask(FLOOR, "epoch", MINI_BATCHES, tmp_path, 20, 1))
    calls: list[int] = []
    worker.work = lambda: calls.append(1)
    assert worker.measure(3) == {"wall": 2.0, "user": 1.0, "system": 0.5}
    assert len(calls) == 3


def test_a_backend_works_on_the_images_of_its_task_alone(tmp_path: Path) -> None:
    """What it has to do for 20 images is scaled up to all afterwards."""
    digits = stored(Digits(np.zeros((60, 784), np.uint8), np.zeros(60, np.int64)), tmp_path / "digits")
    worker = Worker(TimingTask("vectorized", "outputs", MINI_BATCHES, digits, 20, 1))
    worker.load()
    outputs = worker.work()
    assert isinstance(outputs, np.ndarray)
    assert outputs.shape == (20, 10)


def test_prepare_is_charged_the_second_time_and_the_first_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter((5.0, 2.0))

    class Stopped(Clock):
        def stop(self) -> Elapsed:
            self.elapsed = Elapsed(next(times), 0.0, 0.0)
            return self.elapsed

    digits = stored(Digits(np.zeros((60, 784), np.uint8), np.zeros(60, np.int64)), tmp_path / "digits")
    monkeypatch.setattr("bench.timing.worker.Clock", Stopped)
    loaded = Worker(TimingTask("vectorized", "outputs", MINI_BATCHES, digits, 20, 1)).load()
    assert (loaded["first_prepare"].wall, loaded["prepare"].wall) == (5.0, 2.0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells memory in files from other memory")
def test_memory_in_no_file_is_watched_while_a_call_runs_and_mapped_files_do_not_count(tmp_path: Path) -> None:
    np.ones(2**25, np.uint8).tofile(tmp_path / "mapped")
    mapped = np.memmap(tmp_path / "mapped", np.uint8, "r")
    with Anonymous([]) as over_a_file:
        before = over_a_file.peak
        assert mapped.max() == 1
    assert before is not None
    assert over_a_file.peak is not None
    assert over_a_file.peak < before + 2**24
    deadline = time.monotonic() + 30
    with Anonymous([]) as over_memory:
        held = np.ones(2**25, np.uint8)
        with_it = Anonymous.held([])
        assert with_it is not None
        # Until the next look sees it. Garbage that is collected meanwhile counts neither here nor below.
        while (over_memory.peak or 0) < with_it - 2**23 and time.monotonic() < deadline:
            pass
        del held
    without_it = Anonymous.held([])
    assert over_memory.peak is not None
    assert without_it is not None
    assert over_memory.peak >= without_it + 2**24
    with Anonymous([os.getpid()]) as twice:
        pass
    once = Anonymous.held([])
    assert twice.peak is not None
    assert once is not None
    assert twice.peak > 1.5 * once
