"""Results files of races, made up."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from bench.analysis.calibrate import AGAIN, ITSELF, SLOWDOWNS
from bench.records.kinds import SCHEMA
from bench.tables.table import Table

MACHINE = {"id": "0a1b2c3d", "cpu": "a processor", "cores": 2}
WHEN = "2026-02-03T04:05:06+00:00"
USUAL = {"slow": 0.4, "swift": 0.1, "twin": 0.1, "floor": 0.05}
EVIL = "<script>alert('$1$')</script>\x1b[31m\u202e"


def race_records(
    seconds: dict[str, float] = USUAL,
    *,
    number: int = 0,
    generations: int = 4,
    rounds: int = 3,
    noise: float = 0.01,
    key: dict[str, Any] | None = None,
    failing: tuple[str, ...] = (),
    **header: Any,
) -> list[dict[str, Any]]:
    """The records of a race of these, with their seconds; the first is the baseline. Noise is lognormal."""
    rng = np.random.default_rng(number)
    known = {
        "measure": "epoch",
        "network": "784-128-10 relu, softmax with cross_entropy",
        "sizes": [784, 128, 10],
        "plan": "batches of 128",
        "batch": 128,
        "dtype": "float32",
        "images": 6000,
        "threads": 2,
        "machine": MACHINE,
    } | (key or {})
    about = {"race": number, "schema": SCHEMA, "purpose": "race", "when": WHEN, "command": "python -m bench race"}
    about |= {"key": known, "baseline": next(iter(seconds)), "data": "MNIST", "notice": None, "machine": MACHINE}
    participants = {name: "floor" if name == "floor" else name for name in seconds}
    records = [
        {"kind": "race", **about, "participants": participants, **header},
        {"kind": "run", "race": number, "load": 0.25},
    ]
    for generation in range(generations):
        here = {"race": number, "generation": generation}
        for name, time in seconds.items():
            process = {"backend": name, "images": known["images"], "repeats": 1, "threads": {"openblas": 2}}
            process |= {"prepare": {"wall": 0.03125}, "first": {"wall": 2 * time}, "warm": {"wall": time}}
            process |= {"process_peak": 2**26, "call_peak": 2**21, "summary": ""}
            process |= {"batch_size": 128, "lines_of_code": 99}
            if name == "floor":
                process["rates"] = {"gemm": 1e11, "bandwidth": 2e10}
            records.append({"kind": "process", **here, "participant": name, **process})
        for one, (name, time) in itertools.product(range(rounds), seconds.items()):
            wall = time * float(np.exp(rng.normal(0, noise)))
            times = {"wall": wall, "user": 1.5 * wall, "system": 0.25 * wall}
            records.append({"kind": "sample", **here, "round": one, "position": 0, "participant": name, **times})
        for name in failing:
            records.append({"kind": "failure", **here, "participant": name, "reason": "ended with exit code 3"})
        load = {"seconds": 2.0, "stolen": 0.0, "load_before": 0.25, "load_after": 1.0}
        records.append({"kind": "generation", **here, **load})
    return [*records, {"kind": "end", "race": number, "reason": "the budget of 10 s is spent"}]


def calibration(generations: int = 12, noise: float = 0.001, **header: Any) -> list[dict[str, Any]]:
    """A backend against itself, and against itself with more work."""
    extra = {ITSELF: 0.0, AGAIN: 0.0} | SLOWDOWNS
    seconds = {name: 0.1 * (1 + more) for name, more in extra.items()}
    known: dict[str, Any] = {
        "purpose": "calibrate",
        "comparison": 4,
        "participants": dict.fromkeys(seconds, "swift"),
    } | header
    return race_records(seconds, generations=generations, noise=noise, **known)


def comparison(after: float, number: int = 0, backend: str = "swift", **more: Any) -> list[dict[str, Any]]:
    """A backend as it was, 0.1 s, and as it is."""
    seconds = {"before": 0.1, "after": after}
    participants = dict.fromkeys(seconds, backend)
    return race_records(seconds, number=number, noise=0.001, purpose="compare", participants=participants, **more)


def written(folder: Path, name: str, *several: list[dict[str, Any]]) -> Path:
    """A results file: all headers, then all else."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [entry for records in several for entry in records]
    lines.sort(key=lambda entry: entry["kind"] != "race")
    (folder / name).write_text("".join(json.dumps(entry) + "\n" for entry in lines))
    return folder / name


def rows_of(table: Table) -> dict[str, list[str]]:
    """The cells of each row on one line, by its name."""
    assert {len(row) for row in table.rows} <= {len(table.heads)}
    return {name: [" ".join(cell.split()) for cell in cells] for name, *cells in table.rows}


def seconds_in(cell: str) -> float:
    """A time as tables have it."""
    value, unit = cell.split()
    return float(value) * {"s": 1.0, "ms": 1e-3, "µs": 1e-6}[unit]
