"""What is attacked: a module for each reader, with `NAME`, `make` and `read`."""

from pathlib import Path
from typing import Protocol

from tests.torture.mutants import Choices


class Target(Protocol):
    """A reader under attack."""

    @property
    def NAME(self) -> str:
        """What it is called in options and reports."""

    def make(self, choices: Choices, /) -> bytes:
        """A damaged file."""

    def read(self, path: Path, /) -> str | None:
        """Read a file; return the message of the error that the reader promises, None where it could be read."""
