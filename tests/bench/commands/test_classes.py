"""Digits of other than ten classes: networks have an output for each, and what does not fit is refused."""

from pathlib import Path

import numpy as np
import pytest

import data
from bench.__main__ import main
from bench.commands import measuring
from bench.commands.parser import make_parser
from bench.experiments.accuracy import to_target
from bench.experiments.article import article_trainings
from bench.experiments.trainings import check_fit
from bench.training.saved import load_network
from bench.workloads.recipes import RECIPES
from data import Dataset, Digits, mnist
from impls.contract import ContractError

CLASSES = 47


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three and one image of each class, sorted by label."""
    path = tmp_path_factory.mktemp("digits")
    rng = np.random.default_rng(0)
    mnist.write_folder(
        path,
        *(Digits(rng.integers(0, 256, (n * CLASSES, 784), np.uint8), np.repeat(np.arange(CLASSES), n)) for n in (3, 1)),
    )
    return path


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return data.load(str(folder))


def test_train_and_agree(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "network.npz"
    assert main(["train", "--data", str(folder), "--epochs", "1", "--save", str(saved)]) == 0
    assert load_network(saved).network.sizes == (784, 80, CLASSES)
    assert main(["agree", "--data", str(folder), "--backend", "vectorized", "--dtype", "float32"]) == 0
    output = capsys.readouterr().out
    assert f"784-128-{CLASSES} relu" in output
    assert main(["train", "--data", str(folder), "--network", "784-80-10", "--epochs", "1"]) == 2
    assert "expected 0 to 9, as network 784-80-10" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "sizes"),
    [([], (784, 128, CLASSES)), (["--network", "784-30-50"], (784, 30, 50)), (["--network", "784-30-10"], None)],
)
def test_a_race(given: list[str], sizes: tuple[int, ...] | None, dataset: Dataset) -> None:
    arguments = make_parser().parse_args(["race", "--images", "141", *given])
    if sizes is None:
        with pytest.raises(ContractError, match="expected 0 to 9, as network 784-30-10"):
            measuring.race_setup(arguments, dataset)
        return
    setting = measuring.race_setup(arguments, dataset)
    assert setting.case.network.sizes == sizes
    assert len(set(setting.digits.labels[:100])) > 0.8 * CLASSES  # also in a part of them, though the file is sorted


def test_recipes(dataset: Dataset) -> None:
    trainings = to_target(0.97, RECIPES["97"], "float32", ["vectorized"], 10, None)
    check_fit(dataset, trainings.for_classes(dataset.classes).recipes.values())
    with pytest.raises(ContractError, match="expected 0 to 9"):
        check_fit(dataset, trainings.recipes.values())


def test_the_article_had_ten_classes(dataset: Dataset) -> None:
    (trainings,) = article_trainings(dataset, "article", "vectorized", 1, ["80-sigmoid"])
    with pytest.raises(ContractError, match="expected 0 to 9"):
        check_fit(dataset, trainings.recipes.values())
