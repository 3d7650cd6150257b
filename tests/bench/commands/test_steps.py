"""`waterfall` and `batches` on small data: both rules for reaching a target, factors, and how a file is continued."""

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.__main__ import main
from bench.agreement.timed import TimedCall, timed_call
from bench.analysis import accuracy
from bench.analysis.accuracy import method_results
from bench.commands import batches, waterfall
from bench.experiments import trainings, tune
from bench.experiments.accuracy import Step
from bench.records.journal import Journal, read_records
from bench.records.kinds import Training
from bench.records.races import races_of
from bench.timing import threads
from bench.timing.records import Record
from bench.training import held_out
from bench.training.worker import growing
from bench.workloads import batch_sizes
from bench.workloads.recipes import nesterov, relu
from data import mnist
from tests.helpers.digits import digits_of

TINY = relu(784, 8, 10)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    mnist.write_folder(tmp_path / "digits", digits_of(600, 1), digits_of(200, 2))
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(threads, "cores", lambda: 1)
    monkeypatch.setattr(accuracy, "LEAST_SEEDS", 2)
    monkeypatch.setenv("COLUMNS", "140")
    fast = nesterov("fast", TINY, batch=20, epochs=3, learning_rate=0.1)
    slow = replace(fast, name="slow", batch=200, epochs=60, schedule="constant", momentum=0.0, order="file")
    never = replace(slow, name="never", learning_rate=1e-6, epochs=2)

    def ways(seeds: int, slow_seeds: int) -> list[Step]:
        return [
            Step("slowly", "vectorized", "float64", slow, True, slow_seeds),
            Step("never", "vectorized", "float32", never, True, slow_seeds),
            Step("fast", "minibatch", "float32", fast, False, seeds),
        ]

    monkeypatch.setattr(waterfall, "waterfall_steps", ways)
    monkeypatch.setattr(tune, "RATES", (1e-6, 0.1))
    for module in (batches, tune):
        monkeypatch.setattr(module, "TARGET", 0.6)
    monkeypatch.setattr(batch_sizes, "WIDER", TINY)
    for module in (batches, tune):
        monkeypatch.setattr(module, "CHOSEN", tmp_path / "batches.json")
    monkeypatch.setattr(held_out, "HELD_OUT", 100)
    return tmp_path


def run(folder: Path, command: str, *arguments: str) -> int:
    usual = ["--data", str(folder / "digits"), "--output", str(folder / "found.jsonl")]
    return main(["study", command, *usual, *arguments])


@pytest.mark.usefixtures("without_processes")
def test_a_waterfall_has_factors_where_the_target_was_reached(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "waterfall", "--seeds", "3", "--slow-seeds", "2") == 0
    out = capsys.readouterr().out
    assert re.search(
        r"^slowly +vectorized +[\d.]+ m?s +[\d.]+ m?s to +2 +[\d.]+ +2 of 2 +– +– *$", out, re.MULTILINE
    ), out
    assert re.search(
        r"^never +vectorized +\([\d.]+ m?s\) +[\d.]+ m?s to +2 +2\.00 +0 of 2 +– +– *$", out, re.MULTILINE
    ), out
    assert re.search(
        r"^fast +minibatch +[\d.]+ m?s +[\d.]+ m?s to +3 +3\.00 +[\d.]+ % +> [\d.]+ +[\d.]+ *$", out, re.MULTILINE
    ), out
    records, _ = read_records(folder / "found.jsonl")
    slowly, never, fast = method_results(races_of(records))
    assert slowly.counts
    assert not never.counts
    assert fast.counts
    curves = [one.curve for one in slowly.trainings if one.curve]
    for curve in curves:
        assert curve.accuracy[-1] >= 0.9417 > curve.accuracy[-2]  # it ends where it first reaches it
        assert curve.seconds == sorted(curve.seconds)
        assert curve.epochs[:2] == [0, pytest.approx(1 / 3)]
    assert slowly.epochs == pytest.approx(sum(curve.epochs[-1] for curve in curves) / 2)
    assert run(folder, "waterfall", "--seeds", "3", "--slow-seeds", "2") == 0
    again, _ = read_records(folder / "found.jsonl")
    assert [e for e in again if isinstance(e, Training)] == [e for e in records if isinstance(e, Training)]


@pytest.mark.usefixtures("without_processes")
def test_an_interruption_keeps_what_is_finished(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = Journal.record

    def interrupted(self: Journal, *entries: Record) -> None:
        if isinstance(entries[0], Training) and entries[0].race == 1:
            raise KeyboardInterrupt
        right(self, *entries)

    monkeypatch.setattr(Journal, "record", interrupted)
    assert run(folder, "waterfall", "--seeds", "3", "--slow-seeds", "2") == 130
    out = capsys.readouterr().out
    assert re.search(r"^slowly .* 2 of 2", out, re.MULTILINE), out
    assert "continues" in out


@pytest.mark.usefixtures("without_processes")
def test_batches_take_the_rates_that_were_chosen_on_held_out_images(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = ["--backend", "minibatch", "--batch", "20,60", "--seeds", "2"]
    (folder / "batches.json").write_text("{}")
    assert run(folder, "batches", *usual) == 2
    assert (
        "--batch 20: has no learning rate; choose one by `python -m bench tune --rates-by-batch 20`"
        in capsys.readouterr().err
    )
    tuned = ["--backend", "minibatch", "--data", str(folder / "digits")]
    assert main(["tune", *tuned, "--rates-by-batch", "20,60"]) == 0
    chosen = json.loads((folder / "batches.json").read_text())
    assert {batch: entry["rate"] for batch, entry in chosen.items()} == {"20": 0.1, "60": 0.1}
    assert chosen["60"]["epochs"]["1e-06"] is None
    capsys.readouterr()
    assert run(folder, "batches", *usual) == 0
    out = capsys.readouterr().out
    assert re.search(r"^20 +0\.1 .* 2 of 2", out, re.MULTILINE), out
    records, _ = read_records(folder / "found.jsonl")
    trained = [(one.seed, one.race) for one in records if isinstance(one, Training)]
    assert trained == [(0, 0), (0, 1), (1, 0), (1, 1)]  # in turns
    small, all_ = method_results(races_of(records))
    assert accuracy.in_turns(small, all_)
    assert small.epochs < all_.epochs
    assert {row.case["learning_rate"] for row in (small, all_)} == {0.1}


@pytest.mark.usefixtures("without_processes")
def test_a_short_check_works_out_a_few_updates_of_the_first_seed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int | None]] = []
    right = timed_call

    def counted(*arguments: Any) -> TimedCall:
        asked.append((arguments[1], arguments[-1]))
        return right(*arguments)

    monkeypatch.setattr(trainings, "timed_call", counted)
    (folder / "batches.json").write_text('{"20": {"rate": 0.1}, "600": {"rate": 0.1}}')
    usual = ["--backend", "minibatch", "--batch", "20,600", "--seeds", "2"]
    monkeypatch.setattr(trainings, "FEW_IMAGES", 500)
    assert run(folder, "batches", *usual, "--short-check") == 0
    assert asked == [("batch-20, seed 0", 4), ("batch-600, seed 0", 1)]


def test_evaluations_grow_apart_with_the_updates_up_to_an_epoch() -> None:
    firsts = growing(2000, 100)
    gaps = [after - before for before, after in pairwise(firsts)]
    assert firsts[:3] == [0, 1, 2]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 100
    assert max(gap / first for gap, first in zip(gaps[10:], firsts[10:], strict=False)) <= 0.15
    assert growing(1, 1) == [0]
    assert growing(3, 1) == [0, 1, 2]
