"""Locks, and temporary folders that no run leaves behind: each is locked, and those that nobody locks are removed.

A process that is killed removes nothing. But its locks end with it, so that the next run can tell what it left from
what another run uses.
"""

import contextlib
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "digitbench-temporary-"
LOCKS = Path("/proc/locks")


@contextlib.contextmanager
def folder(parent: Path | None = None) -> Iterator[Path]:
    """Within the `with`, a new folder; before, those are removed that killed runs left beside it.

    parent: where it is made, and which is made if it is absent; None: the system's folder for temporary files.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    parent.mkdir(parents=True, exist_ok=True)
    clear(parent)
    path, held = new_folder(parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if held is not None:
            os.close(held)


def clear(parent: Path) -> None:
    """Remove the folders that killed runs of this user left here."""
    for path in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # it is used, or gone, or another user's, or cannot be locked
            held = opened_alone(path)
            shutil.rmtree(path, ignore_errors=True)
            os.close(held)


def new_folder(parent: Path) -> tuple[Path, int | None]:
    """Make a folder, and lock it until its descriptor is closed. None: there are no locks here, and `clear` leaves it.

    A run that clears at the same moment may be faster than the lock; then another folder is made.
    """
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        try:
            return path, opened_alone(path)
        except (BlockingIOError, FileNotFoundError):
            continue
        except OSError:
            return path, None


def opened_alone(path: Path) -> int:
    """Open and lock this user's folder; return its descriptor.

    Raises BlockingIOError where another process has it locked, FileNotFoundError where it is gone, OSError where it is
    another user's or there are no locks.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, "not possible on Windows")
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        lock(descriptor)
        here = os.fstat(descriptor)
        if not os.path.samestat(here, path.stat()):  # removed, and made anew
            raise FileNotFoundError(path)
        if here.st_uid != os.geteuid():
            raise PermissionError(path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def lock(descriptor: int, wait: bool = False) -> None:
    """Lock a file or folder until its descriptor is closed or the process ends, killed or not.

    Raises BlockingIOError where another process has it locked, unless this shall wait for that; OSError where there are
    no locks.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, "not possible on Windows")
    from fcntl import LOCK_EX, LOCK_NB, flock

    flock(descriptor, LOCK_EX if wait else LOCK_EX | LOCK_NB)


def holder(path: Path) -> int | None:
    """The number of the process that has this file locked; None where the system does not say, or none has."""
    try:
        there, lines = path.stat(), LOCKS.read_text().splitlines()
    except OSError:
        return None
    place = f"{os.major(there.st_dev):02x}:{os.minor(there.st_dev):02x}:{there.st_ino}"
    for line in lines:  # "1: FLOCK  ADVISORY  WRITE 8689 fe:00:2147036 0 EOF"
        _, kind, _, _, *others = line.split()
        if kind == "FLOCK" and place in others:
            return int(others[0]) if others[0].isdecimal() and int(others[0]) else None
    return None
