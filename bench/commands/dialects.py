"""`python -m bench study dialects`: in which libraries do equal settings train differently?

Each installed library is asked small questions, in processes of its own: where the rate stands in momentum, what
becomes of an image with a tiny probability, the derivative of ReLU at 0, and so on. What it answers stands beside what
the contract says (impls/contract.py), with a line on how to get the contract's training in that library. A library
that hangs or ends its process costs that answer alone. Exit code 1 where an answer failed, or where the contract's own
answer is not what is stated.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.commands import options
from bench.dialects.asking import LIBRARIES, TIME_LIMIT
from bench.experiments.dialects import study
from bench.records.files import read
from bench.records.journal import results_file
from bench.tables.dialects import CONTRACT, FAILED, SAME, dialects_sections, verdict_of
from bench.tables.markdown import section_as_markdown
from bench.tables.table import Section, print_sections
from command_line import Option, choice, number, output_file, several

OPTIONS = (
    Option("--library A,B", f"Compare these, of {', '.join(LIBRARIES)}", several(choice(LIBRARIES)),
           without="all that are installed", repeats=True),
    Option("--time-limit SECONDS", "Give each answer this long", number(0.001),
           f"{TIME_LIMIT:g}"),
    Option("--output FILE", "Write the answers to this file, for the report", output_file,
           without="a new file in bench/results"),
    Option("--markdown FILE", "Write the tables to this file, as Markdown", output_file, without="none"),
    options.THREADS,
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Ask, keep the answers and print the tables; return 1 if an answer failed or the contract's is not as stated."""
    console = Console(highlight=False)
    path: Path = results_file(arguments.output, "dialects")
    study(console, arguments.library or list(LIBRARIES), arguments.time_limit, path)
    results = read(path)
    sections = dialects_sections(results)
    print_sections(console, sections)
    if arguments.markdown:
        arguments.markdown.write_text(as_page(sections), encoding="utf-8")
    console.print(f"\nFor the report: {path}", soft_wrap=True)
    assert results.dialects is not None
    verdicts = [(heard.library, verdict_of(heard).short) for heard in results.dialects.heard]
    wrong = any(short == FAILED or (library == CONTRACT and short != SAME) for library, short in verdicts)
    return 1 if wrong else 0


def as_page(sections: Sequence[Section]) -> str:
    """The sections as a page of Markdown."""
    made = "Measured on one machine, and written by the command below: do not edit this page, run the command again."
    return "\n\n".join(["# Dialects", made, *(part for one in sections for part in section_as_markdown(one))]) + "\n"
