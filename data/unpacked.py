"""Large packed files, unpacked once into the cache, from where they are mapped into memory like plain ones.

What is unpacked in memory has to fit there whole; a file here passes through in pieces. A process that is killed leaves
a piece behind, with a lock that has ended with it: the next one overwrites it.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LARGE = 200_000_000
"""Bytes of an array above which its file is unpacked here instead of in memory."""
MOST_RATIO = 100  # of what is unpacked to what is packed; gzip packs MNIST's images to a fifth, its labels to a half
CACHE = Path(__file__).parent / "cache" / "unpacked"
CHUNK = 2**20


def place_of(packed: IO[bytes]) -> Path:
    """Return where what is unpacked of this open file is kept: a path that changes when the file does.

    It begins with what the same file keeps when it is written anew, or moved.
    """
    state = os.fstat(packed.fileno())
    of_file, of_content = (
        hashlib.sha256(text.encode()).hexdigest()[:12]
        for text in (f"{state.st_dev} {state.st_ino}", f"{state.st_size} {state.st_mtime_ns}")
    )
    return CACHE / f"{of_file}-{of_content}"


def why_not(packed: IO[bytes], size: int) -> str:
    """Return why so many bytes are not unpacked from this open file; "" where they are.

    A packed file may announce anything, and a small one may unpack to what fills a disk.
    """
    stored = os.fstat(packed.fileno()).st_size
    if size > MOST_RATIO * stored:
        return f"expected at most {MOST_RATIO * stored:,} bytes of {stored:,} that are packed, found {size:,} announced"
    CACHE.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(CACHE).free
    return f"expected {size:,} bytes free in {CACHE}, where it is unpacked, found {free:,}" if size > free else ""


def unpack(stream: IO[bytes], header: bytes, size: int, place: Path, name: str, check: Callable[[int], None]) -> None:
    """Write the header and the rest of a stream to a new file, which gets its name only when it is complete.

    size: bytes that are expected after the header; the stream is read to one byte beyond, no further. name: that is
    shown. check: is given
    the number of bytes found, and raises for a wrong one. Older content of the same source is removed. Another process
    that unpacks the same waits for this one. Raises OSError where the folder cannot be written.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.with_name(f"{place.name}.part")) as part:
        if place.is_file():  # by now, by another process
            return
        found = 0
        try:
            part.truncate(0)
            part.write(header)
            with progress(name, size) as advance:
                while chunk := stream.read(min(CHUNK, size + 1 - found)):
                    part.write(chunk)
                    found += len(chunk)
                    advance(len(chunk))
            check(found)
            part.flush()
            Path(part.name).replace(place)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
    for older in place.parent.glob(f"{place.name.partition('-')[0]}-*"):
        if older != place:
            older.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing once no other process has it open so; on Windows without waiting."""
    while True:
        with path.open("ab") as file:
            if sys.platform != "win32":
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX)
                try:
                    same = os.path.samestat(path.stat(), os.fstat(file.fileno()))
                except FileNotFoundError:
                    same = False
                if not same:  # the process that had it has given it its name, or removed it
                    continue
            yield file
            return


@contextmanager
def progress(name: str, size: int) -> Iterator[Callable[[int], None]]:
    """Show how far the unpacking is, on stderr if that is a terminal; gives the function that takes bytes done."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        sys.stderr.write(f"unpacking {name} once, {size / 1e9:.1f} GB\n")
    columns = (TextColumn("unpacking {task.description}, once"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(name, total=size)
        yield lambda advanced: shown.advance(task, advanced)
