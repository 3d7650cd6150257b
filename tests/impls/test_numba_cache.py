"""numba's cache on a full disk: a line says that nothing is kept, and what was compiled is used."""

import errno
from types import SimpleNamespace

import pytest

from impls import numba_cache


def test_code_that_cannot_be_kept_is_named_and_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    cache = SimpleNamespace(cache_path="some/folder", flush=full)
    monkeypatch.setattr(numba_cache, "save", full)
    numba_cache.save_or_tell(cache, None, None)
    (line,) = caplog.messages
    assert line.startswith("some/folder: compiled code cannot be kept there (No space left on device); make room, or")
    monkeypatch.setattr(numba_cache, "read", full)
    assert numba_cache.read_or_none(cache, None, None) is None
