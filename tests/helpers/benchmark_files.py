"""Results files of pytest-benchmark, made up, and the report's words."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.records.files import Measurement, ResultSet
from bench.records.kinds import SCHEMA, LearningCurve
from reports.page import script
from tests.helpers.records import agreement

NETWORK = "784-128-10 relu, softmax with cross_entropy"
NOTICE = "Data: built-in digits, not MNIST; accuracies are not comparable with published ones."
AWKWARD = (
    '<script>alert("1")</script>',
    "a|b`c*d_e",
    "$\\alpha_1$ costs $2",
    "../up/and\\down",
    "_private",
    "tab\there",
)


def measured(
    quantity: Any,
    backend: str,
    samples: list[float],
    plan: str = "",
    *,
    default_batch: bool = True,
    images: int = 60_000,
    of_images: int = 60_000,
    curve: LearningCurve | None = None,
) -> Measurement:
    """A measurement whose user time is twice, whose system time half its wall time."""
    return Measurement(
        quantity=quantity,
        backend=backend,
        summary="",
        lines_of_code=1234,
        plan=plan,
        default_batch=default_batch,
        batch=128 if plan == "mini-batches" else None,
        network=NETWORK,
        dtype="float32",
        images=images,
        of_images=of_images,
        samples=samples,
        user_samples=[2 * sample for sample in samples],
        system_samples=[sample / 2 for sample in samples],
        prepare_seconds=0.0625,
        agreement_error=3.21,
        threads={"openblas": 2},
        curve=curve,
    )


def curve_of(seconds: list[float], accuracy: list[float], cost: list[float]) -> LearningCurve:
    """A point an epoch."""
    return LearningCurve(seconds, [float(number) for number in range(len(seconds))], accuracy, [*cost])


def curve(epochs: int, seconds: float, last: float = 0.968) -> LearningCurve:
    """From 10 % correct to `last`, the cost falling by half each epoch."""
    return curve_of(
        [seconds * i for i in range(epochs + 1)],
        [0.1, *(last - 0.01 * (epochs - i) for i in range(1, epochs + 1))],
        [2.4 / 2**i for i in range(epochs + 1)],
    )


def result_set(*measurements: Measurement, **fields: Any) -> ResultSet:
    known: dict[str, Any] = {
        "path": Path("results.json"),
        "when": "2026-02-03T04:05:06+00:00",
        "machine": {"cpu": "a processor", "libraries": {"numpy": "2.0"}, "blas": [{"name": "openblas"}]},
        "data_name": "MNIST",
        "notice": None,
        "measurements": list(measurements),
    }
    return ResultSet(**(known | fields))


NAIVE = [
    measured("epoch", "naive", [0.3, 0.25, 0.35], "full batch", images=2000, curve=curve(1, 8.75, 0.3)),
    measured("epoch", "naive", [0.5, 0.5], "mini-batches", default_batch=False, images=2000, curve=curve(1, 15)),
    measured("outputs", "naive", [0.2], images=10_000, of_images=10_000),
]
SWIFT = [
    measured("epoch", "swift", [0.5, 0.4, 0.9], "mini-batches", curve=curve(5, 0.5)),
    measured("epoch", "swift", [0.1], "full batch", default_batch=False),
    measured("outputs", "swift", [0.02, 0.01, 0.03], images=10_000, of_images=10_000),
]
FLOOR = measured("floor", "floor", [0.1, 0.25, 0.3], default_batch=False)
GRADIENT = measured("gradient", "naive", [0.01], default_batch=False, images=128, of_images=128)
USUAL = result_set(*NAIVE, *SWIFT, FLOOR, GRADIENT)
DIVERGED = replace(
    SWIFT[0], backend="wild", curve=curve_of([0, 1, 2, 3], [0.1, 0.2, 0.1, 0.1], [2.4, 1e300, math.inf, math.nan])
)


def words_of(figure: Any) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_visible())


def files_of(figures: Iterable[Any]) -> dict[str, bytes]:
    """The files of figures for a page; it takes the SVG, as what stands for the PNG, which takes longer, is larger."""
    svgs = {f"{figure.name}.svg": figure.file("svg") for figure in figures}
    return svgs | {name.replace(".svg", ".png"): bytes(10**6) for name in svgs}


def boxes_of(figure: Any) -> list[Any]:
    """Where the labels of a figure's rows are, or the words of its legend."""
    if not figure.legends:
        return [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    figure.draw_artist(figure.legends[0])  # it finds the places of its words when it is drawn
    return [words.get_window_extent() for words in figure.legends[0].get_texts()]


def without_ours(html: str) -> str:
    """The page without the script that is meant to be in every one."""
    ours = f'<script type="module">{script("sort.js")}</script>'
    assert html.count(ours) == 1
    return html.replace(ours, "")


def written(folder: Path, name: str, results: ResultSet) -> Path:
    """A results file as pytest-benchmark writes it."""
    suite = {
        "schema": SCHEMA,
        "when": results.when,
        "command": "pytest",
        "machine": results.machine,
        "data": results.data_name,
        "notice": results.notice,
        "agreement": [agreement("fine"), *(agreement(line, failure=line) for line in results.disagreements)],
        "unavailable": results.unavailable,
        "measurements": [asdict(measurement) for measurement in results.measurements],
    }
    content = {"benchmarks": [], "digitbench": suite}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


SMALL = result_set(*NAIVE, *SWIFT, FLOOR, DIVERGED, notice=NOTICE, unavailable={"gpu": "needs a GPU"})
