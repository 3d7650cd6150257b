"""`python -m tests.torture determinism`: does a backend give the same bits again, in fresh processes?

Every backend computes outputs, gradients and a training with momentum, in float32 and float64, in several fresh
processes with one thread and several with two. The table says where all bits were the same, also between one thread and
two. Exit code 1 where two processes with as many threads differ.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

import impls
from bench.timing import threads
from bench.timing.process import Child, ChildFailed, answer_with
from impls.contract import DType

TIME_LIMIT = 300.0  # seconds for all that a process computes
IMAGES = 6000  # more than a block of those backends that work in blocks
SAME = "same bits"
Bits = dict[str, str]  # a checksum by dtype and quantity


def run(arguments: list[str]) -> int:
    """Print a table of the backends; return 1 where one does not give the same bits again."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture determinism", description=__doc__)
    names = [name for name in impls.available() if impls.device_of(name) == "cpu"]
    parser.add_argument("--backend", default=",".join(names), metavar="A,B", help="(default: all that are available)")
    parser.add_argument("--processes", type=int, default=2, help="with each number of threads (default: %(default)s)")
    parser.add_argument("--images", type=int, default=IMAGES, help="of the training (default: %(default)s)")
    options = parser.parse_args(arguments)
    counts = [n for n in (1, 2) if n <= threads.cores()]
    columns = ["backend", *(f"again, {n} thread{'s' * (n > 1)}" for n in counts), "1 and 2 threads"]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)
    found = [row_of(name, options.images, options.processes, counts) for name in options.backend.split(",")]
    return int(not all(found))


def row_of(name: str, images: int, processes: int, counts: Sequence[int]) -> bool:
    """Print the row of a backend; whether it gives the same bits again with each of these numbers of threads."""
    try:
        by_count = [[bits_of([name], images, n) for _ in range(processes)] for n in counts]
    except ChildFailed as failure:
        print(f"| `{name}` | failed: {failure} |", flush=True)
        return False
    again = [same(several) for several in by_count]
    between = same([several[0] for several in by_count]) if len(counts) > 1 else "not measured"
    print(f"| `{name}` | {' | '.join([*again, between])} |", flush=True)
    return all(answer == SAME for answer in again)


def same(several: list[Bits]) -> str:
    """Whether all are equal, in words, and which are not, if others are."""
    first = several[0]
    different = [part for part in first if any(other[part] != first[part] for other in several)]
    if not different:
        return SAME
    return "other bits" if len(different) == len(first) else f"other bits: {', '.join(different)}"


def bits_of(names: Iterable[str], images: int, n_threads: int, dtypes: Iterable[str] = ()) -> Bits:
    """What these backends compute in a fresh process. Raises ChildFailed."""
    with Child(answer_with, Worker, n_threads=n_threads) as child:
        child.answer(TIME_LIMIT)
        child.send(("bits", tuple(names), images, tuple(dtypes) or get_args(DType)))
        kind, answer = child.answer(TIME_LIMIT)
    if kind == "failed":
        raise ChildFailed("failed", answer)
    return dict(answer)


class Worker:
    """Computes in a process of its own."""

    def bits(self, names: Iterable[str], images: int, dtypes: Iterable[str]) -> Bits:
        """Checksums of all that each backend supports."""
        found: Bits = {}
        for name in names:
            backend = impls.load(name)
            for dtype in dtypes:
                found |= {f"{name} {dtype} {part}": bits for part, bits in computed(backend, dtype, images).items()}
        return found


def computed(backend: Any, dtype: Any, images: int) -> Bits:
    """Checksums of the outputs, the gradients and a training of one backend."""
    import numpy as np

    from bench.workloads.recipes import Recipe, relu
    from impls.contract import zero_velocities

    rng = np.random.default_rng(1)
    pixels = (rng.integers(0, 256, (images, 784)) * (rng.random((images, 784)) < 0.2)).astype(np.uint8)
    labels = rng.integers(0, 10, images)
    how: dict[str, Any] = {"batch": 128, "learning_rate": 0.1, "momentum": 0.9, "order": "shuffled", "dtype": dtype}
    recipe = Recipe("determinism", relu(784, 128, 10), **how)
    network, parameters = recipe.network, recipe.parameters()
    plan = next(recipe.plans(images, seed=1))
    prepared = backend.prepare(network, pixels, labels, dtype)
    work: dict[str, Callable[[], Any]] = {
        "outputs": lambda: backend.outputs(network, parameters, backend.prepare(network, pixels, None, dtype)),
        "gradients": lambda: backend.gradients(network, parameters, prepared),
        "train": lambda: backend.train(network, zero_velocities(parameters), prepared, plan),
    }
    return {part: checksum(call()) for part, call in work.items() if not backend.unsupported(part, network, dtype)}


def checksum(values: Any) -> str:
    """A checksum of the bits of all arrays and numbers in nested tuples."""
    import numpy as np

    digest = hashlib.sha256()
    waiting = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, tuple):
            waiting.extend(value)
        elif value is not None:
            digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    from tests.torture import determinism  # by its name, under which a child finds the worker

    sys.exit(determinism.run(sys.argv[1:]))
