"""Files that get their names only when they are complete."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bench import UserError


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which gets its name only when it is complete; what is no file, as a pipe, is written to at once.

    What a killed process left of it is overwritten. Raises UserError if it cannot be written.
    """
    whole = path if path.exists() and not path.is_file() else path.with_name(f"{path.name}.part")
    try:
        with whole.open("wb") as file:
            yield file
        if whole != path:
            whole.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path}: cannot be written ({reason}); make room, or choose another place") from None
    finally:
        if whole != path:
            whole.unlink(missing_ok=True)
