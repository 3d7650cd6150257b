"""A report as one HTML page that needs nothing else: no network, no other file.

Its only script is `templates/sort.js`, which sorts tables. The page's policy names that by its hash; it lets no other
run and nothing be fetched, whatever a results file contains.
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
from reports.figures.style import Figure
from reports.sections import Report

TEMPLATES = Path(__file__).parent / "templates"


def page(report: Report, figures: Sequence[Figure], files: Mapping[str, bytes], history: str = "") -> str:
    """The page with these figures; files: theirs, by name; history: the address of its page, if there is one."""
    script = (TEMPLATES / "sort.js").read_text(encoding="utf-8")
    newest = report.chosen.files[0]
    return template().render(
        title=f"{newest.data_name}, {newest.when}",
        report=report,
        notices=report.chosen.notices,
        figures={figure.name: (figure, source(figure.name, files)) for figure in figures},
        script=Markup(script),
        policy=policy(script),
        machine={name.replace("_", " "): described(value) for name, value in newest.machine.items()},
        history=history,
    )


def history_page(
    sections: Sequence[Section], left_out: Sequence[str], figures: Sequence[Figure], files: Mapping[str, bytes]
) -> str:
    """The page of histories, in the frame of the other page: its head, looks, tables and figures."""
    script = (TEMPLATES / "sort.js").read_text(encoding="utf-8")
    return template("history.html.j2").render(
        title="history",
        report={"sections": sections, "left_out": left_out},
        figures={figure.name: (figure, source(figure.name, files)) for figure in figures},
        notices=[*dict.fromkeys(figure.notice for figure in figures if figure.notice)],
        script=Markup(script),
        policy=policy(script),
    )


def policy(script: str) -> str:
    """What a browser may do with the page: run this one script, nothing else, and fetch nothing."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"


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


def source(name: str, files: Mapping[str, bytes]) -> str:
    """A figure as a data: address that needs no escaping: of its SVG or PNG file, whichever is shorter.

    So the page needs no other file, and stays below 3 MB.
    """
    png = base64.b64encode(files[f"{name}.png"]).decode()
    return min(svg_address(files[f"{name}.svg"]), f"data:image/png;base64,{png}", key=len)


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
