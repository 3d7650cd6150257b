"""Statistics of a race: small examples by hand, promises about chance by simulation.

A simulation counts how many of N races keep a promise that at least a fraction p should keep. It fails below the 0.1 %
quantile of Binomial(N, p): a promise that is only just kept fails for one seed in a thousand; the seeds are fixed.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import bdtr, bdtrc, stdtrit  # scipy.stats takes a second to import

from bench.analysis import statistics
from impls.contract import Array

T_1, T_2 = 12.7062047, 4.30265273  # Student's t, 97.5 %, from a printed table


# Simulated races -----------------------------------------------------------------------------------------------------


class Noise(NamedTuple):
    """Standard deviations of log seconds."""

    of_round: float = 0.05  # of one measurement
    of_generation: float = 0.0  # of a process
    shared_drift: float = 0.0  # AR(1) through the whole race, the same for all backends of a round
    own_drift: float = 0.0  # AR(1) of each process
    bursts: float = 0.0  # fraction of the rounds in which one backend takes three times as long


KINDS = {
    "independent": Noise(),
    "shared drift": Noise(shared_drift=0.3),
    "own drift": Noise(own_drift=0.05),
    "bursts": Noise(bursts=0.05),
    "all": Noise(shared_drift=0.3, own_drift=0.03, bursts=0.05),
}
ALL = KINDS["all"]._replace(of_generation=0.007)


def ar1(rng: np.random.Generator, shape: tuple[int, ...], sd: float, memory: float = 0.9) -> Array:
    """A stationary AR(1) along axis 1."""
    steps = rng.normal(0, sd * math.sqrt(1 - memory**2), shape)
    steps[:, 0] /= math.sqrt(1 - memory**2)
    for i in range(1, steps.shape[1]):
        steps[:, i] += memory * steps[:, i - 1]
    return steps


def simulated(seed: int, n_races: int, rounds: Sequence[int], speeds: Sequence[float], noise: Noise) -> list[Array]:
    """Seconds of many races, (n_races, rounds, backends) for each generation. rounds: how many in each generation."""
    rng = np.random.default_rng(seed)
    n_backends, total = len(speeds), sum(rounds)
    logs = rng.normal(np.log(speeds), noise.of_round, (n_races, total, n_backends))
    logs += ar1(rng, (n_races, total, 1), noise.shared_drift)
    struck = rng.integers(0, n_backends, (n_races, total, 1)) == np.arange(n_backends)
    logs += math.log(3) * (struck & (rng.random((n_races, total, 1)) < noise.bursts))
    generations = np.split(logs, np.cumsum(rounds)[:-1], axis=1)
    return [
        np.exp(
            part
            + rng.normal(0, noise.of_generation, (n_races, 1, n_backends))
            + ar1(rng, (n_races, part.shape[1], n_backends), noise.own_drift)
        )
        for part in generations
    ]


def medians(generations: Sequence[Array], first: Sequence[int], second: Sequence[int]) -> Array:
    """Medians of the log-ratios of pairs of backends, (generations, races, pairs)."""
    return np.array([np.median(np.log(part[..., first] / part[..., second]), axis=1) for part in generations])


def against_first(generations: Sequence[Array]) -> Array:
    """Medians of the log-ratios of all other backends against the first, (generations, races, backends - 1)."""
    others = list(range(1, generations[0].shape[-1]))
    return medians(generations, others, [0] * len(others))


def race_of(generations: Sequence[Array], number: int) -> statistics.Samples:
    """One of the simulated races, in the form of samples; the backends are called a, b, c ..."""
    return [[dict(zip("abcdefghi", times, strict=False)) for times in part[number].tolist()] for part in generations]


def kept(held: Array, share: float) -> bool:
    """Whether as many hold as this share promises, up to chance."""
    return bool(bdtr(held.sum(), held.size, share) >= 0.001)


def covered(centres: Array, truth: Array | float, error: float) -> Array:
    """Whether all intervals of a race contain the true value, for each race."""
    centre, half = statistics.student(centres, error)
    return np.all(np.abs(centre - truth) <= half, axis=-1)


# The promises about chance -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of_generation", [0.0, 0.005, 0.01, 0.02])
@pytest.mark.parametrize("kind", KINDS)
def test_intervals_contain_the_true_value_as_often_as_promised(kind: str, of_generation: float) -> None:
    noise = KINDS[kind]._replace(of_generation=of_generation)
    for seed, rounds in enumerate([(8, 8, 8), (5, 9, 12, 6, 7, 8)]):
        generations = simulated(seed, 2000, rounds, (1.0, 1.3), noise)
        assert kept(covered(against_first(generations), math.log(1.3), 0.05), 0.95), rounds


def test_intervals_are_not_wider_than_necessary() -> None:
    held = covered(against_first(simulated(1, 5000, [8] * 6, (1.0, 1.3), Noise())), math.log(1.3), 0.05)
    assert kept(~held, 0.05 * 0.8)


def test_an_interval_from_rounds_alone_would_not_hold() -> None:
    """Why generations are the sample: processes differ, and the rounds of one process do not show it."""
    generations = simulated(2, 2000, [30] * 6, (1.0, 1.0), Noise(of_generation=0.02))
    logs = np.concatenate([np.log(part[..., 1] / part[..., 0]) for part in generations], axis=1)
    centre, half = statistics.student(logs.T, 0.05)
    assert (np.abs(centre) <= half).mean() < 0.7
    assert kept(covered(against_first(generations), 0.0, 0.05), 0.95)


@pytest.mark.parametrize("n_backends", [4, 9])
@pytest.mark.parametrize("may_stop_early", [False, True])
def test_all_intervals_hold_at_once(n_backends: int, may_stop_early: bool) -> None:
    speeds = np.linspace(1, 3, n_backends)
    generations = simulated(3, 1500, [8, 6, 7, 8, 10, 8], tuple(speeds), ALL)
    error = statistics.error_of_each(n_backends - 1, may_stop_early)
    assert kept(covered(against_first(generations), np.log(speeds[1:]), error), 0.95)


@pytest.mark.parametrize("n_backends", [2, 4, 9])
def test_no_backend_is_ranked_behind_an_equal(n_backends: int) -> None:
    first, second = np.triu_indices(n_backends, 1)
    generations = simulated(4, 1000, [8] * 6, [1.0] * n_backends, ALL)
    error = statistics.error_of_each(len(first), may_stop_early=False)
    assert kept(covered(medians(generations, first.tolist(), second.tolist()), 0.0, error), 0.95)


def stopped(centres: Array, target: float, least: int, error: float) -> tuple[Array, Array]:
    """Whether the intervals contain 0 when a race stops, and after how many generations it stops, as `precise` does."""
    n_races = centres.shape[1]
    held, stops = np.zeros(n_races, bool), np.zeros(n_races, int)
    for n in range(least, len(centres) + 1):
        centre, half = statistics.student(centres[:n], error)
        now = (stops == 0) & (np.all(np.expm1(half) <= target, axis=-1) | (n == len(centres)))
        held[now] = np.all(np.abs(centre) <= half, axis=-1)[now]
        stops[now] = n
    return held, stops


@pytest.mark.parametrize("target", [0.02, 0.03, 0.05, 0.08])
@pytest.mark.parametrize("n_backends", [2, 4, 9])
def test_intervals_hold_where_the_race_stops_early(n_backends: int, target: float) -> None:
    centres = against_first(simulated(5, 1000, [8] * 14, [1.0] * n_backends, ALL))
    held, stops = stopped(
        centres,
        target,
        statistics.LEAST_TO_STOP,
        statistics.error_of_each(n_backends - 1, may_stop_early=True),
    )
    assert kept(held, 0.95)
    assert stops.min() >= statistics.LEAST_TO_STOP


def test_checking_whether_to_stop_costs_confidence() -> None:
    """Without that, and from the third generation on, the promise is broken: the simulation above can fail."""
    rng = np.random.default_rng(6)
    centres = rng.normal(0, 0.02, (20, 3000, 1))
    naive, _ = stopped(centres, 0.012, 3, statistics.error_of_each(1, may_stop_early=False))
    honest, stops = stopped(
        centres,
        0.012,
        statistics.LEAST_TO_STOP,
        statistics.error_of_each(1, may_stop_early=True),
    )
    assert naive.mean() < 0.92
    assert kept(honest, 0.95)
    assert 5 < stops.mean() < 20


def test_precise_stops_where_the_simulation_does() -> None:
    generations = simulated(7, 12, [8] * 10, [1.0] * 3, ALL)
    _, stops = stopped(
        against_first(generations),
        0.06,
        statistics.LEAST_TO_STOP,
        statistics.error_of_each(2, may_stop_early=True),
    )
    assert len(set(stops.tolist())) > 2
    for number, expected in enumerate(stops):
        race = race_of(generations, number)
        answers = [statistics.precise(race[:n], "a", 0.06) for n in range(1, expected)]
        assert not any(answers)
        assert statistics.precise(race[:expected], "a", 0.06) or expected == len(race)


def slowdowns(seed: int, n_generations: int, speed: float, noise: Noise) -> Array:
    """Whether a slowdown is reported for b, which takes `speed` times as long as a, in each of many races."""
    centre, half = statistics.student(
        against_first(simulated(seed, 2000, [8] * n_generations, (1.0, speed), noise)), 0.05
    )
    ends = np.exp([centre - half, centre, centre + half])[..., 0].T.tolist()
    return np.array(
        [
            statistics.is_slowdown(statistics.Ratio("b", "a", mid, statistics.Interval(low, high), 6, 48, 0))
            for low, mid, high in ends
        ]
    )


@pytest.mark.parametrize("n_generations", [3, 6, 10])
@pytest.mark.parametrize("of_generation", [0.0, 0.007, 0.02])
def test_false_alarms_are_rare(n_generations: int, of_generation: float) -> None:
    alarms = slowdowns(8, n_generations, 1.0, ALL._replace(of_generation=of_generation))
    assert kept(~alarms, 0.975)


def test_false_alarms_are_very_rare_in_a_quiet_race() -> None:
    assert slowdowns(9, 8, 1.0, Noise(of_round=0.02, of_generation=0.007)).mean() < 0.002


@pytest.mark.parametrize(
    ("n_generations", "noise"),
    [
        (8, Noise(of_generation=0.007)),
        (10, Noise(of_generation=0.007, bursts=0.05)),
        (6, Noise(of_round=0.035, of_generation=0.007)),
    ],
)
def test_a_slowdown_of_5_percent_is_found(n_generations: int, noise: Noise) -> None:
    assert kept(slowdowns(10, n_generations, 1.05, noise), 0.95)


@pytest.mark.parametrize("effect", [0.0, 0.1])
@pytest.mark.parametrize("places", [(1, -1) * 8, (1, 0, 0, -1, 0) * 3, (1, 1, -1, 1, 1, -1)])
def test_starting_first_changes_neither_estimate_nor_interval(places: tuple[int, ...], effect: float) -> None:
    """With processes that take 10 % longer where they start first; the result is the same as without that effect."""
    generations = simulated(12, 2000, [6] * len(places), (1.0, 1.05), ALL)
    place = np.array(places, float)
    medians = against_first(generations)[..., 0] + effect * place[:, None]
    intervals = np.array([statistics.without_place(medians[:, race], place, 0.05) for race in range(2000)])
    assert kept(np.abs(intervals[:, 0] - math.log(1.05)) <= intervals[:, 1], 0.95)
    without_effect = np.array(
        [statistics.without_place(medians[:, race] - effect * place, place, 0.05) for race in range(2000)]
    )
    np.testing.assert_allclose(intervals, without_effect, atol=1e-12)


def test_an_effect_of_starting_first_hides_slowdowns_unless_it_is_removed() -> None:
    generations = simulated(13, 200, [6] * 16, (1.0, 1.05), Noise(of_generation=0.02))
    started = ["b", "a"] * 8
    slowed = [
        [part[:, :, 0] * (1.1 if name == "a" else 1), part[:, :, 1] * (1.1 if name == "b" else 1)]
        for part, name in zip(generations, started, strict=True)
    ]
    races = [race_of([np.stack(part, axis=-1) for part in slowed], number) for number in range(200)]
    removed = [statistics.is_slowdown(the(statistics.ratio(race, "b", "a", started=started))) for race in races]
    ignored = [statistics.is_slowdown(the(statistics.ratio(race, "b", "a"))) for race in races]
    assert np.mean(removed) > 0.95
    assert np.mean(ignored) < 0.7


def test_ratios_are_computed_as_in_the_simulations() -> None:
    speeds = (1.0, 1.02, 1.1, 2.0)
    generations = simulated(11, 20, [5, 9, 8, 6, 7], speeds, ALL)
    error = statistics.error_of_each(3, may_stop_early=False)
    centre, half = statistics.student(against_first(generations), error)
    for number in range(20):
        rows = {row.backend: row for row in statistics.ratios(race_of(generations, number), "a")}
        for backend, mid, width in zip("bcd", centre[number], half[number], strict=True):
            row = rows[backend]
            assert numbers(row) == pytest.approx(np.exp([mid, mid - width, mid + width]))
            assert (row.baseline, row.generations, row.pairs) == ("a", 5, 35)
            assert row.half_width == pytest.approx(math.expm1(width))


# By hand -------------------------------------------------------------------------------------------------------------


def of_logs(*generations: Sequence[float]) -> statistics.Samples:
    """A race of a, which takes 2 s, and b, with these log-ratios."""
    return [[{"a": 2.0, "b": 2.0 * math.exp(log)} for log in generation] for generation in generations]


def the(ratio: statistics.Ratio | None) -> statistics.Ratio:
    assert ratio is not None
    return ratio


def numbers(ratio: statistics.Ratio) -> tuple[float, ...]:
    """Estimate and interval."""
    return (ratio.estimate, *(ratio.interval or ()))


def test_a_ratio_by_hand() -> None:
    race: statistics.Samples = [
        [{"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 60.0}],  # median of 2, 2, 20
        [{"b": 24.0, "a": 3.0}, {"b": 0.8, "a": 0.1}],  # median of 8, 8
    ]
    ratio = the(statistics.ratio(race, "b", "a"))
    assert ratio.estimate == pytest.approx(4)  # sqrt(2 * 8)
    # s of log 2 and log 8 is log(4) / sqrt(2), divided by sqrt(2): log(2)
    assert ratio.interval == pytest.approx((4 / 2**T_1, 4 * 2**T_1))
    assert ratio.half_width == pytest.approx(2**T_1 - 1)
    assert (ratio.generations, ratio.pairs) == (2, 5)
    assert not ratio.separated
    inverse = the(statistics.ratio(race, "a", "b"))
    assert inverse.estimate == pytest.approx(1 / 4)
    assert inverse.interval == pytest.approx((1 / 4 / 2**T_1, 2**T_1 / 4))


def test_an_interval_by_hand() -> None:
    centre, half = statistics.student(np.array([0.0, 0.01, 0.02]), 0.05)  # s = 0.01
    assert float(centre) == pytest.approx(0.01)
    assert float(half) == pytest.approx(T_2 * 0.01 / math.sqrt(3))


def test_the_effect_of_starting_first_by_hand() -> None:
    race = of_logs(*[[0.3], [0.1]] * 3)
    assert numbers(the(statistics.ratio(race, "b", "a", started=["b", "a"] * 3))) == pytest.approx([math.exp(0.2)] * 3)
    assert numbers(the(statistics.ratio(race, "a", "b", started=["b", "a"] * 3))) == pytest.approx([math.exp(-0.2)] * 3)
    # Where neither was first it is 0.1; where b was, 0.3. So the effect is 0.2, and exactly 0.1 is left.
    assert numbers(the(statistics.ratio(race, "b", "a", started=["b", "c", "b", "", "b", "d"]))) == pytest.approx(
        [math.exp(0.1)] * 3
    )
    plain = statistics.ratio(race, "b", "a")
    assert (
        plain
        == statistics.ratio(race, "b", "a", started=["b"] * 6)
        == statistics.ratio(race, "b", "a", started=["c", ""] * 3)
    )
    few = race[:5]
    assert statistics.ratio(few, "b", "a", started=["b", "a", "b", "a", "b"]) == statistics.ratio(few, "b", "a")


def test_the_interval_without_that_effect_by_hand() -> None:
    logs, places = np.array([0.31, 0.12, 0.29, 0.08, 0.2, 0.28]), np.array([1.0, -1.0, 1.0, -1.0, 0.0, 1.0])
    design = np.stack([np.ones(6), places], axis=1)
    (intercept, _), (squares,), *_ = np.linalg.lstsq(design, logs)
    error = math.sqrt(squares / 4 * np.linalg.inv(design.T @ design)[0, 0])
    centre, half = statistics.without_place(logs, places, 0.05)
    assert float(centre) == pytest.approx(intercept)
    assert float(half) == pytest.approx(stdtrit(4, 1 - 0.025) * error)


def test_a_generation_that_one_side_missed_is_not_used() -> None:
    race = [*of_logs([0.3], [0.1]), [{"a": 1.0}], *of_logs(*[[0.3], [0.1]] * 2)]
    ratio = the(statistics.ratio(race, "b", "a", started=["b", "a", "a", "b", "a", "b", "a"]))
    assert numbers(ratio) == pytest.approx([math.exp(0.2)] * 3)
    assert ratio.generations == 6


def test_an_even_number_of_rounds_has_the_median_between_the_middle_two() -> None:
    assert the(statistics.ratio(of_logs([0.0, 0.1, 0.3, 5.0]), "b", "a")).estimate == pytest.approx(math.exp(0.2))


def test_several_comparisons_share_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    race: statistics.Samples = [
        [{"a": 1.0, "b": b, "c": c, "d": 1.0}] for b, c in [(1.0, 2.0), (1.1, 2.2), (1.2, 1.9), (1.0, 2.1)]
    ]
    rows = statistics.ratios(race, "a")
    assert [row.backend for row in rows] == ["d", "b", "c"]  # fastest first
    of_four = statistics.ratios(race, "a", may_stop_early=True)  # costs as much as one more comparison
    monkeypatch.setattr(statistics, "CONFIDENCE", 0.9)
    for found, error in [(rows, 0.05 / 3), (of_four, 0.05 / 4), (statistics.ratios(race, "a"), 0.1 / 3)]:
        for row in found:
            assert numbers(row) == pytest.approx(numbers(the(statistics.ratio(race, row.backend, "a", error))))
    assert statistics.ratios([[{"a": 1.0}]], "a") == []


@pytest.mark.parametrize(
    ("interval", "separated"),
    [(None, False), ((0.9, 1.1), False), ((1.0, 1.1), False), ((1.01, 1.1), True), ((0.9, 0.99), True)],
)
def test_separated_is_an_interval_without_1(interval: tuple[float, float] | None, separated: bool) -> None:
    ratio = statistics.Ratio("b", "a", 1.05, None if interval is None else statistics.Interval(*interval), 3, 24, 0)
    assert ratio.separated is separated


@pytest.mark.parametrize(
    ("estimate", "interval", "slow"),
    [
        (1.05, (1.01, 1.09), True),
        (1.05, (0.99, 1.11), False),  # perhaps by chance
        (1.05, (1.0, 1.10), False),
        (1.019, (1.01, 1.03), False),  # certain, but within the margin
        (1.021, (1.001, 1.04), True),
        (0.5, (0.4, 0.6), False),
        (1.5, None, False),  # a single generation
    ],
)
def test_a_slowdown_is_certain_and_beyond_the_margin(
    estimate: float, interval: tuple[float, float] | None, slow: bool
) -> None:
    ratio = statistics.Ratio("b", "a", estimate, None if interval is None else statistics.Interval(*interval), 3, 24, 0)
    assert statistics.is_slowdown(ratio) is slow
    assert not statistics.is_slowdown(ratio, margin=0.6)


def test_ranks_have_ties_that_are_not_transitive() -> None:
    """a and b are not separated, nor b and c, but a is faster than c; d is slower than all."""
    race: statistics.Samples = [
        [{"a": 1.0 + wobble, "b": 1.015 + 20 * wobble, "c": 1.03 - wobble, "d": 2.0}]
        for wobble in (0.001, -0.001, 0.0005, -0.0005, 0.002, -0.002)
    ]
    assert statistics.ranks(race) == {"a": 1, "b": 1, "c": 2, "d": 4}
    pairs = {
        (x, y): the(statistics.ratio(race, x, y, 0.05 / 6)).separated for x, y in [("a", "b"), ("b", "c"), ("a", "c")]
    }
    assert pairs == {("a", "b"): False, ("b", "c"): False, ("a", "c"): True}


def test_ranks_without_knowledge_are_all_1() -> None:
    assert statistics.ranks([[{"a": 1.0, "b": 5.0}, {"c": 9.0}]]) == {"a": 1, "b": 1, "c": 1}
    never_together: statistics.Samples = [[{"a": 1.0}, {"b": 5.0}]] * 5
    assert statistics.ranks(never_together) == {"a": 1, "b": 1}
    assert statistics.ranks([]) == {}


def test_ranks_are_stricter_where_the_race_could_stop_early(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = [0.018, 0.058, 0.038, 0.008, 0.068]
    race = of_logs(*[[log] for log in logs])
    _, half = statistics.student(np.array(logs), 0.05)
    assert half < np.mean(logs) < half * stdtrit(4, 1 - 0.0125) / stdtrit(4, 1 - 0.025)
    assert statistics.ranks(race) == {"a": 1, "b": 2}
    assert statistics.ranks(race, may_stop_early=True) == {"a": 1, "b": 1}
    monkeypatch.setattr(statistics, "CONFIDENCE", 0.99)
    assert statistics.ranks(race) == {"a": 1, "b": 1}


def test_robust_sd_by_hand() -> None:
    assert statistics.robust_sd([np.array([1.0, 2.0, 4.0])]) == pytest.approx(2 * 1.048358)  # distances 1, 2, 3
    assert statistics.robust_sd([np.array([1.0, 2.0]), np.array([9.0, 12.0]), np.array([0.0])]) == pytest.approx(
        2 * 1.048358
    )
    assert statistics.robust_sd([np.array([1.0]), np.array([2.0])]) is None
    rng = np.random.default_rng(12)
    for n in (3, 4, 8):
        assert statistics.robust_sd(list(rng.normal(0, 3, (4000, n)))) == pytest.approx(3, rel=0.03)


def test_outliers_are_counted_and_not_removed() -> None:
    logs = [0.00, 0.01, 0.02, 0.03, 0.04]
    sd = 0.02 * 1.048358  # distances: four of 0.01, three of 0.02, two of 0.03, one of 0.04
    assert statistics.robust_sd([np.array(logs)]) == pytest.approx(sd)
    for far, n_outliers in [(4.9 * sd, 0), (5.6 * sd, 1), (-5.6 * sd, 1)]:
        # two more values move the median to 0.02, the middle of 7, and change the sd a little
        generation = [*logs, 0.02, 0.02 + far]
        assert the(statistics.ratio(of_logs(generation, logs, logs), "b", "a")).outliers == n_outliers
    ratio = the(statistics.ratio(of_logs([*logs, 3.0], logs), "b", "a"))
    assert (ratio.outliers, ratio.pairs) == (1, 11)
    assert ratio.estimate == pytest.approx(math.exp((0.025 + 0.02) / 2))  # 3.0 counts as a high one
    assert statistics.outliers([np.array([1.0]), np.array([5.0])]) == 0


def test_outliers_of_normal_noise_are_very_rare() -> None:
    rng = np.random.default_rng(13)
    for n in (3, 5, 8, 20):
        counts = [statistics.outliers(list(rng.normal(0, 1, (6, n)))) for _ in range(100)]
        assert sum(counts) / (100 * 6 * n) < 0.002, n


def test_seconds_by_hand() -> None:
    race: statistics.Samples = [
        [{"a": 1.0, "b": 3.0}, {"a": 2.0}, {"a": 4.0}],  # median of a: 2
        [{"a": 8.0}, {"a": 8.0, "b": 3.0}],
    ]
    found = statistics.log_seconds(race)
    assert list(found) == ["a", "b"]
    assert np.exp(found["a"]) == pytest.approx([2, 8])
    assert np.exp(found["b"]) == pytest.approx([3, 3])


def test_drift_and_scatter_are_separated() -> None:
    """Drift between generations is estimated whatever noise and bursts there are within them."""
    rng = np.random.default_rng(14)
    speeds = np.exp([0.0, 0.4, 0.1, 0.2])
    race = [
        [{"a": float(speed * math.exp(rng.normal(0, 0.05)) * (1 + 2 * (number == 3)))} for number in range(50)]
        for speed in speeds
    ]
    assert np.ptp(statistics.log_seconds(race)["a"]) == pytest.approx(0.4, abs=0.05)


def test_an_exponent_by_hand() -> None:
    # log2: sizes 0, 1, 2; times 0, 1, 3; line -1/6 + 3/2 x; distances 1/6, -1/3, 1/6
    power, interval = statistics.exponent([1, 2, 4], [1.0, 2.0, 8.0])
    assert power == pytest.approx(1.5)
    half = T_1 * math.sqrt(1 / 6 / 2)
    assert interval == pytest.approx((1.5 - half, 1.5 + half))


def test_an_exact_power_has_its_exponent() -> None:
    sizes = [100, 10, 1000, 50]
    power, interval = statistics.exponent(sizes, [3e-6 * size**0.75 for size in sizes])
    assert power == pytest.approx(0.75)
    assert interval == pytest.approx((0.75, 0.75))
    assert statistics.exponent([1, 2], [1.0, 2.0]) == pytest.approx((1, None))


def test_intervals_of_exponents_hold_as_often_as_promised() -> None:
    rng = np.random.default_rng(15)
    sizes = np.array([32, 64, 128, 256, 512])
    fits = [
        statistics.exponent(sizes.tolist(), (sizes**0.9 * np.exp(rng.normal(0, 0.03, 5))).tolist()) for _ in range(500)
    ]
    held = np.array([interval is not None and interval.low <= 0.9 <= interval.high for _, interval in fits])
    assert kept(held, 0.95)
    assert kept(~held, 0.05 / 2)


# Traps ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_unequal_numbers_of_identical_samples_are_not_a_difference(noise: float) -> None:
    """5 samples of one and 7 of the other, which pyperf always calls significant."""
    rng = np.random.default_rng(16)
    same = np.exp(rng.normal(0, noise, (6, 7))).tolist()
    race = [[{"a": t, "b": t} if i < 5 else {"b": t} for i, t in enumerate(times)] for times in same]
    ratio = the(statistics.ratio(race, "b", "a"))
    assert (ratio.estimate, ratio.interval, ratio.pairs) == (1, (1, 1), 30)
    assert not ratio.separated
    assert not statistics.is_slowdown(ratio)
    assert statistics.ranks(race) == {"a": 1, "b": 1}


def test_only_times_of_one_round_are_paired() -> None:
    """The machine is ten times slower in the second round, in which a is missing."""
    race: statistics.Samples = [[{"a": 1.0, "b": 1.1}, {"b": 11.0}, {"a": 2.0, "b": 2.2}]] * 2
    assert [logs.tolist() for logs in statistics.log_ratios(race, "b", "a")] == [pytest.approx([math.log(1.1)] * 2)] * 2


@pytest.mark.parametrize("outlier", [1e6, 1e-6])
def test_one_outlier_moves_an_estimate_by_no_more_than_its_share(outlier: float) -> None:
    """However large: the median of its generation moves to the next value, and the estimate by a sixth of that."""
    (generation, *others) = simulated(17, 1, [9] * 6, (1.0, 1.3), Noise())
    spoiled = generation.copy()
    spoiled[0, 4, 1] *= outlier
    before, after = (race_of([first, *others], 0) for first in (generation, spoiled))
    logs = np.sort(statistics.log_ratios(before, "b", "a")[0])
    moved = math.log(the(statistics.ratio(after, "b", "a")).estimate / the(statistics.ratio(before, "b", "a")).estimate)
    assert abs(moved) <= max(np.diff(logs)[3:5]) / 6 + 1e-12
    assert the(statistics.ratio(after, "b", "a")).outliers == the(statistics.ratio(before, "b", "a")).outliers + 1


def test_a_generation_counts_once_however_many_rounds_it_has() -> None:
    race = of_logs([0.0] * 100, [0.3], [0.3])
    assert the(statistics.ratio(race, "b", "a")).estimate == pytest.approx(math.exp(0.2))


def test_no_order_matters() -> None:
    generations = simulated(18, 1, [5, 9, 8, 6, 7], (1.0, 1.02, 1.1), ALL)
    race = race_of(generations, 0)
    shuffled = [[dict(reversed(list(one.items()))) for one in reversed(generation)] for generation in reversed(race)]
    assert statistics.backends(shuffled) == statistics.backends(race) == ["a", "b", "c"]
    assert statistics.ranks(shuffled) == statistics.ranks(race)
    for here, there in zip(statistics.ratios(race, "a"), statistics.ratios(shuffled, "a"), strict=True):
        assert here._replace(estimate=0, interval=None) == there._replace(estimate=0, interval=None)
        assert numbers(there) == pytest.approx(numbers(here), rel=1e-12)
    for mine, other in zip(
        statistics.log_seconds(race).values(), statistics.log_seconds(shuffled).values(), strict=True
    ):
        assert np.sort(mine) == pytest.approx(np.sort(other), rel=1e-12)


def test_a_single_generation_has_no_interval() -> None:
    """However many rounds it has: it says nothing about other generations."""
    race = of_logs([0.1 + 0.001 * (i % 3) for i in range(200)])
    ratio = the(statistics.ratio(race, "b", "a"))
    assert ratio.estimate == pytest.approx(math.exp(0.101))
    assert (ratio.interval, ratio.half_width, ratio.separated) == (None, None, False)
    assert not statistics.is_slowdown(ratio)
    assert not statistics.precise(race, "a", 10.0)
    with pytest.raises(ValueError, match="at least two generations"):
        statistics.student(np.array([0.1]), 0.05)


def test_two_generations_that_differ_much_give_an_interval_without_bounds() -> None:
    ratio = the(statistics.ratio(of_logs([0.0], [100.0]), "b", "a", 0.001))
    assert ratio.interval == (0.0, math.inf)
    assert not ratio.separated


def test_a_race_is_not_precise_before_the_least_generations() -> None:
    logs = [[0.1], [0.1001], [0.1], [0.1001], [0.1]]
    assert [statistics.precise(of_logs(*logs[:n]), "a", 0.01) for n in range(1, 6)] == [False] * 4 + [True]
    assert statistics.LEAST_TO_STOP == 5


def test_a_race_is_precise_when_the_widest_ratio_is(monkeypatch: pytest.MonkeyPatch) -> None:
    race = of_logs([0.1], [0.2], [0.1], [0.15], [0.12])
    width = the(statistics.ratio(race, "b", "a", 0.05 / 2)).half_width
    assert width is not None
    assert statistics.precise(race, "a", width + 1e-9)
    assert not statistics.precise(race, "a", width - 1e-9)
    with_another = [[{**one, "c": one["a"]} for one in generation] for generation in race]
    assert not statistics.precise(with_another, "a", width + 1e-9)
    assert not statistics.precise([[{"a": 1.0}]] * 9, "a", 1.0)  # nothing to know
    monkeypatch.setattr(statistics, "CONFIDENCE", 0.96)
    assert not statistics.precise(race, "a", width + 1e-9)


def test_a_backend_that_died_keeps_what_it_measured() -> None:
    race: statistics.Samples = [
        [{"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 1.0, "b": 2.2}],
        [{"a": 1.1, "b": 2.0}, {"a": 1.0, "b": 2.1}],
        [{"a": 1.0}, {"a": 1.0, "b": 2.1}],
        [{"b": 2.0}, {"d": 1.0}],
        [],
    ]
    rows = {row.backend: row for row in statistics.ratios(race, "a")}
    assert {name: (row.generations, row.pairs) for name, row in rows.items()} == {"b": (3, 5), "c": (1, 1)}
    assert rows["c"].interval is None
    assert statistics.ratio(race, "d", "a") is None
    assert statistics.backends(race) == ["a", "b", "c", "d"]
    assert statistics.ratios(race, "absent") == []


@pytest.mark.parametrize("time", [0.0, -1.0, math.nan, math.inf])
def test_invalid_times_are_refused(time: float) -> None:
    race: statistics.Samples = [[{"a": 1.0, "b": time}]]
    with pytest.raises(ValueError, match="b and a: expected finite numbers above 0, found"):
        statistics.ratio(race, "b", "a")
    with pytest.raises(ValueError, match="b: expected finite numbers above 0"):
        statistics.log_seconds(race)
    with pytest.raises(ValueError, match="times: expected finite numbers above 0"):
        statistics.exponent([1, 2], [1.0, time])


@pytest.mark.parametrize(("sizes", "times"), [([1], [1.0]), ([2, 2], [1.0, 2.0]), ([1, 2, 3], [1.0, 2.0])])
def test_an_exponent_needs_different_sizes(sizes: list[float], times: list[float]) -> None:
    with pytest.raises(ValueError, match="at least two different sizes, with one time for each"):
        statistics.exponent(sizes, times)


# Two races, shares ---------------------------------------------------------------------------------------------------


def two_races(
    rng: np.random.Generator, true: float, generations: tuple[int, int], noise: tuple[float, float]
) -> list[statistics.Samples]:
    """A backend and a yardstick, before and after: the machine becomes half as fast, and the backend changes."""
    races: list[statistics.Samples] = []
    for number, (n, sd) in enumerate(zip(generations, noise, strict=True)):
        factor = (true if number else 1.0) * np.exp(sd * rng.standard_normal(n))
        races.append([[{"a": (1 + number) * f, "floor": 0.5 * (1 + number)}] for f in factor])
    return races


def test_a_change_is_a_ratio_of_ratios() -> None:
    before = [[{"a": 1.0, "floor": 0.5}], [{"a": 1.1, "floor": 0.5}]]
    after = [[{"a": 4.0, "floor": 1.0}], [{"a": 4.4, "floor": 1.0}], [{"a": 4.2, "floor": 1.0}]]
    change = statistics.change(before, after, "a", "floor")
    assert change is not None
    logs = [np.log([2.0, 2.2]), np.log([4.0, 4.4, 4.2])]
    assert change.estimate == pytest.approx(float(np.exp(logs[1].mean() - logs[0].mean())))
    variances = [log.var(ddof=1) / len(log) for log in logs]
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 1 + variances[1] ** 2 / 2)  # Welch and Satterthwaite
    half = stdtrit(freedom, 1 - 0.025) * np.sqrt(sum(variances))
    assert change.interval == pytest.approx((change.estimate / np.exp(half), change.estimate * np.exp(half)))
    assert change.generations == 2


def test_a_change_needs_both_races_and_more_than_one_generation() -> None:
    one = [[{"a": 1.0, "floor": 0.5}]]
    assert statistics.change(one, [[{"b": 1.0, "floor": 1.0}]], "a", "floor") is None
    change = statistics.change(one, [[{"a": 3.0, "floor": 0.5}]], "a", "floor")
    assert change is not None
    assert change.estimate == pytest.approx(3.0)
    assert change.interval is None
    assert not statistics.is_slowdown(change)


def test_without_any_scatter_a_change_is_certain() -> None:
    before, after = ([[{"a": a, "floor": 0.5}]] * 3 for a in (1.0, 1.5))
    change = statistics.change(before, after, "a", "floor")
    assert change is not None
    assert change.interval == pytest.approx((1.5, 1.5))


@pytest.mark.parametrize(
    ("generations", "noise"), [((8, 8), (0.02, 0.02)), ((5, 12), (0.05, 0.01)), ((12, 5), (0.05, 0.01))]
)
def test_the_interval_of_a_change_holds_as_often_as_promised(
    generations: tuple[int, int], noise: tuple[float, float]
) -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(1000):
        before, after = two_races(rng, 1.03, generations, noise)
        change = statistics.change(before, after, "a", "floor")
        assert change is not None
        assert change.interval is not None
        held += change.interval.low <= 1.03 <= change.interval.high
    assert held >= 930  # 950 less three standard deviations of a count


@pytest.mark.parametrize(
    ("hits", "of", "interval"),
    [
        (0, 60, (0.0, 0.0596)),  # 1 - 0.025^(1/60)
        (60, 60, (0.9404, 1.0)),
        (1, 20, (0.0013, 0.2487)),
        (10, 20, (0.2720, 0.7280)),
    ],
)
def test_a_share_has_the_interval_of_clopper_and_pearson(hits: int, of: int, interval: tuple[float, float]) -> None:
    assert statistics.share(hits, of) == pytest.approx(interval, abs=1e-4)
    low, high = statistics.share(hits, of)
    assert hits == 0 or bdtrc(hits - 1, of, low) == pytest.approx(0.025)  # as many or more
    assert hits == of or bdtr(hits, of, high) == pytest.approx(0.025)  # as many or fewer


def test_a_share_need_not_be_whole() -> None:
    assert statistics.share(1, 20).high < statistics.share(1.5, 20).high < statistics.share(2, 20).high


def test_an_unranked_backend_is_part_of_the_comparisons() -> None:
    race = [[{"a": 1.0, "b": 1.2, "floor": 0.1}], [{"a": 1.0, "b": 1.201, "floor": 0.1}]]
    assert statistics.ranks(race, unranked="floor") == {"a": 1, "b": 2}
    close = [[{"a": 1.0, "b": float(np.exp(0.02 + off)), "floor": 0.1}] for off in [0.0196, -0.0196] * 4]  # t is 2.7
    alone = [[{name: seconds for name, seconds in one.items() if name != "floor"} for one in g] for g in close]
    assert statistics.ranks(alone) == {"a": 1, "b": 2}
    assert statistics.ranks(close, unranked="floor") == {"a": 1, "b": 1}  # three comparisons instead of one


def test_ranks_pay_for_every_pair() -> None:
    """Five backends make ten pairs, not the four of a comparison with one baseline."""
    of_pairs, of_others = (stdtrit(7, 1 - 0.05 / n / 2) for n in (10, 4))
    assert of_pairs > 1.1 * of_others
    logs = np.array([1.0, -1.0] * 4) * 0.01
    mean = (of_pairs + of_others) / 2 * logs.std(ddof=1) / math.sqrt(8)
    race = [[{"a": 1.0, "b": math.exp(mean + log), "c": 3.0, "d": 9.0, "e": 27.0}] for log in logs]
    assert statistics.ranks(race) == {"a": 1, "b": 1, "c": 3, "d": 4, "e": 5}
    two = [[{name: one[name] for name in "ab"} for one in generation] for generation in race]
    assert statistics.ranks(two) == {"a": 1, "b": 2}
