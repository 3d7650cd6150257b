"""Results files of trainings, made up."""

import itertools
import math
from typing import Any

import numpy as np

from tests.helpers.race_files import race_records

SECONDS = {"slow": 2.0, "swift": 0.5}


def trained(
    seconds: dict[str, float] = SECONDS,
    *,
    number: int = 0,
    target: float = 0.97,
    mean: float = 0.975,
    seeds: int = 10,
    followed: int = 1,
    failing: tuple[str, ...] = (),
    **header: Any,
) -> list[dict[str, Any]]:
    """The records of trainings for one target, as `bench accuracy` writes them; accuracies are the same for all."""
    rng = np.random.default_rng(number)
    first = race_records(dict.fromkeys(seconds, 1.0), number=number)[0]
    first |= {"purpose": "accuracy", "target": target, "recipe": f"r{number}", "command": "python -m bench accuracy"}
    records = [first | header, {"kind": "run", "race": number, "load": 0.25}]
    accuracies = mean + rng.normal(0, 1e-4, seeds)
    for name in seconds:
        begun = {"prepare": {"wall": 0.25}, "first": {"wall": 2 * seconds[name]}}
        records.append({"kind": "trainer", "race": number, "participant": name, **begun})
    for seed in range(seeds):
        for name, time in seconds.items():
            wall = time * math.exp(rng.normal(0, 0.05))
            found = {"wall": wall, "user": wall, "system": 0.0, "accuracy": accuracies[seed], "cost": 0.1}
            done = {"setting": f"r{number}", "seed": seed, "epochs": 1.5, "updates": 90, "images": 9000}
            record = {"kind": "training", "race": number, "generation": seed, "participant": name, **done, **found}
            records.append(record | {"evaluation": {"wall": 0.01}})
        records.append({"kind": "generation", "race": number, "generation": seed, "seconds": 3.0})
    for name, i in itertools.product(seconds, range(followed)):
        parts = {"seconds": [0.0, 0.5 * seconds[name], seconds[name]], "epochs": [0.0, 0.75, 1.5]}
        records.append(
            {"kind": "curve", "race": number, "participant": name, "seed": i}
            | {"curve": parts | {"accuracy": [0.1, 0.9, mean - i / 100], "cost": [2.5, 0.5 + i / 10, 0.125]}}
        )
    failures = ({"kind": "failure", "race": number, "participant": name, "reason": "ended"} for name in failing)
    return [*records, *failures]
