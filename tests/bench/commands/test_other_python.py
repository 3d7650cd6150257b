"""`--python`: the check, the measurements and the trainings of a backend run there, and the record says what it has."""

import contextlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.__main__ import main
from bench.commands.parser import GROUPS, STUDIES, make_parser, run
from bench.experiments import trainings
from bench.experiments.generations import Budget
from bench.experiments.revisions import Side, backends_in, backends_of
from bench.records.kinds import header
from bench.timing import threads
from data import Digits, load, mnist
from impls import interpreters
from impls.interpreters import Choice, used
from tests.helpers.budgets import ending_after
from tests.helpers.command import refused
from tests.helpers.other_pythons import other_python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="other interpreters are scripts of the shell")
WITH_IT = {"race", "compare", "accuracy", "agree", "calibrate", *STUDIES} - {"dialects"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with digits, to which results go."""
    rng = np.random.default_rng(1)
    images = rng.integers(1, 256, (150, 784)) * (rng.random((150, 784)) < 0.2)
    digits = Digits(images.astype(np.uint8), rng.integers(0, 10, 150))
    mnist.write_folder(tmp_path / "digits", digits, digits)
    monkeypatch.setenv("DIGITBENCH_DATA", str(tmp_path / "digits"))
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(Budget, "spent", ending_after(1))
    monkeypatch.setattr(threads, "cores", lambda: 1)  # other tests may run at the same time
    return tmp_path


@pytest.mark.usefixtures("without_rates")
def test_a_race_checks_and_times_there_and_its_record_has_versions_and_no_path(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "import os\nassert os.environ['OF_THE_OTHER']\n"  # fails in any other interpreter
    (folder / "own.py").write_text(own + Path(bench.ROOT / "impls" / "minibatch.py").read_text())
    other = other_python(folder / "other", OF_THE_OTHER="yes")
    asked = ["--backend", str(folder / "own.py"), "--baseline", "own", "--python", f"own={other}", "--rounds", "2"]
    asked += ["--images", "60", "--batch", "20", "--output", "race.jsonl"]
    monkeypatch.setenv("DIGITBENCH_BACKEND_FILES", "{}")
    monkeypatch.setattr(sys, "argv", ["bench", "race", *asked])
    monkeypatch.chdir(folder)
    assert main(sys.argv[1:]) == 0
    assert "own: in another Python environment, with autograd 99.1" in " ".join(capsys.readouterr().out.split())
    text = (folder / "race.jsonl").read_text()
    first = json.loads(text.splitlines()[0])
    assert first["machine"]["interpreters"] == first["key"]["machine"]["interpreters"]
    assert first["machine"]["interpreters"]["own"]["libraries"]["autograd"] == "99.1"
    assert " --python own=python " in first["command"]
    assert str(folder) not in text


def test_only_the_same_versions_have_the_same_key(folder: Path) -> None:
    dataset = load("auto")
    measured: dict[str, Any] = {
        "measure": "epoch",
        "network": "784-8-10",
        "plan": "",
        "sizes": [784, 8, 10],
        "dtype": "float32",
    }
    measured |= {"images": 1, "batch": None, "threads": 1}

    def key_with(*choices: Choice) -> dict[str, Any]:
        with used(choices):
            return header(dataset, 0, "race", {"naive": "naive", "floor": "floor"}, measured).key

    usual = key_with()
    pythons = {version: other_python(folder / version, version) for version in ("99.1", "99.2")}
    one, newer = (key_with(Choice("naive", str(python))) for python in pythons.values())
    same = shutil.copy(pythons["99.1"], folder / "same")
    assert key_with(Choice("naive", str(same))) == one
    assert one != newer
    assert one != usual
    assert one["backends"] == usual["backends"]
    assert "interpreters" not in usual["machine"]


class Asked(Exception):
    """A process would have been started."""


def test_trainings_and_the_list_of_a_revision_ask_the_other_interpreter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = str(other_python(folder / "other", NUMBA_DISABLE_JIT="1"))
    here = Side("here", bench.ROOT)
    path, found = sys.path, list(sys.path)
    with used([Choice("minibatch", other)]):
        there, listed = backends_in(interpreters.of("minibatch"), here), backends_of(here)
    assert "numba" not in there
    assert "numba" in listed
    assert listed[-1] == "minibatch"
    assert sys.path is path
    assert sys.path == found
    started: list[interpreters.Interpreter] = []

    def start(*_: object, python: interpreters.Interpreter, **__: object) -> None:
        started.append(python)
        raise Asked

    monkeypatch.setattr(trainings, "Child", start)
    asked = ["--backend", "minibatch", "--seeds", "1", "--recipe", "first-94", "--data", str(folder / "digits")]
    with pytest.raises(Asked):
        run(["accuracy", *asked, "--python", f"minibatch={other}"])
    assert [python.executable for python in started] == [other]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--python", "naive"], "'naive': expected a backend and a Python for it"),
        (["--python", "=python3"], "'=python3': expected a backend and a Python for it"),
        (["--python", "naive=no/such/python"], "--python naive=no/such/python: expected a Python, found no program"),
        (["--python", "minibatch={other}", "--backend", "naive"], "--python minibatch=...: expected one of the"),
        (["--python", "naive=a", "--python", "naive=b"], "--python: naive is given twice"),
        (["--python", "naive=a", "--python", "naive=a"], "naive=a is given twice"),
    ],
)
def test_a_wrong_one_ends_the_command_before_anything_is_checked(
    asked: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = other_python(folder / "other") if "{other}" in str(asked) else None
    monkeypatch.setattr("bench.experiments.race.check_each", None)
    words = [word.format(other=other) for word in asked]
    assert message in refused(capsys, lambda: main(["race", *words]))


@pytest.mark.parametrize("command", sorted({name for names in GROUPS.values() for name in names} | {*STUDIES}))
def test_it_is_offered_where_backends_run_in_processes_of_their_own(command: str) -> None:
    words = ["study", command] if command in STUDIES else [command]
    needed = {"compare": ["main"], "new": ["x.py"], "predict": ["m", "p"], "inspect": ["m"]}.get(command, [])
    refuses: contextlib.AbstractContextManager[object] = (
        contextlib.nullcontext() if command in WITH_IT else pytest.raises(SystemExit)
    )
    with refuses:
        make_parser().parse_args([*words, *needed, "--python", "naive=python3"])
