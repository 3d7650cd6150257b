"""What a time is compared with: the arithmetic of a case, the floor, and the best rates of this machine."""

import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

import numpy as np

from bench.timing.records import Rates
from impls.contract import Array, DType

GEMM_SIZE = 1536  # rows and columns: large enough for BLAS's best rate, 7 GFLOP
COPIED = 2**27  # bytes that a copy reads, and as many that it writes: more than caches hold
REPEATS = 3


def floor_products(images: Array, n_outputs: int, dtype: DType, backward: bool = True) -> Callable[[], None]:
    """The floor: the products of the first layer over all images, each as one matrix product of NumPy.

    It is the least that dense arithmetic has to do. images: (n, n_inputs), any dtype. Returns a function that computes
    the products: images with weights, (n, n_inputs) x (n_inputs, n_outputs), and, if `backward`, images transposed with
    deltas, (n_inputs, n) x (n, n_outputs). The values do not matter.
    """
    x = np.multiply(images, 1, dtype=dtype, casting="unsafe")  # takes a twelfth of the time of a cast
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((x.shape[1], n_outputs)).astype(dtype)
    deltas = rng.standard_normal((x.shape[0], n_outputs)).astype(dtype)
    z, gradient = np.empty_like(deltas), np.empty_like(weights)

    def products() -> None:
        np.matmul(x, weights, out=z)
        if backward:
            np.matmul(x.T, deltas, out=gradient)

    return products


def flop_of(sizes: Sequence[int], images: int, backward: bool = True) -> int:
    """Return the multiplications and additions of the matrix products of one epoch of this many images, all dense.

    A layer has three products of 2 n fan_in fan_out each: forward, the gradient of its weights, and the deltas of the
    layer below, which the first layer does not need. backward: False counts the first kind alone. A backend that skips
    zeros does less than this.
    """
    weights = [fan_in * fan_out for fan_in, fan_out in pairwise(sizes)]
    return 2 * images * (3 * sum(weights) - weights[0] if backward else sum(weights))


def rates(dtype: DType, n_threads: int) -> Rates:
    """Measure the rates that this machine reaches with n_threads: of a large matrix product and of copies in memory."""
    a = np.ones((GEMM_SIZE, GEMM_SIZE), dtype)
    product = np.empty_like(a)
    pairs = [(np.empty(n, np.uint8), np.ones(n, np.uint8)) for n in [COPIED // n_threads] * n_threads]

    def copy() -> None:  # NumPy copies with one thread, without holding the interpreter lock
        workers = [threading.Thread(target=np.copyto, args=pair) for pair in pairs]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    gemm = seconds(lambda: np.matmul(a, a, out=product))
    return Rates(2 * GEMM_SIZE**3 / gemm, 2 * COPIED / seconds(copy))


def seconds(work: Callable[[], object]) -> float:
    """Return the median wall time of a call, in seconds, after one that is not counted."""
    times = []
    for _ in range(1 + REPEATS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return median(times[1:])
