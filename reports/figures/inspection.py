"""A trained network: what it predicts, its mistakes, and its weights."""

import math
from typing import TYPE_CHECKING

import numpy as np

from bench.records.files import ResultSet
from bench.records.inspection import Examined
from bench.tables.inspection import inspection_setting
from bench.tables.table import number
from reports.figures.style import Figure, framed, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

RIGHT, WRONG = "#0072B2", "#D55E00"


def first_images(results: ResultSet) -> "Drawing":
    """The first images, with the real and the predicted label and the outputs as bars."""
    assert results.inspection is not None
    shown = results.inspection.first
    notes = ["Bars: the network's output for each digit. Blue: the digit it says, and right; orange, hatched: wrong."]
    title = "The first test images, and what the network says"
    columns = 5
    rows = max(1, math.ceil(len(shown.labels) / columns))
    with framed(results.notice, inspection_setting(results), title, 2.6 * rows, notes) as figure:
        axes = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[1.3, 1] * rows)
        for i in range(rows * columns):
            picture, bars = axes[2 * (i // columns), i % columns], axes[2 * (i // columns) + 1, i % columns]
            if i < len(shown.labels):
                draw_image(picture, shown, i)
                draw_outputs(bars, shown, i)
            else:
                picture.set_axis_off()
                bars.set_axis_off()
    return figure


def draw_image(axes: "Axes", shown: Examined, i: int) -> None:
    """An image, its label, and the digit that is said."""
    label, said = shown.labels[i], shown.predicted[i]
    axes.imshow(shown.images[i], cmap="gray_r", vmin=0, vmax=255, interpolation="none")
    axes.set_axis_off()
    verdict = "right" if label == said else "wrong"
    axes.set_title(f"is {label}, says {said}: {verdict}", fontsize=9, color=RIGHT if label == said else WRONG)


def draw_outputs(axes: "Axes", shown: Examined, i: int) -> None:
    """The outputs for an image as bars."""
    outputs, said = shown.outputs[i], shown.predicted[i]
    bars = axes.bar(range(len(outputs)), outputs, color="#B0B0B0")
    right = shown.labels[i] == said
    bars[said].set(
        edgecolor=RIGHT if right else WRONG, facecolor=RIGHT if right else "white", hatch="" if right else "/////"
    )
    axes.set_xticks(range(len(outputs)))
    axes.tick_params(labelsize=7, length=2)
    every = [0.0, *(value for row in shown.outputs for value in row)]
    axes.set_ylim(1.05 * min(every), 1.05 * max(every) or 1.0)  # one scale for all
    axes.locator_params(axis="y", nbins=3)


def confusion(results: ResultSet) -> "Drawing":
    """How often each digit is taken for which; colour counts mistakes only."""
    assert results.inspection is not None
    counts = np.array(results.inspection.confusion)
    mistakes = counts.astype(float)
    np.fill_diagonal(mistakes, np.nan)
    title = f"Which digit is taken for which, of {counts.sum():,} test images"
    notes = ["Numbers are images. The darker, the more mistakes; the diagonal, in bold, is right and has no colour."]
    n = len(counts)
    with framed(results.notice, inspection_setting(results), title, 1.0 + 0.42 * n, notes) as figure:
        axes = figure.subplots()
        most = max(1.0, float(np.nan_to_num(mistakes).max()))
        axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=most, aspect="auto")
        for y, x in np.ndindex(n, n):
            dark = y != x and counts[y, x] > 0.6 * most
            weight, colour = ("bold" if y == x else "normal"), ("white" if dark else "black")
            axes.text(x, y, f"{counts[y, x]:,}", ha="center", va="center", fontsize=9, weight=weight, color=colour)
        axes.set(xlabel="digit that the network says", ylabel="digit that is there", xticks=range(n), yticks=range(n))
        axes.spines[:].set_visible(False)
    return figure


def worst_mistakes(results: ResultSet) -> "Drawing":
    """The wrong images with the largest outputs."""
    assert results.inspection is not None
    shown = results.inspection.mistakes
    columns = 10
    rows = max(1, math.ceil(len(shown.labels) / columns))
    title = "The mistakes of which the network was surest"
    notes = ["Above each: the digit that is there, the digit that is said, and the output for that."]
    with framed(results.notice, inspection_setting(results), title, 1.3 * rows, notes) as figure:
        if not shown.labels:
            say(figure.subplots(), "It makes no mistake.")
            return figure
        for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
            axes.set_axis_off()
            if i < len(shown.labels):
                axes.imshow(shown.images[i], cmap="gray_r", vmin=0, vmax=255, interpolation="none")
                said = shown.predicted[i]
                axes.set_title(
                    f"is {shown.labels[i]}, says {said}\n{number(shown.outputs[i][said])}", fontsize=8, loc="center"
                )
    return figure


def first_layer(results: ResultSet) -> "Drawing":
    """The weights of the first layer, an image a hidden unit, each with a scale of its own."""
    assert results.inspection is not None
    weights = results.inspection.weights
    n, columns = len(weights), 20
    rows = max(1, math.ceil(n / columns))
    title = f"The weights of {n} units of the first layer"
    notes = ["An image a unit. Orange: ink there speaks for the unit; violet: against it; white: neither."]
    with framed(results.notice, inspection_setting(results), title, 0.5 * rows + 0.3, notes) as figure:
        axes = figure.subplots()
        axes.set_axis_off()
        if not n:
            say(axes, "It has none.")
            return figure
        side = weights.shape[1]
        mosaic = np.full((rows * (side + 2), columns * (side + 2)), np.nan)
        for i, unit in enumerate(weights.astype(float)):
            y, x = (side + 2) * (i // columns), (side + 2) * (i % columns)
            mosaic[y : y + side, x : x + side] = unit / max(1.0, np.abs(unit).max())
        shades = np.round(15 * mosaic) / 15  # more of them nobody tells apart, and the file would be twice as large
        axes.imshow(shades, cmap="PuOr_r", vmin=-1, vmax=1, interpolation="none")
    return figure


INSPECTION_CAPTIONS = {
    "first-images": "One tall bar is a network that is sure; several of one height, one that wavers.",
    "confusion": "Off the diagonal are the mistakes: which digits look alike to the network.",
    "mistakes": "Some of these a human would not read either; the others are what is left to learn.",
    "first-layer": "Strokes and loops are what a unit has learnt to look for; noise is a unit that learnt little.",
}


def inspection_figures(results: ResultSet) -> list[Figure]:
    """All four figures."""
    figures = {
        "first-images": ("The first images", first_images(results)),
        "confusion": ("Confusion", confusion(results)),
        "mistakes": ("Mistakes", worst_mistakes(results)),
        "first-layer": ("Weights of the first layer", first_layer(results)),
    }
    return [Figure(name, title, INSPECTION_CAPTIONS[name], figure) for name, (title, figure) in figures.items()]
