"""Results and figures -> one HTML page that needs nothing else: no network, no file beside it.

Its only script is `templates/sort.js`, which sorts tables. The page's policy names that by its hash; it lets no other
run and nothing be fetched, whatever a results file contains.
"""

import base64
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from bench.tables.table import printable
from reports.answers import answers
from reports.figures.style import Picture
from reports.sections import headlines, left_out, limits, origins, remarks, sections
from reports.selection import Chosen

TEMPLATES = Path(__file__).parent / "templates"
MOST = 2_600_000  # characters of all images together, so that the page stays below 3 MB


class Image(NamedTuple):
    """A figure as the page shows it."""

    title: str
    caption: str
    source: str  # a data: address, so that the page needs no file beside it; nothing in it needs escaping
    width: int  # CSS pixels
    height: int


def page(chosen: Chosen, pictures: Sequence[Picture]) -> str:
    """The page, with these figures."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (TEMPLATES / "sort.js").read_text(encoding="utf-8")
    machine = chosen.files[0].machine
    return environment.get_template("page.html.j2").render(
        title=f"{chosen.files[0].data_name}, {chosen.files[0].when}",
        headlines=headlines(chosen),
        notices=chosen.notices,
        answers=answers(chosen),
        sections=sections(chosen),
        images=images(pictures),
        left_out=left_out(chosen),
        limits=limits(chosen),
        remarks=remarks(chosen),
        origins=origins(chosen),
        script=Markup(script),
        policy=policy(script),
        machine={name.replace("_", " "): described(value) for name, value in machine.items()},
    )


def policy(script: str) -> str:
    """What a browser may do with the page: run this one script, nothing else, and fetch nothing."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"


def finalized(value: Any) -> Any:
    """Text that comes from results loses what an XML parser would stumble over; our own markup stays as it is."""
    return printable(value) if type(value) is str else value


def images(pictures: Sequence[Picture]) -> dict[str, Image]:
    """Every figure as an image within the page: as SVG, but the largest as PNG where all would be too much."""
    found = {picture.name: image(picture, data_uri(picture.svg)) for picture in pictures}
    for picture in sorted(pictures, key=lambda picture: len(found[picture.name].source), reverse=True):
        if sum(len(one.source) for one in found.values()) <= MOST:
            break
        source = f"data:image/png;base64,{base64.b64encode(of_few_colours(picture.png)).decode()}"
        found[picture.name] = image(picture, source)
    return found


def image(picture: Picture, source: str) -> Image:
    """A figure with its size in CSS pixels, as its SVG has it."""
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture.svg)
    assert size is not None
    width, height = (round(float(points) * 4 / 3) for points in size.groups())
    return Image(picture.title, picture.caption, source, width, height)


def of_few_colours(png: bytes) -> bytes:
    """The same PNG file, a third as large."""
    import PIL.Image

    buffer = io.BytesIO()
    with PIL.Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").quantize(64).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def data_uri(svg: str) -> str:
    """An SVG file as an address that holds it."""
    return "data:image/svg+xml," + re.sub(r'[%#&<"]|[^ -~]', lambda found: quote(found[0]), lean(svg))


def lean(svg: str) -> str:
    """The same picture, a quarter shorter: no prologue, comments, decimals that nobody sees and names without a use."""
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(?<= d=")[^"]*', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", " ".join(path[0].split())), svg)
    svg = re.sub(r'(?<= style=")[^"]*', lambda style: re.sub(r"([;:]) ", r"\1", style[0]), svg)
    used = dict.fromkeys(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    short = {name: f"_{number:x}" for number, name in enumerate(used)}
    svg = re.sub(r' id="([^"]+)"', lambda name: f' id="{short[name[1]]}"' if name[1] in short else "", svg)
    svg = re.sub(r'(href="#|url\(#)([^")]+)', lambda name: name[1] + short[name[2]], svg)
    svg = svg.replace("xlink:href", "href").replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    return re.sub(r"\s+", " ", re.sub(r">\s+<", "><", svg)).replace("'", "&#39;").replace('"', "'")


def described(value: Any) -> str:
    """A value from the description of the machine, in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {described(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(described, value))
    return str(value)
