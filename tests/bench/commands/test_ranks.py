"""`python -m bench study ranks`: two ways to share a training, over ranks and widths, and where they cross."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
import impls
from bench.__main__ import main
from bench.analysis.ranks import crossings, shared_of
from bench.experiments.generations import Budget
from bench.records.files import read
from bench.records.races import ParticipantResult, RaceResult
from bench.tables.ranks import crossing_lines, ranks_table
from bench.timing import threads
from data import Digits, mnist
from impls.contract import Network
from tests.helpers.budgets import ending_after
from tests.helpers.records import typed_process, typed_sample

REASON = impls.unavailable_reason("mpi_units")


def raced(units: int, seconds: dict[str, float]) -> RaceResult:
    """Two generations of two rounds in which all take the same time."""
    key = {"images": 100, "batch": 32, "sizes": [784, units, 10]}
    about = {"bytes": {name: 5120 for name in seconds if name.endswith(":2")}}
    found = RaceResult(0, "ranks", "", "", key, {}, "minibatch", "MNIST", None, about=about)
    for name, wall in seconds.items():
        participant = found.participants[name] = ParticipantResult(name, name, 100)
        for generation in range(2):
            participant.processes.append(typed_process(generation, 0.0, 1.0))
            participant.samples += [typed_sample(generation, number, wall) for number in range(2)]
    return found


def test_each_row_has_both_ways_and_where_they_cross_is_said() -> None:
    one = {"minibatch": 2.0, "mpi_images:1": 2.0, "mpi_units:1": 2.0}
    races = [
        raced(128, one | {"mpi_images:2": 4.0, "mpi_units:2": 1.0}),
        raced(512, one | {"mpi_images:2": 3.0, "mpi_units:2": 1.5}),
        raced(2048, one | {"mpi_images:2": 1.0, "mpi_units:2": 1.5}),
    ]
    rows = shared_of(races)
    assert [(row.units, row.ranks) for row in rows] == [(n, r) for n in (128, 512, 2048) for r in (1, 2)]
    assert [row.over_images.estimate for row in rows if row.over_images] == pytest.approx([1, 0.25, 1, 0.5, 1, 1.5])
    assert rows[1].over_one_process["mpi_images"].estimate == pytest.approx(2.0)
    assert crossings(rows) == [(2, 32, [(512, 2048)], True)]
    assert crossing_lines(rows) == [
        "2 ranks, batches of 32: they cross between 512 and 2,048 hidden units; mpi_units takes less time before, "
        "mpi_images after the first."
    ]
    assert crossing_lines(rows[:4]) == ["2 ranks, batches of 32: mpi_units takes less time at every width measured."]
    cells = ranks_table(races).rows[1]
    assert cells[:3] == ["128", "32", "2"]
    assert "5.12 kB" in cells
    assert "0.250" in cells


def test_participants_of_other_names_share_nothing() -> None:
    others = dict.fromkeys(("torch:cuda", "mpi_units:", "mpi_units:" + 5000 * "9", "mpi_units:²"), 1.0)
    (row,) = shared_of([raced(128, {"minibatch": 2.0, "mpi_units:2": 1.0} | others)])
    assert row.ranks == 2


def test_one_way_that_failed_leaves_the_other() -> None:
    (row,) = shared_of([raced(128, {"minibatch": 2.0, "mpi_units:2": 1.0})])
    assert row.over_images is None
    assert set(row.seconds) == {"mpi_units"}


@pytest.fixture
def ranks_of_this_process() -> Iterator[None]:
    """Ranks that are there before a thread asks for them: those that a thread starts end with it."""
    backends: list[Any] = [impls.load(name) for name in ("mpi_images:2", "mpi_units:2")]
    for backend in backends:
        backend.prepare(Network((4, 3, 2)), np.zeros((1, 4), np.uint8), None, "float32")
    yield
    for backend in backends:
        backend.program().end()


@pytest.mark.skipif(REASON is not None, reason=f"mpi_units {REASON}")
@pytest.mark.usefixtures("ranks_of_this_process", "without_processes", "without_rates")
def test_it_measures_with_real_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    digits = Digits(rng.integers(0, 256, (70, 784), dtype=np.uint8), rng.integers(0, 10, 70))
    mnist.write_folder(tmp_path / "digits", digits, digits)
    monkeypatch.setenv("DIGITBENCH_DATA", str(tmp_path / "digits"))
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(Budget, "spent", ending_after(1))
    monkeypatch.setattr(threads, "cores", lambda: 1)
    monkeypatch.setenv("COLUMNS", "200")
    results = tmp_path / "ranks.jsonl"
    options = ["--budget", "0.01", "--rounds", "2", "--images", "60", "--batch", "30", "--units", "8", "--ranks", "2"]
    assert main(["study", "ranks", *options, "--output", str(results)]) == 0
    (race,) = read(results).races
    assert race.about["bytes"] == {"mpi_images:2": 4 * (785 * 8 + 9 * 10 + 1), "mpi_units:2": 1200}
    (row,) = shared_of([race])
    assert set(row.seconds) == {"mpi_images", "mpi_units"}
    shown = capsys.readouterr().out
    assert "2 ranks are more than the cores that they may use, 1: they take turns" in shown
    assert "1.20 kB" in shown
