"""What the compiled backends promise beyond the contract: the same bits every time, and no copy of the images."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numba
import numpy as np
import pytest

import impls
from bench.agreement.problems import with_random_biases
from impls import numba_dense, numba_loops, numba_sparse
from impls.contract import Array, Cost, DType, Layer, Network, Output, Plan, zero_velocities
from impls.initialisation import initial_parameters
from impls.numba_sparse import kernels

ROOT = Path(__file__).parents[2]
NAMES = ("numba", "numba_dense", "numba_sparse")
OF_OWN_THREADS = (numba_dense, numba_sparse)
NETWORK = Network((100, 40, 10), "relu", "softmax", "cross_entropy")


def images_and_labels(n: int, share_of_zeros: float) -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    images = rng.integers(1, 256, (n, 100), np.uint8)
    images[rng.random(images.shape) < share_of_zeros] = 0
    return images, rng.integers(0, 10, n)


def arrays_after(name: str, images: Array, labels: Array, dtype: DType = "float32") -> list[Array]:
    """All results of trainings: updates within one block of images and beyond it, with momentum and without."""
    backend = impls.load(name)
    state = zero_velocities(initial_parameters(NETWORK, "he_normal", 1, dtype))
    prepared = backend.prepare(NETWORK, images, labels, dtype)
    results: list[Array] = [backend.outputs(NETWORK, state.parameters, prepared)]
    for momentum in (0.0, 0.9):
        plan = Plan(np.array([0, 50, 120]), np.array([50, 300, 121]), None, np.full(3, 0.1), momentum)
        after, costs = backend.train(NETWORK, state, prepared, plan)
        assert costs is not None
        results += [costs, *(array for part in after for layer in part for array in layer)]
    return results


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits_every_time(name: str) -> None:
    images, labels = images_and_labels(300, 0.8)
    first = arrays_after(name, images, labels)
    for _ in range(5):
        for before, now in zip(first, arrays_after(name, images, labels), strict=True):
            np.testing.assert_array_equal(before, now)


@pytest.mark.parametrize("dtype", get_args(DType))
@pytest.mark.parametrize("share_of_zeros", [0.0, 0.8, 1.0])
def test_any_share_of_zeros(share_of_zeros: float, dtype: DType) -> None:
    """From no zeros to only zeros; compared with a backend that skips nothing."""
    images, labels = images_and_labels(300, share_of_zeros)
    tolerance: dict[str, Any] = {"rtol": 0, "atol": 1e-5 if dtype == "float32" else 1e-13}
    results = arrays_after("numba_sparse", images, labels, dtype)
    for expected, actual in zip(arrays_after("vectorized", images, labels, dtype), results, strict=True):
        np.testing.assert_allclose(actual, expected, **tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_one_thread_may_do_the_work_of_two(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread waits for work that is not done: nothing hangs, and the bits are those of two threads."""
    images, labels = images_and_labels(300, 0.8)
    threads = numba.get_num_threads()
    monkeypatch.setattr(numba, "get_num_threads", lambda: 2)
    monkeypatch.setattr(numba_sparse, "divide", lambda *sizes: numba_sparse.Division(2, 1, 2))
    dealt_to_all = arrays_after(name, images, labels)
    numba.set_num_threads(1)
    for module in OF_OWN_THREADS:
        monkeypatch.setattr(module, "in_threads", lambda threads, work: [work(t) for t in range(threads)])
    try:
        dealt_to_one = arrays_after(name, images, labels)
    finally:
        numba.set_num_threads(threads)
    for expected, actual in zip(dealt_to_all, dealt_to_one, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("backend", OF_OWN_THREADS, ids=NAMES[1:])
def test_what_a_thread_raises_reaches_the_caller(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(t: int) -> None:
        done.append(t)
        if t == 2:
            raise MemoryError("thread 2")

    done: list[int] = []
    with pytest.raises(MemoryError, match="thread 2"):
        backend.in_threads(3, work)
    assert sorted(done) == [0, 1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("name", NAMES[1:])
def test_a_forked_process_has_threads_of_its_own(name: str) -> None:
    code = (
        f"import os; from impls import {name} as backend; done = []\n"
        "backend.in_threads(2, done.append); child = os.fork(); backend.in_threads(2, done.append)\n"
        "child or os._exit(len(done)); assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4 == len(done)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize("name", NAMES)
def test_more_threads_than_there_is_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine of 40 cores some have no image of an update, and no columns of a layer."""
    images, labels = images_and_labels(300, 0.8)
    expected = arrays_after("vectorized", images, labels)
    monkeypatch.setattr(numba, "get_num_threads", lambda: 40)
    for right, found in zip(expected, arrays_after(name, images, labels), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-5)


# Layers that end where a vector does, of either dtype, or right after it, so that a number too few or too many lies in
# the next layer or image; that grow or shrink, so that no layer fits where another was; and first layers that are
# shorter than their blocks of columns. And images of several strips.
SIZES = ((3, 16, 32, 16), (300, 20, 5, 17), (12, 7, 59), (12, 207, 10), (12, 103, 10), (12, 79), (12, 39))


@pytest.mark.parametrize("dtype", get_args(DType))
@pytest.mark.parametrize("sizes", SIZES)
def test_layers_that_fill_their_memory(sizes: tuple[int, ...], dtype: DType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba, "get_num_threads", lambda: 3)
    network = Network(sizes, "tanh", "softmax", "cross_entropy")
    rng = np.random.default_rng(3)
    images, labels = rng.integers(0, 256, (9, sizes[0]), np.uint8), rng.integers(0, sizes[-1], 9)
    labels[0] = sizes[-1] - 1
    parameters = with_random_biases(initial_parameters(network, "lecun_normal", 1, dtype))
    results = []
    for backend in (impls.load("vectorized"), *OF_OWN_THREADS):
        prepared = backend.prepare(network, images, labels, dtype)
        cost, gradient = backend.gradients(network, parameters, prepared)
        outputs = backend.outputs(network, parameters, prepared)
        results.append([outputs, np.array(cost), *(array for layer in gradient for array in layer)])
    for expected, *found in zip(*results, strict=True):
        for actual in found:
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize(
    ("vectors", "images", "threads", "expected"),
    [
        (8, 128, 1, (1, 4, 1)),
        (8, 128, 2, (2, 4, 1)),
        (8, 128, 4, (4, 4, 2)),
        (8, 128, 8, (8, 2, 2)),
        (8, 32, 8, (8, 1, 1)),
        (32, 128, 8, (8, 4, 1)),
        (5, 128, 2, (2, 2, 2)),
        (1, 128, 2, (2, 1, 2)),
        (1, 1, 40, (1, 1, 1)),
    ],
)
def test_how_threads_share_the_first_layer(
    vectors: int, images: int, threads: int, expected: tuple[int, int, int]
) -> None:
    """By blocks of columns that are as wide as they can be; where these are too few, by parts of them."""
    assert numba_sparse.divide(784, vectors, images, threads) == expected


def test_threads_that_would_not_help_are_left_alone() -> None:
    for images in (1, 32, 128):
        for threads in range(1, 40):
            division = numba_sparse.divide(784, 8, images, threads)
            assert division.threads <= threads
            assert division.parts <= division.threads
            assert numba_sparse.divide(784, 8, images, threads + 1).threads >= division.threads
    assert numba_sparse.divide(784, 8, 1, 40).threads < 8


# One hidden layer, none, two, and three. The first layer of the third is narrower than a vector; sigmoid leaves numbers
# in the rest of it, which must not count.
NETWORKS = (
    NETWORK,
    Network((100, 10), "relu", "softmax", "cross_entropy"),
    Network((100, 5, 20, 10), "sigmoid", "sigmoid", "quadratic"),
    Network((100, 9, 33, 17, 10), "tanh", "softmax", "cross_entropy"),
)


@pytest.mark.parametrize("momentum", [0, 0.9])
@pytest.mark.parametrize("division", [(1, 2, 1), (3, 1, 3), (2, 1, 1), (2, 2, 2), (4, 4, 4)])
def test_every_division_computes_the_same(
    division: tuple[Any, ...], momentum: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = images_and_labels(240, 0.8)
    plan = Plan(np.array([0, 100, 0]), np.array([100, 240, 33]), None, np.full(3, 0.1), momentum)
    monkeypatch.setattr(numba_sparse, "divide", lambda *sizes: numba_sparse.Division(*division))
    for network in NETWORKS:
        state = zero_velocities(with_random_biases(initial_parameters(network, "he_normal", 1, "float32")))
        results = []
        for backend in (impls.load("vectorized"), numba_sparse):
            prepared = backend.prepare(network, images, labels, "float32")
            after, costs = backend.train(network, state, prepared, plan)
            outputs = backend.outputs(network, after.parameters, prepared)
            arrays = (array for part in after for layer in part for array in layer)
            results.append([np.asarray(costs), outputs, *arrays])
        for expected, actual in zip(*results, strict=True):
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("vectors", "threads", "shared_out"),
    [(1, 1, (1, 1, 1)), (8, 1, (2, 4, 1)), (8, 2, (2, 4, 1)), (8, 3, (2, 4, 3)), (8, 4, (4, 2, 1)), (8, 16, (4, 2, 4))],
)
def test_blocks_of_columns_and_their_parts(
    vectors: int, threads: int, shared_out: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks, vectors in each, and parts: as much work for each thread, whatever their number."""
    monkeypatch.setattr(numba_dense, "WIDEST", 4)
    assert numba_dense.columns_of(vectors, threads) == shared_out
    for n in range(1, 41):
        blocks, width, parts = numba_dense.columns_of(vectors, n)
        assert (blocks - 1) * width < vectors <= blocks * width
        assert blocks * parts % n == 0


def test_as_many_sums_as_there_are_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen vectors of 64 bytes fit only into the registers of AVX-512."""
    for features, vectors in (("+avx2,+avx512f", 4), ("+avx2,-avx512f", 1), ("", 1)):
        monkeypatch.setattr(numba.config, "CPU_FEATURES", features)
        assert numba_dense.widest() == vectors


def test_memory_begins_where_a_cache_line_does() -> None:
    for n in range(1, 50):
        for backend in OF_OWN_THREADS:
            array = backend.aligned(3, n, dtype=np.float32)
            assert array.shape == (3, n)
            assert array.ctypes.data % 64 == 0
    assert numba_sparse.padded([0, 1, 8, 9, 16], 8).tolist() == [0, 8, 8, 16, 16]
    for dtype, vectors in (("float32", [1, 1, 2, 8]), ("float64", [1, 2, 3, 16])):
        networks = [Network((5, hidden, 3)) for hidden in (1, 16, 17, 128)]
        assert [numba_sparse.vectors_of(network, np.dtype(dtype)) for network in networks] == vectors


def test_no_memory_for_layers_that_are_not_there() -> None:
    dtype = np.dtype(np.float32)
    shape = numba_sparse.shape_of(Network((784, 10)), dtype, numba_sparse.Division(1, 1, 1))
    assert numba_sparse.n_rest(shape) == numba_sparse.n_transposed(shape) == 0


@pytest.mark.parametrize(("momentum", "keep"), [(0.0, False), (0.0, True), (0.9, False)])
def test_updates_in_blocks_of_images(momentum: float, keep: bool) -> None:
    """Only an update of one block can go straight into the weights."""
    plan = Plan(np.array([0, 50, 120]), np.array([50, 300, 121]), None, np.full(3, 0.1), momentum)
    direct = momentum == 0 and not keep
    for backend in OF_OWN_THREADS:
        assert backend.blocks_of(plan, keep).tolist() == [
            (0, 50, 0, 50, True, True, direct),
            (50, 178, 1, 250, True, False, False),
            (178, 300, 1, 250, False, True, False),
            (120, 121, 2, 1, True, True, direct),
        ]


def test_bytes_and_floats_are_of_one_type() -> None:
    """Otherwise all would be compiled for each."""
    images, labels = images_and_labels(3, 0.8)
    types: list[Any] = []
    type_of: Any = numba.typeof
    for pixels in (images, images.astype(np.float32)):
        prepared = numba_sparse.prepare(NETWORK, pixels, labels, "float32")
        types.append(type_of(numba_sparse.in_order(NETWORK, prepared, None, np.dtype(np.float32))))
    assert types[0] == types[1]


@pytest.mark.parametrize("module", [numba_loops, numba_dense, kernels])
def test_all_that_numba_compiles_for_a_backend_stands_in_one_file(module: ModuleType) -> None:
    """What numba keeps on disk does not notice a change in another file."""
    tree = ast.parse(Path(str(module.__file__)).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {name for name in imported | names if name and name.startswith("impls")} == {"impls.contract"}


@pytest.mark.parametrize("module", [numba_dense, kernels], ids=lambda module: module.__name__)
def test_no_compiled_function_counts_references(module: ModuleType) -> None:
    """Threads would do so in the same cache lines, at every call; and one that counts frees what the others hand it."""
    functions = {name: kept for name, kept in vars(module).items() if hasattr(kept, "targetoptions")}
    assert "run_phases" in functions
    assert {name for name, kept in functions.items() if kept.targetoptions.get("_nrt", True)} == set()


def test_images_stay_where_they_are(tmp_path: Path) -> None:
    """Memory-mapped, read-only, uint8: `prepare` copies nothing, and training takes them as they are."""
    images, labels = images_and_labels(300, 0.8)
    images.tofile(tmp_path / "images")
    mapped = np.memmap(tmp_path / "images", np.uint8, "r", shape=images.shape)
    prepared, _ = numba_sparse.prepare(NETWORK, mapped, labels, "float32")
    assert np.shares_memory(prepared, mapped)
    assert prepared.dtype == np.uint8
    for expected, actual in zip(
        arrays_after("numba_sparse", images, labels), arrays_after("numba_sparse", mapped, labels), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_thread_lists_the_groups_of_its_part_and_has_masks_of_all(
    parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last group belongs to the last part."""
    monkeypatch.setattr(numba_sparse, "divide", lambda *sizes: numba_sparse.Division(2, 1, parts))
    images, labels = images_and_labels(100, 0.8)
    state = zero_velocities(initial_parameters(NETWORK, "he_normal", 1, "float32"))
    plan = Plan(np.array([0]), np.array([100]), None, np.array([0.1]))
    prepared = numba_sparse.prepare(NETWORK, images, labels, "float32")
    lists = numba_sparse.run(NETWORK, state, prepared, plan, False).lists
    np.testing.assert_array_equal(lists.masks[0], lists.masks[1])
    lengths = [int(of_thread.sum()) for of_thread in lists.lengths]
    assert lengths == ([lengths[1]] * 2 if parts == 1 else [0, lengths[1]])
    assert lengths[1] > 0


def test_an_odd_last_pixel_is_the_last_that_is_read() -> None:
    """Pixels go in pairs, and what lies behind the images is not theirs."""
    memory = np.ones(6 * 37 + 1, np.float32)
    memory[-1] = np.nan
    network, labels = Network((37, 4)), np.zeros(6, np.int64)
    parameters = initial_parameters(network, "he_normal", 1, "float32")
    prepared = numba_sparse.prepare(network, memory[:-1].reshape(6, 37), labels, "float32")
    assert np.shares_memory(prepared[0], memory)
    plan = Plan(np.array([0]), np.array([6]), None, np.array([0.1]))
    work = numba_sparse.run(network, zero_velocities(parameters), prepared, plan, False)
    assert np.isfinite(work.weights.first).all()


def test_a_pixel_that_is_not_a_number_is_not_skipped() -> None:
    images, _ = images_and_labels(3, 0.8)
    spoilt = images.astype(np.float32)
    spoilt[1, 17], spoilt[2, 99] = np.nan, np.nan  # within a vector register of pixels, and after the last one
    parameters = initial_parameters(NETWORK, "he_normal", 1, "float32")
    prepared = numba_sparse.prepare(NETWORK, spoilt, None, "float32")
    outputs = numba_sparse.outputs(NETWORK, parameters, prepared)
    assert np.isfinite(outputs[0]).all()
    assert np.isnan(outputs[1:]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", OF_OWN_THREADS, ids=NAMES[1:])
def test_velocities_of_pixels_without_gradient_become_zero(backend: Any, dtype: DType) -> None:
    """Not subnormal, with which processors are slow."""
    images, labels = images_and_labels(20, 0.5)
    images[0, 0], images[1:, 0] = 255, 0
    n = 700 if dtype == "float32" else 6700  # 0.9 to this power is subnormal
    stops = np.concatenate([[20], np.full(n, 2)])
    plan = Plan(stops - 1 - (stops == 20) * 19, stops, None, np.full(n + 1, 0.01), 0.9)
    state = zero_velocities(initial_parameters(NETWORK, "he_normal", 1, dtype))
    prepared = backend.prepare(NETWORK, images, labels, dtype)
    after, _ = backend.train(NETWORK, state, prepared, plan)
    assert np.any(after.parameters[0].weights[0] != state.parameters[0].weights[0])
    assert not np.any(after.velocities[0].weights[0])


@pytest.mark.parametrize(("output", "cost"), [("sigmoid", "quadratic"), ("softmax", "cross_entropy")])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_becomes_subnormal(name: str, output: Output, cost: Cost) -> None:
    """Processors are slow with subnormal numbers, which saturated sigmoids produce on raw pixels."""
    network = Network((100, 40, 10), "sigmoid", output, cost, pixel_scale=1)
    images, labels = images_and_labels(70, 0.8)  # unbounded exponentials show in nearly half of them, or more
    backend = impls.load(name)
    parameters = initial_parameters(network, "standard_normal", 1, "float32")
    for logits in (1, 3, 10, 30):  # factors of the weights
        last = Layer(parameters[-1].weights * logits, parameters[-1].biases)
        for image, label in zip(images[:, np.newaxis], labels[:, np.newaxis], strict=True):
            prepared = backend.prepare(network, image, label, "float32")
            _, gradient = backend.gradients(network, (parameters[0], last), prepared)
            for array in (array for layer in gradient for array in layer):
                assert not np.any((array != 0) & (np.abs(array) < np.finfo(np.float32).tiny))


def test_pixels_are_numbered_in_16_bits() -> None:
    assert numba_sparse.unsupported("train", Network((2**16 - 1, 10)), "float32") is None
    assert "65536 pixels: expected fewer than 65536" in str(
        numba_sparse.unsupported("train", Network((2**16, 10)), "float32")
    )


@pytest.mark.parametrize(("dtype", "eps"), [(np.float32, 2**-23), (np.float64, 2**-52)])
def test_the_exponential(dtype: Any, eps: float) -> None:
    """As exact as a library's, nearly; bounded where that would overflow; NaN stays NaN."""

    @numba.njit
    def exponential(x: Any) -> Any:
        return numba_dense.exponential(x)

    for x in np.linspace(-60, 60, 1001).astype(dtype):
        assert exponential(x) == pytest.approx(float(np.exp(np.float64(x))), rel=3 * eps)
    assert exponential(dtype(0)) == 1
    assert exponential(dtype(1000)) == exponential(dtype(60))
    assert exponential(dtype(-1000)) == exponential(dtype(-60)) < 1e-26
    assert np.isnan(exponential(dtype(np.nan)))


@pytest.mark.parametrize(("dtype", "eps"), [(np.float32, 2**-23), (np.float64, 2**-52)])
def test_sigmoid_and_softmax_by_vectors(dtype: Any, eps: float) -> None:
    """As exact as a library's, nearly; what lies beyond the numbers plays no part; NaN stays NaN."""

    @numba.njit
    def sigmoid(a: Any, n: int) -> None:
        kernels.sigmoid(kernels.pointer(a, 0), n)

    @numba.njit
    def softmax(a: Any, n: int) -> Any:
        return kernels.softmax(kernels.pointer(a, 0), n)

    z = np.concatenate([np.linspace(-14, 14, 90), np.full(6, 1e3)]).astype(dtype)
    found = z.copy()
    sigmoid(found, 90)
    np.testing.assert_allclose(found[:90], 1 / (1 + np.exp(-z[:90].astype(np.float64))), rtol=5 * eps)
    found, powers = z.copy(), np.exp((z[:90] - z[89]).astype(np.float64))
    highest, total = softmax(found, 90)
    assert highest == z[89]
    assert total == pytest.approx(powers.sum(), rel=5 * eps)
    np.testing.assert_allclose(found[:90], powers / powers.sum(), rtol=8 * eps)
    for function, extreme in ((sigmoid, [-1e3, 1e3]), (softmax, [-1e3, 1e3])):
        found = np.array([*extreme, 0.0] * 6, dtype)
        function(found, 2)
        np.testing.assert_allclose(found[:2], [0, 1], atol=1e-26)
        found[:2] = 1, np.nan
        function(found, 2)
        assert np.isnan(found[1])


LISTED = """
import numba
import numpy as np
from impls.numba_sparse import kernels

@numba.njit
def listed(images, pixels, lengths):
    data = kernels.Data(images, images, lengths[:0], lengths[:0], 1)
    masks, chosen = np.zeros((4, 2), np.uint64), np.arange(4)
    kernels.list_pixels(data, images, kernels.pointer(chosen, 0), 0, 4, True, masks, pixels, lengths)

images, pixels, lengths = np.zeros((4, 128), np.uint8), np.zeros((16, 192), np.uint16), np.full(16, 9)
images[0, [3, 70]], images[2, [3, 5, 127]], images[:, 20:60] = 1, 7, 1
listed(images, pixels, lengths)
print(kernels.COMPRESSES, {m: pixels[m, :n].tolist() for m, n in enumerate(lengths.tolist()) if n and m < 15})
print(pixels[15, : lengths[15]].tolist() == list(range(20, 60)))
"""


@pytest.mark.parametrize("processor", ["this", "without vectors that compress"])
def test_pixels_are_listed_by_the_images_that_have_them(processor: str) -> None:
    old = {} if processor == "this" else {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    command = [sys.executable, "-c", LISTED]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | old, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    compresses, listed = done.stdout.split(" ", 1)
    assert not (old and compresses == "True")
    assert listed == "{1: [70], 4: [5, 127], 5: [3]}\nTrue\n"


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_bits_of_any_number_of_pixels(dtype: str) -> None:
    """64 at a time; what lies before and behind an image is not among them."""

    @numba.njit
    def bits_from(memory: Any, first: int, n: int) -> Any:
        return kernels.bits_from(kernels.pointer(memory, 64), first, n)

    rng = np.random.default_rng(3)
    for n in (1, 37, 63, 64, 65, 100, 128, 150):
        image, memory = rng.integers(0, 3, n), np.ones(64 + n + 64, dtype)
        memory[64 : 64 + n] = image
        words = np.array([bits_from(memory, first, n) for first in range(0, n, 64)], np.uint64)
        bits = np.unpackbits(words.view(np.uint8), bitorder="little")
        np.testing.assert_array_equal(bits, np.pad(image != 0, (0, -n % 64)))


@pytest.mark.parametrize("pixels", ["uint8", "float32", "float64"])
def test_what_a_block_of_images_has(pixels: str) -> None:
    """In bits and in lists without zeros; where no tile divides the width, a block is short, and a pixel is NaN."""
    rng = np.random.default_rng(2)
    width = 2 * kernels.STRIP + 37
    network = Network((width, 4))
    for n in (128, 19, 70):
        images = (rng.integers(0, 256, (130, width)) * (rng.random((130, width)) < 0.2)).astype(pixels)
        sequence = rng.permutation(130)[:n]
        if pixels != "uint8":
            images[sequence[7], 2:4] = 0, np.nan
        data = numba_sparse.in_order(
            network, (images, None), None, np.dtype("float64" if pixels == "float64" else "float32")
        )
        lists = numba_sparse.allocate_lists(network, data, 1)
        lists.masks[0, :, : -(-width // 64)], lists.tiles[:], lists.bits[:] = ~np.uint64(0), 255, ~np.uint64(0)
        sequence = np.concatenate([sequence, np.full(128 - n, sequence[-1])])
        for group in range(-(-n // 4)):
            list_pixels(data, images, sequence, group, group != 2, lists)
            having_pixel = np.array([1, 2, 4, 8]) @ (images[sequence[4 * group : 4 * group + 4]] != 0)
            for these in range(1, 16):
                listed = lists.pixels[0, these, : lists.lengths[0, these]]
                assert listed.tolist() == ([] if group == 2 else np.flatnonzero(having_pixel == these).tolist())
        list_images(n, lists)
        having: Any = np.pad(images[sequence[:n]] != 0, ((0, 0), (0, 1))).reshape(n, -1, 2).any(2).T
        words = -(-n // 64)
        of_pairs = lists.bits[0, : len(having), :words].copy().view(np.uint8)
        bits = np.unpackbits(of_pairs, axis=1, bitorder="little")
        np.testing.assert_array_equal(bits[:, :n], having)
        assert not bits[:, n:].any()


@numba.njit
def list_pixels(data: Any, images: Any, sequence: Any, group: int, listed: bool, lists: Any) -> None:
    chosen, masks = kernels.pointer(sequence, 4 * group), lists.masks[0, 4 * group : 4 * group + 4]
    kernels.list_pixels(data, images, chosen, 0, 0, listed, masks, lists.pixels[0], lists.lengths[0])


@numba.njit
def list_images(n: int, lists: Any) -> None:
    kernels.list_images(lists.masks[0], n, lists.tiles[0], lists.bits[0])
