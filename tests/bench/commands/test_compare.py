"""`compare`: two revisions in processes of their own, or two files; its exit code, and what cannot be compared."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import bench
import impls
from bench import UserError
from bench.__main__ import main
from bench.experiments import revisions
from bench.experiments.compare import in_both
from bench.records.journal import Journal
from bench.records.kinds import Race
from bench.timing import threads
from bench.timing.records import Generation, Process, Record, Sample
from bench.timing.worker import FLOOR
from data import Digits, mnist
from tests.helpers.benchmark_files import SMALL, written
from tests.helpers.command import refused, with_usual
from tests.helpers.records import HEADER, KEY, MACHINE, end_of, process, sample

ROOT = bench.ROOT
QUICK = ["--backend", "minibatch", "--generations", "2", "--rounds", "2", "--images", "100", "--batch", "10"]
QUICK += ["--network", "784-16-10"]  # the reference and its rounding take longer than the backends
TWICE = """
import impls.vectorized as right
from impls.vectorized import *
NAME = "minibatch"
def train(*a):
    for _ in range(9):
        right.train(*a)
    return right.train(*a)
"""
WRONG = """
import impls.vectorized as right
from impls.vectorized import *
NAME = "minibatch"
def outputs(*a):
    return -right.outputs(*a)
"""
DENYING = """
from impls.vectorized import *
NAME = "minibatch"
def unsupported(*a):
    return "not any more"
"""


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with this `impls/`, tagged "right"; then it becomes slow, tagged "slow"; then wrong, tagged so."""
    folder = tmp_path_factory.mktemp("original")
    shutil.copytree(ROOT / "impls", folder / "impls", ignore=shutil.ignore_patterns("__pycache__"))
    git(folder, "init", "-q")
    (folder / ".gitignore").write_text("__pycache__\n")
    for tag, source in (("right", None), ("slow", TWICE), ("wrong", WRONG)):
        if source:
            (folder / "impls" / "minibatch.py").write_text(source)
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", tag)
        git(folder, "tag", tag)
    return folder


@pytest.fixture
def checkout(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that repository, which a test may change, and digits to compare on."""
    rng = np.random.default_rng(1)
    pixels = (rng.integers(1, 256, (150, 784)) * (rng.random((150, 784)) < 0.2)).astype(np.uint8)
    digits = Digits(pixels, rng.integers(0, 10, 150))
    mnist.write_folder(tmp_path / "digits", digits, digits)
    folder = shutil.copytree(original, tmp_path / "checkout")
    monkeypatch.setattr(revisions, "ROOT", folder)
    monkeypatch.setattr(revisions, "EXPORTS", tmp_path / "results" / "revisions")
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(threads, "cores", lambda: 1)
    monkeypatch.setenv("DIGITBENCH_DATA", str(tmp_path / "digits"))
    monkeypatch.setenv("COLUMNS", "80")
    return folder


def records_of(out: str) -> list[dict[str, Any]]:
    path = Path(out.rpartition("Every measurement: ")[2].splitlines()[0])
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_slow_revision_is_found_and_each_runs_its_own_backends(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "right", "slow", *with_usual(QUICK, ["--generations", "3"])]) == 1
    out = capsys.readouterr().out
    assert re.search(r"^minibatch +[\d.]+ +[\d.]+ to\s+([\d.]+ +)?slower *$", out, re.MULTILINE), out
    lines = {(entry["participant"], entry["lines_of_code"]) for entry in records_of(out) if entry["kind"] == "process"}
    assert len(lines) == 2  # two sources, each always with its own name


def test_the_working_tree_is_the_second_where_none_is_named(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(ROOT / "impls" / "minibatch.py", checkout / "impls")
    assert main(["compare", "slow", *with_usual(QUICK, ["--generations", "3"])]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^minibatch +0\.\d+ +[\d.]+ to\s+([\d.]+ +)?faster *$", out, re.MULTILINE), out
    assert "against working tree" in out


def test_a_backend_that_became_wrong_fails_the_comparison_and_the_others_continue(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "right", "wrong", *QUICK, "--backend", "vectorized", "--margin", "1000"]) == 1
    out = capsys.readouterr().out
    assert "left out: after: minibatch, batches of 10, float32: outputs is" in out
    assert re.search(r"^vectorized .* (no slowdown found|faster) *$", out, re.MULTILINE), out


def test_a_backend_wrong_before_or_unsupported_cannot_be_compared(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "wrong", "right", *QUICK]) == 2
    captured = capsys.readouterr()
    assert "left out: before: minibatch, batches of 10, float32: outputs is" in captured.out
    assert "minibatch: expected to be compared on both sides" in captured.err
    (checkout / "impls" / "minibatch.py").write_text(DENYING)
    assert main(["compare", "right", *QUICK]) == 2
    captured = capsys.readouterr()
    assert re.search(r"left out: after: minibatch, .*: has no train: not any more", captured.out)
    assert "minibatch: expected to be compared" in captured.err


@pytest.mark.usefixtures("without_processes")
def test_an_interrupted_comparison_is_continued_but_not_extended(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the backends of this process on both sides, as it is about what becomes of their records."""
    here = revisions.Side("right", ROOT)
    monkeypatch.setattr(revisions, "revision", lambda _: here)
    monkeypatch.setattr(revisions, "backends_of", lambda _: ["vectorized", "minibatch"])
    path = tmp_path / "left.jsonl"
    asked = ["compare", "right", "right", *QUICK, "--margin", "1000", "--output", str(path)]
    write = Journal.record

    def interrupted(self: Journal, *entries: Record) -> None:
        if isinstance(entries[0], Sample) and entries[0].generation == 1:
            raise KeyboardInterrupt
        write(self, *entries)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "record", interrupted)
        assert main(asked) == 130
    assert f"Every measurement: {path}" in capsys.readouterr().out
    assert main(asked) == 0
    assert f"continuing after 1 generation in {path}" in capsys.readouterr().out
    ended = [json.loads(line) for line in path.read_text().splitlines()]
    assert [entry["generation"] for entry in ended if entry["kind"] == "generation"] == [0, 2]
    longer = with_usual(asked[3:], ["--generations", "5"])
    assert main([*asked[:3], *longer]) == 2  # a finished race may not be prolonged
    assert "key generations 2 there, 5 here" in capsys.readouterr().err
    assert main(["compare", "right", "right", *QUICK[2:], "--backend", "vectorized", "--output", str(path)]) == 2
    assert "participants before minibatch there, vectorized here" in capsys.readouterr().err


def test_all_backends_of_both_are_the_default(checkout: Path) -> None:
    right = revisions.revision("right")
    available = list(impls.available())
    assert in_both(right, right) == available
    registry = checkout / "impls" / "__init__.py"
    registry.write_text(registry.read_text().replace('    "minibatch": Entry("impls.minibatch"),\n', ""))
    assert in_both(right, revisions.working_tree()) == [name for name in available if name != "minibatch"]
    registry.write_text("broken")
    with pytest.raises(UserError, match="cannot be listed"):
        in_both(right, revisions.working_tree())


def test_an_exported_revision_is_kept_and_has_nothing_but_the_backends(checkout: Path) -> None:
    side = revisions.revision("right")
    assert [path.name for path in side.source.iterdir()] == ["impls"]
    assert (side.source / "impls" / "minibatch.py").read_bytes() == (ROOT / "impls" / "minibatch.py").read_bytes()
    before = side.source.stat().st_mtime_ns
    assert revisions.revision("right") == side
    assert side.source.stat().st_mtime_ns == before
    assert [path.name for path in side.source.parent.iterdir()] == [side.source.name]  # nothing unfinished


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rihgt"], "revision 'rihgt': expected a commit"),
        (["right", "--upload-pack=x"], "unrecognized arguments: --upload-pack=x"),
        (["HEAD~9"], "revision 'HEAD~9': expected a commit"),
        (["right:impls"], "expected a commit"),
        (["right", "slow", "--backend", "nubma"], "'nubma': expected one that can run in both, which are naive, vec"),
        (["right", "slow", "--images", "1000"], "1000 images: expected at most 150"),
        (["right", "slow", "--margin", "-1"], "expected a finite number from 0"),
    ],
)
def test_what_cannot_be_compared_ends_with_2(
    arguments: list[str], message: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, lambda: main(["compare", *with_usual(QUICK, arguments)]))


def test_a_shallow_clone_and_no_clone_end_with_2_and_say_why(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{checkout}", "shallow")
    monkeypatch.setattr(revisions, "ROOT", tmp_path / "shallow")
    assert main(["compare", "right", *QUICK]) == 2
    assert "this clone is shallow: `git fetch --unshallow` brings the others" in capsys.readouterr().err
    (tmp_path / "bare").mkdir()
    monkeypatch.setattr(revisions, "ROOT", tmp_path / "bare")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert main(["compare", "right", *QUICK]) == 2
    assert "expected a git checkout" in capsys.readouterr().err


def test_a_revision_without_backends_ends_with_2(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(checkout, "rm", "-q", "-r", "impls")
    (checkout / "README").write_text("nothing yet\n")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-q", "-m", "empty")
    assert main(["compare", "HEAD", "right", *QUICK]) == 2
    assert "expected a folder impls/ in it, found none" in capsys.readouterr().err


# --- two files -------------------------------------------------------------------------------------------


def file_of(path: Path, factor: float, machine_id: str = "abc", seed: int = 0, **key: Any) -> Path:
    """A race on a machine that is `factor` times as fast for vectorized, and of another speed in all."""
    rng = np.random.default_rng(seed)
    names = ("vectorized", "floor")
    header = HEADER | {"key": KEY | {"machine": MACHINE | {"id": machine_id}} | key}
    speed = 1 + seed
    with Journal(path, [msgspec.convert(header, Race)]) as journal:
        for generation in range(8):
            for name in names:
                journal.record(msgspec.convert(process(name, generation), Process))
            for number in range(3):
                for name in names:
                    noise = float(np.exp(0.005 * rng.standard_normal()))
                    seconds = speed * noise * (factor if name == "vectorized" else 0.5)
                    journal.record(msgspec.convert(sample(name, seconds, generation, number), Sample))
            journal.record(msgspec.convert(end_of(generation), Generation))
    return path


@pytest.mark.parametrize(
    ("factor", "margin", "code", "verdict"),
    [
        (1.0, "0.05", 0, "no slowdown found"),
        (1.1, "0.05", 1, "slower"),
        (1.1, "0.2", 0, "no slowdown found"),
        (0.9, "0.05", 0, "faster"),
    ],
)
def test_two_files_are_compared_in_units_of_the_floor(
    factor: float, margin: str, code: int, verdict: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = file_of(tmp_path / "before", 1.0), file_of(tmp_path / "after", factor, seed=1)
    assert main(["compare", str(before), str(after), "--margin", margin]) == code
    out = capsys.readouterr().out
    row = r"^vectorized, batches of 128 +([\d.]+) +([\d.]+) to ([\d.]+) +(.*?) *$"
    found = re.search(row, out, re.MULTILINE)
    assert found, out
    assert found[4] == verdict
    assert float(found[2]) < factor < float(found[3])  # though everything took twice as long in the second


def test_a_file_that_was_cut_is_used_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(tmp_path / "cut", 1.0)
    with path.open("a") as file:
        file.write('{"kind": "sam')
    assert main(["compare", str(path), str(path)]) == 0
    assert f"{path} ends in the middle of a record; the whole ones are used" in capsys.readouterr().out


def test_files_that_cannot_be_compared_end_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = file_of(tmp_path / "before", 1.0)
    elsewhere = file_of(tmp_path / "elsewhere", 1.0, machine_id="xyz")
    another = file_of(tmp_path / "another", 1.0, batch=32, plan="batches of 32")
    broken = tmp_path / "broken"
    broken.write_text("nothing")
    floorless = tmp_path / "floorless"
    lines = before.read_text().splitlines(keepends=True)
    floorless.write_text("".join(line for line in lines if f'"participant":"{FLOOR}"' not in line))
    newer = file_of(tmp_path / "newer", 1.0, machine=MACHINE | {"libraries": {"numpy": "3"}})
    for after, message in (
        (newer, "numpy 2 there, 3 here"),
        (elsewhere, "the files are not of one machine and one floor: machine id abc there, xyz here"),
        (another, "expected the same case in both: plan batches of 128 there, batches of 32 here; batch 128 there, 32"),
        (broken, "expected whole JSON"),
        (floorless, "expected a race with the floor in it, found none"),
        (tmp_path / "absent", "cannot be read"),
    ):
        assert main(["compare", str(before), str(after)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert main(["compare", str(before)]) == 2
    assert "expected a second results file" in capsys.readouterr().err


def test_of_two_files_only_what_is_asked_for_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = file_of(tmp_path / "before", 1.0), file_of(tmp_path / "after", 2.0)
    assert main(["compare", str(before), str(after), "--backend", "vectorized"]) == 1
    assert main(["compare", str(before), str(after), "--backend", "naive"]) == 2
    assert "expected naive in both, found none" in capsys.readouterr().err


def test_one_generation_gives_no_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = file_of(tmp_path / "before", 1.0)
    one = tmp_path / "one"
    lines = before.read_text().splitlines(keepends=True)
    one.write_text("".join(lines[: 1 + next(i for i, line in enumerate(lines) if '"kind":"generation"' in line)]))
    assert main(["compare", str(before), str(one)]) == 2
    assert "expected two generations or more in each" in capsys.readouterr().err


def test_threads_beyond_the_machine_are_bad_input_here_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "HEAD", "--threads", "9999"]) == 2
    assert "9999 threads: expected 1 to" in capsys.readouterr().err


def test_a_file_of_benchmarks_is_no_race(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "benchmarks.json", SMALL)
    assert main(["compare", str(path), str(path)]) == 2
    assert "`python -m bench race` makes one" in capsys.readouterr().err
