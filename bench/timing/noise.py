"""What disturbs measurements from outside: stolen time and load."""

import os
from pathlib import Path
from typing import NamedTuple


def text_of(path: Path) -> str:
    """What a file of the system says; "unknown" where it says nothing."""
    try:
        return path.read_text().strip() or "unknown"
    except OSError:
        return "unknown"


class Noise(NamedTuple):
    """What disturbs measurements from outside, so far; None where the system does not say."""

    stolen: float | None  # seconds, over all cores, in which another virtual machine had the core
    load: float | None  # processes that ran or waited to, on average over the last minute


def noise(stat: Path = Path("/proc/stat")) -> Noise:
    """Look at the machine now; what happened between two looks is their difference."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    fields = text_of(stat).partition("\n")[0].split()  # cpu user nice system idle iowait irq softirq steal ...
    if len(fields) < 9 or fields[0] != "cpu":
        return Noise(None, load)
    return Noise(int(fields[8]) / os.sysconf("SC_CLK_TCK"), load)
