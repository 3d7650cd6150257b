"""The report in plain words: the sentence and the figure that a page begins with, and each question's in short.

Every function returns None where nothing of its subject was measured. Ratios are those of interleaved measurements; one
without an interval is called one run.
"""

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import NamedTuple, TypeVar

from bench.analysis import statistics
from bench.analysis.accuracy import TimeToAccuracy, in_turns, method_results, paired, times_to_accuracy
from bench.analysis.article import effects
from bench.analysis.race import times_of
from bench.analysis.statistics import Ratio
from bench.records.races import RaceResult
from bench.tables import benchmarks
from bench.tables.race import work
from bench.tables.table import duration, plural, share, times
from bench.timing.worker import FLOOR
from reports.plot import MOST_ROWS, Plot, Row, plot
from reports.selection import Chosen

Item = TypeVar("Item")
LOOP, VECTORIZED = "naive", "vectorized"
NUMPY = (VECTORIZED, "minibatch")
LIBRARIES = {"numba": "numba", "PyTorch": "torch", "JAX": "jax", "scikit-learn": "sklearn", "SciPy": "scipy"}
LABELS = {
    LOOP: "Python loop",
    VECTORIZED: "NumPy",
    "minibatch": "NumPy, in place",
    "numba": "numba, same loop",
    "numba_dense": "numba, dense",
    "numba_sparse": "numba, zeros skipped",
    "scipy_sparse": "SciPy",
    "sklearn": "scikit-learn",
    "torch": "PyTorch",
    "torch_compile": "PyTorch, compiled",
    "torch_manual": "PyTorch, by hand",
    "jax": "JAX",
    "keras:torch": "Keras on PyTorch",
    "keras:jax": "Keras on JAX",
    "cuda": "own GPU kernels",
    "graph": "NumPy, as a graph",
    "autograd": "NumPy, autograd",
    "array_api": "NumPy, array API",
    "c": "C",
    "optax": "JAX, Optax",
    "mpi_images": "MPI, images shared",
    "mpi_units": "MPI, units shared",
}
WORTH = 0.9  # of the time of an epoch: what counts as a gain
NOTHING = "These results hold no race and no training to an accuracy; make bench measures both."


class Summary(NamedTuple):
    """What a page begins with."""

    sentence: str
    note: str  # how sure the numbers of the sentence are
    plot: Plot | None


class Brief(NamedTuple):
    """A question answered in short."""

    sentence: str
    plot: Plot | None


# --- the first screen ------------------------------------------------------------------------------------


def summary(chosen: Chosen) -> Summary:
    """The main results in one sentence, and time to accuracy by implementation, or else time of an epoch."""
    trained = most_reached([race for race in chosen.races("accuracy") if not race.machines])
    parts = [part for part in (fastest_in_race(chosen), soonest(trained)) if part]
    drawn = time_to_accuracy(trained) or time_of_epoch(chosen)
    if not parts:
        return Summary(epoch_alone(chosen) or NOTHING, "", drawn)
    (name, first, note), *others = parts
    words = f"On this machine {library(name)} {first}"
    for other, said, more in others:
        words += f", and {said}" if other == name else f"; {library(other)} {said}"
        note += f" {more}"
    return Summary(f"{words}.", note, drawn)


def fastest_in_race(chosen: Chosen) -> tuple[str, str, str] | None:
    """The backend with the shortest epoch, what it does against the loop, and how sure that is."""
    race = race_with(chosen, LOOP)
    name = next((name for name in times_of(race) if name != FLOOR), LOOP) if race else LOOP
    ratio = ratio_in(race, name, LOOP) if race and name != LOOP and race.key["measure"] == "epoch" else None
    if ratio is None:
        return None
    said = f"trains an epoch {times(1 / ratio.estimate)} times as fast as a Python loop over the images"
    sure = f"{times(1 / ratio.estimate)} times: {sureness(ratio)}, from measurements in turns."
    return name, said, f"An epoch is one pass over all training images. {sure}"


def soonest(race: RaceResult | None) -> tuple[str, str, str] | None:
    """The backend that is first to reach the target, when that is, and of how many trainings."""
    first = next((row for row in times_to_accuracy(race) if row.counts), None) if race else None
    if first is None:
        return None
    said = f"reaches {share(first.target)} of the test digits in {duration(first.seconds)}"
    return first.name, said, f"{duration(first.seconds)}: the median of {plural(len(first.timed), 'training')}."


def epoch_alone(chosen: Chosen) -> str | None:
    """The shortest epoch of the benchmarks, or of a race without the loop."""
    race, results = next(iter(chosen.races("race")), None), chosen.newest("benchmarks")
    seconds = {name: time for name, time in times_of(race).items() if name != FLOOR} if race else {}
    if race and seconds:
        name, time = next(iter(seconds.items()))
        return f"On this machine {work(race)} takes {library(name)} {duration(time)}."
    if results and (epochs := benchmarks.same_plan_epochs(results)):
        epoch = min(epochs, key=lambda measured: median(measured.seconds))
        time, images = median(epoch.seconds), f"{epoch.of_images:,} training images"
        return f"On this machine one pass over the {images} takes {library(epoch.backend)} {duration(time)}."
    return None


def most_reached(races: Sequence[RaceResult]) -> RaceResult | None:
    """Of trainings to several targets those that most backends reached; of these to the highest target."""
    rows = {race.number: times_to_accuracy(race) for race in races}
    trained = [race for race in races if rows[race.number]]

    def order(race: RaceResult) -> tuple[int, float]:
        return sum(row.counts for row in rows[race.number]), race.target or 0.0

    return max(trained, key=order, default=None)


def time_to_accuracy(race: RaceResult | None) -> Plot | None:
    """A row for each implementation: every training, and their median."""
    if race is None:
        return None
    results = few(times_to_accuracy(race))
    rows = [
        Row(
            label(row.name), row.seconds, duration(row.seconds) if row.counts else f"({duration(row.seconds)})",
            samples=list(row.walls.values()), kind="base" if row.name == LOOP else "" if i else "best",
        )
        for i, row in enumerate(results)
    ]  # fmt: skip
    missed = "; in brackets: not reached with enough confidence" if not all(row.counts for row in results) else ""
    title = f"Time of training until {share(race.target)} of the test digits are right"
    return plot(title, rows, tick, legend=f"a dot is the median, a dash one training{missed}")


def time_of_epoch(chosen: Chosen) -> Plot | None:
    """A row for each implementation of a race, or else of the benchmarks."""
    race, results = next(iter(chosen.races("race")), None), chosen.newest("benchmarks")
    seconds: list[tuple[str, float, tuple[float, ...]]]
    if race and times_of(race):
        seconds = [(name, time, ()) for name, time in times_of(race).items() if name != FLOOR]
        title = f"Time of {work(race)}"
    else:
        epochs = benchmarks.same_plan_epochs(results) if results else []
        seconds = sorted(
            ((one.backend, median(one.seconds), tuple(one.seconds)) for one in epochs), key=lambda one: one[1]
        )
        title = "Time of an epoch of training, measured one after the other"
    rows = [
        Row(label(name), time, duration(time), samples=samples, kind="base" if name == LOOP else "" if i else "best")
        for i, (name, time, samples) in enumerate(few(seconds))
    ]
    return plot(title, rows, tick)


# --- the four questions ----------------------------------------------------------------------------------


def looping(chosen: Chosen) -> Brief | None:
    """What does the loop over images cost?"""
    race = race_with(chosen, LOOP, VECTORIZED)
    ratio = ratio_in(race, VECTORIZED, LOOP) if race else None
    if race is None or ratio is None:
        return None
    sentence = f"For {work(race)}, vectorised NumPy is {fast(ratio)} as a Python loop over the images."
    compiled = ratio_in(race, "numba", LOOP)
    if compiled:
        sentence += f" The loop itself, compiled by numba, is {fast(compiled)}."
    fastest = next(name for name in times_of(race) if name != FLOOR)
    shown = dict.fromkeys((fastest, VECTORIZED, "numba"))
    rows = [(name, found) for name in shown if name != LOOP and (found := ratio_in(race, name, LOOP))]
    return Brief(sentence, speeds("Times as fast as the loop", rows, "Python loop"))


def mini_batches(chosen: Chosen) -> Brief | None:
    """Does mini-batch SGD pay, by the epoch and by what it reaches?"""
    rows = sorted(method_results(chosen.races("batches")), key=lambda row: int(row.case["batch"]))
    reached = [row for row in rows if row.counts]
    if len(rows) < 2 or not reached:
        return None
    best, largest = min(reached, key=lambda row: row.seconds), rows[-1]
    target = f"{share(best.target)} of the test digits"
    drawn = plot(
        f"Time until {target} are right, by images per update",
        [batch_row(row, best) for row in few(rows)],
        tick,
        legend="filled: until then; hollow: one epoch",
    )
    if best is largest:
        return Brief(f"No: the largest batches, of {batch_of(best)}, are first to reach {target}.", drawn)
    gain = "yes" if best.an_epoch < WORTH * largest.an_epoch else "no"
    sentence = (
        f"By the epoch {gain}: one takes {duration(best.an_epoch)} in batches of {batch_of(best)}, and "
        f"{duration(largest.an_epoch)} in batches of {batch_of(largest)}. By what is learnt yes: {target} are right "
        f"after {duration(best.seconds)}"
    )
    if not largest.counts:
        return Brief(f"{sentence}; with {batch_of(largest)} they never are.", drawn)
    ratio = paired(best, largest) if in_turns(best, largest) else None
    against = f"{fast(ratio)} as with" if ratio else f"and {duration(largest.seconds)} with"
    return Brief(f"{sentence}, {against} {batch_of(largest)}.", drawn)


def batch_row(row: TimeToAccuracy, best: TimeToAccuracy) -> Row:
    """A batch size: until the target, and an epoch."""
    words = duration(row.seconds) if row.counts else f"({duration(row.seconds)})"
    kind = "best" if row is best else ""
    return Row(batch_of(row), row.seconds, words, samples=list(row.walls.values()), other=row.an_epoch, kind=kind)


def batch_of(row: TimeToAccuracy) -> str:
    """A batch size in words."""
    return plural(int(row.case["batch"]), "image")


def relu(chosen: Chosen) -> Brief | None:
    """Is ReLU better than sigmoid, where nothing else differs?"""
    races = chosen.races("article-relu")
    rows = effects(races[0]) if races else []
    sigmoid = next((row for row in rows[1:] if (row.factor, row.to) == ("hidden", "sigmoid")), None)
    if sigmoid is None or sigmoid.difference is None:
        return None
    points, base = 100 * sigmoid.difference, rows[0]
    if sigmoid.interval:
        low, high = (100 * end for end in sigmoid.interval)
        how = f"{abs(points):.1f} points {'more' if points > 0 else 'fewer'} (95 % interval {low:+.1f} to {high:+.1f})"
        verdict = "No" if low > 0 else "Yes" if high < 0 else "Not known"
    else:
        how, verdict = f"{abs(points):.1f} points {'more' if points > 0 else 'fewer'} (one run)", "In one run"
    sentence = (
        f"{verdict}, in the article's ReLU network: it gets {from_to(base.accuracies)} of the test digits right over "
        f"{plural(len(base.accuracies), 'seed')}. With sigmoid instead, and nothing else changed, {how}."
    )
    named = {"ReLU": base, "sigmoid": sigmoid}
    shown = [
        Row(
            name, 100 * fmean(row.accuracies), from_to(row.accuracies), samples=[100 * one for one in row.accuracies],
            kind="best" if row is (sigmoid if points > 0 else base) else "",
        )
        for name, row in named.items()
    ]  # fmt: skip
    title = "Test digits that are right, each seed a dash"
    return Brief(sentence, plot(title, shown, "{:.0f} %".format, logarithmic=False, limits=(0.0, 100.0)))


def libraries(chosen: Chosen) -> Brief | None:
    """What do numba, PyTorch, JAX and others buy, by the epoch?"""
    race = race_with(chosen, VECTORIZED)
    if race is None:
        return None
    order = [name for name in times_of(race) if name != FLOOR]
    numpy = next(name for name in order if name in NUMPY)
    best = {name: next((one for one in order if one.startswith(own)), None) for name, own in LIBRARIES.items()}
    found = [(name, ratio_in(race, name, numpy)) for name in best.values() if name]
    ratios = sorted(((name, ratio) for name, ratio in found if ratio), key=lambda one: one[1].estimate)
    if not ratios:
        return None
    said = [f"{library(name)} {fast(ratio) if i == 0 else brackets(ratio)}" for i, (name, ratio) in enumerate(ratios)]
    absent = [name for name, one in best.items() if not one]
    absent += [] if used_a_gpu([race]) else ["a GPU"]
    missing = f" Not measured here: {', '.join(absent)}." if absent else ""
    sentence = f"For {work(race)}, against the faster of two ways to write it in NumPy: {'; '.join(said)}.{missing}"
    return Brief(sentence, speeds("Times as fast as NumPy", ratios, label(numpy)))


def speeds(title: str, ratios: Sequence[tuple[str, Ratio]], base: str) -> Plot | None:
    """A row for each backend, fastest first, how many times as fast as the base it is, and a row for that."""
    ordered = sorted(ratios, key=lambda one: one[1].estimate)
    rows = []
    for i, (name, ratio) in enumerate(ordered):
        ends = [1 / end if end else math.inf for end in reversed(ratio.interval)] if ratio.interval else None
        value = 1 / ratio.estimate
        rows.append(Row(label(name), value, f"{times(value)} ×", ends, kind="" if i else "best"))
    slower = sum(row.value > 1 for row in rows)
    rows.insert(slower, Row(base, 1.0, "1", kind="base"))
    return plot(title, rows, "{:g} ×".format, legend="the bar is the 95 % interval" if rows else "")


# --- words -----------------------------------------------------------------------------------------------


def race_with(chosen: Chosen, *names: str) -> RaceResult | None:
    """The race, if all of these have times in it."""
    race = next(iter(chosen.races("race")), None)
    return race if race and set(names) <= set(times_of(race)) else None


def used_a_gpu(races: Sequence[RaceResult]) -> bool:
    """Whether a backend of these races computed on a device other than the CPU."""
    processes = (one for race in races for participant in race.participants.values() for one in participant.processes)
    return any(process.device for process in processes)


def ratio_in(race: RaceResult, name: str, baseline: str) -> Ratio | None:
    """How many times as long a backend takes as another, of the same rounds; None where that is not known."""
    ratio = statistics.ratio(race.rounds(), name, baseline) if name in times_of(race) else None
    return ratio if ratio and math.isfinite(ratio.estimate) else None


def fast(ratio: Ratio) -> str:
    """E.g. "31 times as fast (28 to 34)"."""
    return f"{times(1 / ratio.estimate)} times as fast ({range_of(ratio)})"


def brackets(ratio: Ratio) -> str:
    """E.g. "1.3 times (1.2 to 1.4)"."""
    return f"{times(1 / ratio.estimate)} times ({range_of(ratio)})"


def range_of(ratio: Ratio) -> str:
    """The 95 % interval of how many times as fast, or the words "one run"."""
    if ratio.interval is None:
        return "one run"
    low, high = (1 / end if end else math.inf for end in reversed(ratio.interval))
    return f"{times(low)} to {times(high)}".replace("inf", "∞")


def sureness(ratio: Ratio) -> str:
    """The interval, with what it is."""
    return "one run" if ratio.interval is None else f"95 % interval {range_of(ratio)}"


def tick(seconds: float) -> str:
    """A round number of seconds on an axis: "10 ms"."""
    factor, unit = next(((f, u) for f, u in ((1.0, "s"), (1e3, "ms")) if f * seconds >= 0.999), (1e6, "µs"))
    return f"{factor * seconds:g} {unit}"


def from_to(shares: Sequence[float]) -> str:
    """From the least to the most, in per cent."""
    low, high = (f"{100 * end:.1f}" for end in (min(shares), max(shares)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def label(name: str) -> str:
    """What a figure calls a backend."""
    if name in LABELS:
        return LABELS[name]
    backend, _, device = name.partition(":")
    return LABELS.get(backend, backend) + (" on a GPU" if device == "cuda" else f" on {device}" if device else "")


def library(name: str) -> str:
    """What a sentence calls a backend: its library, or its own name."""
    backend, _, device = name.partition(":")
    of_numpy = "NumPy" if backend in NUMPY else "the Python loop" if backend == LOOP else backend
    known = next((library for library, own in LIBRARIES.items() if backend.startswith(own)), of_numpy)
    return known + (" on a GPU" if device == "cuda" or backend == "cuda" else "")


def few(rows: Sequence[Item]) -> Sequence[Item]:
    """At most as many as a small figure holds: the first ones, and the last."""
    return rows if len(rows) <= MOST_ROWS else [*rows[: MOST_ROWS - 1], rows[-1]]
