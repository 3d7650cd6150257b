"""NumPy's .npz archives, read without trusting them: nothing is unpickled, and sizes are compared before reading.

An archive is a zip file whose members are .npy files, each one array: a header that gives dtype and shape as Python
writes a dict, then the elements. Source: "NPY format",
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. NumPy's own reader of headers is not used: it
runs Python's parser on them, which raises many kinds of errors, warns, and takes memory for what is no header.
"""

import math
import re
import struct
import zipfile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data import archives
from data.digits import DataError
from untrusted import brief, open_plain, reason_of

SUFFIX = ".npy"
MAGIC = b"\x93NUMPY"
LENGTHS = {b"\1\0": struct.Struct("<H"), b"\2\0": struct.Struct("<I")}  # of the header, by version of the format
MOST_HEADER = 4096  # bytes
MOST_DIMENSIONS = 32
HEADER = re.compile(
    r"\{'descr': ?(?P<dtype>'[^']*'|\[.*\]), ?'fortran_order': ?(?P<columns>True|False), ?"
    r"'shape': ?\((?P<shape>(?:\d{1,19}L?, ?)*(?:\d{1,19}L?)?)\),? ?\}\s*"
)
NUMBERS = re.compile(r"'([<>|=]?(?:b1|[iu][1248]|f[248]|U\d{1,6}))'")  # and text, as a saved network has it


class NPZError(DataError):
    """An archive that is damaged, or an array in it that is too large, no plain array, or cut."""


class Refused(ValueError):
    """What was expected of an array, and what was found."""


class Header(NamedTuple):
    """What an .npy file says of its elements."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    by_columns: bool
    """Whether the first index varies fastest."""


def names(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays in an archive, in its order; none for a file that is no archive of arrays."""
    try:
        with open_plain(path) as file:
            if file.read(2) != b"PK":
                return ()
            with archives.open_archive(file) as archive:
                members = archive.namelist()
    except (OSError, *archives.DAMAGED):
        return ()
    return tuple(name.removesuffix(SUFFIX) for name in members if name.endswith(SUFFIX))


def read(path: Path, name: str, remedy: str) -> NDArray[Any]:
    """Return the array of this name, read-only. Raises NPZError, with the file, what was expected, and the remedy."""
    where = f"{path}, array {brief(name, 40)}"
    try:
        with open_plain(path) as file, archives.open_archive(file) as archive:
            return member(archive, name)
    except Refused as error:
        raise NPZError(f"{where}: {error}; {remedy}") from None
    except OSError as error:
        raise NPZError(f"{path}: cannot be read ({reason_of(error)}); {remedy}") from None
    except archives.DAMAGED as error:
        raise NPZError(f"{where}: expected a whole array, found: {reason_of(error)}; {remedy}") from None


def member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Return the array of this name, read-only. Raises Refused, or another of archives.DAMAGED."""
    of_zip = archive.getinfo(name + SUFFIX)
    with archive.open(of_zip) as stream:
        dtype, shape, by_columns = header_of(stream)
        size = math.prod(shape) * dtype.itemsize
        stored = min(of_zip.compress_size, archive.start_dir)  # the list may say more than the file has
        if reason := archives.too_large(size, stored):
            raise Refused(f"{reason} for {dtype.name} of shape {brief(shape)}")
        content = stream.read(size + 1)  # one more, to reach the end, where the checksum is compared
    if len(content) != size:
        more = "at least " * (len(content) > size)
        raise Refused(f"expected {size:,} bytes for {dtype.name} of shape {brief(shape)}, found {more}{len(content):,}")
    return np.ndarray(shape, dtype, content, order="F" if by_columns else "C")


def header_of(stream: IO[bytes]) -> Header:
    """Read the header of an .npy file up to its elements. Raises Refused for another, and for what is no number."""
    start = stream.read(len(MAGIC) + 2)
    if not start.startswith(MAGIC):
        raise Refused(f"expected a whole array, found: the first bytes are {start[:6].hex(' ') or 'missing'}")
    length = LENGTHS.get(start[len(MAGIC) :])
    if length is None:
        raise Refused("expected version 1 or 2 of NumPy's format, found another")
    announced = stream.read(length.size)
    size = length.unpack(announced)[0] if len(announced) == length.size else 0
    if size > MOST_HEADER:
        raise Refused(f"expected a header of at most {MOST_HEADER:,} bytes, found {size:,}")
    text = stream.read(size).decode("latin-1")
    match = HEADER.fullmatch(text)
    if match is None:
        raise Refused(f"expected a whole array, found: the header {brief(text, 60)!r}")
    numbers = NUMBERS.fullmatch(match["dtype"])
    if numbers is None:
        what = "object" if "O" in match["dtype"] else brief(match["dtype"], 60)
        raise Refused(f"expected numbers, found {what}, which is never read")
    dtype = np.dtype(numbers[1])
    shape = tuple(int(size.strip(" L")) for size in match["shape"].split(",") if size.strip())
    # NumPy multiplies the non-zero sizes even when another one is zero.
    if len(shape) > MOST_DIMENSIONS or math.prod(filter(None, shape)) * dtype.itemsize >= 2**63:
        raise Refused(f"expected at most {MOST_DIMENSIONS} dimensions and 2^63 bytes, found {brief(shape)}")
    return Header(dtype, shape, match["columns"] == "True")
