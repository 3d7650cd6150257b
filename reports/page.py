"""A report as one HTML page that needs nothing else: no network, no other file.

Its only script is `templates/sort.js`, which sorts tables. The page's policy names that by its hash; it lets no other
run and nothing be fetched, whatever a results file contains.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from bench.tables.table import printable
from reports.figures.style import Figure
from reports.sections import Report

TEMPLATES = Path(__file__).parent / "templates"


class Image(NamedTuple):
    """A figure as the page shows it."""

    title: str
    caption: str
    source: str  # a data: address, so that the page needs no other file; nothing in it needs escaping
    width: int  # CSS pixels
    height: int


def page(report: Report, figures: Sequence[Figure], files: Mapping[str, bytes]) -> str:
    """The page with these figures; files: theirs, by name."""
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
    newest = report.chosen.files[0]
    return environment.get_template("page.html.j2").render(
        title=f"{newest.data_name}, {newest.when}",
        report=report,
        notices=report.chosen.notices,
        images={figure.name: image(figure, files) for figure in figures},
        script=Markup(script),
        policy=policy(script),
        machine={name.replace("_", " "): described(value) for name, value in newest.machine.items()},
    )


def policy(script: str) -> str:
    """What a browser may do with the page: run this one script, nothing else, and fetch nothing."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"


def finalized(value: Any) -> Any:
    """Text that comes from results loses what an XML parser would stumble over; our own markup stays as it is."""
    return printable(value) if type(value) is str else value


def image(figure: Figure, files: Mapping[str, bytes]) -> Image:
    """A figure within the page: as SVG or as PNG, whichever is shorter, so that the page stays below 3 MB."""
    svg, png = files[f"{figure.name}.svg"], files[f"{figure.name}.png"]
    source = min(svg_address(svg), f"data:image/png;base64,{base64.b64encode(png).decode()}", key=len)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return Image(figure.title, figure.caption, source, width, height)


def svg_address(svg: bytes) -> str:
    """An SVG file as an address that holds it."""
    text = svg.decode()
    text = text[text.index("<svg") :].replace('"', "'")  # without a prologue; an apostrophe is shorter than %22
    return "data:image/svg+xml," + re.sub(r"[%#&<]|[^ -~]", lambda character: quote(character[0]), text)


def described(value: Any) -> str:
    """A value from the description of the machine, in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {described(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(described, value))
    return str(value)
