"""`python -m reports`: the tables in the terminal, and a page with tables and figures, from results on disk."""

import shutil
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import bench
import temporary
from bench import UserError
from command_line import Parser, exit_code, several

if TYPE_CHECKING:  # importing these takes a second, for which --help need not wait
    from reports.history import Past
    from reports.sections import Report

OUT = Path(__file__).parent / "out"


def main(arguments: list[str] | None = None) -> int:
    """Draw the report, print its tables and say where the page is; returns the exit code."""

    def work() -> int:
        options = make_parser().parse_args(arguments)
        from bench.tables import benchmarks
        from reports.history import past_of, remarks
        from reports.sections import report_of
        from reports.selection import choose, with_baseline

        chosen = choose(options.results or [bench.RESULTS])
        if options.baseline is not None:
            chosen = with_baseline(chosen, options.baseline)
        if results := chosen.newest("benchmarks"):
            benchmarks.check_benchmarks(results)
        report, past = report_of(chosen), past_of(chosen.everything)
        report = report._replace(remarks=[*report.remarks, *remarks(past, chosen.everything)])
        write(render(report, past), options.out)
        show(report, past)
        page = (options.out / "index.html").resolve()
        print(f"Page: {page}")
        if options.open and not webbrowser.open(page.as_uri()):
            print("No browser was found to open it with.")
        return 0

    return exit_code(work, UserError)


def make_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(prog="python -m reports", description="Results -> tables, figures, a page.")
    add = parser.add_argument
    add(
        "--results",
        type=several(Path),
        action="extend",
        metavar="A,B",
        help="Read these results files, and the newest of each kind in these folders (default: bench/results)",
    )
    add("--baseline", metavar="NAME", help="Give ratios relative to this backend (default: that of the measurement)")
    add(
        "--out", type=Path, default=OUT, metavar="FOLDER", help="Write the report to this folder (default: reports/out)"
    )
    add("--open", action="store_true", help="Open the page in a browser (default: print where it is)")
    return parser


def render(report: "Report", past: "Past") -> dict[str, bytes]:
    """Return every file of the report, by name; nothing is written."""
    from reports import export, history, sections
    from reports.page import page

    figures = sections.figures_of(report.chosen)
    files = {name: content for figure in figures for name, content in figure.files().items()}
    texts = export.csv_files(report)
    texts |= {"summary.md": export.markdown_summary(report), "ANSWERS.md": export.answers_as_markdown(report)}
    of_history = history.history_files(past)
    texts["index.html"] = page(report, figures, files, history.PAGE if of_history else "")
    return files | of_history | {name: text.encode() for name, text in texts.items()}


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write all files under temporary names, then move each into place: what is there stays until all are whole.

    Raises UserError if the folder cannot be written to.
    """
    try:
        with temporary.folder(folder) as new:
            for name, content in files.items():
                (new / name).write_bytes(content)
            for name in files:
                (new / name).replace(folder / name)
    except OSError as error:
        raise UserError(
            f"{folder}: the report cannot be written there ({error.strerror}); choose another folder with --out"
        ) from None


def show(report: "Report", past: "Past") -> None:
    """Print the tables, and what stands before and after them."""
    from rich.console import Console

    from bench.tables.table import COMFORTABLE, NARROWEST, print_left_out, print_line, print_sections, printable

    columns = shutil.get_terminal_size((COMFORTABLE, 24)).columns
    console = Console(width=max(columns, NARROWEST), highlight=False)
    for results in report.chosen.files:
        print(printable(f"Results: {results.path}, measured {results.when}"))  # a path is not broken
    for notice in report.chosen.notices:
        print_line(console, notice, "yellow")
    print_sections(console, [*report.sections, *past.sections])
    console.print()
    print_left_out(console, report.left_out)
    for line in (*report.remarks, *report.headlines):
        print_line(console, line)
    print_line(console, report.summary.sentence, "bold")


if __name__ == "__main__":
    sys.exit(main())
