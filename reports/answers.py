"""The four questions of the README, answered from results: two or three sentences each, or what to run.

An answer is a function of what a report shows, and returns sentences, or None where nothing of that was measured.
"""

import math
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from bench import statistics
from bench.account import times_of
from bench.measuring import FLOOR
from bench.raced import Raced
from bench.results import Measurement
from bench.standings import in_short
from reports import accuracy, races, tables
from reports.chosen import Chosen
from reports.tables import markdown_text, number

LOOP, VECTORIZED = "naive", "vectorized"
NUMPY = (VECTORIZED, "minibatch")
LIBRARIES = {"numba": "numba", "PyTorch": "torch", "JAX": "jax", "scikit-learn": "sklearn", "SciPy": "scipy"}


class Answer(NamedTuple):
    """A question and what the results say to it."""

    question: str
    answer: str


def answers(chosen: Chosen) -> list[Answer]:
    """All four, in order."""
    return [
        Answer(question, answer(chosen) or f"Not measured yet: run {command}.")
        for question, answer, command in QUESTIONS
    ]


def as_markdown(chosen: Chosen) -> str:
    """The four answers as a file of their own."""
    parts = ["# Four questions"]
    for i, one in enumerate(answers(chosen), start=1):
        parts.append(f"**{i}. {one.question}**\n\n{markdown_text(one.answer)}")
    parts += [f"**{markdown_text(notice)}**" for notice in chosen.notices]
    return "\n\n".join(parts) + "\n"


# --- the four --------------------------------------------------------------------------------------------


def looping(chosen: Chosen) -> str | None:
    """What does the loop over images cost?"""
    race = race_with(chosen, LOOP, VECTORIZED)
    if race is None:
        return looping_of_benchmarks(chosen)
    compiled = [name for name in race.entrants if name != FLOOR and name not in (LOOP, VECTORIZED)]
    found = {name: faster_than(race, name, LOOP) for name in (VECTORIZED, *compiled)}
    known = {name: words for name, words in found.items() if words}
    if VECTORIZED not in known:
        return None
    answer = (
        f"For {races.work(race)} ({race.key['plan']}, {race.data_name}), vectorised NumPy is {known.pop(VECTORIZED)} "
        "as the loop over images."
    )
    if "numba" in known:
        answer += f" The same loops, compiled by numba, are {known['numba']}."
    fastest = next((name for name in races.fastest_first(race) if name in known), None)
    if fastest and fastest != "numba":
        answer += f" The fastest way to compute the same, {fastest}, is {known[fastest]}."
    return answer


def looping_of_benchmarks(chosen: Chosen) -> str | None:
    """The same from the benchmarks, whose ranges are no intervals."""
    if chosen.benchmarks is None:
        return None
    rows = {row.backend: row for row in tables.on_same_plan(chosen.benchmarks).rows}
    ratio = rows[VECTORIZED].ratio if VECTORIZED in rows else None
    if ratio is None or LOOP not in rows:
        return None
    return (
        f"On {tables.same_plan_name(chosen.benchmarks)}, vectorised NumPy is {tables.times(ratio.value)} times as fast "
        f"as the loop over images; over samples the ratio was {tables.times(ratio.low)} to {tables.times(ratio.high)}, "
        "which is no confidence interval: python -m bench race --backend naive --backend vectorized gives one."
    )


def mini_batches(chosen: Chosen) -> str | None:
    """Does mini-batch SGD pay, by the round and by what it reaches?"""
    if chosen.benchmarks is None:
        return None
    mine = [one for one in chosen.benchmarks.measurements if one.quantity == "round" and one.backend == VECTORIZED]
    full = next((one for one in mine if one.batch is None and one.curve), None)
    small = next((one for one in mine if one.batch is not None and one.curve), None)
    if full is None or small is None:
        return None
    times = median(small.seconds) / median(full.seconds)
    ends = f"{ended(full)} with one update a round, {ended(small)} with batches of {small.batch}"
    return (
        f"With {VECTORIZED}, a round in batches of {small.batch} takes {in_short(times)} times as long as one update "
        f"of all images. By what is reached: {ends}. {sooner(full, small)} Each is one training at its own rate, "
        "without an interval."
    )


def ended(measured: Measurement) -> str:
    """Where a training came, and when."""
    curve = measured.curve
    assert curve is not None
    rounds = len(curve.seconds) - 1
    return (
        f"{accuracy.share(curve.test_accuracy[-1])} of the test images after {rounds} round{'s' * (rounds != 1)} and "
        f"{number(curve.seconds[-1])} s"
    )


def sooner(full: Measurement, small: Measurement) -> str:
    """When mini-batches were where the full batch came at last."""
    assert full.curve is not None
    assert small.curve is not None
    goal = full.curve.test_accuracy[-1]
    there = [s for s, a in zip(small.curve.seconds, small.curve.test_accuracy, strict=True) if a >= goal]
    if not there:
        return "Where the full batch came, mini-batches did not."
    return f"Where the full batch came at last, mini-batches were after {number(there[0])} s at the latest."


def relu(chosen: Chosen) -> str | None:
    """Is ReLU better than sigmoid? No results of that kind are shown yet."""
    return None


def libraries(chosen: Chosen) -> str | None:
    """What do numba, PyTorch, JAX and others buy, against the better of NumPy's two?"""
    race = race_with(chosen, *NUMPY[:1])
    if race is None:
        return None
    order = races.fastest_first(race)
    numpy = next((name for name in order if name in NUMPY), None)
    if numpy is None:
        return None
    said = []
    for library, prefix in LIBRARIES.items():
        best = next((name for name in order if name.startswith(prefix)), None)
        words = faster_than(race, best, numpy) if best else None
        if words:
            said.append(f"{library} ({best}) {words}")
    missing = [library for library, prefix in LIBRARIES.items() if not any(name.startswith(prefix) for name in order)]
    if not said:
        return None
    answer = f"Against {numpy}, the faster of NumPy's, for {races.work(race)} ({race.key['plan']}): {'; '.join(said)}."
    if missing:
        answer += f" Not in this race: {', '.join(missing)}."
    return answer + " No backend here computes on a GPU."


QUESTIONS: Sequence[tuple[str, Callable[[Chosen], str | None], str]] = (
    (
        "How much does it cost to loop over images in Python, and how much does vectorising win?",
        looping,
        "python -m bench race --backend naive --backend vectorized --backend numba",
    ),
    ("Does mini-batch SGD pay?", mini_batches, "python -m bench"),
    ("Is ReLU better than sigmoid?", relu, "python -m bench article"),
    ("What do numba, PyTorch, JAX or a GPU buy for a network this small?", libraries, "python -m bench race"),
)


# --- from races ------------------------------------------------------------------------------------------


def race_with(chosen: Chosen, *names: str) -> Raced | None:
    """The race, if all of these have times in it."""
    race = chosen.race.races[0] if chosen.race else None
    return race if race and set(names) <= set(times_of(race)) else None


def faster_than(race: Raced, name: str, baseline: str) -> str | None:
    """ "24.1 [23.2, 25.0] times as fast"; None where there are no times of both."""
    ratio = statistics.ratio(race.rounds(), name, baseline)
    if ratio is None or not math.isfinite(ratio.estimate):
        return None
    return accuracy.faster(ratio)
