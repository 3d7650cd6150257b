"""`pytest --backend=NAME` checks one backend, from any package; `--require-backends` fails for one that is missing."""

import re

import pytest

import bench
from tests.helpers.pytests import Done, run_all

ROOT = bench.ROOT
EXAMPLE = ROOT / "tests" / "example"
QUICK = "(attributes or order_is_obeyed) and not float64"  # includes ReLU and costs, which the example does not support
OTHER = "tests/bench/workloads/test_plans.py"  # a test file that is not of the conformance suite
HANGS = """
import threading
from impls.vectorized import *
NAME = "hanging"
def outputs(*arguments):
    threading.Event().wait()
"""
ABSENT = """
import impls
impls.BUILTIN["absent"] = impls.Entry("impls.absent", requires=("no_such_library",), extra="accelerator")
"""
ATTRIBUTES = "tests/suite/test_conformance.py::test_promise[attributes-12-4-softmax-float64-{}]"
REQUIRING = ATTRIBUTES.format("absent"), "-p", "with_absent"
RUNS = {
    # First, as the names of backends are made once; later runs do not use the absent one.
    "left out": (*REQUIRING, "--require-backends=naive"),
    "required": (*REQUIRING, "--require-backends=naive, absent"),
    "example": ("--backend=digitbench_example", "-k", QUICK),
    "wrong example": ("--backend=wrong_example", "-k", QUICK),
    "file": ("--backend=impls/template.py", "-k", "attributes"),
    "folder": ("--backend=impls/",),
    "conformance tests": ("--backend=vectorized", "--collect-only"),
    "named tests": ("--backend=vectorized", "--collect-only", OTHER),
    "unknown": ("--backend=vectorised",),
    "given twice": ("--backend=naive", "--backend", "numba"),
    "measured": ("--backend=naive", "--benchmark-only"),
    "unknown, required": ("--require-backends=naive,nunba",),
    "hangs, required": (ATTRIBUTES.format("hanging"), "--require-backends=hanging", "--time-limit=1"),
    "half a backend": ("--backend=half", "-k", "attributes"),
    "hangs": ("--backend=hangs", "-k", "attributes", "--time-limit=1"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """What pytest answers to each of RUNS, from the root, with modules of other packages on the path."""
    folder = tmp_path_factory.mktemp("modules")
    source = (EXAMPLE / "digitbench_example" / "__init__.py").read_text(encoding="utf-8")
    chosen = "chosen = slice(start, stop) if plan.order is None else plan.order[start:stop]"
    assert chosen in source
    wrong = source.replace(chosen, "chosen = slice(start, stop)")
    modules = {"wrong_example": wrong, "half": "NAME = 'half'", "hangs": HANGS, "with_absent": ABSENT}
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    (folder / "hanging-1.dist-info").mkdir()
    points = folder / "hanging-1.dist-info" / "entry_points.txt"
    points.write_text("[digitbench.backends]\nhanging = hangs\n", encoding="utf-8")
    return run_all(RUNS, EXAMPLE, folder, COLUMNS="400")


# --- --backend ---------------------------------------------------------------------------------------------


def test_a_backend_of_another_package_is_checked(runs: dict[str, Done]) -> None:
    done = runs["example"]
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d passed, 1 skipped, \d+ deselected", done.stdout, re.MULTILINE), done.stdout
    for unsupported in (
        "unsupported: backend example: train for 12-6-5-6-4-relu-relu in float32: an output layer of ReLU is not",
        "in float32: costs would take a second pass",
    ):
        assert unsupported in done.stdout


def test_a_backend_in_a_file_is_checked_under_its_name(runs: dict[str, Done]) -> None:
    done = runs["file"]
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed, \d+ deselected", done.stdout, re.MULTILINE), done.stdout


def test_a_wrong_backend_of_another_package_is_named(runs: dict[str, Done]) -> None:
    done = runs["wrong example"]
    assert done.returncode == 1, done.stdout + done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 2
    for line in failed:
        assert re.search(
            r"\[order_is_obeyed-\S+-wrong_example\] - (\w+\.)*conformance\.BrokenPromise: example, .* eps from", line
        )


def test_only_the_conformance_tests_run_unless_others_are_named(runs: dict[str, Done]) -> None:
    lines = [line for line in runs["conformance tests"].stdout.splitlines() if "::" in line]
    assert lines
    assert all(line.startswith("tests/suite/test_conformance.py::") and "vectorized]" in line for line in lines)
    others = {line.partition("::")[0] for line in runs["named tests"].stdout.splitlines() if "::" in line}
    assert others == {OTHER}


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("unknown", "ERROR: backend 'vectorised' is unknown: did you mean 'vectorized'?"),
        ("measured", "ERROR: --backend checks and does not measure"),
        ("folder", "ERROR: impls/: expected a Python file, found a folder"),
        ("unknown, required", "ERROR: backend 'nunba' is unknown: did you mean 'numba'?"),
        ("given twice", "ERROR: --backend: is given twice, expected once"),
    ],
)
def test_invalid_options(run: str, expected: str, runs: dict[str, Done]) -> None:
    done = runs[run]
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.startswith(expected)
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("half a backend", "module 'half' is no backend: expected NAME, SUMMARY"),
        ("hangs", "hangs: gave no answer within 1 s"),
    ],
)
def test_a_backend_that_cannot_be_checked_ends_the_run(run: str, expected: str, runs: dict[str, Done]) -> None:
    done = runs[run]
    assert done.returncode == 1
    assert expected in done.stdout
    assert "passed" not in done.stdout


# --- --require-backends ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("run", "code", "outcome"), [("left out", 0, "1 skipped"), ("required", 1, "1 error")])
def test_a_backend_that_is_unavailable(run: str, code: int, outcome: str, runs: dict[str, Done]) -> None:
    done = runs[run]
    assert done.returncode == code, done.stdout + done.stderr
    assert outcome in done.stdout
    assert "backend absent needs no_such_library, not installed" in done.stdout


def test_one_that_hangs_is_named(runs: dict[str, Done]) -> None:
    done = runs["hangs, required"]
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 error" in done.stdout
    assert "hanging: gave no answer within 1 s" in done.stdout
