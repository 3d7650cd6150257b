"""reports/: trainings over seeds in a table, sentences and figures, and the four answers; whatever is odd in them."""

import json
import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import UserError
from bench.analysis import statistics
from bench.analysis.accuracy import by_target, reached, times_to_accuracy
from bench.records.files import ResultSet, read
from bench.tables.accuracy import ACCURACY_FIGURES, accuracy_headline, target_table
from reports.answers import answers
from reports.export import csv_files, markdown_summary
from reports.figures.accuracy import (
    accuracy_figures,
    accuracy_over_training,
    best_of,
    cost_over_training,
    time_to_accuracy,
)
from reports.figures.style import Looks
from reports.page import page
from reports.sections import report_of
from reports.selection import Chosen, choose
from tests.helpers.article_records import course
from tests.helpers.benchmark_files import (
    NAIVE,
    NOTICE,
    SWIFT,
    USUAL,
    curve,
    files_of,
    measured,
    without_ours,
    words_of,
)
from tests.helpers.race_files import EVIL, MACHINE, race_records, rows_of, written
from tests.helpers.training_files import trained


def results(folder: Path, *several: list[dict[str, Any]]) -> ResultSet:
    return read(written(folder, "accuracy.jsonl", *(several or [trained()])))


def look(of: ResultSet) -> Looks:
    return Looks(list(dict.fromkeys(name for race in of.races for name in race.participants)))


def test_a_target_in_a_table(tmp_path: Path) -> None:
    (race,) = results(tmp_path).races
    rows = rows_of(target_table(race))
    swift, slow = times_to_accuracy(race)
    assert (swift.name, slow.name) == ("swift", "slow")
    expected = reached([one.accuracy for one in swift.trainings], [0.1] * 10, 0.97)
    assert swift.reached == expected
    assert expected.counts
    times = [[{name: e.trainings[i].wall for name, e in race.participants.items()}] for i in range(10)]
    (ratio,) = statistics.ratios(times, "slow")
    assert swift.ratio == ratio
    assert rows["swift"][:3] == [f"{100 * expected.mean:.2f} %", f"{100 * expected.lower:.2f} %", "10 of 10"]
    assert rows["swift"][4] == f"{ratio.estimate:.3f}"
    assert rows["swift"][6:] == ["0.250 s", "1.00 s"]
    assert rows["slow"][4:6] == ["1", "–"]
    assert "97 % of the test images" in target_table(race).title


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"seeds": 3}, "swift: 3 seeds; a target counts as reached from 10 seeds on"),
        ({"seeds": 1}, "swift: 1 seed; a target counts as reached from 10 seeds on"),
        ({"mean": 0.96}, "swift: not reached; mean 96"),
    ],
)
def test_a_target_that_is_not_reached(more: dict[str, Any], expected: str, tmp_path: Path) -> None:
    of = results(tmp_path, trained(**more))
    table = target_table(of.races[0])
    assert any(note.startswith(expected) for note in table.notes)
    assert all(row[3].startswith("(") for row in rows_of(table).values())
    assert accuracy_headline(of.races).startswith("No backend reached a target")


def test_a_diverged_seed_is_said(tmp_path: Path) -> None:
    records = trained()
    next(entry for entry in records if entry["kind"] == "training")["cost"] = None
    (race,) = results(tmp_path, records).races
    assert "slow: 1 of 10 seeds diverged" in target_table(race).notes


@pytest.mark.parametrize("points", [[], course(0, 0.9)["points"]], ids=["not looked at", "looked at in between"])
@pytest.mark.parametrize(("field", "value"), [("epochs", 0), ("epochs", 1e-320), ("images", 0)])
def test_a_training_of_nothing_is_no_record(field: str, value: float, points: list[Any], tmp_path: Path) -> None:
    records = trained()
    next(entry for entry in records if entry["kind"] == "training").update({field: value, "points": points})
    with pytest.raises(UserError, match="expected a training of some images and epochs, found"):
        results(tmp_path, records)


def test_an_untrained_network_of_the_article_does_not_count(tmp_path: Path) -> None:
    records = trained(seeds=3)
    untrained = {"epochs": 0, "images": 0, "updates": 0, "wall": 0, "points": course(0, 0.1)["points"]}
    next(entry for entry in records if entry["kind"] == "training").update(untrained)
    (race,) = results(tmp_path, records).races
    seeds = {row.name: [one.seed for one in row.trainings] for row in times_to_accuracy(race)}
    assert seeds == {"slow": [1, 2], "swift": [0, 1, 2]}


def test_the_headline_is_of_the_highest_target_that_was_reached(tmp_path: Path) -> None:
    of = results(tmp_path, trained(target=0.98), trained(number=1, target=0.97), trained(number=2, target=0.9))
    ratio = next(row.ratio for row in times_to_accuracy(of.races[1]) if row.ratio)
    assert ratio is not None
    assert ratio.interval is not None
    headline = accuracy_headline(of.races)
    low, high = 1 / ratio.interval.high, 1 / ratio.interval.low
    assert headline.startswith("On this machine swift trains to 97 % of the test images in 0.")
    assert headline.endswith(f" s, {1 / ratio.estimate:.2f} [{low:.2f}, {high:.2f}] times as fast as slow.")


ODD: dict[str, list[list[dict[str, Any]]]] = {
    "several targets": [trained(), trained(number=1, target=0.98)],
    "a single seed": [trained(seeds=1)],
    "one backend": [trained({"swift": 0.5})],
    "no curve": [trained(followed=0)],
    "every seed followed": [trained(followed=3)],
    "no backend left": [trained(failing=("slow", "swift"))],
    "no baseline": [trained(failing=("slow",))],
    "awkward": [trained({EVIL: 1.0, "$x$": 2.0, "": 3.0}, recipe=EVIL, notice=NOTICE, data=EVIL)],
    "forty": [trained({f"backend {i}": 0.1 * 1.1**i for i in range(40)}, seeds=2)],
    "right always": [trained(mean=0.9995, target=1.0)],
}


@pytest.mark.parametrize("case", ODD)
def test_odd_results_give_a_page(case: str, tmp_path: Path) -> None:
    chosen = choose([written(tmp_path, "a.jsonl", *ODD[case])])
    newest = chosen.newest("accuracy")
    assert newest is not None
    drawn = accuracy_figures(newest.races, look(newest))
    followed = any(entry["kind"] == "curve" for entry in ODD[case][0]) and case != "no backend left"
    assert [one.name for one in drawn] == [
        name for name in ACCURACY_FIGURES if followed or name != "cost-over-training"
    ]
    report = report_of(chosen)
    html = page(report, drawn[:1], files_of(drawn[:1]))
    ET.fromstring(html)
    assert "<script" not in without_ours(html)
    assert "<script" not in markdown_summary(report)
    assert csv_files(report)["samples.csv"].count("\n") > len(ODD[case][0]) / 10


@pytest.mark.parametrize(
    "change", [{"accuracy": 1.5}, {"accuracy": math.nan}, {"wall": 0.0}, {"wall": None}, {"generation": -1}]
)
def test_values_that_cannot_be_are_one_line(change: dict[str, Any], tmp_path: Path) -> None:
    records = trained()
    index = next(i for i, entry in enumerate(records) if entry["kind"] == "training")
    records[index] |= change
    if "generation" in change:
        records.append({"kind": "generation", "race": 0, "generation": -1, "seconds": 1.0})
    with pytest.raises(UserError, match="a record is not as expected") as error:
        results(tmp_path, records)
    assert "\n" not in str(error.value)


def test_every_seed_is_a_mark_hollow_where_the_target_is_not_reached(tmp_path: Path) -> None:
    of = results(tmp_path, trained(), trained(number=1, target=0.98))
    figure = time_to_accuracy(by_target(of.races), look(of))
    marks = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    assert [np.size(line.get_xdata()) for line in marks] == [10] * 4
    assert [line.get_markerfacecolor() == "none" for line in marks] == [False, False, True, True]
    walls = [one.wall for one in of.races[0].participants["swift"].trainings]
    np.testing.assert_array_equal(np.sort(np.asarray(marks[0].get_xdata())), np.sort(walls))


def test_the_band_is_over_all_seeds_that_were_followed(tmp_path: Path) -> None:
    of = results(tmp_path, trained(followed=3))
    figure = accuracy_over_training(of.races[0], look(of))
    band = figure.axes[1].collections[0].get_paths()[0].vertices
    assert np.asarray(band)[:, 1].min() == pytest.approx(90)
    assert np.asarray(band)[:, 1].max() == pytest.approx(97.5)


def test_cost_is_drawn_with_a_band_and_what_is_not_finite_is_said(tmp_path: Path) -> None:
    records = trained(followed=3)
    of = results(tmp_path, records)
    figure = cost_over_training(of.races[0], look(of))
    band = np.asarray(figure.axes[1].collections[0].get_paths()[0].vertices)
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.125, 0.7))
    (line,) = (one for one in figure.axes[1].lines if one.get_color() == look(of)["swift"].colour)
    assert [*np.asarray(line.get_ydata(), float)] == pytest.approx([0.6, 0.125])
    assert "Not drawn" not in words_of(figure)
    curves = [entry for entry in records if entry["kind"] == "curve"]
    curves[0]["curve"]["cost"] = [2.5, None, 0.125]
    diverged = results(tmp_path, records)
    assert "Not drawn: costs that are 0 or not finite, 1 of 12." in words_of(
        cost_over_training(diverged.races[0], look(of))
    )
    curves[0]["curve"]["cost"] = [2.5]
    with pytest.raises(UserError, match="expected as many seconds, epochs, accuracies and costs"):
        results(tmp_path, records)


def test_the_frontier() -> None:
    points = [(1.0, 90.0), (2.0, 89.0), (2.0, 95.0), (3.0, 95.0), (0.5, 80.0)]
    assert best_of(points) == [(0.5, 80.0), (1.0, 90.0), (2.0, 95.0)]


def test_nothing_was_followed_is_said(tmp_path: Path) -> None:
    of = results(tmp_path, trained(followed=0))
    assert "No training was followed" in words_of(accuracy_over_training(of.races[0], look(of)))


# --- the four answers ------------------------------------------------------------------------------------


def test_answers_without_results_say_what_to_run() -> None:
    sentences = [one.answer for one in answers(Chosen())]
    assert len(sentences) == 4
    assert all(answer.startswith("Not measured yet: run python -m bench") for answer in sentences)


def test_answers_of_a_race(tmp_path: Path) -> None:
    seconds = {"naive": 4.0, "vectorized": 0.4, "minibatch": 0.2, "numba": 0.25, "numba_sparse": 0.1, "torch": 0.3}
    chosen = choose([written(tmp_path, "r.jsonl", race_records(seconds))])
    (race,) = chosen.races("race")
    loop, _, _, libraries = (one.answer for one in answers(chosen))
    found = statistics.ratio(race.rounds(), "vectorized", "naive")
    assert found is not None
    assert f"vectorised NumPy is {1 / found.estimate:.1f} [" in loop
    assert "The same loops, compiled by numba, are 1" in loop
    assert "The fastest way to compute the same, numba_sparse, is" in loop
    assert "Against minibatch" in libraries
    assert "numba (numba_sparse) 2.0" in libraries or "numba (numba_sparse) 1.9" in libraries
    assert "PyTorch (torch) 0.6" in libraries
    assert "Not in this race: JAX, scikit-learn, SciPy" in libraries


def test_answers_of_benchmarks() -> None:
    full = measured("epoch", "vectorized", [0.25], "full batch", curve=curve(20, 0.25, 0.6))
    small = measured("epoch", "vectorized", [0.5], "mini-batches", default_batch=False, curve=curve(5, 0.5))
    results = replace(USUAL, measurements=[*NAIVE, *SWIFT, replace(full, batch=None), small])
    chosen = Chosen({"benchmarks": [results]})
    loop, batches, *_ = (one.answer for one in answers(chosen))
    assert "an epoch takes the loop over images 15.0 s and vectorised NumPy 0.500 s" in loop
    assert "race --backend naive,vectorized" in loop
    assert "an epoch in batches of 128 takes 0.500 s, and one update of all images 0.250 s" in batches
    assert "60 % of the test images after 20 epochs and 5.00 s" in batches
    assert "Mini-batches reached the final accuracy of the full batch after 0.500 s at the latest" in batches


def test_results_of_an_unknown_kind_hide_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, "a.jsonl", trained(machine=MACHINE))
    written(tmp_path, "b.jsonl", trained(machine=MACHINE, purpose="something new"))
    (tmp_path / "c.jsonl").write_text(json.dumps({"kind": "race", "schema": 99}) + "\n")
    chosen = choose([tmp_path])
    assert [results.path.name for results in chosen.files] == ["a.jsonl"]
    assert "update digitbench" in capsys.readouterr().err


def test_a_headline_of_two_that_cannot_be_distinguished_says_so(tmp_path: Path) -> None:
    headline = accuracy_headline(results(tmp_path, trained({"slow": 0.5, "twin": 0.499})).races)
    assert "trains to 97 % of the test images" in headline
    assert headline.startswith("On this machine slow") or headline.endswith("no significant difference.")
