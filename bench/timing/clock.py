"""The clock: wall time, and the CPU time of this process in user and system mode, over all its threads."""

import os
import sys
import time
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

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
    """`with Clock() as clock: work()`, then `clock.elapsed`; or `start` and `stop`."""

    elapsed = Elapsed()

    def start(self) -> None:
        """Start the clock."""
        self._user, self._system = cpu_seconds()
        self._wall = time.perf_counter()

    def stop(self) -> Elapsed:
        """Return the time since `start`, which is also kept in `elapsed`."""
        wall = time.perf_counter()
        user, system = cpu_seconds()
        self.elapsed = Elapsed(wall - self._wall, user - self._user, system - self._system)
        return self.elapsed

    def __enter__(self) -> "Clock":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
