"""A network small enough for a page: each weight as 8 bits, with a scale for each unit, and digits to try it on.

This is symmetric quantisation per channel (Jacob et al., CVPR 2018): a unit's weights are int8 in steps of a 127th of
its largest. For each layer, in order, the bytes are the scales and the biases of its units, (fan_out,) each, float64,
and the weights, (fan_out, fan_in) int8; all little-endian.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, NamedTuple

import numpy as np
from msgspec import Meta, Struct

from bench.records.kinds import Share
from bench.timing.records import Number, Size
from impls.contract import Activation, Array, Layer, Network, Output, Parameters

SIDE, DIGITS = 28, 10  # pixels of an image, each way; outputs
MOST_BYTES = 225_000  # of a network; as base64 300 kB
OLDER = "its record was made before networks were kept in it; run `python -m bench inspect MODEL`, or `python -m bench`"


class Stage(Struct, frozen=True, forbid_unknown_fields=True):
    """The network after so many epochs."""

    epochs: Number | None  # of training; None: not known
    parameters: bytes  # see the module; in the file as base64
    accuracy: Share  # of the test images, with the parameters as they were trained
    quantised_accuracy: Share  # with those that are kept here


class SampleDigits(Struct, frozen=True, forbid_unknown_fields=True):
    """Some test images, by label."""

    pixels: bytes  # (n, 784) uint8; in the file as base64
    labels: list[Annotated[int, Meta(ge=0, lt=DIGITS)]]

    def __post_init__(self) -> None:
        if len(self.pixels) != SIDE**2 * len(self.labels):
            raise ValueError(f"Expected {SIDE**2} pixels for each of {len(self.labels)} test digits")


class QuantisedNetwork(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A network at one or several stages of its training."""

    sizes: Annotated[list[Size], Meta(min_length=2)]
    hidden: Activation
    output: Output
    pixel_scale: Annotated[float, Meta(gt=0)]
    stages: Annotated[list[Stage], Meta(min_length=1)]  # the last is the network that was inspected
    digits: SampleDigits

    def __post_init__(self) -> None:
        if reason := unfit(self.sizes):
            raise ValueError(f"Expected a network for a page: {reason}")
        for stage in self.stages:
            if len(stage.parameters) != n_bytes(self.sizes) or not all(
                np.isfinite(array).all() for layer in parsed(stage.parameters, self.sizes) for array in layer
            ):
                raise ValueError(f"Expected {n_bytes(self.sizes)} bytes of finite parameters")


class Quantised(NamedTuple):
    """The parameters of a layer."""

    scales: Array  # (fan_out,) float64
    biases: Array  # (fan_out,) float64
    steps: Array  # (fan_out, fan_in) int8


def unfit(sizes: list[int] | tuple[int, ...]) -> str | None:
    """Why a network of these sizes cannot be drawn for in a page; None where it can."""
    shape = "-".join(map(str, sizes))
    if sizes[0] != SIDE**2 or sizes[-1] != DIGITS:
        return f"its shape is {shape}, and a drawing needs {SIDE**2} inputs and {DIGITS} outputs"
    if n_bytes(sizes) > MOST_BYTES:
        return f"{shape} takes {n_bytes(sizes):,} bytes, and a page holds networks of at most {MOST_BYTES:,}"
    return None


def n_bytes(sizes: list[int] | tuple[int, ...]) -> int:
    """How many bytes the parameters take."""
    return sum(fan_out * (16 + fan_in) for fan_in, fan_out in pairwise(sizes))


def quantise(parameters: Parameters) -> bytes:
    """Return finite parameters in the form of the module's description."""
    parts = []
    for weights, biases in parameters:
        largest = np.abs(weights.T.astype(np.float64)).max(axis=1)
        scales = np.where(largest > 0, largest, 1) / 127
        steps = np.round(weights.T / scales[:, None]).astype(np.int8)
        parts += [scales.astype("<f8").tobytes(), biases.astype("<f8").tobytes(), steps.tobytes()]
    return b"".join(parts)


def restored(content: bytes, network: Network, dtype: str) -> Parameters:
    """Return the parameters that `quantise` kept, each within half a step of its own."""
    return tuple(
        Layer((steps * scales[:, None]).T.astype(dtype, order="C"), biases.astype(dtype))
        for scales, biases, steps in parsed(content, network.sizes)
    )


def parsed(content: bytes, sizes: list[int] | tuple[int, ...]) -> Iterator[Quantised]:
    """Yield the arrays of each layer."""
    start = 0
    for fan_in, fan_out in pairwise(sizes):
        scales, biases = np.frombuffer(content, "<f8", 2 * fan_out, start).reshape(2, fan_out)
        steps = np.frombuffer(content, np.int8, fan_in * fan_out, start + 16 * fan_out).reshape(fan_out, fan_in)
        start += fan_out * (16 + fan_in)
        yield Quantised(scales, biases, steps)
