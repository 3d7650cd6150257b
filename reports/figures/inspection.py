"""Figures of a trained network: what it predicts, its mistakes, and its weights."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bench.records.files import ResultSet
from bench.tables.inspection import inspection_setting
from bench.tables.table import number
from reports.figures.style import BLUE, RED, Figure, draw_cells, drawn

FIRST_COLUMNS, MISTAKES_COLUMNS, UNITS_COLUMNS = 5, 10, 20


@drawn("The first images", "One tall bar is a network that is sure; several of one height, one that wavers.")
def first_images(figure: Figure, results: ResultSet) -> None:
    """The first images, with the real and the predicted label and the outputs as bars."""
    assert results.inspection is not None
    first = results.inspection.first
    rows = max(1, math.ceil(len(first.labels) / FIRST_COLUMNS))
    figure.about(results, inspection_setting(results), "The first test images, and what the network says")
    figure.notes = [
        "Bars: the network's output for each digit. Blue: the digit it says, and right; orange, hatched: wrong."
    ]
    figure.height = 2.6 * rows
    grid = figure.subplots(2 * rows, FIRST_COLUMNS, squeeze=False, height_ratios=[1.3, 1] * rows)
    pictures, charts = grid[::2].ravel(), grid[1::2].ravel()
    every = [0.0, *(value for outputs in first.outputs for value in outputs)]
    images = zip(first.labels, first.predicted, first.images, first.outputs, strict=True)
    for picture, chart, (label, predicted, pixels, outputs) in zip(pictures, charts, images, strict=False):
        right, colour = label == predicted, BLUE if label == predicted else RED
        draw_image(picture, pixels)
        verdict = "right" if right else "wrong"
        picture.set_title(f"is {label}, says {predicted}: {verdict}", fontsize=9, color=colour)
        bars = chart.bar(range(len(outputs)), outputs, color="#B0B0B0")
        bars[predicted].set(edgecolor=colour, facecolor=colour if right else "white", hatch="" if right else "/////")
        chart.set_xticks(range(len(outputs)))
        chart.tick_params(labelsize=7, length=2)
        chart.set_ylim(1.05 * min(every), 1.05 * max(every) or 1.0)  # one scale for all
        chart.locator_params(axis="y", nbins=3)
        chart.grid(False)
    for axes in (*pictures[len(first.labels) :], *charts[len(first.labels) :]):
        axes.set_axis_off()


def draw_image(axes: Axes, pixels: Any) -> None:
    """An image of a digit. pixels: (height, width) uint8."""
    axes.imshow(pixels, cmap="gray_r", vmin=0, vmax=255, interpolation="none")
    axes.set_axis_off()


@drawn("Confusion", "Off the diagonal are the mistakes: which digits look alike to the network.")
def confusion(figure: Figure, results: ResultSet) -> None:
    """How often each digit is taken for which; colour counts mistakes only."""
    assert results.inspection is not None
    counts = np.array(results.inspection.confusion)
    n = len(counts)
    heading = f"Which digit is taken for which, of {counts.sum():,} test images"
    figure.about(results, inspection_setting(results), heading)
    figure.notes = [
        "Numbers are images. The darker, the more mistakes; the diagonal, in bold, is right and has no colour."
    ]
    figure.height = 1.0 + 0.42 * n
    off_diagonal = np.where(np.eye(n, dtype=bool), np.nan, counts)
    most = max(1.0, np.nan_to_num(off_diagonal).max())
    axes = figure.subplots()
    draw_cells(axes, off_diagonal, most, "Oranges", [[f"{count:,}" for count in row] for row in counts])
    axes.set(xlabel="digit that the network says", ylabel="digit that is there", xticks=range(n), yticks=range(n))


@drawn("Mistakes", "Some of these a human would not read either; the others are what is left to learn.")
def mistakes(figure: Figure, results: ResultSet) -> None:
    """The wrong images with the largest outputs."""
    assert results.inspection is not None
    worst = results.inspection.mistakes
    rows = math.ceil(len(worst.labels) / MISTAKES_COLUMNS)
    figure.about(results, inspection_setting(results), "The mistakes of which the network was surest")
    figure.notes = ["Above each: the digit that is there, the digit that is said, and the output for that."]
    figure.height = 1.3 * rows
    grid = figure.panels(worst.labels, "It makes no mistake.", MISTAKES_COLUMNS, rows)
    images = zip(worst.labels, worst.predicted, worst.images, worst.outputs, strict=True)
    for axes, (label, predicted, pixels, outputs) in zip(grid, images, strict=False):
        draw_image(axes, pixels)
        axes.set_title(f"is {label}, says {predicted}\n{number(outputs[predicted])}", fontsize=8, loc="center")
    for axes in grid[len(worst.labels) :]:
        axes.set_axis_off()


@drawn(
    "Weights of the first layer",
    "Strokes and loops are what a unit has learnt to look for; noise is a unit that learnt little.",
)
def first_layer(figure: Figure, results: ResultSet) -> None:
    """The weights of the first layer, an image a hidden unit, each with a scale of its own."""
    assert results.inspection is not None
    weights = results.inspection.weights
    n = len(weights)
    rows = max(1, math.ceil(n / UNITS_COLUMNS))
    figure.about(results, inspection_setting(results), f"The weights of {n} units of the first layer")
    figure.notes = ["An image a unit. Orange: ink there speaks for the unit; violet: against it; white: neither."]
    figure.height = 0.5 * rows + 0.3
    (axes,) = figure.panels(weights, "It has none.")
    side = weights.shape[1]
    mosaic = np.full((rows * (side + 2), UNITS_COLUMNS * (side + 2)), np.nan)
    for i, unit in enumerate(weights.astype(float)):
        y, x = (side + 2) * (i // UNITS_COLUMNS), (side + 2) * (i % UNITS_COLUMNS)
        mosaic[y : y + side, x : x + side] = unit / max(1.0, np.abs(unit).max())
    shades = np.round(15 * mosaic) / 15  # more of them look the same and double the file
    axes.imshow(shades, cmap="PuOr_r", vmin=-1, vmax=1, interpolation="none")
    axes.set_axis_off()


def inspection_figures(results: ResultSet) -> list[Figure]:
    """All figures of a trained network."""
    return [draw(results) for draw in (first_images, confusion, mistakes, first_layer)]
