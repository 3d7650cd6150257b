"""`python -m bench merge`: join trainings of several machines in one file.

The files must be of the same command, data, sources and settings; only the machine may be another. Each training keeps
its machine, so that accuracies are taken together and times are not. A seed that several files have counts once, from
the first. Races of speed are not joined, as their times are ratios on one machine: `python -m reports --results A,B`
shows them side by side.
"""

import argparse
from pathlib import Path

from rich.console import Console

from bench import UserError
from bench.records.journal import ENCODER, results_file
from bench.records.merging import merged
from command_line import Option, output_file
from whole_files import written_whole

OPTIONS = (
    Option("files FILE...", "Join these results files", Path, repeats=True),
    Option("--output FILE", "Write the joined results to this new file", output_file,
           without="a new file in bench/results"),
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Join the files and print what of; return 0. Raises UserError as `merged` does."""
    output: Path | None = arguments.output
    if output is not None and output.exists():
        raise UserError(f"{output}: exists, and would be overwritten; give a new file to --output")
    records, lines = merged(arguments.files)
    path = results_file(output, "merged")
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        file.write(ENCODER.encode_lines(records))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in (*lines, f"All together: {path}; python -m reports --results {path} shows it"):
        console.print(line)
    return 0
