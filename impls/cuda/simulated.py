"""What ptx.py has, for numba's simulator: kernels run as Python, and these are their simplest equivalents."""

import threading
import time
from typing import Any

import numpy as np
from numba import cuda

exp, log, tanh = np.exp, np.log, np.tanh
device_function = cuda.jit(device=True)
ALIGNED: Any = None  # the simulator aligns nothing
at = int
begun = threading.local()  # copies that are done as late as can be, so that one that is not waited for shows


def kernel(n_threads: int, at_once: int = 1) -> Any:
    """Make a kernel for blocks of so many threads."""
    return cuda.jit


def quotient(a: Any, n: Any) -> Any:
    """a // n, for numbers from 0 to 2^32."""
    return a // n


def four(array: Any, i: int) -> Any:
    """Four elements from i on, which is a multiple of four."""
    return array[i], array[i + 1], array[i + 2], array[i + 3]


def pixels_of(word: Any, like: Any) -> Any:
    """The four bytes of a word, the lowest first, as numbers of the type of `like`."""
    real, word = type(like), int(word)
    return tuple(real((word >> shift) & 255) for shift in (0, 8, 16, 24))


def copy_16_bytes(words: Any, to: int, source: Any, start: int) -> None:
    """Begin to copy four 32-bit words from global to shared memory; both positions are multiples of four."""
    begun.__dict__.setdefault("copies", []).append((words, to, source, start))


def wait_for_copies() -> None:
    """Wait until all copies that this thread has begun are done."""
    for words, to, source, start in begun.__dict__.pop("copies", []):
        words[to : to + 4] = source[start : start + 4]


def give_way() -> None:
    """Let others run while this thread waits for a word."""
    time.sleep(0)


def peek(words: Any, i: int) -> Any:
    """Read a word that another block may be writing."""
    return words[i]


def poke(words: Any, i: int, word: Any) -> None:
    """Write a word that another block may be reading."""
    words[i] = word


def bits_of(value: Any) -> Any:
    """The bits of a number, as an integer of its size."""
    return value.view(f"u{value.itemsize}")


def number_of(bits: Any) -> Any:
    """The number of these bits."""
    return bits.view(f"f{bits.itemsize}")
