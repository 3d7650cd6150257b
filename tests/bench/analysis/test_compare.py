"""Before against after: which way round, how wide the intervals are, the verdicts, and what cannot be compared."""

from pathlib import Path
from typing import Any

import pytest

from bench import UserError
from bench.analysis import statistics
from bench.analysis.compare import changes, of_files, verdict
from bench.analysis.race import ratios_of_race
from bench.records.files import ResultSet, read
from tests.helpers.race_files import MACHINE, race_records, written

KEY: dict[str, Any] = {"machine": {**MACHINE, "libraries": {"numpy": "2"}, "blas": []}, "measuring": "abc"}


def raced(folder: Path, name: str, seed: int = 0, **key: Any) -> ResultSet:
    """Four generations of three backends and the floor."""
    records = race_records(number=seed, noise=0.05, key=KEY | key)
    return read(written(folder, name, [record | {"race": 0} for record in records]))


def of_two_sides(folder: Path, *times: tuple[float, float]) -> ResultSet:
    """Races of before and after, seconds each."""
    several = [
        race_records(
            {"before": before, "after": after},
            number=number,
            purpose="compare",
            participants={"before": f"backend {number}", "after": f"backend {number}"},
        )
        for number, (before, after) in enumerate(times)
    ]
    return read(written(folder, "compare.jsonl", *several))


@pytest.mark.parametrize(
    ("estimate", "interval", "expected"),
    [
        (1.1, (1.05, 1.15), "slower"),
        (0.9, (0.85, 0.95), "faster"),
        (1.01, (1.005, 1.015), "no slowdown found"),  # within the margin
        (1.1, (0.9, 1.3), "no slowdown found"),
        (0.9, (0.7, 1.1), "no slowdown found"),
        (1.1, None, "unknown, of a single generation"),
    ],
)
def test_verdicts(estimate: float, interval: tuple[float, float] | None, expected: str) -> None:
    ends = None if interval is None else statistics.Interval(*interval)
    assert verdict(statistics.Ratio("after", "before", estimate, ends, 4, 12, 0)) == expected


def test_a_change_is_after_over_before_and_all_of_them_share_the_error(tmp_path: Path) -> None:
    results = of_two_sides(tmp_path, (0.1, 0.2), (0.4, 0.1), (0.1, 0.1))
    found = changes(results.races)
    assert list(found) == ["backend 0", "backend 1", "backend 2"]
    for ratio, race, factor in zip(found.values(), results.races, (2.0, 0.25, 1.0), strict=True):
        assert ratio is not None
        assert ratio.estimate == pytest.approx(factor, rel=0.05)
        expected = statistics.ratio(race.rounds(), "after", "before", 0.05 / 3, race.started())
        assert expected is not None
        assert ratio.interval == pytest.approx(expected.interval)


def test_files_are_compared_as_races_that_may_have_stopped_early(tmp_path: Path) -> None:
    there, here = (raced(tmp_path, name, seed).races for seed, name in enumerate(("there", "here")))
    found = dict(of_files(there, here))
    assert len(found) == 3
    for name in ("slow", "swift", "twin"):
        expected = statistics.change(there[0].rounds(), here[0].rounds(), name, "floor", 0.05 / (3 + 1))
        assert expected is not None
        assert found[f"{name}, batches of 128"].interval == pytest.approx(expected.interval)


@pytest.mark.parametrize(
    ("part", "here", "said"),
    [
        ("environment", {"NUMBA_CPU_NAME": "generic"}, "machine environment NUMBA_CPU_NAME None there, generic here"),
        ("environment", {"MALLOC_ARENA_MAX": "1"}, "MALLOC_ARENA_MAX None there, 1 here"),
        ("quota", 1.5, "machine quota None there, 1.5 here"),
        ("topology", "1 physical core: 0+1", "machine topology None there, 1 physical core: 0+1 here"),
    ],
)
def test_files_of_other_settings_of_the_machine_are_not_compared(
    part: str, here: Any, said: str, tmp_path: Path
) -> None:
    machine = KEY["machine"] | {"environment": {}}
    one, other = raced(tmp_path, "there", machine=machine), raced(tmp_path, "here", machine=machine | {part: here})
    with pytest.raises(UserError, match="not of one machine") as refused:
        of_files(one.races, other.races)
    assert said in str(refused.value)


def test_ratios_of_a_race_are_wider_as_it_may_have_stopped_early(tmp_path: Path) -> None:
    (race,) = raced(tmp_path, "race").races
    found = ratios_of_race(race)
    assert sorted(found) == ["floor", "swift", "twin"]
    for name, ratio in found.items():
        expected = statistics.ratio(race.rounds(), name, "slow", 0.05 / (3 + 1))
        assert expected is not None
        assert ratio.interval == pytest.approx(expected.interval)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"machine": KEY["machine"] | {"id": "another"}}, "machine id 0a1b2c3d there, another here"),
        ({"machine": KEY["machine"] | {"cores": 4}}, "machine cores 2 there, 4 here"),
        ({"machine": KEY["machine"] | {"libraries": {"numpy": "3"}}}, "numpy 2 there, 3 here"),
        ({"measuring": "xyz"}, "measuring code abc there, xyz here"),
        ({"images": 7000}, "expected the same case in both: images 6000 there, 7000 here"),
    ],
)
def test_what_cannot_be_compared_is_named(other: dict[str, Any], message: str, tmp_path: Path) -> None:
    there, here = raced(tmp_path, "there").races, raced(tmp_path, "here", **other).races
    with pytest.raises(UserError) as caught:
        of_files(there, here)
    assert message in str(caught.value)
