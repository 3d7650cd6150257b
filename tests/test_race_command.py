"""`python -m bench race`: who runs, what each option changes, what is written down, and what is said of bad input."""

import itertools
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import data
from bench import machine, race
from bench.__main__ import main
from bench.commands import make_parser
from bench.measuring import Task
from bench.statistics import Seconds
from bench.turns import Race
from data import Digits, mnist

ROOT = Path(__file__).parents[1]
QUICK = ["--budget", "0.01", "--rounds", "2", "--images", "60", "--batch", "10", "--backend", "minibatch"]
WRONG = """
from impls.vectorized import *
from impls import vectorized as right
def outputs(*a):
    return -right.outputs(*a)
"""


# Right, where agreement is checked; later it says what it is asked for.
TELLING = """
from impls.vectorized import *
from impls import vectorized as right
def train(network, state, prepared, plan):
    if len(plan.starts) == 6:
        order = "in order" if plan.order is None else "scattered"
        raise RuntimeError(f"{len(plan.starts)} updates, {order}, {plan.momentum}, {state.parameters[0].weights.dtype}")
    return right.train(network, state, prepared, plan)
"""


def digits_of(n: int, seed: int) -> Digits:
    rng = np.random.default_rng(seed)
    return Digits(
        (rng.integers(1, 256, (n, 784)) * (rng.random((n, 784)) < 0.2)).astype(np.uint8), rng.integers(0, 10, n)
    )


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    mnist.write_folder(tmp_path / "digits", digits_of(150, 1), digits_of(70, 2))
    monkeypatch.setenv("DIGITBENCH_DATA", str(tmp_path / "digits"))
    monkeypatch.setattr(machine, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(race, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(race, "LEAST_GENERATIONS", 2)  # enough for an interval
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the records that were written."""
    path = folder / f"race-{len(list(folder.iterdir()))}.jsonl"
    code = main(["race", *QUICK, *arguments, "--results", str(path)])
    return code, [json.loads(line) for line in path.read_text().splitlines()]


def of_kind(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [entry for entry in records if entry["kind"] == kind]


def test_everything_is_written_down_and_the_table_shows_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, records = run(folder)
    out = capsys.readouterr().out
    assert code == 0
    assert [entry["kind"] for entry in records[:1] + records[-1:]] == ["race", "end"]
    header = records[0]
    assert (header["batch"], header["dtype"], header["baseline"], header["schema"]) == (10, "float32", "vectorized", 1)
    assert header["machine"]["libraries"]["numpy"] == np.__version__
    assert {entry["backend"] for entry in of_kind(records, "agreement")} == {"minibatch", "vectorized"}
    assert len(of_kind(records, "process")) == race.LEAST_GENERATIONS * 3
    assert len(of_kind(records, "sample")) == race.LEAST_GENERATIONS * 2 * 3
    for name in ("minibatch", "vectorized", "floor"):
        assert len(re.findall(rf"^{name} ", out, re.MULTILINE)) == 2, out
    assert re.search(r"^minibatch +\d +[\d.]+ +[\d.]+ +[\d.]+ to [\d.e+]+ +\d of 4", out, re.MULTILINE), out
    assert "2 generations of processes, 4 rounds; it ended as the budget of 0.01 s is spent" in out.replace("\n", " ")
    assert max(len(line) for line in out.splitlines() if not line.startswith("Every")) <= 80


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        ("--network 784-7-10", "network", "784-7-10 relu, softmax with cross_entropy"),
        ("--hidden tanh", "network", "784-128-10 tanh, softmax with cross_entropy"),
        ("--output sigmoid", "network", "784-128-10 relu, sigmoid with quadratic"),
        ("--batch all", "plan", "full batch"),
        ("--batch 32", "batch", 32),
        ("--order shuffled", "plan", "batches of 128, shuffled"),
        ("--momentum 0.9", "plan", "batches of 128, Nesterov 0.9"),
        ("--dtype float64", "dtype", "float64"),
        ("--measure gradient", "measure", "gradient"),
        ("--baseline minibatch", "baseline", "minibatch"),
        ("--seed 3", "seed", 3),
    ],
)
def test_every_option_is_part_of_the_case_or_of_the_record(arguments: str, key: str, value: Any) -> None:
    parsed = make_parser().parse_args(["race", *arguments.split()])
    assert race.header(parsed, race.case_of(parsed), data.load(), 1)[key] == value
    usual = make_parser().parse_args(["race"])
    assert race.header(usual, race.case_of(usual), data.load(), 1)[key] != value


def test_order_momentum_dtype_and_measure_reach_the_plan_and_the_entrants(folder: Path) -> None:
    """A backend that fails by telling what it was asked for."""
    (folder / "telling.py").write_text(TELLING)
    asked = ["--measure", "round", "--order", "shuffled", "--momentum", "0.5", "--dtype", "float64", "--threads", "1"]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "bench", "race", *QUICK, *asked, "--backend", "telling"]
    path = folder / "told.jsonl"
    done = subprocess.run(
        [*command, "--results", str(path)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "left out: telling: RuntimeError: 6 updates, scattered, 0.5, float64" in done.stdout
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for entry in of_kind(records, "process"):
        assert set(entry["threads"].values()) == {1}


def test_outputs_are_of_the_test_images_and_have_no_floor(folder: Path) -> None:
    code, records = run(folder, "--measure", "outputs", "--images", "70")
    assert code == 0
    processes = of_kind(records, "process")
    assert {entry["entrant"] for entry in processes} == {"minibatch", "vectorized"}
    assert {entry["images"] for entry in processes} == {70}


@pytest.mark.parametrize(
    ("arguments", "generations", "reason"),
    [
        (["--precision", "0.1", "--budget", "600"], 5, "all ratios are known to 10.0%"),
        (["--precision", "0.001", "--budget", "0.01"], 2, "the budget of 0.01 s is spent"),
    ],
)
def test_it_stops_when_all_is_known_or_the_budget_is_spent(
    arguments: list[str], generations: int, reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[dict[str, Any]] = []
    rng = np.random.default_rng(1)

    def measured(running: Race, generation: int) -> None:
        begin = time.monotonic()
        while time.monotonic() < begin + 0.01:
            pass
        for number, name in itertools.product(range(running.rounds), running.tasks):
            seconds = {"minibatch": 0.2, "vectorized": 0.3}[name] * np.exp(0.02 * rng.standard_normal())
            where = {"generation": generation, "round": number, "entrant": name}
            records.append({"kind": "sample", "wall": float(seconds), **where})

    monkeypatch.setattr(race, "run_generation", measured)
    parsed = make_parser().parse_args(["race", *arguments])
    entrants = {
        name: Task(name, "round", race.case_of(parsed), folder, images=60) for name in ("minibatch", "vectorized")
    }
    running = Race(entrants, 1, 5, 60, records.append)
    assert race.go_on(Console(quiet=True), running, parsed, records) == reason
    assert {entry["generation"] for entry in records} == set(range(generations))


def test_naive_is_sampled_and_the_floor_runs_along_where_rounds_are_measured(tmp_path: Path) -> None:
    case, digits = race.case_of(make_parser().parse_args(["race"])), digits_of(60, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(race.SAMPLED, "naive", 20)
        rounds = race.tasks(["naive", "numba"], "round", case, digits, tmp_path)
        outputs = race.tasks(["naive", "numba"], "outputs", case, digits, tmp_path)
    assert {name: task.images for name, task in rounds.items()} == {"naive": 20, "numba": 60, "floor": 60}
    assert {name: task.images for name, task in outputs.items()} == {"naive": 60, "numba": 60}


@pytest.mark.parametrize(("batch", "images"), [("all", 60), ("7", 7)])
def test_a_gradient_is_of_one_batch(batch: str, images: int, tmp_path: Path) -> None:
    case = race.case_of(make_parser().parse_args(["race", "--batch", batch]))
    found = race.tasks(["naive", "numba"], "gradient", case, digits_of(60, 1), tmp_path)
    assert {name: task.images for name, task in found.items()} == {"naive": images, "numba": images}


def noise_of(load: float = 0.1, stolen: float | None = 0.0) -> dict[str, Any]:
    return {"kind": "noise", "seconds": 10.0, "load_before": load, "load_after": 2.0, "stolen": stolen}


@pytest.mark.parametrize(
    ("drift", "noise", "said"),
    [
        (1.5, noise_of(), "numba changed by a factor of 1.50; give the race a longer --budget"),
        (1.0, noise_of(load=3.0), "its load was 3.0 before the race"),
        (1.0, noise_of(stolen=(os.cpu_count() or 1) * 0.5), "other virtual machines had 5.0% of its cores' time"),
        (1.1, noise_of(stolen=None), ""),
        (None, noise_of(stolen=0.001), ""),
    ],
)
def test_what_disturbs_is_said_with_what_to_do(drift: float | None, noise: dict[str, Any], said: str) -> None:
    typical = [Seconds("naive", 1.0, 1.0, 1.0), Seconds("numba", 0.1, drift, 1.0)]
    lines = race.disturbances(typical, [noise])
    assert len(lines) == bool(said)
    assert said in "".join(lines)


def test_who_disagrees_is_not_timed_and_the_exit_code_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "wrong_outputs.py").write_text(WRONG)
    monkeypatch.syspath_prepend(folder)
    code, records = run(folder, "--backend", "wrong_outputs")
    assert code == 1
    assert "left out: wrong_outputs, batches of 10, float32: outputs is" in capsys.readouterr().out
    assert {entry["entrant"] for entry in of_kind(records, "sample")} == {"minibatch", "vectorized", "floor"}


def test_a_baseline_that_disagrees_ends_it_and_one_who_denies_does_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "wrong_baseline.py").write_text(WRONG)
    (folder / "denying_all.py").write_text(
        "from impls.vectorized import *\ndef unsupported(*a):\n    return 'not today'\n"
    )
    monkeypatch.syspath_prepend(folder)
    assert main(["race", *QUICK, "--baseline", "wrong_baseline"]) == 1
    assert "wrong_baseline, with whom to compare, is left out; give another --baseline" in capsys.readouterr().err
    code, _ = run(folder, "--backend", "denying_all")
    assert code == 0
    assert "left out: denying_all, batches of 10, float32: has no train: not today" in capsys.readouterr().out


@pytest.mark.parametrize(("measure", "runs"), [("round", True), ("gradient", False)])
def test_what_a_backend_lacks_keeps_it_out_only_where_it_is_measured(
    measure: str, runs: bool, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "no_gradients.py").write_text(
        "from impls.vectorized import *\n"
        "def unsupported(quantity, *a):\n    return 'not today' if quantity in ('gradients', 'costs') else None\n"
    )
    monkeypatch.syspath_prepend(folder)
    code, records = run(folder, "--backend", "no_gradients", "--measure", measure)
    assert code == 0
    assert ("no_gradients" in {entry["entrant"] for entry in of_kind(records, "sample")}) == runs
    said = "left out: no_gradients, batches of 10, float32: has no gradients: not today"
    assert (said in capsys.readouterr().out) == (not runs)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--backend", "nubma"], "backend 'nubma' is unknown: did you mean 'numba'?"),
        (["--baseline", "vectorised"], "did you mean 'vectorized'?"),
        (["--images", "151"], "151 images: expected at most 150"),
        (["--batch", "61"], "batch 61: expected 1 to 60"),
        (["--batch", "home"], "--batch home: expected a number of images"),
        (["--results", __file__], "is there already; expected a new file"),
        (["--network", "10-10"], "images have 784 pixels, network 10-10"),
        (["--precision", "0"], "expected a finite number from"),
        (["--rounds", "1"], "expected a whole number from 2"),
        (["--measure", "nothing"], "invalid choice"),
        (["--threads", "100000"], "100000 threads: expected 1 to"),
        (["--results", "/no/such/folder/file"], "expected a file in a folder that exists"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: Any = main(["race", *QUICK, *arguments])
    except SystemExit as exit_:
        code = exit_.code
    error = capsys.readouterr().err
    assert code != 0
    assert said in error
    assert error.count("\n") == 1
