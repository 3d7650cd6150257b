"""Agreement before the benchmarks, the exit code, and the whole way from benchmarks to report, on small data."""

import argparse
import contextlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import bench
import impls
from bench.__main__ import main
from bench.commands import pipeline
from bench.commands.parser import make_parser
from bench.commands.pipeline import disagreeing, process_of, run
from bench.experiments import article
from bench.experiments.inspection import inspect_one
from bench.records.files import read
from bench.records.quantised import QuantisedNetwork
from bench.timing import threads
from bench.workloads.article import RELU_DESIGN
from bench.workloads.recipes import varied
from data import Dataset, Digits, mnist
from reports import __main__ as reports
from reports.sections import report_of
from reports.selection import choose
from tests.helpers.pytests import Done, run_all

pytestmark = pytest.mark.usefixtures("without_peers")

ROOT = bench.ROOT
N_TRAIN, N_TEST = 300, 100

# A backend of another package: right, but for the sign of one gradient.
WRONG = """
from impls.vectorized import *
from impls import vectorized as right
NAME = "wrong"
def gradients(*arguments):
    cost, gradient = right.gradients(*arguments)
    return cost, tuple(layer._replace(biases=-layer.biases) for layer in gradient)
"""

# One that is honest about what it has not.
DENYING = """
from impls.vectorized import *
def unsupported(quantity, network, dtype):
    return "no need" if quantity == "train" else None
"""


def digits_of(n: int, seed: int) -> Digits:
    """Images of class patterns with noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    patterns = np.random.default_rng(0).random((10, 784)) < 0.2
    ink = patterns[labels] ^ (rng.random((n, 784)) < 0.05)
    return Digits((ink * rng.integers(100, 256, (n, 784))).astype(np.uint8), labels)


@pytest.fixture(scope="module")
def small() -> Dataset:
    train, test = digits_of(N_TRAIN, 1), digits_of(N_TEST, 2)
    return Dataset("small", "test", train, test, "0" * 64, "Data: small, made for a test.")


def printed(small: Dataset) -> tuple[str, list[str]]:
    console = Console(width=100, record=True, quiet=False, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    with console.file:
        left_out = disagreeing(console, small, pipeline.usable())
    return console.export_text(), left_out


def install(folder: Path, name: str, text: str) -> None:
    """Make a package with one backend, as an installation leaves it."""
    (folder / f"{name}-1.dist-info").mkdir(parents=True)
    (folder / f"{name}-1.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (folder / f"{name}-1.dist-info" / "entry_points.txt").write_text(
        f"[digitbench.backends]\n{name} = {name}_backend\n"
    )
    (folder / f"{name}_backend.py").write_text(text)


@pytest.mark.usefixtures("without_processes")
def test_each_backend_that_agrees_has_a_line_and_a_disagreement_is_named(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = impls.available()
    install(tmp_path, "wrong", WRONG)
    install(tmp_path, "denying", DENYING)
    monkeypatch.syspath_prepend(tmp_path)
    text, left_out = printed(small)
    assert left_out == ["wrong"]  # a quantity that is unsupported is no fault
    flat = " ".join(text.split())
    assert "wrong disagrees: wrong, full batch, float32: gradient of layer 1 biases is" in flat
    assert re.search(r"^denying agrees: .* s; unsupported: train$", text, re.MULTILINE)
    for name in right:
        assert re.search(rf"^{name} agrees: at most \d+% of a tolerance, \d+\.\d s$", text, re.MULTILINE), text


SHORT = ["race", "accuracy", "batches", "relu", "reports"]


def command_in(arguments: tuple[str, ...]) -> str:
    """Which of SHORT a call of `run_command` is."""
    return next(name for name in SHORT if name in arguments)


@pytest.mark.parametrize(
    ("left_out", "failing", "code"),
    [([], "", 0), (["numba"], "", 1), *(([], name, 1) for name in (*SHORT, "benchmarks", "network"))],
)
def test_a_step_that_fails_takes_no_other_with_it_and_the_exit_code_shows_it(
    left_out: list[str],
    failing: str,
    code: int,
    small: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran: list[str] = []

    def command(*arguments: str) -> int:
        ran.append(command_in(arguments))
        return 2 if ran[-1] == failing else 0

    def work(name: str) -> None:
        ran.append(name)
        if name == failing:
            raise bench.UserError("no results [here]")

    monkeypatch.setattr(pipeline, "get_digits", lambda *_: small)
    monkeypatch.setattr(pipeline, "disagreeing", lambda *_: left_out)
    monkeypatch.setattr(pipeline, "run_command", command)
    monkeypatch.setattr(pipeline, "run_benchmarks", lambda *_: work("benchmarks"))
    monkeypatch.setattr(pipeline, "inspect_one", lambda *_: work("network"))
    assert run(argparse.Namespace(threads=None)) == code
    assert ran == [*SHORT[:-1], "benchmarks", "network", "reports"]
    assert ("no results [here]" in capsys.readouterr().out) == (failing in ("benchmarks", "network"))


def test_the_short_measurements_are_commands_with_digits_that_fit(
    small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIGITBENCH_DATA", "somewhere")
    names = [name for name in impls.available() if name not in ("numba_sparse", "vectorized")]  # these disagree
    several = [make_parser().parse_args(step.arguments) for step in pipeline.steps(small, names, 1)]
    race, accuracy, batches, relu = several
    assert race.backend == names
    assert not {"numba_sparse", "vectorized"} & {*race.backend, *accuracy.backend}
    assert race.baseline in names
    assert accuracy.backend[0] == "naive"
    _, of_all, *_ = pipeline.steps(small, impls.available(), 1)
    trained = make_parser().parse_args(of_all.arguments).backend
    assert {"naive", "vectorized", "numba_sparse"} <= {*trained} < {*impls.available()}
    assert batches.backend == relu.backend == "numba_dense"
    assert max(batches.batch) <= N_TRAIN
    assert relu.factor == ["hidden"]
    assert accuracy.target == [90]
    assert accuracy.short_check
    assert {(one.data, one.threads) for one in several} == {("somewhere", 1)}
    mnist_itself = replace(small, notice=None)
    assert {make_parser().parse_args(step.arguments).data for step in pipeline.steps(mnist_itself, names, None)} == {
        "auto"
    }


@pytest.mark.usefixtures("without_processes")
def test_after_the_short_measurements_every_question_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = Dataset("small", "test", digits_of(600, 1), digits_of(N_TEST, 2), "0" * 64, "Data: small, for a test.")
    mnist.write_folder(tmp_path / "digits", many.train, many.test)
    monkeypatch.setenv("DIGITBENCH_DATA", str(tmp_path / "digits"))
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(pipeline, "RACED_SECONDS", (0.5, 0.1))
    monkeypatch.setattr(pipeline, "SEEDS", 2)
    monkeypatch.setattr(pipeline, "BATCHES", (16, 64))
    short = {change: varied(recipe, epochs=3) for change, recipe in RELU_DESIGN.items()}
    monkeypatch.setattr(article, "RELU_DESIGN", short)
    monkeypatch.setattr(threads, "cores", lambda: 1)
    for step in pipeline.steps(many, ["naive", "vectorized", "minibatch", "scipy_sparse"], None):
        assert main([*step.arguments]) == 0, step.title
    report = report_of(choose([tmp_path / "results"]))
    assert "Not measured yet" not in " ".join(one.text for one in report.answers)
    assert all(one.short and one.plot and re.search(r"\d", one.short) for one in report.answers)
    assert "as fast as a Python loop over the images" in report.summary.sentence
    assert report.summary.plot
    assert report.beside


def test_a_network_is_portrayed_for_the_report(small: Dataset, tmp_path: Path) -> None:
    inspect_one(small, tmp_path / "network.json")
    found = read(tmp_path / "network.json").inspection
    assert found is not None
    assert found.source == "minibatch, 5 epochs of mini-batches of 128"
    assert sum(map(sum, found.confusion)) == len(small.test.labels)
    assert isinstance(found.quantised, QuantisedNetwork)
    assert [stage.epochs for stage in found.quantised.stages] == [0, 1, 5]
    assert found.quantised.stages[-1].accuracy == found.correct


def in_process(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
    )


NAMED = "naive", "numba"  # of which the pipeline names the benchmarks


@pytest.fixture(scope="module")
def runs(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """What pytest says to benchmarks on bad data, and to those that the pipeline names."""
    folder = tmp_path_factory.mktemp("data") / "few"
    few = Digits(small.train.images[:50], small.train.labels[:50])  # not even one batch of 128
    mnist.write_folder(folder, few, small.test)
    bad = {path: (f"DIGITBENCH_DATA={path}", "--benchmark-only") for path in ("/nonsense", str(folder))}
    named = ("--benchmark-only", "--collect-only", *pipeline.benchmarks_of([*NAMED]))
    return run_all({Path(path).name: run for path, run in bad.items()} | {"named": named})


@pytest.mark.parametrize(
    ("folder", "message"),
    [("nonsense", "error: /nonsense: not a folder"), ("few", "number of training images; take more images")],
)
def test_benchmarks_on_bad_data_end_in_a_line(folder: str, message: str, runs: dict[str, Done]) -> None:
    done = runs[folder]
    assert done.returncode == 2
    assert "error: " in done.stdout
    assert message in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_benchmarks_that_are_run_exist(runs: dict[str, Done]) -> None:
    assert runs["named"].returncode == 0, runs["named"].stderr
    found = [line for line in runs["named"].stdout.splitlines() if "::" in line]
    assert sorted(found) == sorted(pipeline.benchmarks_of([*NAMED]))


def test_from_benchmarks_to_report(small: Dataset, tmp_path: Path) -> None:
    """Two backends on small data, and a wrong one from another package: it is not timed, and the page says why."""
    mnist.write_folder(tmp_path / "digits", small.train, small.test)
    package = tmp_path / "package"
    install(package, "wrong", WRONG)
    results = tmp_path / "results.json"

    timed = {"minibatch", "vectorized", "floor"}
    command = ["pytest", "--benchmark-only", f"--benchmark-json={results}", "-p", "no:cacheprovider", "-q"]
    command += ["-k", " or ".join({*timed, "wrong"})]
    run = in_process(command, DIGITBENCH_DATA=str(tmp_path / "digits"), PYTHONPATH=str(package))
    assert run.returncode == 1, run.stdout  # as one backend disagreed
    assert "wrong, full batch, float32: gradient of layer 1 biases" in run.stdout

    found = read(results)
    assert {m.backend for m in found.measurements} == timed
    (line,) = found.disagreements
    assert line.startswith("wrong, full batch, float32: gradient of layer 1 biases")
    assert found.notice is not None
    assert "not MNIST" in found.notice
    for measurement in found.measurements:
        if measurement.quantity in ("epoch", "floor"):
            assert len(measurement.samples) == len(measurement.user_samples) == 5
            assert measurement.of_images == N_TRAIN
            assert measurement.threads
        if measurement.curve is not None:
            assert measurement.curve.costs[-1] < measurement.curve.costs[0]
    machine: dict[str, Any] = found.machine
    assert machine["libraries"]["numpy"] == np.__version__
    assert all(machine.values())

    assert reports.main(["--results", str(results), "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "wrong, full batch, float32: gradient of layer 1 biases" in page
    assert "not MNIST" in page


STEP = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(open(sys.argv[1], "x").close()))
print("begun", flush=True)
time.sleep(60)
"""


def test_an_interruption_ends_a_step_in_order(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-c", STEP, str(tmp_path / "tidied")]
    with contextlib.suppress(KeyboardInterrupt), process_of(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        raise KeyboardInterrupt
    assert process.returncode == 0
    assert (tmp_path / "tidied").exists()
