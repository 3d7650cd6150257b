"""The file of `study dialects`, which is written again after each library."""

from pathlib import Path

import pytest

from bench import UserError
from bench.records.dialects import Dialects, write
from tests.helpers.full_disk import full_disk


def test_a_full_disk_leaves_what_was_answered_before(tmp_path: Path) -> None:
    path = tmp_path / "dialects.json"
    content = Dialects(
        schema=1, when="2026-02-03T04:05:06+00:00", command="python -m bench study dialects", machine={},
        data="no digits", notice=None, libraries={}, absent={}, heard=[],
    )  # fmt: skip
    write(path, content)
    before = path.read_bytes()
    with full_disk(10), pytest.raises(UserError, match=r"dialects\.json: cannot be written .* make room"):
        write(path, content)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
