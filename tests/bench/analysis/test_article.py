"""Numbers from the article's records, worked by hand; and that the experiments have the settings that they name."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from bench.analysis.article import compared, effects, experiment_results, mini_batches, setting_results
from bench.records.kinds import Training
from bench.records.races import ParticipantResult, RaceResult
from bench.workloads.article import EXPERIMENTS, GRIDS, PIXELS, RELU, RELU_DESIGN, SETTING, printed
from tests.helpers.article_records import EITHER, LABELS, course, figure, seen


def race(*courses: dict[str, Any], purpose: str = "article", settings: Any = None, **about: Any) -> RaceResult:
    usual = {"name": "row", "shows": "", "said": "", "setting": "s", "epochs": 10, "figures": []}
    usual |= {"seconds": 9.0, "check": None, "backend": "quick", "method": "slow", "labels": LABELS}
    key = {"settings": settings or {"s": {"epochs": 1}}}
    found = RaceResult(
        0,
        purpose,
        "",
        "",
        key,
        {},
        "quick",
        "MNIST",
        None,
        {n: ParticipantResult(n, n) for n in ("quick", "slow")},
        about=usual | about,
    )
    for one in trainings(*courses):
        found.participants[one.participant].trainings.append(one)
    return found


def trainings(*courses: dict[str, Any]) -> list[Training]:
    return [msgspec.convert({"kind": "training", "race": 0} | one, Training) for one in courses]


def test_a_printed_number_is_all_that_is_rounded_to_it() -> None:
    cost, accuracy = printed("cost", "0.0431", 1, splits=EITHER), printed("accuracy", "92.86", 1, splits=EITHER)
    assert (cost.low, cost.high) == pytest.approx((0.04305, 0.04315))
    assert (accuracy.low, accuracy.high) == pytest.approx((0.92855, 0.92865))


def test_a_figure_is_reproduced_where_the_range_of_seeds_contains_it() -> None:
    courses = trainings(course(0, 0.5, 0.90), course(1, 0.5, 0.93))
    found = compared(figure("accuracy", "92.86", 1), courses, LABELS)
    assert (found.split, found.epoch, found.values, found.reproduced) == ("test", 1, [0.90, 0.93], True)
    assert compared(figure("accuracy", "93.00", 1), courses, LABELS).reproduced  # to its last digit
    above = compared(figure("accuracy", "93.01", 1), courses, LABELS)
    assert (above.reproduced, above.split) == (False, "test")  # the nearer of both
    below = compared(figure("accuracy", "89.50", 1), courses, LABELS)
    assert (below.reproduced, below.split) == (True, "train")
    assert compared(figure("accuracy", "50.00", 1, 0), courses, LABELS).epoch == 0
    assert not compared(figure("accuracy", "50.00", 7), courses, LABELS).reproduced  # no training got so far


def test_the_score_of_a_constant_answer_is_named() -> None:
    courses = trainings(course(0, 0.5))
    assert compared(figure("accuracy", "11.35", 0), courses, LABELS).constant == "always 1, test"
    assert compared(figure("accuracy", "11.24", 0), courses, LABELS).constant == "always 1, train"
    assert compared(figure("accuracy", "9.80", 0), courses, LABELS).constant == "always 0, test"
    assert compared(figure("accuracy", "11.24", 0, splits=("test",)), courses, LABELS).constant is None
    assert compared(figure("cost", "0.1135", 0), courses, LABELS).constant is None


def test_a_row_counts_what_diverged_and_what_collapsed() -> None:
    bad = course(2, 0.1)
    bad["points"][-1] |= {"train": seen(0.1, None), "test": seen(0.1, None, answers=[0, 100, 0])}
    slow = [course(0, 0, 0, 0, participant="slow", wall=6.0), course(1, 0, 0, participant="slow", wall=2.0)]
    (row,) = experiment_results([race(course(1, 0.5, 0.9, 0.9), course(0, 0.5, 0.9), bad, *slow)])
    assert (row.seeds, row.diverged, row.collapsed, row.zeros, row.dead) == (3, 1, {1: 1}, 0.25, [0, 0, 0])
    assert row.times == pytest.approx((10 / 3 * 6, 10 / 3 * 12, 0.5))  # three rounds of ten
    assert row.method_times == pytest.approx((10 / 3 * 8, 10 / 3 * 8, 0.5))
    assert row.ratio
    assert row.ratio.generations == 2
    assert row.ratio.estimate == pytest.approx((2 / 3 * 1 / 2) ** 0.5)  # seed 0: 2 s to 3 s a round, seed 1: 1 to 2
    assert experiment_results([race()]) == []
    (row,) = experiment_results([race(course(0, 0.5, 0.9), *({**one, "points": []} for one in slow))])
    assert row.method_times is None  # of trainings that were not looked at in between, as only damage makes them


def test_settings_that_reproduce_figures_come_first() -> None:
    settings = {name: {"epochs": 1} for name in ("far", "near", "untried")}
    courses = [
        course(0, 0.3, setting="far", stopped_early=True, generation=9),
        *(course(s, 0.5, 0.8 + s / 10, setting="near") for s in (0, 1)),
    ]
    figures = [figure("accuracy", "85.00", 1), figure("accuracy", "10.00", 0)]
    near, far = setting_results(race(*courses, settings=settings, figures=figures))
    assert (near.name, near.seeds, near.stopped_early, near.n_reproduced) == ("near", 2, False, 1)
    assert (far.name, far.seeds, far.stopped_early, far.n_reproduced) == ("far", 1, True, 0)


def test_effects_are_of_the_same_seeds() -> None:
    changes = {"base": ["none", "base"], "he": ["init", "he"], "never": ["x", "y"]}
    base = [course(seed, 0.5 + seed / 10, setting="base") for seed in range(3)]
    he = [course(0, 0.7, setting="he"), course(1, 0.9, setting="he")]
    first, second = effects(race(*base, *he, changes=changes))
    assert (first.difference, first.interval) == (None, None)
    assert second.accuracies == [0.7, 0.9]
    assert second.difference == pytest.approx(0.25)
    assert second.interval
    half = 12.7062 * 0.05  # Student's t of one degree of freedom; the standard error
    assert second.interval == pytest.approx((0.25 - half, 0.25 + half), rel=1e-4)


def test_mini_batches_by_the_epoch_and_to_the_same_accuracy() -> None:
    slow = course(0, 0, 0, participant="slow", wall=4.0)
    few = race(course(0, 0.1, 0.5, 0.9), course(1, 0.1, 0.5, 0.7), slow, name="80-sigmoid", epochs=100)
    many = race(
        course(0, 0.1, 0.7, 0.9), course(1, 0.1, 0.7, 0.8), slow | {"wall": 6.0}, name="80-mini-batches", epochs=5
    )
    found = mini_batches([few, many])
    assert found
    assert found == pytest.approx((1.5, 0.8, 100, 2, 0.7))
    assert mini_batches([few]) is None
    for other in (
        race(course(0, 0.1), slow, name="80-mini-batches", epochs=5),  # not evaluated after the first epoch
        race(course(0, 0.1, 0.7), slow, name="80-mini-batches", epochs=0),
    ):
        assert mini_batches([few, other]) is None
    assert mini_batches([replace(few, about=few.about | {"epochs": 0}), many]) is None


# --- the experiments ---------------------------------------------------------------------------------------


def test_a_setting_is_so_many_updates_an_epoch() -> None:
    for updates, n, starts in ((5, 60_000, 5), (1, 60_000, 1), (600, 60_000, 600), (5, 12, 4)):
        (plan, *_) = replace(SETTING, updates=updates, epochs=2).plans(n)
        assert len(plan.starts) == starts
        assert plan.stops[-1] == n
        assert plan.order is None
    assert list(replace(SETTING, epochs=0).plans(100)) == []


def test_settings_of_a_grid_are_distinct_and_contain_the_one_that_was_taken() -> None:
    assert len(EXPERIMENTS) == 8
    assert len({row.name for row in EXPERIMENTS}) == 8
    for grid in GRIDS:
        settings = grid.settings()
        assert len({str(setting) for setting in settings}) == len(settings)
        (own,) = (row.setting for row in EXPERIMENTS if row.name == grid.name)
        assert own in settings
        networks = [str(setting.network) + str(setting.network.pixel_scale) for setting in settings]
        assert networks == sorted(networks, key=networks.index)  # those of one network together
    assert next(iter(RELU_DESIGN.values())) == RELU
    assert len({str(setting) for setting in RELU_DESIGN.values()}) == len(RELU_DESIGN)
    assert PIXELS == (1.0, 1 / 255)
