"""Values out of JSON that somebody else may have written: each as it has to be, or an error."""

import math
from typing import Any


def text(value: Any) -> str:
    """A string. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return value


def mapping(value: Any) -> dict[str, Any]:
    """An object. Raises TypeError."""
    if not isinstance(value, dict):
        raise TypeError(f"expected a mapping, found {value!r}")
    return value


def count(value: Any, least: int = 1) -> int:
    """A whole number that fits 64 bits. Raises ValueError."""
    if not isinstance(value, int) or not least <= value < 2**63:
        raise ValueError(f"expected a whole number from {least} below 2^63, found {value!r}")
    return value


def times(values: list[Any], length: int | None = None) -> list[float]:
    """Seconds, finite and not negative; CPU times may be 0. Raises ValueError."""
    times = [float(value) for value in values]
    if not all(math.isfinite(value) and value >= 0 for value in times) or length not in (None, len(times)):
        raise ValueError(f"expected {length or 'some'} times in seconds, found {values!r:.60}")
    return times
