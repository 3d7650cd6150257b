"""A picture file of any kind is read as a person sees it."""

import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from data import DataError
from data.picture import _reduced, read_picture
from data.preparation import as_mnist
from tests.helpers import pictures
from tests.helpers.pictures import Pixels, largest_difference

SIDE = 200


def seven(width: int = SIDE, height: int = SIDE, **how: Any) -> Image.Image:
    """A 7 on a sheet that is no larger than it has to be for what is tested here."""
    return pictures.seven(width, height, **({"left": 65, "top": 50, "size": 90} | how))


def image_of(picture: Image.Image, path: Path, **how: Any) -> Pixels:
    """In MNIST's form, through a file."""
    picture.save(path, **how)
    return as_mnist(read_picture(path).grey, path).image


def error_of(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Pixels:
    return image_of(seven(), tmp_path_factory.mktemp("expected") / "7.png")


SHADES = 1 - np.asarray(seven()) / 255  # 0 on paper, 1 in ink


# --- colours and numbers -----------------------------------------------------------------------------------


def test_grey_values_are_kept(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for name, picture in (("grey", Image.fromarray(values)), ("rgb", Image.fromarray(values).convert("RGB"))):
        picture.save(tmp_path / f"{name}.png")
        assert np.array_equal(read_picture(tmp_path / f"{name}.png").grey, values)


@pytest.mark.parametrize(
    "kind",
    [
        "1.png",
        "P.png",
        "LA.png",
        "RGB.png",
        "P.gif",
        "L.bmp",
        "L.jpg",
        "RGB.jpg",
        "CMYK.jpg",
    ],
)
def test_kinds_of_pictures(kind: str, expected: Pixels, tmp_path: Path) -> None:
    assert largest_difference(image_of(seven().convert(kind.partition(".")[0]), tmp_path / kind), expected) <= 2


@pytest.mark.parametrize(
    ("paper", "ink"),
    [
        ((200, 40, 40), (0, 0, 0)),
        ((40, 60, 200), (10, 10, 10)),
        ((150, 190, 240), (255, 255, 255)),
        ((255, 255, 255), (250, 220, 40)),
        ((40, 160, 60), (160, 40, 60)),  # as much more red as less green
        ((255, 255, 255), (0, 0, 0)),
    ],
)
def test_coloured_paper_and_ink(
    paper: tuple[int, int, int], ink: tuple[int, int, int], expected: Pixels, tmp_path: Path
) -> None:
    colours = np.array(paper) + SHADES[..., None] * np.subtract(ink, paper)
    assert largest_difference(image_of(Image.fromarray(colours.astype(np.uint8)), tmp_path / "7.png"), expected) <= 1


@pytest.mark.parametrize(("paper", "ink"), [(60000, 6000), (65535, 0), (4095, 0), (300, 3000)])
def test_16_bits(paper: int, ink: int, expected: Pixels, tmp_path: Path) -> None:
    values = (paper + SHADES * (ink - paper)).astype(np.uint16)
    assert largest_difference(image_of(Image.fromarray(values), tmp_path / "7.png"), expected) <= 1


@pytest.mark.parametrize("ink", [(255, 255, 255), (250, 220, 40), (0, 0, 0), (120, 0, 60)])
def test_ink_on_transparency(ink: tuple[int, int, int], expected: Pixels, tmp_path: Path) -> None:
    drawn = np.concatenate([np.tile(ink, (SIDE, SIDE, 1)), 255 * SHADES[..., None]], axis=2).astype(np.uint8)
    assert largest_difference(image_of(Image.fromarray(drawn), tmp_path / "7.png"), expected) <= 1


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (30, 220)])
def test_paper_with_a_transparent_edge(paper: int, ink: int, expected: Pixels, tmp_path: Path) -> None:
    sheet = seven(paper=paper, ink=ink).convert("RGBA")
    opacity = np.zeros((SIDE, SIDE), np.uint8)
    opacity[20:-10, 15:-20] = 255
    sheet.putalpha(Image.fromarray(opacity))
    assert largest_difference(image_of(sheet, tmp_path / "7.png"), expected) <= 1


def test_nothing_but_transparency_is_empty(tmp_path: Path) -> None:
    assert "found an empty picture" in error_of(lambda: image_of(Image.new("RGBA", (40, 40)), tmp_path / "7.png"))


# --- which way up, how large, which page -------------------------------------------------------------------

# How a picture of each EXIF orientation is stored, from the upright one.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_the_orientation_of_a_telephone(orientation: int, suffix: str, expected: Pixels, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = seven().transpose(STORED[orientation])
    assert largest_difference(image_of(turned, tmp_path / f"7.{suffix}", exif=exif), expected) <= 2


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_large_picture_is_reduced(suffix: str, tmp_path: Path) -> None:
    usual = pictures.seven()
    expected = image_of(usual, tmp_path / "7.png")
    large = usual.resize((1700, 1700), Image.Resampling.BICUBIC)
    assert largest_difference(image_of(large, tmp_path / f"7.{suffix}"), expected) <= 25
    assert max(read_picture(tmp_path / f"7.{suffix}").grey.shape) <= 800


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_a_picture_reduced_in_strips_is_the_one_reduced_at_once(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.picture.LONGEST", 40)
    monkeypatch.setattr("data.picture.ROWS", 7)
    kind = np.uint16 if mode == "I;16" else np.uint8
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (151, 107), kind, endpoint=True)
    drawn = Image.fromarray(pixels)
    if mode == "RGBA":
        drawn.putalpha(Image.fromarray(pixels[::-1, ::-1]))
    elif mode != "I;16":
        drawn = drawn.convert(mode)
    if mode == "P":
        drawn.info["transparency"] = 3
    wanted = "F" if mode == "I;16" else "RGBA" if mode in ("1", "P") else mode
    reduced = _reduced(drawn, wanted)
    assert reduced.size == (27, 38)
    assert np.array_equal(np.asarray(reduced), np.asarray(drawn.convert(wanted).reduce(4)))


@pytest.mark.parametrize("suffix", ["gif", "png"])
@pytest.mark.parametrize("pages", [1, 3])
def test_the_first_page_is_read(pages: int, suffix: str, expected: Pixels, tmp_path: Path) -> None:
    others = [Image.new("L", (SIDE, SIDE), 40 * i) for i in range(1, pages)]
    image = image_of(
        seven(), tmp_path / f"7.{suffix}", **({"save_all": True, "append_images": others} if others else {})
    )
    assert largest_difference(image, expected) <= 2
    assert read_picture(tmp_path / f"7.{suffix}").first_of_several is (pages > 1)


# --- files that are none -----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"a letter\n", b"\x89PNG\r\n\x1a\n", bytes(100), b"%PDF-1.4\n", b"<svg/>"])
def test_another_kind_of_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "letter.png").write_bytes(content)
    assert error_of(lambda: read_picture(tmp_path / "letter.png")) == (
        f"{tmp_path / 'letter.png'}: expected a picture (BMP, GIF, JPEG or PNG), found another kind of file; convert it"
    )


def test_missing_picture(tmp_path: Path) -> None:
    assert "No such file" in error_of(lambda: read_picture(tmp_path / "absent.png"))
    assert "cannot be read" in error_of(lambda: read_picture(tmp_path))


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp"])
def test_damaged_pictures(suffix: str, tmp_path: Path) -> None:
    """Cut anywhere, or with one byte changed: a picture all the same, or one line."""
    path = tmp_path / f"7.{suffix}"
    seven(60, 70, left=10, top=10, size=40).save(path)
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 1 + len(whole) // 50)]
    for number, position in enumerate(range(0, len(whole), 1 + len(whole) // 150)):
        changed = bytearray(whole)
        changed[position] ^= (0x80, 0x01)[number % 2]
        damaged.append(bytes(changed))
    messages = []
    for content in damaged:
        path.write_bytes(content)
        try:
            assert as_mnist(read_picture(path).grey, path).image.shape == (28, 28)
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert all(message.startswith(f"{path}: ") and "\n" not in message for message in messages)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_damaged_orientation_is_passed_over_in_silence(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"7.{suffix}"
    announced, there = struct.pack("<H", 5), b"\x12\1"  # five entries, of which the first is cut
    exif = b"II*\0\x08\0\0\0" + announced + there
    seven(60, 70, left=10, top=10, size=40).save(path, exif=(b"Exif\0\0" if suffix == "jpg" else b"") + exif)
    with warnings.catch_warnings(record=True) as warned:
        assert read_picture(path).grey.shape == (70, 60)
    assert warned == []


# --- pictures that would take too much to decode -----------------------------------------------------------------


def of_size(content: bytes, width: int, height: int, suffix: str) -> bytes:
    """The same file with another size in its header."""
    changed = bytearray(content)
    if suffix == "png":
        changed[16:24] = struct.pack(">II", width, height)
        changed[29:33] = struct.pack(">I", zlib.crc32(changed[12:29]))
    elif suffix == "gif":
        changed[6:10] = struct.pack("<HH", width, height)
    elif suffix == "bmp":
        changed[18:26] = struct.pack("<ii", width, height)
    else:
        place = changed.index(b"\xff\xc0") + 5  # the frame's header
        changed[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(changed)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp"])
def test_a_picture_that_is_declared_too_large(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused by its header: nothing is decoded."""
    path = tmp_path / f"7.{suffix}"
    seven(60, 70, left=10, top=10, size=40).save(path)
    whole = path.read_bytes()
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    path.write_bytes(of_size(whole, 5001, 5000, suffix))
    assert error_of(lambda: read_picture(path)) == (
        f"{path}: expected a picture of at most 25,000,000 pixels, found 5,001 x 5,000; make it smaller"
    )
    path.write_bytes(of_size(whole, 60_000, 60_000, suffix))
    assert f"{path}: expected a picture of at most 25,000,000 pixels, found" in error_of(lambda: read_picture(path))


def test_the_largest_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seven(200, 260).save(tmp_path / "7.png")
    monkeypatch.setattr("data.picture.MOST_PIXELS", 52_000)
    assert read_picture(tmp_path / "7.png").grey.shape == (260, 200)
    monkeypatch.setattr("data.picture.MOST_PIXELS", 51_999)
    assert "found 200 x 260" in error_of(lambda: read_picture(tmp_path / "7.png"))


def test_a_jpeg_of_many_scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each passes over all pixels. One that is shown step by step has ten, which are few enough for the largest."""
    path = tmp_path / "7.jpg"
    seven().convert("RGB").save(path, progressive=True)
    assert path.read_bytes().count(b"\xff\xda") == 10
    monkeypatch.setattr("data.picture.MOST_PIXELS", SIDE * SIDE)
    assert read_picture(path).grey.shape == (SIDE, SIDE)
    monkeypatch.setattr("data.picture.MOST_SCANS", 9)
    assert "expected a JPEG of some ten scans, found 10 of 200 x 200 pixels" in error_of(lambda: read_picture(path))


def test_a_compressed_bmp(tmp_path: Path) -> None:
    path = tmp_path / "7.bmp"
    seven(60, 70, left=10, top=10, size=40).save(path)
    content = bytearray(path.read_bytes())
    content[30] = 1  # runs of 8 bits
    path.write_bytes(content)
    assert "expected a BMP that is not compressed, found another; convert it" in error_of(lambda: read_picture(path))


def test_a_file_too_large_for_a_picture(tmp_path: Path) -> None:
    with (tmp_path / "7.png").open("wb") as file:
        file.truncate(2**26 + 1)  # no blocks on disk
    assert "expected at most 67,108,864 bytes, found 67,108,865" in error_of(lambda: read_picture(tmp_path / "7.png"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "(expected a plain file, found a named pipe)" in error_of(lambda: read_picture(tmp_path / "pipe"))
    assert "(expected a plain file, found a device)" in error_of(lambda: read_picture(Path("/dev/zero")))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "(Too many levels of symbolic links)" in error_of(lambda: read_picture(tmp_path / "loop"))
