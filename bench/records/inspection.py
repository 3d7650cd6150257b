"""What a trained network says to test images, as a file that holds all that a report needs to draw it."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import UserError
from bench.records.fields import count, mapping, text
from bench.records.journal import SCHEMA
from impls.contract import Array, Parameters

FIRST, WORST, UNITS = 10, 20, 100  # images from the beginning, mistakes, hidden units
MOST = 10_000  # pixels of an image, or units of a layer: a file that says more is none of ours


@dataclass(frozen=True, eq=False)
class Examined:
    """Some images and what the network says to them."""

    images: Array  # (n, height, width) uint8
    labels: list[int]
    outputs: list[list[float]]  # of the network, as they are

    @property
    def predicted(self) -> list[int]:
        """The digit with the largest output."""
        return [int(np.argmax(outputs)) for outputs in self.outputs]


@dataclass(frozen=True, eq=False)
class Inspection:
    """A trained network by what it does to the test images."""

    network: str
    source: str  # what trained it, or the name of its file
    command: str
    first: Examined  # the first images
    mistakes: Examined  # the wrong ones with the largest output, worst first
    confusion: list[list[int]]  # images by label and by predicted digit
    weights: Array  # (units, height, width) int8: of the first layer, in steps of a 127th of the largest

    @property
    def correct(self) -> float:
        """Share of the test images."""
        total = sum(map(sum, self.confusion))
        return sum(row[i] for i, row in enumerate(self.confusion)) / total


def inspection(images: Array, labels: Array, outputs: Array, parameters: Parameters) -> dict[str, Any]:
    """What the file holds. images: (n, n_inputs), square; labels: (n,); outputs: (n, n_outputs), finite.

    Raises UserError where the images are not square, or the outputs not finite.
    """
    side = round(images.shape[1] ** 0.5)
    if side * side != images.shape[1]:
        raise UserError(f"images of {images.shape[1]} pixels: expected square ones, which can be drawn")
    if not np.isfinite(outputs).all():
        raise UserError("the network's outputs: expected finite numbers, found others; train one that does not diverge")
    predicted = outputs.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-outputs[wrong, predicted[wrong]], kind="stable")][:WORST]
    confusion = np.zeros((outputs.shape[1],) * 2, dtype=int)
    np.add.at(confusion, (labels, predicted), 1)
    weights = parameters[0].weights.T[:UNITS]
    largest = float(np.abs(weights).max()) or 1.0
    return {
        "first": seen(images, labels, outputs, np.arange(min(FIRST, len(labels)))),
        "mistakes": seen(images, labels, outputs, worst),
        "confusion": confusion.tolist(),
        "side": side,
        "units": len(weights),
        "weights": packed(np.round(weights / largest * 127).astype(np.int8)),
    }


def seen(images: Array, labels: Array, outputs: Array, which: Array) -> dict[str, Any]:
    """Some images for the file."""
    return {
        "images": packed(images[which].astype(np.uint8)),
        "labels": labels[which].tolist(),
        "outputs": outputs[which].astype(float).tolist(),
    }


def packed(array: Array) -> str:
    """Bytes as text."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def write(path: Path, header: dict[str, Any], found: dict[str, Any]) -> None:
    """One line of JSON. Raises UserError where it cannot be written."""
    record = {"kind": "network", "schema": SCHEMA} | header | found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another place") from None


def inspection_of(content: dict[str, Any]) -> Inspection:
    """What `write` wrote. Raises KeyError, TypeError or ValueError for what is none."""
    side, units = count(content["side"]), count(content["units"], least=0)
    if side * side > MOST or units > MOST:
        raise ValueError(f"images of side {side} and {units} units are beyond what is drawn")
    confusion = [[count(number, least=0) for number in row] for row in content["confusion"]]
    if not confusion or {len(row) for row in confusion} != {len(confusion)} or not any(map(any, confusion)):
        raise ValueError("a confusion matrix must be square, of at least one image")
    return Inspection(
        text(content["network"]),
        text(content["source"]),
        text(content["command"]),
        seen_of(mapping(content["first"]), side, len(confusion)),
        seen_of(mapping(content["mistakes"]), side, len(confusion)),
        confusion,
        unpacked(content["weights"], np.int8, units, side),
    )


def seen_of(content: dict[str, Any], side: int, n_outputs: int) -> Examined:
    """Some images of the file."""
    labels = [count(label, least=0) for label in content["labels"]]
    outputs = [[float(value) for value in row] for row in content["outputs"]]
    if any(len(row) != n_outputs for row in outputs) or len(outputs) != len(labels):
        raise ValueError(f"expected {n_outputs} outputs for each of {len(labels)} images")
    if not np.isfinite(outputs).all():
        raise ValueError("expected finite outputs")
    return Examined(unpacked(content["images"], np.uint8, len(labels), side), labels, outputs)


def unpacked(packed: Any, dtype: type, n: int, side: int) -> Array:
    """The array again. Raises ValueError where its size is another."""
    found: Array = np.frombuffer(base64.b64decode(text(packed), validate=True), dtype)
    return found.reshape(n, side, side)
