"""Draw a digit: what one draws in Chromium gets the answer that `predict` gives to the same picture."""

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from bench.experiments.inspection import keep, outputs_of
from bench.training.loop import prepare, train_epochs
from bench.workloads.recipes import Recipe
from data import Dataset, Digits, builtin
from data.picture import read_picture
from data.preparation import as_mnist
from impls import minibatch
from impls.contract import COST_OF_OUTPUT, Activation, Array, Network, Output, Parameters
from impls.initialisation import initial_parameters
from reports.page import page as page_of
from reports.sections import report_of
from reports.selection import choose
from tests.helpers.strokes import Drawing, Point, Stroke, drawings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CLOSE = 0.02  # between an output of the page, whose weights are rounded, and that of the network
RELU = Network((784, 24, 10), "relu", "softmax", "cross_entropy")
OTHERS: list[tuple[tuple[int, ...], Activation, Output]] = [
    ((784, 10), "relu", "softmax"),
    ((784, 9, 7, 10), "tanh", "relu"),
    ((784, 9, 10), "sigmoid", "sigmoid"),
]

# Draws with the pointer of the page, each stroke in one movement, and returns the canvas and what is shown.
DRAW = """({ strokes, pen }) => {
    const paper = document.getElementById("paper");
    document.getElementById("wipe").click();
    document.getElementById("pen").value = pen;
    const place = paper.getBoundingClientRect();
    const event = (type, [x, y], more) => new PointerEvent(type, {
        pointerId: 1, isPrimary: true, clientX: place.left + x * place.width / paper.width,
        clientY: place.top + y * place.height / paper.height, ...more,
    });
    for (const [first, ...others] of strokes) {
        paper.dispatchEvent(event("pointerdown", first));
        const coalescedEvents = others.map((point) => event("pointermove", point));
        paper.dispatchEvent(event("pointermove", first, { coalescedEvents }));
        paper.dispatchEvent(event("pointerup", first));
    }
    return paper.toDataURL();
}"""
SHOWN = """() => {
    const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    copy.drawImage(document.getElementById("seen"), 0, 0);
    return {
        answer: document.getElementById("answer").textContent,
        outputs: [...document.querySelectorAll(".outputs .value")].map((value) => parseFloat(value.textContent)),
        seen: [...copy.getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0),
    };
}"""

STRENGTHS = """() => [...document.querySelectorAll(".units i")].map((unit) =>
    (unit.className === "below" ? -1 : 1) * parseFloat(unit.style.getPropertyValue("--fired")))"""


class Trained(NamedTuple):
    """A network on a page, and what it was made of."""

    html: str
    network: Network
    stages: list[Parameters]
    digits: Digits


class Shown(NamedTuple):
    """What the page shows."""

    answer: str
    outputs: Array  # (10,), NaN where none is shown
    seen: Array  # (784,)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """Some of the built-in digits."""
    train, test = builtin.render(1000, 150)
    return Dataset("built-in digits", "fonts", train, test, "", None)


def trained(network: Network, digits: Dataset, folder: Path, epochs: tuple[int, ...]) -> Trained:
    """A network after these numbers of epochs on a page, by way of its record."""
    recipe = Recipe("small", network, "he_normal", batch=20, epochs=max(epochs), learning_rate=0.1)
    split = prepare(minibatch, network, digits.train, "float32")
    training = train_epochs(minibatch, network, recipe.parameters(), split, recipe.plans(len(split.labels)))
    stages: dict[int | None, Parameters] = {
        one.number: one.state.parameters for one in training if one.number in epochs
    }
    keep(folder / "network.json", network, stages, digits, "a test")
    html = page_of(report_of(choose([folder / "network.json"])), [], {})
    return Trained(html, network, [*stages.values()], digits.test)


@pytest.fixture(scope="module")
def of_this_run(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(RELU, digits, tmp_path_factory.mktemp("relu"), (0, 1, 10))


@pytest.fixture(scope="module")
def opened(browser: "Browser", of_this_run: Trained, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Page]":
    """The page on a telephone; fails where the console complains or anything is asked of a network."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(of_this_run.html, encoding="utf-8")
    problems: list[str] = []
    with browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True) as context:
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asking: problems.append(asking.url))
        page.goto(path.as_uri())
        yield page
    assert problems == [path.as_uri()]


def shown(page: "Page") -> Shown:
    content: dict[str, Any] = page.evaluate(SHOWN)
    outputs = np.array([np.nan if value is None else value for value in content["outputs"]], float)
    return Shown(content["answer"], outputs, np.array(content["seen"], np.uint8))


def drawn(page: "Page", strokes: list[Stroke], pen: int, folder: Path) -> tuple[Shown, Array]:
    """What the page shows of a drawing, and the image that `predict` makes of the same canvas."""
    address: str = page.evaluate(DRAW, {"strokes": strokes, "pen": pen})
    path = folder / "drawing.png"
    path.write_bytes(base64.b64decode(address.partition(",")[2]))
    return shown(page), as_mnist(read_picture(path).grey, path).image.reshape(1, -1)


def outputs(run: Trained, image: Array, stage: int = -1) -> Array:
    """The outputs of the network itself, whose weights are not rounded."""
    return outputs_of(run.network, run.stages[stage], Digits(image.reshape(1, 784), np.zeros(1, np.int64)))[0]


def named(drawing: Drawing) -> str:
    return f"{drawing.digit} with pen {drawing.pen}"


def test_a_drawing_gets_the_answer_of_predict(opened: "Page", of_this_run: Trained, tmp_path: Path) -> None:
    answers = set()
    for drawing in drawings()[:10] + drawings()[20:30]:
        on_page, image = drawn(opened, drawing.strokes, drawing.pen, tmp_path)
        expected = outputs(of_this_run, image)
        assert np.abs(on_page.seen.astype(int) - image[0]).max() <= 1, named(drawing)
        assert on_page.answer == f"It says {expected.argmax()}", named(drawing)
        np.testing.assert_allclose(on_page.outputs, expected, atol=CLOSE, err_msg=named(drawing))
        answers.add(on_page.answer)
    assert len(answers) >= 5  # it is no network that always says the same


CORNER: list[Point] = [(140, 100), (140, 180)]


@pytest.mark.parametrize(
    ("strokes", "pen"),
    [
        ([[(70, 70), (70, 70)]], 6),
        ([[(70, 70), (70, 70)]], 36),
        ([[(60, -30), (250, 20), (150, 300)]], 20),
        ([[(0, 12), (279, 12)], [(200, 12), (140, 300)]], 20),
        ([CORNER, [(20, 20), (25, 25)]], 20),
        ([CORNER, [(160, 110), (160, 170)]], 12),
    ],
    ids=["a dot", "a thick dot", "beyond the border", "along the border", "with another mark", "of two marks"],
)
def test_any_drawing_gets_the_answer_of_predict(
    strokes: list[Stroke], pen: int, opened: "Page", of_this_run: Trained, tmp_path: Path
) -> None:
    on_page, image = drawn(opened, strokes, pen, tmp_path)
    assert np.abs(on_page.seen.astype(int) - image[0]).max() <= 1
    np.testing.assert_allclose(on_page.outputs, outputs(of_this_run, image), atol=CLOSE)


def test_without_ink_it_says_what_to_do(opened: "Page") -> None:
    opened.evaluate(DRAW, {"strokes": [[(140, 50), (140, 200)]], "pen": 20})
    opened.get_by_role("button", name="Clear").click()
    for strokes in ([], [[(0, 0), (3, 200)]]):  # none, and one in the margin
        opened.evaluate(DRAW, {"strokes": strokes, "pen": 4})
        on_page = shown(opened)
        assert on_page.answer == "Draw a digit in the frame"
        assert np.isnan(on_page.outputs).all()
        assert not on_page.seen.any()
        assert opened.locator("#fired").inner_text() == "0 of 24 units fire"


@pytest.mark.parametrize("width", [1280, 390])
def test_mouse_and_touch_draw(width: int, opened: "Page") -> None:
    opened.set_viewport_size({"width": width, "height": 800})
    opened.get_by_role("button", name="Clear").click()
    paper = opened.locator("#paper")
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    assert box
    places = [(box["x"] + share * box["width"], box["y"] + 0.2 * box["height"]) for share in (0.3, 0.6)]
    opened.mouse.move(*places[0])
    assert shown(opened).answer == "Draw a digit in the frame"
    opened.mouse.down()
    opened.mouse.move(*places[1])
    opened.mouse.up()
    by_mouse = shown(opened)
    assert by_mouse.answer.startswith("It says ")
    opened.mouse.move(places[1][0], places[1][1] + 50)  # the button is up
    np.testing.assert_array_equal(shown(opened).outputs, by_mouse.outputs)

    scrolled = opened.evaluate("scrollY")
    finger = opened.context.new_cdp_session(opened)
    x, y = places[1]
    for kind, points in (("Start", [(x, y)]), ("Move", [(x - 20, y + 60)]), ("Move", [(x - 40, y + 150)]), ("End", [])):
        touch = [{"x": at, "y": down} for at, down in points]
        finger.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": touch})
    assert not np.array_equal(shown(opened).outputs, by_mouse.outputs)
    assert opened.evaluate("scrollY") == scrolled


def stage(page: "Page", number: int) -> "Locator":
    return page.locator("[name=stage]").nth(number)


def test_a_keyboard_chooses_test_digits_and_how_long_it_has_learnt(opened: "Page", of_this_run: Trained) -> None:
    opened.evaluate(DRAW, {"strokes": [[(140, 50), (140, 200)]], "pen": 20})
    choices = opened.locator("[name=test-digit]")
    tests = [image for d in range(10) for image in of_this_run.digits.images[of_this_run.digits.labels == d][:4]]
    assert choices.count() == len(tests) == 40
    choices.first.focus()
    opened.keyboard.press("Space")
    for number in range(1, 4):
        opened.keyboard.press("ArrowRight")
        on_page = shown(opened)
        np.testing.assert_array_equal(on_page.seen, tests[number])
        np.testing.assert_allclose(on_page.outputs, outputs(of_this_run, tests[number]), atol=CLOSE)
    stage(opened, 2).focus()
    for number in (1, 0):
        opened.keyboard.press("ArrowLeft")
        assert stage(opened, number).is_checked()
        expected = outputs(of_this_run, tests[3], number)
        np.testing.assert_allclose(shown(opened).outputs, expected, atol=CLOSE)
    stage(opened, 2).check()
    opened.evaluate(DRAW, {"strokes": [], "pen": 20})
    assert opened.locator("[name=test-digit]:checked").count() == 0


def test_nothing_moves_while_one_draws(opened: "Page", tmp_path: Path) -> None:
    places = "() => [...document.querySelectorAll('#draw :not(.bar i)')].map((one) => one.getBoundingClientRect().y)"
    opened.evaluate(DRAW, {"strokes": [], "pen": 20})
    empty = opened.evaluate(places)
    drawn(opened, drawings(1)[7].strokes, 20, tmp_path)
    assert opened.evaluate(places) == empty


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_in_the_part(scheme: Any, width: int, opened: "Page", tmp_path: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    opened.emulate_media(color_scheme=scheme)
    opened.set_viewport_size({"width": width, "height": 800})
    drawn(opened, drawings(1)[7].strokes, 20, tmp_path)
    found = Axe().run(opened, context="#draw", options={"resultTypes": ["violations"]}).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(("sizes", "hidden", "output"), OTHERS)
def test_networks_of_all_kinds_answer(
    sizes: tuple[int, ...],
    hidden: Activation,
    output: Output,
    browser: "Browser",
    digits: Dataset,
    tmp_path: Path,
) -> None:
    network = Network(sizes, hidden, output, COST_OF_OUTPUT[output], pixel_scale=1 / 100)
    run = trained(network, digits, tmp_path, (1,))
    page = browser.new_page()
    page.set_content(run.html)
    page.locator("[name=test-digit]").nth(9).check()
    on_page = shown(page)
    np.testing.assert_allclose(on_page.outputs, outputs(run, on_page.seen), atol=CLOSE)
    if len(sizes) > 2:
        weights, biases = run.stages[-1][0]
        fires = on_page.seen * network.pixel_scale @ weights + biases > 0  # the activation above that of 0
        words = page.locator("#fired").inner_text()
        assert words in [f"{fires.sum() + off} of {sizes[1]} units fire" for off in (-1, 0, 1)]  # weights are rounded
        strengths = page.evaluate(STRENGTHS)
        below = network.hidden == "tanh"
        assert [value > (0 if below else 0.5) for value in strengths] == fires.tolist()
    else:
        assert page.locator(".units").count() == 0
    page.close()


def test_without_scripts_there_is_a_sentence(browser: "Browser", of_this_run: Trained) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.set_content(of_this_run.html)
        assert page.get_by_text("Drawing needs JavaScript").is_visible()
        assert not page.locator("#paper").is_visible()


def test_the_page_is_xml_and_says_what_rounding_costs(of_this_run: Trained) -> None:
    words = " ".join(" ".join(ET.fromstring(of_this_run.html).itertext()).split())
    found = re.search(
        r"on the 150 test images that costs: untrained (.+?); after 1 epoch (.+?); after 10 epochs", words
    )
    assert found
    assert all(re.fullmatch(r"nothing|\S+ % instead of \S+ %", part) for part in found.groups())
    assert of_this_run.html.count("sha256-") == 3


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ((784, 5, 11), "its shape is 784-5-11, and a drawing needs 784 inputs and 10 outputs"),
        ((784, 300, 10), "784-300-10 takes 243,160 bytes, and a page holds networks of at most 225,000"),
    ],
)
def test_a_network_that_one_cannot_draw_for(
    sizes: tuple[int, ...], reason: str, digits: Dataset, tmp_path: Path
) -> None:
    network = Network(sizes)
    parameters = initial_parameters(network, "he_normal", 0, "float32")
    keep(tmp_path / "n.json", network, {None: parameters}, digits, "n.npz")
    html = page_of(report_of(choose([tmp_path / "n.json"])), [], {})
    assert f"One cannot draw for the network of n.json: {reason}." in html
    assert "<canvas" not in html
    assert html.count("sha256-") == 2  # of the scripts for tables and marks
