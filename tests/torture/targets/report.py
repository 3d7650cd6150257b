"""The report of damaged results: tables, page, Markdown and CSV, and figures where `FIGURES` says so."""

import contextlib
import io
import os
from pathlib import Path

from bench import UserError
from tests.torture.mutants import Choices
from tests.torture.targets import results

NAME = "report"
FIGURES = os.environ.get("DIGITBENCH_TORTURE_FIGURES")  # a hundred times slower


def make(choices: Choices) -> bytes:
    """A damaged results file."""
    return results.make(choices)


def read(path: Path) -> str | None:
    """Draw its report without its figures, as `python -m reports` does."""
    from reports import __main__ as command
    from reports import export, history, sections
    from reports.selection import choose

    with contextlib.redirect_stderr(io.StringIO()) as passed_over, contextlib.redirect_stdout(io.StringIO()):
        try:
            chosen = choose([path])
            if results_of_pytest := chosen.newest("benchmarks"):
                command_check(results_of_pytest)
            report, past = sections.report_of(chosen), history.past_of(chosen.everything)
            if FIGURES:
                command.render(report, past)
            else:
                export.csv_files(report)
                export.markdown_summary(report)
                export.answers_as_markdown(report)
            command.show(report, past)
        except UserError as error:
            return str(error)
    return passed_over.getvalue().removesuffix("\n") or None


def command_check(results_of_pytest: object) -> None:
    from bench.tables import benchmarks

    benchmarks.check_benchmarks(results_of_pytest)  # type: ignore[arg-type]
