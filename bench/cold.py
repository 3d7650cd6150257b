"""A first call as on a machine that has never run this backend: with nothing compiled on disk."""

import tempfile

from bench.child import Child
from bench.measuring import serve
from bench.turns import Entrant, Race, ask, attempt

CACHES = ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")  # where compilers keep their code


def first_call(race: Race, name: str) -> None:
    """Measure it once, in a process of its own whose compilers find empty folders, and record it.

    Compiling takes so much longer than chance that once is enough to tell. Who fails is left out of the race.
    """
    task = race.tasks[name]
    with (
        tempfile.TemporaryDirectory() as folder,
        Child(serve, n_threads=task.n_threads, source=task.source, environment=dict.fromkeys(CACHES, folder)) as child,
    ):
        attempt(race, None, measure, Entrant(name, child))


def measure(race: Race, entrant: Entrant) -> None:
    """The call, on the clock as every other."""
    ask(race, entrant, "import", race.tasks[entrant.name])
    loaded = ask(race, entrant, "load")
    first = ask(race, entrant, "measure", 1)
    race.tell(
        "cold", entrant=entrant.name, images=race.tasks[entrant.name].images, prepare=loaded["prepare"], first=first
    )
