"""`python -m bench merge`: join trainings of several machines in one file.

The files must be of the same command, data, sources and settings; only the machine may be another. Each training keeps
its machine, so that accuracies are taken together and times are not. A seed that several files have counts once, from
the first. Races of speed are not joined, as their times are ratios on one machine: `python -m reports --results A,B`
shows them side by side.
"""

import argparse
from pathlib import Path

from rich.console import Console

from bench.records.merging import merged
from command_line import Option, output_file

OPTIONS = (
    Option("files FILE...", "Join these results files", Path, repeats=True),
    Option("--output FILE", "Write the joined results to this new file", output_file,
           without="a new file in bench/results"),
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Join the files and print what of; return 0. Raises UserError for files that do not fit."""
    path, lines = merged(arguments.files, arguments.output)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in lines:
        console.print(line)
    console.print(f"All together: {path}; python -m reports --results {path} shows it")
    return 0
