"""A browser for the tests of the page."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from reports.screenshot import BROWSERS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REQUIRED = "DIGITBENCH_REQUIRE_BROWSER"  # set where a browser has been installed: then its absence is a failure


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Headless Chromium, as it was found on this machine."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    missing = [] if found else ["no Chromium (Debian: apt install chromium)"]
    missing += [
        f"no {name} (pip install -e '.[browser]')"
        for name in ("playwright", "axe_playwright_python")
        if not importlib.util.find_spec(name)
    ]
    if missing:
        assert not os.environ.get(REQUIRED), f"{REQUIRED} is set, and there is {', '.join(missing)}"
        pytest.skip(", ".join(missing))
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()
