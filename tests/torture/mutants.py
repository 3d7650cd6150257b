"""Damaged files: whole ones in which a few things are changed, all decided by a sequence of bytes.

The bytes come from a seed, or from a fuzzer that keeps those that reach new code. Either way the same bytes make the
same file, so that every failure can be repeated.
"""

import copy
import json
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

NUMBERS = (0, 1, 2, 7, 127, 128, 255, 256, 1023, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1)
WORDS = (b"0", b"-1", b"1e999", b"1e308", b"99999999999999999999", b"9" * 5000, b"nan", b"null", b"[", b'"', b"\0",
         b"\n", b"{", b"'", b"(", b"L", b"\xff\xfe", b"\xe2\x80\xae", b"-", b",", b"x" * 3000)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 255, 2**31, 2**53, 2**63, 2**64, 10**30, 0.0, -0.5, 0.5, 1.5, 1e-320, 1e-12, 1e100,
    1e308, -1e308, math.nan, math.inf, "", "x", "0", "text with\nlines\x1b[31m\u202e", "y" * 2000, "\ud800",
    "/home/someone/file", "2026-02-30", "2026-01-01T00:00:00", [], {}, [None], [[]], [0], [1e308, 1e308], {"": None},
    {"a": {"b": []}}, ["z"] * 40,
)  # fmt: skip


class Choices:
    """Decisions read from bytes; once those are used up, always the first possibility."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    @classmethod
    def of_seed(cls, name: str, seed: int, length: int = 64) -> "Choices":
        """Those of a seed, the same on every machine."""
        return cls(random.Random(f"{name} {seed}").randbytes(length))

    def below(self, limit: int) -> int:
        """A whole number from 0, below the limit."""
        if limit <= 1:
            return 0
        size = (limit.bit_length() + 7) // 8
        taken = self.content[self.place : self.place + size]
        self.place += size
        return int.from_bytes(taken, "little") % limit

    def of(self, several: Sequence[Any]) -> Any:
        """One of these."""
        return several[self.below(len(several))]


def damaged(content: bytes, choices: Choices, others: Sequence[bytes] = (b"",)) -> bytes:
    """The content with up to four changes of bytes; others: from which parts are taken over."""
    changed = bytearray(content)
    for _ in range(1 + min(choices.below(4), choices.below(4))):
        place = choices.below(len(changed) + 1)
        if choices.below(2):  # headers are where most decisions are made
            place = min(place, choices.below(1 + min(len(changed), 400)))
        choices.of(CHANGES)(changed, place, choices, choices.of(others))
    return bytes(changed)


def flip(changed: bytearray, place: int, choices: Choices, _: bytes) -> None:
    if place < len(changed):
        changed[place] ^= 1 << choices.below(8)


def replace(changed: bytearray, place: int, choices: Choices, _: bytes) -> None:
    if place < len(changed):
        changed[place] = choices.below(256)


def number(changed: bytearray, place: int, choices: Choices, _: bytes) -> None:
    size, value = choices.of((1, 2, 4, 8)), choices.of(NUMBERS)
    packed = (value % 2 ** (8 * size)).to_bytes(size, choices.of(("big", "little")))
    changed[place : place + size] = packed


def remove(changed: bytearray, place: int, choices: Choices, _: bytes) -> None:
    del changed[place : place + 1 + choices.below(choices.of((4, 64, 4096)))]


def repeat(changed: bytearray, place: int, choices: Choices, _: bytes) -> None:
    part = changed[place : place + 1 + choices.below(64)]
    changed[place:place] = part * (1 + choices.below(choices.of((2, 2, 500))))


def word(changed: bytearray, place: int, choices: Choices, _: bytes) -> None:
    text = choices.of(WORDS)
    changed[place : place + choices.below(8)] = text


def cut(changed: bytearray, place: int, choices: Choices, _: bytes) -> None:
    del changed[place:]


def splice(changed: bytearray, place: int, choices: Choices, other: bytes) -> None:
    changed[place:] = other[choices.below(len(other) + 1) :]


Change = Callable[[bytearray, int, Choices, bytes], None]
CHANGES: tuple[Change, ...] = (flip, replace, number, remove, repeat, word, cut, splice)


def damaged_json(document: Any, choices: Choices) -> Any:
    """The document with up to three values replaced, removed or moved. It is changed in place."""
    for _ in range(1 + min(choices.below(3), choices.below(3))):
        holder = document
        keys = keys_of(holder)
        while keys and keys_of(below := holder[choices.of(keys)]) and choices.below(5):
            holder, keys = below, keys_of(below)
        if keys:
            change_json(holder, choices.of(keys), choices)
    return document


def keys_of(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []


def change_json(holder: Any, key: Any, choices: Choices) -> None:
    """Change a value: remove, move or replace it; most often by one of its own type, which readers rather accept."""
    what, old = choices.below(8), holder[key]
    if what == 0:
        del holder[key]
    elif what == 1:
        holder[key] = copy.deepcopy(holder[choices.of(keys_of(holder))])
    elif what == 2 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(old))
    elif what == 2:
        holder[choices.of(("", "x", "kind", "race", "floor", key.upper()))] = holder.pop(key)
    elif what == 3 and isinstance(old, int | float):
        holder[key] = old * choices.of((-1, 0, 2, 10**6, 10**12, 1e-6, 1e50, 1e-50))
    elif what < 7:
        alike = [value for value in VALUES if type(value) is type(old)]
        holder[key] = copy.deepcopy(choices.of(alike or VALUES))
    else:
        holder[key] = copy.deepcopy(choices.of(VALUES))


def as_json(document: Any) -> bytes:
    """As text in ASCII; NaN as Python writes it."""
    return json.dumps(document).encode()
