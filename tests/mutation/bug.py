"""What the harness puts into the code: one named bug."""

from typing import NamedTuple


class Bug(NamedTuple):
    """A mistake that a programmer might make."""

    name: str
    file: str
    code: str  # as it is; it occurs once in the file
    bug: str  # what stands in its place
    tests: tuple[str, ...]  # of which one has to fail
