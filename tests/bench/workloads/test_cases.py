"""The cases: what is benchmarked is what is described, and each backend has a case of its default batch size."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import impls
from bench.workloads.cases import CASES, FULL_BATCH, MINI_BATCHES, SAME_PLAN, default_case, drawn, sampled
from bench.workloads.recipes import Recipe
from data import Digits
from impls.contract import check_parameters


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_is_whole(case: Recipe) -> None:
    parameters = case.parameters()
    check_parameters(case.network, parameters)
    assert parameters[0].weights.dtype == case.dtype
    plans = list(replace(case, epochs=2).plans(300))
    assert len(plans) == 2
    for plan in plans:
        assert plan.order is None
        assert set((plan.stops - plan.starts)[:-1]) <= {case.batch}
        assert (plan.stops - plan.starts).sum() == 300
        assert set(plan.learning_rates) == {case.learning_rate}


def test_all_cases_start_from_the_same_parameters() -> None:
    weights = [case.parameters()[0].weights for case in CASES]
    assert all(np.array_equal(weights[0], other) for other in weights[1:])


def test_plans_have_names_of_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert SAME_PLAN in CASES


@pytest.mark.parametrize(
    ("name", "case"),
    [("naive", FULL_BATCH), ("vectorized", FULL_BATCH), ("minibatch", MINI_BATCHES)]
    + [(name, MINI_BATCHES) for name in ("numba", "numba_dense", "numba_sparse")],
)
def test_default_case(name: str, case: Recipe) -> None:
    assert default_case(impls.load(name)) is case


def test_a_default_batch_size_that_is_no_case() -> None:
    backend: Any = SimpleNamespace(BATCH_SIZE=64)
    assert default_case(backend) is SAME_PLAN


def test_the_slow_reference_alone_is_timed_on_a_sample_of_a_batch_at_least() -> None:
    assert sampled("naive", 60_000, None) == sampled("naive", 60_000, 128) == 500
    assert sampled("naive", 60_000, 2000) == 2000
    assert sampled("naive", 100, None) == 100
    assert sampled("minibatch", 60_000, 128) == 60_000


def test_many_images_are_drawn_into_a_file_a_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    digits = Digits(rng.integers(0, 256, (70, 784), dtype=np.uint8), rng.integers(0, 10, 70))
    in_memory = drawn(digits, 45)
    monkeypatch.setattr("bench.workloads.cases.LARGE", 44 * 784)
    monkeypatch.setattr("bench.workloads.cases.BLOCK", 20)
    in_a_file = drawn(digits, 45)
    assert isinstance(in_a_file.images, np.memmap)
    assert not isinstance(in_memory.images, np.memmap)
    np.testing.assert_array_equal(in_a_file.images, in_memory.images)
    np.testing.assert_array_equal(in_a_file.labels, in_memory.labels)
