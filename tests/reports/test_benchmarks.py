"""reports/: what pytest-benchmark measured, in rows, figures and the page, whatever is missing or odd."""

import csv
import errno
import functools
import io
import itertools
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import PIL.Image
import pytest
from rich.console import Console

import bench
import impls
from bench import UserError
from bench.records.files import ResultSet, read
from bench.tables import benchmarks
from bench.tables.table import Table, for_terminal, number, times
from reports import __main__ as command
from reports.__main__ import main
from reports.export import csv_files, file_name, for_csv, markdown_summary
from reports.figures.benchmarks import (
    FIGURES,
    accuracy_check,
    cost_over_epochs,
    speed_against_accuracy,
    time_per_epoch,
)
from reports.figures.style import DPI, Figure, Looks, wrapped
from reports.history import Past
from reports.page import described, source, svg_address
from reports.page import page as page_of
from reports.sections import Report, left_out, report_of
from reports.selection import Chosen
from temporary import PREFIX
from tests.helpers.benchmark_files import (
    AWKWARD,
    DIVERGED,
    FLOOR,
    GRADIENT,
    NAIVE,
    NETWORK,
    NOTICE,
    SMALL,
    SWIFT,
    USUAL,
    boxes_of,
    curve,
    curve_of,
    measured,
    result_set,
    without_ours,
    words_of,
    written,
)

ROOT = bench.ROOT


# --- results made in memory ------------------------------------------------------------------------------


def many(count: int = 40, rounds: int = 3) -> ResultSet:
    """Long names, of which some take three lines, and times that spread over three decades."""
    measurements = []
    for i in range(count):
        name, seconds = f"backend {i} " + "of_a_long_name " * (i % 4), 8 * 0.83**i
        for plan in ("full batch", "mini-batches"):
            last = 0.5 + 0.49 * i / count
            here = curve(rounds, seconds, last)
            default_batch = (plan == "full batch") == (i % 2 == 0)
            measurements.append(measured("epoch", name, [seconds], plan, default_batch=default_batch, curve=here))
        measurements.append(measured("outputs", name, [seconds / 50], images=10_000, of_images=10_000))
    return result_set(*measurements, FLOOR, notice=NOTICE)


ODD = {
    "nothing": result_set(),
    "one backend": result_set(*SWIFT),
    "naive alone": result_set(*NAIVE, FLOOR),
    "no floor": result_set(*NAIVE, *SWIFT),
    "floor alone": result_set(FLOOR),
    "accuracy check alone": result_set(NAIVE[2], SWIFT[2]),
    "gradient alone": result_set(GRADIENT),
    "no curve": result_set(*(replace(measurement, curve=None) for measurement in NAIVE + SWIFT)),
    "no epoch in the curve": result_set(replace(SWIFT[0], curve=curve_of([0.0], [0.1], [2.4]))),
    "none at its default batch size": result_set(NAIVE[1], replace(SWIFT[0], default_batch=False)),
    "diverged": result_set(*NAIVE, DIVERGED),
    "diverged alone": result_set(replace(DIVERGED, curve=curve_of([0, 1], [0.1] * 2, [math.nan, -math.inf]))),
    "all right": result_set(replace(SWIFT[0], curve=curve_of([0, 1], [1.0, 1.0], [0.0, 0.0]))),
    "all wrong": result_set(replace(SWIFT[0], curve=curve_of([0, 1], [0.0, 0.0], [5.0, 5.0]))),
    "awkward names": result_set(
        *(replace(of_swift, backend=name) for name in AWKWARD for of_swift in SWIFT), notice="$x$ <b> & $y_1$"
    ),
    "letters without a glyph": result_set(*(replace(measurement, backend="速い") for measurement in SWIFT)),
    "no name": result_set(*(replace(measurement, backend="") for measurement in SWIFT), machine={}),
}


TIMES, TRAININGS = [*FIGURES][:2], [*FIGURES][2:]
# Which figures these cases are odd in; to the others they are as the usual results, or as "nothing".
ODD_IN = {"floor alone": TIMES, "accuracy check alone": TIMES} | dict.fromkeys(
    ("no curve", "no epoch in the curve", "diverged", "diverged alone", "all right"), TRAININGS
)
SAME_TO_FIGURES = ("one backend", "no floor", "gradient alone", "no name", "all wrong")  # as others: they take time
EMPTY = {name: b'<svg viewBox="0 0 720 360"/>' for name in FIGURES}  # where a test is not about figures


def chosen(results: ResultSet) -> Chosen:
    return Chosen({"benchmarks": [results]})


def summary(results: ResultSet) -> str:
    return markdown_summary(report_of(chosen(results)))


def page(results: ResultSet, svgs: dict[str, bytes]) -> str:
    """The page with these figures; as PNG they would be longer."""
    figures = [drawn_once(name) for name in svgs]
    files = {f"{name}.svg": svg for name, svg in svgs.items()} | {f"{name}.png": bytes(10**6) for name in svgs}
    return page_of(report_of(chosen(results)), figures, files)


@functools.cache
def drawn_once(name: str) -> Figure:
    """The figure of the usual results with a notice, for tests that only read it."""
    return FIGURES[name](replace(USUAL, notice=NOTICE))


# --- rows ------------------------------------------------------------------------------------------------


def default_batch(results: ResultSet) -> Table:
    return benchmarks.benchmarks_section(results).tables[0]


def on_same_plan(results: ResultSet) -> Table:
    return benchmarks.benchmarks_section(results).tables[1]


def test_medians_and_scaling() -> None:
    naive, swift = default_batch(USUAL).rows
    assert naive[:5] == ["naive", "full batch", "9.00 s †", "22.5 s †", "0.200 s"]  # 0.3 * 30, 2.5 times that
    assert swift[:5] == ["swift", "mini-batches\n(128)", "0.500 s", "1.25 s", "20.0 ms"]
    assert (naive[5], swift[5]) == ("30.00 %\nafter 1 epoch", "96.80 %\nafter 5 epochs")
    assert swift[6:8] == ["3.2", "1,234"]


def test_measurements_one_after_the_other_give_no_ratio() -> None:
    tables = default_batch(USUAL), on_same_plan(USUAL)
    assert not any("times" in head or "ratio" in head for table in tables for head in table.heads)


def test_dagger_and_what_it_stands_for() -> None:
    table = default_batch(USUAL)
    assert table.rows[0][2:4] == ["9.00 s †", "22.5 s †"]
    assert not any("†" in cell for cell in table.rows[1])
    assert table.notes[0] == "† naive: scaled from 2,000 of 60,000 images; an epoch of all of them took 8.75 s"
    assert benchmarks.scaling(replace(NAIVE[0], curve=None)) == "scaled from 2,000 of 60,000 images"
    checked = result_set(replace(NAIVE[2], images=5_000))
    assert default_batch(checked).rows[0][4] == "0.400 s †"
    assert default_batch(checked).notes == ["† naive, accuracy check: scaled from 5,000 of 10,000 images"]


def test_preparation_is_not_hidden() -> None:
    assert default_batch(USUAL).notes[1].endswith("naive 62.5 ms, swift 62.5 ms")


def test_order_is_that_of_the_file() -> None:
    names = ["zeta", "naive", "alpha"]
    rounds = [replace(SWIFT[0], backend=name) for name in names]
    checks = [replace(SWIFT[2], backend=name) for name in reversed(names)]
    results = result_set(*rounds, *checks)
    assert [row[0] for row in default_batch(results).rows] == names
    assert [row[0] for row in on_same_plan(results).rows] == names


def test_same_plan_takes_the_rounds_on_that_plan_alone() -> None:
    full = measured("epoch", "full", [1.0], "full batch")
    table = on_same_plan(result_set(*NAIVE, *SWIFT, full))
    assert table.title == "All on the same plan: mini-batches of 128"
    assert [row[:3] for row in table.rows] == [
        ["naive", "mini-batches\n(128)", "15.0 s †"],
        ["swift", "mini-batches\n(128)", "0.500 s"],
    ]


@pytest.mark.parametrize(("case", "column"), [("no curve", 5), ("accuracy check alone", 2)])
def test_dash_where_nothing_is_known(case: str, column: int) -> None:
    assert default_batch(ODD[case]).rows[-1][column] == "–"


def test_no_row_for_a_gradient_or_the_floor_alone() -> None:
    for case in ("nothing", "gradient alone", "floor alone"):
        assert default_batch(ODD[case]).rows == on_same_plan(ODD[case]).rows == []


def test_diverged_is_said() -> None:
    (cell,) = [row[5] for row in default_batch(ODD["diverged"]).rows if row[0] == "wild"]
    assert cell == "10.00 %\nafter 3 epochs,\ndiverged"


def test_headline() -> None:
    assert benchmarks.benchmarks_headline(USUAL) == (
        "An epoch of 60,000 images on this machine: with each backend at its default batch size the "
        "shortest is that of swift, 0.500 s; with all on the same plan (mini-batches of 128) the shortest is that of "
        "swift, 0.500 s."
    )
    assert "scaled from 2,000" in benchmarks.benchmarks_headline(ODD["naive alone"])
    for case in ("nothing", "accuracy check alone"):
        assert benchmarks.benchmarks_headline(ODD[case]) == "No epoch of training was measured."


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.00"), (0.01234, "0.0123"), (8.806, "8.81"), (99.96, "100"), (12345.6, "12,346")]
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.034, "0.034"), (1, "1.0"), (9.94, "9.9"), (9.96, "10"), (1234, "1,234")]
)
def test_times(value: float, text: str) -> None:
    assert times(value) == text


def test_one_case_in_one_table() -> None:
    benchmarks.check_benchmarks(USUAL)
    with pytest.raises(
        UserError, match=r"results\.json: expected one network and dtype, found 2: .*float32; .*float64"
    ):
        benchmarks.check_benchmarks(result_set(SWIFT[0], replace(SWIFT[2], dtype="float64")))
    with pytest.raises(
        UserError, match="expected each measurement once, found a second epoch of swift of mini-batches"
    ):
        benchmarks.check_benchmarks(result_set(*SWIFT, SWIFT[0]))


# --- terminal and Markdown -------------------------------------------------------------------------------


def printed(table: Table, columns: int) -> list[str]:
    console = Console(width=columns, color_system=None)
    with console.capture() as capture:
        console.print(for_terminal(table, columns))
    return capture.get().splitlines()


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_terminal_keeps_within_its_columns_and_every_number_whole(columns: int) -> None:
    table = default_batch(USUAL)
    lines = printed(table, columns)
    assert max(map(len, lines)) <= columns
    words = " ".join(lines).split()
    numbers = [word for row in table.rows for cell in row[2:] for word in cell.split()]
    assert not [word for word in numbers if word not in words]


def test_terminal_folds_long_names_and_drops_nothing() -> None:
    name = "".join(f"{i:04}" for i in range(20))
    lines = printed(default_batch(result_set(replace(SWIFT[0], backend=name))), 80)
    assert max(map(len, lines)) <= 80
    first_words = [line.split()[0] for line in lines if line.strip()]
    assert name in "".join(first_words)


def test_terminal_takes_names_as_they_are() -> None:
    name = "[red]x[/]"
    assert any(name in line for line in printed(default_batch(result_set(replace(SWIFT[0], backend=name))), 120))


def test_markdown_has_one_cell_for_each_header() -> None:
    for results in ODD.values():
        for line in summary(results).splitlines():
            if line.startswith("|"):
                assert len(re.findall(r"(?<!\\)\|", line)) == len(default_batch(results).heads) + 1


def test_csv_has_every_cell_and_no_formula() -> None:
    awkward = ["=1+1", "@x", '+"y"', "-z", "-1.5", "a,b", "c\nd", "– †"]
    (row,) = csv.reader(io.StringIO(for_csv([awkward])))
    assert row == ["'=1+1", "'@x", '\'+"y"', "'-z", "-1.5", "a,b", "c d", "– †"]


def test_csv_files_have_safe_names_and_every_sample() -> None:
    files = csv_files(
        report_of(chosen(replace(USUAL, measurements=[*NAIVE, *(replace(m, plan="../x") for m in SWIFT)])))
    )
    assert all(re.fullmatch(r"[a-z0-9-]+\.csv", name) for name in files)
    rows = list(csv.DictReader(io.StringIO(files["samples.csv"])))
    assert [float(row["wall_s"]) for row in rows if row["backend"] == "swift" and row["of"] == "epoch"] == [
        *SWIFT[0].samples,
        *SWIFT[1].samples,
    ]
    assert [row["images"] for row in rows[:4]] == ["2000"] * 4
    assert file_name("../../Ünder & <b>") == "nder-b"


def test_markdown_is_literal() -> None:
    markdown = summary(ODD["awkward names"])
    assert "<script>" not in markdown
    assert '&lt;script&gt;alert("1")' in markdown
    assert r"a\|b\`c\*d\_e" in markdown


def test_left_out_have_a_line_with_the_reason() -> None:
    results = replace(USUAL, disagreements=["wrong, full batch: cost is 1e6 eps away"], unavailable={"gpu": "needs it"})
    assert left_out(chosen(results)) == ["wrong, full batch: cost is 1e6 eps away", "gpu: needs it"]
    for text in (summary(results), page(results, EMPTY)):
        assert "wrong, full batch: cost is 1e6 eps away" in text
        assert "gpu: needs it" in text


# --- figures ---------------------------------------------------------------------------------------------


def lines_of(figure: Any, panel: int) -> list[Any]:
    return [line for line in figure.axes[panel].lines if line.get_marker() != "None"]


def shown_in(name: str, results: ResultSet) -> set[str]:
    """The backends that a figure has to name."""
    home, same = benchmarks.default_epochs(results), benchmarks.same_plan_epochs(results)
    trained = [measurement for measurement in home + same if measurement.curve]
    shown = {
        "time-per-epoch": home + same,
        "accuracy-check": results.of("outputs"),
        "accuracy-over-time": [of_home for of_home in home if of_home.curve and of_home.curve.seconds[1:]],
        "cost-over-epochs": trained,
        "speed-against-accuracy": trained,
    }
    return {measurement.backend for measurement in shown[name]}


@pytest.mark.parametrize(
    ("case", "name"),
    [(case, name) for case in ODD for name in ODD_IN.get(case, FIGURES) if case not in SAME_TO_FIGURES],
)
def test_every_figure_of_every_subset(case: str, name: str) -> None:
    words = words_of(FIGURES[name](ODD[case]))  # laid out, so that what cannot be drawn raises
    shown = shown_in(name, ODD[case])
    for backend in shown:
        name_in_figure = "".join(wrapped(backend).split())  # wherever it was broken into lines
        assert name_in_figure in "".join(words.split()) or f"Not drawn: {backend}, " in words
    assert shown or "There is no " in words


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_carries_notice_and_setting(name: str) -> None:
    words = words_of(drawn_once(name))
    assert NOTICE in words
    assert f"MNIST · {NETWORK} · float32 · threads: openblas 2" in words


def test_every_sample_is_a_mark() -> None:
    figure: Any = drawn_once("time-per-epoch")
    marks = [[*line.get_xdata()] for line in lines_of(figure, 0)]
    assert marks == [pytest.approx([9.0, 7.5, 10.5]), [0.5, 0.4, 0.9], FLOOR.samples]
    marks = [[*line.get_xdata()] for line in lines_of(figure, 1)]
    assert marks == [pytest.approx([15, 15]), [0.5, 0.4, 0.9], FLOOR.samples]
    for axes in figure.axes:
        (dashed,) = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert [*dashed.get_xdata()] == [0.25, 0.25]
    words = words_of(figure)
    assert "9.00 s †, full batch" in words
    assert "† naive, full batch: scaled from 2,000 of 60,000 images; an epoch of all of them took 8.75 s" in words


def test_curves_are_drawn_as_measured() -> None:
    figure = drawn_once("accuracy-over-time")
    naive, swift = lines_of(figure, 0)
    assert list(naive.get_xdata()) == [8.75]
    assert list(swift.get_xdata()) == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert list(swift.get_ydata()) == pytest.approx([92.8, 93.8, 94.8, 95.8, 96.8])
    words = words_of(figure)
    assert "on the 10,000 test images" in words
    assert "before training: 10 %" in words
    _, swift = lines_of(drawn_once("cost-over-epochs"), 0)
    assert list(swift.get_ydata()) == [2.4, 1.2, 0.6, 0.3, 0.15, 0.075]


def test_speed_against_accuracy_shows_both_plans() -> None:
    points = [
        (line.get_xdata()[0], line.get_ydata()[0], line.get_markerfacecolor() == "none")
        for line in lines_of(drawn_once("speed-against-accuracy"), 0)
    ]
    assert points == [
        pytest.approx((8.75, 30, False)),
        pytest.approx((2.5, 96.8, False)),
        pytest.approx((2.5, 96.8, True)),
        pytest.approx((15, 96.8, True)),
    ]


def test_lines_that_coincide_can_be_distinguished() -> None:
    same = curve(5, 1.0)
    rounds = [replace(SWIFT[0], backend=name, curve=same) for name in "abcdefgh"]
    lines = lines_of(cost_over_epochs(result_set(*rounds)), 1)
    assert len(lines) == 8
    for earlier, later in itertools.pairwise(lines):
        assert later.get_zorder() >= earlier.get_zorder()  # the later lies on the earlier, which shows around it
        assert later.get_linewidth() < earlier.get_linewidth()
        assert later.get_markersize() < earlier.get_markersize()
        assert later.get_marker() != earlier.get_marker()


def test_diverged_costs_are_named() -> None:
    figure = cost_over_epochs(ODD["diverged"])
    assert "Not drawn: wild, mini-batches, 3 of 4 costs" in words_of(figure)
    assert all(0 < limit < 1e3 for limit in figure.axes[0].get_ylim())


def test_a_panel_without_a_line_has_no_small_ticks() -> None:
    figure = cost_over_epochs(ODD["none at its default batch size"])
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "log"]
    assert len(figure.artists) == 1


def test_a_training_without_an_epoch_is_named() -> None:
    words = words_of(speed_against_accuracy(ODD["no epoch in the curve"]))
    assert re.search("Not drawn: .*, without an epoch that took time", words)


def test_looks_differ_and_follow_the_ladder() -> None:
    looks = Looks(benchmarks.ladder(many()))
    assert len({(look.colour, look.marker) for look in looks.values()}) == 40
    few = Looks(benchmarks.ladder(USUAL)).values()
    assert [look[:3] for look in few] == [look[:3] for look in looks.values()][:2]


@pytest.mark.parametrize("name", FIGURES)
def test_forty_backends_have_room(name: str) -> None:
    figure = FIGURES[name](many())
    boxes = boxes_of(figure)
    assert len(boxes) >= 40
    assert not [1 for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(legend.get_window_extent().y0 > 0 for legend in figure.legends)


def test_names_are_no_formulae() -> None:
    name = r"$\alpha_1$"
    figure = time_per_epoch(result_set(replace(SWIFT[0], backend=name)))
    labels = [label for label in figure.axes[0].get_yticklabels() if "alpha" in label.get_text()]
    assert [label._preprocess_math(label.get_text()) for label in labels] == [(name, False)]  # type: ignore[attr-defined]


def test_names_with_an_underscore_first_are_in_the_legend() -> None:
    figure = cost_over_epochs(result_set(replace(SWIFT[0], backend="_private")))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["_private"]


def test_files_are_deterministic_whatever_the_users_settings() -> None:
    import matplotlib

    before = accuracy_check(USUAL).file("svg")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.hashsalt": None}):
        figure = accuracy_check(USUAL)
        assert figure.file("svg") == before
        assert figure.file("png").startswith(b"\x89PNG")
    assert b"<dc:date>" not in before


# --- the page --------------------------------------------------------------------------------------------


@functools.cache
def drawn_usual() -> dict[str, bytes]:
    return {name: drawn_once(name).file("svg") for name in FIGURES}


def tree(html: str) -> ET.Element:
    """The page as XML; raises where it is not well-formed."""
    return ET.fromstring(html)


def test_page_needs_nothing_else() -> None:
    html = without_ours(page(USUAL, drawn_usual()))
    root = tree(html)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        assert tag not in ("script", "link", "iframe", "object", "image", "base")
        for name, value in element.attrib.items():
            if name == "src":
                assert tag == "img"
                assert value.startswith("data:image/")
            if name == "href":
                assert value.startswith("#")
                assert value[1:] in ids
            assert name == "src" or "url(" not in re.sub(r"^url\(#[\w-]+\)$", "", value)
            if name == "clip-path":
                assert value.removeprefix("url(#").rstrip(")") in ids
    styles = "".join(element.text or "" for element in root.iter("style"))
    assert "url(" not in styles
    assert "@import" not in styles
    assert not re.findall(r"https?://", re.sub(r'xmlns="[^"]*"', "", html))


def test_page_says_it_all() -> None:
    results = replace(USUAL, notice=NOTICE)
    root = tree(page(results, drawn_usual()))
    words = " ".join(" ".join(root.itertext()).split())
    for table in (default_batch(results), on_same_plan(results)):
        for phrase in [
            table.title,
            *table.notes,
            *(" ".join(cell.split()) for row in table.rows for cell in row),
        ]:
            assert phrase in words
    for phrase in (
        NOTICE,
        "On this machine one pass over the 60,000 training images takes swift 0.500 s.",
        NETWORK,
        "a processor",
        "numpy 2.0",
        "name openblas",
        results.when,
    ):
        assert phrase in words
    for limit in ("in one process, one after another", "not interleaved"):
        assert limit in words
    assert [name for name in FIGURES if drawn_once(name).caption not in words] == []
    images = [element for element in root.iter() if element.get("class") == "figure"]
    assert len(images) == len(FIGURES)
    titles = [drawn_once(name).title for name in FIGURES]
    assert all(title in (image.get("aria-label") or "") for title, image in zip(titles, images, strict=True))
    for name, image in zip(FIGURES, images, strict=True):
        width, height = drawn_once(name).get_size_inches()
        assert (image.get("width"), image.get("height")) == (f"{96 * width:.0f}", f"{96 * height:.0f}")


@pytest.mark.parametrize("case", ODD)
def test_page_of_every_subset_is_well_formed(case: str) -> None:
    tree(page(ODD[case], EMPTY))


def test_page_escapes_what_results_contain() -> None:
    evil = "<script>alert(1)</script>"
    broken = "\x00\x1b[31m\ud800\u202e"
    results = result_set(
        *(replace(measurement, backend=evil + broken, network=evil, threads={evil: 1}) for measurement in SWIFT),
        notice=evil + broken,
        data_name=evil,
        when=evil,
        machine={evil: {evil: [evil + broken]}},
        disagreements=[evil],
        unavailable={evil: evil},
        path=Path("a<script>.json"),
    )
    html = page(results, EMPTY | {"cost-over-epochs": cost_over_epochs(results).file("svg")})
    assert "<script" not in without_ours(html)
    assert html.encode()
    assert " ".join(tree(html).itertext()).count(evil) >= 10


def test_an_svg_is_the_same_as_an_address() -> None:
    styled = """style="font: 9px 'DejaVu Sans'"/></g>"""
    before = f"""<svg viewBox="0 0 9 9"><g id="a"><path d="M 0.1\n1" {styled}<g title="1%25"/></svg>"""
    address = svg_address(before.encode())
    after = ET.fromstring(unquote(address.removeprefix("data:image/svg+xml,")))
    assert ET.tostring(after) == ET.tostring(ET.fromstring(before))
    assert not set('"<#&\n') & set(address)


def test_a_figure_is_drawn_once_for_each_of_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure as Drawing

    figure, draw = drawn_once("accuracy-check"), Drawing.draw
    draws = []

    def counted(self: Drawing, renderer: Any) -> None:
        draws.append(renderer)
        draw(self, renderer)

    monkeypatch.setattr(Drawing, "draw", counted)
    files = figure.files()
    assert list(files) == ["accuracy-check.svg", "accuracy-check.png"]
    assert len(draws) == 2
    width, height = figure.get_size_inches()
    with PIL.Image.open(io.BytesIO(files["accuracy-check.png"])) as picture:
        assert picture.size == (int(DPI * width), int(DPI * height))


def test_a_figure_on_the_page_is_the_shorter_of_its_files() -> None:
    assert source("a", {"a.svg": b"<svg/>", "a.png": bytes(1000)}) == "data:image/svg+xml,%3Csvg/>"
    assert source("a", {"a.svg": b"<svg>" + bytes(1000), "a.png": b"png"}) == "data:image/png;base64,cG5n"


def test_described() -> None:
    assert described({"a": 1, "b": [{"c": "d"}, None]}) == "a 1, b c d; None"


# --- the command -----------------------------------------------------------------------------------------


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Render next to nothing, where the test is of what happens around it."""
    monkeypatch.setattr(
        command,
        "render",
        lambda report, past: {"summary.md": report.chosen.files[0].when.encode(), "index.html": b"page"},
    )


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a failing run leaves."""
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def without_semaphores(*_: object, **__: object) -> None:
    """What a container may do that cannot write to /dev/shm."""
    raise OSError(errno.EROFS, "Read-only file system")


def test_a_whole_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", without_semaphores)
    path = written(tmp_path / "in", "r.json", SMALL)
    assert main(["--results", str(path), "--out", str(tmp_path / "deep" / "out")]) == 0
    out = tmp_path / "deep" / "out"
    names = {f"{name}.{suffix}" for name in FIGURES for suffix in ("svg", "png")}
    assert {file.name for file in out.iterdir()} == names | {
        "index.html",
        "summary.md",
        "ANSWERS.md",
        "samples.csv",
        "each-backend-at-its-default-batch-size.csv",
        "all-on-the-same-plan-mini-batches-of-128.csv",
    }
    assert {file.name for file in tmp_path.iterdir()} == {"in", "deep"}  # nothing anywhere else
    html = (out / "index.html").read_text(encoding="utf-8")
    tree(html)
    assert len(html) < 3_000_000
    assert (out / "summary.md").read_text(encoding="utf-8") == summary(read(path))
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.splitlines()[-1] == f"Page: {out / 'index.html'}"
    for words in ("swift", "0.500 s", NOTICE, "left out: gpu: needs a GPU", "mini-batches of 128"):
        assert words in printed.out


@pytest.mark.usefixtures("instant")
def test_newest_of_a_folder_by_its_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = {"a": "2026-02-03T04:05:06+00:00", "b": "2026-02-03T04:05:06-01:00", "c": "2026-02-03T04:30:00"}
    for name, when in times.items():
        written(tmp_path / "in", f"{name}.json", replace(SMALL, when=when))
    (tmp_path / "in" / "d.json").write_text('{"cut')
    (tmp_path / "in" / "e.txt").write_text("no results")
    assert main(["--results", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "summary.md").read_text() == times["b"]
    printed = capsys.readouterr()
    assert printed.out.startswith(f"Results: {tmp_path / 'in' / 'b.json'}, measured {times['b']}")
    assert printed.err.startswith(f"passed over: {tmp_path / 'in' / 'd.json'}: expected whole JSON")
    assert main(["--results", str(tmp_path / "in" / "a.json"), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "summary.md").read_text() == times["a"]


@pytest.mark.parametrize("make", [Path.mkdir, lambda folder: None], ids=["empty", "absent"])
def test_no_results_yet(make: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "in")
    assert main(["--results", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 2
    assert "`make bench` or `python -m bench` makes results" in error_line(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"cut', "expected whole JSON"),
        ("[]", "expected the JSON of this suite's benchmarks"),
        ('{"benchmarks": [], "digitbench": {"schema": 99}}', "has schema 99"),
        ('{"benchmarks": [], "digitbench": {"schema": 3}}', "a record is not as expected"),
    ],
)
def test_bad_files(content: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.json"
    path.write_text(content)
    assert main(["--results", str(path), "--out", str(tmp_path / "out")]) == 2
    assert complaint in error_line(capsys)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_nothing_but_bad_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.json").write_text("[]")
    assert main(["--results", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "expected results (*.json, *.jsonl), found none" in capsys.readouterr().err


def test_a_time_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, "r.json", replace(SMALL, when="yesterday"))
    assert main(["--results", str(tmp_path)]) == 2
    assert "expected a time in ISO 8601, found 'yesterday'" in capsys.readouterr().err


def test_two_cases_in_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for network in ("784-10", 1000 * "784-10 "):
        path = written(tmp_path, "r.json", result_set(SWIFT[0], replace(SWIFT[2], network=network)))
        assert main(["--results", str(path), "--out", str(tmp_path / "out")]) == 2
        line = error_line(capsys)
        assert "expected one network and dtype, found 2" in line
        assert len(line) < len(str(path)) + 300


@pytest.mark.usefixtures("instant")
def test_out_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "r.json", SMALL)
    assert main(["--results", str(path), "--out", str(path)]) == 2
    assert "choose another folder with --out" in error_line(capsys)
    assert read(path).when == SMALL.when


@pytest.mark.parametrize("failing", ["index.html", "summary.md"])
def test_a_failing_run_leaves_the_earlier_report(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    command.write({"index.html": b"earlier", "summary.md": b"earlier"}, out)
    (out / "mine.txt").write_text("not the report's")
    (out / f"{PREFIX}of-a-killed-run").mkdir()

    write = Path.write_bytes

    def fail(path: Path, content: bytes) -> int:
        if path.name == failing:
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(UserError, match="No space left on device"):
        command.write({"index.html": b"new", "summary.md": b"new"}, out)
    contents = {path.name: path.read_text() for path in out.iterdir()}
    assert contents == {"index.html": "earlier", "summary.md": "earlier", "mine.txt": "not the report's"}


@pytest.mark.usefixtures("instant")
def test_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "r.json", SMALL)
    opened: list[str] = []

    def open_nothing(address: str) -> bool:
        opened.append(address)
        return False

    monkeypatch.setattr("webbrowser.open", open_nothing)
    assert main(["--results", str(path), "--out", str(tmp_path / "out"), "--open"]) == 0
    assert opened == [(tmp_path / "out" / "index.html").as_uri()]
    assert "No browser was found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "mentioned"), [(["--colour"], "--colour"), (["--out"], "--out"), (["old.json"], "old.json")]
)
def test_wrong_options(arguments: list[str], mentioned: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    line = error_line(capsys)
    assert mentioned in line
    assert line.endswith("; see `python -m reports --help`\n")


def test_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(report: Report, past: Past) -> dict[str, bytes]:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "render", interrupted)
    path = written(tmp_path, "r.json", SMALL)
    assert main(["--results", str(path), "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")
    assert not (tmp_path / "out").exists()


def test_a_reader_that_stops_early(tmp_path: Path) -> None:
    path = written(tmp_path, "r.json", SMALL)
    code = (
        "import sys; from reports import __main__ as command; "
        "command.render = lambda report, past: {'index.html': b''}; "
        f"sys.exit(command.main(['--results', {str(path)!r}, '--out', {str(tmp_path / 'out')!r}]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 2
    assert (tmp_path / "out" / "index.html").exists()


@pytest.mark.usefixtures("instant")
def test_a_terminal_without_a_dagger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "r.json", SMALL)
    printed = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(printed, encoding="ascii", write_through=True))
    assert main(["--results", str(path), "--out", str(tmp_path / "out")]) == 0
    assert b"On this machine one pass" in printed.getvalue()


def modules_after(imports: str, suspects: tuple[str, ...]) -> str:
    """Which of these modules are there after such an import, in a fresh interpreter."""
    code = f"import sys, {imports}; print([name for name in {suspects} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_command_starts_without_heavy_libraries() -> None:
    heavy = ("matplotlib", "numba", "numpy", "scipy", "rich", "jinja2", "impls", "data")
    assert modules_after("reports.__main__", heavy).strip() == "[]"


def test_the_room_has_neither_backends_nor_data() -> None:
    backends = ("numba", "data", *(entry.module for entry in impls.BUILTIN.values()))
    everything = ", ".join(f"reports.{path.stem}" for path in (ROOT / "reports").glob("*.py"))
    assert modules_after(everything, backends).strip() == "[]"
