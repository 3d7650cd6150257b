"""Records of a race as a journal holds them."""

from typing import Any

from bench.records.journal import SCHEMA

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
        "images": 20 if participant == "naive" else 60,
        "prepare": {"wall": 0.5},
        "first": {"wall": 2.0},
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
    where = {"race": 0, "generation": generation, "round": number, "participant": participant}
    return {"kind": "sample", "wall": wall, "user": wall, "system": 0.0} | where


def end_of(generation: int = 0) -> dict[str, Any]:
    noise = {"seconds": 3.0, "stolen": 0.0, "load_before": 0.1, "load_after": 0.2}
    return {"kind": "generation", "race": 0, "generation": generation} | noise
