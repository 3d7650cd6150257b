"""The report of damaged results: tables, page, Markdown and CSV, without figures.

Some whole races of other days are beside them, so that there is a history.
"""

import contextlib
import functools
import io
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench import UserError
from bench.records.files import ResultSet
from bench.records.files import read as read_results
from tests.helpers.race_files import WHEN, race_records, written
from tests.torture.mutants import Choices
from tests.torture.targets import results

NAME = "report"


def make(choices: Choices) -> bytes:
    """A damaged results file."""
    return results.make(choices)


@functools.cache
def other_days() -> list[ResultSet]:
    """Races of the case that a part of the damaged ones has; their times change once."""
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for day in range(1, 7):
            when = (datetime.fromisoformat(WHEN) + timedelta(days=day)).isoformat()
            seconds = {"slow": 0.4, "swift": 0.1 if day < 4 else 0.05, "floor": 0.05}
            path = written(Path(folder), f"{day}.jsonl", race_records(seconds, number=day, when=when))
            found.append(read_results(path))
        return found


def read(path: Path) -> str | None:
    """Draw its report without its figures, as `python -m reports` does."""
    return drawn(path, without_figures)


def drawn(path: Path, draw: Callable[[Any, Any], object]) -> str | None:
    """Read a file, draw its report and its history, and print them; the message where that is refused."""
    from bench.tables import benchmarks
    from reports import __main__ as command
    from reports import history, sections
    from reports.selection import choose

    with contextlib.redirect_stderr(io.StringIO()) as passed_over, contextlib.redirect_stdout(io.StringIO()):
        try:
            chosen = choose([path])
            if results_of_pytest := chosen.newest("benchmarks"):
                benchmarks.check_benchmarks(results_of_pytest)
            report, past = sections.report_of(chosen), history.past_of([*chosen.everything, *other_days()])
            draw(report, past)
            command.show(report, past)
        except UserError as error:
            return str(error)
    return passed_over.getvalue().removesuffix("\n") or None


def without_figures(report: Any, past: Any) -> None:
    """All files of a report that are text."""
    from bench.tables import history
    from reports import export

    export.csv_files(report)
    export.markdown_summary(report)
    export.answers_as_markdown(report)
    for one in past.histories:
        history.runs_table(one, 1)
    history.runs_as_rows(past.histories)
