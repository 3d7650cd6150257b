"""`python -m bench agree`: do all backends compute what the reference computes, within what rounding explains?

Prints the error of each relative to `naive` in float64, and its share of the tolerance. Exit code 1 if one disagrees.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from rich.console import Console

import data
import impls
from bench import UserError
from bench.agreement.check import plain
from bench.agreement.isolated import TIME_LIMIT, CheckedBackend
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
from whole_files import written_whole

OPTIONS = (
    options.backends("Check these backends"),
    options.DEVICE,
    Option("--dtype", "Check in this dtype alone", get_args(DType), without="both"),
    Option("--output FILE", "Write every comparison to this file, as JSON, after each backend", output_file,
           without="none"),
    Option("--time-limit SECONDS", "Give each backend this long, compilation included",
           number(0.001), f"{TIME_LIMIT:g}"),
    options.PYTHON,
    options.DATA,
    options.THREADS,
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Print a table and the reason of each disagreement; return 1 if there is one, else 0.

    Raises UnknownBackend or BackendUnavailable for a name that was given, UserError for a module that cannot be loaded,
    or a device that no backend can use.
    """
    options.move_to_device(arguments)
    names = arguments.backend or impls.available()
    options.check_participants(names)
    console = Console(highlight=False)
    digits = data.load(arguments.data)
    with console.status(f"{impls.REFERENCE} in float64"):
        dtypes = [arguments.dtype] if arguments.dtype else get_args(DType)
        recipes = [replace(case, dtype=dtype) for dtype in dtypes for case in (*CASES, SHUFFLED)]
        recipes = [with_outputs(recipe, digits.classes) for recipe in recipes]
        cases = [posed(recipe, digits.train) for recipe in recipes]
    about = opening(digits, names) | {"data_sha256": digits.sha256} if arguments.output else {}

    def keep(checked: Sequence[CheckedBackend]) -> None:
        if arguments.output:
            write(arguments.output, about, names, checked)

    checked = agree(console, names, cases, arguments.time_limit, keep)
    results = [result for one in checked for result in one.results]
    print_sections(console, [agreement_section(digits, cases, results)])
    if any(one.failures for one in checked if one.loaded):
        return 1
    if not_loaded := [one.backend for one in checked if not one.loaded]:
        raise UserError(f"{', '.join(not_loaded)}: expected to be loaded, failed as shown above; repair that first")
    return 0


def write(path: Path, about: Mapping[str, Any], names: Sequence[str], checked: Sequence[CheckedBackend]) -> None:
    """Write the comparisons of the backends that are checked, whole or not at all; `unchecked` names the others.

    Raises UserError where that cannot be, as on a full disk. An error that is no finite number is null, and its failure
    says why.
    """
    done = {one.backend for one in checked}
    results = [plain(result) for one in checked for result in one.results]
    content = {**about, "unchecked": [name for name in names if name not in done], "agreement": results}
    with written_whole(path) as file:
        file.write(json.dumps(shortened(content), indent=1).encode() + b"\n")
