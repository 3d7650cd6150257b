"""The report of damaged results with its figures, which take much longer than all else."""

from pathlib import Path

from tests.torture.mutants import Choices
from tests.torture.targets import report, results

NAME = "figures"
LONGEST = 30.0  # seconds of CPU time; those of whole results take some as well


def make(choices: Choices) -> bytes:
    """A damaged results file."""
    return results.make(choices)


def read(path: Path) -> str | None:
    """Draw its report, as `python -m reports` does."""
    from reports.__main__ import render

    return report.drawn(path, render)
