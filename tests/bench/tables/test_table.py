"""How tables write numbers, times and counts."""

import pytest

from bench.tables.table import duration, plural


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0.00 s"),
        (123.4, "123 s"),
        (0.1, "0.100 s"),
        (0.099951, "0.100 s"),
        (0.0999, "99.9 ms"),
        (0.00637, "6.37 ms"),
        (0.0001, "0.100 ms"),
        (0.0000999, "99.9 µs"),
        (2.5e-6, "2.50 µs"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("n", "words"), [(0, "0 seeds"), (1, "1 seed"), (1234, "1,234 seeds")])
def test_plural(n: int, words: str) -> None:
    assert plural(n, "seed") == words
