"""A report as one HTML page that needs nothing else: no network, no other file.

Its scripts are `templates/sort.js`, which sorts tables, `templates/marks.js`, which shows what a mark of a figure is,
and where there is a network to draw for, the two files of "Draw a digit" as one. The page's policy names each by its
hash; it lets no other run and nothing be fetched, whatever a results file contains.
"""

import base64
import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from bench.tables.table import Section, printable
from reports.draw import Drawable, drawable
from reports.figures.style import Figure
from reports.sections import Report
from reports.svg import inline

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("sort.js", "marks.js")


def page(report: Report, figures: Sequence[Figure], files: Mapping[str, bytes], history: str = "") -> str:
    """The page with these figures; files: theirs, by name; history: the address of its page, if there is one."""
    draw = drawable(report.chosen.newest("network"))
    scripts = [script(name) for name in SCRIPTS]
    if isinstance(draw, Drawable):
        scripts.append(script("preparation.js", "draw.js"))
    newest = report.chosen.files[0]
    return template().render(
        title=f"{newest.data_name}, {newest.when}",
        report=report,
        notices=[*report.chosen.notices, *report.busy],
        figures={figure.name: (figure, markup(figure, files)) for figure in figures},
        draw=draw,
        scripts=[Markup(text) for text in scripts],
        policy=policy(scripts),
        machine={name.replace("_", " "): described(value) for name, value in newest.machine.items()},
        history=history,
        unfolded=False,
    )


def history_page(
    sections: Sequence[Section], left_out: Sequence[str], figures: Sequence[Figure], files: Mapping[str, bytes]
) -> str:
    """The page of histories, in the frame of the other page: its head, looks, tables and figures."""
    scripts = [script(name) for name in SCRIPTS]
    return template("history.html.j2").render(
        title="history",
        report={"sections": sections, "left_out": left_out},
        figures={figure.name: (figure, markup(figure, files)) for figure in figures},
        notices=[*dict.fromkeys(figure.notice for figure in figures if figure.notice)],
        scripts=[Markup(text) for text in scripts],
        policy=policy(scripts),
        unfolded=True,
    )


def script(*names: str) -> str:
    """The content of a script element, of these files: in a CDATA section, within comments, for parsers of XML."""
    text = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)
    return f"//<![CDATA[\n{text}//]]>"


def policy(scripts: Sequence[str]) -> str:
    """What a browser may do with the page: run these scripts, nothing else, and fetch nothing."""
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}"


@functools.cache
def template(name: str = "page.html.j2") -> Template:
    """A template, compiled once for all pages."""
    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, autoescape=True, finalize=finalized, undefined=StrictUndefined,
        loader=FileSystemLoader(TEMPLATES),
    )  # fmt: skip
    return environment.get_template(name)


def finalized(value: Any) -> Any:
    """Text from results loses characters that an XML parser cannot take; markup of the page stays as it is."""
    return printable(value) if type(value) is str else value


def markup(figure: Figure, files: Mapping[str, bytes]) -> Markup:
    """A figure in the page: as an element whose text can be selected and whose marks can be pointed at.

    One that holds pictures is an image, as on its white sheet colours mean the same in either theme.
    """
    label = f"{figure.title}, a figure: the words below it say how to read it, the tables have its numbers."
    if not figure.has_pictures:
        return Markup(inline(files[f"{figure.name}.svg"], figure.name, label))
    width, height = (round(96 * side) for side in figure.get_size_inches())
    image = Markup('<img src="{}" width="{}" height="{}" alt="{}" decoding="async"/>')
    return image.format(Markup(source(figure.name, files)), width, height, label)


def source(name: str, files: Mapping[str, bytes]) -> str:
    """A figure as a data: address that needs no escaping: of its SVG or PNG file, whichever is shorter.

    So the page needs no other file, and stays below 3 MB.
    """
    png = base64.b64encode(files[f"{name}.png"]).decode()
    return min(svg_address(files[f"{name}.svg"]), f"data:image/png;base64,{png}", key=len)


def svg_address(svg: bytes) -> str:
    """An SVG file as an address that holds it."""
    text = svg.decode()
    text = text[text.index("<svg") :]  # without a prologue
    return "data:image/svg+xml," + re.sub(r"[%#&<\"]|[^ -~]", lambda character: quote(character[0]), text)


def described(value: Any) -> str:
    """A value from the description of the machine, in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {described(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(described, value))
    return str(value)
