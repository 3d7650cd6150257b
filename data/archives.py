"""Zip archives, opened without trusting them; and how far a compressed file may be unpacked."""

import lzma
import struct
import zipfile
import zlib
from typing import IO

MOST_BYTES = 2**30  # of an array; the largest of MNIST's family, of EMNIST ByClass, has 0.55 GB
HARMLESS = 2**26  # bytes; up to this, an array may be packed as well as can be, as blank images are
MOST_RATIO = 100  # beyond that; gzip packs MNIST's images to a fifth, its labels to a half
LISTED = 2**20  # bytes of an archive's list of its members, some ten thousand of them
END = struct.Struct("<4s8xL6x")  # of an archive: signature, counts, length of the list, the rest; without a comment
# What the readers of compressed files raise for one that is damaged, encrypted, or packed in a way they do not know;
# MemoryError: it announces a dictionary, which the unpacker keeps, of gigabytes.
DAMAGED = (ValueError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, KeyError, MemoryError)


def open_archive(file: IO[bytes]) -> zipfile.ZipFile:
    """Open a zip archive whose list of members is short enough to be kept in memory.

    Raises BadZipFile for another, one beyond 4 GB, or one with a member that has no name, and what zipfile raises.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - 2**16 - END.size))
    tail = file.read()
    end = tail.rfind(b"PK\5\6")
    if end < 0 or len(tail) - end < END.size:
        raise zipfile.BadZipFile("no list of members at its end, as one that was cut")
    _, listed = END.unpack_from(tail, end)
    if listed > LISTED or tail[max(0, end - 20) :].startswith(b"PK\6\7"):  # where archives beyond 4 GB have another end
        raise zipfile.BadZipFile(f"a list of members of more than {LISTED:,} bytes")
    archive = zipfile.ZipFile(file)
    if not all(archive.namelist()):
        raise zipfile.BadZipFile("a member without a name")
    return archive


def too_large(announced: int, stored: int) -> str:
    """Return why an array of so many bytes is not unpacked from a file of `stored` bytes; "" where it may be."""
    most = min(MOST_BYTES, max(HARMLESS, MOST_RATIO * stored))
    return f"expected at most {most:,} bytes, found {announced:,} announced" if announced > most else ""
