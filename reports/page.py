"""Results and figures -> one HTML page that needs nothing else: no network, no script, no file beside it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.results import ResultSet
from reports import tables
from reports.figures import DRAWINGS

TEMPLATES = Path(__file__).parent / "templates"


def page(results: ResultSet, drawn: Mapping[str, str]) -> str:
    """The page; `drawn` holds the SVG file of each of DRAWINGS by its name."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        results=results,
        headline=tables.headline(results),
        headers=tables.HEADERS,
        columns_of_text=tables.COLUMNS_OF_TEXT,
        tables=(tables.at_home(results), tables.on_same_plan(results)),
        cells=tables.cells,
        explanation=tables.EXPLANATION,
        left_out=tables.left_out(results),
        figures=[(drawing, inline(drawn[drawing.name], drawing.name, drawing.title)) for drawing in DRAWINGS],
        setting=tables.setting(results),
        machine={name.replace("_", " "): described(value) for name, value in results.machine.items()},
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
