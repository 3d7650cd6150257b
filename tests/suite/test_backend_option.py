"""`pytest --backend=NAME` checks one backend, from any package; `--require-backends` fails for one that is missing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bench

ROOT = bench.ROOT
EXAMPLE = ROOT / "tests" / "example"
QUICK = "(attributes or order_is_obeyed) and not float64"  # includes ReLU and costs, which the example does not support


def run_pytest(*arguments: str, path: Path = EXAMPLE) -> subprocess.CompletedProcess[str]:
    """Run pytest from the root. path: a further folder for imports."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", *arguments]
    environment = os.environ | {"PYTHONPATH": str(path), "COLUMNS": "400"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


# --- --backend ---------------------------------------------------------------------------------------------


def test_a_backend_of_another_package_is_checked() -> None:
    done = run_pytest("--backend=digitbench_example", "-k", QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d passed, 1 skipped, \d+ deselected", done.stdout, re.MULTILINE), done.stdout
    for unsupported in (
        "unsupported: backend example: train for 12-6-5-6-4-relu-relu in float32: an output layer of ReLU is not",
        "in float32: costs would take a second pass",
    ):
        assert unsupported in done.stdout


def test_a_wrong_backend_of_another_package_is_named(tmp_path: Path) -> None:
    source = (EXAMPLE / "digitbench_example" / "__init__.py").read_text(encoding="utf-8")
    chosen = "chosen = slice(start, stop) if plan.order is None else plan.order[start:stop]"
    assert chosen in source
    (tmp_path / "wrong_example.py").write_text(source.replace(chosen, "chosen = slice(start, stop)"), encoding="utf-8")
    done = run_pytest("--backend=wrong_example", "-k", QUICK, path=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 2
    for line in failed:
        assert re.search(
            r"\[order_is_obeyed-\S+-wrong_example\] - (\w+\.)*conformance\.BrokenPromise: example, .* eps from", line
        )


def test_only_the_conformance_tests_run_unless_others_are_named() -> None:
    done = run_pytest("--backend=vectorized", "--collect-only")
    lines = [line for line in done.stdout.splitlines() if "::" in line]
    assert lines
    assert all(line.startswith("tests/suite/test_conformance.py::") and "vectorized]" in line for line in lines)
    other = "tests/bench/workloads/test_plans.py"
    done = run_pytest("--backend=vectorized", "--collect-only", other)
    assert {line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line} == {other}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--backend=vectorised"], "ERROR: backend 'vectorised' is unknown: did you mean 'vectorized'?"),
        (["--backend=naive", "--backend", "numba"], "ERROR: --backend: is given twice, expected once"),
        (["--backend=naive", "--benchmark-only"], "ERROR: --backend checks and does not measure"),
        (["--require-backends=naive,nunba"], "ERROR: backend 'nunba' is unknown: did you mean 'numba'?"),
    ],
)
def test_invalid_options(arguments: list[str], expected: str) -> None:
    done = run_pytest(*arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.startswith(expected)
    assert len(done.stderr.strip().splitlines()) == 1


HANGS = """
from impls.vectorized import *
def outputs(*arguments):
    while True:
        pass
"""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("NAME = 'half'", "module 'strange' is no backend: expected NAME, SUMMARY"),
        (HANGS, "strange: gave no answer within 1 s"),
    ],
    ids=["half a backend", "hangs"],
)
def test_a_backend_that_cannot_be_checked_ends_the_run(source: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "strange.py").write_text(source, encoding="utf-8")
    limit = ["--time-limit=1"] if source is HANGS else []
    done = run_pytest("--backend=strange", "-k", "attributes", *limit, path=tmp_path)
    assert done.returncode == 1
    assert expected in done.stdout
    assert "passed" not in done.stdout


# --- --require-backends ------------------------------------------------------------------------------------

ABSENT = """
import impls
impls.BUILTIN["absent"] = impls.Entry("impls.absent", requires=("no_such_library",), extra="accelerator")
"""


@pytest.mark.parametrize(
    ("required", "code", "outcome"),
    [("naive", 0, "1 skipped"), ("naive, absent", 1, "1 error")],
    ids=["left out", "required"],
)
def test_a_backend_that_is_unavailable(required: str, code: int, outcome: str, tmp_path: Path) -> None:
    (tmp_path / "with_absent.py").write_text(ABSENT, encoding="utf-8")
    named = "tests/suite/test_conformance.py::test_promise[attributes-12-4-softmax-float64-absent]"
    done = run_pytest("-p", "with_absent", f"--require-backends={required}", named, path=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    assert outcome in done.stdout
    assert "backend absent needs no_such_library, not installed" in done.stdout
