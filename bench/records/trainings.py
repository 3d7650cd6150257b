"""What is recorded of trainings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta, Struct, field

from bench.timing.clock import Elapsed, Time
from bench.timing.records import Number, Record

Share = Annotated[float, Meta(ge=0, le=1)]


class Trainer(Record, frozen=True):
    """A process that is ready to train: preparing, and a first training."""

    participant: str
    prepare: Elapsed
    first: Elapsed
    threads: dict[str, Number] = field(default_factory=dict)


class Seen(Struct, frozen=True, forbid_unknown_fields=True):
    """What a network says of some images."""

    accuracy: Share
    cost: float | None  # None: not finite
    answers: list[Number]  # images by predicted digit
    zeros: Share  # of outputs that are exactly 0
    dead: Number  # outputs that are 0 for every image
    largest: float | None
    confidence: float | None  # the output for the first image's own digit
    overflow: Share | None = None  # of pre-activations: where exp(-z) overflows


class Point(Struct, frozen=True, forbid_unknown_fields=True):
    """What was seen after an epoch. check: seconds of the outputs of the training images."""

    epoch: Number
    check: Elapsed
    train: Seen
    test: Seen
    last: Seen | None = None  # the images of the epoch's last update
    wall: Time = 0.0
    user: Time = 0.0
    system: Time = 0.0


@dataclass(frozen=True)
class LearningCurve:
    """A training from before its first update; all lists are of one length. Raises ValueError where they are not."""

    seconds: Annotated[list[Time], Meta(min_length=1)]  # of training so far, wall
    epochs: list[Time]  # over the training images so far
    accuracy: list[Share]  # of the test images
    cost: list[float | None]  # of the test images, but in benchmarks of the training images; None: not finite

    def __post_init__(self) -> None:
        lengths = [len(values) for values in (self.seconds, self.epochs, self.accuracy, self.cost)]
        if len(set(lengths)) > 1:
            raise ValueError(f"expected as many seconds, epochs, accuracies and costs, found {lengths}")

    @property
    def costs(self) -> list[float]:
        """The costs, nan for those that are not finite."""
        return [math.nan if cost is None else cost for cost in self.cost]


class Training(Record, frozen=True):
    """One training, of which the seconds count."""

    generation: Number
    participant: str
    setting: str  # the name of its recipe
    seed: Number
    epochs: Time  # over the training images
    updates: Number
    images: Number  # that its updates used in all
    wall: Time
    user: Time
    system: Time
    accuracy: Share  # of the test images
    cost: float | None  # of the test images; None: not finite
    evaluation: Elapsed  # in the end: of the test images, but with points of the training images
    stopped_early: bool = False
    curve: LearningCurve | None = None
    points: list[Point] = field(default_factory=list)  # of the article's trainings, one at least

    def __post_init__(self) -> None:
        if self.images and not self.wall:
            raise ValueError("expected a training of some images to take more than 0 s")


class DrawnCurve(Record, frozen=True, tag="curve"):
    """A training that was repeated in pieces, for its curve."""

    participant: str
    seed: Number
    curve: LearningCurve


OfTrainings = Trainer | Training | DrawnCurve


def same_length(*lists: Sequence[object]) -> None:
    """Raise ValueError unless all lists are of one length."""
    if len({len(values) for values in lists}) > 1:
        raise ValueError(f"Expected lists of one length, got {', '.join(str(len(values)) for values in lists)}")
