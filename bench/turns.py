"""`python -m bench race`: backends measured against one another, in turns, each in a process of its own.

A generation is a fresh process for each entrant. All stay alive and take turns in the order of a randomised Latin
square, so that a round holds one measurement of each, close in time, and nobody always follows the same one; who waits
is stopped. Processes differ among themselves, by where memory lies and how threads are placed; so there are several
generations, and intervals are taken across them.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from bench.child import Child, ChildFailed
from bench.measuring import Task, serve
from data import Digits

SHORTEST = 0.002  # seconds; calls that take less are repeated within a measurement
Record = dict[str, Any]


@dataclass
class Entrant:
    """One entrant in one generation."""

    name: str
    child: Child
    repeats: int = 1


@dataclass
class Race:
    """Who runs and how; `failures` grows while it is run."""

    tasks: dict[str, Task]  # by entrant
    n_threads: int
    rounds: int  # of a generation
    time_limit: float  # seconds that one request may take
    record: Callable[[Record], None]  # is called with everything that is measured, as it comes
    seed: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def run_generation(race: Race, generation: int) -> None:
    """Start everybody, warm up, measure in turns. Who fails is left out from then on, by name."""
    begin, before = time.monotonic(), machine.noise()
    with ExitStack() as stack:
        entrants = []
        for name, task in race.tasks.items():
            if name not in race.failures:
                entrant = Entrant(name, stack.enter_context(Child(serve, n_threads=race.n_threads)))
                attempt(race, warm_up, entrant, generation, task)
                entrants.append(entrant)
        rng = np.random.default_rng([race.seed, generation])
        for number, order in enumerate(turns(len(entrants), race.rounds, rng)):
            for position, index in enumerate(order):
                attempt(race, sample, entrants[index], generation, number, position)
    after = machine.noise()
    stolen = None if before.stolen is None or after.stolen is None else after.stolen - before.stolen
    race.record(
        {"kind": "noise", "generation": generation, "seconds": time.monotonic() - begin}
        | {"stolen": stolen, "load_before": before.load, "load_after": after.load}
    )


def attempt(race: Race, action: Callable[..., None], entrant: Entrant, *arguments: Any) -> None:
    """Do something with an entrant that has not failed yet; note its failure, by name, where it fails now."""
    if entrant.name in race.failures:
        return
    try:
        action(race, entrant, *arguments)
    except ChildFailed as failure:
        race.failures[entrant.name] = f"{entrant.name}: {failure}"
        race.record({"kind": "failure", "entrant": entrant.name, "reason": str(failure)})
        entrant.child.kill()  # one that hangs would take time from the others


def ask(race: Race, entrant: Entrant, *request: Any) -> Any:
    """Let it go on, have it do something, stop it again. Raises ChildFailed for whatever goes wrong."""
    entrant.child.resume()
    entrant.child.send(request)
    kind, answer = entrant.child.answer(race.time_limit)
    entrant.child.pause()
    if kind == "failed":
        raise ChildFailed("failed", answer)
    return answer


def warm_up(race: Race, entrant: Entrant, generation: int, task: Task) -> None:
    """Load, call once for the first time and once warm, and note what is known by then."""
    loaded = ask(race, entrant, "load", task)
    first = ask(race, entrant, "measure", 1)
    warm = ask(race, entrant, "measure", 1)
    entrant.repeats = max(1, int(np.ceil(SHORTEST / warm["wall"])))
    described = ask(race, entrant, "describe")
    race.record(
        {"kind": "process", "generation": generation, "entrant": entrant.name, "images": task.images}
        | {"first": first, "repeats": entrant.repeats, **loaded, **described}
    )


def sample(race: Race, entrant: Entrant, generation: int, number: int, position: int) -> None:
    """One measurement."""
    seconds = ask(race, entrant, "measure", entrant.repeats)
    race.record(
        {"kind": "sample", "generation": generation, "round": number, "position": position, "entrant": entrant.name}
        | seconds
    )


def turns(n: int, rounds: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The order of each round: n at a time the rows of a Latin square, in which everybody is once at each position."""
    for first in range(0, rounds, n):
        square = (np.arange(n)[:, None] + rng.permutation(n)) % n
        relabelled = rng.permutation(n)[square]
        yield from rng.permutation(relabelled)[: rounds - first]


def stored(digits: Digits, folder: Path) -> Path:
    """The digits as files that every process can map into memory."""
    np.save(folder / "images.npy", digits.images)
    np.save(folder / "labels.npy", digits.labels)
    return folder
