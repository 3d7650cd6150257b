"""From the samples of a race to ratios with intervals, ranks, slowdowns, when to stop, noise, and growth with size.

race[generation][round][backend] is a time in seconds. A generation is a set of fresh processes; a round holds one
measurement of each backend, close in time. A backend that died is absent from the rounds that it missed. The order of
generations, rounds and backends does not matter.

README.md says what is estimated, how, and what that does not see. The medians of the generations are the sample, as
processes differ for as long as they live, which no number of rounds averages out (Kalibera and Jones, "Rigorous
benchmarking in reasonable time", ISMM 2013). They may differ in rounds and noise: where independent normal values have
unequal variances, t is conservative, at levels of 5 % and below (Bakirov and Szekely 2005; Ibragimov and Müller,
"t-statistic based correlation and heterogeneity robust inference", J. Bus. Econ. Stat. 28, 2010).

The median was chosen by simulation, with 8 rounds in a generation: with normal noise the interval of the estimator of
Hodges and Lehmann is 10 % narrower, but its error is larger by a seventh where 5 % of the rounds have a burst, and by
half where 10 % have. tests/bench/analysis/test_statistics.py simulates what is promised here.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.special import betainccinv, betaincinv, ndtri, stdtrit  # scipy.stats takes a second to import

from impls.contract import Array

Samples = Sequence[Sequence[Mapping[str, float]]]  # generations of rounds: seconds by backend

CONFIDENCE = 0.95
MARGIN = 0.02  # a slowdown is more than that
OUTLYING = 5.0  # robust standard deviations from the generation's median
LEAST_TO_STOP = 5  # generations that a race needs before it may stop because it is precise enough
LEAST_TO_SEPARATE = 6  # generations needed to separate the effect of starting first from the backend's


class Interval(NamedTuple):
    """A closed interval of two numbers, finite or infinite."""

    low: float
    high: float


class Ratio(NamedTuple):
    """How many times as long as its baseline a backend takes, with an interval."""

    backend: str
    baseline: str
    estimate: float
    interval: Interval | None  # None: a single generation, which gives no interval
    generations: int  # with a round that has both
    pairs: int  # rounds with both
    outliers: int  # among the pairs; they are not left out of the estimate

    @property
    def separated(self) -> bool:
        """Whether it is known which of the two is faster: 1 is outside the interval."""
        return self.interval is not None and not self.interval.low <= 1 <= self.interval.high

    @property
    def half_width(self) -> float | None:
        """The distance from the estimate to the upper end, the farther one, relative to the estimate: 0.03 is 3 %."""
        return None if self.interval is None else self.interval.high / self.estimate - 1


def ratios(race: Samples, baseline: str, may_stop_early: bool = False) -> list[Ratio]:
    """Return the ratio of every other backend to the baseline, fastest first; none where they share no round.

    All intervals hold at once with CONFIDENCE, however they depend on one another: each has its share of the error
    (Bonferroni). may_stop_early: whether the race might have stopped as it was precise enough, see `precise`.
    Raises ValueError for times that are not finite and above 0.
    """
    others = [backend for backend in backends(race) if backend != baseline]
    error = error_of_each(len(others), may_stop_early)
    rows = [ratio(race, backend, baseline, error) for backend in others]
    return sorted((row for row in rows if row is not None), key=lambda row: (row.estimate, row.backend))


def ranks(race: Samples, unranked: str = "", may_stop_early: bool = False) -> dict[str, int]:
    """Return each backend's rank: 1 + the number of backends that are faster, that is with an interval without 1.

    All pairs are compared, and their intervals hold at once with CONFIDENCE (Bonferroni). Equal ranks do not
    mean equal speed, and need not be transitive: where a and b are not separated, nor b and c, but a is faster than c,
    their ranks are 1, 1 and 2. After a single generation all have rank 1. unranked: a name without a rank, such as the
    floor; its comparisons, which are shown in the same table, take their share of the error as well.
    """
    names = backends(race)
    error = error_of_each(math.comb(len(names), 2), may_stop_early)
    faster = {name: 0 for name in names if name != unranked}
    for backend, other in combinations(faster, 2):
        pair = ratio(race, backend, other, error)
        if pair is not None and pair.separated:
            faster[backend if pair.estimate > 1 else other] += 1
    return {backend: 1 + n for backend, n in faster.items()}


def change(
    before: Samples, after: Samples, backend: str, yardstick: str, error: float = 1 - CONFIDENCE
) -> Ratio | None:
    """Return how many times as long a backend takes in one race as in another, each relative to the yardstick there.

    The yardstick is the same code in both races, so that a machine that was slower in one of them slowed both. This is
    a ratio of ratios; the medians of their generations are two independent samples, whose variances may differ:
    Welch's interval (Biometrika 34, 1947). None if either race has no round with both.
    """
    logs = [log_ratios(race, backend, yardstick) for race in (after, before)]
    samples = [medians_of(of_race) for of_race in logs]
    if not all(len(sample) for sample in samples):
        return None
    difference = float(samples[0].mean() - samples[1].mean())
    interval = None
    if all(len(sample) > 1 for sample in samples):
        of_means = np.array([sample.var(ddof=1) / len(sample) for sample in samples])  # variances
        half = 0.0
        if of_means.any():
            freedom = of_means.sum() ** 2 / sum(of_means**2 / [len(sample) - 1 for sample in samples])
            half = float(quantile(error / 2, freedom) * np.sqrt(of_means.sum()))
        with np.errstate(over="ignore"):
            interval = Interval(float(np.exp(difference - half)), float(np.exp(difference + half)))
    generations, pairs = min(map(len, samples)), sum(map(len, logs[0]))
    return Ratio(backend, yardstick, math.exp(difference), interval, generations, pairs, 0)


def share(hits: float, of: int) -> Interval:
    """Return the interval of a probability after this many hits out of `of` (Clopper and Pearson, Biometrika 26, 1934).

    Its ends are quantiles of Beta, so that hits need not be whole: they may be counted in overlapping samples, of which
    `of` are independent.
    """
    error = (1 - CONFIDENCE) / 2
    low = betaincinv(hits, of - hits + 1, error) if hits > 0 else 0.0
    high = betainccinv(hits + 1, of - hits, error) if hits < of else 1.0
    return Interval(float(low), float(high))


def is_slowdown(ratio: Ratio, margin: float = MARGIN) -> bool:
    """Whether the interval is above 1, and the estimate above 1 by more than the margin, a fraction."""
    return ratio.interval is not None and ratio.interval.low > 1 and ratio.estimate > 1 + margin


def precise(race: Samples, baseline: str, target: float) -> bool:
    """Whether the race may stop: all ratios to the baseline are known to within the fraction `target` (0.03: 3 %).

    To be called after whole generations, with all samples so far except those of backends that died. A race that stops
    when an interval is narrow stops when it is too narrow by chance: checked after every generation from the third,
    95 % intervals hold 90 % of the time (Anscombe 1953; Chow and Robbins 1965 show that this vanishes only with many
    generations). So LEAST_TO_STOP are required, and checking costs as much error as one more comparison, here and,
    by `may_stop_early`, in the ratios that are reported, even if the budget ended the race. Simulation shows that this
    suffices however large the noise: 95.3 % at worst, for one to eight ratios of equal or unequal noise, checked until
    the 40th generation.
    """
    rows = ratios(race, baseline, may_stop_early=True)
    return bool(rows) and all(
        row.half_width is not None and row.half_width <= target and row.generations >= LEAST_TO_STOP for row in rows
    )


def log_seconds(race: Samples) -> dict[str, Array]:
    """Return each backend's log median seconds by generation. They show how noisy it was; compare speed by ratios."""
    return {name: medians_of([np.log(times[:, 0]) for times in rounds_with(race, name)]) for name in backends(race)}


def exponent(sizes: Sequence[float], times: Sequence[float]) -> tuple[float, Interval | None]:
    """Fit how seconds grow with a size (images, batch, hidden units, threads): least squares of their logarithms.

    times: one for each size. Returns p of seconds = c * size^p, with the interval of a regression's slope, t with n - 2
    degrees of freedom, from the residuals, which may be noise or curvature; None for two sizes, which a line always
    fits. Raises ValueError for fewer than two sizes, a size that occurs twice, or a number that is not finite and above
    0.
    """
    x, y = np.log(positive(sizes, "sizes")), np.log(positive(times, "times"))
    if len(x) != len(y) or len(x) < 2 or len(set(sizes)) < len(x):
        raise ValueError(f"expected at least two different sizes, with one time for each, found {len(y)} for {sizes}")
    dx, dy = x - x.mean(), y - y.mean()
    slope = float(dx @ dy / (dx @ dx))
    if len(x) == 2:
        return slope, None
    rest = dy - slope * dx
    half = quantile((1 - CONFIDENCE) / 2, len(x) - 2) * math.sqrt(rest @ rest / (len(x) - 2) / (dx @ dx))
    return slope, Interval(slope - half, slope + half)


def by_seed(seconds: Mapping[str, Mapping[int, float]]) -> Samples:
    """Return samples of trainings, from their seconds by name and seed: a seed is one round of one generation."""
    seeds = sorted({seed for of_name in seconds.values() for seed in of_name})
    return [[{name: of_name[seed] for name, of_name in seconds.items() if seed in of_name}] for seed in seeds]


def backends(race: Samples) -> list[str]:
    """Return the names of all backends that have a sample, sorted."""
    return sorted({backend for generation in race for one_round in generation for backend in one_round})


def ratio(
    race: Samples, backend: str, baseline: str, error: float = 1 - CONFIDENCE, started: Sequence[str] = ()
) -> Ratio | None:
    """Return the ratio of one backend to another; None if no round has both.

    error: the probability that the interval misses. started: the name that started first in each generation, given
    where the effect of starting first is to be removed.
    """
    places = [float((name == backend) - (name == baseline)) for name in started] or [0.0] * len(race)
    with_places = [
        (logs, place)
        for generation, place in zip(race, places, strict=True)
        for logs in log_ratios([generation], backend, baseline)
    ]
    if not with_places:
        return None
    rounds, kept_places = zip(*with_places, strict=True)
    medians = medians_of(rounds)
    centre, interval = medians.mean(), None
    if len(medians) > 1:
        centre, half = without_place(medians, np.array(kept_places), error)
        with np.errstate(over="ignore"):  # two generations that differ much give an interval without bounds
            interval = Interval(float(np.exp(centre - half)), float(np.exp(centre + half)))
    pairs = sum(map(len, rounds))
    return Ratio(backend, baseline, math.exp(centre), interval, len(rounds), pairs, outliers(rounds))


def log_ratios(race: Samples, backend: str, baseline: str) -> list[Array]:
    """Return log(seconds / seconds of the baseline) of the rounds that have both, for each generation with any."""
    return [np.log(times[:, 0] / times[:, 1]) for times in rounds_with(race, backend, baseline)]


def rounds_with(race: Samples, *names: str) -> list[Array]:
    """Return the times of the rounds that have all of these backends, (rounds, names), for each generation with any.

    Raises ValueError for times that are not finite and above 0.
    """
    kept = [[[one[name] for name in names] for one in generation if one.keys() >= set(names)] for generation in race]
    return [positive(times, " and ".join(names)) for times in kept if times]


def positive(values: Sequence[float] | Sequence[Sequence[float]], what: str) -> Array:
    """Return the values as float64. Raises ValueError unless all are finite and above 0."""
    array = np.asarray(values, np.float64)
    wrong = array[~(np.isfinite(array) & (array > 0))]
    if wrong.size:
        raise ValueError(f"{what}: expected finite numbers above 0, found {wrong[0]:g}; measure again")
    return array


def medians_of(generations: Sequence[Array]) -> Array:
    """Return the median of each generation."""
    return np.array([np.median(values) for values in generations])


def student(medians: Array, error: float) -> tuple[Array, Array]:
    """Return the mean over axis 0 and the half-width of Student's interval: t(1 - error / 2; n - 1) s / sqrt(n).

    Further axes are for several samples at once. Raises ValueError for a single value, which has no interval.
    """
    n = len(medians)
    if n < 2:
        raise ValueError(f"expected at least two generations for an interval, found {n}; measure longer")
    half = quantile(error / 2, n - 1) * medians.std(axis=0, ddof=1) / np.sqrt(n)
    return medians.mean(axis=0), half


def quantile(error: float, freedom: float) -> float:
    """Return the value above which Student's t with so many degrees of freedom lies with this probability."""
    return -float(stdtrit(freedom, error))


def without_place(medians: Array, places: Array, error: float) -> tuple[Array, Array]:
    """Return mean and half-width as `student` does, after removing the effect of starting first.

    A process that starts first in its generation can differ from its equals for as long as it lives. places: 1 where
    the backend started first, -1 where its baseline did, 0 where neither. Least squares of medians = mean + effect *
    place, and Student's t with n - 2 degrees of freedom. Where all places are the same, mean and effect cannot
    be separated; with few generations the degree of freedom is worth more. Then the effect is not removed.
    """
    n, off = len(medians), places - places.mean()
    if n < LEAST_TO_SEPARATE or not off.any():
        return student(medians, error)
    effect = off @ medians / (off @ off)
    rest = medians - medians.mean() - effect * off
    variance = rest @ rest / (n - 2) * (1 / n + places.mean() ** 2 / (off @ off))
    return medians.mean() - effect * places.mean(), quantile(error / 2, n - 2) * np.sqrt(variance)


def error_of_each(comparisons: int, may_stop_early: bool = False) -> float:
    """Return the error of each of several intervals with which all hold at once with CONFIDENCE (Bonferroni)."""
    return (1 - CONFIDENCE) / (max(comparisons, 1) + may_stop_early)


def outliers(generations: Sequence[Array]) -> int:
    """Return how many values are farther than OUTLYING robust standard deviations from their generation's median."""
    sd = robust_sd(generations)
    if sd is None:
        return 0
    return sum(int((np.abs(values - np.median(values)) > OUTLYING * sd).sum()) for values in generations)


def robust_sd(generations: Sequence[Array]) -> float | None:
    """Return the standard deviation within generations, insensitive to a few outliers; None if none has two values.

    It is the median of |x_i - x_j| over all pairs of a generation, divided by its value for N(0, 1), 0.9539 (Shamos,
    "Geometry and statistics", 1976). It needs no centre, which three or four values would not estimate well.
    """
    pairs = [np.subtract.outer(values, values)[np.triu_indices(len(values), 1)] for values in generations]
    distances = np.abs(np.concatenate(pairs))
    return float(np.median(distances) / (math.sqrt(2) * ndtri(0.75))) if distances.size else None
