"""Draw a digit: the part of the page on which the trained network answers what one draws.

The network comes from the newest record of `python -m bench inspect`, or of `python -m bench`. It travels in the page
with its weights at 8 bits; `templates/preparation.js` brings a drawing to MNIST's form, `templates/draw.js` computes
the answer, `templates/draw.html.j2` and `draw.css` are what one sees.
"""

import base64
import json
from collections.abc import Sequence
from typing import NamedTuple

from bench.records.files import ResultSet
from bench.records.quantised import QuantisedNetwork, Stage
from bench.tables.table import printable, share

FIRES = {"sigmoid": "above 0.5", "relu": "above 0", "tanh": "above 0"}  # the activation of a unit that fires


class Drawable(NamedTuple):
    """What the template shows of a network that one can draw for."""

    about: str  # what it is
    stages: list[str]  # in words, the last is the whole training
    labels: list[int]  # of the test digits
    units: int  # of the first layer; 0 where that is the output
    fires: str
    costs: str  # of rounding its weights, in a sentence
    content: str  # for the script, as JSON


def drawable(results: ResultSet | None) -> Drawable | str | None:
    """Return the network of these results, or in a sentence why one cannot draw for it; None where there is none."""
    if results is None or results.inspection is None:
        return None
    inspection = results.inspection
    network = inspection.quantised
    if isinstance(network, str):
        return f"One cannot draw for the network of {results.path.name}: {printable(network)}."
    images = sum(map(sum, inspection.confusion))
    return Drawable(
        f"{inspection.network}, from {inspection.source}; its test images are of {results.data_name}",
        [f"{name_of(stage)}: {share(stage.accuracy)}" for stage in network.stages],
        network.digits.labels,
        network.sizes[1] if len(network.sizes) > 2 else 0,
        FIRES[network.hidden],
        costs(network.stages, images),
        for_script(network),
    )


def name_of(stage: Stage) -> str:
    """The stage in words, such as "after 1 epoch"."""
    if stage.epochs is None:
        return "as it was saved"
    return f"after {stage.epochs} epoch{'' if stage.epochs == 1 else 's'}" if stage.epochs else "untrained"


def costs(stages: Sequence[Stage], images: int) -> str:
    """What it costs on the test images that the page has rounded weights."""
    losses = []
    for stage in stages:
        right, kept = (round(one * images) for one in (stage.accuracy, stage.quantised_accuracy))
        loss = f"{share(stage.quantised_accuracy)} instead of {share(stage.accuracy)}" if kept != right else "nothing"
        losses.append(f"{name_of(stage)} {loss}")
    return (
        "To be small enough for this page, each weight is rounded to 8 bits, with a scale for each unit. Of accuracy "
        f"on the {images:,} test images that costs: {'; '.join(losses)}."
    )


def for_script(network: QuantisedNetwork) -> str:
    """What `draw.js` needs, as JSON; bytes are base64."""

    def text(content: bytes) -> str:
        return base64.b64encode(content).decode()

    fields = {name: getattr(network, name) for name in ("sizes", "hidden", "output", "pixel_scale")}
    stages = [text(stage.parameters) for stage in network.stages]
    return json.dumps({**fields, "stages": stages, "digits": text(network.digits.pixels)})
