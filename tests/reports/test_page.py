"""The page in a real browser: headless Chromium opens it from disk, at the widths of a desktop and of a phone."""

import os
import re
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

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
RACED = {"naive": 4.0, "vectorized": 0.4, "swift": 0.1, "floor": 0.05}
HARMFUL = ("serious", "critical")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole report, of made-up results."""
    folder = tmp_path_factory.mktemp("report")
    written(folder, "benchmarks.json", SMALL)
    race_written(folder, "race.jsonl", race_records(RACED, machine=SMALL.machine, notice=SMALL.notice))
    assert main(["--results", str(folder), "--out", str(folder / "out")]) == 0
    return folder / "out" / "index.html"


@pytest.fixture(scope="module", params=SIZES)
def opened(request: pytest.FixtureRequest, browser: "Browser", report: Path) -> "Iterator[Page]":
    """The page, open; fails where the console complains or anything is asked of a network or of the disk."""
    problems: list[str] = []
    asked: list[str] = []
    width, height = SIZES[request.param]
    with browser.new_context(viewport={"width": width, "height": height}) as context:
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asking: asked.append(asking.url))
        page.goto(report.as_uri())
        yield page
    assert problems == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]


@pytest.fixture
def unfolded(opened: "Page") -> "Page":
    """The page with all its details open."""
    opened.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    return opened


def table(page: "Page") -> Any:
    """The first table of the details."""
    return page.locator("details table.sortable").first


def column(page: "Page", number: int) -> list[str]:
    """The cells of a column of that table, from the top."""
    cells = table(page).locator(f"tbody tr > :nth-child({number + 1})")
    return [" ".join(cell.split()) for cell in cells.all_inner_texts()]


def test_the_first_screen_is_a_sentence_a_figure_and_the_notice(opened: "Page", report: Path) -> None:
    opened.evaluate("window.scrollTo(0, 0)")
    size = opened.viewport_size
    assert size
    sentence = opened.locator(".headline").inner_text()
    assert re.search(r"^On this machine swift trains an epoch \d+ times as fast as a Python loop", sentence)
    first = opened.locator("figure.plot").first
    assert first.locator("li .name").all_inner_texts() == [*("swift", "NumPy", "Python loop", "")]
    for shown in (opened.locator(".headline"), first, opened.get_by_role("note")):
        box = shown.bounding_box()
        assert box
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= size["height"]
    assert not re.search(r"floor|plan\b|generation", opened.locator("main").inner_text()[: len(sentence) + 500])
    assert not re.search(r"<details[^>]* open", report.read_text(encoding="utf-8"))


def test_small_figures_keep_names_marks_and_numbers_apart(opened: "Page") -> None:
    rows: list[list[float]] = opened.evaluate(
        """() => [...document.querySelectorAll(".plot li")].map((row) => [...row.children].flatMap((part) => {
            const box = part.getBoundingClientRect();
            return [box.left, box.right];
        }))"""
    )
    assert len(rows) == 8
    assert all(row == sorted(row) for row in rows)
    assert min(track_right - track_left for _, _, track_left, track_right, *_ in rows) > 90


def test_tables_sort_by_keyboard(unfolded: "Page") -> None:
    heads = table(unfolded).locator("thead th")
    as_it_was = column(unfolded, 2)
    assert as_it_was == ["9.00 s †", "0.500 s", "0.500 s"]
    wall = heads.nth(2)
    wall.locator("button").focus()
    orders, seen = [], []
    for _ in range(3):
        unfolded.keyboard.press("Enter")
        orders.append(wall.get_attribute("aria-sort"))
        seen.append(column(unfolded, 2))
    assert orders == ["ascending", "descending", "none"]
    assert seen == [["0.500 s", "0.500 s", "9.00 s †"], as_it_was, as_it_was]
    heads.nth(0).locator("button").click()
    heads.nth(0).locator("button").click()
    assert column(unfolded, 0) == ["wild", "swift", "naive"]
    assert [head.get_attribute("aria-sort") for head in heads.all()[:3]] == ["descending", "none", "none"]


def test_what_is_not_known_stays_below(unfolded: "Page") -> None:
    faster = table(unfolded).locator("thead th").nth(4)
    for _ in range(2):
        faster.locator("button").click()
        assert column(unfolded, 4)[-1] == "–"  # wild has no accuracy check


def test_images_have_sizes_and_words(unfolded: "Page") -> None:
    images: list[dict[str, Any]] = unfolded.evaluate(
        """() => [...document.querySelectorAll("img, svg")].map((image) => ({
            label: image.getAttribute("alt") || image.getAttribute("aria-label") || "",
            sized: image.hasAttribute("width") && image.hasAttribute("height"),
            loaded: image.tagName === "svg" || (image.complete ? image.naturalWidth : 0),
            width: image.getBoundingClientRect().width,
            height: image.getBoundingClientRect().height,
        }))"""
    )
    assert len(images) == 11
    assert all(len(image["label"]) > 20 and image["sized"] and image["loaded"] for image in images)
    assert all(image["width"] > 300 and image["height"] > 50 for image in images)


def test_marks_say_what_they_are_by_keyboard_and_by_pointer(unfolded: "Page") -> None:
    figure = unfolded.locator("svg.figure").filter(has_text="Time of one epoch of training")
    tip, marks = unfolded.locator(".tip"), figure.locator(".marks circle")
    assert figure.locator("[tabindex]").count() == 1  # as each figure is one stop of the tab key
    assert tip.is_hidden()
    figure.locator("[tabindex]").focus()
    seen = []
    for key in ("Home", "ArrowRight", "ArrowDown", "End", "ArrowRight"):
        unfolded.keyboard.press(key)
        seen.append(tip.inner_text())
        assert unfolded.evaluate("document.activeElement.getAttribute('aria-label')") == seen[-1]
        assert figure.locator("[tabindex]").count() == 1
    assert seen[0] == "naive, full batch\n7.50 s †, sample 2 of 3\na processor"
    assert seen[1] == "naive, full batch\n9.00 s †, sample 1 of 3\na processor"
    assert seen[2].startswith("swift, mini-batches\n0.400 s")
    assert seen[3] == seen[4]
    box, beside = marks.last.bounding_box(), tip.bounding_box()
    assert box
    assert beside
    assert max(abs(beside["y"] - box["y"]), abs(beside["x"] - box["x"])) < 400
    unfolded.keyboard.press("Escape")
    assert tip.is_hidden()
    marks.first.hover()
    assert "naive, full batch\n7.50 s †" in tip.inner_text()
    assert not figure.locator("circle:hover title").count()  # which the browser would show as well
    unfolded.mouse.move(0, 0)
    assert tip.is_hidden()


def test_nothing_but_tables_and_figures_scrolls_sideways(unfolded: "Page") -> None:
    assert unfolded.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(scheme: Any, unfolded: "Page") -> None:
    from axe_playwright_python.sync_playwright import Axe

    unfolded.emulate_media(color_scheme=scheme)
    found = Axe().run(unfolded, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in HARMFUL] == []


def test_axe_would_find_something(unfolded: "Page") -> None:
    from axe_playwright_python.sync_playwright import Axe

    unfolded.evaluate("document.querySelector('.marks [role=img]').removeAttribute('aria-label')")
    found = Axe().run(unfolded, options={"runOnly": ["svg-img-alt"]}).response["violations"]
    assert [one["impact"] for one in found] == ["serious"]


def test_the_report_imports_matplotlib_whatever_its_settings() -> None:
    variables = os.environ | {"MPLBACKEND": "no-such-backend"}
    command = [sys.executable, "-c", "import reports.figures.style"]
    done = subprocess.run(command, cwd=bench.ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
