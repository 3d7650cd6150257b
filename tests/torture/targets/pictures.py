"""Pictures for `predict`: damaged PNG, JPEG, GIF and BMP files; of PNG also with right checksums around the damage."""

import functools
import io
import struct
import zlib
from pathlib import Path

from PIL import Image

from data import DataError
from data.picture import read_picture
from tests.helpers.pictures import seven
from tests.torture.mutants import Choices, damaged

NAME = "pictures"
KINDS = (
    *("1.png", "P.png", "LA.png", "RGBA.png", "I;16.png"),
    *("L.jpg", "RGB.jpg", "CMYK.jpg", "P.gif", "L.bmp", "RGB.bmp", "1.bmp"),
)
NAMES = {"jpg": "JPEG"}


@functools.cache
def files() -> tuple[bytes, ...]:
    """A small seven in each kind, and one of several frames, a progressive one, one that is turned."""
    several, small = [], seven(40, 48, left=10, top=10, size=28)
    for kind in KINDS:
        mode, _, suffix = kind.partition(".")
        picture = small.convert("I").convert("I;16") if mode == "I;16" else small.convert(mode)
        picture.save(stream := io.BytesIO(), NAMES.get(suffix, suffix))
        several.append(stream.getvalue())
    exif = Image.Exif()
    exif[0x0112] = 6
    small.save(stream := io.BytesIO(), "JPEG", progressive=True, exif=exif)
    several.append(stream.getvalue())
    for suffix in ("GIF", "PNG"):
        small.save(stream := io.BytesIO(), suffix, save_all=True, append_images=[Image.new("L", (40, 48), 90)])
        several.append(stream.getvalue())
    return tuple(several)


def make(choices: Choices) -> bytes:
    """A damaged picture."""
    content = choices.of(files())
    if content.startswith(b"\x89PNG") and choices.below(2):
        return damaged_png(content, choices)
    return damaged(content, choices, files())


def damaged_png(content: bytes, choices: Choices) -> bytes:
    """With the content of one part changed, of the pixels before they are packed."""
    parts, place = [], 8
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        parts.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    which = choices.below(len(parts))
    name, body = parts[which]
    packed = name == b"IDAT" and choices.below(2)
    body = damaged(zlib.decompress(body) if packed else body, choices)
    parts[which] = (name, zlib.compress(body) if packed else body)
    joined = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
    return content[:8] + b"".join(joined)


def read(path: Path) -> str | None:
    """Read it."""
    try:
        read_picture(path)
    except DataError as error:
        return str(error)
    return None
