"""The clock: wall time, and CPU time in user and system mode; and what disturbs it: stolen time and load."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta

from bench.timing.system import text_of

Time = Annotated[float, Meta(ge=0, le=1e100)]  # seconds; CPU time may be 0


@dataclass(frozen=True)
class Elapsed:
    """Wall time, and CPU time in user and system mode, in seconds; `+` adds each."""

    wall: Time = 0.0
    user: Time = 0.0
    system: Time = 0.0

    def __add__(self, other: "Elapsed") -> "Elapsed":
        return Elapsed(self.wall + other.wall, self.user + other.user, self.system + other.system)


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

    drain: waits until a device has done what it was given, on the clock; see `bench.timing.device`.
    """

    elapsed = Elapsed()

    def __init__(self, drain: Callable[[], None] = lambda: None) -> None:
        self._drain = drain

    def start(self) -> None:
        """Start the clock."""
        self._user, self._system = cpu_seconds()
        self._wall = time.perf_counter()

    def stop(self) -> Elapsed:
        """Return the time since `start`, which is also kept in `elapsed`."""
        self._drain()
        wall = time.perf_counter()
        user, system = cpu_seconds()
        self.elapsed = Elapsed(wall - self._wall, user - self._user, system - self._system)
        return self.elapsed

    def __enter__(self) -> "Clock":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Noise(NamedTuple):
    """Stolen time since the machine started, and its load; None where the system does not report it."""

    stolen: float | None  # seconds, over all cores, in which another virtual machine used the core
    load: float | None  # processes that ran or were waiting to run, on average over the last minute


def noise(stat: Path = Path("/proc/stat")) -> Noise:
    """Return the stolen time and the load at this moment; `stolen` between two calls is their difference."""
    try:
        load: float | None = os.getloadavg()[0]
    except (AttributeError, OSError):  # a system without it, or a container that hides it
        load = None
    fields = text_of(stat).partition("\n")[0].split()  # cpu user nice system idle iowait irq softirq steal ...
    if len(fields) < 9 or fields[0] != "cpu":
        return Noise(None, load)
    return Noise(int(fields[8]) / os.sysconf("SC_CLK_TCK"), load)
