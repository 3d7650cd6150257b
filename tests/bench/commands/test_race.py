"""`python -m bench race`: which backends run, what options change, what is recorded, and how bad input ends."""

import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import bench
import data
from bench.__main__ import main
from bench.agreement.check import Result
from bench.agreement.isolated import CheckedBackend
from bench.analysis.race import disturbances
from bench.commands import measuring
from bench.commands import race as race_command
from bench.commands.parser import make_parser
from bench.experiments import generations, race
from bench.experiments.generations import Budget
from bench.experiments.race import begin_race, header_of_race, rounds_per_generation
from bench.records.files import read
from bench.records.journal import Journal
from bench.records.kinds import SCHEMA
from bench.records.races import ParticipantResult, RaceResult
from bench.tables.race import race_section
from bench.tables.table import print_left_out, print_sections
from bench.timing import threads
from bench.timing.records import Generation, Process, Record, Sample
from bench.timing.session import Session, stored
from bench.workloads import cases
from data import Digits, mnist
from tests.helpers.budgets import ending_after
from tests.helpers.command import refused, with_usual
from tests.helpers.records import typed_process, typed_sample

pytestmark = pytest.mark.usefixtures("without_rates")

ROOT = bench.ROOT
CORES = threads.cores
GENERATIONS = 2  # enough for an interval
SPENT = Budget.spent
QUICK = ["--budget", "0.01", "--rounds", "2", "--images", "60", "--batch", "10", "--backend", "minibatch"]
QUICK += ["--network", "784-16-10"]  # the reference and its rounding take longer than the backends
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
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(Budget, "spent", ending_after(GENERATIONS))
    monkeypatch.setattr(threads, "cores", lambda: 1)  # other tests may run at the same time
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the records that were written."""
    path = folder / f"race-{len(list(folder.iterdir()))}.jsonl"
    code = main(["race", *with_usual(QUICK, arguments), "--output", str(path)])
    return code, [json.loads(line) for line in path.read_text().splitlines()]


def of_kind(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [entry for entry in records if entry["kind"] == kind]


@pytest.mark.usefixtures("without_processes")
def test_everything_is_written_down_and_the_table_shows_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, records = run(folder)
    out = capsys.readouterr().out
    assert code == 0
    assert [entry["kind"] for entry in records[:1] + records[-1:]] == ["race", "end"]
    header, key = records[0], records[0]["key"]
    assert (key["batch"], key["dtype"], header["baseline"], header["schema"]) == (10, "float32", "vectorized", SCHEMA)
    assert header["machine"]["libraries"]["numpy"] == key["machine"]["libraries"]["numpy"] == np.__version__
    assert set(key["backends"]) == {"minibatch", "vectorized"}
    assert {entry["backend"] for entry in of_kind(records, "agreement")} == {"minibatch", "vectorized"}
    assert len(of_kind(records, "process")) == GENERATIONS * 3
    assert len(of_kind(records, "sample")) == GENERATIONS * 2 * 3
    for name, lines in (("minibatch", 3), ("vectorized", 3), ("floor", 2)):  # in two tables, and backends are checked
        assert len(re.findall(rf"^{name} ", out, re.MULTILINE)) == lines, out
    assert re.search(r"^minibatch +\d +[\d.]+ (µ|m)?s +[\d.]+ +[\d.e+-]+ to +\d", out, re.MULTILINE), out
    assert "2 generations of processes, 4 rounds; ended because the budget of 0.01 s is spent" in " ".join(out.split())
    assert max(len(line) for line in out.splitlines() if not line.startswith("Every")) <= 80


@pytest.mark.usefixtures("without_processes")
@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        ("--network 784-7-10", "network", "784-7-10 relu, softmax with cross_entropy"),
        ("--hidden tanh", "network", "784-128-10 tanh, softmax with cross_entropy"),
        ("--output-activation sigmoid", "network", "784-128-10 relu, sigmoid with quadratic"),
        ("--batch all", "plan", "full batch"),
        ("--batch 32", "batch", 32),
        ("--order shuffled", "plan", "batches of 128, shuffled"),
        ("--momentum 0.9", "plan", "batches of 128, Nesterov 0.9"),
        ("--dtype float64", "dtype", "float64"),
        ("--measure gradient", "measure", "gradient"),
        ("--images 140", "images", 140),
        ("--measure outputs", "images", 70),
        ("--measure gradient --batch 7", "images", 7),
    ],
)
def test_every_option_is_part_of_the_key(arguments: str, key: str, value: Any) -> None:
    assert key_of(arguments.split())[key] == value
    assert key_of([])[key] != value


def key_of(arguments: list[str]) -> dict[str, Any]:
    setting = measuring.race_setup(make_parser().parse_args(["race", *arguments]), data.load())
    key: dict[str, Any] = header_of_race(setting, 0, "vectorized", ["vectorized"]).key
    return key


@pytest.mark.usefixtures("without_processes")
def test_order_momentum_dtype_and_measure_reach_the_plan_and_the_entrants(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A backend whose failure names what it was asked for."""
    (folder / "telling.py").write_text(TELLING)
    monkeypatch.syspath_prepend(folder)
    asked = ["--measure", "epoch", "--order", "shuffled", "--momentum", "0.5", "--dtype", "float64"]
    code, _ = run(folder, *asked, "--backend", "telling")
    assert code == 1
    assert "left out: telling: RuntimeError: 6 updates, scattered, 0.5, float64" in capsys.readouterr().out


@pytest.mark.usefixtures("without_processes")
def test_outputs_are_of_the_test_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, records = run(folder, "--measure", "outputs", "--images", "70")
    assert code == 0
    processes = of_kind(records, "process")
    assert {entry["participant"] for entry in processes} == {"minibatch", "vectorized", "floor"}
    assert {entry["images"] for entry in processes} == {70}
    assert "70 images" in capsys.readouterr().out


@pytest.mark.usefixtures("without_processes")
@pytest.mark.parametrize(
    ("arguments", "number", "reason"),
    [
        (["--precision", "0.1", "--budget", "600"], 5, "all ratios are known to 10.0%"),
        (["--precision", "0.001", "--budget", "40"], 4, "the budget of 40 s is spent"),
        (
            ["--precision", "0.001", "--budget", "25"],
            2,
            "the budget of 25 s has no room for another generation; 3 generations take about --budget 40",
        ),
        (
            ["--precision", "0.001", "--budget", "0.01"],
            1,
            "the budget of 0.01 s is spent; 3 generations take about --budget 40",
        ),
    ],
)
def test_it_stops_when_all_is_known_or_the_budget_is_spent(
    arguments: list[str], number: int, reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured_in_ten_seconds(monkeypatch)
    code, records = run(folder, *arguments)
    assert code == 0
    assert records[-1] == {"kind": "end", "race": 0, "run": 0, "reason": reason}
    assert {entry["generation"] for entry in of_kind(records, "sample")} == set(range(number))


def measured_in_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Let generations say that they took ten seconds; returns the races of these, and the seconds they should take."""
    rng, asked = np.random.default_rng(1), list[tuple[int, float]]()

    def measured(running: Session, generation: int, seconds: float) -> None:
        asked.append((running.number, seconds))
        running.shortest = 10.0
        for name in running.tasks:
            running.add(Process, generation=generation, participant=name, **PROCESS)
        for number in range(running.rounds):
            for name, typical in (("minibatch", 0.2), ("vectorized", 0.3), ("floor", 0.1)):
                wall = typical * math.exp(0.02 * rng.standard_normal())
                where = {"generation": generation, "round": number, "participant": name}
                running.add(Sample, position=0, wall=wall, user=wall, system=0.0, **where)
        running.add(Generation, generation=generation, seconds=10.0, stolen=0.0, load_before=0.0, load_after=0.0)

    monkeypatch.setattr(Budget, "spent", SPENT)
    monkeypatch.setattr(generations, "run_generation", measured)
    return asked


PROCESS = {
    "backend": "any",
    "images": 60,
    "repeats": 1,
    "prepare": {"wall": 0.1},
    "first": {"wall": 0.2},
    "warm": {"wall": 0.1},
    "threads": {},
    "process_peak": None,
    "call_peak": None,
}


@pytest.mark.usefixtures("without_processes")
def test_rounds_seed_and_baseline_reach_the_race(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Session] = []

    def seen(running: Session, generation: int, _: float) -> None:
        found.append(running)
        running.failures |= dict.fromkeys(running.tasks, "enough was seen")

    monkeypatch.setattr(generations, "run_generation", seen)
    _, records = run(folder, "--rounds", "3", "--seed", "7", "--baseline", "minibatch")
    assert (found[0].rounds, found[0].seed) == (3, 7)
    assert (records[0]["baseline"], records[-1]["reason"]) == ("minibatch", "fewer than two participants are left")
    main(["race", "--images", "60", "--batch", "10", "--backend", "minibatch", "--output", str(folder / "default")])
    assert found[-1].rounds == rounds_per_generation(3, 60) == 24


@pytest.mark.parametrize(
    ("participants", "images", "rounds"),
    [(5, 12_000, 12), (5, 60_000, 6), (13, 12_000, 6), (3, 12_000, 20), (5, 6_000, 24), (2, 128, 24)],
)
def test_generations_last_about_as_long_whatever_is_raced(participants: int, images: int, rounds: int) -> None:
    assert rounds_per_generation(participants, images) == rounds


def test_where_the_baseline_fails_there_are_no_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    found = raced(noise_of(), 1.0)
    found.key |= {"measure": "epoch", "sizes": [784, 10], "network": "784-10", "plan": "full batch", "dtype": "float32"}
    found.key |= {"threads": 1}
    for participant in found.participants.values():
        participant.processes.append(typed_process(0, 0.1, 0.2))
    found.participants["naive"].failure = found.left_out["naive"] = "naive: died"
    console = Console(width=80)
    print_sections(console, [race_section(found)])
    print_left_out(console, found.left_out.values())
    out = capsys.readouterr().out
    assert re.search(r"^numba +1 +0\.100 s +– +– +– ", out, re.MULTILINE), out
    assert "left out: naive: died" in out


def task_images(folder: Path, arguments: list[str], *names: str) -> dict[str, int]:
    setting = measuring.race_setup(make_parser().parse_args(["race", *arguments]), data.load())
    images = stored(setting.digits, folder / f"{setting.case.batch} {setting.measure}")
    return {name: setting.task(name, images).images for name in names}


def test_all_digits_are_raced_also_where_a_file_is_sorted() -> None:
    dataset = data.load()
    by_label = np.argsort(dataset.train.labels, kind="stable")
    ordered = Digits(dataset.train.images[by_label], dataset.train.labels[by_label])
    given = ["race", "--batch", "60", "--images", "120"]
    setting = measuring.race_setup(make_parser().parse_args(given), replace(dataset, train=ordered))
    assert len(set(setting.digits.labels[:60].tolist())) > 5
    assert len(set(ordered.labels[:60].tolist())) <= 5  # of the file's first


def test_naive_is_sampled_where_rounds_are_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cases.SAMPLED, "naive", 20)
    batch = ["--batch", "10", "--images", "60"]
    assert task_images(folder, batch, "naive", "numba") == {"naive": 20, "numba": 60}
    assert task_images(folder, ["--batch", "30", "--images", "60"], "naive") == {"naive": 30}  # one batch at least
    assert task_images(folder, [*batch, "--measure", "outputs"], "naive", "numba") == {"naive": 60, "numba": 60}


@pytest.mark.parametrize(("batch", "images"), [("all", 150), ("7", 7)])
def test_a_gradient_is_of_one_batch(batch: str, images: int, folder: Path) -> None:
    asked = ["--measure", "gradient", "--batch", batch]
    assert task_images(folder, asked, "naive", "numba") == {"naive": images, "numba": images}


def raced(noise: Generation, drift: float) -> RaceResult:
    """Two generations of two entrants, of whom one drifts."""
    found = RaceResult(
        0, "race", "", "", {"images": 1}, {}, "naive", "", None, generations=[noise], load=noise.load_before
    )
    for name, factor in (("naive", 1.0), ("numba", drift)):
        samples = [typed_sample(generation, 0, 0.1 * factor**generation, 0.1) for generation in range(2)]
        found.participants[name] = ParticipantResult(name, name, images=1, samples=samples)
    return found


def noise_of(load: float = 0.1, stolen: float | None = 0.0) -> Generation:
    return Generation(0, 10.0, stolen, load, race=0)


@pytest.mark.parametrize(
    ("drift", "noise", "message"),
    [
        (1.5, noise_of(), "the time of numba changed by a factor of 1.50; give a longer --budget"),
        (1.0, noise_of(load=3.0), "its load was 3.0 when this began"),
        (1.0, noise_of(stolen=(os.cpu_count() or 1) * 0.5), "other virtual machines had 5.0% of its cores' time"),
        (1.1, noise_of(stolen=None), ""),
        (1.0, noise_of(stolen=0.001), ""),
    ],
)
def test_what_disturbs_is_said_with_what_to_do(drift: float, noise: Generation, message: str) -> None:
    lines = disturbances(raced(noise, drift))
    assert len(lines) == bool(message)
    assert message in "".join(lines)


@pytest.mark.usefixtures("without_processes")
def test_a_sweep_races_at_each_value_and_says_how_time_grows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, records = run(folder, "--sweep", "images=20,40,60")
    out = capsys.readouterr().out
    assert code == 0
    for size, generation in itertools.product((20, 40, 60), ("1 generation", "2 generations")):
        assert re.search(rf"^images: {size}, {generation}: .*minibatch [\d.]+ .?s \([\d.]+\)", out, re.MULTILINE), out
    assert len(re.findall("^minibatch agrees: ", out, re.MULTILINE)) == 1  # one process checked all sizes
    assert [entry["key"]["images"] for entry in of_kind(records, "race")] == [20, 40, 60]
    assert {entry["race"] for entry in of_kind(records, "agreement")} == {0, 1, 2}
    samples = [(entry["race"], entry["generation"]) for entry in of_kind(records, "sample")]
    assert set(samples) == {(r, g) for r in range(3) for g in range(GENERATIONS)}
    assert samples[0][1] == samples[-1][1] - GENERATIONS + 1  # the values of the sweep are interleaved, too
    assert {(entry["race"], entry["images"]) for entry in of_kind(records, "process")} == {(0, 20), (1, 40), (2, 60)}
    assert re.search(r"^images +20 +40 +60 +power +interval", out, re.MULTILINE), out
    assert re.search(r"^minibatch( +[\d.]+ (m|µ)?s){3} +-?[\d.]+ +-?[\d.]+ to *$", out, re.MULTILINE), out


@pytest.mark.usefixtures("without_processes")
@pytest.mark.parametrize(
    ("asked", "part", "values"),
    [
        ("batch=10,all", "batch", [10, None]),
        ("hidden=7,9", "sizes", [[784, 7, 7, 10], [784, 9, 9, 10]]),
        ("images=20,40", "images", [20, 40]),
    ],
)
def test_what_is_swept_reaches_the_key(asked: str, part: str, values: list[Any]) -> None:
    parsed = make_parser().parse_args(["race", "--network", "784-5-6-10", "--sweep", asked])
    settings = [measuring.race_setup(point, data.load()) for point in race_command.sweep_points(parsed)]
    assert [header_of_race(setting, 0, "naive", ["naive"]).key[part] for setting in settings] == values


@pytest.mark.usefixtures("without_processes")
def test_of_the_first_generation_there_are_as_many_sizes_as_there_is_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = measured_in_ten_seconds(monkeypatch)
    names = ["minibatch", "vectorized"]
    monkeypatch.setattr(race, "agreeing_in_each", lambda *_: dict.fromkeys(range(3), names))  # takes a second
    sweep = ["--sweep", "images=20,40,60", "--precision", "0.001", "--output", str(folder / "swept.jsonl")]
    assert main(["race", *with_usual(QUICK, [*sweep, "--budget", "25"])]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert [number for number, _ in asked] == [0, 1]
    assert [seconds for _, seconds in asked] == pytest.approx([25 / 9, 15 / 8])  # shared out to three of each
    why = "the budget of 25 s has no room for another generation; 3 generations take about --budget 110"
    assert f"Not measured: images: 60; {why}." in out
    assert main(["race", *with_usual(QUICK, [*sweep, "--budget", "70"])]) == 0  # continues with the one that is missing
    assert [number for number, _ in asked[2:]] == [2, 0, 1, 2]
    assert "Not measured" not in capsys.readouterr().out


def test_each_size_is_checked_by_itself_where_a_backend_dies_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    several: list[Any] = [(SimpleNamespace(name=name), {}) for name in ("small", "large")]
    passed = Result("it", "small", "float32", "outputs", 0.5, 4.0, None)
    failed = passed._replace(quantity="dies", failure="it: ended its process with exit code 9")
    alone: list[str] = []

    def checked_alone(name: str, posed: list[Any], *_: Any) -> list[Result]:
        alone.extend(problem.name for problem, _ in posed)
        return [failed] if alone[-1] == "large" else [passed]

    monkeypatch.setattr(race, "check_isolated", checked_alone)
    both = [passed, passed._replace(problem="large")]
    assert race.by_case(CheckedBackend("it", both, 1.0), several, 1, None) == [[passed], [both[1]]]
    assert alone == []
    assert race.by_case(CheckedBackend("it", [failed], 1.0), several, 1, None) == [[passed], [failed]]
    assert alone == ["small", "large"]


@pytest.mark.skipif(CORES() < 2, reason="one core is all there is")
def test_threads_are_swept_and_reach_the_processes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", CORES)
    monkeypatch.setattr(Budget, "spent", ending_after(1))
    code, records = run(folder, "--sweep", "threads=1,2", "--baseline", "minibatch")
    assert code == 0
    assert len(of_kind(records, "process")) == 2 * 2
    for entry in of_kind(records, "process"):
        assert set(entry["threads"].values()) == {entry["race"] + 1}


COLD = """
import os
from impls.vectorized import *
from impls import vectorized as right
def train(*a):
    if os.environ.get("NUMBA_CACHE_DIR") and not os.listdir(os.environ["NUMBA_CACHE_DIR"]):
        sum(range(10**7))
    return right.train(*a)
"""


def test_a_cold_call_finds_no_compiled_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "compiling.py").write_text(COLD)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(Budget, "spent", ending_after(1))
    monkeypatch.setenv("COLUMNS", "100")  # at 80 a name may go over two lines, by how many digits the times have
    code, records = run(folder, "--backend", "compiling", "--baseline", "minibatch", "--cold")
    assert code == 0
    cold = {entry["participant"]: entry["first"]["wall"] for entry in of_kind(records, "cold")}
    first = {entry["participant"]: entry["first"]["wall"] for entry in of_kind(records, "process")}
    assert set(cold) == {"minibatch", "compiling"}
    assert cold["compiling"] > first["compiling"]
    assert re.search(
        r"^compiling +\d+ %( +[\d.]+ (m|µ)?s){3} +(never|[\d,]+) / ", capsys.readouterr().out, re.MULTILINE
    )


@pytest.mark.usefixtures("without_processes")
def test_an_interrupted_race_is_continued_after_its_whole_generations(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "left.jsonl"
    asked = ["race", *QUICK, "--output", str(path)]
    right = Journal.record

    def interrupted(self: Journal, *entries: Record) -> None:
        (entry,) = entries
        if isinstance(entry, Sample) and entry.generation == 1 and entry.round == 1:
            raise KeyboardInterrupt
        right(self, entry)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "record", interrupted)
        assert main(asked) == 130
    assert "stopped before its end" in capsys.readouterr().out
    with path.open("a") as file:
        file.write('{"kind": "samp')
    before = path.read_text()
    assert main(asked) == 0
    assert f"continuing after 1 generation in {path}" in capsys.readouterr().out
    after = path.read_text()
    assert after.startswith(before.rpartition("\n")[0])
    records = [json.loads(line) for line in after.splitlines()]
    assert len(of_kind(records, "race")) == 1
    assert [entry["generation"] for entry in of_kind(records, "generation")] == [0, 2]
    assert main(asked) == 0  # there is nothing left to do
    assert len(of_kind([json.loads(line) for line in path.read_text().splitlines()], "generation")) == 2


DYING = """
from pathlib import Path
from impls.vectorized import *
from impls import vectorized as right
def train(network, state, prepared, plan):
    if len(plan.starts) == 6 and Path(__file__).with_name("dies").exists():
        raise OSError("killed")
    return right.train(network, state, prepared, plan)
"""


@pytest.mark.usefixtures("without_processes")
def test_what_died_is_tried_anew_and_measured_as_often_as_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "dying_in_a_race.py").write_text(DYING)
    (folder / "dies").touch()
    monkeypatch.syspath_prepend(folder)
    asked = ["race", *QUICK, "--backend", "dying_in_a_race", "--output", str(folder / "continued.jsonl")]
    assert main(asked) == 1
    assert "left out: dying_in_a_race: OSError: killed" in capsys.readouterr().out
    (folder / "dies").unlink()
    assert main(asked) == 0
    found = capsys.readouterr()
    assert "left out" not in found.out
    (race,) = read(folder / "continued.jsonl").races
    generations = Counter(name for of_one in race.rounds() for name in of_one[0])
    assert generations == {"minibatch": 4, "vectorized": 4, "floor": 4, "dying_in_a_race": GENERATIONS}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch", "20"], "batch 10 there, 20 here"),
        (["--dtype", "float64"], "dtype float32 there, float64 here"),
        (["--sweep", "images=20,30"], "1 races there, 2 here"),
        (["--backend", "numba"], "key backends numba None there"),
        (["--baseline", "minibatch"], "baseline vectorized there, minibatch here"),
    ],
)
def test_a_file_of_another_race_is_never_continued(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "of-one.jsonl"
    setting = measuring.race_setup(make_parser().parse_args(["race", *QUICK]), data.load())
    with Journal(path, [header_of_race(setting, 0, "vectorized", ["minibatch", "vectorized"])]) as journal:
        begin_race(journal, 0, 2, 0)
    before = path.read_text()
    assert main(["race", *with_usual(QUICK, arguments), "--output", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "give another file to --output" in error
    assert path.read_text() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["race", *QUICK, "--output", "/dev/full"]) == 2
    assert "error: /dev/full: results cannot be written (No space left on device)" in capsys.readouterr().err


# The fixture `without_rates` does not reach a process.
WITHOUT_RATES = """
import sys
from bench.__main__ import main
from bench.timing import interleave
interleave.rates_are_due = lambda _: False
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_it_and_leaves_no_process_behind(folder: Path) -> None:
    path = folder / "ended.jsonl"
    asked = ["race", *with_usual(QUICK, ["--budget", "600", "--baseline", "minibatch"]), "--output", str(path)]
    command = [sys.executable, "-c", WITHOUT_RATES, *asked]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    try:
        while '"sample"' not in (path.read_text() if path.exists() else ""):
            with pytest.raises(subprocess.TimeoutExpired):  # it has not ended
                process.wait(0.02)
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err == "interrupted\n"
    assert "Every measurement" in out


@pytest.mark.usefixtures("without_processes")
def test_a_backend_that_disagrees_is_not_timed_and_the_exit_code_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "wrong_outputs.py").write_text(WRONG)
    monkeypatch.syspath_prepend(folder)
    code, records = run(folder, "--backend", "minibatch,wrong_outputs")
    assert code == 1
    assert "left out: wrong_outputs, batches of 10, float32: outputs is" in capsys.readouterr().out
    assert {entry["participant"] for entry in of_kind(records, "sample")} == {"minibatch", "vectorized", "floor"}


LATE = """
from dataclasses import replace
from impls.vectorized import *
from impls import vectorized as right
def train(network, state, prepared, plan):
    if len(plan.starts) > 4:
        plan = replace(plan, learning_rates=plan.learning_rates * ([1.0] * 5 + [1.01] * (len(plan.starts) - 5)))
    return right.train(network, state, prepared, plan)
"""


@pytest.mark.usefixtures("without_processes")
def test_a_backend_that_is_wrong_only_in_what_is_timed_loses_its_times(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Right in the four updates that are checked before, and a hundredth too fast from the sixth on."""
    (folder / "wrong_late.py").write_text(LATE)
    monkeypatch.syspath_prepend(folder)
    code, records = run(folder, "--backend", "minibatch,wrong_late")
    out = capsys.readouterr().out
    assert code == 1
    assert "left out: wrong_late: WrongResult: what it was timed for is wrong: wrong_late, batches of 10, as" in out
    assert not any(entry["failure"] for entry in of_kind(records, "agreement"))
    assert {entry["participant"] for entry in of_kind(records, "sample")} == {"minibatch", "vectorized", "floor"}
    assert re.search(r"^minibatch +\d ", out, re.MULTILINE)
    assert not re.search(r"^wrong_late +\d ", out, re.MULTILINE)


@pytest.mark.usefixtures("without_processes")
def test_a_baseline_that_disagrees_ends_it_and_an_unsupported_backend_does_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "wrong_baseline.py").write_text(WRONG)
    (folder / "denying_all.py").write_text(
        "from impls.vectorized import *\ndef unsupported(*a):\n    return 'not today'\n"
    )
    monkeypatch.syspath_prepend(folder)
    assert main(["race", *QUICK, "--baseline", "wrong_baseline"]) == 2
    assert "wrong_baseline, the baseline, is left out; give another --baseline" in capsys.readouterr().err
    code, _ = run(folder, "--backend", "denying_all")
    assert code == 0
    assert "left out: denying_all, batches of 10, float32: has no train: not today" in capsys.readouterr().out


@pytest.mark.usefixtures("without_processes")
@pytest.mark.parametrize(("measure", "runs"), [("epoch", True), ("gradient", False)])
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
    assert ("no_gradients" in {entry["participant"] for entry in of_kind(records, "sample")}) == runs
    message = "left out: no_gradients, batches of 10, float32: has no gradients: not today"
    assert (message in capsys.readouterr().out) == (not runs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "nubma"], "backend 'nubma' is unknown: did you mean 'numba'?"),
        (["--baseline", "vectorised"], "did you mean 'vectorized'?"),
        (["--images", "151"], "151 images: expected at most 150"),
        (["--batch", "61"], "batch 61: expected 1 to 60"),
        (["--batch", "default"], "--batch default: expected a number of images"),
        (["--output", __file__], "expected the header of a race"),
        (["--sweep", "batch"], "expected batch=…"),
        (["--sweep", "speed=1,2"], "expected batch=…"),
        (["--sweep", "batch=10"], "at least two values"),
        (["--sweep", "batch=10,10"], "at least two values"),
        (["--sweep", "batch=10,0"], "expected a whole number from 1"),
        (["--sweep", "threads=1,100000"], "100000 threads: expected 1 to"),
        (["--sweep", "batch=60,all"], "--sweep: expected values that differ, found 60, 60"),
        (["--sweep", "hidden=2,3", "--network", "784-10"], "expected a network with a hidden layer"),
        (["--network", "10-10"], "images have 784 pixels, network 10-10"),
        (["--precision", "0"], "expected a finite number from"),
        (["--rounds", "1"], "expected a whole number from 2"),
        (["--measure", "nothing"], "invalid choice"),
        (["--threads", "100000"], "100000 threads: expected 1 to"),
        (["--output", "/no/such/folder/file"], "expected a file in a folder that exists"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, lambda: main(["race", *with_usual(QUICK, arguments)]))
