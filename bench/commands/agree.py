"""The agreement gate alone: every backend against the reference, how far it is off, and how far it may be."""

import argparse
import json

from rich.console import Console

import data
import impls
from bench.agreement.check import Result
from bench.agreement.isolated import TIME_LIMIT, check_isolated
from bench.commands import options
from bench.experiments.agree import DTYPES, agreement_record, cases_of
from bench.tables.agree import agreement_section
from bench.tables.table import print_line, print_sections


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--backend",
        action="append",
        metavar="NAME",
        help="only this one; a name, or a module's dotted path; may be given several times (default: all available)",
    )
    parser.add_argument("--dtype", choices=DTYPES, help="only this one (default: both)")
    parser.add_argument("--json", type=options.output_file, metavar="FILE", help="write every comparison there")
    parser.add_argument(
        "--time-limit",
        type=options.number(0.001),
        default=TIME_LIMIT,
        metavar="SECONDS",
        help=f"for one backend, its compilation included (default: {TIME_LIMIT:g})",
    )
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a table; return 1 if a backend disagrees, with the reasons, else 0.

    Raises UnknownBackend or BackendUnavailable for a name that was asked for.
    """
    for name in arguments.backend or ():
        impls.check(name)
    console = Console(highlight=False)
    digits = data.load(arguments.data)
    with console.status(f"{impls.REFERENCE} in float64"):
        dtypes = [arguments.dtype] if arguments.dtype else DTYPES
        cases = [case for dtype in dtypes for case in cases_of(digits.train, dtype)]
    results: list[Result] = []
    for name in arguments.backend or impls.available():
        with console.status(f"{name} (the first time it may have to compile)"):
            results += check_isolated(name, cases, arguments.time_limit)
    if arguments.json:
        arguments.json.write_text(json.dumps(agreement_record(digits, results), indent=1) + "\n", encoding="utf-8")
    print_sections(console, [agreement_section(digits, cases, results)])
    failures = [result.failure for result in results if result.failure]
    for failure in failures:
        print_line(console, f"disagrees: {failure}", "red", soft_wrap=True)
    return 1 if failures else 0
