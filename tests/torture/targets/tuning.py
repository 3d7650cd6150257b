"""The trainings that `tune` keeps in a file of `--output`: damaged JSON, and damaged values in whole JSON."""

from pathlib import Path
from typing import Any

from bench import UserError
from bench.experiments.tune import read_tried
from tests.torture.mutants import Choices, as_json, damaged, damaged_json

NAME = "tuning"
TRAINING: dict[str, Any] = {"recipe": "784-8-10", "accuracy": 0.97, "seconds": 0.25, "seed": 1, "machine": "m1"}
WHOLE = 3 * (as_json(TRAINING) + b"\n")


def make(choices: Choices) -> bytes:
    """A damaged file of three trainings."""
    if choices.below(2):
        return damaged(WHOLE, choices, (WHOLE,))
    first, _, last = WHOLE.splitlines(keepends=True)
    return first + as_json(damaged_json(dict(TRAINING), choices)) + b"\n" + last


def read(path: Path) -> str | None:
    """Read it."""
    try:
        read_tried(path)
    except UserError as error:
        return str(error)
    return None
