"""`accuracy` and `tune`: interleaved trainings over seeds, what is reached and refused, how files are continued."""

import argparse
import json
import re
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

import bench
import data
from bench import UserError
from bench.__main__ import main
from bench.analysis import accuracy as accuracy_analysis
from bench.analysis.accuracy import times_to_accuracy
from bench.analysis.tune import TunedTraining, hopeless, in_turn, reaches
from bench.commands import accuracy
from bench.commands.accuracy import chosen_recipes
from bench.experiments import tune
from bench.experiments.accuracy import CURVES
from bench.records.environment import local_id
from bench.records.journal import Journal, read_records
from bench.records.kinds import Training
from bench.records.races import races_of
from bench.tables import accuracy as accuracy_tables
from bench.timing import threads
from bench.timing.records import Record
from bench.training import held_out
from bench.workloads.recipes import RECIPES, TARGETS, nesterov, relu
from data import mnist
from tests.helpers.command import refused
from tests.helpers.digits import digits_of
from tests.helpers.full_disk import full_disk

FAILING = """
from impls.vectorized import *
def train(*a):
    raise RuntimeError("not today")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    mnist.write_folder(tmp_path / "digits", digits_of(600, 1), digits_of(200, 2))
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(threads, "cores", lambda: 1)
    easy = nesterov("easy", relu(784, 8, 10), batch=20, epochs=3, learning_rate=0.1)
    wild = nesterov("wild", relu(784, 8, 10), batch=20, epochs=1, learning_rate=1e30)
    for recipe, reached in ((easy, 0.9), (wild, 0.5)):
        monkeypatch.setitem(RECIPES, recipe.name, recipe)
        monkeypatch.setitem(TARGETS, recipe.name, reached)
    monkeypatch.setattr(accuracy, "QUICK", ("easy", "wild"))
    for module in (accuracy_tables, accuracy_analysis):
        monkeypatch.setattr(module, "LEAST_SEEDS", 3)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def run(folder: Path, *arguments: str, backend: str = "minibatch") -> int:
    usual = ["--backend", backend, "--seeds", "3", "--data", str(folder / "digits")]
    return main(["accuracy", *usual, *arguments, "--output", str(folder / "found.jsonl")])


def records(folder: Path, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "found.jsonl").read_text().splitlines()]
    return [entry for entry in found if entry["kind"] == kind]


TOO_FAST = """
from dataclasses import replace
from impls.vectorized import *
from impls import vectorized as right
def train(network, state, prepared, plan):
    return right.train(network, state, prepared, replace(plan, learning_rates=plan.learning_rates * 1.01))
"""
WITHOUT_COSTS = """
from impls.vectorized import *
from impls import vectorized as right
def train(*a):
    return right.train(*a)[0], None
"""


@pytest.mark.usefixtures("without_processes")
@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("too_fast", TOO_FAST, "what it was timed for is wrong"),
        ("without_costs", WITHOUT_COSTS, "returned no costs, though it declares"),
    ],
)
def test_a_backend_that_trains_otherwise_loses_its_times(
    name: str,
    source: str,
    reason: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    assert run(folder, "--target", "90", backend=f"minibatch,{name}") == 1
    assert re.search(f"left out: {name}: WrongResult: {reason}", capsys.readouterr().out)
    assert {entry["participant"] for entry in records(folder, "training")} == {"minibatch"}


def test_trainings_are_interleaved_and_what_they_reach(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--backend", "vectorized", "--target", "90") == 0
    out = capsys.readouterr().out
    assert "90 % of the test images, by recipe easy" in out
    assert "not MNIST" in out
    for name in ("minibatch", "vectorized"):
        assert re.search(rf"^{name} *1?\d\d(\.\d\d)? % +1?\d\d(\.\d\d)? % +3 of 3 +[\d.]+ m?s ", out, re.MULTILINE), out
    trainings = records(folder, "training")
    assert {(entry["generation"], entry["participant"]) for entry in trainings} == {
        (seed, name) for seed in range(3) for name in ("minibatch", "vectorized")
    }
    assert {entry["updates"] for entry in trainings} == {90}
    by_seed = {(entry["generation"], entry["participant"]): entry["accuracy"] for entry in trainings}
    for seed in range(3):
        assert by_seed[seed, "minibatch"] == pytest.approx(by_seed[seed, "vectorized"], abs=0.02)
    for entry in records(folder, "curve"):
        curve = entry["curve"]
        assert curve["epochs"][0] == 0
        assert curve["epochs"][-1] == 3
        assert curve["accuracy"][-1] == pytest.approx(by_seed[entry["seed"], entry["participant"]], abs=0.01)
        assert len(curve["cost"]) == len(curve["epochs"])
        assert 0 < curve["cost"][-1] < curve["cost"][0]
    (found,) = races_of(read_records(folder / "found.jsonl")[0])
    assert (found.target, found.recipe, found.key["batch"], found.left_out) == (0.9, "easy", 20, {})
    assert {row.name for row in times_to_accuracy(found)} == set(found.participants) == {"minibatch", "vectorized"}
    course, *others = found.participants["minibatch"].curves
    assert len(others) == CURVES - 1
    assert course.seconds[0] == 0
    assert course.cost == next(
        entry["curve"]["cost"] for entry in records(folder, "curve") if entry["participant"] == "minibatch"
    )
    (header,) = records(folder, "race")
    assert (header["target"], header["recipe"], header["purpose"]) == (0.9, "easy", "accuracy")


@pytest.mark.usefixtures("without_processes")
@pytest.mark.parametrize("members", [1, 2])
def test_a_recipe_with_input_dropout_learns_and_has_a_curve(
    members: int, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = relu(784, 8 * members, 10)
    with_dropout = nesterov(
        "masked", network, batch=20, epochs=3, learning_rate=0.1, input_dropout=0.3, members=members
    )
    monkeypatch.setitem(RECIPES, "masked", with_dropout)
    assert run(folder, "--recipe", "masked", "--target", "90") == 0
    assert "input dropout 30%" in " ".join(capsys.readouterr().out.split())
    assert {entry["updates"] for entry in records(folder, "training")} == {90 * members}
    assert all(entry["accuracy"] > 0.9 for entry in records(folder, "training"))
    curve, *others = records(folder, "curve")
    assert [entry["seed"] for entry in (curve, *others)] == list(range(CURVES))
    assert curve["curve"]["epochs"] == list(range(3 * members + 1))


def test_a_part_of_an_epoch_has_one_input_dropout_in_its_curve_as_well(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_dropout = nesterov("masked", relu(784, 8, 10), batch=20, epochs=0.5, learning_rate=0.1, input_dropout=0.3)
    monkeypatch.setitem(RECIPES, "masked", with_dropout)
    assert run(folder, "--recipe", "masked", "--target", "10") == 0
    trained = {entry["generation"]: entry["accuracy"] for entry in records(folder, "training")}
    for curve in records(folder, "curve"):
        assert curve["curve"]["epochs"] == [0, 0.5]
        assert curve["curve"]["accuracy"][-1] == trained[curve["seed"]]


def test_it_continues_after_the_finished_seeds(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = Journal.record

    def interrupted(self: Journal, *entries: Record) -> None:
        (entry,) = entries
        if isinstance(entry, Training) and entry.generation == 2:
            raise KeyboardInterrupt
        right(self, entry)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "record", interrupted)
        assert run(folder, "--target", "90") == 130
    assert "2 seeds; a target counts as reached from 3 seeds on" in capsys.readouterr().out
    assert run(folder, "--target", "90") == 0
    assert [entry["generation"] for entry in records(folder, "training")] == [0, 1, 2]
    assert len(records(folder, "trainer")) == 2
    assert [entry["seed"] for entry in records(folder, "curve")] == [0, 1, 2]  # though the first seed was finished


DYING = """
from pathlib import Path
from impls.vectorized import *
from impls import vectorized as right
calls = 0
def train(*a):
    global calls
    calls += 1
    if calls > 2 and Path(__file__).with_name("dies").exists():
        raise OSError("killed")
    return right.train(*a)
"""


@pytest.mark.usefixtures("without_processes")
def test_what_died_trains_anew_with_the_seeds_that_it_lacks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "dying.py").write_text(DYING)
    (folder / "dies").touch()
    monkeypatch.syspath_prepend(folder)
    asked = ["--backend", "dying", "--target", "90", "--curves", "2"]
    assert run(folder, *asked) == 1
    trained = {(entry["participant"], entry["seed"]) for entry in records(folder, "training")}
    assert trained == {("dying", 0), *(("minibatch", seed) for seed in range(3))}
    assert "left out: dying: OSError: killed" in capsys.readouterr().out
    (folder / "dies").unlink()
    assert run(folder, *asked) == 0
    assert "left out" not in capsys.readouterr().out
    trained = {(entry["participant"], entry["seed"]) for entry in records(folder, "training")}
    assert trained == {(name, seed) for name in ("dying", "minibatch") for seed in range(3)}
    drawn = [(entry["participant"], entry["seed"]) for entry in records(folder, "curve")]
    assert sorted(drawn) == [(name, seed) for name in ("dying", "minibatch") for seed in range(2)]


def test_a_target_that_is_not_reached_is_no_number(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--target", "99.99", "--recipe", "wild") == 0
    out = capsys.readouterr().out
    assert re.search(r"^minibatch.* 0 of 3 +\([\d.]+ m?s\)", out, re.MULTILINE), out
    assert "minibatch: 3 of 3 seeds diverged." in out
    assert re.search(r"minibatch: not reached; mean [\d.]+ %, best seed [\d.]+ %\.", out)


def test_a_backend_that_fails_is_named_and_the_others_continue(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "failing_backend.py").write_text(FAILING)
    monkeypatch.syspath_prepend(folder)
    assert run(folder, "--backend", "failing_backend", "--target", "90") == 1
    out = capsys.readouterr().out
    assert "left out: failing_backend: RuntimeError: not today" in out
    assert {entry["participant"] for entry in records(folder, "training")} == {"minibatch"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "12"], "--target 12: expected one of 90, 50, or a --recipe for it"),
        (["--target", "101"], "expected a finite number from 0 and below 100"),
        (["--recipe", "none"], "expected one of"),
        (["--seeds", "0"], "expected a whole number from 1"),
        (["--backend", "nubma"], "did you mean 'numba'?"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, lambda: run(folder, *arguments))


@pytest.mark.parametrize(
    ("asked_for", "targets", "names"),
    [
        ({}, [0.9, 0.5], ["easy", "wild"]),
        ({"recipe": ["wild"]}, [0.5], ["wild"]),
        ({"target": [50]}, [0.5], ["wild"]),
        ({"target": [70, 90], "recipe": ["wild"]}, [0.7, 0.9], ["wild", "wild"]),
    ],
)
def test_a_recipe_is_for_its_own_target_unless_another_is_given(
    asked_for: dict[str, Any], targets: list[float], names: list[str]
) -> None:
    found = chosen_recipes(argparse.Namespace(**({"target": None, "recipe": None} | asked_for)))
    assert [target for target, _ in found] == targets
    assert [recipe.name for _, recipe in found] == names


def test_a_recipe_that_does_not_fit_the_data_is_an_error_before_anything_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    large = nesterov("large", relu(784, 8, 10), batch=1000, epochs=1, learning_rate=0.1)
    small = nesterov("small", relu(100, 8, 10), batch=10, epochs=1, learning_rate=0.1)
    for recipe, message in ((large, "batch 1000: expected 1 to 600"), (small, "images have 784 pixels")):
        monkeypatch.setitem(RECIPES, recipe.name, recipe)
        monkeypatch.setitem(TARGETS, recipe.name, 0.9)
        assert run(folder, "--recipe", recipe.name) == 2
        assert message in capsys.readouterr().err
    assert not (folder / "found.jsonl").exists()


def test_digits_that_are_not_mnist_have_to_be_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DIGITBENCH_DATA", str(folder / "digits"))
    assert main(["accuracy"]) == 2
    assert "expected MNIST, for which this is made; give --data" in capsys.readouterr().err


def test_tuning_looks_at_held_out_training_images_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(held_out, "HELD_OUT", 100)
    few = ["--epochs", "0.5,2", "--batch", "20", "--learning-rate", "0.05,0.000001", "--seeds", "4"]
    tried = ["tune", "--backend", "minibatch", "--network", "784-8-10", *few, "--data", str(folder / "digits")]
    assert main(tried) == 0
    out = capsys.readouterr().out
    rows = re.findall(
        r"^([\d.]+) +20 +([\d.e-]+) +linear +0.9 +0.0 +([\d.]+) % +([\d.]+) % +4 +[\d.]+ m?s$", out, re.MULTILINE
    )
    assert [row[:2] for row in rows] == [("0.5", "0.05"), ("2.0", "0.05")]  # the better rate of each length
    assert float(rows[1][2]) > float(rows[0][2])
    mnist.write_folder(folder / "other", digits_of(600, 1), digits_of(200, 3))  # another test set
    assert main([*tried[:-1], str(folder / "other")]) == 0
    again = capsys.readouterr().out
    found, before = ([line.split()[:-2] for line in text.splitlines() if "%" in line] for text in (again, out))
    assert found == before
    monkeypatch.setattr(held_out, "HELD_OUT", 600)
    assert main(tried) == 2
    assert "expected more than 600 training images" in capsys.readouterr().err


def test_tuning_for_a_target_stops_hopeless_recipes_early_and_continues_its_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(held_out, "HELD_OUT", 100)
    tried = [
        "tune",
        "--backend",
        "minibatch",
        "--network",
        "784-8-10",
        "--epochs",
        "2",
        "--batch",
        "20",
        "--seeds",
        "5",
    ]
    tried += ["--learning-rate", "0.05,0.000001", "--output", str(folder / "tuned")]
    assert main([*tried, "--target", "60", "--data", str(folder / "digits")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^2.0 +20 +0.05 +linear ", out, re.MULTILINE), out
    assert "2 recipes tried, 8 trainings" in out  # 5 and 3
    before = (folder / "tuned").read_text()
    assert main([*tried, "--target", "60", "--data", str(folder / "digits")]) == 0
    assert (folder / "tuned").read_text() == before
    assert capsys.readouterr().out == out
    assert main([*tried, "--target", "99.99", "--data", str(folder / "digits")]) == 0
    assert "None of them reaches 99.99 % of the held-out images." in capsys.readouterr().out


def test_a_recipe_is_hopeless_if_it_misses_the_target_or_is_slow() -> None:
    of = [TunedTraining(accuracy, 1.0) for accuracy in (0.95, 0.96, 0.955)]
    assert hopeless(of, 0.97, 9.0)
    assert not hopeless(of[:2], 0.97, 9.0)
    assert not hopeless(of, 0.96, 9.0)  # within three standard errors
    assert hopeless(of, 0.95, 0.8)
    assert not hopeless(of, None, 0.8)
    assert not hopeless([one._replace(seconds=None) for one in of], 0.95, 0.8)  # times that are not compared
    assert reaches(of, 3, 0.93)
    assert not reaches(of, 3, 0.955)  # its mean does, but its lower bound does not
    assert not reaches(of, 4, 0.93)


def test_trainings_count_up_to_one_that_is_missing_or_to_where_hope_ends() -> None:
    by_seed = {seed: TunedTraining(accuracy, 1.0) for seed, accuracy in enumerate((0.51, 0.5, 0.5, 0.501, 0.99, 0.99))}
    of = list(by_seed.values())
    assert in_turn(by_seed, None) == of
    assert in_turn(by_seed, 0.99) == of[:3]
    assert in_turn({seed: one for seed, one in by_seed.items() if seed != 1}, None) == of[:1]
    assert in_turn({}, 0.5) == []


KEY = tune.Key("minibatch", "0f1e2d3c4b5a", "a1b2c3d4e5f6", "MNIST", "a1b2" * 16)


def test_a_file_of_tuning_that_was_cut_is_continued_and_another_is_one_line(tmp_path: Path) -> None:
    path, key = tmp_path / "tuned", msgspec.json.encode(KEY) + b"\n"
    line = b'{"recipe":"one","accuracy":0.5,"seconds":1.0,"seed":0,"threads":2,"machine":"m1"}\n'
    for whole in (b"", key, key + line):
        for cut in (b"", b"{", (line if whole else key)[:-3]):
            path.write_bytes(whole + cut)
            assert [(one.recipe, one.accuracy, one.seed) for one in tune.read_tried(path, KEY)] == [
                ("one", 0.5, 0)
            ] * whole.count(line)
            assert path.read_bytes() == whole
    for other in (
        b"a text", b"a text\n", b'{"kind":"race"}\n', b'{"kind":"race"', line, key + line.replace(b"0.5", b"2.0"),
        key + b"a text", key + key,
    ):  # fmt: skip
        path.write_bytes(other)
        with pytest.raises(UserError, match=rf"^{path}.*: expected .*; give another .*to --output$"):
            tune.read_tried(path, KEY)
        assert path.read_bytes() == other


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"backend": "naive"}, "backend minibatch there, naive here"),
        ({"source": "0"}, "source 0f1e2d3c4b5a there, 0 here"),
        ({"measuring": "0"}, "measuring a1b2c3d4e5f6 there, 0 here"),
        ({"digits": "KMNIST", "data_sha256": "0"}, "digits MNIST there, KMNIST here; data_sha256 a1b2"),
    ],
)
def test_a_file_of_another_search_is_never_continued(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    path, whole = tmp_path / "tuned", msgspec.json.encode(KEY) + b"\n"
    path.write_bytes(whole)
    with pytest.raises(UserError, match=f"is of another search, which cannot be continued: {said}.*another file"):
        tune.read_tried(path, msgspec.structs.replace(KEY, **changed))
    assert path.read_bytes() == whole


def test_the_key_of_a_search_is_what_its_trainings_depend_on(folder: Path) -> None:
    mnist.write_folder(folder / "other", digits_of(600, 3), digits_of(200, 2))
    digits, others = (data.load(str(folder / name)) for name in ("digits", "other"))
    key = tune.key_of("minibatch", digits)
    assert key == tune.key_of("minibatch", digits)
    assert key not in (tune.key_of("naive", digits), tune.key_of("minibatch", others))


def test_times_count_of_this_machine_with_as_many_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "HELD_OUT", 10)
    recipe, here = nesterov("one", relu(784, 8, 10), batch=20, epochs=1), local_id()
    search = tune.Search(data.load(str(folder / "digits")), [recipe], 5, None, KEY, 2, None)
    for seed, (threads_then, machine) in enumerate([(2, here), (1, here), (2, "another")]):
        search.keep(tune.Tried(str(recipe), 0.5, 1.0, seed, threads_then, machine))
    assert [one.seconds for one in search.trainings(recipe)] == [1.0, None, None]


def test_a_full_disk_ends_tuning_in_one_line_with_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "HELD_OUT", 10)
    recipe = nesterov("one", relu(784, 8, 10), batch=20, epochs=1)
    search = tune.Search(data.load(str(folder / "digits")), [recipe], 1, None, KEY, 1, folder / "tuned")
    trained = cast(Any, argparse.Namespace(train=lambda *_: (0.5, 1.0)))
    search.attempt(recipe, trained)
    search.seeds, line = 2, len((folder / "tuned").read_bytes())
    with (
        full_disk(line + 60),
        pytest.raises(UserError, match=rf"^{search.results}: .* which keeps all finished trainings;"),
    ):
        search.attempt(recipe, trained)
    assert len(tune.read_tried(folder / "tuned", KEY)) == 1
