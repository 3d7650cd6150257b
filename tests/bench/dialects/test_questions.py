"""Questions to libraries: an answer is taken for the right reading; a bad probe is seen and costs itself alone."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.__main__ import main
from bench.dialects.asking import LIBRARIES, REMEDY, Asker, Library, Said, ask
from bench.dialects.given import DECAY, RATES
from bench.dialects.questions import QUESTIONS, Answer, Question
from bench.experiments.dialects import record_of
from bench.records import dialects as records
from bench.records.files import read
from bench.tables.dialects import dialects_sections, verdict_of
from impls.contract import Array

MADE_UP = "tests.helpers.made_up_library"
ALL = [pytest.param(question, id=name) for name, question in QUESTIONS.items()]


def verdict(question: str, answer: Answer, remedied: Answer | None = None) -> tuple[str, str]:
    """The verdict on an answer, in short and in full."""
    said = records.Said("asked", answer)
    again = None if remedied is None else records.Said("do this", remedied)
    found = verdict_of(records.Heard("made-up", question, said, again))
    return found.short, found.long


@pytest.mark.parametrize("question", ALL)
def test_each_reading_is_taken_for_itself(question: Question) -> None:
    for reading in question.readings:
        if reading.value is not None:
            assert question.reading_of(reading.value) is reading
    assert question.is_open or question.readings[0].value is not None


# The readings of a question in plain NumPy, written a second time, the contract's first.
def momentum(step: Callable[[float, float], tuple[float, float]]) -> float:
    place, speed = 0.0, 0.0
    for rate in RATES:
        speed, change = step(speed, rate)
        place -= change
    return place


def decayed(decoupled: bool) -> float:
    place, speed = 1.0, 0.0
    for rate in RATES:
        speed = 0.9 * speed + 1 + (0 if decoupled else DECAY * place)
        place -= rate * (speed + (DECAY * place if decoupled else 0))
    return place


def started(weights: Array, bias: float) -> Answer:
    deviation = float(np.sqrt(np.mean(np.square(weights - np.mean(weights)))))
    return [deviation, float(weights.max()) / deviation, bias]


LOGITS = np.array([40.0, 0.0])
CLEAR = -(LOGITS - LOGITS.max() - np.log(np.exp(LOGITS - LOGITS.max()).sum()))[1]
PLAIN: dict[str, tuple[Answer, Answer]] = {
    "plain_momentum": (
        [momentum(lambda v, rate: (0.9 * v + 1, rate * (0.9 * v + 1)))],
        [momentum(lambda v, rate: (0.9 * v + rate, 0.9 * v + rate))],
    ),
    "nesterov_momentum": (
        [momentum(lambda v, rate: (0.9 * v + 1, rate * (1 + 0.9 * (0.9 * v + 1))))],
        [momentum(lambda v, rate: (0.9 * v + rate, rate + 0.9 * (0.9 * v + rate)))],
    ),
    "falling_rate": ([-0.4 - 0.2 - 0.1], [-0.4 - 0.4 - 0.2]),
    "weight_decay": ([decayed(False)], [decayed(True)]),
    "short_last_batch": ([3 / 3 + 1 / 1], [3.0 + 1.0]),
    "short_last_batch_cost": ([(0 + 0 + 0 + 40) / 4], [(0 / 3 + 40 / 1) / 2]),
    "hopeless_image": ([np.exp(-CLEAR) - 1], [0.0]),
    "cost_epsilon": ([CLEAR], [-np.log(1e-7)]),
    "relu_at_zero": ([float(np.sign(0.0))], [0.5]),
    "sum_of_bytes": ([255 * 1.7e7], [(255 * 1.7e7) % 2**32]),
    "denormals": ([float(np.float32(1e-30) * np.float32(1e-10)) / 1e-40], [0.0]),
    "dense_start": (
        started(np.random.default_rng(0).normal(0, (2 / 784) ** 0.5, 784 * 128), 0.0),
        started(np.random.default_rng(0).uniform(-1 / 28, 1 / 28, 784 * 128), 1 / 28),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_plain_implementations_of_both_readings_are_told_apart(name: str) -> None:
    question, (right, wrong) = QUESTIONS[name], PLAIN[name]
    assert question.reading_of(right) is question.readings[0]
    other = question.reading_of(wrong)
    assert other in question.readings[1:]
    if not question.is_open:
        assert verdict(name, right)[0] == "same"
        assert verdict(name, wrong)[0] == "differs"
        assert verdict(name, wrong, right)[0] == "if"
        assert verdict(name, wrong, wrong)[0] == "differs"


def test_a_difference_has_its_number() -> None:
    assert "differs by 0.513" in verdict("plain_momentum", [-1.564])[1]
    assert "none of the expected answers" in verdict("plain_momentum", [-1.3])[1]
    assert "differs from float32" in verdict("bytes_times_floats", ["float64", 23.0])[1]


def test_a_library_that_raises_hangs_dies_and_prints_answers_all_else(capfd: pytest.CaptureFixture[str]) -> None:
    heard = {one.question: one for one in ask("made-up", Library(MADE_UP, (), {"MADE_UP": "other"}), seconds=2.0)}
    found = {name: verdict_of(record_of(one)) for name, one in heard.items()}
    assert found["plain_momentum"].short == "if"
    assert found["plain_momentum"].remedy == "Ask for the other way"
    assert found["nesterov_momentum"].short == "differs"
    assert "the rate is inside the velocity" in found["nesterov_momentum"].long
    assert found["hopeless_image"].short == "differs"
    assert found["hopeless_image"].remedy == "not shown here (differs): Do what does not help"
    assert found["ties_in_max"].long.startswith("all to the last")
    assert "none of the expected" in found["denormals"].long
    failures = {name: one.said.failure for name, one in heard.items() if found[name].short == "failed"}
    assert failures == {
        "maximum_at_zero": "ValueError: no maximum here",
        "clip_at_zero": "gave no answer within 2 s",
        "where_at_zero": "ended its process with exit code 3",
    }
    assert capfd.readouterr() == ("", "")


def test_a_library_that_obeys_the_contract_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MADE_UP", raising=False)
    found = asked_here(MADE_UP, "plain_momentum", "nesterov_momentum")
    assert {verdict(name, said.answer or [])[0] for name, said in found.items()} == {"same"}


def asked_here(module: str, *names: str) -> dict[str, Said]:
    """What a library says to these questions in this process, which is quicker."""
    asker = Asker(module)
    return {name: asker.ask(name) for name in names or asker.listing().functions}


def test_the_contract_is_as_stated() -> None:
    for name, said in asked_here("ask_digitbench").items():
        assert verdict(name, said.answer or [])[0] == "same", (name, said)


def test_numpy() -> None:
    found = asked_here("ask_numpy", "bytes_times_floats", "float64_kept", "denormals", "ties_in_argmax")
    assert {verdict(name, said.answer or [])[0] for name, said in found.items()} == {"same"}


@pytest.mark.parametrize(
    ("module", "library", "same", "inside"),
    [
        ("ask_torch", "torch", ("plain_momentum", "nesterov_momentum", "falling_rate", "hopeless_image"), ()),
        ("ask_sklearn", "sklearn", ("hopeless_image", "relu_at_zero"), ("plain_momentum", "nesterov_momentum")),
    ],
)
def test_where_the_rate_is(module: str, library: str, same: tuple[str, ...], inside: tuple[str, ...]) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed (extra oracles)")
    remedies = [name + REMEDY for name in inside]
    found = asked_here(module, *same, *inside, *remedies)
    assert {verdict(name, found[name].answer or [])[0] for name in same} == {"same"}
    for name in inside:
        short, long = verdict(name, found[name].answer or [], found[name + REMEDY].answer)
        assert short == "if"
        assert "the rate is inside the velocity" in long


def test_every_function_of_a_module_answers_a_question() -> None:
    """A misspelt name would never be asked."""
    for library in LIBRARIES.values():
        text = (Path(bench.__file__).parent / "dialects" / f"{library.module}.py").read_text(encoding="utf-8")
        asked = re.findall(r'^def (\w+)\(\):\n    """(.+)"""$', text, re.MULTILINE)
        names = [name for name, _ in asked if not name.startswith("_")]
        assert len(names) > 3
        for name in names:
            assert name.removesuffix(REMEDY) in QUESTIONS, (library.module, name)


def test_the_command_keeps_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dialects.jsonl"
    assert main(["study", "dialects", "--library", "digitbench", "--output", str(path)]) == 0
    printed = capsys.readouterr().out
    results = read(path)
    assert results.kind == "dialects"
    (section,) = dialects_sections(results)
    for line in (section.title, *(table.title for table in section.tables if table.rows)):
        assert line in printed
    assert "hopeless image" in printed
