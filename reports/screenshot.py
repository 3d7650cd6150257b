"""`python -m reports.screenshot`: the first screen of the page as a picture, for the README.

It needs Chromium and the extra `browser`: pip install -e '.[browser]'. The report has to be drawn before.
"""

import shutil
import sys
from pathlib import Path

from bench import UserError
from command_line import Parser, exit_code
from reports.__main__ import OUT

PICTURE = Path(__file__).parent / "reference" / "first-screen.png"
BROWSERS = ("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "chrome")
WIDTH, HEIGHT = 1280, 800


def main(arguments: list[str] | None = None) -> int:
    """Take the picture; returns the exit code."""

    def work() -> int:
        options = make_parser().parse_args(arguments)
        picture = first_screen(options.page / "index.html")
        options.output.write_bytes(picture)
        return 0

    return exit_code(work, UserError)


def make_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(prog="python -m reports.screenshot", description="The first screen of the page -> a picture.")
    parser.add_argument(
        "--page", type=Path, default=OUT, metavar="FOLDER", help="Open the page in this folder (default: reports/out)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=PICTURE,
        metavar="FILE",
        help="Write the picture to this file (default: reports/reference/first-screen.png)",
    )
    return parser


def first_screen(page: Path) -> bytes:
    """The first screen of a page in light colours as PNG. Raises UserError where something that it needs is missing."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise UserError("no Chromium was found to open the page with; install it (Debian: apt install chromium)")
    if not page.is_file():
        raise UserError(f"{page}: expected the page of a report, found nothing; `python -m reports` draws it")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise UserError("playwright is missing; install it with pip install -e '.[browser]'") from None
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        tab = opened.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        tab.goto(page.resolve().as_uri())
        return tab.screenshot()


if __name__ == "__main__":
    sys.exit(main())
