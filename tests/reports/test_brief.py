"""reports/: the sentence and the figure that a page begins with, the short answers, and where small figures draw."""

import math
from pathlib import Path

import pytest

from bench.analysis import statistics
from reports.answers import answers
from reports.beside import beside
from reports.brief import label, library, summary, tick
from reports.page import page
from reports.plot import MOST_ROWS, Row, plot
from reports.sections import report_of
from reports.selection import Chosen, choose
from tests.helpers.benchmark_files import NAIVE, NOTICE, SWIFT, USUAL, result_set
from tests.helpers.race_files import EVIL, race_records, seconds_in, written
from tests.helpers.training_files import trained

RACED = {"naive": 4.0, "vectorized": 0.4, "numba": 0.25, "numba_sparse": 0.1, "torch": 0.3, "floor": 0.05}
TRAINED = {"naive": 8.0, "numba_sparse": 0.125, "torch": 0.5}


def chosen_of(folder: Path, **several: list[dict[str, object]]) -> Chosen:
    return choose([written(folder, f"{name}.jsonl", records) for name, records in several.items()])


def test_one_sentence_of_a_race_and_of_trainings(tmp_path: Path) -> None:
    chosen = chosen_of(tmp_path, race=race_records(RACED), accuracy=trained(TRAINED))
    found = summary(chosen)
    (race,) = chosen.races("race")
    ratio = statistics.ratio(race.rounds(), "numba_sparse", "naive")
    assert ratio is not None
    assert ratio.interval is not None
    times = f"{1 / ratio.estimate:.0f}"
    assert found.sentence.startswith(
        f"On this machine numba trains an epoch {times} times as fast as a Python loop over the images, "
        "and reaches 97 % of the test digits in 0.1"
    )
    low, high = (1 / end for end in reversed(ratio.interval))
    assert f"{times} times: 95 % interval {low:.0f} to {high:.0f}, from measurements in turns." in found.note
    assert found.note.endswith(" s: the median of 10 trainings.")
    assert found.plot is not None
    names = [(drawn.row.label, drawn.row.kind, len(drawn.samples)) for drawn in found.plot.rows]
    assert names == [("numba, zeros skipped", "best", 10), ("PyTorch", "", 10), ("Python loop", "base", 10)]
    places = [drawn.value.left for drawn in found.plot.rows]
    assert places == sorted(places)


def test_the_first_screen_says_that_other_processes_ran(tmp_path: Path) -> None:
    quiet, beside_another = race_records(RACED), race_records(RACED)
    for entry in beside_another:
        if entry["kind"] == "generation":
            entry |= {"others": entry["seconds"], "cores": 2}
    assert not report_of(chosen_of(tmp_path / "quiet", race=quiet)).busy
    report = report_of(chosen_of(tmp_path, race=beside_another))
    (line,) = report.busy
    assert line.startswith("The machine was not quiet: another process is busy: threads 1 would be faster")
    assert f'<p class="notice" role="note">{line}</p>' in page(report, [], {})


def test_the_sentence_of_a_part_of_the_results(tmp_path: Path) -> None:
    race, accuracy = race_records(RACED, generations=1), trained({"slow": 2.0, "swift": 0.5})
    one_run = summary(chosen_of(tmp_path, race=race))
    assert one_run.sentence.endswith(" times as fast as a Python loop over the images.")
    assert "one run" in one_run.note
    assert one_run.plot
    assert one_run.plot.title == "Time of an epoch of 6,000 images"
    assert summary(chosen_of(tmp_path, accuracy=accuracy)).sentence.startswith("On this machine swift reaches 97 %")
    other = summary(chosen_of(tmp_path, race=race_records(RACED), accuracy=accuracy)).sentence
    assert "over the images; swift reaches 97 % of the test digits in 0." in other
    missed = summary(chosen_of(tmp_path, accuracy=trained({"slow": 2.0}, mean=0.96)))
    assert "no race" in missed.sentence
    assert missed.plot
    assert missed.plot.rows[0].row.words.startswith("(")
    without_loop = summary(chosen_of(tmp_path, race=race_records({"a": 0.4, "b": 0.2})))
    assert without_loop.sentence.startswith("On this machine an epoch of 6,000 images takes b 0.")


def test_benchmarks_one_after_the_other_give_no_ratio() -> None:
    found = summary(Chosen({"benchmarks": [USUAL]}))
    assert found.sentence == "On this machine one pass over the 60,000 training images takes swift 0.500 s."
    assert found.plot
    assert "one after the other" in found.plot.title
    loop = answers(Chosen({"benchmarks": [USUAL]}))[0]
    assert "times as fast" not in loop.text
    assert summary(Chosen()).plot is None
    assert "make bench" in summary(Chosen()).sentence
    assert beside(Chosen({"benchmarks": [result_set(*NAIVE, *SWIFT, notice=NOTICE)]})) is None


@pytest.mark.parametrize("purpose", ["race", "accuracy"])
def test_forty_backends_leave_the_figure_small_and_the_slowest_in_it(purpose: str, tmp_path: Path) -> None:
    seconds = {"naive": 9.0, EVIL: 0.05} | {f"b{i}": 0.1 + 0.05 * i for i in range(38)}
    records = race_records(seconds, rounds=1) if purpose == "race" else trained(seconds)
    found = summary(chosen_of(tmp_path, **{purpose: records}))
    assert found.plot
    labels = [drawn.row.label for drawn in found.plot.rows]
    assert len(labels) == MOST_ROWS
    assert (labels[0], labels[-1]) == (EVIL, "Python loop")


def test_the_articles_numbers_stand_beside_what_was_measured(tmp_path: Path) -> None:
    table = beside(chosen_of(tmp_path, race=race_records(RACED), accuracy=trained(TRAINED)))
    assert table is not None
    loop, vectorized, best, relu, batches = table.rows
    assert loop[1] == "37.9 s"
    assert 36 < seconds_in(loop[2]) < 44  # 4 s for a tenth of the images
    assert vectorized[1] == "2.5 s"  # 250.9 s for 100 rounds
    assert best[1:3] == ["94.17 %", "97.50 %"]
    assert best[3].startswith("recipe r0: 1.5 rounds, which take numba 0.1")
    assert relu[1:] == ["92.46 % (sigmoid 92.86 %)", "–", "not measured"]
    assert batches[1:3] == ["“not much speedup”", "–"]


def test_names_in_words() -> None:
    assert [label(name) for name in ("naive", "torch:cuda", "mine")] == ["Python loop", "PyTorch on a GPU", "mine"]
    assert [library(name) for name in ("torch_manual:cuda", "minibatch", "mine")] == [
        "PyTorch on a GPU",
        "NumPy",
        "mine",
    ]
    assert [tick(seconds) for seconds in (2.0, 0.1, 0.005, 2e-5)] == ["2 s", "100 ms", "5 ms", "20 µs"]


# --- small figures ---------------------------------------------------------------------------------------


def test_places_on_an_axis_grow_with_the_values_and_stay_inside() -> None:
    rows = [
        Row("a", 0.001, "", interval=(0.0, math.inf), samples=(0.0005, math.nan, -1.0)),
        Row("not a number", math.nan, ""),
        Row("zero", 0.0, ""),
        Row("b", 0.1, "", other=3.0),
        Row("c", 10.0, "", interval=(9.0, 12.0)),
    ]
    drawn = plot("seconds", rows, "{:g}".format)
    assert drawn is not None
    assert [one.row.label for one in drawn.rows] == ["a", "b", "c"]
    a, b, c = drawn.rows
    assert a.bar
    assert c.bar
    assert b.other
    middle = (a.value.left + c.value.left) / 2
    assert b.value.left == pytest.approx(middle, abs=0.1)  # equal factors are equal steps
    assert b.value.left < b.other.left < c.value.left
    assert c.bar.left < c.value.left < c.bar.left + c.bar.width
    assert len(a.samples) == 1
    places = [mark.left for one in drawn.rows for mark in (one.value, one.bar, *one.samples) if mark]
    assert 0 <= min(places) <= max(one.bar.left + one.bar.width for one in (a, c) if one.bar) <= 100
    assert {words for _, words in drawn.ticks} <= {f"{10.0**power:g}" for power in range(-4, 3)}
    assert 2 <= len(drawn.ticks) <= 4


@pytest.mark.parametrize("values", [(1.0,), (0.02, 0.03), (3e-7, 4e9), (5.0, 5.0, 5.0)])
@pytest.mark.parametrize("logarithmic", [True, False])
def test_every_axis_has_a_few_ticks(values: tuple[float, ...], logarithmic: bool) -> None:
    drawn = plot("t", [Row("r", value, "") for value in values], "{:g}".format, logarithmic=logarithmic)
    assert drawn is not None
    assert len(drawn.ticks) <= 5
    assert all(0 <= mark.left <= 100 for mark, _ in drawn.ticks)
    assert plot("t", [Row("r", math.inf, "")], str, logarithmic=logarithmic) is None
