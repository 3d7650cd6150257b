"""A trained network for the report: the file, what is refused, and the figures."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import data
from bench import UserError
from bench.__main__ import main
from bench.records.files import read
from bench.records.inspection import Inspection, inspection, write
from bench.records.kinds import SCHEMA
from bench.records.quantised import OLDER, QuantisedNetwork
from bench.tables.inspection import INSPECTION_FIGURES
from bench.training.saved import save_network
from data import mnist
from impls.contract import Layer, Network, Parameters
from impls.initialisation import initial_parameters
from reports.export import markdown_summary
from reports.figures.inspection import inspection_figures, mistakes
from reports.page import page
from reports.sections import report_of
from reports.selection import choose
from tests.helpers.benchmark_files import NOTICE, files_of, without_ours, words_of
from tests.helpers.digits import digits_of
from tests.helpers.race_files import EVIL, MACHINE, WHEN

SIZES = (16, 5, 10)
HEADER: dict[str, Any] = {
    "schema": SCHEMA,
    "when": WHEN,
    "command": "python -m bench portrait m.npz",
    "machine": MACHINE,
    "data": "MNIST",
    "notice": None,
    "network": "16-5-10 relu",
    "source": "m.npz",
}


def found(wrong: int = 3, n: int = 40) -> tuple[Inspection, np.ndarray]:
    """An inspection of images of 4 x 4; the first `wrong` are taken for the next digit, with growing outputs."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 16), dtype=np.uint8)
    labels = np.arange(n) % 10
    outputs = np.full((n, 10), 0.01)
    outputs[np.arange(n), np.where(np.arange(n) < wrong, (labels + 1) % 10, labels)] = 0.5 + 0.01 * np.arange(n)
    weights = rng.standard_normal((16, 5)).astype(np.float32)
    return inspection(images, labels, outputs, (Layer(weights, np.zeros(5, np.float32)),), **HEADER), images


def written(folder: Path, **changes: Any) -> Path:
    content = msgspec.to_builtins(found()[0]) | changes
    (folder / "network.json").write_text(json.dumps(content))
    return folder / "network.json"


def portrait_in(path: Path) -> Inspection:
    there = read(path).inspection
    assert there is not None
    return there


def test_what_is_written_is_read(tmp_path: Path) -> None:
    one, images = found()
    write(tmp_path / "network.json", one)
    there = portrait_in(tmp_path / "network.json")
    assert portrait_in(written(tmp_path)) == there == one
    assert there.quantised == OLDER  # a record without the network itself is as good for the rest
    np.testing.assert_array_equal(there.first.images, images[:10].reshape(-1, 4, 4))
    assert there.first.labels == list(range(10))
    assert there.first.predicted == [1, 2, 3, *range(3, 10)]
    assert there.mistakes.labels == [2, 1, 0]  # the surest first
    assert there.mistakes.predicted == [3, 2, 1]
    assert there.correct == 37 / 40
    assert there.confusion[0] == [3, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert there.weights.shape == (5, 4, 4)
    assert np.abs(there.weights.astype(int)).max() == 127


def test_what_cannot_be_drawn_is_refused() -> None:
    layers: Parameters = (Layer(np.zeros((15, 2)), np.zeros(2)),)
    with pytest.raises(UserError, match="expected square"):
        inspection(np.zeros((2, 15), np.uint8), np.zeros(2, np.int64), np.zeros((2, 10)), layers)
    with pytest.raises(UserError, match="expected finite"):
        inspection(np.zeros((2, 16), np.uint8), np.zeros(2, np.int64), np.full((2, 10), np.nan), layers)


@pytest.mark.parametrize(
    "change",
    [
        {"units": 6},
        {"units": 10**6},
        {"scaled": "no base64"},
        {"confusion": [[1, 2]]},
        {"confusion": [[0] * 10] * 10},
        {"confusion": []},
        {"first": {"pixels": "", "labels": [1], "outputs": []}},
        {"first": {"pixels": "", "labels": [], "outputs": [[0.0]]}},
        {"first": {"pixels": "AAAA", "labels": [1, 2, 3], "outputs": [[0.0]] * 3}},
        {"first": {"pixels": "AA==", "labels": [1], "outputs": [[float("nan")] * 10]}},
        {"network": 3},
    ],
)
def test_values_that_cannot_be_are_one_line(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a record is not as expected") as error:
        read(written(tmp_path, **change))
    assert "\n" not in str(error.value)


def test_a_file_of_a_newer_version(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="update digitbench"):
        read(written(tmp_path, schema=99))


def test_the_figures_and_the_page(tmp_path: Path) -> None:
    chosen = choose([written(tmp_path, notice=NOTICE, source=EVIL, network=EVIL)])
    (results,) = chosen.files
    drawn = inspection_figures(results)
    assert [one.name for one in drawn] == INSPECTION_FIGURES
    html = page(report_of(chosen), drawn, files_of(drawn))
    assert "<script" not in without_ours(html)
    assert html.count("<img ") == 4
    assert "92.50 % of 40 test images correct" in html
    assert "| 0 | 3 | 1 | 0 |" in markdown_summary(report_of(chosen))
    titles = [title for axes in drawn[0].axes if (title := axes.get_title("left"))]
    assert titles[2:4] == ["is 2, says 3: wrong", "is 3, says 3: right"]
    assert "is 2, says 3" in drawn[2].axes[0].get_title()


def test_a_network_without_mistakes(tmp_path: Path) -> None:
    write(tmp_path / "n.json", found(wrong=0)[0])
    assert "It makes no mistake" in words_of(mistakes(read(tmp_path / "n.json")))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = Network((784, 4, 10), "relu", "softmax", "cross_entropy")
    save_network(tmp_path / "m.npz", network, initial_parameters(network, "he_normal", 0, "float32"))
    out = tmp_path / "portrait.json"
    arguments = ["inspect", str(tmp_path / "m.npz"), "--data", "builtin", "--output", str(out)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    there = portrait_in(out)
    assert f"{there.correct:.2%} of {sum(map(sum, there.confusion)):,} test images correct" in printed
    assert there.weights.shape == (4, 28, 28)
    assert len(there.mistakes.labels) == 20
    assert isinstance(there.quantised, QuantisedNetwork)
    (stage,) = there.quantised.stages
    assert (stage.epochs, stage.accuracy) == (None, there.correct)
    assert there.quantised.digits.labels == [digit for digit in range(10) for _ in range(4)]
    assert json.loads(out.read_text())["notice"]


@pytest.mark.parametrize("trained_on", ["these", "others", "unknown"])
def test_a_network_of_other_digits_is_named(
    trained_on: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = digits_of(30, seed=0)
    mnist.write_folder(tmp_path / "digits", digits, digits)
    these = data.load(str(tmp_path / "digits"))
    network = Network((784, 10))
    sha256 = {"these": these.sha256, "others": "ab" * 32, "unknown": None}[trained_on]
    save_network(tmp_path / "m.npz", network, initial_parameters(network, "he_normal", 0, "float32"), sha256)
    out = str(tmp_path / "m.json")
    assert main(["inspect", str(tmp_path / "m.npz"), "--data", str(tmp_path / "digits"), "--output", out]) == 0
    line = f"{tmp_path}/m.npz: was trained on other digits (SHA-256 abababababab...) than these, {these.name}"
    assert (line in capsys.readouterr().out.splitlines()) is (trained_on == "others")
