"""The reader of IDX files: plain, gzip, bzip2, xz, zip; damaged before they are packed, or after."""

import bz2
import functools
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data import DataError, idx
from tests.torture.mutants import Choices, damaged

NAME = "idx"


def zipped(content: bytes) -> bytes:
    with zipfile.ZipFile(stream := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("file-idx", content)
    return stream.getvalue()


FORMS: tuple[Callable[[bytes], bytes], ...] = (bytes, gzip.compress, bz2.compress, lzma.compress, zipped)


@functools.cache
def files() -> tuple[bytes, ...]:
    """Images, labels, floats, one without elements."""
    rng = np.random.default_rng(0)
    arrays = (rng.integers(0, 256, (3, 28, 28), np.uint8), rng.integers(0, 10, 9, np.uint8),
              rng.random((2, 3)), np.zeros((0, 28, 28), np.uint8))  # fmt: skip
    return tuple(idx._header(array) + bytes(idx._elements(array)) for array in arrays)


def make(choices: Choices) -> bytes:
    """A damaged file of one of the forms."""
    content, form = choices.of(files()), choices.of(FORMS)
    if choices.below(2):
        return form(damaged(content, choices, files()))
    return damaged(form(content), choices, files())


def read(path: Path) -> str | None:
    """Read it, and use all elements."""
    try:
        idx.sha256(idx.read(path))
    except DataError as error:
        return str(error)
    return None
