"""One generation of a race: a set of fresh processes, one for each participant, whose measurements are interleaved.

Their order is a randomised Latin square: a round holds one measurement of each participant, close in time, and none
always follows the same one; waiting processes are stopped. Processes of the same code differ, by where memory
lies and how threads are placed; so there are several generations, and intervals are taken across them. The process
that starts first can differ throughout; so the order of starting rotates as well, and where a backend is compared with
itself, `analysis.statistics` estimates that effect.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

import impls
import temporary
from bench.timing.clock import noise
from bench.timing.process import Child, answer_with
from bench.timing.records import Cold, Generation, Process, Sample
from bench.timing.session import Participant, Session, ask, attempt, wait
from bench.timing.threads import usable
from bench.timing.worker import TimingTask, Worker

SHORTEST = 0.002  # seconds; calls that take less are repeated within a measurement
GENERATIONS_A_RATE = 8  # the machine's rates can take half as long as a whole generation
LATE = 2.0  # times the time of a generation, after which no round begins


def run_generation(race: Session, generation: int, seconds: float = math.inf) -> None:
    """Start all participants, warm up, measure round by round. One that fails is left out from then on.

    seconds: that it should take at most, for which it may have fewer rounds, see `Session`.
    """
    begin, before = time.monotonic(), noise()
    with ExitStack() as stack:
        participants = []
        for name, task in starting_order(race, generation):
            child = child_for(task)
            participants.append(Participant(name, stack.enter_context(child)))
        # Imports are not timed, so they may overlap; afterwards only one process works at a time.
        for participant in participants:
            attempt(race, generation, wait, participant)
        for participant in participants:
            attempt(race, generation, warm_up, participant, generation)
        warm = time.monotonic()
        rounds = measure_rounds(race, generation, participants, begin, seconds)
        of_round = (time.monotonic() - warm) / rounds
    race.shortest = warm - begin + (race.fewest or race.rounds) * of_round
    after = noise()
    disturbed = {
        "stolen": None if before.stolen is None or after.stolen is None else after.stolen - before.stolen,
        # Not below 0: the system counts in hundredths of a second.
        "others": None if before.others is None or after.others is None else max(0.0, after.others - before.others),
        "cores": len(usable()),
        "load_before": before.load,
        "load_after": after.load,
    }
    race.add(Generation, generation=generation, seconds=time.monotonic() - begin, **disturbed)


def child_for(task: TimingTask, environment: Mapping[str, str] | None = None) -> Child:
    """The process of a participant, by its backend's interpreter. environment: further variables for it."""
    python = impls.interpreter_of(task.backend)
    settings: dict[str, Any] = {"source": task.source, "environment": environment, "python": python}
    return Child(answer_with, Worker, task, n_threads=task.n_threads, **settings)


def measure_rounds(
    race: Session, generation: int, participants: list[Participant], begin: float, seconds: float
) -> int:
    """Measure round by round; return their number.

    It is settled before the first round, from the warm calls, as one that depended on the rounds would favour slow or
    fast ones. Only where they take much longer than the warm calls promised, the generation ends with fewer.
    """
    rounds, fewest = race.rounds, race.fewest or race.rounds
    of_round = sum(one.seconds for one in participants if one.name not in race.failures)
    left = begin + seconds - time.monotonic()
    if of_round and of_round * rounds > left:
        rounds = max(fewest, int(left / of_round))
    rng = np.random.default_rng([race.seed, generation])
    for number, order in enumerate(latin_squares(len(participants), rounds, rng)):
        if number >= fewest and time.monotonic() > begin + LATE * seconds:
            return number
        for position, index in enumerate(order):
            attempt(race, generation, sample, participants[index], generation, number, position)
    return rounds


def starting_order(race: Session, generation: int) -> list[tuple[str, TimingTask]]:
    """The participants that have not failed, and their tasks, in starting order: a row of a Latin square.

    In as many consecutive generations as there are participants each starts once at each place.
    """
    names = race.remaining()
    if not names:
        return []
    square, row = divmod(generation, len(names))
    order = list(latin_squares(len(names), len(names), np.random.default_rng([race.seed, 1, square])))[row]
    return [(names[i], race.tasks[names[i]]) for i in order]


def rates_are_due(generation: int) -> bool:
    """Whether the floor's process also measures the rates of the machine in this generation."""
    return generation % GENERATIONS_A_RATE == 0


def warm_up(race: Session, participant: Participant, generation: int) -> None:
    """Load, make a first and a warm call, record their seconds, and choose how often a measurement repeats the call."""
    task = race.tasks[participant.name]
    loaded = ask(race, participant, "load")
    first = ask(race, participant, "measure", 1)
    described = ask(race, participant, "describe", rates_are_due(generation))
    participant.repeats = max(1, int(np.ceil(SHORTEST / described["warm"]["wall"])))
    participant.seconds = participant.repeats * described["warm"]["wall"]
    about = {"generation": generation, "participant": participant.name, "backend": task.backend, "images": task.images}
    race.add(Process, **about, repeats=participant.repeats, first=first, **loaded, **described)


def sample(race: Session, participant: Participant, generation: int, number: int, position: int) -> None:
    """Measure once, and record the seconds with their place in the generation."""
    seconds = ask(race, participant, "measure", participant.repeats)
    race.add(Sample, generation=generation, round=number, position=position, participant=participant.name, **seconds)


def latin_squares(n: int, rounds: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the order of each round, (n,): rows of n x n Latin squares, with each index once at each position."""
    for first in range(0, rounds, n):
        square = (np.arange(n)[:, None] + rng.permutation(n)) % n
        relabelled = rng.permutation(n)[square]
        yield from rng.permutation(relabelled)[: rounds - first]


# Where compilers keep their code; the last, that of `c`.
CACHES = ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR", "DIGITBENCH_CACHE_DIR")


def first_call(race: Session, name: str) -> None:
    """Record a first call in a process of its own whose compilers find empty caches.

    One measurement is enough, as compiling takes far longer than noise. A participant that fails is left out.
    """
    task = race.tasks[name]
    with temporary.folder() as folder:
        empty = dict.fromkeys(CACHES, str(folder))
        with child_for(task, empty) as child:
            attempt(race, None, measure_first_call, Participant(name, child))


def measure_first_call(race: Session, participant: Participant) -> None:
    """Wait for the imports, load, call once, and record the seconds of both."""
    wait(race, participant)
    prepare, first = ask(race, participant, "load")["first_prepare"], ask(race, participant, "measure", 1)
    images = race.tasks[participant.name].images
    race.add(Cold, participant=participant.name, images=images, prepare=prepare, first=first)
