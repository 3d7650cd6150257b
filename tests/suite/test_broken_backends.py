"""The checks can fail: every wrong backend of `broken.py` is rejected by the check that is named for it."""

import functools
import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from bench.agreement.check import check, reference
from bench.agreement.problems import problem_of
from bench.experiments.agree import SHUFFLED
from bench.workloads.cases import CASES
from data import Digits
from impls.contract import DType, Network
from tests.suite.broken import WRONG, Right, Wrong
from tests.suite.conformance import CHECKS, BrokenPromise, Case, label_of, pool

EVERY_WRONG = pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)


@pytest.fixture(autouse=True)
def global_state_is_restored() -> Iterator[None]:
    """Some wrong backends change global state."""
    numpys, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002
    with np.errstate():
        yield
    np.random.set_state(numpys)  # noqa: NPY002
    random.setstate(pythons)


@EVERY_WRONG
def test_a_wrong_backend_is_rejected_by_its_check_and_named(wrong: Wrong) -> None:
    with pytest.raises(BrokenPromise) as caught:
        CHECKS[wrong.check].run(wrong.make(), wrong.network, wrong.dtype)
    assert wrong.make.NAME in str(caught.value)
    assert "\n" not in str(caught.value)


CHECKED = {(wrong.check, wrong.network, wrong.dtype): None for wrong in WRONG.values()}


@pytest.mark.parametrize(
    ("check", "network", "dtype"), CHECKED, ids=[f"{check}-{label_of(net)}-{dtype}" for check, net, dtype in CHECKED]
)
def test_the_backend_they_are_made_from_is_right(check: str, network: Network, dtype: DType) -> None:
    CHECKS[check].run(Right(), network, dtype)


def test_every_check_rejects_a_backend() -> None:
    assert {wrong.check for wrong in WRONG.values()} == {*CHECKS}


# --- the agreement check before any timing -------------------------------------------------------------------


@functools.cache
def gate(network: Network, dtype: DType) -> list[Case]:
    """The problems of `python -m bench agree`, but small."""
    images, labels = pool(network.sizes[0])
    digits = Digits(images[:600], labels[:600])
    timed = [problem_of(replace(case, network=network, dtype=dtype), digits) for case in (*CASES, SHUFFLED)]
    return [Case(problem, reference(problem)) for problem in timed]


def failures_at_the_gate(backend: Right, network: Network, dtype: DType) -> list[str]:
    results = itertools.chain.from_iterable(check(backend, backend.NAME, *case) for case in gate(network, dtype))
    return [result.failure for result in results if result.failure]


@EVERY_WRONG
def test_the_gate_rejects_it_or_not_as_declared(wrong: Wrong) -> None:
    failures = failures_at_the_gate(wrong.make(), wrong.network, wrong.dtype)
    assert bool(failures) == wrong.gate, failures
    assert all(wrong.make.NAME in failure for failure in failures)


@pytest.mark.parametrize(("network", "dtype"), {(wrong.network, wrong.dtype): None for wrong in WRONG.values()})
def test_the_gate_passes_the_right_one(network: Network, dtype: DType) -> None:
    assert failures_at_the_gate(Right(), network, dtype) == []
