"""What the marks of a figure say when they are pointed at: a layer of invisible circles over an SVG file.

A circle lies on each mark and has the mark's label as its title, which browsers show on hover. So a label does not
depend on how matplotlib writes a mark, and a mark of four points is as easy to hit as one of ten. The page adds the
keyboard (`reports/templates/marks.js`).
"""

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from bench.tables.table import printable

RADIUS = 6  # points
POINTS_PER_INCH = 72  # the unit of an SVG file of matplotlib's


class Series(NamedTuple):
    """Marks that belong together, e.g. the samples of one backend: the arrow keys go along them."""

    axes: Axes
    x: ArrayLike  # (marks,), in the axes' own units, like y
    y: ArrayLike
    labels: Sequence[str]  # one for each mark


def layer(series: Sequence[Series], about: str) -> str:
    """Return the circles over all marks that can be seen, as SVG. about: the last line of every label."""
    groups = ["".join(circles(one, about)) for one in series]
    inside = "".join(f"<g>{group}</g>\n" for group in groups if group)
    return f'<g class="marks" style="fill: none; pointer-events: all">\n{inside}</g>\n' if inside else ""


def circles(series: Series, about: str) -> list[str]:
    """Return a circle with a title for each mark that lies within its axes, from left to right."""
    figure = series.axes.figure
    points = series.axes.transData.transform(np.column_stack([series.x, series.y]).astype(float))
    scale = POINTS_PER_INCH / figure.dpi
    left, bottom, right, top = series.axes.bbox.extents + np.array([-1, -1, 1, 1])
    drawn = []
    for (x, y), label in zip(points.tolist(), series.labels, strict=True):
        if left <= x <= right and bottom <= y <= top:  # false for nan, too
            title = escape("\n".join(map(printable, filter(None, (*label.split("\n"), about)))))
            place = f'cx="{scale * x:.1f}" cy="{scale * (figure.bbox.height - y):.1f}"'
            drawn.append((x, f'<circle {place} r="{RADIUS}"><title>{title}</title></circle>'))
    return [circle for _, circle in sorted(drawn)]
