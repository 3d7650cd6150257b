"""The IDX format, in which LeCun, Cortes and Burges published MNIST: reader, writer, checksum.

A file is: two zero bytes, one byte for the type, one byte for the number of dimensions, each dimension
as a big-endian uint32, then the elements, big-endian, the last dimension varying fastest; nothing after.
Source: "The IDX file format" at the end of http://yann.lecun.com/exdb/mnist/.
"""

import bz2
import gzip
import hashlib
import lzma
import math
import secrets
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data import archives, unpacked
from data.digits import DataError
from untrusted import open_plain, reason_of

TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
MOST_DIMENSIONS = 64  # NumPy's limit; the format allows 255
CHUNK = 2**20


class IDXError(DataError):
    """A file that is damaged, truncated, of another format, longer than its header says, or unreadable."""


class _Malformed(Exception):
    """What was found and what was expected; `read` adds the file and the remedy."""


class _Compression(NamedTuple):
    """A format in which a whole IDX file may be packed."""

    name: str
    magic: bytes  # with which it begins
    open: Callable[[IO[bytes]], Any]  # returns the stream of what is packed in a file


def _only_member(file: IO[bytes]) -> IO[bytes]:
    """Open the only file in a zip archive; macOS adds a folder of its own to some."""
    archive = archives.open_archive(file)
    members = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        raise _Malformed(f"expected a zip archive of one file, found {len(members):,} in it; unpack it")
    return archive.open(members[0].filename)


_COMPRESSIONS = (
    _Compression("gzip", b"\x1f\x8b", gzip.open),
    _Compression("bzip2", b"BZh", bz2.open),
    _Compression("xz", b"\xfd7zXZ\0", lzma.open),
    _Compression("zip", b"PK", _only_member),
)


def read(path: str | Path, remedy: str = "replace it by a whole copy") -> NDArray[Any]:
    """Return the array in an IDX file: plain, gzip, bzip2, xz, or alone in a zip archive.

    Compression is recognised by the first bytes, not by the name. The array is read-only and of the dtype on disk, so
    big-endian. A plain file is memory-mapped, and a packed one of more than `unpacked.LARGE` bytes is unpacked into the
    cache first, once. A header that announces more than the file has costs no memory: sizes
    are compared before anything is allocated, and nothing is decompressed further than one byte beyond what the
    header announces, nor where that is more than `archives.too_large` permits. Raises IDXError, which names the file,
    what was expected and found, and the remedy given here; also for what is no plain file, such as a named pipe.
    """
    try:
        with open_plain(path) as file:
            start = file.read(max(len(one.magic) for one in _COMPRESSIONS))
            file.seek(0)
            compression = next((one for one in _COMPRESSIONS if start.startswith(one.magic)), None)
            return _decompress(file, compression) if compression else _map(file)
    except _Malformed as error:
        raise IDXError(f"{path}: {error}; {remedy}") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise IDXError(f"{path}: cannot be read ({reason_of(error)}); {remedy}") from None


def write(path: str | Path, array: NDArray[Any]) -> None:
    """Write an array as a plain IDX file; the name appears only when the file is complete.

    Raises IDXError for a dtype that the format does not have, OSError if the folder cannot be written.
    """
    path = Path(path)
    header = _header(array)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with partial.open("xb") as file:
            file.write(header)
            file.write(_elements(array))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256(array: NDArray[Any]) -> str:
    """Return the SHA-256 of the plain IDX file of this array, without writing it.

    An array has exactly one IDX file, so this is also the checksum of the file from which it was read.
    """
    digest = hashlib.sha256(_header(array))
    digest.update(_elements(array))
    return digest.hexdigest()


def _map(file: IO[bytes]) -> NDArray[Any]:
    dtype, shape = _read_header(file)
    start = file.tell()
    _check_length(file.seek(0, 2) - start, dtype, shape)
    return np.memmap(file, dtype, "r", start, shape)


def _decompress(file: IO[bytes], compression: _Compression) -> NDArray[Any]:
    content = bytearray()
    stored = file.seek(0, 2)
    file.seek(0)
    try:
        with compression.open(file) as stream:
            dtype, shape = _read_header(stream)
            size = math.prod(shape) * dtype.itemsize
            if size > unpacked.LARGE:
                return _unpack(file, stream, dtype, shape)
            if reason := archives.too_large(size, stored):
                raise _Malformed(f"{reason} for {dtype.name} of shape {_abridged(shape)}")
            enough = size + 1  # one more, to reach the end, where checksums are compared
            while chunk := stream.read(min(CHUNK, enough - len(content))):
                content += chunk
    except (OSError, *archives.DAMAGED) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of the format
            raise
        raise _Malformed(f"expected a whole {compression.name} file, found: {reason_of(error)}") from None
    _check_length(len(content), dtype, shape)
    array: NDArray[Any] = np.ndarray(shape, dtype, content)
    array.setflags(write=False)
    return array


def _unpack(file: IO[bytes], stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Unpack what is left of a stream into the cache, unless it is there already, and map that."""
    place, size = unpacked.place_of(file), math.prod(shape) * dtype.itemsize
    if not place.is_file():
        header, name = _header_of(dtype, shape), Path(str(file.name)).name
        try:
            if reason := unpacked.why_not(file, size):
                raise _Malformed(f"{reason} for {dtype.name} of shape {_abridged(shape)}")
            unpacked.unpack(stream, header, size, place, name, lambda found: _check_length(found, dtype, shape))
        except OSError as error:
            if error.errno is None:  # of the format
                raise
            raise _Malformed(
                f"cannot be unpacked into {place.parent}, where it takes {size:,} bytes ({error.strerror}); unpack it "
                "elsewhere and give that"
            ) from None
    with place.open("rb") as plain:
        return _map(plain)


def _read_header(stream: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = stream.read(4)
    if len(magic) < 4:
        raise _Malformed(f"cut after {len(magic)} bytes, expected an IDX header of at least 4")
    if magic[:2] != b"\0\0":
        raise _Malformed(f"not an IDX file: begins with the bytes {magic[:2].hex(' ')}, expected 00 00")
    code, dimensions = magic[2], magic[3]
    if code not in TYPES:
        known = ", ".join(f"0x{known:02X}" for known in TYPES)
        raise _Malformed(f"unknown type code 0x{code:02X}, expected one of {known}")
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise _Malformed(
            f"cut after {4 + len(sizes)} bytes, expected a header of {4 + 4 * dimensions} for {dimensions} dimensions"
        )
    shape = struct.unpack(f">{dimensions}I", sizes)
    dtype = TYPES[code]
    # NumPy multiplies the non-zero sizes even when another one is zero.
    if dimensions > MOST_DIMENSIONS or math.prod(filter(None, shape)) * dtype.itemsize > sys.maxsize:
        raise _Malformed(
            f"{dimensions} dimensions of sizes {_abridged(shape)}, expected at most {MOST_DIMENSIONS} "
            "dimensions and fewer bytes than a machine can address"
        )
    return dtype, shape


def _check_length(found: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    expected = math.prod(shape) * dtype.itemsize
    if found != expected:
        what = "cut: has" if found < expected else "too long: has at least"
        raise _Malformed(
            f"{what} {found:,} bytes after the header, expected {expected:,} "
            f"for {dtype.name} of shape {_abridged(shape)}"
        )


def _abridged(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) <= 8 else f"({', '.join(map(str, shape[:8]))}, ...)"


def _header(array: NDArray[Any]) -> bytes:
    codes = {dtype: code for code, dtype in TYPES.items()}
    code = codes.get(array.dtype.newbyteorder(">"))
    if code is None:
        known = ", ".join(dtype.name for dtype in codes)
        raise IDXError(f"an array of {array.dtype} has no IDX type, expected one of {known}; convert it first")
    return _header_of(array.dtype, array.shape)


def _header_of(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    codes = {dtype: code for code, dtype in TYPES.items()}
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, codes[dtype.newbyteorder(">")], len(shape), *shape)


def _elements(array: NDArray[Any]) -> memoryview:
    """Return the array's bytes in big-endian order, flat; a view where they are stored so."""
    big_endian = array.astype(array.dtype.newbyteorder(">"), order="C", copy=False)
    return big_endian.reshape(-1).view(np.uint8).data
