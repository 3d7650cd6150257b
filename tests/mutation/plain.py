"""What stands in for functions that plain Python cannot run: those written in LLVM's terms, and the system's.

Each takes and returns what the compiled one does; a pointer is a view of an array from some number on. Where compiled
code would read or write beyond an array, these raise IndexError or ValueError.
"""

from collections.abc import Callable
from concurrent.futures import Future
from types import ModuleType
from typing import Any

import numpy as np

VECTOR, GROUP = 64, 4  # as impls/numba_sparse/kernels.py has them


def pointer(array: Any, at: int) -> Any:
    """The numbers from this flat index on; none, beyond the end, where compiled code may point but not look."""
    view = array.reshape(-1)
    assert np.shares_memory(view, array) or not array.size
    if at < 0:
        raise IndexError(f"number {at}")
    return view[at:]


def within(numbers: Any, at: Any) -> Any:
    """These positions, all of which an array has."""
    if np.size(at) and not 0 <= np.min(at) <= np.max(at) < len(numbers):
        raise IndexError(f"numbers {np.min(at)} to {np.max(at)} of {len(numbers)}")
    return at


def sum_in_registers(
    vectors: int, group: int, x: Any, x_row: int, x_step: int, index: Any, n: int, rows: Any, row: int, out: Any,
    out_row: int,
) -> None:  # fmt: skip
    """out[g * out_row:] = sum over i < n of x[g * x_row + i * x_step] * rows[index[i] * row:], for all g < group."""
    width = np.arange(vectors * VECTOR // out.itemsize)
    i = np.arange(n)
    starts = row * (i if index is None else index[within(index, i)].astype(np.int64))
    members = np.arange(group)[:, np.newaxis]
    factors = x[within(x, members * x_row + i * x_step)]
    out[within(out, members * out_row + width)] = factors @ rows[within(rows, starts[:, np.newaxis] + width)]


def add_from_registers(vectors: int, x: Any, x_row: int, index: Any, n: int, delta: Any, rows: Any, row: int) -> None:
    """rows[index[i] * row:] += sum over g < GROUP of x[g * x_row + i] * delta[g * row:], for all i < n."""
    width = np.arange(vectors * VECTOR // delta.itemsize)
    i, members = np.arange(n), np.arange(GROUP)[:, np.newaxis]
    starts = row * index[within(index, i)].astype(np.int64)
    factors, deltas = x[within(x, members * x_row + i)], delta[within(delta, members * row + width)]
    rows[within(rows, starts[:, np.newaxis] + width)] += factors.T @ deltas


def sum_onto_start(
    group: int, vectors: int, x: Any, x_row: int, x_step: int, n: int, rows: Any, row: int, start: Any, start_row: int,
    out: Any, out_row: int,
) -> None:  # fmt: skip
    """out[g * out_row:] = start[g * start_row:] + sum over i < n of x[g * x_row + i * x_step] * rows[i * row:]."""
    width = np.arange(vectors * VECTOR // out.itemsize)
    i, members = np.arange(n), np.arange(group)[:, np.newaxis]
    factors, of_rows = x[within(x, members * x_row + i * x_step)], rows[within(rows, i[:, np.newaxis] * row + width)]
    starts = start[within(start, members * start_row + width)]
    out[within(out, members * out_row + width)] = starts + factors @ of_rows


def append_nonzero(rows: Any, row: int, first: int, kept: Any, pixels: Any, end: int) -> int:
    """Of a vector of pixels of GROUP images, append those that one or more of them have; the new end is returned."""
    lanes = VECTOR // rows.itemsize
    vector, members = np.arange(lanes), np.arange(GROUP)[:, np.newaxis]
    images = rows[within(rows, members * row + first + vector)]
    there = np.flatnonzero((images != 0).any(axis=0))
    whole = np.zeros((GROUP + 1, lanes), np.int64 if images.dtype == np.uint8 else images.dtype)  # zeros last
    whole[:GROUP, : len(there)], whole[GROUP, : len(there)] = images[:, there], first + there
    kept[within(kept, members * row + end + vector)] = whole[:GROUP]
    pixels[within(pixels, end + vector)] = whole[GROUP]
    return end + len(there)


def claimed(counter: Any, phase: int) -> bool:
    """Whether the counter was raised from `phase` to the next."""
    is_there = bool(counter[0] == phase)
    counter[0] += is_there
    return is_there


def count_one(counter: Any) -> None:
    """Raise the counter by one."""
    counter[0] += 1


def counted(counter: Any) -> int:
    """The counter as it is."""
    return int(counter[0])


def all_done(progress: Any, target: int, patience: int) -> bool:
    """Whether so many shares are done. One that is not will never be: what would wait for it raises RuntimeError."""
    if progress[0] < target and patience < 0:
        raise RuntimeError(f"{progress[0]} shares are done, expected {target}")
    return bool(progress[0] >= target)


def power_of_two(k: Any) -> Any:
    """2 ** k for a whole k; where k is NaN, something defined."""
    return type(k)(1 if np.isnan(k) else 2.0 ** int(k))


def records(kind: Any) -> Any:
    """A dtype of records whose fields are attributes of a record, as they are in compiled code."""
    return np.dtype((np.record, kind))


class Pool:
    """In the place of a pool of threads: the thread that hands out work does it, at once.

    Python's threads could take a share twice, as `claimed` is not one step here.
    """

    def submit(self, work: Callable[[int], None], t: int) -> Future[None]:
        """The work, done, or what it raised."""
        done: Future[None] = Future()
        try:
            work(t)
            done.set_result(None)
        except Exception as error:
            done.set_exception(error)
        return done


def stand_ins(module: ModuleType) -> dict[str, Any]:
    """What takes the place of names in this module, when it is run as plain Python."""
    if module.__name__ == "impls.numba_dense":
        return {
            "pool": Pool,
            "pointer": pointer,
            "sum_in_registers": sum_onto_start,
            "claimed": claimed,
            "count_one": count_one,
            "counted": counted,
            "power_of_two": power_of_two,
            "all_done": all_done,
            "LAYER": records(module.LAYER),
            "IMAGES": records(module.IMAGES),
        }
    if module.__name__ == "impls.numba_sparse":
        return {"pool": Pool}
    if module.__name__ == "impls.numba_sparse.kernels":
        return {
            "pointer": pointer,
            "sum_in_registers": sum_in_registers,
            "add_from_registers": add_from_registers,
            "append_nonzero": append_nonzero,
            "prefetch": lambda place: None,
            "claimed": claimed,
            "count_one": count_one,
            "counted": counted,
            "power_of_two": power_of_two,
            "all_done": all_done,
            "LAYER": records(module.LAYER),
            "IMAGES": records(module.IMAGES),
        }
    return {}


IN_LLVM = "written in LLVM's terms; plain Python runs a stand-in"
OF_THREADS = "threads wait for one another; plain Python has one, which does all shares in turn"
# What is not mutated, and why: by file, as FILES names it, and function.
NOT_MUTATED = {
    "numba_dense": {
        "pointer": IN_LLVM,
        "in_all_lanes": IN_LLVM,
        "vectors_at": IN_LLVM,
        "sum_in_registers": IN_LLVM,
        "claimed": IN_LLVM,
        "count_one": IN_LLVM,
        "counted": IN_LLVM,
        "power_of_two": IN_LLVM,
        "all_done": OF_THREADS,
        "run_phases": OF_THREADS,
    },
    "numba_sparse.kernels": {
        "pointer": IN_LLVM,
        "in_all_lanes": IN_LLVM,
        "vectors_at": IN_LLVM,
        "sum_in_registers": IN_LLVM,
        "add_from_registers": IN_LLVM,
        "append_nonzero": IN_LLVM,
        "prefetch": IN_LLVM,
        "claimed": IN_LLVM,
        "count_one": IN_LLVM,
        "counted": IN_LLVM,
        "power_of_two": IN_LLVM,
        "all_done": OF_THREADS,
        "run_phases": OF_THREADS,
    },
}
