"""A race read from its records: participants, times scaled to all images; a damaged record ends in one line."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bench import UserError
from bench.records.files import read
from bench.records.races import RaceResult
from bench.timing.records import Rates
from tests.helpers.article_records import course
from tests.helpers.records import HEADER, KEY, agreement, end_of, process, races_in, sample, written
from tests.helpers.training_files import trained

RECORDS = [
    HEADER,
    agreement("naive", error=1.5),
    agreement("naive", error=0.5),
    {"kind": "cold", "race": 0, "participant": "naive", "images": 20, "prepare": {"wall": 1.0}, "first": {"wall": 9.0}},
    process("naive"),
    process("vectorized"),
    process("floor"),
    sample("naive", 1.0),
    sample("vectorized", 0.5),
    sample("floor", 0.25),
    end_of(),
]

ARTICLE = [
    HEADER | {"participants": {"quick": "quick"}},
    {"kind": "training", "race": 0} | course(0, 0.5, 0.9),
    end_of(),
]


def raced(*more: dict[str, Any]) -> RaceResult:
    (found,) = races_in([*RECORDS, *more])
    return found


def test_what_ran_and_how() -> None:
    found = raced()
    naive, floor = found.participants["naive"], found.participants["floor"]
    assert (naive.backend, naive.images, naive.lines_of_code) == ("naive", 20, 7)
    assert naive.processes[0].summary == "what naive is"
    assert naive.cold == 9.0
    assert (naive.processes[0].prepare.wall, naive.processes[0].first.wall) == (0.5, 2.0)
    assert naive.processes[0].rates is None
    assert floor.processes[0].rates == Rates(gemm=2e11, bandwidth=3e10)
    assert [(one.backend, one.quantity, one.error) for one in found.checks] == [
        ("naive", "outputs", 1.5),
        ("naive", "outputs", 0.5),
    ]
    assert found.reason is None
    assert found.rounds() == [[{"naive": 3.0, "vectorized": 0.5, "floor": 0.25}]]  # naive on a third of the images


def test_the_first_to_start_is_known_of_each_generation() -> None:
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


def test_a_failed_participant_has_no_times() -> None:
    failure = {"kind": "failure", "race": 0, "generation": 0, "participant": "naive", "reason": "ended its process"}
    found = raced(failure, {"kind": "end", "race": 0, "reason": "the budget is spent"})
    assert found.rounds() == [[{"vectorized": 0.5, "floor": 0.25}]]
    assert found.left_out == {"naive": "naive: ended its process"}
    assert found.reason == "the budget is spent"


def test_what_disagreed_or_is_unsupported_is_named() -> None:
    wrong, not_it = agreement("b", failure="b is off"), agreement("c", unsupported="c cannot")
    found = raced(wrong, not_it | {"quantity": "train"}, not_it | {"quantity": "costs", "backend": "d"})
    assert found.left_out == {"b": "b is off"}
    assert found.unsupported == {"c": "c cannot"}  # what d lacks is not measured
    assert raced(wrong | {"side": "after"}).left_out == {"after: b": "after: b is off"}


def test_a_continued_run_forgets_agreement_and_end_and_of_failures_all_but_final_ones() -> None:
    wrong = agreement("b", failure="b hangs")
    failure = {"kind": "failure", "race": 0, "participant": "naive", "reason": "a wrong result", "final": True}
    killed = failure | {"participant": "floor", "reason": "was ended by SIGKILL", "final": False}
    end = {"kind": "end", "race": 0, "reason": "the budget is spent"}
    assert raced(killed, failure).left_out.keys() == {"naive", "floor"}
    found = raced(wrong, killed, failure, end, {"kind": "run", "race": 0, "run": 1, "load": 2.5})
    assert found.left_out == {"naive": "naive: a wrong result"}
    assert found.reason is None
    assert found.load == 2.5


def test_order_of_records_plays_no_part() -> None:
    shuffled = [*RECORDS[:1], *RECORDS[4:7], *RECORDS[1:4], *reversed(RECORDS[7:])]
    (found,) = races_in(shuffled)
    assert found == raced()


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
    ("line", "wrong", "expected"),
    [
        (1, [HEADER | {"key": KEY | {"images": 0}}], "Expected `int` >= 1"),
        (1, [HEADER | {"key": KEY | {"sizes": [784]}}], "Expected `array` of length >= 2"),
        (1, [HEADER | {"key": KEY | {"dtype": "int8"}}], "Invalid enum value 'int8'"),
        *(
            (1, [HEADER | {"key": {part: KEY[part] for part in KEY if part != lacking}}], f"field `{lacking}`")
            for lacking in KEY
            if lacking != "measuring"
        ),
        (1, [HEADER | {"purpose": "article-grid"}], "missing required field `settings` of the key"),
        (1, [HEADER | {"when": 5}], "Expected `str`, got `int` - at `$.when`"),
        (1, [HEADER | {"machine": None}], "Expected `object`, got `null` - at `$.machine`"),
        (1, [{key: value for key, value in HEADER.items() if key != "baseline"}], "missing required field `baseline`"),
        (2, [HEADER, sample("naive", 1.0), end_of()], "Expected the process of 'naive' before its sample"),
        (2, [HEADER, process("somebody"), end_of()], "Expected a participant of the header, got 'somebody'"),
        (3, [HEADER, process("naive"), sample("naive", 0.0), end_of()], "Expected `float` >= 1e-100 - at `$.wall`"),
        (3, [HEADER, process("naive"), sample("naive", float("nan")), end_of()], "JSON is malformed"),
        (3, [HEADER, process("naive"), sample("naive", 1.0, number=-1), end_of()], "at `$.round`"),
        (2, [HEADER, process("naive", images="many"), end_of()], "Expected `int`, got `str` - at `$.images`"),
        (2, [HEADER, process("naive", first=None), end_of()], "at `$.first`"),
        (2, [HEADER, process("naive", watts=3), end_of()], "unknown field `watts`"),
        (2, [HEADER, {"kind": "something newer", "race": 0}], "Invalid value 'something newer' - at `$.kind`"),
        (2, [HEADER, {"kind": "end", "race": 1, "reason": "of no race"}], "Expected the header of race 1"),
    ],
)
def test_a_record_that_is_not_as_expected_is_one_line(
    line: int, wrong: list[dict[str, Any]], expected: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "wrong.jsonl", *wrong)
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line}: a record is not as expected: ")
    assert message.endswith("; measure again")
    assert expected in message
    assert "\n" not in message


HUGE = [10**400, 2**64, -1, 1e308, float("nan"), float("inf"), "x" * 1000, "\n", None, True, [], {}, [[1]], {"a": 1}]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is something in nested mappings and lists, by keys and indices."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield (*path, key)
        yield from places(below, (*path, key))


def mutated(records: list[Any], where: tuple[Any, ...], change: str, to: Any = None) -> list[Any]:
    """The records with what is at this place dropped, or moved to another name, or replaced by another value."""
    records = copy.deepcopy(records)
    *outer, last = where
    inner: Any = records
    for key in outer:
        inner = inner[key]
    if change != "drop":
        inner[last if change == "replace" else 0 if isinstance(inner, list) else "y" * 500] = to
    if change != "replace":
        del inner[last]
    return records


MUTATED = st.sampled_from([RECORDS, trained(seeds=2), ARTICLE]).flatmap(
    lambda records: st.builds(
        mutated,
        st.just(records),
        st.sampled_from(list(places(records))),
        st.sampled_from(["drop", "rename", "replace"]),
        st.sampled_from(HUGE),
    )
)


@example(records=mutated(RECORDS, (0, "key", "batch"), "drop"))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=MUTATED)
def test_whatever_is_wrong_with_a_record_is_one_short_line(records: list[Any], tmp_path: Path) -> None:
    message = error_in(written(tmp_path / "mutated.jsonl", *records))
    assert len(message.splitlines()) <= 1
    assert len(message.replace(str(tmp_path), "")) < 300


def error_in(path: Path) -> str:
    """What reading it raises, in one line; "" where only a text was changed, or what nothing refers to."""
    try:
        for race in read(path).races:
            assert len(race.rounds()) == len(race.started())
    except UserError as error:
        return str(error)
    return ""
