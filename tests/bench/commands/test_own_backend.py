"""A backend in a file: written by `new`, checked, raced and trained by its path; what is wrong with one is one line."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.__main__ import main
from bench.experiments.generations import Budget
from bench.records.fingerprint import source_of
from bench.timing import threads
from data import Digits, mnist
from impls import files
from tests.helpers.budgets import ending_after
from tests.helpers.command import refused
from tests.helpers.own_backends import TEMPLATE, spoilt

BAD = {
    "prints": f"print('hello')\n{TEMPLATE.read_text(encoding='utf-8')}",
    "changes": spoilt("plan.learning_rates *= 0.5"),
    "needs": "import no_such_library\n",
    "raises": spoilt("plan.rates"),
}


def digits_of(n: int, seed: int) -> Digits:
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 256, (n, 784)) * (rng.random((n, 784)) < 0.2)
    return Digits(images.astype(np.uint8), rng.integers(0, 10, n))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with digits; no file is known, and none is afterwards."""
    mnist.write_folder(tmp_path / "digits", digits_of(150, 1), digits_of(70, 2))
    monkeypatch.setenv("DIGITBENCH_DATA", str(tmp_path / "digits"))
    monkeypatch.setenv(files.VARIABLE, "{}")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(Budget, "spent", ending_after(1))
    monkeypatch.setattr(threads, "cores", lambda: 1)  # other tests may run at the same time
    return tmp_path


@pytest.mark.usefixtures("without_rates")
def test_a_new_file_is_checked_and_raced_in_one_command(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    path = folder / "my_net.py"
    assert main(["new", str(path)]) == 0
    assert f"python -m bench race --backend {path}" in capsys.readouterr().out
    asked = ["--backend", str(path), "--rounds", "2", "--images", "60", "--batch", "10", "--output", "race.jsonl"]
    monkeypatch.setattr(sys, "argv", ["bench", "race", *asked])
    assert main(sys.argv[1:]) == 0
    out = capsys.readouterr().out
    assert "my_net agrees" in out
    assert re.search(r"^my_net +.* m?s ", out, re.MULTILINE), out
    text = (folder / "race.jsonl").read_text()
    assert str(folder) not in text
    header = json.loads(text.splitlines()[0])
    assert "race --backend my_net.py --rounds 2" in header["command"]
    assert header["participants"] == {"my_net": "my_net", "vectorized": "vectorized", "floor": "floor"}
    assert header["key"]["backends"]["my_net"] == source_of("my_net")
    path.write_text(path.read_text().replace("plain NumPy", "NumPy"))
    assert "is of another race, which cannot be continued: key backends my_net" in refused(
        capsys, lambda: main(["race", *asked])
    )


def test_what_is_wrong_with_a_file_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the comparisons are whole, also of one that prints."""
    for name, text in BAD.items():
        (folder / f"{name}.py").write_text(text)
    asked = ["--backend", ",".join(str(folder / f"{name}.py") for name in BAD), "--dtype", "float64"]
    assert main(["agree", *asked, "--output", str(folder / "agree.json")]) == 1
    out = capsys.readouterr().out
    for line in (
        "changes disagrees: changes, full batch, float64: modified its inputs: plan learning_rates",
        r"raises disagrees: raises, full batch, float64: train raised .*'rates' \(raises.py, line \d\d\)",
        "needs: cannot be loaded: needs.py cannot be imported: ModuleNotFoundError: No module named 'no_such_library'",
        "prints disagrees: prints: prints 'hello' while it is imported, expected nothing",
    ):
        assert re.search(f"^{line}", out, re.MULTILINE), out
    found = json.loads((folder / "agree.json").read_text())
    wrong = {one["backend"]: one["quantity"] for one in reversed(found["agreement"]) if one["failure"]}
    assert wrong == {"prints": "prints", "changes": "inputs", "raises": "train", "needs": "cannot be loaded"}
    assert str(folder) not in json.dumps(found)


def test_a_network_is_trained_by_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["new", str(folder / "my_net.py")])
    small = ["--network", "784-8-10", "--epochs", "1", "--output", str(folder / "train.json")]
    assert main(["train", "--backend", str(folder / "my_net.py"), *small]) == 0
    assert "Cost after epoch 1" in capsys.readouterr().out
    assert json.loads((folder / "train.json").read_text())["options"]["backend"] == "my_net"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["race", "--backend", "naive,absent.py"], "absent.py: expected a file, found none"),
        (["race", "--baseline", "absent.py"], "--baseline: absent.py: expected a file"),
        (["train", "--backend", "absent.py"], "absent.py: expected a file"),
        (["race", "--backend", "my_net.py,my_net.py"], "my_net is given twice"),
        (["race", "--backend", "a,b.py"], "a,b.py: expected a path without a comma"),
        (["calibrate", "--backend", "floor.py"], "floor is what races measure beside backends"),
        (["compare", "HEAD", "--backend", "my_net.py"], "--backend my_net: expected a backend of the revisions"),
        (["train", "--backend", "half.py"], "half.py is no backend: expected NAME, SUMMARY"),
        (["new", "my_net.py"], "my_net.py: expected a new file, found one, which is left as it is"),
        (["new", "naive.py"], "naive is the name of another backend"),
        (["new", "floor.py"], "floor is the name of another backend"),
        (["new", "random.py"], "random is the name of a module that imports would find instead"),
        (["new", "my net.py"], "expected a name of letters, digits, _ and -"),
        (["new", "my_net"], "expected the name of a Python file"),
        (["new", "no/such/new.py"], "cannot be written (No such file or directory)"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    message: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("my_net.py", "a,b.py", "floor.py", "half.py"):
        (folder / name).write_text("NAME = 'half'\n")
    monkeypatch.chdir(folder)
    assert message in refused(capsys, lambda: main(arguments))
    assert (folder / "my_net.py").read_text() == "NAME = 'half'\n"
