"""A race read from its records: who ran, scaled to all images, and what is no such record ends in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import UserError
from bench.records.files import read
from bench.records.races import RaceResult, races_of
from tests.helpers.records import HEADER, KEY, end_of, process, sample

RECORDS = [
    HEADER,
    {"kind": "agreement", "race": 0, "backend": "naive", "error": 1.5, "failure": None, "unsupported": None},
    {"kind": "agreement", "race": 0, "backend": "naive", "error": 0.5, "failure": None, "unsupported": None},
    {"kind": "cold", "race": 0, "participant": "naive", "prepare": {"wall": 1.0}, "first": {"wall": 9.0}},
    process("naive"),
    process("vectorized"),
    process("floor"),
    sample("naive", 1.0),
    sample("vectorized", 0.5),
    sample("floor", 0.25),
    end_of(),
    {"kind": "something newer", "race": 0},
]


def raced(*more: dict[str, Any]) -> RaceResult:
    (found,) = races_of([*RECORDS, *more])
    return found


def test_who_ran_and_how() -> None:
    found = raced()
    naive, floor = found.participants["naive"], found.participants["floor"]
    assert (naive.backend, naive.images, naive.summary, naive.lines_of_code) == ("naive", 20, "what naive is", 7)
    assert naive.default_batch
    assert naive.cold == 9.0
    assert (naive.processes[0].prepare, naive.processes[0].first, naive.processes[0].gemm) == (0.5, 2.0, None)
    assert (floor.processes[0].gemm, floor.processes[0].bandwidth) == (2e11, 3e10)
    assert found.errors == {"naive": 1.5}
    assert found.reason is None
    assert found.rounds() == [[{"naive": 3.0, "vectorized": 0.5, "floor": 0.25}]]  # naive on a third of the images
    assert not raced(process("floor", home=1)).participants["floor"].default_batch


def test_who_started_first_is_known_of_each_generation() -> None:
    first, second = (
        raced().started(),
        raced(process("vectorized", 1), process("naive", 1), sample("naive", 5.0, 1), end_of(1)),
    )
    assert first == ["naive"]
    assert second.started() == [*first, "vectorized"]


def test_a_generation_without_its_end_does_not_count() -> None:
    cut = [process("naive", 1), sample("naive", 5.0, 1)]
    assert raced(*cut).rounds() == raced().rounds()
    assert raced(*cut, end_of(1)).rounds()[1] == [{"naive": 15.0}]


def test_who_failed_has_no_times() -> None:
    failure = {"kind": "failure", "race": 0, "generation": 0, "participant": "naive", "reason": "ended its process"}
    found = raced(failure, {"kind": "end", "race": 0, "reason": "the budget is spent"})
    assert found.rounds() == [[{"vectorized": 0.5, "floor": 0.25}]]
    assert found.left_out == {"naive": "naive: ended its process"}
    assert found.reason == "the budget is spent"


def test_who_disagreed_or_denied_is_named() -> None:
    wrong = {"kind": "agreement", "race": 0, "backend": "b", "error": 9.0, "failure": "b is off", "unsupported": None}
    not_it = {"kind": "agreement", "race": 0, "backend": "c", "error": 0.0, "failure": None, "unsupported": "c cannot"}
    found = raced(wrong, not_it | {"quantity": "train"}, not_it | {"quantity": "costs", "backend": "d"})
    assert found.left_out == {"b": "b is off"}
    assert found.unsupported == {"c": "c cannot"}  # what d lacks is not measured
    assert raced(wrong | {"side": "after"}).left_out == {"after: b": "after: b is off"}


def test_a_run_that_goes_on_forgets_verdicts_and_end_but_no_failures() -> None:
    wrong = {"kind": "agreement", "race": 0, "backend": "b", "error": 9.0, "failure": "b hangs", "unsupported": None}
    failure = {"kind": "failure", "race": 0, "participant": "naive", "reason": "ended its process"}
    end = {"kind": "end", "race": 0, "reason": "the budget is spent"}
    found = raced(wrong, failure, end, {"kind": "run", "race": 0, "run": 1, "load": 2.5})
    assert found.left_out == {"naive": "naive: ended its process"}
    assert found.reason is None
    assert found.load == 2.5


def test_order_of_records_plays_no_part() -> None:
    shuffled = [*RECORDS[:1], *RECORDS[4:7], *RECORDS[1:4], *reversed(RECORDS[7:])]
    (found,) = races_of(shuffled)
    assert found == raced()


def written(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in records))
    return path


def test_it_is_read_by_the_reader_of_all_results(tmp_path: Path) -> None:
    path = written(tmp_path / "results.anything", *RECORDS)
    found = read(path)
    assert found.races == [raced()]
    assert (found.when, found.machine, found.data_name, found.cut) == (HEADER["when"], {"id": "abc"}, "MNIST", False)
    with path.open("a") as file:
        file.write('{"kind": "sam')
    assert read(path).races == [raced()]
    assert read(path).cut


@pytest.mark.parametrize(
    "wrong",
    [
        [HEADER | {"key": KEY | {"images": 0}}],
        [HEADER | {"key": KEY | {"sizes": [784]}}],
        [HEADER | {"key": KEY | {"dtype": "int8"}}],
        [HEADER | {"when": 5}],
        [HEADER | {"machine": None}],
        [{key: value for key, value in HEADER.items() if key != "baseline"}],
        [HEADER, sample("naive", 1.0), end_of()],
        [HEADER, process("somebody"), end_of()],
        [HEADER, process("naive"), sample("naive", 0.0), end_of()],
        [HEADER, process("naive"), sample("naive", float("nan")), end_of()],
        [HEADER, process("naive"), sample("naive", 1.0, number=-1), end_of()],
        [HEADER, process("naive", images="many"), end_of()],
        [HEADER, process("naive", first=None), end_of()],
        [HEADER, {"kind": "end", "race": 1, "reason": "of no race"}],
    ],
)
def test_what_is_no_such_record_is_one_line(wrong: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a record is not as expected") as caught:
        read(written(tmp_path / "wrong.jsonl", *wrong))
    assert "\n" not in str(caught.value)
