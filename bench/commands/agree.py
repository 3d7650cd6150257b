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
from bench import UserError
from bench.agreement.check import plain
from bench.agreement.isolated import TIME_LIMIT
from bench.commands import options
from bench.experiments.agree import SHUFFLED, agree, posed
from bench.records.kinds import opening
from bench.records.paths import shortened
from bench.tables.agree import agreement_section
from bench.tables.table import print_sections
from bench.workloads.cases import CASES
from bench.workloads.recipes import with_outputs
from command_line import Option, number, output_file
from impls.contract import DType

OPTIONS = (
    options.backends("Check these backends"),
    options.DEVICE,
    Option("--dtype", "Check in this dtype alone", get_args(DType), without="both"),
    Option("--output FILE", "Write every comparison to this file, as JSON", output_file, without="none"),
    Option("--time-limit SECONDS", "Give each backend this long, compilation included",
           number(0.001), f"{TIME_LIMIT:g}"),
    options.DATA,
    options.THREADS,
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Print a table and the reason of each disagreement; return 1 if there is one, else 0.

    Raises UnknownBackend or BackendUnavailable for a name that was given, UserError for a module that cannot be loaded,
    or a device that no backend can use.
    """
    options.move_to_device(arguments)
    for name in arguments.backend or ():
        impls.check(name)
    console = Console(highlight=False)
    digits = data.load(arguments.data)
    with console.status(f"{impls.REFERENCE} in float64"):
        dtypes = [arguments.dtype] if arguments.dtype else get_args(DType)
        recipes = [replace(case, dtype=dtype) for dtype in dtypes for case in (*CASES, SHUFFLED)]
        recipes = [with_outputs(recipe, digits.classes) for recipe in recipes]
        cases = [posed(recipe, digits.train) for recipe in recipes]
    checked = agree(console, arguments.backend or impls.available(), cases, arguments.time_limit)
    results = [result for one in checked for result in one.results]
    if arguments.output:
        # An error that is no finite number is null, and its failure says why.
        record = opening(digits, [one.backend for one in checked]) | {
            "data_sha256": digits.sha256,
            "agreement": [plain(result) for result in results],
        }
        arguments.output.write_text(json.dumps(shortened(record), indent=1) + "\n", encoding="utf-8")
    print_sections(console, [agreement_section(digits, cases, results)])
    if any(one.failures for one in checked if one.loaded):
        return 1
    if not_loaded := [one.backend for one in checked if not one.loaded]:
        raise UserError(f"{', '.join(not_loaded)}: expected to be loaded, failed as shown above; repair that first")
    return 0
