"""What stands beside the time: break-even, arithmetic and memory, worked out by hand."""

import math
from typing import Any

import pytest

from bench.analysis.race import machine_rate, resources, times_of
from bench.records.races import ParticipantResult, Process, RaceResult, Sample
from bench.tables.race import machine_reached
from bench.timing.floor import flop_of

KEY = {"measure": "epoch", "sizes": [784, 128, 10], "images": 1000, "dtype": "float32"}


def participant(
    name: str, seconds: float, prepare: float, first: float, cold: float | None, **others: Any
) -> ParticipantResult:
    rates: dict[str, Any] = {"gemm": 2e11, "bandwidth": 3e10} if name == "floor" else {"gemm": None, "bandwidth": None}
    images = others.pop("images", 1000)
    processes = [
        Process(g, prepare, first, {}, process_peak=peak, call_peak=call, **rates)
        for g, (peak, call) in enumerate([(100, 10), (300, None)])
    ]
    samples = [Sample(g, r, seconds, 1.5 * seconds, 0.5 * seconds) for g in range(2) for r in range(3)]
    return ParticipantResult(name, name, images, processes=processes, samples=samples, cold=cold)


def race_of(*participants: ParticipantResult, **key: Any) -> RaceResult:
    found = RaceResult(0, "race", "", "", KEY | key, {}, "vectorized", "", None)
    found.participants |= {one.name: one for one in participants}
    return found


BASELINE = participant("vectorized", 1.0, prepare=0.5, first=1.5, cold=1.5)  # 2 s, then 1 s a round
FLOOR = participant("floor", 0.25, 0.1, 0.3, None)


@pytest.mark.parametrize(
    ("seconds", "prepare", "first", "cold", "rounds", "rounds_cold"),
    [
        (0.5, 0.5, 3.5, 21.5, 5, 41),  # starts 2 s later, and wins half a second a round: 4 rounds after the first
        (0.5, 0.5, 1.5, 1.5, 1, 1),
        (0.5, 0.0, 0.5, None, 1, None),
        (2.0, 0.0, 0.5, 0.5, math.inf, math.inf),
        (1.0, 0.5, 1.5, 1.5, math.inf, math.inf),
        (0.9, 0.5, 2.05, None, 7, None),  # 0.55 s behind: after the first, 5.5 rounds at 0.1 s
    ],
)
def test_break_even_is_the_round_after_which_all_together_took_less(
    seconds: float, prepare: float, first: float, cold: float | None, rounds: float, rounds_cold: float | None
) -> None:
    found = resources(race_of(BASELINE, FLOOR, participant("other", seconds, prepare, first, cold)))
    assert found["other"].break_even == rounds
    assert found["other"].break_even_cold == rounds_cold
    assert found["vectorized"].break_even is None
    assert found["floor"].break_even is None


def test_fewer_images_are_scaled_everywhere() -> None:
    sampled = participant("other", 0.1, 0.1, 0.3, 1.0, images=200)
    found = resources(race_of(BASELINE, FLOOR, sampled))["other"]
    assert (found.prepare, found.first, found.cold) == pytest.approx((0.5, 1.5, 5.0))
    assert found.break_even == 1
    assert times_of(race_of(BASELINE, sampled))["other"] == pytest.approx(0.5)


def test_arithmetic_is_held_against_what_the_machine_reached() -> None:
    found = resources(race_of(BASELINE, FLOOR))
    dense = 2 * 1000 * (2 * 784 * 128 + 3 * 128 * 10)
    assert found["vectorized"].flop_rate == pytest.approx(dense)
    assert found["vectorized"].share_of_gemm == pytest.approx(dense / 2e11)
    assert found["vectorized"].floors == pytest.approx(0.25)
    assert found["floor"].flop_rate is None
    assert found["floor"].floors is None
    assert machine_rate(race_of(FLOOR), "gemm") == 2e11
    (said,) = machine_reached(race_of(FLOOR))
    assert "200 GFLOP/s" in said
    assert "30.0 GB/s" in said
    assert machine_reached(race_of(BASELINE)) == []


def test_outputs_go_forward_only_and_have_no_break_even() -> None:
    found = resources(race_of(BASELINE, FLOOR, participant("other", 0.5, 0, 1, None), measure="outputs"))["other"]
    assert found.flop_rate == pytest.approx(2 * 1000 * (784 * 128 + 128 * 10) / 0.5)
    assert found.break_even is None


def test_cpu_and_memory() -> None:
    found = resources(race_of(BASELINE))["vectorized"]
    assert found.cpu == pytest.approx(2.0)
    assert (found.process_peak, found.call_peak) == (300, 10)


@pytest.mark.parametrize(
    ("sizes", "backward", "products"),
    [
        ((784, 10), True, 2 * 784 * 10),
        ((784, 10), False, 784 * 10),
        ((784, 128, 10), True, 2 * 784 * 128 + 3 * 128 * 10),
        ((784, 16, 16, 10), True, 2 * 784 * 16 + 3 * (16 * 16 + 16 * 10)),
    ],
)
def test_flop_of_a_pass(sizes: tuple[int, ...], backward: bool, products: int) -> None:
    assert flop_of(sizes, 7, backward) == 2 * 7 * products
    assert flop_of((784, 128, 10), 60000) == pytest.approx(24.55e9, rel=0.01)  # as published for this network
