"""reports/: what races, sweeps and calibrations measured, in tables, figures and the page, whatever is odd in them."""

import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import UserError
from bench.analysis import statistics
from bench.analysis.calibrate import GENERATIONS, comparison_length, verdicts
from bench.analysis.compare import changes
from bench.analysis.race import growths
from bench.records.files import ResultSet, read
from bench.records.races import RaceResult
from bench.tables.compare import calibration_sections, compare_sections, races_in_columns
from bench.tables.race import (
    disturbed,
    growth,
    race_headline,
    race_lines,
    races_setting,
    resource_table,
    speed,
    started_by,
    sweep_section,
)
from bench.tables.table import with_interval
from reports.__main__ import main
from reports.export import markdown_summary
from reports.figures.compare import comparison as comparison_figure
from reports.figures.race import (
    break_even,
    growth_threads,
    lines_of_code,
    memory,
    race_figures,
    ratios,
    roofline,
    sweep_figures,
)
from reports.figures.race import calibration as calibration_figure
from reports.figures.race import growth as growth_figure
from reports.figures.style import Figure, Looks
from reports.page import page
from reports.sections import NO_BENCHMARKS, figures_of, report_of
from reports.selection import Chosen, choose, with_baseline
from tests.helpers.benchmark_files import AWKWARD, NOTICE, SMALL, boxes_of, files_of, without_ours, words_of
from tests.helpers.benchmark_files import written as benchmarks_written
from tests.helpers.race_files import (
    EVIL,
    MACHINE,
    WHEN,
    calibration,
    comparison,
    race_records,
    rows_of,
    seconds_in,
    written,
)
from tests.helpers.records import agreement

SWEPT = {"batch": [32, 128, 1000], "hidden": [16, 128], "images": [1000, 6000], "threads": [1, 2]}


# --- races made in memory --------------------------------------------------------------------------------


def raced(folder: Path, *several: list[dict[str, Any]]) -> ResultSet:
    return read(written(folder, "r.jsonl", *(several or [race_records()])))


def sweep_of(what: str, power: float = 1.0, **more: Any) -> list[list[dict[str, Any]]]:
    """Races of which the seconds grow with a power of what is swept; the floor's do not."""
    found = []
    for number, size in enumerate(SWEPT[what]):
        part = "sizes" if what == "hidden" else what
        seconds = {"slow": 4e-5 * size**power, "swift": 1e-5 * size**power, "floor": 0.05}
        key = {part: [784, size, 10] if what == "hidden" else size}
        found.append(race_records(seconds, number=number, noise=0, key=key, sweep=what, **more))
    return found


def look_of(*several: ResultSet) -> Looks:
    return Looks(list(dict.fromkeys(name for one in several for race in one.races for name in race.participants)))


def lines_of(figure: Any) -> list[Any]:
    return list(figure.axes[0].lines)


def words_on_the_page(chosen: Chosen) -> str:
    """Its text; raises where it is not well-formed, or a script could run."""
    html = page(report_of(chosen), [], {})
    assert "<script" not in without_ours(html)
    return " ".join(" ".join(ET.fromstring(html).itertext()).split())


# --- tables and sentences --------------------------------------------------------------------------------


def test_a_race_in_a_table(tmp_path: Path) -> None:
    (race,) = raced(tmp_path).races
    rows = rows_of(speed(race))
    assert next(iter(rows)) == "floor"
    assert list(rows)[-1] == "slow"
    ratio = {row.backend: row for row in statistics.ratios(race.rounds(), "slow", may_stop_early=True)}["swift"]
    assert ratio.interval is not None
    rank, seconds, times, interval, outliers, gflops, gemm, floor = rows["swift"]
    assert (rank, rows["twin"][0], rows["slow"][0], rows["floor"][0]) == ("1", "1", "3", "–")
    assert seconds_in(seconds) == pytest.approx(0.1, rel=0.02)
    assert times == f"{ratio.estimate:.3f}"
    assert interval == f"{ratio.interval.low:.3f} to {ratio.interval.high:.3f}"
    assert outliers == f"{ratio.outliers} of 12"
    flop = 2 * 6000 * (3 * (784 * 128 + 128 * 10) - 784 * 128)
    assert float(gflops) == pytest.approx(flop / seconds_in(seconds) / 1e9, rel=0.01)
    assert gemm == f"{float(gflops):.0f} %"  # of 100 GFLOP/s
    assert floor == "50 %"
    assert rows["slow"][2:5] == ["1", "–", "–"]
    assert rows["floor"][5:] == ["–", "–", "–"]
    assert "reached 100 GFLOP/s in float32" in speed(race).notes[0]


def test_resources_besides_the_time(tmp_path: Path) -> None:
    records = race_records()
    records.insert(
        1,
        {
            "kind": "cold",
            "race": 0,
            "participant": "swift",
            "images": 6000,
            "prepare": {"wall": 1},
            "first": {"wall": 9},
        },
    )
    (race,) = raced(tmp_path, records).races
    rows = rows_of(resource_table(race))
    assert rows["swift"] == ["175 %", "31.2 ms", "9.00 s", "0.200 s", "1", "64 MiB", "2 MiB"]
    assert rows["twin"][2] == "–"
    assert rows["slow"][4] == "–"
    assert list(rows) == list(rows_of(speed(race)))


def test_a_race_in_words(tmp_path: Path) -> None:
    (race,) = raced(tmp_path).races
    assert re.fullmatch(
        r"In an interleaved race, an epoch of 6,000 images took (swift|twin) [\d.]+ m?s, 0\.2\d+ \[0\.2\d+, 0\.2\d+\] "
        r"times as long as slow; it cannot be distinguished from (swift|twin)\.",
        race_headline(race),
    )
    lines = race_lines(race)
    assert lines[0] == (
        "An epoch of 6,000 images: MNIST · 784-128-10 relu, softmax with cross_entropy · batches of 128 · float32 · "
        "6,000 images · threads: 2."
    )
    assert lines[1:] == [
        "4 generations of processes, 12 rounds; ended because the budget of 10 s is spent. The baseline is slow.",
        f"Started {WHEN} by python -m bench race",
    ]


def test_what_disturbed_is_said(tmp_path: Path) -> None:
    records = race_records()
    next(entry for entry in records if entry["kind"] == "run")["load"] = 3.5
    (race,) = raced(tmp_path, records).races
    assert race_lines(race)[3:] == [
        "The machine was not quiet: its load was 3.5 when this began; end what else is running."
    ]


def test_one_generation_has_no_interval(tmp_path: Path) -> None:
    results = raced(tmp_path, race_records(generations=1))
    rows = rows_of(speed(results.races[0]))
    assert rows["swift"][3] == "–"
    assert "There are no intervals" in race_lines(results.races[0])[3]
    assert "Without an interval" in words_of(ratios(results.races[0], look_of(results)))


def test_one_backend_alone_and_none(tmp_path: Path) -> None:
    (alone,) = raced(tmp_path, race_records({"swift": 0.25}, noise=0)).races
    assert race_headline(alone).endswith("took swift 0.250 s; no other backend took part.")
    (no_backend,) = raced(tmp_path, race_records({"swift": 0.1}, failing=("swift",))).races
    assert race_headline(no_backend) == "In the race no backend was measured."
    assert race_lines(no_backend)[3] == "No backend was measured."
    (without,) = raced(tmp_path, race_records(failing=("slow",))).races
    assert race_lines(without)[3] == "There are no ratios, as slow, the baseline, has no times."
    assert rows_of(speed(without))["swift"][2] == "–"


def test_growth_in_a_table(tmp_path: Path) -> None:
    results = raced(tmp_path, *sweep_of("batch", 0.5))
    table = growth(results.races)
    assert list(table.heads)[:4] == ["images per update", "32", "128", "1,000"]
    rows = rows_of(table)
    assert rows["swift"] == ["56.6 µs", "0.113 ms", "0.316 ms", "0.50", "0.50 to 0.50"]
    assert rows["floor"][3] == "0.00"
    assert races_setting(results.races).split(" · ")[2] == "images per update: 32, 128, 1,000"


def test_a_size_that_is_there_twice_and_one_that_is_missing(tmp_path: Path) -> None:
    slow = [
        race_records({"slow": 0.4}, number=n, noise=0, key={"batch": b}, sweep="batch")
        for n, b in enumerate([6000, None, 32])
    ]
    slow[2] = slow[2][:1]  # a header, and nothing yet
    (grown,) = growths(raced(tmp_path, *slow).races)
    assert (grown.sizes, grown.power) == ([6000], None)
    assert rows_of(growth(raced(tmp_path, *slow).races))["slow"][1:] == ["–", "–"]


def test_several_calibrations_in_words(tmp_path: Path) -> None:
    (one,) = raced(tmp_path, calibration(when="yesterday")).races
    (other,) = raced(tmp_path, calibration(when="today", command="the command")).races
    assert started_by(other) == "Started today by the command"
    assert started_by(one, other) == "Started yesterday and today by the command"
    other.machine["quota"] = 1.5
    assert started_by(one, other) == "Started yesterday and today under a CPU quota of 1.5 cores by the command"


def test_verdicts_in_a_table(tmp_path: Path) -> None:
    several = [*raced(tmp_path, calibration()).races, *raced(tmp_path, calibration(8)).races]
    assert comparison_length(several) == 4
    rows = rows_of(calibration_sections(several)[0].tables[0])
    assert [*rows] == ["the same, twice", "3 % more work", "5 % more work", "10 % more work"]
    low, high = statistics.share(5, 5)
    assert rows["5 % more work"] == ["100.0 %", f"{100 * low:.1f} % to {100 * high:.1f} %", "5"]
    assert rows["the same, twice"][0] == "0.0 %"
    assert "Comparisons of 4 generations" in calibration_sections(several)[0].tables[0].notes[0]
    older = raced(tmp_path, calibration(comparison=None))
    assert comparison_length(older.races) == GENERATIONS


# --- figures ---------------------------------------------------------------------------------------------


def test_ratios_are_drawn_as_computed(tmp_path: Path) -> None:
    results = raced(tmp_path)
    (race,) = results.races
    figure: Any = ratios(race, look_of(results))
    rows = sorted(statistics.ratios(race.rounds(), "slow", may_stop_early=True), key=lambda row: row.estimate)
    lines = lines_of(figure)
    assert [*lines[-1].get_xdata()] == [1, 1]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [row.backend for row in rows]
    for row, (generations, interval, estimate) in zip(rows, (lines[i : i + 3] for i in range(0, 9, 3)), strict=True):
        logs = statistics.log_ratios(race.rounds(), row.backend, "slow")
        assert list(generations.get_xdata()) == pytest.approx([np.exp(np.median(log)) for log in logs])
        assert list(interval.get_xdata()) == pytest.approx(row.interval)
        assert estimate.get_xdata() == pytest.approx([row.estimate])
        assert with_interval(row) in words_of(figure)


@pytest.mark.parametrize("noise", [4, 40])
def test_a_wide_interval_is_drawn_but_does_not_widen_the_axis_without_end(noise: float, tmp_path: Path) -> None:
    (race,) = raced(tmp_path, race_records({"slow": 0.4, "swift": 0.1}, generations=2, noise=noise)).races
    figure = ratios(race, Looks(["slow", "swift"]))
    generations, interval, *_ = lines_of(figure)
    low, high = figure.axes[0].get_xlim()
    marks = [1, *generations.get_xdata()]
    assert min(marks) / 10 < low < min(marks) < max(marks) < high < 10 * max(marks)
    assert np.isfinite(np.log(interval.get_xdata())).all()
    assert min(interval.get_xdata()) < low < high < max(interval.get_xdata())


def test_growth_is_drawn_with_its_power(tmp_path: Path) -> None:
    results = raced(tmp_path, *sweep_of("batch"))
    figure: Any = growth_figure(results.races, look_of(results))
    slow, swift, floor = lines_of(figure)
    assert list(slow.get_xdata()) == [32, 128, 1000]
    assert list(slow.get_ydata()) == pytest.approx([0.00128, 0.00512, 0.04])
    assert list(swift.get_ydata()) == pytest.approx([0.00032, 0.00128, 0.01])
    assert list(floor.get_ydata()) == pytest.approx([0.05] * 3)
    legend = [text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()]
    assert legend[:2] == ["slow 1.00 [1.00, 1.00]", "swift 1.00 [1.00, 1.00]"]
    assert (figure.axes[0].get_xscale(), figure.axes[0].get_yscale()) == ("log", "log")


def test_threads_are_drawn_against_the_floor(tmp_path: Path) -> None:
    results = raced(tmp_path, *sweep_of("threads", -0.5))
    figure: Any = growth_threads(results.races, look_of(results))
    seconds, over_floor = (
        {line.get_color(): line for line in axes.lines if line.get_marker() not in ("None", "")} for axes in figure.axes
    )
    look = look_of(results)
    assert list(seconds[look["slow"].colour].get_ydata()) == pytest.approx([4e-5, 4e-5 / 2**0.5])
    assert list(over_floor[look["slow"].colour].get_ydata()) == pytest.approx([8e-4, 8e-4 / 2**0.5])
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["slow\ngain 1.4, 0.00057 floors", "swift\ngain 1.4, 0.00014 floors", "floor\ngain 1.0"]
    dotted = [line.get_xydata() for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert all(x[1, 1] * 2 == pytest.approx(x[0, 1]) for x in dotted)
    without = raced(
        tmp_path, *(race_records({"slow": 1.0}, number=n, key={"threads": n + 1}, sweep="threads") for n in range(2))
    )
    assert "The floor was not measured" in words_of(growth_threads(without.races, look))


def test_sizes_that_the_budget_had_no_room_for_are_named(tmp_path: Path) -> None:
    several = sweep_of("batch")
    several[2] = [several[2][0], several[2][-1]]  # its header and its end
    section = sweep_section(raced(tmp_path, *several).races)
    assert "Not measured: images per update: 1,000; the budget of 10 s is spent." in section.lines


def test_small_ticks_stand_between_those_with_numbers(tmp_path: Path) -> None:
    results = raced(tmp_path, *sweep_of("batch"))
    figure: Any = growth_figure(results.races, look_of(results))
    below, beside = (line.get_xydata() for line in figure.artists)
    assert [*below[:, 0]] == [*range(30, 100, 10), *range(200, 1000, 100)]
    assert {*below[:, 1]} == {*beside[:, 0]} == {0}
    assert beside[:3, 1] == pytest.approx([0.0003, 0.0004, 0.0006])  # a number stands at 0.0005


@pytest.mark.parametrize("what", SWEPT)
def test_every_sweep_has_a_figure(what: str, tmp_path: Path) -> None:
    results = raced(tmp_path, *sweep_of(what))
    names = [one.name for one in sweep_figures(results.races, look_of(results))]
    assert names == [f"growth-{what}", *(["roofline-batch"] if what == "batch" else [])]


@pytest.mark.parametrize(
    ("measure", "flop", "values"),
    [
        ("epoch", 2 * 6000 * (2 * 784 * 128 + 3 * 1280), 6000 * 784 + 47 * 2 * 784 * 128),
        ("gradient", 2 * 6000 * (2 * 784 * 128 + 3 * 1280), 6000 * 784 + 2 * 784 * 128),
        ("outputs", 2 * 6000 * (784 * 128 + 1280), 6000 * 784 + 784 * 128),
    ],
)
def test_roofline_counts_bytes_at_least(measure: str, flop: int, values: int, tmp_path: Path) -> None:
    results = raced(tmp_path, race_records(noise=0, key={"measure": measure}))
    figure: Any = roofline(results.races, look_of(results))
    *points, roof = lines_of(figure)
    assert len(points) == 3  # not the floor
    for point, seconds in zip(points, (0.4, 0.1, 0.1), strict=True):
        assert point.get_xdata() == pytest.approx([flop / (4 * values)])
        assert point.get_ydata() == pytest.approx([flop / seconds / 1e9])
    x, y = roof.get_xdata(), roof.get_ydata()
    assert x[1] == pytest.approx(5)  # FLOP per byte, where 100 GFLOP/s meet 20 GB/s
    assert list(y) == pytest.approx([20 * x[0], 100, 100])


def test_roofline_without_rates_has_no_roof(tmp_path: Path) -> None:
    results = raced(tmp_path, race_records({"slow": 0.4, "swift": 0.1}))
    assert len(lines_of(roofline(results.races, look_of(results)))) == 2


def test_calibration_is_drawn_as_computed(tmp_path: Path) -> None:
    results = raced(tmp_path, calibration(noise=0.02))
    found = verdicts(results.races, 4)
    figure: Any = calibration_figure(results.races)
    marks = lines_of(figure)[0]
    assert list(marks.get_xdata()) == pytest.approx([0, 3, 5, 10])
    assert list(marks.get_ydata()) == pytest.approx([100 * row.share for row in found])
    (bars,) = figure.axes[0].collections
    ends = [segment[:, 1] for segment in bars.get_segments()]
    for pair, row in zip(ends, found, strict=True):
        assert list(pair) == pytest.approx([100 * end for end in row.interval])


def test_a_calibration_that_is_too_short_is_said(tmp_path: Path) -> None:
    short = raced(tmp_path, calibration(3))
    assert "shorter than one comparison" in words_of(calibration_figure(short.races))
    assert calibration_sections(short.races)[0].tables[0].rows == []


def test_figures_carry_notice_and_setting(tmp_path: Path) -> None:
    several = sweep_of("batch", notice=NOTICE)
    sweep, race = raced(tmp_path, *several), raced(tmp_path, race_records(notice=NOTICE))
    calibrated = raced(tmp_path, calibration(notice=NOTICE))
    look = look_of(race, sweep)
    several_kinds = race_figures(race.races[0], look), sweep_figures(sweep.races, look)
    for one in itertools.chain(*several_kinds, [calibration_figure(calibrated.races)]):
        words = words_of(one)
        assert NOTICE in words
        assert "MNIST · 784-128-10 relu, softmax with cross_entropy" in words


def test_the_same_backend_looks_the_same_everywhere(tmp_path: Path) -> None:
    race, sweep = raced(tmp_path), raced(tmp_path, *sweep_of("batch"))
    look = Looks(["naive", "swift", "twin", "slow"])
    in_rows, in_lines = ratios(race.races[0], look), growth_figure(sweep.races, look)
    expected = Looks(["naive", "swift"])["swift"]
    rows = [label.get_text() for label in in_rows.axes[0].get_yticklabels()]
    estimates = [line for line in lines_of(in_rows) if line.get_markersize() == 8]
    for line in (estimates[rows.index("swift")], lines_of(in_lines)[1]):
        assert (line.get_marker(), line.get_color()) == (expected.marker, expected.colour)


WITH_NAMES = (ratios, memory, break_even, lines_of_code)  # the rooflines' legends are as of the last two


def test_forty_entrants_have_room(tmp_path: Path) -> None:
    names = [f"backend {i} " + "of_a_long_name " * (i % 4) for i in range(40)]
    seconds = {name: 8 * 0.83**i for i, name in enumerate(names)}
    sweep = [
        race_records(seconds, number=number, generations=2, rounds=2, key={"batch": batch}, sweep="batch")
        for number, batch in enumerate([32, 128])
    ]
    swept, look = raced(tmp_path, *sweep).races, Looks(names)
    for one in [growth_figure(swept, look), *(draw(swept[0], look) for draw in WITH_NAMES)]:
        boxes = boxes_of(one)
        assert len(boxes) >= 39
        assert not [1 for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
        assert all(one.bbox.x0 <= box.x0 and box.x1 <= one.bbox.x1 and box.y0 > 0 for box in boxes)


def test_a_sweep_names_what_disturbed_once_for_each_remedy(tmp_path: Path) -> None:
    several = sweep_of("batch")
    for records, load in zip(several, (0.5, 3.5, 4.5), strict=True):
        next(entry for entry in records if entry["kind"] == "run")["load"] = load
    (line,) = disturbed(raced(tmp_path, *several).races)
    assert line == "The machine was not quiet: its load was 3.5 when this began; end what else is running."


# --- odd input -------------------------------------------------------------------------------------------

ODD: dict[str, list[list[dict[str, Any]]]] = {
    "awkward names": [race_records({name: 0.1 + i / 10 for i, name in enumerate((*AWKWARD, EVIL))})],
    "one backend": [race_records({"swift": 0.1})],
    "one and the floor": [race_records({"swift": 0.1, "floor": 0.05})],
    "one generation of one round": [race_records(generations=1, rounds=1)],
    "two wild generations": [race_records(generations=2, noise=3)],
    "no backend left": [race_records({"swift": 0.1}, failing=("swift",))],
    "no baseline": [race_records(failing=("slow",))],
    "left before the end": [race_records()[:-1]],
    "an unknown measure": [race_records(key={"measure": "dreams"})],
    "full batch": [race_records(key={"batch": None})],
    "no letters": [race_records({"速い": 0.1, "": 0.2})],
    "a sweep of which one is whole": [sweep_of("batch")[0], *(records[:1] for records in sweep_of("batch")[1:])],
    "a sweep in which no backend is left": [
        [*records[:1], *race_records({"slow": 1.0}, number=n, failing=("slow",))[1:]]
        for n, records in enumerate(sweep_of("batch"))
    ],
    "a short calibration": [calibration(2)],
}


def its_ratios(chosen: Chosen) -> Figure:
    return ratios(chosen.races("race")[0], Looks(chosen.names))


def its_roofline(chosen: Chosen) -> Figure:
    return roofline(chosen.races("race"), Looks(chosen.names))


# The figures that these cases are odd in; the others of them are as those of any race.
ODD_IN: dict[str, list[Callable[[Chosen], Figure]]] = {
    "one and the floor": [its_ratios, its_roofline],
    "one generation of one round": [its_ratios],
    "two wild generations": [its_ratios],
    "no baseline": [its_ratios],
    "left before the end": [its_ratios],
    "an unknown measure": [its_ratios, its_roofline],
    "full batch": [its_roofline],
}
SAVED = ("awkward names", "no letters", "two wild generations")  # whose words or places are odd in a file as well


@pytest.mark.parametrize("case", ODD)
def test_odd_results_give_a_page(case: str, tmp_path: Path) -> None:
    chosen = choose([written(tmp_path, "r.jsonl", *ODD[case])])
    # They are laid out, so that what cannot be drawn raises.
    figures = [draw(chosen) for draw in ODD_IN[case]] if case in ODD_IN else figures_of(chosen)
    assert all(one.file("svg") for one in figures if case in SAVED)
    words = words_on_the_page(chosen)
    assert NO_BENCHMARKS in words
    for table in (table for section in report_of(chosen).sections for table in section.tables):
        assert {len(row) for row in table.rows} <= {len(table.heads)}
    for line in markdown_summary(report_of(chosen)).splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) > 3


def test_what_results_contain_is_escaped(tmp_path: Path) -> None:
    header: dict[str, Any] = {
        "data": EVIL,
        "notice": EVIL,
        "command": EVIL,
        "machine": MACHINE | {EVIL: {EVIL: [EVIL]}},
    }
    records = race_records({EVIL: 0.1, "swift": 0.2}, key={"network": EVIL, "plan": EVIL, "measure": EVIL}, **header)
    records[-1]["reason"] = EVIL
    records.append(agreement(EVIL, failure=EVIL))
    records.append(agreement(EVIL, unsupported=EVIL, quantity=EVIL))
    chosen = choose([written(tmp_path, "a<script>.jsonl", records)])
    figures = figures_of(chosen)
    html = page(report_of(chosen), figures, files_of(figures))
    assert "<script" not in without_ours(html)
    assert html.encode()
    assert " ".join(ET.fromstring(html).itertext()).count("<script>alert('$1$')</script>") >= 8
    assert "<script" not in markdown_summary(report_of(chosen))


def test_names_are_no_formulae(tmp_path: Path) -> None:
    results = raced(tmp_path, race_records({"slow": 0.4, r"$\alpha_1$": 0.1}))
    figure = ratios(results.races[0], look_of(results))
    (label,) = figure.axes[0].get_yticklabels()
    assert label._preprocess_math(label.get_text()) == (r"$\alpha_1$", False)  # type: ignore[attr-defined]


def changed(kind: str, **fields: Any) -> list[dict[str, Any]]:
    records = race_records()
    next(entry for entry in records if entry["kind"] == kind).update(fields)
    return records


@pytest.mark.parametrize(
    "records",
    [
        changed("process", process_peak="much"),
        changed("process", call_peak=-1),
        changed("generation", seconds=None),
        changed("generation", load_before="high"),
        changed("generation", stolen=float("inf")),
        changed("race", key=race_records()[0]["key"] | {"threads": "two"}),
        changed("race", key=race_records()[0]["key"] | {"batch": 0}),
        changed("race", comparison=0),
    ],
)
def test_values_that_cannot_be_are_one_line(records: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"r\.jsonl, line \d+: a record is not as expected"):
        raced(tmp_path, records)


# --- which results ---------------------------------------------------------------------------------------


def test_a_header_that_no_table_can_show_costs_only_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = written(tmp_path, "good.jsonl", race_records(generations=1))
    bad = written(tmp_path, "bad.jsonl", race_records(generations=1, about={"figures": "many"}))
    assert [results.path for results in choose([tmp_path]).files] == [good]
    assert capsys.readouterr().err.startswith(f"passed over: {bad}, line 1: a record is not as expected: ")


def at(hour: int) -> str:
    return f"2026-02-03T{hour:02}:00:00+00:00"


def test_a_folder_gives_the_newest_of_each_kind_and_all_calibrations(tmp_path: Path) -> None:
    for hour in (1, 2):
        benchmarks_written(tmp_path, f"{hour}.json", ResultSet(**vars(SMALL) | {"when": at(hour), "machine": MACHINE}))
        written(tmp_path, f"race-{hour}.jsonl", race_records(when=at(hour)))
        written(tmp_path, f"race-b{hour}.jsonl", *sweep_of("batch", when=at(hour)))
        written(tmp_path, f"race-h{hour}.jsonl", *sweep_of("hidden", when=at(hour)))
        written(tmp_path, f"calibrate-{hour}.jsonl", calibration(when=at(hour)))
    written(tmp_path, "compare.jsonl", race_records(purpose="compare", when=at(3)))
    chosen = choose([tmp_path])
    assert [results.path.name for results in chosen.files] == [
        "2.json",
        "race-2.jsonl",
        "compare.jsonl",
        "race-b2.jsonl",
        "race-h2.jsonl",
        "calibrate-1.jsonl",
        "calibrate-2.jsonl",
    ]
    assert list(chosen.of_kind)[3:5] == ["sweep of batch", "sweep of hidden"]
    assert chosen.notes == []
    assert chosen.names[:3] == ["naive", "swift", "wild"]


def test_results_of_another_machine_are_passed_over_with_one_line(tmp_path: Path) -> None:
    for name, hour, machine in (("a", 1, "x"), ("b", 2, "x"), ("c", 3, "y")):
        written(tmp_path, f"{name}.jsonl", race_records(when=at(hour), machine=MACHINE | {"id": machine}))
    written(tmp_path, "d.jsonl", calibration(when=at(1), machine=MACHINE | {"cpu": "another"}))
    chosen = choose([tmp_path])
    assert [results.path.name for results in chosen.files] == ["c.jsonl"]
    assert chosen.notes == ["Not shown, as of another machine than c.jsonl, the newest: a.jsonl, d.jsonl, b.jsonl"]
    assert chosen.notes[0] in words_on_the_page(chosen)


def test_files_are_named_one_by_one(tmp_path: Path) -> None:
    race = written(tmp_path, "race.jsonl", race_records(when=at(1)))
    newer = written(tmp_path / "in", "newer.jsonl", race_records(when=at(2)))
    calibrated = written(tmp_path, "calibrated.jsonl", calibration(when=at(3)))
    chosen = choose([race, calibrated])
    assert [results.path for results in chosen.files] == [race, calibrated]
    chosen = choose([race, tmp_path / "in"])
    assert [results.path for results in chosen.files] == [race, newer]
    newest = chosen.newest("race")
    assert newest is not None
    assert newest.path == newer


def test_calibrations_of_another_case_do_not_count(tmp_path: Path) -> None:
    written(tmp_path, "a.jsonl", calibration(when=at(1)))
    written(tmp_path, "b.jsonl", calibration(when=at(2), key={"images": 500}))
    chosen = choose([tmp_path])
    assert [results.path.name for results in chosen.of_kind["calibrate"]] == ["b.jsonl"]
    assert chosen.notes == ["Not shown, as of another case or code than the newest calibration: a.jsonl"]


def test_a_race_without_a_whole_generation_hides_no_other(tmp_path: Path) -> None:
    written(tmp_path, "a.jsonl", race_records(when=at(1)))
    left = written(tmp_path, "b.jsonl", race_records(when=at(2))[:3])
    chosen = choose([tmp_path])
    newest = chosen.newest("race")
    assert newest is not None
    assert newest.path.name == "a.jsonl"
    assert chosen.notes == ["Not shown, as without a whole generation of processes: b.jsonl"]
    with pytest.raises(UserError, match=r"without a whole generation of processes: b\.jsonl; nothing is left to show"):
        choose([left])


def test_a_comparison_is_shown_with_its_verdicts(tmp_path: Path) -> None:
    several = [comparison(0.11), comparison(0.09, 1, "wild"), comparison(0.101, 2, "same"), comparison(0.101, 3, EVIL)]
    several.append(comparison(0.1, 4, "gone", failing=("after",)))
    chosen = choose([written(tmp_path, "compare.jsonl", *several)])
    assert chosen.races("compare")
    assert chosen.names == []
    (section,) = compare_sections(chosen.races("compare"))
    rows = rows_of(section.tables[0])
    assert [row[-1] for row in rows.values()] == [
        "slower",
        "faster",
        "no slowdown found",
        "no slowdown found",
        "not measured on both sides",
    ]
    races_of_file = chosen.races("compare")
    error = statistics.error_of_each(5)
    ratio = statistics.ratio(races_of_file[0].rounds(), "after", "before", error, races_of_file[0].started())
    assert changes(chosen.races("compare"))["swift"] == ratio
    one = comparison_figure(chosen.races("compare"), Looks([]))
    assert len(one.axes[0].get_yticklabels()) == 4
    assert "Has it become slower?" in words_on_the_page(chosen)


def test_a_comparison_of_which_nothing_is_left(tmp_path: Path) -> None:
    chosen = choose([written(tmp_path, "compare.jsonl", comparison(0.1, failing=("before", "after")))])
    assert chosen.races("compare")
    one = comparison_figure(chosen.races("compare"), Looks([]))
    assert "No backend was measured" in words_of(one)


def test_races_of_several_files_stand_side_by_side(tmp_path: Path) -> None:
    older = written(tmp_path, "older.jsonl", race_records(when=at(1)))
    newer = written(tmp_path, "newer.jsonl", race_records({"slow": 0.8, "new": 0.2, "floor": 0.05}, when=at(2)))
    chosen = choose([newer, older])
    newest = chosen.newest("race")
    assert newest is not None
    assert newest.path == newer
    section = races_in_columns(chosen.of_kind["race"])
    rows = rows_of(section.tables[0])
    assert list(rows) == ["floor", "twin", "swift", "slow", "new"] or list(rows) == [
        "floor",
        "swift",
        "twin",
        "slow",
        "new",
    ]
    assert seconds_in(rows["slow"][0]) == pytest.approx(0.4, rel=0.03)
    assert seconds_in(rows["slow"][1]) == pytest.approx(0.8, rel=0.03)
    assert rows["new"][0] == rows["swift"][1] == "–"
    assert int(rows["slow"][2].removesuffix(" %")) == pytest.approx(12.5, abs=1)
    assert section.lines[0].startswith("A: older.jsonl")
    assert "Side by side" in markdown_summary(report_of(chosen))


def test_another_baseline_is_computed_from_the_samples(tmp_path: Path) -> None:
    written(tmp_path, "r.jsonl", race_records(when=at(1)))
    written(tmp_path, "s.jsonl", *sweep_of("batch", when=at(2)))
    chosen = with_baseline(choose([tmp_path]), "twin")
    newest = chosen.newest("race")
    assert newest is not None
    (race,) = newest.races
    expected = {row.backend: row for row in statistics.ratios(race.rounds(), "twin", may_stop_early=True)}
    rows = rows_of(speed(race))
    assert rows["twin"][2] == "1"
    assert rows["slow"][2] == f"{expected['slow'].estimate:.3f}"
    assert expected["slow"].estimate == pytest.approx(4, rel=0.05)
    assert rows["slow"][3] == " to ".join(f"{end:.3f}" for end in expected["slow"].interval or ())
    figure = ratios(race, look_of(newest))
    assert "how many times as long as twin" in words_of(figure)
    assert with_interval(expected["slow"]) in words_of(figure)
    assert "The baseline is twin." in markdown_summary(report_of(chosen))
    assert chosen.notes == ["With the baseline of the measurement, as twin did not run in all of it: s.jsonl"]
    assert chosen.races("sweep of batch")[0].baseline == "slow"


def test_another_baseline_of_races_side_by_side_shows_each_once(tmp_path: Path) -> None:
    paths = [written(tmp_path, f"{hour}.jsonl", race_records(when=at(hour))) for hour in (1, 2)]
    chosen = with_baseline(choose(paths), "swift")
    assert [results.path for results in chosen.files] == paths
    assert {results.races[0].baseline for results in chosen.files} == {"swift"}


def test_a_baseline_that_did_not_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    race = written(tmp_path, "r.jsonl", race_records())
    assert main(["--results", str(race), "--out", str(tmp_path / "out"), "--baseline", "nobody"]) == 2
    message = "error: --baseline nobody: expected a participant of a race among these results, found"
    assert capsys.readouterr().err == f"{message} slow, swift, twin, floor\n"
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_cut_is_shown_as_far_as_it_goes_and_that_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, "r.jsonl", race_records())
    path.write_text(path.read_text()[:-20])
    chosen = choose([path])
    newest = chosen.newest("race")
    assert newest is not None
    assert len(newest.races[0].generations) == 4
    assert "r.jsonl ends in the middle of a record; all before it is shown" in words_on_the_page(chosen)


def test_a_whole_report_of_races_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    folder = tmp_path / "in"
    written(folder, "race-a.jsonl", race_records(notice=NOTICE, failing=("twin",)))
    written(folder, "race-b.jsonl", *sweep_of("batch", notice=NOTICE))
    written(folder, "calibrate-a.jsonl", calibration(notice=NOTICE))
    (folder / "broken.jsonl").write_text('{"kind": "race", "schema": 99}\n')
    assert main(["--results", str(folder), "--out", str(tmp_path / "out")]) == 0
    names = [
        "ratios",
        "roofline",
        "memory",
        "break-even",
        "agreement",
        "lines-of-code",
        "growth-batch",
        "roofline-batch",
        "calibration",
    ]
    expected = {f"{name}.{suffix}" for name in names for suffix in ("svg", "png")} | {
        "index.html",
        "summary.md",
        "ANSWERS.md",
    }
    there = {path.name for path in (tmp_path / "out").iterdir()}
    assert {name for name in there if not name.endswith(".csv")} == expected
    assert {"speed.csv", "resources.csv", "samples.csv"} <= there
    root = ET.fromstring((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
    drawn = [element for element in root.iter() if element.tag == "img" or element.get("class") == "figure"]
    assert len(drawn) == len(names)
    printed = capsys.readouterr()
    assert printed.err.startswith(f"passed over: {folder / 'broken.jsonl'}: has schema 99, this version reads")
    assert max(len(line) for line in printed.out.splitlines() if str(tmp_path) not in line) <= 80
    summary = (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")
    for words in ("Speed", "Resources", "Called slower", "twin: ended with exit code 3"):
        assert words in printed.out
        assert words in summary
    for words in (NOTICE, NO_BENCHMARKS):
        assert words in " ".join(printed.out.split())


def test_the_order_of_records_means_nothing(tmp_path: Path) -> None:
    records = race_records()
    head, rest = records[:1], records[1:]
    processes = [entry for entry in rest if entry["kind"] == "process"]
    others = [entry for entry in rest if entry["kind"] != "process"]
    there = choose([written(tmp_path, "r.jsonl", records)])
    here = choose([written(tmp_path, "r.jsonl", head + processes[::-1] + others[::-1])])
    assert markdown_summary(report_of(there)) == markdown_summary(report_of(here))
    for a, b in zip(figures_of(there), figures_of(here), strict=True):
        assert a.file("svg") == b.file("svg")


def test_a_raced_needs_no_file() -> None:
    race = RaceResult(0, "race", WHEN, "", race_records()[0]["key"], MACHINE, "slow", "MNIST", None)
    assert "There is no ratio to slow" in words_of(ratios(race, Looks([])))
    assert "No backend was measured" in words_of(roofline([race], Looks([])))
