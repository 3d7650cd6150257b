"""The IDX reader and writer: every type, gzip and plain, and every kind of invalid file."""

import bz2
import gzip
import hashlib
import io
import lzma
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from data import archives, idx
from data.digits import DataError

# The format's own table of types: (type code, struct's letter, NumPy's dtype on disk).
TYPES = [
    (0x08, "B", ">u1"),
    (0x09, "b", ">i1"),
    (0x0B, "h", ">i2"),
    (0x0C, "i", ">i4"),
    (0x0D, "f", ">f4"),
    (0x0E, "d", ">f8"),
]
# uint8 of shape (2, 3), written by hand.
SMALL = bytes.fromhex("0000 08 02 00000002 00000003") + bytes([0, 1, 2, 253, 254, 255])
SMALL_ARRAY = np.array([[0, 1, 2], [253, 254, 255]], np.uint8)


def zipped(content: bytes, name: str = "file-idx", *others: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in (name, *others):
            archive.writestr(member, content)
    return buffer.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lambda content: lzma.compress(content, preset=0),  # a small window, which a reader allocates
    "zip": zipped,
}
FORMS = {"plain": bytes, **PACKED}


def saved(folder: Path, content: bytes | bytearray, name: str = "file-idx") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def error_of(path: Path) -> str:
    with pytest.raises(idx.IDXError) as caught:
        idx.read(path, remedy="REMEDY")
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith("; REMEDY")
    assert "\n" not in message
    return message


# --- valid files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("code", "letter", "dtype"), TYPES)
def test_reads_every_type(tmp_path: Path, code: int, letter: str, dtype: str, form: str) -> None:
    values = (0, 1, 100, 7) if letter in "B" else (0, -1, 100, -7)
    content = bytes([0, 0, code, 2]) + struct.pack(f">II4{letter}", 2, 2, *values)
    array = idx.read(saved(tmp_path, FORMS[form](content)))
    assert array.dtype == np.dtype(dtype)
    assert array.tolist() == [[values[0], values[1]], [values[2], values[3]]]
    assert not array.flags.writeable
    assert isinstance(array, np.memmap) is (form == "plain")


@pytest.mark.parametrize("array", [SMALL_ARRAY, np.arange(24.0).reshape(2, 3, 4), np.array([-2, 300], np.int16)])
def test_write_then_read(tmp_path: Path, array: NDArray[Any]) -> None:
    path = tmp_path / "file"
    idx.write(path, array)
    again = idx.read(path)
    assert again.dtype.newbyteorder("=") == array.dtype
    assert np.array_equal(again, array)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_writes_the_published_form(tmp_path: Path) -> None:
    idx.write(tmp_path / "file", SMALL_ARRAY)
    assert (tmp_path / "file").read_bytes() == SMALL
    idx.write(tmp_path / "file", np.array([1, -1], "<i4"))
    assert (tmp_path / "file").read_bytes() == bytes.fromhex("00000c01 00000002 00000001 ffffffff")


def test_writes_arrays_that_are_not_contiguous(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4).T[::2]
    idx.write(tmp_path / "file", array)
    assert np.array_equal(idx.read(tmp_path / "file"), array)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(), (0,), (0, 28, 28), (3, 0)])
def test_no_dimension_and_no_element(tmp_path: Path, shape: tuple[int, ...], form: str) -> None:
    path = tmp_path / "file"
    idx.write(path, np.full(shape, 7, np.uint8))
    path.write_bytes(FORMS[form](path.read_bytes()))
    array = idx.read(path)
    assert array.shape == shape
    assert array.tolist() == np.full(shape, 7).tolist()
    assert not array.flags.writeable


@pytest.mark.parametrize("form", PACKED)
def test_compression_is_recognised_by_content_not_by_name(tmp_path: Path, form: str) -> None:
    assert np.array_equal(idx.read(saved(tmp_path, PACKED[form](SMALL), "plain")), SMALL_ARRAY)
    assert np.array_equal(idx.read(saved(tmp_path, SMALL, f"plain.{form}")), SMALL_ARRAY)


def test_folders_in_a_zip_archive_and_the_files_that_macos_adds_do_not_count(tmp_path: Path) -> None:
    content = zipped(SMALL, "raw/", "raw/file-idx", "__MACOSX/raw/._file-idx")
    assert np.array_equal(idx.read(saved(tmp_path, content)), SMALL_ARRAY)


@pytest.mark.parametrize(("others", "found"), [(["a", "b", "c"], 4), (["b"], 2)])
def test_a_zip_archive_of_several_files(tmp_path: Path, others: list[str], found: int) -> None:
    message = error_of(saved(tmp_path, zipped(SMALL, "file", *others)))
    assert f"expected a zip archive of one file, found {found} in it; unpack it" in message


def test_an_empty_zip_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "empty", "w"):
        pass
    assert "expected a zip archive of one file, found 0 in it" in error_of(tmp_path / "empty")


def test_a_zip_archive_whose_member_has_no_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "nameless", "w") as archive:
        archive.writestr(zipfile.ZipInfo(""), SMALL)
    assert "expected a whole zip file, found: a member without a name" in error_of(tmp_path / "nameless")


def test_an_encrypted_zip_archive(tmp_path: Path) -> None:
    content = bytearray(zipped(SMALL))
    for place in (content.index(b"PK\3\4") + 6, content.index(b"PK\1\2") + 8):
        content[place] |= 1  # the flag
    assert "expected a whole zip file, found: File 'file-idx' is encrypted" in error_of(saved(tmp_path, content))


def test_gzip_of_several_members_is_one_file(tmp_path: Path) -> None:
    content = gzip.compress(SMALL[:10]) + gzip.compress(SMALL[10:])
    assert np.array_equal(idx.read(saved(tmp_path, content)), SMALL_ARRAY)


@pytest.mark.parametrize(("code", "letter", "dtype"), TYPES)
def test_checksum_is_that_of_the_plain_file(tmp_path: Path, code: int, letter: str, dtype: str) -> None:
    content = bytes([0, 0, code, 1]) + struct.pack(f">I3{letter}", 3, 5, 6, 7)
    path = saved(tmp_path, content)
    expected = hashlib.sha256(content).hexdigest()
    assert idx.sha256(idx.read(path)) == expected
    assert idx.sha256(np.array([5, 6, 7], np.dtype(dtype).newbyteorder("<"))) == expected


def test_checksum_depends_on_the_shape() -> None:
    assert idx.sha256(SMALL_ARRAY) != idx.sha256(SMALL_ARRAY.reshape(3, 2))


# --- invalid files ---------------------------------------------------------------------------------------


def test_error_is_a_data_error() -> None:
    assert issubclass(idx.IDXError, DataError)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("content", "found", "expected"),
    [
        (b"", "cut after 0 bytes", "expected an IDX header of at least 4"),
        (SMALL[:3], "cut after 3 bytes", "expected an IDX header of at least 4"),
        (SMALL[:4], "cut after 4 bytes", "expected a header of 12 for 2 dimensions"),
        (SMALL[:11], "cut after 11 bytes", "expected a header of 12 for 2 dimensions"),
        (SMALL[:12], "cut: has 0 bytes", "expected 6 for uint8 of shape (2, 3)"),
        (SMALL[:-1], "cut: has 5 bytes", "expected 6 for uint8 of shape (2, 3)"),
        (SMALL + b"\0", "too long: has at least 7 bytes", "expected 6 for uint8 of shape (2, 3)"),
        (b"\x01" + SMALL[1:], "begins with the bytes 01 00", "expected 00 00"),
        (b"\x89PNG\r\n\x1a\n", "not an IDX file: begins with the bytes 89 50", "expected 00 00"),
        (b"label,pixel0\n5,0\n", "not an IDX file: begins with the bytes 6c 61", "expected 00 00"),
        (SMALL[:2] + b"\x07" + SMALL[3:], "unknown type code 0x07", "expected one of 0x08, 0x09, 0x0B"),
        (SMALL[:2] + b"\x0a" + SMALL[3:], "unknown type code 0x0A", "expected one of 0x08, 0x09, 0x0B"),
        (bytes([0, 0, 8, 65]) + b"\0\0\0\1" * 65 + b"\0", "65 dimensions", "expected at most 64"),
    ],
)
def test_bad_file(tmp_path: Path, content: bytes, found: str, expected: str, form: str) -> None:
    message = error_of(saved(tmp_path, FORMS[form](content)))
    assert found in message
    assert expected in message


@pytest.mark.parametrize("kept", [6, 20, -30, -9, -1])
@pytest.mark.parametrize("form", PACKED)
def test_cut_compressed_file(tmp_path: Path, form: str, kept: int) -> None:
    message = error_of(saved(tmp_path, PACKED[form](SMALL)[:kept]))
    assert f"expected a whole {form} file, found: " in message


@pytest.mark.parametrize(("form", "place"), [("gzip", -8), ("bzip2", 10), ("xz", -40), ("zip", 14)])
def test_compressed_file_with_a_wrong_checksum(tmp_path: Path, form: str, place: int) -> None:
    content = bytearray(PACKED[form](SMALL))
    if form == "zip":
        place = content.index(b"PK\1\2") + 16  # the directory's copy counts
    content[place] ^= 1
    assert f"expected a whole {form} file, found: " in error_of(saved(tmp_path, content))


def test_gzip_with_a_damaged_stream(tmp_path: Path) -> None:
    content = gzip.compress(SMALL)
    damaged = content[:10] + b"\xff" * 8 + content[18:]
    assert "expected a whole gzip file" in error_of(saved(tmp_path, damaged))


def test_gzip_with_something_after_it(tmp_path: Path) -> None:
    assert "Not a gzipped file" in error_of(saved(tmp_path, gzip.compress(SMALL) + b"garbage"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sizes", [(2**32 - 1,), (2**31, 2**31), (2**32 - 1,) * 60, (0, *(2**32 - 1,) * 3)])
def test_huge_announced_sizes_cost_no_memory(tmp_path: Path, sizes: tuple[int, ...], form: str) -> None:
    content = bytes([0, 0, 0x0E, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + bytes(100)
    path = saved(tmp_path, FORMS[form](content))
    tracemalloc.start()
    try:
        message = error_of(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "expected" in message
    assert peak < 4 * idx.CHUNK


BOMB = bytes(50 * 2**20)
BOMBS = {
    "gzip": lambda: gzip.compress(SMALL + BOMB, compresslevel=1),
    "bzip2": lambda: bz2.compress(SMALL + BOMB[: 10 * 2**20], compresslevel=1),
    "xz": lambda: lzma.compress(SMALL + BOMB[: 10 * 2**20], preset=0),
    "zip": lambda: zipped(SMALL + BOMB),
}


@pytest.mark.parametrize("form", BOMBS)
def test_a_bomb_is_not_decompressed(tmp_path: Path, form: str) -> None:
    path = saved(tmp_path, BOMBS[form]())
    tracemalloc.start()
    try:
        message = error_of(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "too long" in message
    assert peak < 4 * idx.CHUNK


def test_a_disk_that_fails_is_no_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(stream: gzip.GzipFile, size: int) -> bytes:
        raise OSError(5, "Input/output error")

    path = saved(tmp_path, gzip.compress(SMALL))
    monkeypatch.setattr(gzip.GzipFile, "read", read)
    assert error_of(path) == f"{path}: cannot be read (Input/output error); REMEDY"


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "cannot be read (No such file" in error_of(tmp_path / "absent")
    assert "cannot be read (Is a directory)" in error_of(tmp_path)


@pytest.mark.parametrize(
    ("name", "reason"), [("x" * 300, "File name too long"), ("x/" * 3000, "File name too long"), ("a\0b", "null byte")]
)
def test_impossible_paths(name: str, reason: str) -> None:
    assert reason in error_of(Path(name))


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64", "float16"])
def test_a_type_that_the_format_lacks(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(idx.IDXError, match=f"{dtype} has no IDX type, expected one of uint8, "):
        idx.write(tmp_path / "file", np.zeros(3, dtype))
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, SMALL)

    def full_disk(array: object) -> memoryview:
        raise OSError("No space left on device")

    monkeypatch.setattr(idx, "_elements", full_disk)
    with pytest.raises(OSError, match="No space left"):
        idx.write(path, np.zeros(3, np.uint8))
    assert path.read_bytes() == SMALL
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("form", PACKED)
def test_what_expands_too_far_is_not_unpacked(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by its header; up to a size that does no harm, an array may be packed as well as can be."""
    shape = (10_000,)
    path = saved(tmp_path, PACKED[form](bytes([0, 0, 8, 1]) + struct.pack(">I", *shape) + bytes(*shape)))
    assert idx.read(path).shape == shape
    monkeypatch.setattr(archives, "HARMLESS", 9_999)
    monkeypatch.setattr(archives, "MOST_RATIO", 2)
    stored = path.stat().st_size
    assert f"expected at most 9,999 bytes, found 10,000 announced for uint8 of shape {shape}" in error_of(path)
    monkeypatch.setattr(archives, "MOST_RATIO", -(-10_000 // stored))
    assert idx.read(path).shape == shape
    monkeypatch.setattr(archives, "MOST_BYTES", 9_999)
    assert "expected at most 9,999 bytes, found 10,000 announced" in error_of(path)


@pytest.mark.parametrize(
    ("stored", "most"), [(1, 2**26), (671_088, 2**26), (700_000, 70_000_000), (2**23, 100 * 2**23), (2**24, 2**30)]
)
def test_how_much_may_be_unpacked(stored: int, most: int) -> None:
    assert archives.too_large(most, stored) == ""
    assert archives.too_large(most + 1, stored) == f"expected at most {most:,} bytes, found {most + 1:,} announced"


def test_a_zip_archive_with_a_long_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list would be kept in memory; nor is another end, for archives beyond 4 GB, followed."""
    content = zipped(SMALL)
    monkeypatch.setattr(archives, "LISTED", 54)
    assert np.array_equal(idx.read(saved(tmp_path, content)), SMALL_ARRAY)
    monkeypatch.setattr(archives, "LISTED", 53)
    assert "found: a list of members of more than 53 bytes" in error_of(saved(tmp_path, content))
    monkeypatch.undo()
    end = content.index(b"PK\5\6")
    assert "a list of members of more than" in error_of(
        saved(tmp_path, content[:end] + b"PK\6\7" + bytes(16) + content[end:])
    )


def test_a_dictionary_larger_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_xz(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(idx, "_COMPRESSIONS", (idx._Compression("xz", b"\xfd7zXZ\0", open_xz),))
    assert "expected a whole xz file, found: MemoryError; " in error_of(saved(tmp_path, PACKED["xz"](SMALL)))


def test_a_file_that_is_replaced_stays_as_it_was_mapped(tmp_path: Path) -> None:
    path = saved(tmp_path, SMALL)
    array = idx.read(path)
    saved(tmp_path, bytes(3), "other").replace(path)
    assert np.array_equal(array, SMALL_ARRAY)
