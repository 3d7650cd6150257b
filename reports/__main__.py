"""`python -m reports`: the tables in the terminal, and a page with tables and figures, from results on disk."""

import argparse
import io
import os
import shutil
import sys
import tempfile
import webbrowser
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import bench
from bench import UserError

if TYPE_CHECKING:  # what these bring takes a second, which --help need not wait for
    from reports.figures.style import Drawn, Picture
    from reports.selection import Chosen

OUT = Path(__file__).parent / "out"
MANY = 8  # figures for which it pays to start a process


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code. What a user can get wrong ends in one line, not in a traceback."""
    options = _parser().parse_args(arguments)
    from bench.tables import benchmarks
    from bench.tables.table import printable
    from reports.selection import against, choose

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no dagger still gets the table
    try:
        chosen = choose(options.results or [bench.RESULTS])
        if options.baseline is not None:
            chosen = against(chosen, options.baseline)
        if chosen.benchmarks:
            benchmarks.check_benchmarks(chosen.benchmarks)
        files = render(chosen)
        write(files, options.out)
        show(chosen)
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
        help="a results file, or a folder of which the newest of each kind are taken; may be given several times "
        "(default: bench/results)",
    )
    parser.add_argument(
        "--baseline",
        metavar="NAME",
        help="whom ratios in races, and of times to an accuracy, are to (default: whom they were measured against)",
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help="default: reports/out")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser


# --- what is made of them --------------------------------------------------------------------------------


def render(chosen: "Chosen") -> dict[str, bytes]:
    """Every file of the report, by name; nothing is written."""
    from reports import export
    from reports.page import page

    pictures = pictures_of(drawn(chosen))
    return {
        **{f"{one.name}.svg": one.svg.encode() for one in pictures},
        **{f"{one.name}.png": one.png for one in pictures},
        **{name: text.encode() for name, text in export.csv_files(chosen).items()},
        "summary.md": export.markdown_summary(chosen).encode(),
        "ANSWERS.md": export.answers_as_markdown(chosen).encode(),
        "index.html": page(chosen, pictures).encode(),
    }


def drawn(chosen: "Chosen") -> "Iterator[Drawn]":
    """All figures, one kind of results after the other."""
    from bench.timing.worker import FLOOR
    from reports.figures import accuracy, article, benchmarks, compare, inspection, peers, race, style

    look = style.looks_of([name for name in chosen.names if name != FLOOR])
    if chosen.accuracy:
        yield from accuracy.accuracy_figures(chosen.accuracy, look)
    yield from accuracy.step_figures(chosen.waterfall, chosen.batches)
    if chosen.benchmarks:
        yield from benchmarks.benchmark_figures(chosen.benchmarks)
    yield from race.race_figures(chosen.race, chosen.sweeps, chosen.calibrations, chosen.names)
    if chosen.peers:
        yield from peers.peers_figures(chosen.peers)
    if chosen.comparison:
        yield from compare.compare_figures(chosen.comparison, look)
    yield from article.article_figures(chosen.relu)
    if chosen.network:
        yield from inspection.inspection_figures(chosen.network)


def pictures_of(drawn: "Iterable[Drawn]") -> "list[Picture]":
    """The figures as files. Where they are many, another process makes some, while this one draws the next."""
    from reports.figures.style import picture_of

    rest = iter(drawn)
    first = list(islice(rest, MANY))
    if len(first) < MANY:
        return [picture_of(one) for one in first]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        tasks = [(one, other.submit(picture_of, one)) for one in chain(first, rest)]
        # All are drawn: from the last on, what the other has not begun is done here.
        here = {one.name: picture_of(one) for one, task in reversed(tasks) if task.cancel()}
        return [here[one.name] if task.cancelled() else task.result() for one, task in tasks]


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


def show(chosen: "Chosen") -> None:
    """Print the tables and what belongs to them."""
    from rich.console import Console
    from rich.text import Text

    from bench.tables.table import COMFORTABLE, NARROWEST, for_terminal, printable
    from reports import sections

    columns = shutil.get_terminal_size((COMFORTABLE, 24)).columns
    console = Console(width=max(columns, NARROWEST), highlight=False)

    def say(words: str, style: str = "") -> None:
        console.print(Text(printable(words), style))

    for results in chosen.files:
        print(printable(f"Results: {results.path}, measured {results.when}"))  # a path is not broken
    for notice in chosen.notices:
        say(notice, "yellow")
    for section in sections.sections(chosen):
        console.print()
        say(section.title, "bold")
        for line in section.lines:
            say(line)
        for sheet in section.sheets:
            console.print()
            if sheet.rows:
                console.print(for_terminal(sheet, columns))
            else:
                say(f"{sheet.title}: nothing of this was measured.")
            for note in sheet.notes:
                say(note)
    console.print()
    for line in sections.left_out(chosen):
        say(f"Left out: {line}", "red")
    for line in (*sections.remarks(chosen), *sections.headlines(chosen)):
        say(line)


if __name__ == "__main__":
    sys.exit(main())
