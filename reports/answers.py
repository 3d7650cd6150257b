"""The four questions of the README, answered from results: two or three sentences each, or what to run.

An answer is a function of what a report shows, and returns sentences, or None where nothing of that was measured.
"""

import math
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from bench.analysis import statistics
from bench.analysis.accuracy import factor, method_results, paired
from bench.analysis.article import Effect, effects, experiment_results
from bench.analysis.peers import AS_IT_IS, peer_ratios_of
from bench.analysis.race import times_of
from bench.records.files import Measurement, ResultSet
from bench.records.races import RaceResult
from bench.tables import benchmarks
from bench.tables.article import effect_in_words, effect_name
from bench.tables.race import work
from bench.tables.table import duration, faster, in_short, plural, share, times, with_interval
from bench.timing.worker import FLOOR
from reports.selection import Chosen

LOOP, VECTORIZED = "naive", "vectorized"
NUMPY = (VECTORIZED, "minibatch")
LIBRARIES = {"numba": "numba", "PyTorch": "torch", "JAX": "jax", "scikit-learn": "sklearn", "SciPy": "scipy"}

SIGMOID_AND_RELU = ("80-sigmoid", "80-relu")  # of the article's experiments, by name


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


def looping(chosen: Chosen) -> str | None:
    """What does the loop over images cost?"""
    race = race_with(chosen, LOOP, VECTORIZED)
    if race is None:
        return looping_of_benchmarks(chosen.newest("benchmarks"))
    compiled = [name for name in race.participants if name != FLOOR and name not in (LOOP, VECTORIZED)]
    found = {name: faster_than(race, name, LOOP) for name in (VECTORIZED, *compiled)}
    known = {name: words for name, words in found.items() if words}
    if VECTORIZED not in known:
        return None
    answer = (
        f"For {work(race)} ({race.key['plan']}, {race.data_name}), vectorised NumPy is {known.pop(VECTORIZED)} "
        "as the loop over images."
    )
    if "numba" in known:
        answer += f" The same loops, compiled by numba, are {known['numba']}."
    fastest = next((name for name in times_of(race) if name in known), None)
    if fastest and fastest != "numba":
        answer += f" The fastest way to compute the same, {fastest}, is {known[fastest]}."
    return answer


def looping_of_benchmarks(results: ResultSet | None) -> str | None:
    """The same from the benchmarks, whose ranges are no intervals."""
    if results is None:
        return None
    rows = {row.backend: row for row in benchmarks.same_plan_rows(results)}
    ratio = rows[VECTORIZED].ratio if VECTORIZED in rows else None
    if ratio is None or LOOP not in rows:
        return None
    return (
        f"On {benchmarks.same_plan_name(results)}, vectorised NumPy is {times(ratio.value)} times as fast "
        f"as the loop over images; over samples the ratio was {times(ratio.low)} to {times(ratio.high)}, "
        "which is no confidence interval: python -m bench race --backend naive,vectorized gives one."
    )


def mini_batches(chosen: Chosen) -> str | None:
    """Does mini-batch SGD pay, by the epoch and by what it reaches?"""
    return mini_batches_of_sizes(chosen.races("batches")) or mini_batches_of_benchmarks(chosen.newest("benchmarks"))


def mini_batches_of_sizes(races: Sequence[RaceResult]) -> str | None:
    """From trainings in batches of several sizes to one accuracy."""
    found = sorted(method_results(races), key=lambda row: int(row.case["batch"]))
    there = [row for row in found if row.counts]
    if len(found) < 2 or not there:
        return None
    best, largest = min(there, key=lambda row: row.seconds), found[-1]
    target = f"{share(best.target)} of the test images"
    begun = f"By plain SGD of {best.case['network']} with {best.backend}, each batch size at a learning rate of its own"
    if best is largest:
        return f"{begun}, no: batches of {largest.case['batch']:,}, the largest, are first to reach {target}."
    ratio = paired(best, largest)
    sooner = "which the largest did not reach"
    if largest.counts and ratio:
        sooner = f"{faster(ratio)} as the largest (seed by seed, {len(best.walls)} seeds)"
    answer = (
        f"{begun}: an epoch in batches of {best.case['batch']:,} takes {in_short(best.an_epoch / largest.an_epoch)} "
        f"times as long as in batches of {largest.case['batch']:,}, the largest; but they reach {target} first, in "
        f"{duration(best.seconds)}, {sooner}."
    )
    smallest = found[0]
    if smallest is best:
        return answer
    took = f"take {duration(smallest.seconds)}" if smallest.counts else "do not reach it"
    return f"{answer} Smaller batches are slower again: those of {smallest.case['batch']:,} {took}."


def mini_batches_of_benchmarks(results: ResultSet | None) -> str | None:
    """From the benchmarks, with one update an epoch and with many, each at its own rate."""
    epochs = [one for one in benchmarks.epochs_of(results) if one.backend == VECTORIZED] if results else []
    full = next((one for one in epochs if one.batch is None and one.curve), None)
    small = next((one for one in epochs if one.batch is not None and one.curve), None)
    if full is None or small is None:
        return None
    times = median(small.seconds) / median(full.seconds)
    ends = f"{ended(full)} with one update an epoch, {ended(small)} with batches of {small.batch}"
    return (
        f"With {VECTORIZED}, an epoch in batches of {small.batch} takes {in_short(times)} times as long as one update "
        f"of all images. By what is reached: {ends}. {sooner(full, small)} Each is one training at its own rate, "
        "without an interval."
    )


def ended(measured: Measurement) -> str:
    """The accuracy at the end of a training, and when that was."""
    curve = measured.curve
    assert curve is not None
    epochs = plural(len(curve.seconds) - 1, "epoch")
    return f"{share(curve.accuracy[-1])} of the test images after {epochs} and {duration(curve.seconds[-1])}"


def sooner(full: Measurement, small: Measurement) -> str:
    """When mini-batches reached the accuracy of the full batch."""
    assert full.curve is not None
    assert small.curve is not None
    goal = full.curve.accuracy[-1]
    there = [s for s, a in zip(small.curve.seconds, small.curve.accuracy, strict=True) if a >= goal]
    if not there:
        return "Mini-batches did not reach the final accuracy of the full batch."
    return f"Mini-batches reached the final accuracy of the full batch after {duration(there[0])} at the latest."


def relu(chosen: Chosen) -> str | None:
    """Is ReLU better than sigmoid: in the article's networks, and where nothing else differs?"""
    answers = relu_alone(chosen.races("article-relu")), relu_of_article(chosen.races("article"))
    return " ".join(filter(None, answers)) or None


def relu_of_article(races: Sequence[RaceResult]) -> str | None:
    """The article's two networks, which differ in more than that."""
    found = {row.name: row.figures for row in experiment_results(races)}
    values = [
        [value for figure in found.get(name, ()) if figure.what == "accuracy" for value in figure.values]
        for name in SIGMOID_AND_RELU
    ]
    if not all(values):
        return None
    sigmoid, with_relu = (f"{share(min(several))} to {share(max(several))}" for several in values)
    return (
        f"The article's own two networks, which differ in their rate and pixels as well, get {sigmoid} of the test "
        f"images right with sigmoid and {with_relu} with ReLU, over seeds."
    )


def relu_alone(races: Sequence[RaceResult]) -> str | None:
    """In the article's ReLU network with everything else as it is; and what other changes do there, one at a time."""
    if not races:
        return None
    (race,) = races
    found = effects(race)
    base, changes = next(iter(found), None), found[1:]
    sigmoid = next((row for row in changes if (row.factor, row.to) == ("hidden", "sigmoid")), None)
    if base is None or sigmoid is None or sigmoid.difference is None:
        return None
    low, high = sigmoid.interval or (-math.inf, math.inf)
    verdict = "ReLU is better" if high < 0 else "sigmoid is better" if low > 0 else "there is no significant difference"
    answer = (
        f"In the article's ReLU network ({race.about['setting']}; {race.about['epochs']} epochs, {race.data_name}) "
        f"{verdict}: it gets {share(min(base.accuracies))} to {share(max(base.accuracies))} of the "
        f"test images right over {len(base.accuracies)} seeds, and sigmoid in the hidden layer, with everything else "
        f"as it is, changes that by {effect_in_words(sigmoid)} points."
    )
    others = [row for row in changes if row is not sigmoid and row.interval]
    verdicts: dict[str, list[Effect]] = {"that help": [], "that harm": [], "with no significant effect": []}
    for row in others:
        low, high = row.interval or (-math.inf, math.inf)
        if row.factor != "several":
            verdicts["that help" if low > 0 else "that harm" if high < 0 else "with no significant effect"].append(row)
    parts = [f"those {verdict}: {listed(rows)}" for verdict, rows in verdicts.items() if rows]
    answer += f" Of other single changes, {'; '.join(parts)}." if parts else ""
    together = [row for row in others if row.factor == "several"]
    return answer + (f" Together: {listed(together)}." if together else "")


def listed(rows: Sequence[Effect]) -> str:
    """Changes with what they do, the largest first."""
    rows = sorted(rows, key=lambda row: -abs(row.difference or 0))
    return ", ".join(f"“{effect_name(row)}” ({effect_in_words(row)})" for row in rows)


def libraries(chosen: Chosen) -> str | None:
    """What do numba, PyTorch, JAX and others buy, by the epoch and by the time to an accuracy?"""
    waterfall, peers = chosen.races("waterfall"), chosen.races("peers")
    answers = libraries_of_a_race(chosen), libraries_of_peers(peers), libraries_of_steps(waterfall)
    words = " ".join(filter(None, answers))
    return f"{words} No backend here computes on a GPU." if words else None


def libraries_of_a_race(chosen: Chosen) -> str | None:
    """The best of each library against the better of NumPy's two."""
    race = race_with(chosen, *NUMPY[:1])
    if race is None:
        return None
    order = list(times_of(race))
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
    answer = f"Against {numpy}, the faster of NumPy's, for {work(race)} ({race.key['plan']}): {'; '.join(said)}."
    return answer + (f" Not in this race: {', '.join(missing)}." if missing else "")


def libraries_of_peers(races: Sequence[RaceResult]) -> str | None:
    """Other libraries against one of ours, also where nothing can be skipped; at the middle batch size."""
    rows = [row for row in peer_ratios_of(races) if row.backend != FLOOR]
    if not rows:
        return None
    batches = sorted({row.batch for row in rows})
    middle = batches[len(batches) // 2]
    said = []
    for row in rows:
        if row.batch == middle and AS_IT_IS in row.ways:
            words = f"{row.backend} takes {with_interval(row.ways[AS_IT_IS])} times as long"
            dense = row.ways.get("all pixels non-zero")
            said.append(words + (f" ({with_interval(dense)} where no pixel is zero)" if dense else ""))
    return f"Against {races[0].baseline}, in batches of {middle:,}: {'; '.join(said)}." if said else None


def libraries_of_steps(races: Sequence[RaceResult]) -> str | None:
    """The time to one accuracy, by the same recipe with NumPy and with the last of the steps; and all the way."""
    found = method_results(races)
    if len(found) < 2 or not found[-1].counts:
        return None
    last = found[-1]
    first = next(row for row in found if row.case["plan"] == last.case["plan"])
    ratio = paired(last, first) if first is not last and first.counts else None
    said = f"{last.backend} trains to {share(last.target)} of the test images in {duration(last.seconds)}"
    if ratio:
        said += f", {faster(ratio)} as {first.backend} by the same recipe"
    times = factor(found[0], last)
    return f"{said}; from {found[0].name}, all steps together, that is {times} times as fast." if times else f"{said}."


QUESTIONS: Sequence[tuple[str, Callable[[Chosen], str | None], str]] = (
    (
        "How much does it cost to loop over images in Python, and how much does vectorising win?",
        looping,
        "python -m bench race --backend naive,vectorized,numba",
    ),
    ("Does mini-batch SGD pay?", mini_batches, "python -m bench study batches"),
    ("Is ReLU better than sigmoid?", relu, "python -m bench study relu"),
    ("What do numba, PyTorch, JAX or a GPU buy for a network this small?", libraries, "python -m bench race"),
)


def race_with(chosen: Chosen, *names: str) -> RaceResult | None:
    """The race, if all of these have times in it."""
    race = next(iter(chosen.races("race")), None)
    return race if race and set(names) <= set(times_of(race)) else None


def faster_than(race: RaceResult, name: str, baseline: str) -> str | None:
    """ "24.1 [23.2, 25.0] times as fast"; None where there are no times of both."""
    ratio = statistics.ratio(race.rounds(), name, baseline)
    if ratio is None or not math.isfinite(ratio.estimate):
        return None
    return faster(ratio)
