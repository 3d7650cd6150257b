"""Results and figures -> one HTML page that needs nothing else: no network, no script, no file beside it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports import sections, tables
from reports.chosen import Chosen
from reports.figures import Drawn

TEMPLATES = Path(__file__).parent / "templates"


def page(chosen: Chosen, drawn: Mapping[str, tuple[Drawn, str]]) -> str:
    """The page; `drawn` holds figures by name, with the SVG file of each."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    figures = {name: (figure, inline(svg, name, figure.title)) for name, (figure, svg) in drawn.items()}
    machine = chosen.files[0].machine
    return environment.get_template("page.html.j2").render(
        title=f"{chosen.files[0].data_name}, {chosen.files[0].when}",
        headlines=sections.headlines(chosen),
        notices=chosen.notices,
        sections=sections.sections(chosen),
        figures=figures,
        left_out=sections.left_out(chosen),
        limits=sections.limits(chosen),
        remarks=sections.remarks(chosen),
        origins=sections.origins(chosen),
        machine={name.replace("_", " "): described(value) for name, value in machine.items()},
    )


def finalized(value: Any) -> Any:
    """Text that comes from results loses what an XML parser would stumble over; our own markup stays as it is."""
    return tables.printable(value) if type(value) is str else value


def inline(svg: str, name: str, title: str) -> Any:
    """An SVG file as a part of a page: without prologue and comments, its ids its own, with a label to be read aloud.

    What comes out counts as markup: matplotlib has escaped what stands in the figure.
    """
    from markupsafe import Markup, escape

    svg = re.sub(r"<!--.*?-->\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    # matplotlib's style element would be the whole page's: what it says goes onto the figure alone.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", svg, count=1, flags=re.DOTALL)
    label = escape(f"{title}, as a figure. Its numbers are in the tables of this page.")
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" style="stroke-linejoin: round" ', 1))


def described(value: Any) -> str:
    """A value from the description of the machine, in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {described(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(described, value))
    return str(value)
