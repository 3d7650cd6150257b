"""reports/: other libraries, steps to one accuracy, and the article's experiments, in tables, figures and answers."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import UserError
from bench.analysis.article import experiment_results
from bench.commands.peers import WAYS
from bench.records.files import read
from bench.records.kinds import SCHEMA
from bench.tables.accuracy import accuracy_headline, batches_sections, waterfall_sections
from bench.tables.article import figures_table, relu_sections, times_table
from bench.tables.peers import peers_setting, peers_table
from reports.answers import answers
from reports.export import csv_files, markdown_summary
from reports.figures.accuracy import batches, waterfall
from reports.figures.article import relu as relu_figure
from reports.figures.peers import peers
from reports.page import page
from reports.sections import figures_of, report_of
from reports.selection import Chosen, choose
from tests.helpers.article_records import course, experiment, figure
from tests.helpers.benchmark_files import files_of
from tests.helpers.race_files import EVIL, race_records, rows_of, written
from tests.helpers.training_files import trained


def whole_page(chosen: Chosen) -> str:
    """With all figures; raises where it is not well-formed."""
    figures = figures_of(chosen)
    html = page(report_of(chosen), figures, files_of(figures))
    ET.fromstring(html)
    return html


# --- peers -----------------------------------------------------------------------------------------------


def raced_peers(generations: int = 3, torch: str = "torch", zeros: bool = True) -> list[list[dict[str, Any]]]:
    """Races as `bench peers` writes them: the other library takes 4 times as long, 2 times where nothing is zero."""
    found = []
    for number, (batch, way) in enumerate((batch, way) for batch in (32, 128) for way in WAYS):
        seconds = {"numba_sparse": 0.5, torch: 1.0 if way == "all pixels non-zero" else 2.0, "floor": 0.25}
        about = {"way": way} | ({"zeros": 0.8} if zeros else {})
        key = {"batch": batch, "plan": f"batches of {batch}, Nesterov 0.9"}
        found.append(
            race_records(
                seconds, number=number, generations=generations, key=key, purpose="peers", about=about, noise=1e-4
            )
        )
    return found


def test_four_ratios_side_by_side(tmp_path: Path) -> None:
    chosen = choose([written(tmp_path, "p.jsonl", *raced_peers())])
    races = chosen.races("peers")
    table = peers_table(races)
    assert [row[:2] for row in table.rows] == [[n, b] for b in ("32", "128") for n in ("torch", "floor")]
    row = rows_of(table)["torch"]
    prepared = (2 + 0.03125) / (0.5 + 0.03125)
    assert [float(row[i]) for i in (1, 3, 5, 7)] == pytest.approx([4, prepared, 4, 2], rel=3e-3)
    assert all(" to " in row[i] for i in (2, 4, 6, 8))
    assert "80 % of the pixels are zero" in markdown_summary(report_of(chosen))
    assert "batches of 32, 128, Nesterov 0.9" in peers_setting(races)
    assert "batches of 128, Nesterov 0.9, shuffled" in csv_files(report_of(chosen))["samples.csv"]
    (marks,) = {np.size(line.get_xdata()) for line in peers(races).axes[0].lines} - {2}
    assert marks == 1


PEERS = {
    "one generation": raced_peers(1),
    "awkward": raced_peers(torch=EVIL),
    "no share": raced_peers(zeros=False),
}


def test_an_unknown_condition_is_not_dropped_without_a_word(tmp_path: Path) -> None:
    races = raced_peers()
    races[0][0]["about"]["way"] = "on Mondays"
    with pytest.raises(UserError, match=r"of no kind that is shown.*p\.jsonl; nothing is left to show"):
        choose([written(tmp_path, "p.jsonl", *races)])


@pytest.mark.parametrize("case", PEERS)
def test_odd_peers_give_a_page(case: str, tmp_path: Path) -> None:
    chosen = choose([written(tmp_path, "p.jsonl", *PEERS[case])])
    assert "Against other libraries, a figure" in whole_page(chosen)


@pytest.mark.parametrize("purpose", ["peers", "waterfall", "batches", "article", "article-grid", "article-relu"])
def test_files_that_lack_what_a_table_needs_are_passed_over(purpose: str, tmp_path: Path) -> None:
    path = written(tmp_path, "p.jsonl", race_records(purpose=purpose, key={"settings": {}}))
    with pytest.raises(UserError, match=r"of no kind that is shown.*p\.jsonl; nothing is left to show"):
        choose([path])


def test_a_file_of_two_relu_experiments_is_passed_over(tmp_path: Path) -> None:
    first, second = (
        experiment("article-relu", course(0, 0.1, 0.9), changes={"s": ["none", "as it is"]}) for _ in range(2)
    )
    second = [one | {"race": 1} for one in second]
    assert choose([written(tmp_path, "one.jsonl", first)]).races("article-relu")
    with pytest.raises(UserError, match=r"of no kind that is shown.*two\.jsonl; nothing is left to show"):
        choose([written(tmp_path, "two.jsonl", first, second)])


# --- steps to one accuracy -------------------------------------------------------------------------------


def stepped(
    purpose: str, seconds: dict[str, float], until: tuple[str, ...] = (), *, in_turns: bool = True, **more: Any
) -> list[Any]:
    """Trainings as `study waterfall` and `study batches` write them; each is of half an epoch."""
    found = []
    for number, (name, time) in enumerate(seconds.items()):
        records = trained({name: time}, number=number, purpose=purpose, until=name in until, **more)
        batch = 10 ** (number + 1)
        records[0]["key"] = records[0]["key"] | {"batch": batch, "learning_rate": 0.5, "epochs": 0.5}
        records[0]["key"] |= {"in_turns": True} if in_turns else {}
        for entry in records:
            if entry["kind"] == "training":
                entry |= {"images": 3000, "epochs": 0.5}
        found.append(records)
    return found


def test_a_waterfall_goes_down_by_factors(tmp_path: Path) -> None:
    several = stepped("waterfall", {"loops": 8.0, "better": 2.0, "best": 0.5}, until=("loops",))
    chosen = choose([written(tmp_path, "w.jsonl", *several)])
    races = chosen.races("waterfall")
    (section,) = waterfall_sections(races)
    rows = rows_of(section.tables[0])
    assert [row[5] for row in rows.values()] == ["10 of 10", "97.50 %", "97.50 %"]
    assert float(rows["better"][6]) == pytest.approx(4, rel=0.1)
    assert float(rows["best"][7]) == pytest.approx(16, rel=0.1)
    bars = [line for line in waterfall(races).axes[0].lines if line.get_linewidth() == 13]
    ends = [np.asarray(line.get_xdata(), float).tolist() for line in bars]
    assert ends[0][1] == ends[1][0]
    assert ends[0][0] == pytest.approx(8, rel=0.1)
    assert chosen.names == []  # a step is no backend with a look of its own


def test_batches_by_the_round_and_to_the_target(tmp_path: Path) -> None:
    several = stepped("batches", {"a": 0.5, "b": 0.25, "c": 1.0}, until=("a", "b", "c"), seeds=3)
    chosen = choose([written(tmp_path, "b.jsonl", *several)])
    races = chosen.races("batches")
    (section,) = batches_sections(races)
    rows = rows_of(section.tables[0])
    assert list(rows) == ["10", "100", "1,000"]
    assert rows["100"][2:5] == ["3 of 3", "30", "0.500"]
    assert float(rows["100"][8]) == pytest.approx(4, rel=0.2)
    axes = batches(races).axes
    assert [one.get_ylabel() for one in axes] == ["seconds an epoch, wall", "seconds to 97 %, wall"]
    a_round, to_it = (np.asarray(one.lines[0].get_ydata(), float) for one in axes)
    np.testing.assert_allclose(a_round, 2 * to_it)


@pytest.mark.parametrize("missing", ["batch", "learning_rate"])
def test_batch_sizes_without_a_batch_or_a_rate_are_passed_over(missing: str, tmp_path: Path) -> None:
    several = stepped("batches", {"a": 0.5, "b": 0.25}, until=("a", "b"), seeds=3)
    several[1][0]["key"][missing] = None
    with pytest.raises(UserError, match=r"of no kind that is shown.*b\.jsonl; nothing is left to show"):
        choose([written(tmp_path, "b.jsonl", *several)])


@pytest.mark.parametrize(("purpose", "about"), [("peers", {"way": next(iter(WAYS))}), ("ranks", {"bytes": {}})])
def test_studies_of_batches_are_passed_over_without_one(purpose: str, about: dict[str, Any], tmp_path: Path) -> None:
    records = race_records(purpose=purpose, about=about)
    assert choose([written(tmp_path, "with.jsonl", records)]).races(purpose)
    records[0]["key"]["batch"] = None
    with pytest.raises(UserError, match=r"of no kind that is shown.*without\.jsonl; nothing is left to show"):
        choose([written(tmp_path, "without.jsonl", records)])


STEPS: dict[str, list[Any]] = {
    "not reached": stepped("waterfall", {"a": 2.0, "b": 1.0}, mean=0.96),
    "one step": stepped("waterfall", {EVIL: 1.0}),
    "no batch is there": stepped("batches", {"a": 2.0, "$b$": 1.0}, until=("a", "$b$"), mean=0.96),
    "one batch": stepped("batches", {"a": 2.0}, seeds=1),
}


@pytest.mark.parametrize("case", STEPS)
def test_odd_steps_give_a_page(case: str, tmp_path: Path) -> None:
    chosen = choose([written(tmp_path, "s.jsonl", *STEPS[case])])
    title = {"waterfall": "The waterfall", "batches": "Batch sizes"}[next(iter(chosen.of_kind))]
    assert f"{title}, a figure" in whole_page(chosen)
    assert csv_files(report_of(chosen))["samples.csv"].count("3000") == 10 * len(STEPS[case]) or case == "one batch"


# --- the article -----------------------------------------------------------------------------------------


def test_the_articles_figures_next_to_ours(tmp_path: Path) -> None:
    quick = [course(0, 0.1, 0.90, wall=1.0), course(1, 0.1, 0.93, wall=1.0)]
    slow = [course(seed, 0.1, 0.9, participant="slow", wall=4.0) for seed in (0, 1)]
    printed = [figure("accuracy", "92.86", 1), figure("accuracy", "95.00", 1)]
    chosen = choose([written(tmp_path, "a.jsonl", experiment("article", *quick, *slow, figures=printed))])
    results = experiment_results(chosen.races("article"))
    assert figures_table(results).rows == [
        ["row", "accuracy, test, after 1 epoch", "92.86 %", "90 %", "91.50 %", "93 %", "yes"],
        ["row", "accuracy, test, after 1 epoch", "95.00 %", "90 %", "91.50 %", "93 %", "no"],
    ]
    times = rows_of(times_table(results))["row"]
    assert times[:2] == ["9 s", "40.0 s"]
    assert float(times[6]) == pytest.approx(0.25)
    assert "row: it learns." in markdown_summary(report_of(chosen))
    assert csv_files(report_of(chosen))["samples.csv"].count("a.jsonl,training") == 4


CHANGES = {"base": ["none", "as it was"], "sigmoid": ["hidden", "sigmoid"], EVIL: ["<b>", "$\\frac$"]}


def relu(*sigmoid: float, **about: Any) -> list[dict[str, Any]]:
    """Two seeds or more: of ReLU, of sigmoid, and of something that diverged."""
    seeds = range(len(sigmoid))
    courses = [course(seed, 0.1, 0.90 + seed / 100, setting="base") for seed in seeds]
    courses += [course(seed, 0.1, value, setting="sigmoid", generation=10 + seed) for seed, value in enumerate(sigmoid)]
    bad = [course(seed, 0.1, 0.1, setting=EVIL, generation=20 + seed) for seed in seeds]
    for one in bad:
        one["points"][-1]["train"] |= {"cost": None}
    return experiment("article-relu", *courses, *bad, changes=CHANGES, **about)


def test_effects_with_their_intervals(tmp_path: Path) -> None:
    chosen = choose([written(tmp_path, "r.jsonl", relu(0.70, 0.72))])
    races = chosen.races("article-relu")
    (section,) = relu_sections(races)
    rows = rows_of(section.tables[0])
    assert rows["hidden: sigmoid"][:5] == ["2", "70 %", "71 %", "72 %", "-19.5"]
    assert rows["hidden: sigmoid"][5] == "-25.9 to -13.1"  # 12.706 is Student's quantile of one degree of freedom
    assert rows["as it was"][4:6] == ["–", "–"]
    assert section.tables[0].notes == ["<b>: $\\frac$: 2 of 2 seeds diverged"]
    right = relu_figure(races).axes[1]
    assert [float(np.asarray(line.get_xdata())[0]) for line in right.lines][:2] == pytest.approx(
        [-25.853, -19.5], abs=1e-3
    )


def test_a_grid_says_what_holds(tmp_path: Path) -> None:
    printed = [figure("accuracy", "92.86", 1)]
    courses = [course(0, 0.1, 0.92, setting="a"), course(1, 0.1, 0.93, setting="a")]
    courses.append(course(0, 0.1, 0.5, setting="b", generation=10, stopped_early=True))
    chosen = choose([written(tmp_path, "g.jsonl", experiment("article-grid", *courses, figures=printed))])
    summary = markdown_summary(report_of(chosen))
    assert "row: 2 of 2 settings tried, 1 of them stopped early; 1 reproduce 1 of 1 figure." in summary
    assert "| a; 2 seeds | accuracy, test, after 1 epoch | 92.86 % | 92 % | 92.50 % | 93 % | yes |" in summary


ARTICLES: dict[str, list[dict[str, Any]]] = {
    "one seed": relu(0.7),
    "awkward": relu(0.7, 0.8, name=EVIL, setting=EVIL),
    "nothing printed": experiment("article", course(0, 0.1, 0.5), said=EVIL, shows=EVIL),
    "nothing reproduced": experiment("article-grid", course(0, 0.1, 0.5), figures=[figure("accuracy", "92.86", 1)]),
}


@pytest.mark.parametrize("case", ARTICLES)
def test_odd_articles_give_a_page(case: str, tmp_path: Path) -> None:
    chosen = choose([written(tmp_path, "s.jsonl", ARTICLES[case])])
    assert ("One factor at a time" in whole_page(chosen)) == ("article-relu" in chosen.of_kind)
    assert "<script" not in markdown_summary(report_of(chosen))


# --- answers ---------------------------------------------------------------------------------------------


def answers_of(folder: Path, *several: list[Any]) -> list[str]:
    paths = [written(folder, f"{i}.jsonl", *records) for i, records in enumerate(several)]
    return [one.text for one in answers(choose(paths))]


def test_mini_batches_by_the_time_to_an_accuracy(tmp_path: Path) -> None:
    sizes = stepped("batches", {"a": 0.5, "b": 0.25, "c": 1.0}, until=("a", "b", "c"), seeds=3)
    answer = answers_of(tmp_path, sizes)[1]
    assert "an epoch in batches of 100 takes 0.5" in answer
    assert "reach 97 % of the test images first, in 0.2" in answer
    assert "as the largest (seed by seed, 3 seeds). Smaller batches are slower again: those of 10 take 0." in answer
    one_by_one = stepped("batches", {"a": 0.5, "b": 0.25, "c": 1.0}, until=("a", "b", "c"), seeds=3, in_turns=False)
    assert "times as fast" not in answers_of(tmp_path, one_by_one)[1]
    largest = answers_of(tmp_path, stepped("batches", {"a": 0.5, "b": 0.25}, until=("a", "b")))[1]
    assert "no: batches of 100, the largest, are first to reach 97 % of the test images" in largest
    not_measured = answers_of(tmp_path, stepped("batches", {"a": 0.5, "b": 0.25}, until=("a", "b"), mean=0.96))[1]
    assert not_measured.startswith("Not measured yet: run python -m bench study batches")


@pytest.mark.parametrize(
    ("sigmoid", "verdict"),
    [
        ((0.70, 0.72), "ReLU is better"),
        ((0.97, 0.985), "sigmoid is better"),
        ((0.85, 0.95), "there is no significant difference"),
    ],
)
def test_relu_against_sigmoid(sigmoid: tuple[float, ...], verdict: str, tmp_path: Path) -> None:
    answer = answers_of(tmp_path, [relu(*sigmoid)])[2]
    assert f"(s; MNIST) {verdict}: it gets 90 % to 91 % of the test images right over 2 seeds" in answer


def test_what_single_changes_do_to_relu(tmp_path: Path) -> None:
    changes = {
        "base": ["none", "as it was"],
        "sigmoid": ["hidden", "sigmoid"],
        "up": ["updates", "more"],
        "down": ["rate", "a third"],
        "open": ["init", "other"],
        "all": ["several", "more of all"],
    }
    by_seed = {
        "base": (0.90, 0.91),
        "sigmoid": (0.80, 0.82),
        "up": (0.95, 0.96),
        "down": (0.85, 0.86),
        "open": (0.9, 0.95),
        "all": (0.97, 0.98),
    }
    courses = [
        course(seed, 0.1, accuracy, setting=name, generation=10 * number + seed)
        for number, (name, accuracies) in enumerate(by_seed.items())
        for seed, accuracy in enumerate(accuracies)
    ]
    answer = answers_of(tmp_path, [experiment("article-relu", *courses, changes=changes)])[2]
    assert (
        "Of other single changes, those that help: “updates: more” (+5.0 [+5.0, +5.0]); those that harm: "
        "“rate: a third” (-5.0 [-5.0, -5.0]); those with no significant effect: “init: other” (+2.0 [-23.4, +27.4]). "
        "Together: “several: more of all” (+7.0 [+7.0, +7.0])."
    ) in answer


def test_the_articles_two_networks(tmp_path: Path) -> None:
    printed = [figure("accuracy", "92.86", 1)]
    several = [experiment("article", course(0, 0.1, 0.93), course(1, 0.1, 0.92), figures=printed, name="80-sigmoid")]
    several.append(experiment("article", course(0, 0.1, 0.82), figures=printed, name="80-relu"))
    for entry in several[1]:
        entry["race"] = 1
    answer = answers_of(tmp_path, several)[2]
    assert "get 92 % to 93 % of the test images right with sigmoid and 82 % to 82 % with ReLU" in answer


def test_libraries_by_peers_and_by_steps(tmp_path: Path) -> None:
    answer = answers_of(tmp_path, raced_peers(), stepped("waterfall", {"loops": 8.0, "best": 0.5}, until=("loops",)))[3]
    assert answer.startswith("Against numba_sparse, in batches of 128: torch takes 4.00")
    assert "(2.00" in answer
    assert "best trains to 97 % of the test images in 0." in answer
    assert "from loops, all steps together, that is 1" in answer


def test_a_headline_names_torch_besides_the_baseline(tmp_path: Path) -> None:
    three = read(written(tmp_path, "a.jsonl", trained({"vectorized": 2.0, "swift": 0.5, "torch": 1.0})))
    headline = accuracy_headline(three.races)
    assert "times as fast as vectorized; 2." in headline or "times as fast as vectorized; 1.9" in headline
    assert headline.endswith("times as fast as torch.")


# --- dialects --------------------------------------------------------------------------------------------


def test_dialects_are_folded_in_the_page(tmp_path: Path) -> None:
    said = {"asked": "SGD(momentum=0.9)", "answer": [-1.564]}
    heard = [
        {"library": "made-up", "question": "plain_momentum", "said": said, "advice": "convert velocities <once>"},
        {"library": "made-up", "question": "of another version", "said": said},
    ]
    about = {"schema": SCHEMA, "when": "2026-11-27T10:00:00+00:00", "command": "python -m bench study dialects"}
    content = {
        "kind": "dialects", **about, "machine": {}, "data": "no digits", "notice": None,
        "libraries": {"made-up": "made-up 1.0"}, "absent": {"optax": "is not installed"}, "heard": heard,
    }  # fmt: skip
    (tmp_path / "dialects.jsonl").write_text(json.dumps(content))
    chosen = choose([tmp_path])
    html = whole_page(chosen)
    part = html[html.index("Dialects: where the same settings train differently") :]
    assert '<details class="part"' in html[: html.index("Dialects: where")]
    assert "differs by 0.513" in part
    assert "convert velocities &lt;once&gt;" in part
    assert "made-up 1.0" in part
    assert "optax: is not installed" in part
    assert "Not shown, as this version does not have the question: of another version" in part


@pytest.mark.parametrize("change", [{"heard": [{"library": "a"}]}, {"libraries": 3}, {"more": 1}])
def test_damaged_dialects_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    content = {
        "kind": "dialects", "schema": SCHEMA, "when": "2026-11-27T10:00:00+00:00", "command": "", "machine": {},
        "data": "no digits", "notice": None, "libraries": {}, "absent": {}, "heard": [],
    }  # fmt: skip
    path = tmp_path / "dialects.jsonl"
    path.write_text(json.dumps(content))
    assert read(path).kind == "dialects"
    path.write_text(json.dumps(content | change))
    with pytest.raises(UserError, match="a record is not as expected"):
        read(path)
