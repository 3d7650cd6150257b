"""The four questions of the README, answered from results: in short with a figure, and in full; or what to run.

An answer is a function of what a report shows, and returns sentences, or None where nothing of that was measured. The
short ones are in `brief.py`.
"""

import math
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from bench.analysis import statistics
from bench.analysis.accuracy import factor, in_turns, method_results, paired
from bench.analysis.article import Effect, effects, experiment_results
from bench.analysis.peers import AS_IT_IS, peer_ratios_of
from bench.analysis.race import times_of
from bench.records.files import ResultSet
from bench.records.kinds import LearningCurve
from bench.records.races import RaceResult
from bench.tables import benchmarks
from bench.tables.article import effect_in_words, effect_name
from bench.tables.race import work
from bench.tables.table import duration, faster, plural, share, with_interval
from bench.timing.worker import FLOOR
from reports import brief
from reports.brief import LIBRARIES, LOOP, NUMPY, VECTORIZED, Brief, race_with
from reports.plot import Plot
from reports.selection import Chosen

NOT_REACHED = "which the largest did not reach"
SIGMOID_AND_RELU = ("80-sigmoid", "80-relu")  # of the article's experiments, by name


class Answer(NamedTuple):
    """A question, and its answer from the results."""

    question: str
    answer: str  # in full
    short: str = ""  # in a sentence or two; "": the full one is short
    plot: Plot | None = None

    @property
    def text(self) -> str:
        """The short answer, and the full one."""
        return f"{self.short} {self.answer}".strip()


def answers(chosen: Chosen) -> list[Answer]:
    """All four answers, in order."""
    several = []
    for asked, short_of, full_of, command in QUESTIONS:
        short, full = short_of(chosen) or Brief("", None), full_of(chosen)
        one = Answer(asked, full, *short) if full else Answer(asked, f"Not measured yet: run {command}.")
        several.append(one)
    return several


def looping(chosen: Chosen) -> str | None:
    """What does the loop over images cost?"""
    race = race_with(chosen, LOOP, VECTORIZED)
    if race is None:
        return looping_of_benchmarks(chosen.newest("benchmarks"))
    words = {name: faster_than(race, name, LOOP) for name in times_of(race) if name not in (FLOOR, LOOP)}
    vectorized = words.pop(VECTORIZED)
    others = [name for name, known in words.items() if known]
    if not vectorized:
        return None
    case = f"{work(race)} ({race.key['plan']}, {race.data_name})"
    answer = f"For {case}, vectorised NumPy is {vectorized} as the loop over images."
    if "numba" in others:
        answer += f" The same loops, compiled by numba, are {words['numba']}."
    if others and others[0] != "numba":
        answer += f" The fastest way to compute the same, {others[0]}, is {words[others[0]]}."
    return answer


def looping_of_benchmarks(results: ResultSet | None) -> str | None:
    """The times of the benchmarks, which were measured one after the other, so that they give no ratio."""
    epochs = benchmarks.same_plan_epochs(results) if results else []
    seconds = {one.backend: median(one.seconds) for one in epochs if one.backend in (LOOP, VECTORIZED)}
    if results is None or len(seconds) < 2:
        return None
    return (
        f"On {benchmarks.same_plan_name(results)}, an epoch takes the loop over images {duration(seconds[LOOP])} and "
        f"vectorised NumPy {duration(seconds[VECTORIZED])}. They were measured one after the other, which gives no "
        "ratio: python -m bench race --backend naive,vectorized measures them in turns."
    )


def mini_batches(chosen: Chosen) -> str | None:
    """Does mini-batch SGD pay, by the epoch and by what it reaches?"""
    rows = sorted(method_results(chosen.races("batches")), key=lambda row: int(row.case["batch"]))
    reached = [row for row in rows if row.counts]
    if len(rows) < 2 or not reached:
        return mini_batches_of_benchmarks(chosen.newest("benchmarks"))
    best, smallest, largest = min(reached, key=lambda row: row.seconds), rows[0], rows[-1]
    target = f"{share(best.target)} of the test images"
    start = f"By plain SGD of {best.case['network']} with {best.backend}, each batch size at a learning rate of its own"
    if best is largest:
        return f"{start}, no: batches of {largest.case['batch']:,}, the largest, are first to reach {target}."
    ratio = paired(best, largest) if largest.counts and in_turns(best, largest) else None
    sooner = f"the largest in {duration(largest.seconds)}" if largest.counts else NOT_REACHED
    sooner = f"{faster(ratio)} as the largest (seed by seed, {plural(len(best.walls), 'seed')})" if ratio else sooner
    answer = (
        f"{start}: an epoch in batches of {best.case['batch']:,} takes {duration(best.an_epoch)}, in batches of "
        f"{largest.case['batch']:,}, the largest, {duration(largest.an_epoch)}; but they reach {target} first, in "
        f"{duration(best.seconds)}, {sooner}."
    )
    if smallest is best:
        return answer
    took = f"take {duration(smallest.seconds)}" if smallest.counts else "do not reach it"
    return f"{answer} Smaller batches are slower again: those of {smallest.case['batch']:,} {took}."


def mini_batches_of_benchmarks(results: ResultSet | None) -> str | None:
    """The same from the benchmarks, with one update an epoch and with many, each at its own rate."""
    epochs = [one for one in results.of("epoch") if one.backend == VECTORIZED] if results else []
    trained = [(one, one.curve) for one in epochs if one.curve]
    full, full_curve = next(((one, curve) for one, curve in trained if one.batch is None), (None, None))
    small, curve = next(((one, curve) for one, curve in trained if one.batch is not None), (None, None))
    if not (full and full_curve and small and curve):
        return None
    an_epoch, of_all = duration(median(small.seconds)), duration(median(full.seconds))
    goal = full_curve.accuracy[-1]
    after = next((s for s, accuracy in zip(curve.seconds, curve.accuracy, strict=True) if accuracy >= goal), None)
    how = "did not reach" if after is None else "reached"
    when = "" if after is None else f" after {duration(after)} at the latest"
    return (
        f"With {VECTORIZED}, an epoch in batches of {small.batch} takes {an_epoch}, and one update of all images "
        f"{of_all}, measured one after the other. By what is reached: {end_of(full_curve)} with one update an epoch, "
        f"{end_of(curve)} with batches of "
        f"{small.batch}. Mini-batches {how} the final accuracy of the full batch{when}. Each is one training at its "
        "own rate, without an interval."
    )


def end_of(curve: LearningCurve) -> str:
    """The accuracy at the end of a training, and when that was."""
    epochs = plural(len(curve.seconds) - 1, "epoch")
    return f"{share(curve.accuracy[-1])} of the test images after {epochs} and {duration(curve.seconds[-1])}"


def relu(chosen: Chosen) -> str | None:
    """Is ReLU better than sigmoid: in the article's networks, and where nothing else differs?"""
    answers = relu_alone(chosen.races("article-relu")), relu_of_article(chosen.races("article"))
    return " ".join(filter(None, answers)) or None


def relu_of_article(races: Sequence[RaceResult]) -> str | None:
    """The article's two networks, which differ in more than the activation."""
    figures = {row.name: row.figures for row in experiment_results(races)}
    values = [
        [value for figure in figures.get(name, ()) if figure.what == "accuracy" for value in figure.values]
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
    """Sigmoid or ReLU in the article's ReLU network, all else unchanged; and other changes there, one at a time."""
    if not races:
        return None
    (race,) = races
    rows = effects(race)
    sigmoid = next((row for row in rows[1:] if (row.factor, row.to) == ("hidden", "sigmoid")), None)
    if sigmoid is None or sigmoid.difference is None:
        return None
    base = rows[0]
    verdict = sign(sigmoid, "sigmoid is better", "ReLU is better", "there is no significant difference")
    answer = (
        f"In the article's ReLU network ({race.about['setting']}; {race.data_name}) "
        f"{verdict}: it gets {share(min(base.accuracies))} to {share(max(base.accuracies))} of the "
        f"test images right over {len(base.accuracies)} seeds, and sigmoid in the hidden layer, with everything else "
        f"as it is, changes that by {effect_in_words(sigmoid)} points."
    )
    together: list[str] = []
    verdicts: dict[str, list[str]] = {"that help": [], "that harm": [], "with no significant effect": []}
    for row in sorted(rows[1:], key=lambda row: -abs(row.difference or 0)):  # the largest first
        if row is not sigmoid and row.interval:
            several = together if row.factor == "several" else verdicts[sign(row, *verdicts)]
            several.append(f"“{effect_name(row)}” ({effect_in_words(row)})")
    parts = [f"those {verdict}: {', '.join(changes)}" for verdict, changes in verdicts.items() if changes]
    answer += f" Of other single changes, {'; '.join(parts)}." if parts else ""
    return answer + (f" Together: {', '.join(together)}." if together else "")


def sign(row: Effect, better: str, worse: str, unknown: str) -> str:
    """One of three words for an effect: whether its interval is above 0, below 0, or holds 0."""
    low, high = row.interval or (-math.inf, math.inf)
    return better if low > 0 else worse if high < 0 else unknown


def libraries(chosen: Chosen) -> str | None:
    """What do numba, PyTorch, JAX and others buy, by the epoch and by the time to an accuracy?"""
    race, peers, waterfall = race_with(chosen, VECTORIZED), chosen.races("peers"), chosen.races("waterfall")
    answers = libraries_of_race(race) if race else None, libraries_of_peers(peers), libraries_of_steps(waterfall)
    words = " ".join(filter(None, answers))
    on_gpu = brief.used_a_gpu([*([race] if race else []), *peers])
    return words + ("" if on_gpu else " No GPU took part.") if words else None


def libraries_of_race(race: RaceResult) -> str | None:
    """The best of each library against the better of NumPy's two, of which one has times."""
    order = list(times_of(race))
    numpy = next(name for name in order if name in NUMPY)
    best = {what: next((name for name in order if name.startswith(own)), None) for what, own in LIBRARIES.items()}
    ratios = {library: faster_than(race, name, numpy) for library, name in best.items() if name}
    parts = [f"{library} ({best[library]}) {words}" for library, words in ratios.items() if words]
    missing = [library for library, name in best.items() if not name]
    if not parts:
        return None
    answer = f"Against {numpy}, the faster of NumPy's, for {work(race)} ({race.key['plan']}): {'; '.join(parts)}."
    return answer + (f" Not in this race: {', '.join(missing)}." if missing else "")


def libraries_of_peers(races: Sequence[RaceResult]) -> str | None:
    """Other libraries against the baseline, also where nothing can be skipped; at the middle batch size."""
    rows = [row for row in peer_ratios_of(races) if row.backend != FLOOR]
    if not rows:
        return None
    batches = sorted({row.batch for row in rows})
    middle = batches[len(batches) // 2]
    parts = []
    for row in rows:
        if row.batch == middle and AS_IT_IS in row.ways:
            words = f"{row.backend} takes {with_interval(row.ways[AS_IT_IS])} times as long"
            dense = row.ways.get("all pixels non-zero")
            parts.append(words + (f" ({with_interval(dense)} where no pixel is zero)" if dense else ""))
    return f"Against {races[0].baseline}, in batches of {middle:,}: {'; '.join(parts)}." if parts else None


def libraries_of_steps(races: Sequence[RaceResult]) -> str | None:
    """The time to one accuracy, by the same recipe with NumPy and with the last of the steps; and all the way."""
    rows = method_results(races)
    if len(rows) < 2 or not rows[-1].counts:
        return None
    last = rows[-1]
    first = next(row for row in rows if row.case["plan"] == last.case["plan"])
    answer = f"{last.backend} trains to {share(last.target)} of the test images in {duration(last.seconds)}"
    if first is not last and first.counts and (ratio := paired(last, first)):
        answer += f", {faster(ratio)} as {first.backend} by the same recipe"
    if all_steps := factor(rows[0], last):
        answer += f"; from {rows[0].name}, all steps together, that is {all_steps} times as fast"
    return f"{answer}."


QUESTIONS: Sequence[tuple[str, Callable[[Chosen], Brief | None], Callable[[Chosen], str | None], str]] = (
    (
        "How much does it cost to loop over images in Python, and how much does vectorising win?",
        brief.looping,
        looping,
        "python -m bench race --backend naive,vectorized,numba",
    ),
    ("Does mini-batch SGD pay?", brief.mini_batches, mini_batches, "python -m bench study batches"),
    ("Is ReLU better than sigmoid?", brief.relu, relu, "python -m bench study relu"),
    (
        "What do numba, PyTorch, JAX or a GPU buy for a network this small?",
        brief.libraries,
        libraries,
        "python -m bench race",
    ),
)


def faster_than(race: RaceResult, name: str, baseline: str) -> str | None:
    """ "24.1 [23.2, 25.0] times as fast"; None where there are no times of both."""
    ratio = statistics.ratio(race.rounds(), name, baseline)
    return faster(ratio) if ratio and math.isfinite(ratio.estimate) else None
