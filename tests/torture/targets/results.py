"""Results files of every kind: damaged JSON, and damaged values in whole JSON."""

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench import UserError
from bench.records import files as results
from bench.records import inspection
from bench.records.kinds import SCHEMA
from bench.records.quantised import QuantisedNetwork, SampleDigits, Stage, quantise
from impls.contract import Network
from impls.initialisation import initial_parameters
from tests.helpers import article_records, benchmark_files, race_files, training_files
from tests.torture.mutants import Choices, as_json, damaged, damaged_json

NAME = "results"
REFERENCE = Path(__file__).parents[3] / "reports" / "reference" / "results"


@functools.cache
def documents() -> tuple[tuple[Any, ...], ...]:
    """Whole results: a tuple of records each, or the only document of a file."""
    races = [
        race_files.race_records(generations=2, rounds=2, failing=("twin",)),
        [one for i, batch in enumerate((32, 128, 1000)) for one in race_files.race_records(
            number=i, generations=2, rounds=2, key={"batch": batch}, sweep="batch")],
        [one for i in range(2) for one in training_files.trained(number=i, seeds=3)],
        [one for i in range(2) for one in ranks(number=i)],
        [one for i in range(2) for one in race_files.comparison(0.11, i, f"b{i}", generations=2, rounds=2)],
        race_files.calibration(generations=8, rounds=1),
        grid(),
        *(shortened(path) for path in sorted(REFERENCE.glob("*.jsonl"))),
    ]  # fmt: skip
    races = [sorted(records, key=lambda entry: entry["kind"] != "race") for records in races]
    with tempfile.TemporaryDirectory() as folder:
        suite = json.loads(benchmark_files.written(Path(folder), "suite.json", benchmark_files.SMALL).read_bytes())
    return (*map(tuple, races), (suite,), (network(),), (dialects(),))


def shortened(path: Path) -> list[Any]:
    """The records of a file without the later generations, so that it is read in a millisecond."""
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [one for one in records if (one.get("generation") or 0) < 2 and (one.get("round") or 0) < 2]


def ranks(number: int) -> list[Any]:
    """Trainings over MPI, at one of several widths."""
    seconds = {"minibatch": 2.0, "mpi_images:2": 1.5, "mpi_units:2": 1.0 + number}
    about = {"bytes": {"mpi_images:2": 400_000, "mpi_units:2": 5120}}
    key = {"sizes": [784, 128 << number, 10]}
    return race_files.race_records(
        seconds, number=number, generations=2, rounds=2, key=key, purpose="ranks", about=about
    )


def grid() -> list[Any]:
    """A search of settings that reproduce the article's figures."""
    screen = {"epoch": 1, "split": "test", "what": "accuracy", "least": 0.5, "most": 1.0}
    courses = [article_records.course(seed, 0.1, 0.9, setting=name) for seed in (0, 1) for name in ("s", "t")]
    figures = [article_records.figure("accuracy", "92.86", 1), article_records.figure("cost", "0.1", 1)]
    return article_records.experiment("article-grid", *courses, figures=figures, screens=[screen])


def dialects() -> Any:
    """What a library said."""
    said = {"asked": "SGD(momentum=0.9)", "answer": [-1.564]}
    heard = [
        {"library": "made-up", "question": "plain_momentum", "said": said, "remedied": said},
        {"library": "made-up", "question": "nesterov_momentum", "said": said, "advice": "convert velocities"},
        {"library": "made-up", "question": "denormals", "said": {"asked": "x", "not_asked": "has none"}},
    ]
    about = {
        "schema": SCHEMA,
        "when": race_files.WHEN,
        "command": "python -m bench study dialects",
        "data": "no digits",
    }
    libraries = {"libraries": {"made-up": "made-up 1.0"}, "absent": {"optax": "is not installed"}}
    return {"kind": "dialects", **about, "machine": race_files.MACHINE, "notice": None, **libraries, "heard": heard}


def network() -> Any:
    """An inspected network, small enough to travel in a page."""
    shape = Network((784, 8, 10), "relu", "softmax", "cross_entropy")
    parameters = initial_parameters(shape, "he_normal", 0, "float32")
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (30, 784), np.uint8), np.arange(30) % 10
    kept = Stage(None, quantise(parameters), 0.9, 0.9)
    digits = SampleDigits(images[:2].tobytes(), [0, 1])
    drawn = QuantisedNetwork(
        sizes=[784, 8, 10], hidden="relu", output="softmax", pixel_scale=1 / 255, stages=[kept], digits=digits
    )
    about: dict[str, Any] = {
        "schema": SCHEMA,
        "when": race_files.WHEN,
        "command": "python -m bench inspect",
        "data": "MNIST",
    }
    about |= {
        "machine": race_files.MACHINE,
        "notice": None,
        "network": str(shape),
        "source": "n.npz",
        "quantised": drawn,
    }
    content = inspection.inspection(images, labels, rng.random((30, 10)), parameters, **about)
    with tempfile.TemporaryDirectory() as folder:
        inspection.write(Path(folder, "n.json"), content)
        return json.loads(Path(folder, "n.json").read_bytes())


@functools.cache
def texts() -> tuple[bytes, ...]:
    """The files, whole."""
    return tuple(b"".join(as_json(one) + b"\n" for one in records) for records in documents())


def make(choices: Choices) -> bytes:
    """A damaged results file."""
    which = choices.below(len(documents()))
    if choices.below(5) == 0:
        return damaged(texts()[which], choices, texts())
    lines = texts()[which].split(b"\n")[:-1]
    for _ in range(1 + choices.below(3) // 2):
        place = choices.below(len(lines)) if choices.below(3) else 0  # the header, on which most depends, quite often
        lines[place] = as_json(damaged_json(json.loads(lines[place]), choices))
    return b"\n".join([*lines, b""])


def read(path: Path) -> str | None:
    """Read it."""
    try:
        results.read(path)
    except UserError as error:
        return str(error)
    return None
