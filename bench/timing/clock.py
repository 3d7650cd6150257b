"""The clock: wall time, and CPU time in user and system mode; and what disturbs it: stolen time, load, neighbours."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta

from bench.timing.system import text_of
from bench.timing.threads import usable

Time = Annotated[float, Meta(ge=0, le=1e100)]  # seconds; CPU time may be 0


@dataclass(frozen=True)
class Elapsed:
    """Wall time, and CPU time in user and system mode, in seconds; `+` adds each."""

    wall: Time = 0.0
    user: Time = 0.0
    system: Time = 0.0

    def __add__(self, other: "Elapsed") -> "Elapsed":
        return Elapsed(self.wall + other.wall, self.user + other.user, self.system + other.system)


def none() -> list[int]:
    """The numbers of the other processes of what computes in one."""
    return []


def processes_of(backend: object) -> Callable[[], list[int]]:
    """Return the function that returns the numbers of the other processes in which this backend computes."""
    found: Callable[[], list[int]] = getattr(backend, "processes", none)
    return found


def seconds_of(process: int) -> float:
    """Return the CPU time of another process since it began, all its threads together, in seconds; 0 if not known.

    Linux has a clock for each process, which counts nanoseconds; its number is as in the kernel's posix-timers.h
    (MAKE_PROCESS_CPUCLOCK), by which clock_getcpuclockid(3) makes it.
    """
    if sys.platform != "linux":
        return 0.0
    try:
        return time.clock_gettime(~process << 3 | 2)
    except OSError:  # it has ended
        return 0.0


def cpu_seconds() -> tuple[float, float]:
    """Return the user and system time of this process since it began, all its threads together, in seconds."""
    if sys.platform == "win32":
        times = os.times()
        return times.user, times.system
    import resource  # finer than os.times, which counts in hundredths of a second

    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime, usage.ru_stime


class Clock:
    """`with Clock() as clock: work()`, then `clock.elapsed`; or `start` and `stop`.

    drain: waits until a device has done what it was given, on the clock; see `bench.timing.device`. processes: returns
    the numbers of other processes whose CPU time counts too, all of it as user time; they exist from `start` to `stop`.
    """

    elapsed = Elapsed()

    def __init__(self, drain: Callable[[], None] = lambda: None, processes: Callable[[], list[int]] = none) -> None:
        self._drain, self._processes = drain, processes

    def start(self) -> None:
        """Start the clock."""
        self._others = {process: seconds_of(process) for process in self._processes()}
        self._user, self._system = cpu_seconds()
        self._wall = time.perf_counter()

    def stop(self) -> Elapsed:
        """Return the time since `start`, which is also kept in `elapsed`."""
        self._drain()
        wall = time.perf_counter()
        user, system = cpu_seconds()
        user += sum(max(0.0, seconds_of(process) - before) for process, before in self._others.items())
        self.elapsed = Elapsed(wall - self._wall, user - self._user, system - self._system)
        return self.elapsed

    def __enter__(self) -> "Clock":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Noise(NamedTuple):
    """What disturbs at this moment; None where the system does not report it. Times have a beginning of their own."""

    stolen: float | None  # seconds, over all cores, in which another virtual machine used the core
    load: float | None  # processes that ran or were waiting to run, on average over the last minute
    others: float | None = None  # seconds, over the cores of this process, in which others than it and its children ran


def noise(stat: Path = Path("/proc/stat")) -> Noise:
    """Return what disturbs at this moment. Of `stolen` and `others` the difference between two calls counts.

    A child is told from other processes once it has ended and was waited for. Processes of a lower priority than this
    one (`nice`) do not count as others, as they give way to it.
    """
    try:
        load: float | None = os.getloadavg()[0]
    except (AttributeError, OSError):  # a system without it, or a container that hides it
        load = None
    lines = [line.split() for line in text_of(stat).splitlines() if line.startswith("cpu")]
    ticks = {name: list(map(int, fields)) for name, *fields in lines}  # user nice system idle iowait irq softirq steal
    if len(ticks.get("cpu", ())) < 8:
        return Noise(None, load)
    tick = 1 / os.sysconf("SC_CLK_TCK")
    counted = [0, 2, 5, 6] if os.getpriority(os.PRIO_PROCESS, 0) <= 0 else [0, 1, 2, 5, 6]
    ran = [of_core[kind] for core in usable() if (of_core := ticks.get(f"cpu{core}")) for kind in counted]
    return Noise(tick * ticks["cpu"][7], load, tick * sum(ran) - sum(cpu_seconds()) - cpu_seconds_of_children())


def cpu_seconds_of_children() -> float:
    """Return the CPU time of all children of this process that have ended and were waited for, in seconds."""
    times = os.times()
    return times.children_user + times.children_system
