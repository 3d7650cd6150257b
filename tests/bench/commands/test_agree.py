"""`python -m bench agree`: the table, the JSON, the reasons, the exit code."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
import impls
from bench import UserError
from bench.__main__ import main
from bench.agreement.check import Result
from bench.agreement.isolated import CheckedBackend
from bench.commands import agree as command
from bench.experiments import agree
from data import Digits, mnist
from tests.helpers.command import refused
from tests.helpers.full_disk import full_disk

RIGHT = "from impls.vectorized import *\n"
WRONG = {
    "wrong_sign": "from impls import vectorized as right\ndef outputs(*a):\n    return -right.outputs(*a)\n",
    "hanging": "import threading\ndef outputs(*a):\n    threading.Event().wait()\n",
    "denying": "def unsupported(quantity, network, dtype):\n    return 'no need' if quantity == 'train' else None\n",
}


def digits_of(n: int, seed: int) -> Digits:
    rng = np.random.default_rng(seed)
    return Digits(
        (rng.integers(1, 256, (n, 784)) * (rng.random((n, 784)) < 0.2)).astype(np.uint8), rng.integers(0, 10, n)
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set, and modules that are wrong backends, on the path."""
    mnist.write_folder(tmp_path / "digits", digits_of(150, 1), digits_of(10, 2))
    for name, text in WRONG.items():
        (tmp_path / f"{name}.py").write_text(RIGHT + text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DIGITBENCH_DATA", str(tmp_path / "digits"))
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.mark.usefixtures("without_peers", "without_processes")
def test_all_backends_agree_and_each_number_is_in_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["agree", "--output", str(folder / "agree.json")])
    out = capsys.readouterr().out
    assert code == 0
    rows = [line.split()[:2] for line in out.splitlines() if line.count("%") > 1]
    assert rows == [[name, dtype] for name in impls.available() for dtype in ("float32", "float64")]
    assert not re.search(r"^\w+ disagrees", out, re.MULTILINE)
    assert "not MNIST" in out.replace("\n", " ")
    record: dict[str, Any] = json.loads((folder / "agree.json").read_text())
    assert record["data_sha256"]
    assert record["machine"]["libraries"]["numpy"] == np.__version__
    problems = {(result["problem"], result["dtype"]) for result in record["agreement"]}
    assert len(problems) == 6
    for name in impls.available():
        of_backend = [result for result in record["agreement"] if result["backend"] == name]
        assert len(of_backend) == 6 * 15  # outputs, cost and costs; gradient, parameters, velocities of two layers
        assert all(0 <= result["error"] <= result["allowed"] for result in of_backend)


def test_a_disagreement_is_named_and_the_others_are_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["wrong_sign", "hanging", "vectorized", "denying"]
    asked = [part for name in names for part in ("--backend", name)]
    code = main(["agree", "--dtype", "float64", "--time-limit", "4", "--output", str(folder / "agree.json"), *asked])
    out = capsys.readouterr().out
    assert code == 1
    assert "disagrees: wrong_sign, full batch, float64: outputs is" in out
    assert "disagrees: hanging: gave no answer within 4 s" in out
    assert re.search(r"^vectorized agrees: at most \d+% of a tolerance, \d+\.\d s$", out, re.MULTILINE)
    assert re.search(r"^wrong_sign disagrees: wrong_sign, full batch, float64: outputs is", out, re.MULTILINE)
    assert "unsupported: denying, full batch, float64: has no train: no need" in out
    assert "disagrees: denying" not in out
    assert [line.split()[0] for line in out.splitlines() if line.count("%") > 1] == [
        "wrong_sign",
        "vectorized",
        "denying",
    ]
    errors = {
        result["quantity"]: result["error"]
        for result in json.loads((folder / "agree.json").read_text())["agreement"]
        if result["backend"] == "hanging"
    }
    assert errors == {"hangs": None}


@pytest.mark.usefixtures("without_processes")
@pytest.mark.parametrize(("other", "expected"), [("vectorized", 2), ("wrong_sign", 1)])
def test_a_module_that_cannot_be_loaded_is_no_disagreement(
    other: str, expected: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.py").write_text("import no_such_library\n")
    code = main(["agree", "--dtype", "float64", "--backend", f"broken,{other}"])
    out, error = capsys.readouterr()
    assert code == expected
    assert re.search(r"^broken: cannot be loaded: .*no_such_library", out, re.MULTILINE), out
    assert "broken disagrees" not in out
    assert re.search(rf"^{other} ", out, re.MULTILINE)
    assert error == ("error: broken: expected to be loaded, failed as shown above; repair that first\n" * (code == 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "nubma"], "backend 'nubma' is unknown: did you mean 'numba'?"),
        (["--backend", ""], "expected one value or more"),
        (["--time-limit", "0"], "expected a finite number from"),
        (["--dtype", "float16"], "invalid choice"),
        (["--output", "/no/such/folder/file"], "expected a file in a folder that exists"),
        (["--data", "/no/such/folder"], "/no/such/folder"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, lambda: main(["agree", *arguments]))


def test_fewer_images_than_a_batch(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no option for the batch here."""
    mnist.write_folder(folder / "few", digits_of(127, 1), digits_of(10, 2))
    message = refused(capsys, lambda: main(["agree", "--data", str(folder / "few")]))
    assert "batch 128: expected 1 to 127, the number of training images; take more images, or " in message


def test_what_was_checked_before_an_interruption_is_in_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> Iterator[CheckedBackend]:
        for name in ("minibatch", "naive"):
            yield CheckedBackend(name, [Result(name, "a case", "float32", "outputs", 0.5, 1.0, None)], 1.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(agree, "check_each", interrupted)
    path = folder / "agree.json"
    asked = ["agree", "--dtype", "float32", "--backend", "naive,vectorized,minibatch", "--output", str(path)]
    assert main(asked) == 130
    content = json.loads(path.read_text())
    assert content["unchecked"] == ["vectorized"]
    assert [(one["backend"], one["error"]) for one in content["agreement"]] == [("naive", 0.5), ("minibatch", 0.5)]


def test_a_full_disk_is_one_line_with_the_file_which_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "agree.json"
    path.write_text("earlier")
    with full_disk(10), pytest.raises(UserError, match=rf"^{path}: cannot be written .*; make room, or choose"):
        command.write(path, {}, ["vectorized"], [])
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("agree.json", "earlier")]
