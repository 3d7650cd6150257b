"""Calibration: slowdowns of a known size, and how often the verdicts on them are right."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import bench
from bench.__main__ import main
from bench.analysis.calibrate import AGAIN, GENERATIONS, ITSELF, SLOWDOWNS, verdicts
from bench.analysis.compare import AFTER, BEFORE, any_slower, changes
from bench.commands import calibrate
from bench.experiments.generations import Budget
from bench.records.files import read
from bench.records.races import ParticipantResult, RaceResult
from bench.timing import threads
from bench.timing.worker import TimingTask, slowed, work_of
from bench.workloads.cases import MINI_BATCHES
from data import Digits, mnist
from impls.contract import Plan, check_plan_fits
from tests.helpers.budgets import ending_after
from tests.helpers.command import refused
from tests.helpers.records import typed_process, typed_sample

NOISE = 0.005  # of a generation's median, relative


def raced(generations: int, true: dict[str, float], seed: int = 0) -> RaceResult:
    """A race of many generations in which each participant takes so many times as long."""
    rng = np.random.default_rng(seed)
    found = RaceResult(0, "calibrate", "", "", {"images": 1}, {}, ITSELF, "", None)
    found.first = dict.fromkeys(range(generations), "")  # neither of those that are compared
    for name, factor in true.items():
        samples = [
            typed_sample(g, 0, factor * float(np.exp(NOISE * rng.standard_normal()))) for g in range(generations)
        ]
        process = typed_process(0)
        found.participants[name] = ParticipantResult(name, "minibatch", 1, processes=[process], samples=samples)
    return found


def test_shares_are_of_all_runs_of_generations_and_intervals_of_those_that_do_not_overlap() -> None:
    true = {ITSELF: 1.0, AGAIN: 1.0} | {name: 1 + share for name, share in SLOWDOWNS.items()}
    found = {row.against: row for row in verdicts([raced(100, true), raced(50, true, seed=1)], generations=10)}
    assert list(found) == [AGAIN, *SLOWDOWNS]
    assert all(row.comparisons == 15 for row in found.values())
    assert found[AGAIN].share < 0.05
    assert found[AGAIN].interval.low == 0.0
    assert found["10 % more"].share == 1.0
    assert found["10 % more"].interval.high == 1.0
    assert found["10 % more"].interval.low == pytest.approx(0.025 ** (1 / 15))
    assert found["5 % more"].work == pytest.approx(1.05)


def test_a_false_alarm_counts_whichever_of_the_two_is_called_slower() -> None:
    true = {ITSELF: 1.1, AGAIN: 1.0}
    (found,) = verdicts([raced(20, true)], generations=10)
    assert found.share == 0.5  # always one of them
    (found,) = verdicts([raced(20, {ITSELF: 1.0, AGAIN: 1.1})], generations=10)
    assert found.share == 0.5


def test_what_starting_first_does_is_no_slowdown_and_hides_none() -> None:
    found = raced(40, {ITSELF: 1.0, AGAIN: 1.0, "5 % more": 1.05})
    names = list(found.participants)
    for generation in range(40):
        first = found.first[generation] = names[generation % 3]
        sample = found.participants[first].samples[generation]
        found.participants[first].samples[generation] = msgspec.structs.replace(sample, wall=1.1 * sample.wall)
    assert [row.share for row in verdicts([found], generations=10)] == [0.0, 1.0]
    found.first = dict.fromkeys(range(40), "")
    assert [row.share for row in verdicts([found], generations=10)] != [0.0, 1.0]


def test_compare_and_its_report_remove_the_effect_of_starting_first() -> None:
    found = raced(16, {BEFORE: 1.0, AFTER: 1.05})
    found.baseline = BEFORE
    for generation in range(16):
        first = found.first[generation] = (BEFORE, AFTER)[generation % 2]
        sample = found.participants[first].samples[generation]
        found.participants[first].samples[generation] = msgspec.structs.replace(sample, wall=1.2 * sample.wall)
    ratios = changes([found])
    assert any_slower(ratios.items(), 0.02)
    (ratio,) = ratios.values()
    assert ratio is not None
    assert ratio.separated


def test_too_few_generations_say_nothing() -> None:
    assert verdicts([raced(9, {ITSELF: 1.0, AGAIN: 1.0})], generations=10) == []


@pytest.mark.parametrize(
    ("again", "stops"),
    [(0.0, []), (0.03, [3]), (0.1, [10]), (0.25, [10, 20, 24]), (1.0, [*range(10, 100, 10), 95])],
)
def test_a_slowdown_is_so_many_more_images(again: float, stops: list[int], tmp_path: Path) -> None:
    plans: list[Plan] = []

    class Telling:
        @staticmethod
        def train(network: Any, state: Any, prepared: Any, plan: Plan) -> None:
            plans.append(plan)

    case = replace(MINI_BATCHES, batch=10, order="shuffled")
    work_of(TimingTask("any", "epoch", case, tmp_path, images=95, n_threads=1, again=again), Telling, None)()
    (plan,) = plans
    check_plan_fits(plan, 95)
    assert plan.stops.tolist() == [*range(10, 100, 10), 95, *stops]
    assert plan.starts.tolist() == [*range(0, 100, 10), *range(0, 100, 10)[: len(stops)]]
    assert len(plan.learning_rates) == 10 + len(stops)
    assert (plan.stops - plan.starts).sum() == 95 + round(again * 95)


def test_the_full_batch_is_slowed_as_exactly(tmp_path: Path) -> None:
    plan = slowed(next(replace(MINI_BATCHES, batch=None).plans(1000)), 30)
    assert (plan.starts.tolist(), plan.stops.tolist()) == ([0, 0], [1000, 30])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(1)
    digits = Digits(
        (rng.integers(1, 256, (150, 784)) * (rng.random((150, 784)) < 0.2)).astype(np.uint8), rng.integers(0, 10, 150)
    )
    mnist.write_folder(tmp_path / "digits", digits, digits)
    monkeypatch.setenv("DIGITBENCH_DATA", str(tmp_path / "digits"))
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(threads, "cores", lambda: 1)
    monkeypatch.setattr(Budget, "spent", ending_after(2))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


# Few updates, as what each has to return is worked out beforehand.
QUICK = ["calibrate", "--budget", "0.01", "--rounds", "2", "--images", "100", "--batch", "50", "--generations", "2"]


@pytest.mark.usefixtures("without_processes")
def test_the_command_leaves_a_file_that_counts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(QUICK) == 0
    out = capsys.readouterr().out
    (path,) = (folder / "results").glob("calibrate-*.jsonl")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert {entry["participant"] for entry in records if entry["kind"] == "sample"} == {ITSELF, AGAIN, *SLOWDOWNS}
    assert re.search(r"^the same, twice +[\d.]+ % +[\d.]+ % to [\d.]+ % +1 *$", out, re.MULTILINE), out
    (found,) = read(path).races
    assert found.purpose == "calibrate"
    assert [row.comparisons for row in verdicts([found, found], generations=2)] == [2] * 4


@pytest.mark.usefixtures("without_processes")
def test_a_budget_without_room_for_a_comparison_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Budget, "spent", ending_after(1))
    monkeypatch.setattr(calibrate, "agreeing", lambda *_: [["minibatch"]])
    line = refused(capsys, lambda: main(QUICK))
    assert "a comparison takes 2 generations, found 1: the budget of 0.01 s is spent; --output" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--measure", "outputs"], "--measure outputs: expected epoch"),
        (["--backend", "nubma"], "did you mean 'numba'?"),
        (["--generations", "1"], "expected a whole number from 2"),
        (["--budget", "0"], "expected a finite number from"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, lambda: main([*QUICK, *arguments]))


def test_comparisons_are_as_long_as_those_of_compare(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bench.commands.parser import make_parser

    usual = make_parser().parse_args(["calibrate"])
    assert usual.generations == GENERATIONS
    assert usual.images == make_parser().parse_args(["compare", "main"]).images
    assert usual.backend == "minibatch"
