"""`python -m reports`: the tables in the terminal, and a page with tables and figures, from results on disk."""

import argparse
import io
import os
import shutil
import sys
import tempfile
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import bench
from bench import UserError

if TYPE_CHECKING:  # what these bring takes a second, which --help need not wait for
    from reports.sections import Report

OUT = Path(__file__).parent / "out"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code. What a user can get wrong ends in one line, not in a traceback."""
    options = _parser().parse_args(arguments)
    from bench.tables import benchmarks
    from bench.tables.table import printable
    from reports.sections import report_of
    from reports.selection import choose, with_baseline

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no dagger still gets the table
    try:
        chosen = choose(options.results or [bench.RESULTS])
        if options.baseline is not None:
            chosen = with_baseline(chosen, options.baseline)
        if results := chosen.newest("benchmarks"):
            benchmarks.check_benchmarks(results)
        report = report_of(chosen)
        write(render(report), options.out)
        show(report)
        page = (options.out / "index.html").resolve()
        print(f"Page: {page}")
        if options.open and not webbrowser.open(page.as_uri()):
            print("No browser was found to open it with.")
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
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
        action="append",
        metavar="FILE_OR_FOLDER",
        help="results file, or folder of which the newest of each kind are shown; repeat for several "
        "(default: bench/results)",
    )
    parser.add_argument(
        "--baseline",
        metavar="NAME",
        help="backend that ratios are relative to (default: that of the measurement)",
    )
    parser.add_argument(
        "--out", type=Path, default=OUT, metavar="FOLDER", help="write the report there (default: reports/out)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser


# --- what is made of them --------------------------------------------------------------------------------


def render(report: "Report") -> dict[str, bytes]:
    """Every file of the report, by name; nothing is written."""
    from reports import export, sections
    from reports.page import page

    figures = sections.figures_of(report.chosen)
    files = {name: content for figure in figures for name, content in figure.files().items()}
    return {
        **files,
        **{name: text.encode() for name, text in export.csv_files(report).items()},
        "summary.md": export.markdown_summary(report).encode(),
        "ANSWERS.md": export.answers_as_markdown(report).encode(),
        "index.html": page(report, figures, files).encode(),
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


def show(report: "Report") -> None:
    """Print the tables and what belongs to them."""
    from rich.console import Console

    from bench.tables.table import COMFORTABLE, NARROWEST, print_left_out, print_line, print_sections, printable

    columns = shutil.get_terminal_size((COMFORTABLE, 24)).columns
    console = Console(width=max(columns, NARROWEST), highlight=False)
    for results in report.chosen.files:
        print(printable(f"Results: {results.path}, measured {results.when}"))  # a path is not broken
    for notice in report.chosen.notices:
        print_line(console, notice, "yellow")
    print_sections(console, report.sections)
    console.print()
    print_left_out(console, report.left_out)
    for line in (*report.remarks, *report.headlines):
        print_line(console, line)


if __name__ == "__main__":
    sys.exit(main())
