"""A disk that is full, for this process."""

import contextlib
from collections.abc import Iterator

import pytest

resource = pytest.importorskip("resource", reason="this system limits no sizes of files")


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Within the `with`, no file grows beyond `size` bytes: to write more raises OSError, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
