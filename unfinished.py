"""Temporary folders for files that are not whole yet; what a killed run left of them is removed by the next."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = ".unfinished-"


@contextlib.contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A temporary folder within `folder`, which is made if it is absent, and on the same disk, so that files can be
    moved out of it once they are whole. It is gone afterwards; killed runs' are removed at once.

    Raises OSError if it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder), tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder) as made:
        yield Path(made)


def clear(folder: Path) -> None:
    """Remove what killed runs left in a folder, unless it is absent, or another run is at work there."""
    with contextlib.suppress(OSError), held(folder):
        pass


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Within the `with`, no other run removes temporary folders from this one. Raises OSError if it is absent.

    Each run that is at work has a shared lock on the folder; one that gets it alone removes what others left. Where
    the file system has no locks, nothing is removed.
    """
    if sys.platform == "win32":  # a folder cannot be opened there
        yield
        return
    from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock

    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            flock(opened, LOCK_EX | LOCK_NB)
            for left in folder.glob(f"{PREFIX}*"):
                shutil.rmtree(left, ignore_errors=True)
        with contextlib.suppress(OSError):
            flock(opened, LOCK_SH)
        yield
    finally:
        os.close(opened)  # and with it the lock
