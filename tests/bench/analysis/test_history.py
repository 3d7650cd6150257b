"""Histories: like with like, levels found where they are, and hardly any where there are none."""

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from bench.analysis import statistics
from bench.analysis.history import (
    LEAST_RUNS,
    History,
    deviation,
    histories,
    moment,
    stairs,
    without_small,
    without_spikes,
)
from bench.records.races import RaceResult
from bench.tables.history import changes_table, history_lines, in_words, runs_as_rows, runs_table
from tests.helpers.race_files import MACHINE, WHEN, race_records, rows_of
from tests.helpers.records import races_in

START = moment(WHEN)


def raced(day: int, swift: float = 0.1, commit: str = "", noise: float = 0.01, **more: Any) -> RaceResult:
    """A race of a day; swift takes that many seconds, and the machine has a speed of its own each day."""
    assert START is not None
    speed = 1 + day % 3
    seconds = {"slow": 0.4 * speed, "swift": swift * speed, "floor": 0.05 * speed}
    known: dict[str, Any] = {
        "when": (START + timedelta(days=day)).isoformat(),
        "number": day,
        "noise": noise,
        "rounds": 2,
    } | more
    known.setdefault("machine", MACHINE | {"commit": commit or f"{day:x}" * 12})
    (race,) = races_in(race_records(seconds, **known))
    return race


def past_of(*races: RaceResult) -> History:
    (history,), left_out = histories((f"{i}.jsonl", race) for i, race in enumerate(races))
    assert left_out == []
    return history


def test_a_change_is_found_where_it_is_and_told_in_words() -> None:
    history = past_of(*(raced(day, 0.1 if day < 7 else 0.08) for day in range(10)))
    (change,) = history.changes
    assert in_words(change).startswith("swift: 1.25 [1.2")
    assert in_words(change).endswith("times as fast since 7777777, 2026-02-10")
    assert change.interval.low < change.ratio < change.interval.high < 1
    assert change.ratio == pytest.approx(0.8, rel=0.01)
    assert [level.runs for level in change.levels] == [7, 3]
    (row,) = changes_table(history).rows
    assert row[3:5] == ["6666666,\n2026-02-09", "nothing that\nwas recorded"]


@pytest.mark.parametrize(("days", "found"), [(2, True), (LEAST_RUNS, True), (30, True)])
def test_the_newest_run_alone_can_be_a_change(days: int, found: bool) -> None:
    history = past_of(*(raced(day, 0.1 if day < days - 1 else 0.2) for day in range(days)))
    assert [change.backend for change in history.changes] == ["swift"] * found


def test_a_single_disturbed_run_among_many_is_no_change() -> None:
    assert past_of(*(raced(day, 0.13 if day == 4 else 0.1) for day in range(12))).changes == []


def test_a_small_change_is_none_however_sure() -> None:
    races = [raced(day, 0.1 if day < 10 else 0.1015, noise=1e-4) for day in range(20)]
    assert past_of(*races).changes == []


def test_runs_come_in_the_order_of_time() -> None:
    history = past_of(*(raced(day, 0.1 if day < 3 else 0.2) for day in (4, 0, 3, 1, 2)))
    assert [run.file for run in history.runs] == ["1.jsonl", "3.jsonl", "4.jsonl", "2.jsonl", "0.jsonl"]
    assert [change.since.commit for change in history.changes] == ["3" * 12]


def test_a_history_is_of_one_machine_and_one_case() -> None:
    other = MACHINE | {"id": "another"}
    several = [raced(0), raced(1), raced(2, key={"machine": other}), raced(3, key={"batch": 32}), raced(4)]
    several += [raced(5, key={"batch": 32})]
    found, left_out = histories((f"{i}.jsonl", race) for i, race in enumerate(several))
    assert [[run.file for run in one.runs] for one in found] == [
        ["3.jsonl", "5.jsonl"],
        ["0.jsonl", "1.jsonl", "4.jsonl"],
    ]
    assert left_out == ["2.jsonl: no other run is of the same machine, case and data"]


def test_what_cannot_be_used_is_named() -> None:
    lost, undated = raced(1, failing=("floor",)), raced(2, when="someday")
    copy = raced(0, generations=2)
    several = {"a": raced(0), "copy": copy, "lost": lost, "undated": undated, "b": raced(3), "one": raced(4)}
    several["one"].purpose = "compare"
    found, left_out = histories(several.items())
    assert [[run.file for run in one.runs] for one in found] == [["a", "b"]]
    assert left_out == [
        "copy holds a run that is in a, too, and counts once",
        "lost: no backend was measured in the same rounds as the floor",
        "undated: the time of the run is not known",
    ]
    assert histories({"a": raced(0)}.items())[0] == []


def test_no_change_is_looked_for_where_the_floor_is_another() -> None:
    older, newer = ({"machine": MACHINE | {"libraries": {"numpy": version}}} for version in ("2.4", "2.5"))
    races = [raced(day, 0.1 if day < 4 else 0.2, key=older if day < 4 else newer) for day in range(8)]
    history = past_of(*races)
    assert history.changes == []
    assert [course.places for course in history.courses["swift"]] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert "another floor (numpy 2.4 → 2.5)" in history_lines(history)[-1]


def test_what_else_differs_is_said() -> None:
    machine = MACHINE | {"python": "3.11"}
    before = {"backends": {"swift": "aa"}, "machine": machine}
    after = {"backends": {"swift": "bb"}, "machine": machine | {"python": "3.12"}}
    history = past_of(*(raced(day, 0.1 + 0.1 * (day > 1), key=after if day > 1 else before) for day in range(4)))
    assert changes_table(history).rows[0][4] == "its source;\npython 3.11 → 3.12"


def test_unknown_and_changed_revisions_and_backends_of_some_runs_only() -> None:
    races = [raced(0), raced(1, failing=("swift",)), raced(2, 0.2, "0123456789ab+changes"), raced(3, 0.2, "unknown")]
    history = past_of(*races)
    assert in_words(history.changes[0]).endswith("since 0123456+changes, 2026-02-05")
    table = runs_table(history, 1)
    cells = rows_of(table)
    column = list(table.heads).index("swift") - 1
    assert cells["2026-02-04 04:05"][column] == "–"
    assert cells["2026-02-06 04:05"][0] == "unknown"
    rows = runs_as_rows([history])
    assert len(rows) == 1 + 4 + 3
    assert float(rows[1][5]) == history.runs[0].ratios[rows[1][4]].estimate


def test_one_generation_each_gives_neither_intervals_nor_changes() -> None:
    history = past_of(*(raced(day, 0.1 * (1 + day), generations=1) for day in range(3)))
    assert history.changes == []
    assert runs_table(history, 1).rows[0][2].startswith(("2.0", "8.0", "1.9", "7.9"))


@pytest.mark.parametrize(("runs", "between"), [(3, 0.0), (8, 0.02), (40, 0.02)])
def test_changes_are_seldom_found_where_there_are_none(runs: int, between: float) -> None:
    """In 100 histories of four backends; all intervals hold together with 95 %."""
    rng = np.random.default_rng(runs)
    wrong = 0
    error = statistics.error_of_each(4 * (runs - 1))
    for _ in range(100):
        of_backends = rng.normal(0, 0.02, (4, runs, 4)) + rng.normal(0, between, (4, runs, 1))
        for medians in of_backends:
            spread = deviation(list(medians))
            assert spread is not None
            logs = medians.mean(axis=1)
            logs = logs if runs < LEAST_RUNS else without_spikes(logs)
            if len(stairs(logs, (spread.of_run * spread.quantile(error)) ** 2)) > 1:
                wrong += 1
                break
    assert wrong <= 12  # of 100 with 5 % each, more with a probability below 0.2 %


def test_stairs_are_the_cheapest_of_all() -> None:
    logs = np.array([0.0, 0.1, -0.1, 1.0, 1.1, 0.9, 0.0, 0.1, 5.0])
    assert stairs(logs, 0.2) == [3, 6, 8, 9]
    assert stairs(logs, 100.0) == [9]
    assert without_small(np.array([0, math.log(1.019), 1]), [1, 2, 3]) == [2, 3]
