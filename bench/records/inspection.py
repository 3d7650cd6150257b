"""What a trained network answers on test images, as a file that holds all that a report needs to draw it."""

import math
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct

from bench import UserError
from bench.records.quantised import OLDER, QuantisedNetwork
from bench.timing.records import Number
from impls.contract import Array, Parameters
from whole_files import written_whole

FIRST, WORST, UNITS = 10, 20, 100  # images from the beginning, mistakes, hidden units
MOST_SHOWN = 1000  # of these in a file, which a figure would have to hold
MOST_CLASSES = 256
LARGEST = 1e100  # output that can be drawn
Drawn = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]


class Examined(Struct, frozen=True, forbid_unknown_fields=True):
    """Some images, their labels, and the network's outputs for them."""

    pixels: bytes  # a byte each; in the file as base64
    labels: Annotated[list[Number], Meta(max_length=MOST_SHOWN)]
    outputs: list[list[Drawn]]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.outputs) or not all(map(math.isfinite, chain(*self.outputs))):
            raise ValueError(f"Expected finite outputs for each of {len(self.labels)} images")

    @property
    def images(self) -> Array:
        """(n, height, width) uint8, square."""
        return squares(self.pixels, "uint8", len(self.labels))

    @property
    def predicted(self) -> list[int]:
        """The digit with the largest output."""
        return [int(np.argmax(outputs)) for outputs in self.outputs]


class Inspection(Struct, frozen=True, kw_only=True, tag_field="kind", tag="network", forbid_unknown_fields=True):
    """What a trained network answers on the test images: the content of the file."""

    schema: int
    when: str  # ISO 8601
    command: str
    machine: dict[str, Any]
    data: str
    notice: str | None
    network: str
    source: str  # what trained it, or the name of its file
    first: Examined  # the first images
    mistakes: Examined  # the wrong ones with the largest output, worst first
    confusion: Annotated[list[list[Number]], Meta(max_length=MOST_CLASSES)]  # images by label and by predicted digit
    units: Annotated[int, Meta(ge=0, le=MOST_SHOWN)]  # of the first layer, that are shown
    scaled: bytes  # their weights as int8, in steps of a 127th of the largest
    quantised: QuantisedNetwork | str = OLDER  # the network itself, for a page; or why it is not here

    def __post_init__(self) -> None:
        sizes = {len(row) for rows in (self.confusion, self.first.outputs, self.mistakes.outputs) for row in rows}
        if sizes != {len(self.confusion)} or not any(map(any, self.confusion)):
            raise ValueError("Expected a square confusion matrix of at least one image, and as many outputs")
        squares(self.scaled, "int8", self.units)

    @property
    def weights(self) -> Array:
        """(units, height, width) int8."""
        return squares(self.scaled, "int8", self.units)

    @property
    def correct(self) -> float:
        """The share of the test images that it answers correctly."""
        return sum(row[i] for i, row in enumerate(self.confusion)) / sum(map(sum, self.confusion))


def squares(content: bytes, dtype: str, n: int) -> Array:
    """n square images, a byte a pixel. Raises ValueError where they would not be square."""
    side = math.isqrt(len(content) // max(n, 1))
    if n * side * side != len(content):
        raise ValueError(f"Expected {n} square images, got {len(content)} bytes")
    return np.frombuffer(content, dtype).reshape(n, side, side)


def inspection(images: Array, labels: Array, outputs: Array, parameters: Parameters, **about: Any) -> Inspection:
    """Return the content of the file. images: (n, n_inputs), square; labels: (n,); outputs: (n, n_outputs), finite.

    about: the other fields. Raises UserError where the images are not square, or the outputs not finite.
    """
    if math.isqrt(images.shape[1]) ** 2 != images.shape[1]:
        raise UserError(f"images of {images.shape[1]} pixels: expected square ones, which can be drawn")
    if not float(np.abs(outputs).max()) <= LARGEST:  # nor where one is not a number
        raise UserError("the network's outputs: expected finite numbers, found others; train one that does not diverge")
    predicted = outputs.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-outputs[wrong, predicted[wrong]], kind="stable")][:WORST]
    digits = outputs.shape[1]
    confusion = np.bincount(digits * labels + predicted, minlength=digits**2).reshape(digits, digits)
    weights = parameters[0].weights.T[:UNITS]
    largest = float(np.abs(weights).max()) or 1.0
    scaled = np.round(weights / largest * 127).astype(np.int8).tobytes()
    first, mistakes = (
        Examined(images[which].astype(np.uint8).tobytes(), labels[which].tolist(), outputs[which].tolist())
        for which in (slice(FIRST), worst)
    )
    shown: dict[str, Any] = {
        "first": first,
        "mistakes": mistakes,
        "confusion": confusion.tolist(),
        "units": len(weights),
    }
    return Inspection(**shown, scaled=scaled, **about)


def write(path: Path, content: Inspection) -> None:
    """Write it as one line of JSON, whole or not at all. Raises UserError where that cannot be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        file.write(msgspec.json.encode(content) + b"\n")
