"""`python -m reports`: the tables in the terminal, and a page with tables and figures, from results on disk."""

import argparse
import io
import os
import shutil
import sys
import tempfile
import webbrowser
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from bench import UserError
from bench.results import FOLDER, ResultSet, read
from reports import tables

OUT = Path(__file__).parent / "out"
HOW_TO_MAKE = "`make bench` or `python -m bench` makes results"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code. What a user can get wrong ends in one line, not in a traceback."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no dagger still gets the table
    try:
        results = read(options.results) if options.results.is_file() else newest(options.results)
        tables.check(results)
        files = render(results)
        write(files, options.out)
        show(results)
        page = (options.out / "index.html").resolve()
        print(f"Page: {page}")
        if options.open and not webbrowser.open(page.as_uri()):
            print("No browser was found to open it with.")
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {tables.printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, had enough; leave nothing to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # one line, without the usage
        self.exit(2, f"error: {message}; see `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m reports", description="Results -> tables, figures, a page.")
    parser.add_argument(
        "--results",
        type=Path,
        default=FOLDER,
        metavar="FILE_OR_FOLDER",
        help="a results file, or a folder whose newest one is taken (default: bench/results)",
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help="default: reports/out")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser


# --- which results ---------------------------------------------------------------------------------------


def newest(folder: Path) -> ResultSet:
    """The newest results of a folder by the time they name. Files that are none are named and passed over.

    Raises UserError if there are none.
    """
    if not folder.exists():
        raise UserError(f"{folder}: expected a results file or a folder of them, found nothing; {HOW_TO_MAKE}")
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            results = read(path)
            found.append((moment(results), path, results))
        except UserError as error:
            print(f"passed over: {tables.printable(str(error))}", file=sys.stderr)
    if not found:
        raise UserError(f"{folder}: expected results (*.json), found none; {HOW_TO_MAKE}")
    *_, results = max(found, key=lambda candidate: candidate[:2])
    print(f"Results: {results.path}, the newest of {len(found)}, measured {results.when}")
    return results


def moment(results: ResultSet) -> datetime:
    """When results were measured; without a time zone it is taken as UTC. Raises UserError if it is no time."""
    try:
        when = datetime.fromisoformat(results.when)
    except ValueError:
        raise UserError(
            f"{results.path}: expected a time in ISO 8601, found {results.when!r}; run the benchmark again"
        ) from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


# --- what is made of them --------------------------------------------------------------------------------


def render(results: ResultSet) -> dict[str, bytes]:
    """Every file of the report, by name; nothing is written."""
    from reports import figures, page

    drawn = {drawing.name: drawing.draw(results) for drawing in figures.DRAWINGS}
    svgs = {name: figures.svg(figure) for name, figure in drawn.items()}
    return {
        **{f"{name}.svg": svg.encode() for name, svg in svgs.items()},
        **{f"{name}.png": figures.png(figure) for name, figure in drawn.items()},
        "summary.md": tables.summary(results).encode(),
        "index.html": page.page(results, svgs).encode(),
    }


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write all files under temporary names, then move each into place: what is there stays until all are whole.

    Raises UserError if the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as unfinished:
            for name, content in files.items():
                (Path(unfinished) / name).write_bytes(content)
            for name in files:
                (Path(unfinished) / name).replace(folder / name)
    except OSError as error:
        raise UserError(
            f"{folder}: the report cannot be written there ({error.strerror}); choose another folder with --out"
        ) from None


def show(results: ResultSet) -> None:
    """Print the tables and what belongs to them."""
    from rich.console import Console
    from rich.text import Text

    columns = shutil.get_terminal_size((tables.COMFORTABLE, 24)).columns
    console = Console(width=max(columns, tables.NARROWEST), highlight=False)

    def say(words: str, style: str = "") -> None:
        console.print(Text(tables.printable(words), style))

    if results.notice:
        say(results.notice, "yellow")
    for table in (tables.at_home(results), tables.on_same_plan(results)):
        console.print()
        if table.rows:
            console.print(tables.for_terminal(table, columns))
        else:
            say(f"{table.title}: nothing of this was measured.")
        for note in table.notes:
            say(note)
    for line in tables.left_out(results):
        say(f"Left out: {line}", "red")
    console.print()
    say(tables.headline(results))


if __name__ == "__main__":
    sys.exit(main())
