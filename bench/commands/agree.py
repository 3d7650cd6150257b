"""`python -m bench agree`: do all backends compute what the reference computes, within what rounding explains?

Prints the error of each relative to `naive` in float64, and its share of the tolerance. Exit code 1 if one disagrees.
"""

import argparse
import json
from dataclasses import replace
from typing import get_args

from rich.console import Console

import data
import impls
from bench.agreement.check import plain
from bench.agreement.isolated import TIME_LIMIT
from bench.commands import options
from bench.experiments.agree import SHUFFLED, agree, posed
from bench.records.kinds import opening
from bench.tables.agree import agreement_section
from bench.tables.table import print_sections
from bench.workloads.cases import CASES
from command_line import number, output_file
from impls.contract import DType


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    options.add_backends(parser, "Check these backends, names or modules' dotted paths")
    add("--dtype", choices=get_args(DType), help="Check in this dtype alone (default: both)")
    add(
        "--output",
        type=output_file,
        metavar="FILE",
        help="Write every comparison to this file, as JSON (default: none)",
    )
    add(
        "--time-limit",
        type=number(0.001),
        default=TIME_LIMIT,
        metavar="SECONDS",
        help="Give each backend this long, compilation included (default: %(default)g)",
    )
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a table and the reason of each disagreement; return 1 if there is one, else 0.

    Raises UnknownBackend or BackendUnavailable for a name that was given.
    """
    for name in arguments.backend or ():
        impls.check(name)
    console = Console(highlight=False)
    digits = data.load(arguments.data)
    with console.status(f"{impls.REFERENCE} in float64"):
        dtypes = [arguments.dtype] if arguments.dtype else get_args(DType)
        recipes = [replace(case, dtype=dtype) for dtype in dtypes for case in (*CASES, SHUFFLED)]
        cases = [posed(recipe, digits.train) for recipe in recipes]
    checked = agree(console, arguments.backend or impls.available(), cases, arguments.time_limit)
    results = [result for one in checked for result in one.results]
    if arguments.output:
        # An error that is no finite number is null, and its failure says why.
        record = opening(digits) | {"data_sha256": digits.sha256, "agreement": [plain(result) for result in results]}
        arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print_sections(console, [agreement_section(digits, cases, results)])
    return 1 if any(result.failure for result in results) else 0
