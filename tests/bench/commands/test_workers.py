"""`--workers` and `merge`: the same accuracies as one training at a time; what is lost, refused, joined."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

import bench
import impls
from bench.__main__ import main
from bench.analysis import tune as analysis
from bench.analysis.accuracy import times_to_accuracy
from bench.commands import measuring
from bench.experiments.tune import Tried
from bench.experiments.workers import executors, performing, task
from bench.experiments.workers.executors import Workers
from bench.experiments.workers.task import Answer, Performer
from bench.records.files import read
from bench.timing import process, threads
from bench.training import held_out
from data import mnist
from impls.ranks import mpiexec
from tests.helpers.children import ThreadChild
from tests.helpers.command import refused
from tests.helpers.digits import digits_of
from tests.helpers.race_files import race_records, written
from tests.helpers.training_files import trained

ROOT = bench.ROOT
MPI_REASON = impls.unavailable_reason("mpi_images")
Answering = Callable[[str], str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    mnist.write_folder(tmp_path / "digits", digits_of(600, 1), digits_of(200, 2))
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(threads, "cores", lambda: 1)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


class AtOnce(Executor):
    """Answers each task as soon as it is handed in, by this function."""

    def __init__(self, answer: Answering) -> None:
        self.answer = answer

    def submit(self, _: Callable[..., Any], /, *arguments: Any, **__: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(self.answer(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


def answered_by(monkeypatch: pytest.MonkeyPatch, answer: Answering, count: int = 9) -> None:
    """Let `--workers` have tasks answered by this function."""

    @contextlib.contextmanager
    def workers(*_: object) -> Iterator[Workers]:
        yield Workers(AtOnce(answer), lambda: count, ["Somewhere."])

    monkeypatch.setattr(measuring, "workers", workers)


@pytest.fixture
def performer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Performer]:
    """Does tasks in this process."""
    monkeypatch.setattr(task, "Child", ThreadChild)
    monkeypatch.setattr(task, "claim_cores", lambda *_: None)
    with Performer() as made:
        yield made


def accuracy(folder: Path, *arguments: str, name: str = "found", seeds: int = 3) -> int:
    usual = ["--recipe", "first-89", "--target", "10", "--seeds", str(seeds), "--curves", "0"]
    usual += ["--backend", "minibatch,vectorized", "--data", str(folder / "digits"), "--short-check"]
    return main(["accuracy", *usual, *arguments, "--output", str(folder / f"{name}.jsonl")])


def accuracies(folder: Path, name: str = "found") -> dict[tuple[str, int], float]:
    (race,) = read(folder / f"{name}.jsonl").races
    return {(one.participant, one.seed): one.accuracy for row in times_to_accuracy(race) for one in row.trainings}


def tune(folder: Path, *arguments: str, name: str = "tuned") -> int:
    usual = ["--backend", "minibatch", "--network", "784-8-10", "--epochs", "2,3", "--batch", "20", "--seeds", "5"]
    usual += ["--learning-rate", "0.000001,0.05", "--data", str(folder / "digits")]
    return main(["tune", *usual, *arguments, "--output", str(folder / name)])


def lines_of(folder: Path, name: str = "tuned") -> list[Tried]:
    """The trainings in a file of `tune`, after its key."""
    _, *trainings = (folder / name).read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Tried) for line in trainings]


def tried(folder: Path, name: str = "tuned") -> dict[tuple[str, int], float]:
    return {(one.recipe, one.seed): one.accuracy for one in lines_of(folder, name)}


def rows(capsys: pytest.CaptureFixture[str]) -> tuple[str, list[list[str]]]:
    """What is printed, and the cells of its table."""
    shown = capsys.readouterr().out
    return shown, [line.split() for line in shown.splitlines() if " linear " in line]


def test_processes_train_what_the_command_itself_does_and_merge_joins_both(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy(folder, "--workers", "1", seeds=2) == 0
    shown = capsys.readouterr().out
    assert "Machines of the workers" in shown
    (race,) = read(folder / "found.jsonl").races
    assert not any(row.ratio for row in times_to_accuracy(race))  # as other workers may have trained beside
    assert {one.machine for row in times_to_accuracy(race) for one in row.trainings} == {*race.machines}

    assert accuracy(folder, name="alone") == 0
    alone = accuracies(folder, "alone")
    assert accuracies(folder).items() < alone.items()  # bit for bit
    files = [str(folder / f"{name}.jsonl") for name in ("alone", "found")]
    assert main(["merge", *reversed(files), "--output", str(folder / "both.jsonl")]) == 0
    assert "alone.jsonl: 2 trainings, 2 seeds that were there already" in capsys.readouterr().out
    assert accuracies(folder, "both") == alone
    (race,) = read(folder / "both.jsonl").races
    assert len({one.machine for row in times_to_accuracy(race) for one in row.trainings}) == 2


def test_what_is_lost_is_named_and_the_same_command_trains_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, performer: Performer, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def at_times(description: str) -> str:
        asked.append(description)
        if len(asked) % 2:
            raise ConnectionError("the worker\nwent away")
        return performer.answer(description)

    answered_by(monkeypatch, at_times)
    assert accuracy(folder, "--workers", "tcp://somewhere:1") == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "Somewhere." in shown
    assert "lost: 2 of the tasks: ConnectionError: the worker went away" in shown
    assert "2 of 3 trainings are missing; the same command trains them" in shown
    assert "somewhere:1" not in (folder / "found.jsonl").read_text()
    asked.clear()

    def each(description: str) -> str:
        asked.append(description)
        return performer.answer(description)

    answered_by(monkeypatch, each, count=0)
    assert accuracy(folder, "--workers", "tcp://somewhere:1") == 0
    assert len(asked) == 2  # what ended before is not trained again
    assert capsys.readouterr().out.count("There is no worker; the tasks wait for one.") == 1
    assert len(accuracies(folder)) == 6


SEEN = {"accuracy": 0.5, "cost": 1.0, "answers": [0] * 10, "zeros": 0, "dead": 0, "largest": 1.0, "confidence": 1.0}
MADE_UP = {
    "kind": "training", "race": 0, "epochs": 1, "updates": 5, "images": 9, "wall": 1.0, "user": 1.0, "system": 0.0,
    "accuracy": 0.5, "cost": 1.0, "evaluation": {"wall": 0.1}, "machine": "m1",
    "points": [{"epoch": 1, "check": {"wall": 1.0}, "train": SEEN, "test": SEEN}],
}  # fmt: skip


def test_a_setting_that_is_stopped_with_its_first_seed_is_not_tried_with_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[tuple[str, int]] = []

    def answer(description: str) -> str:
        asked = msgspec.json.decode(description, type=task.SweepTask)
        assert asked.generation is not None
        handed.append((asked.setting, asked.generation % 1000))
        (name,) = asked.trainings.participants
        where = {"generation": asked.generation, "participant": name, "setting": asked.setting}
        training = {**MADE_UP, **where, "seed": handed[-1][1], "stopped_early": not asked.generation // 1000 % 5}
        ended = {"kind": "generation", "race": 0, "generation": asked.generation, "seconds": 1.0}
        return json.dumps({"name": "x", "machine": "m1", "described": {"cpu": "c"}, "records": [training, ended]})

    answered_by(monkeypatch, answer)
    monkeypatch.setattr(measuring, "print_sections", lambda *_: None)
    grid = ["study", "grid", "--experiment", "two-layers-of-16", "--seeds", "3", "--workers", "9"]
    assert main([*grid, "--data", str(folder / "digits"), "--output", str(folder / "grid.jsonl")]) == 0
    first = [setting for setting, seed in handed if seed == 0]
    assert len(first) == len(set(first)) > 20
    assert {setting for setting, seed in handed if seed} == {one for i, one in enumerate(first) if i % 5}
    assert len(handed) == len(set(handed))


@pytest.mark.parametrize(
    ("command", "change", "words"),
    [
        (accuracy, {"measuring": "0" * 12}, "the sources that measure are others here"),
        (tune, {"backends": {"minibatch": "0" * 12}}, "the backends are others here"),
        (tune, {"versions": {"numpy": "1.0", "numba": "0.1"}}, "the libraries are others here"),
        (accuracy, {"data": "0" * 64}, "the digits .* are not here, found .*; set DIGITBENCH_DATA for the worker"),
    ],
)
def test_a_worker_of_another_kind_refuses_by_name(
    command: Callable[..., int],
    change: dict[str, Any],
    words: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    performer: Performer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def answer(description: str) -> str:
        made = json.loads(description)
        made["origin"] |= change
        return performer.answer(json.dumps(made))

    monkeypatch.setenv("SLURM_JOB_ID", "12")
    answered_by(monkeypatch, answer)
    monkeypatch.setattr(held_out, "HELD_OUT", 100)
    line = refused(capsys, lambda: command(folder, "--workers", "1"))
    assert re.match(f"error: worker job 12: {words}", line)


def test_a_search_on_workers_finds_what_one_here_does_and_leaves_times_to_that(
    folder: Path, monkeypatch: pytest.MonkeyPatch, performer: Performer, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(held_out, "HELD_OUT", 100)
    monkeypatch.setattr(analysis, "SLOWER", 1e9)  # no recipe is given up for its time
    answered_by(monkeypatch, performer.answer)
    assert tune(folder, "--target", "60", "--workers", "2") == 0
    shown, of_workers = rows(capsys)
    assert "Shortest to 60 % of the held-out images" in shown
    assert "4 recipes tried, 16 trainings." in shown  # five seeds of two, three of the hopeless ones
    kept = tried(folder)
    assert tune(folder, "--target", "60", name="here") == 0
    shown, of_one = rows(capsys)
    assert tried(folder, "here") == kept  # bit for bit
    assert "Fastest to 60 % of the held-out images" in shown
    without_time = [row[: row.index("5") + 1] for row in of_one]
    assert sorted(without_time) == [row[:-1] for row in of_workers]  # shortest first
    assert [row[-1] for row in of_workers] == ["–"] * 2

    assert tune(folder, "--target", "60") == 0  # times those that reached the target
    shown, timed = rows(capsys)
    assert "Fastest" in shown
    assert "4 recipes tried, 16 trainings." in shown
    assert sorted(row[: row.index("5") + 1] for row in timed) == sorted(without_time)
    assert len(lines_of(folder)) == 16 + 10
    assert tried(folder) == kept


def test_trainings_of_a_search_that_are_lost_are_named_and_the_same_command_trains_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch, performer: Performer, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(held_out, "HELD_OUT", 100)
    asked: list[str] = []

    def ended(_: BaseException) -> str:
        raise EOFError

    def at_times(description: str) -> str:
        asked.append(description)
        if len(asked) == 2:
            raise ConnectionError("the worker went away")
        with pytest.MonkeyPatch.context() as failing:
            if len(asked) == 4:
                failing.setattr(held_out, "train_recipe", None)
                failing.setattr(process, "in_one_line", ended)  # so does the child
            return performer.answer(description)

    answered_by(monkeypatch, at_times)
    assert tune(folder, "--workers", "mpi") == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "lost: 1 of the tasks: ConnectionError: the worker went away" in shown
    assert "lost: 1 of the tasks: minibatch: ended" in shown
    assert "2 of 20 trainings are missing; the same command trains them" in shown
    before = tried(folder)
    answered_by(monkeypatch, performer.answer)
    assert tune(folder, "--workers", "mpi") == 0
    assert len(tried(folder)) == 20
    assert before.items() < tried(folder).items()
    assert tune(folder) == 0  # no target, so that no time is wanted
    assert len(lines_of(folder)) == 20


def test_a_task_of_another_revision_is_refused(performer: Performer) -> None:
    answer = msgspec.json.decode(performer.answer('{"race": 0}'), type=Answer)
    assert answer.refused
    assert "of another revision" in answer.refused


def test_a_task_whose_process_is_killed_is_done_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[str | None] = [None, "done", None, None]

    class Process:
        def ask(self, _: str) -> str | None:
            return answers.pop(0)

        def end(self) -> int:
            return -9

    monkeypatch.setattr(performing, "TaskProcess", Process)
    monkeypatch.setattr(performing, "POOL", performing.Pool())
    assert performing.perform("task") == "done"
    with pytest.raises(performing.TaskLost, match="exit code -9 and again with -9"):
        performing.perform("task")


def test_a_process_ends_with_its_worker() -> None:
    """Also where the worker is killed: its input ends."""
    process = performing.TaskProcess()
    pid = process.process.pid
    assert process.ask('{"race": 0}')
    assert process.end() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("text", ["0", "-1", "many", "tcp://", "slurm:", "http://somewhere"])
def test_what_workers_may_not_be(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, lambda: accuracy(folder, f"--workers={text}"))
    assert "expected a number of processes, tcp://HOST:PORT of a Dask scheduler, slurm:PARTITION, or mpi" in line


def test_workers_that_are_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--workers 2: with --threads 1 each, expected at most 1" in refused(
        capsys, lambda: accuracy(folder, "--workers", "2")
    )
    monkeypatch.setattr(executors, "REACHED", 0.1)
    monkeypatch.setenv("PATH", "")
    for where, library, words in (
        ("tcp://127.0.0.1:9", "distributed", "no Dask scheduler answered within 0.1 s"),
        ("slurm:short", "submitit", "SLURM cannot be used here"),
        ("mpi", "mpi4py", "expected several ranks, found 1"),
    ):
        missing = "cannot be imported .*; install the extra `cluster`"
        line = refused(capsys, partial(accuracy, folder, "--workers", where))
        assert re.search(words if find_spec(library) else missing, line), line
    assert not (folder / "found.jsonl").exists()


def test_files_that_cannot_be_joined(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, race = written(folder, "one.jsonl", trained()), written(folder, "race.jsonl", race_records())
    measured = {"key": trained()[0]["key"] | {"measure": "training"}}
    one, other = (written(folder, f"{n}.jsonl", trained(**measured | {"baseline": n})) for n in ("slow", "swift"))
    for files, words in (
        ((one,), "1 file: expected two or more to join"),
        ((one, race), "is of race, whose times are ratios on one machine and are not joined"),
        ((one, other), "does not fit .*: baseline slow there, swift here; join files of the same command"),
        ((one, other, "--output", one), "exists, and would be overwritten"),
    ):
        line = refused(capsys, partial(main, ["merge", *map(str, files)]))
        assert re.search(words, line), line


def command(folder: Path, workers: str) -> list[str]:
    """The words after `python -m` of a command that trains with four seeds on these workers."""
    words = ["--recipe", "first-89", "--target", "10", "--seeds", "4", "--curves", "0", "--short-check"]
    words += ["--backend", "minibatch,vectorized", "--data", str(folder / "digits")]
    return ["bench", "accuracy", *words, "--output", str(folder / "found.jsonl"), "--workers", workers]


@contextlib.contextmanager
def running(log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of `python -m` within the `with`, which prints to a file."""
    with log.open("ab") as file:
        process = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, stdout=file, stderr=file)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def wait_for(text: str, file: Path, process: subprocess.Popen[bytes], log: Path, times: int = 1) -> None:
    """Wait until a process has written this text to a file so often; fail with the log where it ends before."""
    while not file.exists() or file.read_text().count(text) < times:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
        assert process.poll() is None, log.read_text()


@pytest.mark.skipif(find_spec("distributed") is None, reason="needs Dask, of the extra `cluster`")
def test_a_dask_scheduler_with_two_workers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`dask scheduler` and `dask worker`; a worker is killed in the middle, and Dask's nanny starts it again."""
    import psutil

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    contact, found, log = (folder / name for name in ("scheduler.json", "found.jsonl", "log"))
    asked = ["distributed.cli.dask_scheduler", "--scheduler-file", str(contact), "--host=127.0.0.1", "--port=0"]
    with running(log, *asked, "--dashboard-address=:0") as scheduler:
        wait_for('"address"', contact, scheduler, log)
        address = json.loads(contact.read_text())["address"]
        with monkeypatch.context() as patch:
            patch.setattr(executors, "BEGUN", 0.1)
            line = refused(capsys, lambda: accuracy(folder, "--workers", address))
        assert "the scheduler has had no worker for 0.1 s; start some by `PYTHONPATH=. dask worker" in line
        asked = ["distributed.cli.dask_worker", "--scheduler-file", str(contact), "--nthreads=1", "--nworkers=2"]
        asked += ["--no-dashboard", "--local-directory", str(folder)]
        with running(log, *asked) as workers, running(log, *command(folder, address)) as front:
            wait_for("Registered to:", log, workers, log, 2)  # else Dask gives up both, as one could not start
            wait_for('"kind":"training"', found, front, log)
            children = psutil.Process(workers.pid).children()
            next(one for one in children if "spawn_main" in "".join(one.cmdline())).kill()
            assert front.wait(100) == 0, log.read_text()
    assert "Dask's dashboard: http" in log.read_text()
    assert len(accuracies(folder)) == 8


class Job:
    """A job of SLURM without an answer."""

    job_id, cancelled = "7", False

    def done(self) -> bool:
        return False

    def cancel(self) -> None:
        self.cancelled = True


def test_a_job_of_slurm_that_is_gone_is_lost_and_one_that_is_left_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """submitit alone is a stand-in: it needs a cluster."""
    job = Job()
    slurm = SimpleNamespace(update_parameters=lambda **_: None, submit=lambda *_: job)
    monkeypatch.setitem(sys.modules, "submitit", cast(Any, SimpleNamespace(AutoExecutor=lambda **_: slurm)))
    monkeypatch.setattr(executors, "LOOKING", 0.001)
    monkeypatch.setattr(executors, "LOOKS", 1)
    monkeypatch.setattr(executors, "in_queue", lambda _: False)
    with executors.workers("slurm:short", 1) as found:
        future = found.executor.submit(str, "task")
        with pytest.raises(RuntimeError, match="job 7 left the queue without an answer"):
            future.result(60)
        assert not job.cancelled
        monkeypatch.setattr(executors, "in_queue", lambda _: True)
        future = found.executor.submit(str, "task")
    with pytest.raises(CancelledError):
        future.result(60)
    assert job.cancelled


@pytest.mark.skipif(MPI_REASON is not None, reason=f"mpi_images {MPI_REASON}")
def test_two_ranks_of_which_one_trains(folder: Path) -> None:
    by_mpi = [str(mpiexec()), "-n", "2", sys.executable, "-m", "mpi4py.futures", "-m", *command(folder, "mpi")]
    done = subprocess.run(
        by_mpi, cwd=ROOT, timeout=100, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "Of 2 ranks, 1 trains." in done.stdout
    assert len(accuracies(folder)) == 8
