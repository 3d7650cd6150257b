"""What each reader of a file that others made begins with: it opens nothing but a plain file, and quotes it briefly."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Literal

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
NOT_WAITING = getattr(os, "O_NONBLOCK", 0)  # a named pipe would be opened only once another process writes to it


@contextmanager
def open_plain(path: str | Path, most: int | None = None) -> Iterator[BufferedReader]:
    """Open a plain file to read bytes, in a `with`; never waits, as a named pipe or a device could let it.

    most: bytes that the file may have. Raises OSError, with the reason in `strerror`, where it cannot be opened, is no
    plain file (nor a link to one), or is larger; ValueError for a path with a NUL in it.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | NOT_WAITING)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, f"expected a plain file, found {KINDS.get(stat.S_IFMT(status.st_mode), 'another thing')}")
        if most is not None and status.st_size > most:
            raise OSError(0, f"expected at most {most:,} bytes, found {status.st_size:,}")
        yield file


def read_plain(path: str | Path, most: int) -> bytes:
    """Return the content of a plain file; raises as `open_plain`, also for one that grows beyond `most` meanwhile."""
    with open_plain(path, most) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(0, f"expected at most {most:,} bytes, found more")
    return content


def kind_of(path: str | Path) -> Literal["file", "folder", "another thing"] | None:
    """What lies at a path, or where its link leads; None: nothing, or what cannot be looked at.

    So it is with a name that is too long, or in a folder that is closed to this user: there, Path.is_file and its like
    raise OSError before Python 3.14.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return None
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "another thing"


def reason_of(error: Exception) -> str:
    """Why a file was not read, in a line of at most 120 characters: what the system or the reader says."""
    return brief(getattr(error, "strerror", None) or error) or type(error).__name__


def brief(text: object, most: int = 120) -> str:
    """The text in one line of at most so many characters, none of them a control character."""
    line = " ".join(str(text).split())
    line = line if len(line) <= most else f"{line[: most - 1]}…"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
