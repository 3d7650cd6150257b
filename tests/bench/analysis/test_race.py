"""Resources of a race: break-even, arithmetic and memory, worked out by hand."""

import math
from typing import Any

import pytest

from bench.analysis.race import crowded, machine_rate, neighbours, over_floor, resources, times_of
from bench.records.races import ParticipantResult, RaceResult
from bench.tables.race import machine_reached
from bench.timing.floor import flop_of
from bench.timing.records import Generation, Rates
from tests.helpers.records import typed_process, typed_sample

KEY = {"measure": "epoch", "sizes": [784, 128, 10], "images": 1000, "dtype": "float32"}


def participant(
    name: str, seconds: float, prepare: float, first: float, cold: float | None, **others: Any
) -> ParticipantResult:
    rates = Rates(2e11, 3e10) if name == "floor" else None
    images = others.pop("images", 1000)
    processes = [
        typed_process(g, prepare, first, process_peak=peak, call_peak=call, rates=rates)
        for g, (peak, call) in enumerate([(100, 10), (300, None)])
    ]
    samples = [typed_sample(g, r, seconds, 1.5 * seconds, 0.5 * seconds) for g in range(2) for r in range(3)]
    return ParticipantResult(name, name, images, processes=processes, samples=samples, cold=cold)


def race_of(*participants: ParticipantResult, **key: Any) -> RaceResult:
    race = RaceResult(0, "race", "", "", KEY | key, {}, "vectorized", "", None)
    race.participants |= {one.name: one for one in participants}
    return race


BASELINE = participant("vectorized", 1.0, prepare=0.5, first=1.5, cold=1.5)  # 2 s, then 1 s per epoch
FLOOR = participant("floor", 0.25, 0.1, 0.3, None)


@pytest.mark.parametrize(
    ("seconds", "prepare", "first", "cold", "epochs", "epochs_cold"),
    [
        (0.5, 0.5, 3.5, 21.5, 5, 41),  # starts 2 s later, and saves 0.5 s per epoch: 4 epochs after the first
        (0.5, 0.5, 1.5, 1.5, 1, 1),
        (0.5, 0.0, 0.5, None, 1, None),
        (2.0, 0.0, 0.5, 0.5, math.inf, math.inf),
        (1.0, 0.5, 1.5, 1.5, math.inf, math.inf),
        (0.9, 0.5, 2.05, None, 7, None),  # 0.55 s behind after the first, then 5.5 epochs at 0.1 s
    ],
)
def test_break_even_is_the_epoch_after_which_the_total_is_less(
    seconds: float, prepare: float, first: float, cold: float | None, epochs: float, epochs_cold: float | None
) -> None:
    of_each = resources(race_of(BASELINE, FLOOR, participant("other", seconds, prepare, first, cold)))
    assert of_each["other"].break_even == epochs
    assert of_each["other"].break_even_cold == epochs_cold
    assert of_each["vectorized"].break_even is None
    assert of_each["floor"].break_even is None


def test_fewer_images_are_scaled_everywhere() -> None:
    sampled = participant("other", 0.1, 0.1, 0.3, 1.0, images=200)
    other = resources(race_of(BASELINE, FLOOR, sampled))["other"]
    assert (other.prepare, other.first, other.cold) == pytest.approx((0.5, 1.5, 5.0))
    assert other.break_even == 1
    assert times_of(race_of(BASELINE, sampled))["other"] == pytest.approx(0.5)


def test_arithmetic_is_compared_with_the_rates_of_the_machine() -> None:
    of_each = resources(race_of(BASELINE, FLOOR))
    dense = 2 * 1000 * (2 * 784 * 128 + 3 * 128 * 10)
    assert of_each["vectorized"].flop_rate == pytest.approx(dense)
    assert of_each["vectorized"].share_of_gemm == pytest.approx(dense / 2e11)
    assert of_each["vectorized"].floors == pytest.approx(0.25)
    assert of_each["floor"].flop_rate is None
    assert of_each["floor"].floors is None
    assert machine_rate(race_of(FLOOR), "gemm") == 2e11
    (note,) = machine_reached(race_of(FLOOR))
    assert "200 GFLOP/s" in note
    assert "30.0 GB/s" in note
    assert machine_reached(race_of(BASELINE)) == []


def test_outputs_go_forward_only_and_have_no_break_even() -> None:
    other = resources(race_of(BASELINE, FLOOR, participant("other", 0.5, 0, 1, None), measure="outputs"))["other"]
    assert other.flop_rate == pytest.approx(2 * 1000 * (784 * 128 + 128 * 10) / 0.5)
    assert other.break_even is None


@pytest.mark.parametrize(
    ("others", "cores", "n_threads", "words"),
    [
        (0.2, 2, 2, None),
        (1.0, 2, 2, "threads 1 would be faster, as 1.0 of 2 cores were not free; end it, or give --threads 1"),
        (1.0, 2, 1, None),  # it has the other core
        (1.9, 2, 2, "other processes are busy: 1.9 of 2 cores were not free; end what else is running"),
        (1.9, 2, 1, "other processes are busy"),
        (3.1, 16, 16, "threads 13 would be faster"),
        (3.1, 16, 13, None),
        (30.0, 64, 2, None),
    ],
)
def test_other_processes_count_where_threads_need_their_cores(
    others: float, cores: int, n_threads: int, words: str | None
) -> None:
    found = crowded(others, cores, n_threads)
    assert words in found if words and found else found is words


def test_other_processes_are_counted_over_all_generations() -> None:
    race = race_of(BASELINE, threads=2)
    assert neighbours(race) is None  # no generation, no time
    race.generations = [
        Generation(generation, seconds, others=others, cores=2, race=0)
        for generation, (seconds, others) in enumerate([(1.0, 1.0), (9.0, 0.5), (50.0, None)])
    ]
    assert neighbours(race) is None
    race.generations[1] = Generation(1, 9.0, others=8.0, cores=2, race=0)
    assert "0.9 of 2 cores" in str(neighbours(race))


def test_ratios_to_the_floor_by_size() -> None:
    races = [
        race_of(participant("vectorized", seconds, 0, 1, None), participant("floor", 0.25, 0, 1, None), threads=n)
        for n, seconds in ((2, 0.5), (1, 1.0))
    ]
    for race in races:
        race.sweep = "threads"
    ((name, ratios),) = over_floor(races).items()
    assert name == "vectorized"
    assert {n: ratio.estimate for n, ratio in ratios.items()} == pytest.approx({1: 4.0, 2: 2.0})
    assert [*ratios] == [1, 2]


def test_cpu_and_memory() -> None:
    baseline = resources(race_of(BASELINE))["vectorized"]
    assert baseline.cpu == pytest.approx(2.0)
    assert (baseline.process_peak, baseline.call_peak) == (300, 10)


@pytest.mark.parametrize(
    ("sizes", "backward", "products"),
    [
        ((784, 10), True, 2 * 784 * 10),
        ((784, 10), False, 784 * 10),
        ((784, 128, 10), True, 2 * 784 * 128 + 3 * 128 * 10),
        ((784, 16, 16, 10), True, 2 * 784 * 16 + 3 * (16 * 16 + 16 * 10)),
    ],
)
def test_flop_of_an_epoch(sizes: tuple[int, ...], backward: bool, products: int) -> None:
    assert flop_of(sizes, 7, backward) == 2 * 7 * products
    assert flop_of((784, 128, 10), 60000) == pytest.approx(24.55e9, rel=0.01)  # as published for this network
