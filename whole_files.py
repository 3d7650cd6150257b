"""Files that get their names only when they are complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import temporary
from bench import UserError
from untrusted import kind_of


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which gets its name only when it is complete; what is no file, as a pipe, is written to at once.

    Two processes that write it at once do not disturb each other: it is whole, of the later one. What a killed process
    left is removed. Raises UserError if it cannot be written.
    """
    try:
        if kind_of(path) == "another thing":
            with path.open("wb") as file:
                yield file
            return
        # A folder that is absent is an error, and not made. Path.stat would take a file for one.
        os.stat(f"{path.parent}{os.sep}")  # noqa: PTH116
        with temporary.folder(path.parent) as folder:
            with (folder / path.name).open("wb") as file:
                yield file
            (folder / path.name).replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path}: cannot be written ({reason}); make room, or choose another place") from None
