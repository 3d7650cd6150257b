"""Interleaved measurements: Latin squares, complete records, and failures that stop one backend but not the race."""

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from bench.timing import interleave, threads
from bench.timing.interleave import SHORTEST, latin_squares, measure_rounds, run_generation, starting_order
from bench.timing.records import Record
from bench.timing.session import Participant, Session, stored
from bench.timing.worker import FLOOR, TimingTask
from bench.workloads.cases import MINI_BATCHES
from data import Digits
from impls.contract import Network

CASE = replace(MINI_BATCHES, batch=10, network=Network((12, 7, 4), "relu", "softmax", "cross_entropy"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    digits = Digits(rng.integers(0, 256, (60, 12)).astype(np.uint8), rng.integers(0, 4, 60))
    return stored(digits, tmp_path / "digits")


def race_of(
    folder: Path, *names: str, quantity: Any = "epoch", n_threads: int = 1
) -> tuple[Session, list[dict[str, Any]]]:
    records: list[dict[str, Any]] = []

    def record(one: Record) -> None:
        records.append(msgspec.to_builtins(one))

    tasks = {name: TimingTask(name, quantity, CASE, folder, images=60, n_threads=n_threads) for name in names}
    return Session(tasks, rounds=4, time_limit=60, record=record), records


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_in_n_rounds_each_backend_is_once_at_each_position(n: int) -> None:
    orders = np.array(list(latin_squares(n, 3 * n, np.random.default_rng(0))))
    assert orders.shape == (3 * n, n)
    for block in orders.reshape(3, n, n):
        for position in range(n):
            assert sorted(block[:, position]) == list(range(n))
            assert sorted(block[position]) == list(range(n))


def test_each_square_is_drawn_separately_and_follows_the_seed() -> None:
    first, again, other = (np.array(list(latin_squares(4, 8, np.random.default_rng(seed)))) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[:4], first[4:])
    assert len(list(latin_squares(4, 6, np.random.default_rng(0)))) == 6  # the last square is cut short


def test_a_generation_leaves_a_record_of_everything(folder: Path) -> None:
    race, records = race_of(folder, "vectorized", "minibatch", FLOOR)
    for generation in range(2):
        run_generation(race, generation)
    assert race.failures == {}
    processes = [entry for entry in records if entry["kind"] == "process"]
    for generation in range(2):
        started = [entry["participant"] for entry in processes if entry["generation"] == generation]
        assert started == [name for name, _ in starting_order(race, generation)]
    for entry in processes:
        assert set(entry["threads"].values()) == {1}
        assert entry["first"]["wall"] > 0
        assert entry["prepare"]["wall"] > 0
        assert entry["repeats"] == max(1, math.ceil(SHORTEST / entry["warm"]["wall"]))
        assert entry["process_peak"] is None or entry["process_peak"] > entry["call_peak"] >= 0
        measured = entry["participant"] == FLOOR and entry["generation"] == 0
        assert (entry["rates"] is not None) == measured
        assert not measured or min(entry["rates"].values()) > 0
    samples = [entry for entry in records if entry["kind"] == "sample"]
    assert len(samples) == 2 * 4 * 3
    assert {(s["generation"], s["round"], s["position"]) for s in samples} == {
        (g, r, p) for g in range(2) for r in range(4) for p in range(3)
    }
    assert all(sample["wall"] > 0 for sample in samples)
    ended = records[-1]
    assert ended["cores"] == len(threads.usable())
    assert ended["others"] is None or ended["others"] >= 0
    assert 0 < race.shortest <= ended["seconds"]  # of all rounds, as the session has no fewest


@pytest.mark.parametrize("n", [2, 3, 5])
def test_in_n_generations_each_backend_starts_once_at_each_position(n: int, folder: Path) -> None:
    race, _ = race_of(folder, *(f"backend {i}" for i in range(n)))
    orders = [[name for name, _ in starting_order(race, generation)] for generation in range(4 * n)]
    for first in range(0, 4 * n, n):
        for position in range(n):
            assert sorted(order[position] for order in orders[first : first + n]) == sorted(race.tasks)
    race.failures["backend 0"] = "died"
    assert sorted(name for name, _ in starting_order(race, 0)) == sorted(race.tasks)[1:]
    race.failures |= dict.fromkeys(race.tasks, "died")
    assert starting_order(race, 0) == []


@pytest.mark.parametrize("quantity", ["epoch", "gradient", "outputs"])
def test_each_quantity_calls_what_it_names(
    quantity: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a backend whose errors name the call and its size."""
    (tmp_path / "telling.py").write_text(
        "from impls.vectorized import *\n"
        "def train(*a): raise RuntimeError(f'epoch {len(a[3].starts)} {a[3].stops[-1]}')\n"
        "def gradients(*a): raise RuntimeError(f'gradient {len(a[2].images)}')\n"
        "def outputs(*a): raise RuntimeError(f'outputs {len(a[2].images)}')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    race, records = race_of(folder, "telling", "vectorized", quantity=quantity)
    run_generation(race, 0)
    reason = {"epoch": "epoch 6 60", "gradient": "gradient 60", "outputs": "outputs 60"}[quantity]
    assert race.failures == {"telling": f"telling: RuntimeError: {reason}"}
    failure = {
        "kind": "failure",
        "race": 0,
        "run": 0,
        "generation": 0,
        "participant": "telling",
        "reason": f"RuntimeError: {reason}",
        "final": False,
    }
    assert failure in records
    assert {entry["participant"] for entry in records if entry["kind"] == "sample"} == {"vectorized"}


LATE = """
import os, threading
from impls.vectorized import *
from impls import vectorized as right
calls = 0
def train(*a):
    global calls
    calls += 1
    if calls > 5:
        {}
    return right.train(*a)
"""


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("os._exit(9)", "exit code 9"),
        ("raise ValueError('late')", "ValueError: late"),
        ("threading.Event().wait()", "within 1 s"),
    ],
)
def test_a_backend_that_fails_in_the_middle_is_left_out_and_the_others_continue(
    fault: str, reason: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late.py").write_text(LATE.format(fault))
    monkeypatch.syspath_prepend(tmp_path)
    race, records = race_of(folder, "late", "vectorized", "minibatch")
    measured = interleave.sample

    def sample(race: Session, participant: Participant, *place: int) -> None:
        # The others may take longer on a busy machine, as imports and first calls may.
        with monkeypatch.context() as patch:
            patch.setattr(race, "time_limit", 1 if participant.name == "late" and "1 s" in reason else 60)
            measured(race, participant, *place)

    monkeypatch.setattr(interleave, "sample", sample)
    for generation in range(2):
        run_generation(race, generation)
    assert list(race.failures) == ["late"]
    assert reason in race.failures["late"]
    samples = [entry["participant"] for entry in records if entry["kind"] == "sample"]
    assert samples.count("vectorized") == samples.count("minibatch") == 8
    assert samples.count("late") < 4


def test_a_slow_first_call_changes_neither_repeats_nor_rounds(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the first call of a compiler is."""
    slow = "import time\n" + LATE.replace("calls > 5", "calls == 1").format(
        "end = time.perf_counter() + 0.3\n        while time.perf_counter() < end: pass"
    )
    (tmp_path / "compiling.py").write_text(slow)
    monkeypatch.syspath_prepend(tmp_path)
    race, records = race_of(folder, "compiling", "vectorized")
    run_generation(race, 0)
    (compiling,) = (entry for entry in records if entry["kind"] == "process" and entry["participant"] == "compiling")
    assert compiling["first"]["wall"] > 0.3
    assert compiling["repeats"] == math.ceil(SHORTEST / compiling["warm"]["wall"])
    samples = [entry for entry in records if entry["kind"] == "sample"]
    assert len(samples) == 8
    assert all(sample["wall"] < 0.1 for sample in samples)


def test_no_participant_always_follows_the_same_one() -> None:
    """In a square each has some four predecessors; in one made by shifting a row it would have one."""
    rng = np.random.default_rng(0)
    squares = [np.array(list(latin_squares(6, 6, rng))) for _ in range(50)]
    predecessors = [{*square[:, :-1][square[:, 1:] == one].tolist()} for square in squares for one in range(6)]
    assert np.mean([len(found) for found in predecessors]) > 2


@pytest.mark.parametrize(
    ("seconds", "fewest", "slower", "rounds"),
    [
        (100.0, 1, 1, 6),  # there is time for all
        (9.0, 1, 1, 4),
        (0.5, 1, 1, 1),
        (0.5, 2, 1, 2),
        (0.5, None, 1, 6),  # the user gave their number
        (9.0, 1, 5, 2),  # a round takes 10 s, and after 18 s none begins
        (9.0, 3, 50, 3),
    ],
)
def test_a_short_time_has_fewer_rounds(
    seconds: float, fewest: int | None, slower: float, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two participants whose warm calls took a second each, and whose measurements take `slower` times as long."""
    now, measured = [1000.0], list[int]()

    def sample(_: Session, participant: Participant, generation: int, number: int, position: int) -> None:
        now[0] += slower * participant.seconds
        measured.append(number)

    monkeypatch.setattr(interleave, "sample", sample)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    race = Session({}, rounds=6, record=lambda _: None, fewest=fewest)
    participants = [Participant(name, cast(Any, None), seconds=1.0) for name in ("one", "other")]
    assert measure_rounds(race, 0, participants, 1000.0, seconds) == rounds
    assert measured == [number for number in range(rounds) for _ in range(2)]
