"""What disturbs measurements from outside: stolen time and load."""

import os
from pathlib import Path
from typing import NamedTuple


def text_of(path: Path) -> str:
    """Return the text of a file of the system, stripped; "unknown" where it is empty or cannot be read."""
    try:
        return path.read_text().strip() or "unknown"
    except OSError:
        return "unknown"


class Noise(NamedTuple):
    """Stolen time since the machine started, and its load; None where the system does not report it."""

    stolen: float | None  # seconds, over all cores, in which another virtual machine had the core
    load: float | None  # processes that ran or were waiting to run, on average over the last minute


def noise(stat: Path = Path("/proc/stat")) -> Noise:
    """Return the stolen time and the load at this moment; `stolen` between two calls is their difference."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    fields = text_of(stat).partition("\n")[0].split()  # cpu user nice system idle iowait irq softirq steal ...
    if len(fields) < 9 or fields[0] != "cpu":
        return Noise(None, load)
    return Noise(int(fields[8]) / os.sysconf("SC_CLK_TCK"), load)
