"""What Linux says of the cores: which share a physical core, and what control groups allow. Elsewhere it says nothing.

A container that may use the time of two cores still sees sixteen; with more than two threads, all of them are halted
again and again.
"""

from collections.abc import Iterator
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def text_of(path: Path) -> str:
    """Return the text of a file of the system, stripped; "unknown" where it is empty or cannot be read."""
    try:
        return path.read_text().strip() or "unknown"
    except (OSError, UnicodeDecodeError):
        return "unknown"


def quota() -> float | None:
    """The CPU time a second that control groups allow this process, in cores, such as 1.5; None: they set no limit.

    The least of all groups that the process is in counts, of cgroup v1 and v2.
    """
    return min(limits(), default=None)


def limits() -> Iterator[float]:
    """The limit of each group that has one: the process's own, and all above it as far as they can be seen."""
    for line in text_of(OWN_CGROUPS).splitlines():  # "0::/path" in v2; "4:cpu,cpuacct:/path" in v1
        _, controllers, path = line.split(":", 2) if line.count(":") > 1 else ("", "unknown", "")
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounted = [CGROUPS] if not controllers else [CGROUPS / "cpu", CGROUPS / controllers]
        root = next((folder for folder in mounted if folder.is_dir()), CGROUPS)
        # In a container the path may be the host's, which is not there; then the root is the container's own group.
        own = root / path.lstrip("/")
        for group in (own, *own.parents):
            if group.is_relative_to(root) and (limit := limit_of(group)) is not None:
                yield limit


def limit_of(group: Path) -> float | None:
    """The limit of one group, in cores; None where it has none."""
    v2 = text_of(group / "cpu.max").split()  # "150000 100000", or "max 100000"
    v1 = [text_of(group / f"cpu.cfs_{part}_us") for part in ("quota", "period")]  # a quota of -1 is none
    for microseconds in (v2, v1):
        if len(microseconds) == 2 and all(part.isdecimal() and int(part) for part in microseconds):
            return int(microseconds[0]) / int(microseconds[1])
    return None


def siblings(core: int) -> tuple[int, ...]:
    """The numbers of the logical cores that share this one's physical core, itself included, in ascending order."""
    listed = text_of(CPUS / f"cpu{core}" / "topology" / "thread_siblings_list")  # "0,8" or "0-1"
    ranges = [part.split("-") for part in listed.split(",")]
    if not all(end.isdecimal() for part in ranges for end in part):
        return (core,)
    return tuple(sorted({core, *(n for part in ranges for n in range(int(part[0]), int(part[-1]) + 1))}))


def one_of_each_first(cores: set[int]) -> list[int]:
    """The cores in ascending order, but one of each physical core before the second of any."""

    def place(core: int) -> tuple[int, int]:
        return [one for one in siblings(core) if one in cores].index(core), core

    return sorted(cores, key=place)
