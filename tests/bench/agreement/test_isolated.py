"""A backend is checked in a process of its own: what hangs, dies or cannot be imported is named."""

import multiprocessing
from collections.abc import Generator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

import impls
from bench.agreement.check import QUANTITIES, Problem, reference
from bench.agreement.isolated import CheckedBackend, PosedProblem, check_each, check_isolated
from bench.experiments.agree import line_of
from bench.tables.agree import agreement_section
from bench.tables.table import NONE
from data import Dataset
from impls.contract import Network, Plan
from impls.initialisation import initial_parameters
from tests.helpers.digits import digits_of

DIGITS = Dataset("digits", "this test", digits_of(1, 0), digits_of(1, 0), "0" * 64, None)

# What each wrong module has instead of `outputs`, and how the check names it.
WRONG = {
    "hangs": ("while True: time.sleep(0.01)", 1.0, "hangs", "gave no answer within 1 s"),
    "hangs_in_c": ("threading.Event().wait()", 1.0, "hangs", "gave no answer within 1 s"),
    "dies": ("os.kill(os.getpid(), signal.SIGSEGV)", 60.0, "dies", "was ended by SIGSEGV"),
    "leaves": ("os._exit(0)", 60.0, "dies", "ended its process with exit code 0"),
    "exits": ("sys.exit('enough')", 60.0, "dies", "ended its process with exit code 1"),
    "raises": ("raise RuntimeError('out of\\nluck')", 60.0, "outputs", "outputs raised RuntimeError: out of luck"),
}


@pytest.fixture(scope="module")
def cases() -> list[PosedProblem]:
    network = Network((6, 4, 3), "tanh", "softmax", "cross_entropy")
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (8, 6)).astype(np.uint8), rng.integers(0, 3, 8)
    plan = Plan(np.array([0, 4]), np.array([4, 8]), None, np.array([0.1, 0.1]))
    problem = Problem("small", network, initial_parameters(network, "lecun_normal", 0, "float64"), images, labels, plan)
    return [(problem, reference(problem))]


def write_backend(folder: Path, name: str, outputs: str) -> None:
    imports = "import os, signal, sys, threading, time\nfrom impls.vectorized import *\n"
    text = f"{imports}def outputs(*arguments):\n    {outputs}\n"
    (folder / f"{name}.py").write_text(text)


def test_a_right_backend_has_no_failure(cases: list[PosedProblem]) -> None:
    results = check_isolated("vectorized", cases)
    assert [result.failure for result in results if result.failure] == []
    assert {result.quantity for result in results} == set(cases[0][1])
    assert check_isolated("impls.vectorized", cases)[0].backend == "impls.vectorized"  # a module, by its path


@pytest.mark.parametrize("name", WRONG)
def test_what_goes_wrong_is_named(
    name: str, cases: list[PosedProblem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, seconds, quantity, reason = WRONG[name]
    write_backend(tmp_path, f"backend_that_{name}", body)
    monkeypatch.syspath_prepend(tmp_path)
    failed = [result for result in check_isolated(f"backend_that_{name}", cases, seconds) if result.failure]
    assert [result.quantity for result in failed] == [quantity]
    assert failed[0].failure is not None
    assert failed[0].failure.startswith(f"backend_that_{name}")
    assert reason in failed[0].failure


def test_a_check_that_is_broken_off_ends_at_once(
    cases: list[PosedProblem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_backend(tmp_path, "backend_that_hangs", "threading.Event().wait()")
    monkeypatch.syspath_prepend(tmp_path)
    checked = check_each(["vectorized", "backend_that_hangs", "naive"], cases, seconds=1000.0)
    assert next(checked).backend == "vectorized"
    cast(Generator[CheckedBackend], checked).close()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_library", "No module named 'no_such_library'"),
        ("import not_importab", "No module named 'not_importab'"),  # the beginning of its own name
        ("raise OSError('libfoo.so: cannot open')", "libfoo.so: cannot open"),
        ("x =", "SyntaxError"),
        ("NAME = 'half'", "missing SUMMARY"),
        ("raise SystemExit('not on this machine')", "SystemExit: not on this machine"),
    ],
)
def test_what_cannot_be_imported_is_named(
    text: str, reason: str, cases: list[PosedProblem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "not_importable.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    (result,) = check_isolated("not_importable", cases)
    assert result.quantity == "cannot be loaded"
    assert result.failure is not None
    assert "not_importable: cannot be loaded" in result.failure
    assert reason in result.failure
    assert "\n" not in result.failure


@pytest.mark.parametrize(
    "text", ["raise RuntimeError('no place\\nto write to')", "import sys; sys.exit('no place to write to')"]
)
def test_a_registered_backend_that_cannot_be_imported_supports_nothing(
    text: str, cases: list[PosedProblem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "other_backends-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other-backends\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[digitbench.backends]\nother = other_backend\n")
    (tmp_path / "other_backend.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    (checked,) = check_each(["other"], cases)
    assert checked.failures == []
    assert [result.quantity for result in checked.results] == list(QUANTITIES)
    assert checked.unavailable is not None
    assert checked.unavailable.startswith("other cannot be imported: ")
    assert checked.unavailable.endswith(": no place to write to")
    assert line_of(checked) == f"not checked: {checked.unavailable}"
    table = agreement_section(DIGITS, cases, checked.results).tables[0]
    assert table.rows == [["other", "float64", *[NONE] * 6]]


def test_find_takes_names_before_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert impls.find("numba").NAME == "numba"  # ours, not the library
    assert impls.find("impls.naive") is impls.load("naive")
    with pytest.raises(
        impls.UnknownBackend, match=r"is unknown: .* naive, .*; or give a module's dotted path, or a file"
    ):
        impls.find("no_such_module.inside")
    with pytest.raises(impls.UnknownBackend, match=r"'os.path' is no backend: .* missing NAME"):
        impls.find("os.path")
