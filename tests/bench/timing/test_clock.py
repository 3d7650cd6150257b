"""The clock: wall time, and CPU time of all threads, whose readings can be added. No test expects a speed."""

import os
import threading
import time
from pathlib import Path

import pytest

from bench.timing import clock
from bench.timing.clock import Clock, Elapsed, cpu_seconds, noise

BUSY = 0.05  # seconds of CPU


def be_busy() -> None:
    """Use BUSY seconds of CPU, however slow or busy the machine is."""
    start = time.thread_time()
    while time.thread_time() - start < BUSY:
        pass


def test_a_busy_loop_counts() -> None:
    with Clock() as clock:
        be_busy()
    assert clock.elapsed.user + clock.elapsed.system > 0.8 * BUSY
    assert clock.elapsed.wall > 0.8 * BUSY


def test_other_threads_count() -> None:
    workers = [threading.Thread(target=be_busy) for _ in range(3)]
    with Clock() as clock:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert clock.elapsed.user + clock.elapsed.system > 0.8 * 3 * BUSY


def test_start_and_stop() -> None:
    clock = Clock()
    assert clock.elapsed == Elapsed(0, 0, 0)
    clock.start()
    first = clock.stop()
    assert clock.elapsed == first
    be_busy()
    second = clock.stop()  # still counted from `start`
    assert second.wall > first.wall


def test_what_happens_outside_is_not_counted() -> None:
    clock = Clock()
    be_busy()
    clock.start()
    elapsed = clock.stop()
    be_busy()
    assert clock.elapsed is elapsed
    assert elapsed.user + elapsed.system < BUSY


def test_elapsed_when_the_work_fails() -> None:
    clock = Clock()
    with pytest.raises(ZeroDivisionError), clock:
        divmod(1, 0)
    assert clock.elapsed.wall > 0


def test_readings_add_up() -> None:
    assert Elapsed(1, 2, 3) + Elapsed(0.5, 0.25, 0.125) == Elapsed(1.5, 2.25, 3.125)
    assert Elapsed() + Elapsed() == Elapsed(0, 0, 0)


def test_cpu_time_only_grows() -> None:
    before = sum(cpu_seconds())
    be_busy()
    assert sum(cpu_seconds()) > before


STAT = """cpu  3000 0 0 0 0 0 0 700 0 0
cpu0 1000 20 300 99 7 4 6 500 40 0
cpu1 2000 0 0 99 0 0 0 200 0 0
cpu2 9000 0 0 99 0 0 0 0 0 0
intr 1
"""  # user nice system idle iowait irq softirq steal guest guest_nice, in ticks


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="this system has no /proc/stat")
def test_other_processes_are_those_on_our_cores_that_are_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stat").write_text(STAT)
    tick = 1 / os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(clock, "usable", lambda: {0, 1})
    monkeypatch.setattr(clock, "cpu_seconds", lambda: (3.0, 1.0))
    monkeypatch.setattr(clock, "cpu_seconds_of_children", lambda: 2.0)
    for niceness, nice in ((0, 0), (5, 20)):
        monkeypatch.setattr(os, "getpriority", lambda *_, niceness=niceness: niceness)
        found = noise(tmp_path / "stat")
        assert found.stolen == pytest.approx(700 * tick)
        assert found.others == pytest.approx((1000 + nice + 300 + 4 + 6 + 2000) * tick - 6)
    assert noise(tmp_path / "nothing")[::2] == (None, None)
