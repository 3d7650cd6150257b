"""`python -m bench study peers`: four ratios of each backend, always together."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

import bench
from bench import UserError
from bench.__main__ import main
from bench.analysis.peers import peer_ratios_of
from bench.commands.peers import installed_peers
from bench.experiments.generations import Budget
from bench.records.files import read
from bench.records.races import ParticipantResult, RaceResult
from bench.timing import threads
from data import Digits, mnist
from tests.helpers.budgets import ending_after
from tests.helpers.records import typed_process, typed_sample


def raced(way: str, seconds: dict[str, float], prepare: dict[str, float]) -> RaceResult:
    """Three generations of two rounds in which all take the same time, with images that took so long to prepare."""
    found = RaceResult(0, "peers", "", "", {"images": 100, "batch": 32}, {}, "ours", "MNIST", None, about={"way": way})
    for name, wall in seconds.items():
        participant = found.participants[name] = ParticipantResult(name, name, 100)
        for generation in range(3):
            participant.processes.append(typed_process(generation, prepare[name], 1.0))
            participant.samples += [typed_sample(generation, number, wall) for number in range(2)]
    return found


def test_preparation_is_charged_to_one_epoch_and_the_fastest_comes_first() -> None:
    prepare = {"ours": 1.0, "theirs": 8.0, "slow": 0.0}
    races = [
        raced("MNIST as it is", {"ours": 1.0, "theirs": 4.0, "slow": 9.0}, prepare),
        raced("all pixels non-zero", {"ours": 2.0, "theirs": 4.0, "slow": 9.0}, prepare),
    ]
    theirs, slow = peer_ratios_of(races)
    assert (slow.backend, theirs.backend) == ("slow", "theirs")
    assert {way: ratio.estimate for way, ratio in theirs.ways.items()} == pytest.approx(
        {"MNIST as it is": 4.0, "preparation included": 6.0, "all pixels non-zero": 2.0}
    )
    assert slow.ways["preparation included"].estimate == pytest.approx(4.5)


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rng = np.random.default_rng(0)
    images = (rng.integers(1, 256, (70, 784)) * (rng.random((70, 784)) < 0.2)).astype(np.uint8)
    mnist.write_folder(tmp_path / "digits", *2 * [Digits(images, rng.integers(0, 10, 70))])
    monkeypatch.setenv("DIGITBENCH_DATA", str(tmp_path / "digits"))
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(Budget, "spent", ending_after(2))
    monkeypatch.setattr(threads, "cores", lambda: 1)
    monkeypatch.setenv("COLUMNS", "200")
    return ["--budget", "0.01", "--rounds", "2", "--images", "60", "--batch", "30", "--baseline", "minibatch"]


@pytest.mark.usefixtures("without_processes")
@pytest.mark.usefixtures("without_rates")
def test_three_races_give_four_ratios(quick: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "peers.jsonl"
    assert main(["study", "peers", *quick, "--backend", "vectorized", "--output", str(results)]) == 0
    races = read(results).races
    assert [(one.about["way"], one.key["order"], one.about["zeros"] == 0) for one in races] == [
        ("MNIST as it is", "file", False),
        ("shuffled", "shuffled", False),
        ("all pixels non-zero", "file", True),
    ]
    rows = {row.backend: row for row in peer_ratios_of(races)}
    assert set(rows) == {"vectorized", "floor"}
    assert set(rows["vectorized"].ways) == {"MNIST as it is", "preparation included", "shuffled", "all pixels non-zero"}
    assert set(rows["floor"].ways) == {"MNIST as it is", "shuffled", "all pixels non-zero"}
    for row in rows.values():
        assert all(math.isfinite(ratio.estimate) for ratio in row.ways.values())
    shown = capsys.readouterr().out
    assert re.search(r"^vectorized +30 +[\d.]+ ", shown, re.MULTILINE)
    assert re.search(r"^floor +30 +[\d.]+ ", shown, re.MULTILINE)
    assert "80 % of the pixels are zero" in shown


def test_where_no_other_library_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impls.available", lambda: ["naive", "vectorized"])
    with pytest.raises(UserError, match=r"none of torch, jax, sklearn is installed; pip install .*\[peers\]"):
        installed_peers()
