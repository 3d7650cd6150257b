"""What stands in for functions that plain Python cannot run: those written in LLVM's terms, and the system's.

Each takes and returns what the compiled one does; a pointer is a view of an array from some number on. Where compiled
code would read or write beyond an array, these raise IndexError or ValueError.
"""

from collections.abc import Callable
from concurrent.futures import Future
from types import ModuleType
from typing import Any

import numpy as np

VECTOR, TILE, GROUP, BLOCK = 64, 16, 4, 128  # as impls/numba_sparse/kernels.py has them


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


def offset(numbers: Any, by: int) -> Any:
    """The numbers from that one on."""
    return pointer(numbers, by)


def n_lanes(numbers: Any) -> int:
    """How many of these numbers a vector holds."""
    return VECTOR // int(numbers.itemsize)


def sum_of_rows(
    vectors: int, group: int, x: Any, x_row: int, x_step: int, n: int, rows: Any, row: int, initial: Any,
    initial_row: int, out: Any, out_row: int,
) -> None:  # fmt: skip
    """out[g * out_row:] = initial[g * initial_row:] + sum over i < n of x[g * x_row + i * x_step] * rows[i * row:]."""
    width, i, members = numbers_of(vectors, out), np.arange(n), np.arange(group)[:, np.newaxis]
    factors, of_rows = x[within(x, members * x_row + i * x_step)], rows[within(rows, row * i[:, np.newaxis] + width)]
    begin = initial[within(initial, members * initial_row + width)]
    out[within(out, members * out_row + width)] = begin + factors @ of_rows


def numbers_of(vectors: int, of: Any) -> Any:
    """0, 1, ... for all numbers of so many vectors."""
    return np.arange(vectors * VECTOR // of.itemsize)


def pixel_values(pixels: Any, values: Any, scale: Any) -> Any:
    """Pixels as the numbers that they are in the network."""
    return values[within(values, pixels)] if pixels.dtype == np.uint8 else pixels * scale


def sum_of_listed_rows(
    vectors: int, images: Any, n_inputs: int, sequence: Any, values: Any, scale: Any, pixels: Any, list_step: int,
    lengths: Any, first: Any, rows: Any, out: Any,
) -> None:  # fmt: skip
    """out[g] = first + sum over pixels of image g of value * rows[pixel], for all g < GROUP."""
    width, members = numbers_of(vectors, out), np.arange(GROUP)
    of_images, row = n_inputs * sequence[within(sequence, members)], len(width)
    totals = np.tile(first[within(first, width)], (GROUP, 1))
    for which in range(1, 2**GROUP):
        places = which * list_step + np.arange(lengths[within(lengths, which)])
        listed = pixels[within(pixels, places)].astype(np.int64)
        parts = rows[within(rows, row * listed[:, np.newaxis] + width)]
        for g in (g for g in members if which >> g & 1):
            totals[g] += pixel_values(images[within(images, of_images[g] + listed)], values, scale) @ parts
    out[within(out, members[:, np.newaxis] * row + width)] = totals


def add_rows_of_images(
    vectors: int, images: Any, n_inputs: int, sequence: Any, values: Any, scale: Any, bits: Any, bits_step: int,
    part: int, parts: int, delta: Any, rows: Any,
) -> None:  # fmt: skip
    """rows[i] += sum over images k of the value of pixel i * delta[k], for every parts-th pair of pixels."""
    width = numbers_of(vectors, rows)
    for pair in range(part, (n_inputs + 1) // 2, parts):
        pixels = np.array([2 * pair, min(2 * pair + 1, n_inputs - 1)])[:, np.newaxis]
        having = bits[within(bits, pair * bits_step)] >> np.arange(64, dtype=np.uint64)
        k = np.flatnonzero(having & np.uint64(1))
        places = sequence[within(sequence, k)] * n_inputs + pixels
        factors = pixel_values(images[within(images, places)], values, scale)
        deltas = delta[within(delta, k[:, np.newaxis] * len(width) + width)]
        of_pair = (2 * pair + np.arange(2)[:, np.newaxis]) * len(width) + width
        rows[within(rows, of_pair)] += factors @ deltas


def nonzero_bits(numbers: Any, at: int) -> Any:
    """A bit for each of 64 numbers, the first lowest: whether it is not 0."""
    return np.uint64(sum(1 << int(k) for k in np.flatnonzero(numbers[within(numbers, at + np.arange(64))] != 0)))


def append_pixels(b0: Any, b1: Any, b2: Any, b3: Any, first: int, pixels: Any, list_step: int, lengths: Any) -> None:
    """Append 64 pixels to the lists of those that just some images have; beyond a list's end comes what is no pixel."""
    having = sum(
        ((b >> np.arange(64, dtype=np.uint64)) & np.uint64(1)) << np.uint64(g) for g, b in enumerate((b0, b1, b2, b3))
    )
    for which in range(1, 2**GROUP):
        there = np.flatnonzero(having == which)
        written = np.full(64, np.iinfo(pixels.dtype).max)
        written[: len(there)] = first + there
        pixels[within(pixels, which * list_step + lengths[within(lengths, which)] + np.arange(64))] = written
        lengths[which] += len(there)


def transpose_tile(rows: Any, row: int, out: Any, out_row: int) -> None:
    """out[i * out_row + k] = rows[k * row + i], for i and k below TILE."""
    numbers = np.arange(TILE)
    tile = rows[within(rows, numbers[:, np.newaxis] * row + numbers)]
    out[within(out, numbers[:, np.newaxis] * out_row + numbers)] = tile.T


def bits_of_mask(bytes_: Any, at: int, mask: int) -> Any:
    """A bit for each byte of a vector, the first lowest: whether it has a bit of the mask."""
    vector = bytes_[within(bytes_, at + numbers_of(1, bytes_))]
    return np.uint64(sum(1 << int(k) for k in np.flatnonzero(vector & np.uint8(mask))))


def bounded_exponential(x: Any) -> Any:
    """exp(x), between exp(-60) and exp(60)."""
    return np.exp(np.clip(x, -60, 60))


def fill(a: Any, numbers: Any) -> None:
    """Put numbers there, and NaN beyond them to the end of the last vector, where compiled code leaves anything."""
    lanes = VECTOR // a.itemsize
    vectors = within(a, np.arange(-(-len(numbers) // lanes) * lanes))
    a[vectors] = np.nan
    a[: len(numbers)] = numbers


def softmax(a: Any, n: int) -> tuple[Any, Any]:
    """a = softmax(a), in place, for n numbers; their maximum, and the sum of exp(a - maximum)."""
    numbers = a[within(a, np.arange(n))]
    highest = np.fmax.reduce(numbers)
    with np.errstate(invalid="ignore"):
        powers = bounded_exponential(numbers - highest)
    fill(a, powers / powers.sum())
    return highest, powers.sum()


def sigmoid(a: Any, n: int) -> None:
    """a = sigmoid(a), in place, for n numbers; 0 where it is below its rounding near 1."""
    power = bounded_exponential(-a[within(a, np.arange(n))])
    fill(a, np.where(power > 1 / np.finfo(a.dtype).eps, 0, 1 / (1 + power)))


def sum_onto_start(
    group: int, vectors: int, x: Any, x_row: int, x_step: int, n: int, rows: Any, row: int, start: Any, start_row: int,
    out: Any, out_row: int,
) -> None:  # fmt: skip
    """What `sum_of_rows` does, as numba_dense has it."""
    sum_of_rows(vectors, group, x, x_row, x_step, n, rows, row, start, start_row, out, out_row)


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
    if progress[0, 0] < target and patience < 0:
        raise RuntimeError(f"{progress[0, 0]} shares are done, expected {target}")
    return bool(progress[0, 0] >= target)


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
            "offset": offset,
            "n_lanes": n_lanes,
            "sum_of_rows": sum_of_rows,
            "sum_of_listed_rows": sum_of_listed_rows,
            "add_rows_of_images": add_rows_of_images,
            "nonzero_bits": nonzero_bits,
            "append_pixels": append_pixels,
            "transpose_tile": transpose_tile,
            "bits_of_mask": bits_of_mask,
            "prefetch": lambda numbers: None,
            "claimed": claimed,
            "count_one": count_one,
            "counted": counted,
            "softmax": softmax,
            "sigmoid": sigmoid,
            "all_done": all_done,
            "LAYER": records(module.LAYER),
            "IMAGES": records(module.IMAGES),
        }
    return {}


IN_LLVM = "written in LLVM's terms; plain Python runs a stand-in"
OF_THREADS = "threads wait for one another; plain Python has one, which does all shares in turn"
ESTIMATE = "a rough count of cycles, in numbers measured or guessed; with any, a division is right, if not the fastest"
# What is not mutated, and why: by file, as FILES names it, and function.
NOT_MUTATED = {
    "numba_sparse": {"cycles": ESTIMATE},
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
        "offset": IN_LLVM,
        "n_lanes": IN_LLVM,
        "in_all_lanes": IN_LLVM,
        "vectors_at": IN_LLVM,
        "lanes_of": IN_LLVM,
        "load_each": IN_LLVM,
        "store_each": IN_LLVM,
        "add_products": IN_LLVM,
        "function": IN_LLVM,
        "for_bits": IN_LLVM,
        "sum_of_rows": IN_LLVM,
        "pixel_value": IN_LLVM,
        "sum_of_listed_rows": IN_LLVM,
        "add_rows_of_images": IN_LLVM,
        "nonzero_bits": IN_LLVM,
        "append_numbers": IN_LLVM,
        "append_pixels": IN_LLVM,
        "transpose_tile": IN_LLVM,
        "bits_of_mask": IN_LLVM,
        "prefetch": IN_LLVM,
        "claimed": IN_LLVM,
        "count_one": IN_LLVM,
        "counted": IN_LLVM,
        "exponential": IN_LLVM,
        "for_vectors": IN_LLVM,
        "softmax": IN_LLVM,
        "sigmoid": IN_LLVM,
        "all_done": OF_THREADS,
        "run_phases": OF_THREADS,
    },
}
