"""The trainings that `tune` keeps in a file of `--output`: damaged JSON, and damaged values in whole JSON."""

from pathlib import Path
from typing import Any

import msgspec

from bench import UserError
from bench.experiments.tune import Key, read_tried
from tests.torture.mutants import Choices, as_json, damaged, damaged_json

NAME = "tuning"
KEY = Key("minibatch", "0f1e2d3c4b5a", "a1b2c3d4e5f6", "MNIST", "a1b2" * 16)
HEADER: dict[str, Any] = msgspec.to_builtins(KEY)
TRAINING: dict[str, Any] = {
    "recipe": "784-8-10",
    "accuracy": 0.97,
    "seconds": 0.25,
    "seed": 1,
    "threads": 2,
    "machine": "m1",
}
LINES = [as_json(record) + b"\n" for record in (HEADER, TRAINING, TRAINING, TRAINING)]
WHOLE = b"".join(LINES)


def make(choices: Choices) -> bytes:
    """A damaged file of three trainings, in one of its lines or anywhere."""
    if choices.below(2):
        return damaged(WHOLE, choices, (WHOLE,))
    lines, which = list(LINES), choices.below(3)
    lines[which] = as_json(damaged_json(dict(TRAINING if which else HEADER), choices)) + b"\n"
    return b"".join(lines)


def read(path: Path) -> str | None:
    """Read it."""
    try:
        read_tried(path, KEY)
    except UserError as error:
        return str(error)
    return None
