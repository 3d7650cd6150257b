"""Marks of figures: what they say, where that lies, and figures as elements of the page."""

import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reports.figures import style
from reports.figures.benchmarks import speed_against_accuracy, time_per_epoch
from reports.figures.style import Figure, drawn
from reports.svg import SVG, inline
from tests.helpers.benchmark_files import AWKWARD, SWIFT, USUAL, result_set

HREF = "{http://www.w3.org/1999/xlink}href"


def labels(svg: ET.Element, namespace: str = SVG) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{namespace}title")]


def places(svg: ET.Element, tag: str, x: str, y: str) -> list[tuple[float, float]]:
    return [(float(one.get(x, "nan")), float(one.get(y, "nan"))) for one in svg.iter(f"{SVG}{tag}")]


def test_every_sample_has_a_label_on_its_mark() -> None:
    svg = ET.fromstring(time_per_epoch(USUAL).file("svg"))
    assert labels(svg)[:3] == [
        f"naive, full batch\n{words}\na processor"
        for words in ("7.50 s †, sample 2 of 3", "9.00 s †, sample 1 of 3", "10.5 s †, sample 3 of 3")
    ]
    circles, marks = places(svg, "circle", "cx", "cy"), places(svg, "use", "x", "y")
    assert len(circles) == len(labels(svg)) == 3 + 3 + 3 + 2 + 3 + 3  # two panels of two backends and the floor
    for circle in circles:
        assert min(math.dist(circle, mark) for mark in marks) < 0.1


@drawn("Three marks", "One of them can be seen.")
def three_marks(figure: Figure) -> None:
    figure.about(result_set(), "", "")
    (axes,) = figure.panels([1], "")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    style.label_marks(axes, [0.5, math.nan, 2.0], [0.5, 0.5, 0.5], ["seen", "not a number", "outside"])


def test_marks_that_cannot_be_seen_have_no_label() -> None:
    assert labels(ET.fromstring(three_marks().file("svg"))) == ["seen\na processor"]


@pytest.fixture(scope="module")
def in_a_page() -> list[ET.Element]:
    """Two figures of backends with awkward names, as elements of one page."""
    results = result_set(*(replace(one, backend=name) for name in AWKWARD for one in SWIFT))
    figures: list[Any] = [time_per_epoch(results), speed_against_accuracy(results)]
    return [ET.fromstring(inline(one.file("svg"), one.name, f"<{one.title}>")) for one in figures]


def test_ids_of_two_figures_do_not_clash_and_all_links_lead_somewhere(in_a_page: list[ET.Element]) -> None:
    page = ET.Element("body")
    page.extend(in_a_page)
    ids = [one.get("id") for one in page.iter() if one.get("id")]
    links = [one.get("href", "").strip("#") for one in page.iter() if one.get("href")]
    links += [one.get("clip-path", "").removeprefix("url(#").strip(")") for one in page.iter() if one.get("clip-path")]
    assert len(ids) == len(set(ids)) > 10
    assert set(links) == set(ids)
    assert {name.split("-m")[0].split("-p")[0] for name in links} == {"time", "speed-against-accuracy"}
    assert not list(page.iter(f"{SVG}style"))  # it would hold for the whole page


def test_names_with_markup_are_text(in_a_page: list[ET.Element]) -> None:
    for figure in in_a_page:
        said = " ".join(labels(figure))
        for name in AWKWARD:
            assert f"{' '.join(name.split(chr(9)))}, mini-batches" in said
        assert '<script>alert("1")</script>' in said.replace("\n", " ")
    assert in_a_page[0].get("aria-label") == "<Time per epoch>"


def test_colours_of_paper_and_ink_follow_the_theme(in_a_page: list[ET.Element]) -> None:
    styles = " ".join(one.get("style", "") for figure in in_a_page for one in figure.iter())
    assert "var(--sheet)" in styles
    assert "#ffffff" not in styles
    assert "#e69f00" in styles  # of a backend


@drawn("Rows", "A heading, a row, and a line across.")
def rows(figure: Figure) -> None:
    figure.about(result_set(), "", "")
    (axes,) = figure.panels([1], "")
    axes.set(xlim=(0, 2))
    axes.axvline(1.5, color="black", zorder=1)
    figure.name_rows(axes, ["", "a row"])
    style.write_headings(axes, {0: "heading"})


def test_no_line_crosses_a_heading_or_stands_above_it() -> None:
    figure: Any = rows()
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3]
    x, bottom = figure.axes[0].transData.transform((1.5, 0.45)).astype(int)
    assert (pixels[bottom : int(figure.axes[0].bbox.y1) + 3, x - 2 : x + 3] == 255).all()
    assert (pixels[: bottom - 10, x] == 0).any()


@drawn("Cut", "An interval that leaves the axis at both ends.")
def cut(figure: Figure) -> None:
    figure.about(result_set(), "", "")
    (axes,) = figure.panels([1], "")
    axes.set(xlim=(0.5, 2))
    style.draw_estimate(axes, 0, 1.0, (0.1, math.inf), style.OF_FLOOR, label="an estimate")
    style.draw_estimate(axes, 1, 1.0, (0.9, 1.1), style.OF_FLOOR, label="another")


def test_an_interval_that_leaves_the_axis_ends_in_arrow_heads() -> None:
    figure: Any = cut()
    heads = [(*line.get_xdata(), *line.get_ydata()) for line in figure.axes[0].lines if line.get_marker() in (4, 5)]
    assert heads == [(0.5, 0), (2.0, 0)]
