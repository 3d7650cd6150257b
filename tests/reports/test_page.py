"""The page in a real browser: headless Chromium opens it from disk, at the widths of a desktop and of a phone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import bench
from reports.__main__ import main
from tests.helpers.benchmark_files import SMALL, written
from tests.helpers.race_files import race_records
from tests.helpers.race_files import written as race_written

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = {"desktop": 1200, "phone": 390}
HARMFUL = ("serious", "critical")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole report, of made-up results."""
    folder = tmp_path_factory.mktemp("report")
    written(folder, "benchmarks.json", SMALL)
    race_written(folder, "race.jsonl", race_records(machine=SMALL.machine))
    assert main(["--results", str(folder), "--out", str(folder / "out")]) == 0
    return folder / "out" / "index.html"


@pytest.fixture(scope="module", params=WIDTHS)
def opened(request: pytest.FixtureRequest, browser: "Browser", report: Path) -> "Iterator[Page]":
    """The page, open; fails where the console complains or anything is asked of a network or of the disk."""
    problems: list[str] = []
    asked: list[str] = []
    with browser.new_context(viewport={"width": WIDTHS[request.param], "height": 900}) as context:
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asking: asked.append(asking.url))
        page.goto(report.as_uri())
        yield page
    assert problems == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]


def column(page: "Page", number: int) -> list[str]:
    """The cells of a column of the first table, from the top."""
    cells = page.locator("table.sortable").first.locator(f"tbody tr > :nth-child({number + 1})")
    return [" ".join(cell.split()) for cell in cells.all_inner_texts()]


def test_tables_sort_by_keyboard(opened: "Page") -> None:
    heads = opened.locator("table.sortable").first.locator("thead th")
    as_it_was = column(opened, 2)
    assert as_it_was == ["9.00 s †", "0.500 s", "0.500 s"]
    wall = heads.nth(2)
    wall.locator("button").focus()
    orders, seen = [], []
    for _ in range(3):
        opened.keyboard.press("Enter")
        orders.append(wall.get_attribute("aria-sort"))
        seen.append(column(opened, 2))
    assert orders == ["ascending", "descending", "none"]
    assert seen == [["0.500 s", "0.500 s", "9.00 s †"], as_it_was, as_it_was]
    heads.nth(0).locator("button").click()
    heads.nth(0).locator("button").click()
    assert column(opened, 0) == ["wild", "swift", "naive"]
    assert [head.get_attribute("aria-sort") for head in heads.all()[:3]] == ["descending", "none", "none"]


def test_what_is_not_known_stays_below(opened: "Page") -> None:
    faster = opened.locator("table.sortable").first.locator("thead th").nth(4)
    for _ in range(2):
        faster.locator("button").click()
        assert column(opened, 4)[-1] == "–"  # wild has no accuracy check


def test_images_have_sizes_and_words(opened: "Page") -> None:
    images: list[dict[str, Any]] = opened.evaluate(
        """() => [...document.querySelectorAll("img, svg, [role=img]")].map((image) => ({
            label: image.getAttribute("alt") || image.getAttribute("aria-label") || "",
            sized: image.hasAttribute("width") && image.hasAttribute("height"),
            loaded: image.complete ? image.naturalWidth : 0,
            width: image.getBoundingClientRect().width,
            height: image.getBoundingClientRect().height,
        }))"""
    )
    assert len(images) == 11
    assert all(len(image["label"]) > 20 and image["sized"] and image["loaded"] for image in images)
    assert all(image["width"] > 300 and image["height"] > 50 for image in images)


def test_nothing_but_tables_and_figures_scrolls_sideways(opened: "Page") -> None:
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(scheme: Any, opened: "Page") -> None:
    from axe_playwright_python.sync_playwright import Axe

    opened.emulate_media(color_scheme=scheme)
    found = Axe().run(opened, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in HARMFUL] == []


def test_axe_would_find_something(opened: "Page") -> None:
    from axe_playwright_python.sync_playwright import Axe

    opened.evaluate("document.querySelector('img').removeAttribute('alt')")
    found = Axe().run(opened, options={"runOnly": ["image-alt"]}).response["violations"]
    assert [one["impact"] for one in found] == ["critical"]


def test_the_report_imports_matplotlib_whatever_its_settings() -> None:
    variables = os.environ | {"MPLBACKEND": "no-such-backend"}
    command = [sys.executable, "-c", "import reports.figures.style"]
    done = subprocess.run(command, cwd=bench.ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
