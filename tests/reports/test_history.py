"""A report of several runs: its page of the history in Chromium, and where there is none."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reports.__main__ import main
from tests.helpers.race_files import EVIL, MACHINE, WHEN, race_records, written

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HARMFUL = ("serious", "critical")


def run(folder: Path, day: int, swift: float, machine: str = "0a1b2c3d") -> None:
    """The results of a race on one day, in which swift takes that many seconds."""
    when = (datetime.fromisoformat(WHEN) + timedelta(days=day)).isoformat()
    seconds = {"slow": 0.4, EVIL: 0.2, "swift": swift, "floor": 0.05}
    of_machine = MACHINE | {"id": machine}
    about: dict[str, Any] = {"when": when, "machine": of_machine | {"commit": f"{day:x}" * 12}}
    about["key"] = {"machine": of_machine}
    written(folder, f"race-{day}.jsonl", race_records(seconds, number=day, rounds=2, **about))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of eight days, on the fifth of which swift became faster."""
    folder = tmp_path_factory.mktemp("year")
    for day in range(8):
        run(folder, day, 0.1 if day < 5 else 0.08)
    assert main(["--results", str(folder), "--out", str(folder / "out")]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def opened(browser: "Browser", report: Path) -> "Iterator[Page]":
    """The page of the history, reached from the other; fails on complaints, and where other files are asked for."""
    problems: list[str] = []
    asked: list[str] = []
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asking: asked.append(asking.url))
        page.goto((report / "index.html").as_uri())
        page.get_by_role("link", name="history").click()
        yield page
    assert problems == []
    pages = [(report / name).as_uri() for name in ("index.html", "history.html")]
    assert [url for url in asked if not url.startswith("data:")] == pages


def test_the_page_says_what_became_faster_and_when(opened: "Page", report: Path) -> None:
    assert opened.url.endswith("/history.html")
    assert "times as fast since 5555555, 2026-02-08" in " ".join(opened.locator("main").inner_text().split())
    assert opened.locator("svg.figure").first.is_visible()
    for name in ("history.csv", "history-changes.csv"):
        assert opened.get_by_role("link", name=name).get_attribute("href") == name
        assert (report / name).is_file()
    assert len((report / "history.csv").read_text(encoding="utf-8").splitlines()) > 3 * 8


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_serious(scheme: Any, width: int, opened: "Page") -> None:
    from axe_playwright_python.sync_playwright import Axe

    opened.set_viewport_size({"width": width, "height": 900})
    opened.emulate_media(color_scheme=scheme)
    found = Axe().run(opened, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in HARMFUL] == []
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_runs_that_are_not_alike_make_no_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, 0, 0.1)
    run(tmp_path, 1, 0.1, machine="another")
    assert main(["--results", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert "There is no history of races, as no two are of the same" in " ".join(capsys.readouterr().out.split())
    assert not (tmp_path / "out" / "history.html").exists()
