"""Participants alive together: one runs at a time, each sample is its own, and one that fails is asked nothing more."""

from collections import Counter
from collections.abc import Callable
from math import ceil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from bench import UserError
from bench.timing import interleave
from bench.timing.interleave import SHORTEST, run_generation
from bench.timing.process import ChildFailed
from bench.timing.records import Failure, Record
from bench.timing.session import Participant, Session, attempt, stored
from bench.timing.worker import TimingTask
from bench.workloads.cases import MINI_BATCHES
from data import Digits
from tests.helpers.full_disk import full_disk

SECONDS = {"a": 0.0003, "b": 0.001, "c": 0.5}  # of one call
COLD = 7.0  # times as long takes the first call
ROUNDS = 6


class Puppet:
    """Stands for a process: answers at once, and remembers what it was asked and which of all ran meanwhile."""

    def __init__(self, name: str, troupe: list["Puppet"], fails_after: dict[str, int]) -> None:
        self.name, self.troupe, self.fails_after = name, troupe, fails_after
        self.running, self.killed = True, False
        self.asked: list[tuple[Any, ...]] = [("begin",)]
        self.limits: list[float] = []
        self.running_meanwhile: list[set[str]] = []

    def __enter__(self) -> "Puppet":
        return self

    def __exit__(self, *_: object) -> None:
        self.running = False

    def kill(self) -> None:
        self.running, self.killed = False, True

    def send(self, request: tuple[Any, ...]) -> None:
        self.asked.append(request)
        self.running = True

    def answer(self, seconds: float) -> tuple[str, Any]:
        self.limits.append(seconds)
        kind = self.asked[-1][0]
        if kind != "begin":
            self.running_meanwhile.append({puppet.name for puppet in self.troupe if puppet.running})
        measured = sum(request[0] == "measure" for request in self.asked)
        if measured > self.fails_after.get(self.name, measured):
            raise ChildFailed("dies", "ended its process with exit code 3")
        wall = SECONDS[self.name] * (COLD if measured == 1 else 1)
        times = {"wall": wall, "user": wall, "system": 0.0}
        self.running = False
        return "done", {
            "begin": None,
            "load": {"prepare": times},
            "measure": times,
            "describe": {"warm": times | {"wall": SECONDS[self.name]}, "threads": {}},
        }[kind]


class Recorded(Session):
    """Keeps what is recorded before it takes the form of a record."""

    added: list[dict[str, Any]]

    def add(self, kind: Any, **what: Any) -> None:
        self.added.append(what)

    @property
    def samples(self) -> list[dict[str, Any]]:
        return [what for what in self.added if "position" in what]


Run = Callable[..., tuple[Recorded, list[Puppet]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """One generation of a, b and c."""

    def run_one(**fails_after: int) -> tuple[Recorded, list[Puppet]]:
        troupe: list[Puppet] = []

        def child(_: object, __: object, task: TimingTask, **___: object) -> Puppet:
            troupe.append(Puppet(task.backend, troupe, fails_after))
            return troupe[-1]

        monkeypatch.setattr(interleave, "Child", child)
        tasks = {name: TimingTask(name, "epoch", MINI_BATCHES, Path("nowhere"), 60, n_threads=1) for name in SECONDS}
        race = Recorded(tasks, ROUNDS, record=lambda _: None, time_limit=12.5)
        race.added = []
        run_generation(race, 0)
        return race, troupe

    return run_one


def test_only_the_one_that_is_asked_runs(run: Run) -> None:
    _, troupe = run()
    for puppet in troupe:
        assert puppet.running_meanwhile == [{puppet.name}] * (3 + ROUNDS)  # load, first call, description, rounds


def test_a_sample_is_of_the_participant_that_was_measured(run: Run) -> None:
    race, _ = run()
    assert [one["wall"] for one in race.samples] == [SECONDS[one["participant"]] for one in race.samples]


def test_every_participant_is_measured_at_every_position_equally_often(run: Run) -> None:
    race, _ = run()
    found = Counter((one["participant"], one["position"]) for one in race.samples)
    assert found == {(name, position): ROUNDS // 3 for name in SECONDS for position in range(3)}


def test_calls_to_warm_up_are_no_samples(run: Run) -> None:
    race, troupe = run()
    assert Counter(one["participant"] for one in race.samples) == dict.fromkeys(SECONDS, ROUNDS)
    for puppet in troupe:
        repeats = max(1, ceil(SHORTEST / SECONDS[puppet.name]))  # by the warm call, not by the first
        assert [request[1] for request in puppet.asked if request[0] == "measure"] == [1] + [repeats] * ROUNDS


def test_one_that_fails_is_ended_and_asked_nothing_more(run: Run) -> None:
    race, troupe = run(b=3)
    (failed,) = (puppet for puppet in troupe if puppet.name == "b")
    assert failed.killed
    assert sum(request[0] == "measure" for request in failed.asked) == 4
    assert race.failures == {"b": "b: ended its process with exit code 3"}
    assert sum("reason" in what for what in race.added) == 1
    assert Counter(one["participant"] for one in race.samples) == {"a": ROUNDS, "b": 2, "c": ROUNDS}


def test_every_request_has_the_time_limit_of_the_session(run: Run) -> None:
    _, troupe = run()
    assert {seconds for puppet in troupe for seconds in puppet.limits} == {12.5}


def test_digits_that_cannot_be_written_are_one_line_with_the_folder(tmp_path: Path) -> None:
    digits = Digits(np.zeros((100, 784), np.uint8), np.zeros(100, np.int64))
    with full_disk(1000), pytest.raises(UserError, match=rf"^{tmp_path / 'digits'}: .*; make room .* TMPDIR$"):
        stored(digits, tmp_path / "digits")


@pytest.mark.parametrize(("what", "final"), [("wrong", True), ("failed", False), ("dies", False), ("hangs", False)])
def test_only_a_wrong_result_is_final(what: str, final: bool) -> None:
    recorded: list[Record] = []
    race = Session({}, 1, recorded.append)

    def fail(*_: object) -> None:
        raise ChildFailed(what, "why")

    attempt(race, None, fail, Participant("one", cast(Any, SimpleNamespace(kill=lambda: None))))
    assert recorded == [Failure("one", "why", None, final, race=0)]
