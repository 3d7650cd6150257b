"""NumPy's .npz archives, read without trusting them: nothing is unpickled, and sizes are compared before reading.

An archive is a zip file whose members are .npy files, each one array: a header that gives dtype and shape, then the
elements. Source: "NPY format", https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from data.digits import DataError

MOST_BYTES = 2**31  # of one array; the largest of MNIST's family, of EMNIST ByClass, has 0.55 GB
SUFFIX = ".npy"
READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# What zipfile and NumPy raise for a file that is damaged, encrypted, or compressed in a way that zipfile does not know.
DAMAGED = (ValueError, EOFError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile)


class NPZError(DataError):
    """An archive that is damaged, or an array in it that is too large, no plain array, or cut."""


def names(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays in an archive, in its order; none for a file that is no archive of arrays."""
    try:
        with path.open("rb") as file:
            if file.read(2) != b"PK":
                return ()
            with zipfile.ZipFile(file) as archive:
                members = archive.namelist()
    except (OSError, *DAMAGED):
        return ()
    return tuple(name.removesuffix(SUFFIX) for name in members if name.endswith(SUFFIX))


def read(path: Path, name: str, remedy: str) -> NDArray[Any]:
    """Return the array of this name, read-only. Raises NPZError, with the file, what was expected, and the remedy."""
    where = f"{path}, array {name}"
    try:
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo(name + SUFFIX)
            with archive.open(member) as stream:
                if reason := _refused(stream, member.file_size):
                    raise NPZError(f"{where}: {reason}; {remedy}")
            with archive.open(member) as stream:
                array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    except NPZError:  # a ValueError too
        raise
    except OSError as error:
        raise NPZError(f"{path}: cannot be read ({error.strerror or error}); {remedy}") from None
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NPZError(f"{where}: expected a whole array, found: {reason}; {remedy}") from None
    array.setflags(write=False)
    return array


def _refused(stream: IO[bytes], size: int) -> str:
    """Return why an array is not read, by its header and the size of its member in bytes; "" if it may be read."""
    reader = READERS.get(np.lib.format.read_magic(stream))
    if reader is None:
        return "expected version 1 or 2 of NumPy's format, found another"
    shape, _, dtype = reader(stream)
    if dtype.hasobject or dtype.names is not None:
        return f"expected numbers, found {dtype}, which is never read"
    expected = math.prod(shape) * dtype.itemsize
    if expected > MOST_BYTES:
        return f"expected at most {MOST_BYTES:,} bytes, found {expected:,} for {dtype.name} of shape {shape}"
    if (found := size - stream.tell()) != expected:
        return f"expected {expected:,} bytes for {dtype.name} of shape {shape}, found {found:,}"
    return ""
