"""Digits as strokes by hand: forty drawings of different width, size, slant and place."""

import math
from typing import NamedTuple

Point = tuple[float, float]
Stroke = list[Point]

SIDE = 280  # pixels of the paper


class Drawing(NamedTuple):
    """What somebody draws."""

    digit: int
    strokes: list[Stroke]  # points (x, y) in pixels of the paper, from its upper left corner
    pen: int  # pixels


def arc(x: float, y: float, width: float, height: float, start: float, end: float) -> Stroke:
    """Points of an ellipse around (x, y) with these half axes, from one angle to another: degrees from 3 o'clock on."""
    n = max(4, round(abs(end - start) / 20))
    angles = [math.radians(start + (end - start) * i / n) for i in range(n + 1)]
    return [(x + width * math.cos(angle), y + height * math.sin(angle)) for angle in angles]


# Two ways to write each digit, in a box from (0, 0) to (1, 1); y grows downwards.
SHAPES: dict[int, list[list[Stroke]]] = {
    0: [[arc(0.5, 0.5, 0.36, 0.5, -90, 270)], [arc(0.5, 0.5, 0.3, 0.5, -60, 310)]],
    1: [[[(0.5, 0), (0.5, 1)]], [[(0.28, 0.22), (0.52, 0), (0.52, 1)]]],
    2: [
        [[*arc(0.47, 0.27, 0.33, 0.27, 190, 400), (0.1, 1), (0.88, 1)]],
        [[*arc(0.5, 0.3, 0.32, 0.3, 200, 380), (0.6, 0.65), (0.15, 0.97), (0.5, 0.93), (0.9, 1)]],
    ],
    3: [
        [[*arc(0.42, 0.25, 0.33, 0.25, 205, 430), *arc(0.42, 0.74, 0.38, 0.26, -80, 150)]],
        [[(0.12, 0.02), (0.8, 0.02), (0.42, 0.4), *arc(0.4, 0.7, 0.4, 0.3, -80, 145)]],
    ],
    4: [
        [[(0.25, 0), (0.12, 0.58), (0.9, 0.58)], [(0.68, 0.15), (0.66, 1)]],
        [[(0.2, 0.02), (0.18, 0.5), (0.75, 0.46)], [(0.78, 0), (0.72, 1)]],
    ],
    5: [
        [[(0.85, 0), (0.25, 0), (0.2, 0.42), *arc(0.42, 0.7, 0.38, 0.3, -110, 145)]],
        [[(0.25, 0.03), (0.2, 0.45), *arc(0.42, 0.7, 0.36, 0.3, -100, 140)], [(0.25, 0.03), (0.9, 0)]],
    ],
    6: [
        [[(0.68, 0), (0.32, 0.35), *arc(0.48, 0.7, 0.3, 0.3, 190, -170)]],
        [[(0.5, 0), (0.25, 0.5), *arc(0.48, 0.74, 0.27, 0.26, 180, 540)]],
    ],
    7: [
        [[(0.1, 0.03), (0.85, 0.03), (0.42, 1)]],
        [[(0.12, 0.1), (0.15, 0.02), (0.82, 0.04), (0.62, 0.4), (0.45, 1)]],
    ],
    8: [
        [[*arc(0.5, 0.25, 0.27, 0.25, 90, 450), *arc(0.5, 0.75, 0.33, 0.25, -90, 270)]],
        [
            [
                (0.75, 0.12),
                *arc(0.5, 0.24, 0.26, 0.24, -30, -250),
                *arc(0.5, 0.75, 0.3, 0.25, -50, 220),
                (0.72, 0.3),
                (0.75, 0.12),
            ]
        ],
    ],
    9: [
        [[*arc(0.5, 0.28, 0.3, 0.28, 0, -360), (0.76, 0.6), (0.66, 1)]],
        [[*arc(0.48, 0.27, 0.28, 0.27, -20, -340), (0.76, 0.05), (0.74, 1)]],
    ],
}

# The way, pixels of the pen, height and width of the digit, slant (columns per row), and its middle on the paper.
HANDS = [
    (0, 20, 180, 130, 0.0, (140, 140)),
    (1, 14, 130, 95, 0.15, (95, 120)),
    (0, 8, 90, 60, 0.25, (200, 190)),
    (1, 26, 220, 170, -0.08, (140, 140)),
]


def drawings(hands: int = len(HANDS)) -> list[Drawing]:
    """Each digit as each of the first so many hands draws it."""
    found = []
    for way, pen, height, width, slant, (x, y) in HANDS[:hands]:
        for digit, shapes in SHAPES.items():
            strokes = [
                [(x + width * (u - 0.5) - slant * height * (v - 0.5), y + height * (v - 0.5)) for u, v in stroke]
                for stroke in shapes[way]
            ]
            found.append(Drawing(digit, strokes, pen))
    return found
