"""Records of a race as a journal holds them, as mappings and typed."""

import json
from pathlib import Path
from typing import Any

import msgspec

from bench.records.kinds import SCHEMA, AnyRecord
from bench.records.races import RaceResult, races_of
from bench.timing.clock import Elapsed
from bench.timing.records import Process, Sample

MACHINE: dict[str, Any] = {"id": "abc", "cpu": "c", "cores": 2, "libraries": {"numpy": "2"}, "blas": []}
KEY = {
    "measure": "epoch",
    "network": "784-128-10 relu, softmax with cross_entropy",
    "sizes": [784, 128, 10],
    "plan": "batches of 128",
    "batch": 128,
    "dtype": "float32",
    "images": 60,
    "threads": 2,
    "measuring": "abc",
    "machine": MACHINE,
}
HEADER = {
    "kind": "race",
    "race": 0,
    "schema": SCHEMA,
    "purpose": "race",
    "when": "2026-01-02T03:04:05+00:00",
    "command": "python -m bench race",
    "key": KEY,
    "baseline": "vectorized",
    "participants": {"naive": "naive", "vectorized": "vectorized", "floor": "floor"},
    "data": "MNIST",
    "notice": None,
    "machine": {"id": "abc"},
}


def process(participant: str, generation: int = 0, **others: Any) -> dict[str, Any]:
    known = {
        "kind": "process",
        "race": 0,
        "generation": generation,
        "participant": participant,
        "backend": participant,
        "images": 20 if participant == "naive" else 60,
        "repeats": 1,
        "prepare": {"wall": 0.5},
        "first": {"wall": 2.0},
        "warm": {"wall": 1.0},
        "threads": {"openblas (numpy)": 2},
        "process_peak": 1000,
        "call_peak": None,
    }
    if participant != "floor":
        known |= {"summary": f"what {participant} is", "batch_size": 128, "lines_of_code": 7}
    else:
        known |= {"rates": {"gemm": 2e11, "bandwidth": 3e10}}
    return known | others


def sample(participant: str, wall: float, generation: int = 0, number: int = 0) -> dict[str, Any]:
    where = {"race": 0, "generation": generation, "round": number, "position": 0, "participant": participant}
    return {"kind": "sample", "wall": wall, "user": wall, "system": 0.0} | where


def end_of(generation: int = 0) -> dict[str, Any]:
    noise = {"seconds": 3.0, "stolen": 0.0, "load_before": 0.1, "load_after": 0.2}
    return {"kind": "generation", "race": 0, "generation": generation} | noise


def agreement(backend: str, **others: Any) -> dict[str, Any]:
    """A comparison that was passed, unless others say so."""
    known = {"backend": backend, "problem": "p", "dtype": "float32", "quantity": "outputs", "error": 0.5}
    return {"kind": "agreement", "race": 0, **known, "allowed": 4.0, "failure": None, "unsupported": None, **others}


def typed_process(generation: int, prepare: float = 0.0, first: float = 0.0, **others: Any) -> Process:
    """A process of which only these are of interest."""
    known: dict[str, Any] = {"images": 1, "repeats": 1, "warm": Elapsed(), "threads": {}}
    known |= {"participant": "", "backend": "", "process_peak": None, "call_peak": None} | others
    return Process(race=0, generation=generation, prepare=Elapsed(prepare), first=Elapsed(first), **known)


def typed_sample(generation: int, number: int, wall: float, user: float = 0.0, system: float = 0.0) -> Sample:
    """A sample of which only these are of interest."""
    return Sample(generation, number, 0, "", wall, user, system, race=0)


def races_in(records: list[dict[str, Any]]) -> list[RaceResult]:
    """The races of records that are mappings."""
    return races_of(msgspec.convert(records, list[AnyRecord]))


def written(path: Path, *records: dict[str, Any]) -> Path:
    """A results file of these."""
    path.write_text("".join(json.dumps(entry) + "\n" for entry in records))
    return path
