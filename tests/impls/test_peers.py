"""The optional peers: what each declares, and that it agrees on a small case.

`pytest --backend=NAME` runs the whole conformance suite on a peer: JAX and torch.compile compile for every shape, which
takes minutes. `torch_compile` is checked only there.
"""

from typing import Any, NoReturn

import numpy as np
import pytest

import impls
from bench.agreement.check import lacks
from bench.agreement.isolated import check_isolated
from impls.contract import Array, Network, Plan, State, zero_velocities
from impls.initialisation import initial_parameters
from tests.suite.conformance import SOME, Case, answered, case_of, hold

NETWORK = Network((12, 7, 4), "relu", "softmax", "cross_entropy")


def peer(name: str) -> Any:
    """The backend; skips where its library is absent. A library that cannot be imported is an error."""
    if reason := impls.unavailable_reason(name):
        pytest.skip(f"backend {name} {reason}")
    return impls.load(name)


def cases() -> list[Case]:
    """Both dtypes, momentum and none, file order and shuffled; the last batch is short."""
    return [
        case_of(SOME[2], "float32", (5, 5, 3), momentum=0.9, order="shuffled"),
        case_of(SOME[0], "float64", (5, 5, 3)),
    ]


@pytest.mark.parametrize("name", ["sklearn", "torch", "torch_manual", "jax", "optax", "autograd"])
def test_agrees_in_a_process_of_its_own(name: str) -> None:
    if reason := impls.unavailable_reason(name):
        pytest.skip(f"backend {name} {reason}")
    results = check_isolated(name, [(case.problem, case.expected) for case in cases()])
    assert [result.failure for result in results if result.failure] == []
    of_softmax = [result for result in results if result.problem == cases()[0].problem.name]
    compared = {result.quantity.partition(" of ")[0] for result in of_softmax if not result.unsupported}
    assert {"outputs", "parameters", "velocities"} <= compared
    assert ("gradient" in compared) == (name != "sklearn")
    # An unsupported quantity counts only where it is needed.
    assert lacks(of_softmax, "train", "outputs") == []
    assert bool(lacks(of_softmax, "gradients")) == (name == "sklearn")


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_torch_manual_sums_the_gradient_of_many_images_first(momentum: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their products would each be too small beside a weight, where BLAS adds them one by one."""
    backend = peer("torch_manual")
    monkeypatch.setattr(backend, "MOST_ADDED", 4)
    summed: list[object] = []
    gradient_of_layer = backend.gradient_of_layer

    def counted(*arguments: object) -> None:
        summed.append(arguments)
        gradient_of_layer(*arguments)

    monkeypatch.setattr(backend, "gradient_of_layer", counted)
    case = case_of(SOME[0], "float64", (5, 4), momentum=momentum, of=("train",))
    hold(backend, case, answered(backend, case.problem, "train"))
    assert len(summed) == len(case.problem.parameters) * (2 if momentum else 1)  # of the update of five, or of both


# --- scikit-learn: what one call of partial_fit can do ------------------------------------------------------------


def plan_of(bounds: list[tuple[int, int]], rates: list[float], order: Array | None = None) -> Plan:
    starts, stops = np.array(bounds).T
    return Plan(starts, stops, order, np.array(rates), 0.5)


@pytest.mark.parametrize(
    ("bounds", "rates", "calls"),
    [
        ([(0, 4), (4, 8), (8, 12), (12, 13)], [0.1] * 4, [(0, 4)]),  # an epoch with a short last batch
        ([(0, 4), (4, 7), (7, 11)], [0.1] * 3, [(0, 2), (2, 3)]),  # what follows a short one is another call
        ([(0, 4), (4, 9)], [0.1] * 2, [(0, 1), (1, 2)]),  # larger
        ([(0, 4), (4, 8)], [0.2, 0.1], [(0, 1), (1, 2)]),  # another rate
        ([(0, 4), (4, 8)], [0.0, 0.0], [(0, 1), (1, 2)]),  # parameters are restored after each
        ([(0, 4), (5, 9), (9, 13)], [0.1] * 3, [(0, 1), (1, 3)]),  # a gap
        ([(4, 8), (0, 4)], [0.1] * 2, [(0, 1), (1, 2)]),  # backwards
    ],
)
def test_calls_of_partial_fit(bounds: Any, rates: Any, calls: Any) -> None:
    slices = peer("sklearn").calls(plan_of(bounds, rates))
    assert [(call.start, call.stop) for call in slices] == calls


def test_sklearn_declares_what_it_does_not_support() -> None:
    backend = peer("sklearn")
    reasons = [
        backend.unsupported(quantity, NETWORK, "float32") for quantity in ("outputs", "train", "gradients", "costs")
    ]
    assert reasons[:2] == [None, None]
    assert "clipped" in reasons[2]
    assert "before each update" in reasons[3]
    assert "no other outputs" in backend.unsupported("outputs", Network((12, 7, 4)), "float32")
    assert "takes 2 classes" in backend.unsupported(
        "train", Network((5, 2), "relu", "softmax", "cross_entropy"), "float32"
    )
    with pytest.raises(NotImplementedError, match="shows no gradient"):
        backend.gradients(NETWORK, (), None)


# --- torch.compile needs a compiler -------------------------------------------------------------------------------


def test_without_a_compiler_torch_compile_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = peer("torch_compile")
    monkeypatch.setattr(backend, "COMPILER", "no-such-compiler")
    for quantity in ("outputs", "gradients", "train"):
        assert "there is no no-such-compiler; install one" in backend.unsupported(quantity, NETWORK, "float32")


def test_where_nothing_compiles_torch_compile_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a temporary folder that is mounted with noexec."""
    backend = peer("torch_compile")

    def compiled(*_: object, **options: object) -> NoReturn:
        raise OSError("file.so: failed to map segment.\n Set TORCHINDUCTOR_CACHE_DIR\n\nadvice on debugging")

    monkeypatch.setattr(backend, "compiled", compiled)
    backend.why_nothing_compiles.cache_clear()
    reason = "torch.compile does not work here: file.so: failed to map segment. Set TORCHINDUCTOR_CACHE_DIR"
    for quantity in ("outputs", "gradients", "train"):
        assert backend.unsupported(quantity, NETWORK, "float32") == reason
    backend.why_nothing_compiles.cache_clear()


# --- JAX: updates of one size are one program ---------------------------------------------------------------------


def test_runs_of_equal_size() -> None:
    plan = plan_of([(0, 4), (4, 8), (8, 11), (0, 4), (1, 5)], [0.1] * 5)
    runs = peer("jax").runs_of_equal_size(plan)
    assert [(run.start, run.stop) for run in runs] == [(0, 2), (2, 3), (3, 5)]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("n_updates", [1, 6, 7])
def test_costs_in_blocks_are_those_of_one_scan(n_updates: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer updates than a block of three holds, two blocks, and a block begun; on a GPU one block."""
    backend = peer("jax")
    import jax

    def update(state: Any, now: tuple[Any, Any]) -> tuple[Any, Any]:
        return state * now[1] + now[0], state

    monkeypatch.setattr(backend, "COSTS", 3)
    monkeypatch.setattr(backend, "DEVICE", device)
    plan = np.arange(n_updates), np.linspace(0.5, 0.9, n_updates)
    expected = jax.jit(lambda state, plan: jax.lax.scan(update, state, plan))(np.float64(1), plan)
    in_blocks = jax.jit(lambda state, plan: backend.loop(update, state, plan))(np.float64(1), plan)
    jax.tree.map(np.testing.assert_array_equal, in_blocks, expected)


# --- Optax --------------------------------------------------------------------------------------------------------


def test_a_learning_rate_that_changes_compiles_nothing() -> None:
    backend = peer("optax")
    images, labels = np.full((6, 12), 5, np.uint8), np.array([0, 1, 2, 3, 0, 1])
    trained(backend, images, labels, plan_of([(0, 3), (3, 6)], [0.1, 0.2]))
    compiled = backend.update._cache_size()
    trained(backend, images, labels, plan_of([(3, 6), (0, 3)], [0.3, 0.05]))
    assert backend.update._cache_size() == compiled


# --- SciPy --------------------------------------------------------------------------------------------------------


def test_rows_are_views_and_blank_images_are_rows() -> None:
    backend: Any = impls.load("scipy_sparse")
    images = np.array([[0, 3, 0], [0, 0, 0], [5, 0, 7], [1, 0, 0]], np.uint8)
    prepared = backend.prepare(Network((3, 2), pixel_scale=1.0), images, np.zeros(4, np.int64), "float32")
    assert prepared.images.nnz == 4
    some = backend.rows(prepared.images, 1, 4)
    assert np.shares_memory(some.data, prepared.images.data)
    np.testing.assert_array_equal(some.toarray(), images[1:])


@pytest.mark.parametrize("pixel", [0, 255])
def test_no_pixel_is_zero_or_all_are(pixel: int) -> None:
    backend: Any = impls.load("scipy_sparse")
    images, labels = np.full((6, 12), pixel, np.uint8), np.array([0, 1, 2, 3, 0, 1])
    plan = plan_of([(0, 4), (4, 6)], [0.1, 0.1])
    states = [trained(which, images, labels, plan) for which in (backend, impls.load("naive"))]
    for layer, expected in zip(states[0].parameters, states[1].parameters, strict=True):
        np.testing.assert_allclose(layer.weights, expected.weights, rtol=1e-12)
        np.testing.assert_allclose(layer.biases, expected.biases, rtol=1e-12)


def trained(backend: Any, images: Array, labels: Array, plan: Plan) -> State:
    start = zero_velocities(initial_parameters(NETWORK, "he_normal", 3, "float64"))
    state: State = backend.train(NETWORK, start, backend.prepare(NETWORK, images, labels, "float64"), plan)[0]
    return state
