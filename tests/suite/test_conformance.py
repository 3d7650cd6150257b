"""Every backend keeps every promise, in constructed cases and in randomly generated ones.

`pytest --backend=NAME` runs this file for one backend. What a backend declares unsupported is skipped, and listed in
the summary.
"""

import contextlib
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import stdtrit

import impls
from bench import UserError
from bench.agreement.check import QUANTITIES, Problem, reference
from bench.agreement.isolated import NOT_LOADED, check_isolated
from data import Digits
from impls.contract import Array, Backend, DType, Network, Plan, Quantity, zero_velocities
from impls.initialisation import initial_parameters
from tests.helpers.plans import plans_by_epoch
from tests.suite import conformance
from tests.suite.conformance import (
    CHECKS,
    EVALUATION,
    EVERY,
    SOME,
    Case,
    Unsupported,
    answered,
    case_of,
    hold,
    label_of,
    trained_in_parts,
)

FATAL = ("hangs", "dies", NOT_LOADED)
MEMORY_MAPS = Path("/proc/self/maps")
MOST_MAPS = 20_000  # after a test; the next may add as many
DTYPES = conformance.DTYPES


@pytest.fixture
def backend(checked: str, request: pytest.FixtureRequest) -> Backend:
    """A backend that is available and, if an option names it, neither hangs nor dies in a process of its own.

    A backend that needs only the base installation fails where it is unavailable; others are skipped.
    """
    config = request.config
    chosen, required = config.getoption("backend"), checked in config.getoption("require_backends")
    if checked in impls.names() and (reason := impls.unavailable_reason(checked)):
        needed = required or not impls.entry(checked).extra
        (pytest.fail if needed else pytest.skip)(f"backend {checked} {reason}")
    message = why_not_here(checked, config.getoption("time_limit")) if chosen or required else None
    if message is not None:
        if chosen:
            pytest.exit(f"error: {message}", returncode=1)
        pytest.fail(message, pytrace=False)
    return impls.find(checked)


@functools.cache
def why_not_here(checked: str, time_limit: float) -> str | None:
    """Why a backend cannot be checked in this process; None where it can."""
    made = [case_of(network, dtype, (5, 5, 3), momentum=0.9) for network in SOME for dtype in DTYPES]
    results = check_isolated(checked, [(case.problem, case.expected) for case in made], time_limit)
    return next((result.failure or result.quantity for result in results if result.quantity in FATAL), None)


@pytest.fixture(scope="module", autouse=True)
def blocks_that_problems_fill() -> Iterator[None]:
    """Nearly all problems have fewer images than a block of `vectorized`; smaller blocks change no result."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(impls.load("vectorized"), "BLOCK", 500)
        yield


@pytest.fixture(autouse=True)
def room_for_compiled_programs() -> Iterator[None]:
    """Let JAX forget what it compiled before Linux refuses it more memory, in which its compiler ends the process.

    JAX keeps the program of each shape in memory maps of its own. A process may have 65,530 of them by default
    (vm.max_map_count), and all tests of one backend have more shapes than that.
    """
    yield
    if "jax" in sys.modules and MEMORY_MAPS.exists() and MEMORY_MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        sys.modules["jax"].clear_caches()


# --- promise by promise -----------------------------------------------------------------------------------

PROMISES = [  # network by network, as many checks have the same cases
    pytest.param(name, network, dtype, id=f"{name}-{label_of(network)}-{dtype}")
    for network in dict.fromkeys(network for check in CHECKS.values() for network in check.networks)
    for dtype in DTYPES
    for name, check in CHECKS.items()
    if network in check.networks and dtype in check.dtypes
]


@pytest.mark.parametrize(("check", "network", "dtype"), PROMISES)
def test_promise(
    backend: Backend,
    check: str,
    network: Network,
    dtype: DType,
    unsupported_parts: dict[tuple[str, ...], dict[str, None]],
) -> None:
    for quantity in QUANTITIES:
        if reason := backend.unsupported(quantity, network, dtype):
            unsupported_parts.setdefault((backend.NAME, quantity, dtype, reason), {})[label_of(network)] = None
    try:
        CHECKS[check].run(backend, network, dtype)
    except Unsupported as unsupported:
        pytest.skip(f"unsupported by {backend.NAME}: {unsupported}")


def test_a_backend_has_the_name_under_which_it_is_listed(backend: Backend, checked: str) -> None:
    assert checked not in impls.names() or checked == backend.NAME


# --- in randomly generated cases ------------------------------------------------------------------------------

DTYPE = st.sampled_from(DTYPES)


@st.composite
def problems(draw: st.DrawFn, updates: int) -> Problem:
    """Any network, parameters, images and labels, with a plan of at most `updates` updates."""
    network, dtype = draw(st.sampled_from(EVERY)), draw(DTYPE)
    n = draw(st.integers(1, 12))
    shape = (n, network.sizes[0])
    floats = arrays.arrays(np.float32, shape, elements=st.floats(0, 255, width=32))
    images = draw(st.one_of(arrays.arrays(np.uint8, shape), floats))
    labels = draw(arrays.arrays(np.int64, n, elements=st.integers(0, network.sizes[-1] - 1)))
    parameters = initial_parameters(network, "standard_normal", draw(st.integers(0, 1000)), dtype)
    factor = np.array(draw(st.sampled_from((0.01, 0.3, 1.0, 3.0, 30.0) if updates == 1 else (0.3, 1.0))), dtype)
    parameters = tuple(layer._replace(weights=layer.weights * factor) for layer in parameters)
    return Problem("drawn", network, parameters, images, labels, draw(plans(n, updates)))


@st.composite
def plans(draw: st.DrawFn, n: int, updates: int) -> Plan:
    """Any starts and stops, with gaps and overlaps; any order, images left out or used twice; any rates."""
    order = draw(st.none() | arrays.arrays(np.int64, st.integers(1, 15), elements=st.integers(0, n - 1)))
    positions = n if order is None else len(order)
    bounds = draw(st.lists(st.tuples(st.integers(0, positions - 1), st.integers(1, 15)), min_size=1, max_size=updates))
    starts = [start for start, _ in bounds]
    stops = [min(start + size, positions) for start, size in bounds]
    rates = [draw(st.sampled_from((0.0, 0.01, 0.05, 0.3))) for _ in bounds]
    return Plan(np.array(starts), np.array(stops), order, np.array(rates), draw(st.sampled_from((0.0, 0.5, 0.9))))


@functools.cache
def drawn(updates: int, *quantities: Quantity) -> tuple[tuple[Case, int], ...]:
    """Problems with their expected values, and a number from 1 to 3; always the same, and drawn once for all backends.

    Trainings whose rounding errors are unbounded are left out.
    """
    found: list[tuple[Case, int]] = []

    @settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @given(problem=problems(updates), cut=st.integers(1, 3))
    def draw(problem: Problem, cut: int) -> None:
        problem = problem._replace(name=f"problem {len(found)} drawn by Hypothesis")
        try:
            found.append((Case(problem, reference(problem, quantities)), cut))
        except UserError:
            reject()

    draw()
    return tuple(found)


def test_any_evaluation(backend: Backend) -> None:
    for case, _ in drawn(1, *EVALUATION):
        for quantity in EVALUATION:
            with contextlib.suppress(Unsupported):
                hold(backend, case, answered(backend, case.problem, quantity))


def test_any_training(backend: Backend) -> None:
    for case, _ in drawn(6, "train"):
        with contextlib.suppress(Unsupported):
            hold(backend, case, answered(backend, case.problem, "train"))


def test_any_training_in_two_parts(backend: Backend) -> None:
    """A state is all that a training needs to continue."""
    for case, cut in drawn(4, "train"):
        with contextlib.suppress(Unsupported):
            hold(backend, case, trained_in_parts(backend, case.problem, cut))


# --- a whole training ------------------------------------------------------------------------------------------

SEEDS = 10
MARGIN = 0.01  # of the test images; the mean accuracy of right backends differs by less
CONFIDENCE = 0.99


def digits_of(n: int, seed: int) -> Digits:
    """Noisy images of ten patterns, on which a small network makes some mistakes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    patterns = np.random.default_rng(0).random((10, 64)) < 0.3
    ink = patterns[labels] ^ (rng.random((n, 64)) < 0.25)
    return Digits((ink * rng.integers(100, 256, (n, 64))).astype(np.uint8), labels)


@functools.cache
def accuracies(name: str, dtype: DType) -> Array:
    """The test accuracy of a backend after a short training, for each seed."""
    backend = impls.find(name)
    network = Network((64, 16, 10), "relu", "softmax", "cross_entropy")
    train, test = digits_of(400, 1), digits_of(500, 2)
    shares = []
    for seed in range(SEEDS):
        state = zero_velocities(initial_parameters(network, "he_normal", seed, dtype))
        prepared = backend.prepare(network, train.images, train.labels, dtype)
        for plan in plans_by_epoch(400, 20, 2, seed, 0.2, order="shuffled", momentum=0.5):
            state, _ = backend.train(network, state, prepared, plan)
        outputs = backend.outputs(network, state.parameters, backend.prepare(network, test.images, None, dtype))
        shares.append(np.mean(outputs.argmax(axis=1) == test.labels))
    return np.array(shares)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_whole_training_is_as_accurate_as_the_references(backend: Backend, checked: str, dtype: DType) -> None:
    """The interval of the mean paired difference to `vectorized` in float64 lies within the margin."""
    network = Network((64, 16, 10), "relu", "softmax", "cross_entropy")
    for quantity in ("outputs", "train"):
        if reason := backend.unsupported(quantity, network, dtype):
            pytest.skip(f"unsupported by {backend.NAME}: {quantity} for {network} in {dtype}: {reason}")
    expected = accuracies("vectorized", "float64")
    assert 0.6 < expected.mean() < 0.95  # neither chance nor perfect, so that it could differ
    assert expected.std() > 0.002
    difference = accuracies(checked, dtype) - expected
    reach = stdtrit(SEEDS - 1, (1 + CONFIDENCE) / 2) * difference.std(ddof=1) / np.sqrt(SEEDS)
    assert abs(difference.mean()) + reach < MARGIN, f"{backend.NAME}: {difference.mean():.4f} +- {reach:.4f}"
