"""`study article`, `grid` and `relu` on small digits: results, how a file is continued, and what is refused."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
import data
import impls
from bench import UserError
from bench.__main__ import main
from bench.analysis.article import effects, experiment_results, setting_results
from bench.experiments import article
from bench.records.files import read
from bench.records.journal import Journal
from bench.tables.article import grid_sections
from bench.timing import threads
from bench.timing.records import Generation, Record
from bench.training.loop import accuracy, mean_cost
from bench.training.worker import share_overflowing
from bench.workloads.article import RELU_DESIGN, SETTING, Experiment, Grid, Screen, printed
from bench.workloads.recipes import Recipe, varied
from data import Digits, mnist
from impls.contract import Layer
from tests.helpers.command import refused, with_usual

FAILING = """
from impls.vectorized import *
from impls.vectorized import train as train_as_usual
trained = 0
def train(*a):  # the first call is of one epoch, to compile
    global trained
    trained += 1
    if trained > 1:
        raise RuntimeError("not today")
    return train_as_usual(*a)
"""
SMALL = varied(SETTING, sizes=(784, 8, 10), pixel_scale=1 / 255, epochs=3)
TEST = ("test",)
RELU = varied(SMALL, hidden="relu", output="relu", learning_rate=0.1)
DEAD = varied(RELU, learning_rate=1e6)  # after one update no output is above 0 for any image
WILD = varied(SMALL, hidden="relu", output="softmax", learning_rate=1e30)


def digits_of(n: int, seed: int) -> Digits:
    """Labels that can be learned: which tenth of the pixels is bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    images = rng.integers(0, 100, (n, 784))
    for image, label in zip(images, labels, strict=True):
        image[78 * label : 78 * label + 78] += 150
    return Digits(images.astype(np.uint8), labels)


def row(name: str, setting: Recipe, *figures: Any, method: str | None = None) -> Experiment:
    return Experiment(name, "for a test", setting, figures, 12.5, method=method)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    mnist.write_folder(tmp_path / "digits", digits_of(300, 1), digits_of(100, 2))
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(threads, "cores", lambda: 1)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def run(folder: Path, *arguments: str, study: str = "article", seeds: int = 2) -> int:
    usual = ["--seeds", str(seeds), "--data", str(folder / "digits")]
    return main(["study", study, *with_usual(usual, arguments), "--output", str(folder / "found.jsonl")])


def records(folder: Path, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "found.jsonl").read_text().splitlines()]
    return [entry for entry in found if entry["kind"] == kind]


@pytest.mark.usefixtures("without_processes")
def test_results_next_to_the_articles(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = (printed("accuracy", "99.99", 3, splits=TEST), printed("cost", "4", 0, 1, splits=("train",)))
    rows = (row("learns", SMALL, *figures, method="vectorized"), row("dies", DEAD), row("diverges", WILD))
    monkeypatch.setattr(article, "EXPERIMENTS", rows)
    assert run(folder) == 0
    out = capsys.readouterr().out
    assert "not MNIST" in out
    assert re.search(r"^learns +accuracy, .* 99\.99 %( +[\d.]+ %){3} +no", out, re.MULTILINE)
    learns, dies, diverges = experiment_results(read(folder / "found.jsonl").races)
    assert (learns.seeds, learns.diverged, learns.collapsed) == (2, 0, {})
    assert (dies.seeds, dies.diverged, dies.collapsed, dies.zeros, dies.dead) == (2, 0, {0: 2}, 1.0, [10, 10])
    assert (diverges.seeds, diverges.diverged) == (2, 2)
    assert "2 collapsed: always 0" in out
    assert "2 diverged" in out
    assert learns.times
    assert learns.method_times
    assert learns.about["seconds"] == 12.5
    assert learns.ratio
    shares = [entry["epochs"] for entry in records(folder, "training") if entry["participant"] == "vectorized, float64"]
    assert sorted(shares) == [1, 2]  # together one training
    assert dies.method_times is None


@pytest.mark.usefixtures("without_processes")
def test_what_is_recorded_is_what_the_network_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(article, "EXPERIMENTS", (row("learns", SMALL),))
    assert run(folder, "--backend", "vectorized", seeds=1) == 0
    (course,) = records(folder, "training")
    assert [point["epoch"] for point in course["points"]] == [0, 1, 2, 3]
    digits, backend = data.load(str(folder / "digits")), impls.load("vectorized")
    first = SMALL.parameters()
    for name, split in (("train", digits.train), ("test", digits.test)):
        prepared = backend.prepare(SMALL.network, split.images, None, "float32")
        outputs = backend.outputs(SMALL.network, first, prepared)
        seen = course["points"][0][name]
        assert seen["accuracy"] == accuracy(outputs, split.labels)
        assert seen["answers"] == [int((outputs.argmax(axis=1) == digit).sum()) for digit in range(10)]
        assert seen["confidence"] == pytest.approx(outputs[0, split.labels[0]], rel=1e-5)
        z = (split.images / 255) @ first[0].weights.astype("float64")
        assert seen["overflow"] == (z < -709.78).mean() == 0
        assert seen["largest"] == pytest.approx(outputs.max(), rel=1e-5)
        if name == "train":
            last = outputs[240:]  # of five updates
            assert course["points"][0]["last"]["accuracy"] == accuracy(last, split.labels[240:])
            assert course["points"][0]["last"]["cost"] == pytest.approx(
                mean_cost(SMALL.network, last, split.labels[240:]), rel=1e-5
            )
    assert course["points"][-1]["train"]["cost"] < course["points"][0]["train"]["cost"]


def test_where_a_plainly_written_sigmoid_overflows() -> None:
    images = np.full((5, 784), 255, np.uint8)
    images[0] = 0
    network = varied(SMALL, pixel_scale=1.0).network
    weights = np.zeros((784, 8), np.float32)
    weights[0, 0], weights[0, 1], weights[0, 2] = -2.7, -2.8, 3.0  # 255 times that: -688.5, -714, 765
    layers = (Layer(weights, np.zeros(8, np.float32)), *SMALL.parameters()[1:])
    assert share_overflowing(network, layers, images) == 4 / 40
    assert share_overflowing(SMALL.network, layers, images) == 0


@pytest.mark.usefixtures("without_processes")
def test_it_continues_after_the_finished_seeds(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(article, "EXPERIMENTS", (row("learns", SMALL),))
    right = Journal.record

    def interrupted(self: Journal, *entries: Record) -> None:
        if isinstance(entries[0], Generation) and entries[0].generation == 1:
            raise KeyboardInterrupt
        right(self, *entries)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "record", interrupted)
        assert run(folder) == 130
    assert run(folder) == 0
    assert "2 seeds" in capsys.readouterr().out
    assert [entry["seed"] for entry in records(folder, "training")] == [0, 1, 1]  # the last was left, and trained again
    (race,) = read(folder / "found.jsonl").races
    assert [one.seed for one in race.participants["numba_sparse"].trainings] == [0, 1]
    assert run(folder) == 0  # nothing is missing, no process is started
    assert len(records(folder, "trainer")) == 2


@pytest.mark.usefixtures("without_processes")
def test_a_file_with_a_broken_training_is_refused_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(article, "EXPERIMENTS", (row("nothing", replace(SMALL, epochs=0)),))
    assert run(folder, seeds=1) == 0
    path = folder / "found.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    faults: tuple[dict[str, Any], ...] = (
        {"points": [{}]},
        {"participant": "nobody"},
        {"seed": -1},
        {"wall": "long"},
        {"points": [{"epoch": 0, "check": {"wall": 1}, "train": {}}]},
    )
    for broken in faults:
        changed = [entry | broken if entry["kind"] == "training" else entry for entry in lines]
        path.write_text("".join(json.dumps(entry) + "\n" for entry in changed))
        with pytest.raises(UserError, match=r"found\.jsonl, line \d+: a record is not as expected"):
            read(path)


@pytest.mark.usefixtures("without_processes")
def test_a_grid_stops_what_is_far_off_and_lists_what_reproduces_figures(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = (printed("accuracy", "50", n, splits=TEST)._replace(low=0.0, high=1.0) for n in (0, 2))
    levels = {"learning_rate": (1.0, 1e6), "output": ("relu",)}
    grid = Grid("learns", SMALL, levels, (before, after), (Screen(1, "test", "accuracy", 2.0, 3.0),))
    kept = grid._replace(screens=(Screen(1, "test", "accuracy", 0.0, 1.0),))
    monkeypatch.setattr(article, "GRIDS", (grid, kept._replace(name="kept")))
    assert run(folder, study="grid") == 0
    out = capsys.readouterr().out
    strict, lax = read(folder / "found.jsonl").races
    assert [(one.seeds, one.stopped_early, one.n_reproduced) for one in setting_results(strict)] == [
        (1, True, 1),
        (1, True, 1),
    ]
    assert [(one.seeds, one.stopped_early, one.n_reproduced) for one in setting_results(lax)] == [
        (2, False, 2),
        (2, False, 2),
    ]
    out = " ".join(out.split())
    assert "learns: 2 of 2 settings tried, 2 of them stopped early; 2 reproduce 1 of 2 figures." in out
    assert "kept: 2 of 2 settings tried, 0 of them stopped early; 2 reproduce 2 of 2 figures." in out
    assert "Stopped early where the test accuracy of the first seed was not 2 to 3 after epoch 1." in out
    (first, *_) = grid_sections([strict])[0].tables[0].rows
    assert first[0] == f"{grid.settings()[0]}; 1 seed"


@pytest.mark.usefixtures("without_processes")
def test_one_factor_at_a_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {("none", "base"): RELU, ("rate", "too large"): DEAD}
    monkeypatch.setattr(article, "RELU_DESIGN", changes)
    assert run(folder, study="relu") == 0
    (race,) = read(folder / "found.jsonl").races
    base, dead = effects(race)
    assert (base.difference, base.interval) == (None, None)
    assert dead.difference is not None
    assert dead.difference == pytest.approx(np.mean(dead.accuracies) - np.mean(base.accuracies))
    assert dead.dead == [10, 10]
    assert re.search(r"^rate: too.* 2 +([\d.]+ % +){3}[+-]\d", capsys.readouterr().out, re.MULTILINE)


def test_a_factor_is_changed_alone() -> None:
    ((about, recipes, *_),) = article.parts_of("relu", ["hidden", "output"])
    assert [factor for factor, _ in about["changes"].values()] == ["none", "output, cost", "output, cost", "hidden"]
    assert list(recipes) == list(about["changes"])
    assert list(recipes.values())[-1] == RELU_DESIGN["hidden", "sigmoid"]
    ((about, everything, *_),) = article.parts_of("relu", None)
    assert list(everything.values()) == list(RELU_DESIGN.values())


@pytest.mark.usefixtures("without_processes")
def test_a_backend_that_fails_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(article, "EXPERIMENTS", (row("learns", SMALL, method="vectorized"), row("dies", DEAD)))
    (folder / "failing.py").write_text(FAILING)
    monkeypatch.syspath_prepend(folder)
    assert run(folder, "--backend", "failing") == 1
    assert "left out: failing: RuntimeError: not today" in capsys.readouterr().out
    assert records(folder, "generation") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--experiment", "none"], "argument --experiment: 'none': expected one of chance, naive"),
        (["--seeds", "0"], "expected a whole number from 1"),
        (["--seeds", "1001"], "--seeds 1001: expected at most 1000"),
        (["--backend", "nubma"], "did you mean 'numba'?"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, lambda: run(folder, *arguments))


def test_digits_that_are_not_mnist_have_to_be_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DIGITBENCH_DATA", str(folder / "digits"))
    assert main(["study", "article"]) == 2
    assert "expected MNIST, for which this is made; give --data" in capsys.readouterr().err
