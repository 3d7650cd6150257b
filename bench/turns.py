"""`python -m bench race`: backends measured against one another, in turns, each in a process of its own.

A generation is a fresh process for each entrant. All stay alive and take turns in the order of a randomised Latin
square, so that a round holds one measurement of each, close in time, and nobody always follows the same one; who waits
is stopped. Processes differ among themselves, by where memory lies and how threads are placed; so there are several
generations, and intervals are taken across them. Who starts first can be better off for good: on one machine, five
processes of the same backend, the first was faster by 3 %, in every generation. So that place goes round as well;
and where a backend is compared with itself, its effect is told apart, see `bench.statistics`.
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
GENERATIONS_A_RATE = 8  # the machine's rates can take half as long as a whole generation
TIME_LIMIT = 300.0  # seconds for one request
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
    rounds: int  # of a generation
    record: Callable[[Record], None]  # is called with everything that is measured, as it comes
    number: int = 0  # among the races of a file
    run: int = 0  # of the command: 1 where it goes on for the first time
    seed: int = 0
    time_limit: float = TIME_LIMIT  # seconds that one request may take
    failures: dict[str, str] = field(default_factory=dict)

    def left(self) -> list[str]:
        """Who has not failed."""
        return [name for name in self.tasks if name not in self.failures]

    def tell(self, kind: str, **what: Any) -> None:
        """Record something."""
        self.record({"kind": kind, "race": self.number, "run": self.run} | what)


def run_generation(race: Race, generation: int) -> None:
    """Start everybody, warm up, measure in turns. Who fails is left out from then on, by name."""
    begin, before = time.monotonic(), machine.noise()
    with ExitStack() as stack:
        entrants = [
            Entrant(name, stack.enter_context(Child(serve, n_threads=task.n_threads, source=task.source)))
            for name, task in starting_order(race, generation)
        ]
        # Imports are off every clock, so they may overlap; from the first thing that is timed on, one works at a time.
        for entrant in entrants:
            attempt(race, generation, send, entrant, "import", race.tasks[entrant.name])
        for entrant in entrants:
            attempt(race, generation, wait, entrant)
        for entrant in entrants:
            attempt(race, generation, warm_up, entrant, generation)
        rng = np.random.default_rng([race.seed, generation])
        for number, order in enumerate(turns(len(entrants), race.rounds, rng)):
            for position, index in enumerate(order):
                attempt(race, generation, sample, entrants[index], generation, number, position)
    after = machine.noise()
    stolen = None if before.stolen is None or after.stolen is None else after.stolen - before.stolen
    race.tell(
        "generation",
        generation=generation,
        seconds=time.monotonic() - begin,
        stolen=stolen,
        load_before=before.load,
        load_after=after.load,
    )


def starting_order(race: Race, generation: int) -> list[tuple[str, Task]]:
    """Who has not failed, and what it does, in the order in which they start: rows of Latin squares, a generation each.

    As many generations as entrants in a row make a square, in which everybody is once at each place.
    """
    names = race.left()
    if not names:
        return []
    square, row = divmod(generation, len(names))
    order = list(turns(len(names), len(names), np.random.default_rng([race.seed, 1, square])))[row]
    return [(names[i], race.tasks[names[i]]) for i in order]


def attempt(
    race: Race, generation: int | None, action: Callable[..., object], entrant: Entrant, *arguments: Any
) -> None:
    """Do something with an entrant that has not failed yet; note its failure, by name, where it fails now.

    generation: that it belongs to; None: to the race.
    """
    if entrant.name in race.failures:
        return
    try:
        action(race, entrant, *arguments)
    except ChildFailed as failure:
        race.failures[entrant.name] = f"{entrant.name}: {failure}"
        when = {} if generation is None else {"generation": generation}
        race.tell("failure", entrant=entrant.name, reason=str(failure), **when)
        entrant.child.kill()  # one that hangs would take time from the others


def ask(race: Race, entrant: Entrant, *request: Any) -> Any:
    """Let it go on, have it do something, stop it again. Raises ChildFailed for whatever goes wrong."""
    send(race, entrant, *request)
    return wait(race, entrant)


def send(race: Race, entrant: Entrant, *request: Any) -> None:
    """Let it go on and tell it what to do. Raises ChildFailed if it is dead."""
    entrant.child.resume()
    entrant.child.send(request)


def wait(race: Race, entrant: Entrant) -> Any:
    """What it answers; then it is stopped. Raises ChildFailed for whatever goes wrong."""
    kind, answer = entrant.child.answer(race.time_limit)
    entrant.child.pause()
    if kind == "failed":
        raise ChildFailed("failed", answer)
    return answer


def rates_are_due(generation: int) -> bool:
    """Whether the floor of this generation measures what the machine reaches."""
    return generation % GENERATIONS_A_RATE == 0


def warm_up(race: Race, entrant: Entrant, generation: int) -> None:
    """Load, call once for the first time and once warm, and note what is known by then."""
    task = race.tasks[entrant.name]
    loaded = ask(race, entrant, "load")
    first = ask(race, entrant, "measure", 1)
    described = ask(race, entrant, "describe", rates_are_due(generation))
    entrant.repeats = max(1, int(np.ceil(SHORTEST / described["warm"]["wall"])))
    race.tell(
        "process",
        generation=generation,
        entrant=entrant.name,
        backend=task.backend,
        images=task.images,
        repeats=entrant.repeats,
        first=first,
        **loaded,
        **described,
    )


def sample(race: Race, entrant: Entrant, generation: int, number: int, position: int) -> None:
    """One measurement."""
    seconds = ask(race, entrant, "measure", entrant.repeats)
    race.tell("sample", generation=generation, round=number, position=position, entrant=entrant.name, **seconds)


def turns(n: int, rounds: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The order of each round: n at a time the rows of a Latin square, in which everybody is once at each position."""
    for first in range(0, rounds, n):
        square = (np.arange(n)[:, None] + rng.permutation(n)) % n
        relabelled = rng.permutation(n)[square]
        yield from rng.permutation(relabelled)[: rounds - first]


def stored(digits: Digits, folder: Path) -> Path:
    """The digits as files that every process can map into memory; those that are there already are taken."""
    if not folder.exists():
        folder.mkdir()
        np.save(folder / "images.npy", digits.images)
        np.save(folder / "labels.npy", digits.labels)
    return folder
