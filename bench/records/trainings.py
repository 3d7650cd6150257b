"""What is recorded of trainings, and how readers see it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta, Struct, field

from bench.timing.clock import Elapsed, Time
from bench.timing.records import Number, Positive, Record

Share = Annotated[float, Meta(ge=0, le=1)]


class Curve(Struct, frozen=True, forbid_unknown_fields=True):
    """A training in pieces, from before its first update; all lists are of one length."""

    seconds: list[Time]  # of training so far, wall
    epochs: list[Time]  # over the training images so far
    accuracy: list[Share]  # of the test images
    cost: list[float | None]  # of the test images; None: not finite

    def __post_init__(self) -> None:
        same_length(self.seconds, self.epochs, self.accuracy, self.cost)


class Trainer(Record, frozen=True):
    """A process that is ready to train: preparing, and a first training."""

    participant: str
    prepare: Elapsed
    first: Elapsed
    threads: dict[str, Number] = field(default_factory=dict)


class Training(Record, frozen=True):
    """One whole training of `bench accuracy`; its generation is the seed."""

    generation: Number
    participant: str
    wall: Positive
    user: Time
    system: Time
    updates: Number
    images: Number  # that its updates used in all
    accuracy: Share  # of the test images
    cost: float | None  # of the test images; None: not finite
    evaluation: Elapsed
    curve: Curve | None = None


class DrawnCurve(Record, frozen=True, tag="curve"):
    """A training that is done once more in pieces, for its curve."""

    participant: str
    seed: Number
    seconds: list[Time]
    epochs: list[Time]
    accuracy: list[Share]
    cost: list[float | None]

    def __post_init__(self) -> None:
        same_length(self.seconds, self.epochs, self.accuracy, self.cost)


class Seen(Struct, frozen=True, forbid_unknown_fields=True):
    """What a network of the article says of some images."""

    accuracy: Share
    cost: float | None
    answers: list[Number]  # images by predicted digit
    zeros: Share  # of outputs that are exactly 0
    dead: Number  # outputs that are 0 for every image
    largest: float | None
    confidence: float | None  # the output for the first image's own digit
    overflow: Share | None = None  # of pre-activations


class Point(Struct, frozen=True, forbid_unknown_fields=True):
    """What was seen after an epoch. check: seconds that it took for the training images."""

    epoch: Number
    check: Elapsed
    train: Seen
    test: Seen
    last: Seen | None = None  # the images of the epoch's last update
    wall: Time = 0.0
    user: Time = 0.0
    system: Time = 0.0


class ArticleTraining(Record, frozen=True, tag="course"):
    """A training of the article with one setting."""

    generation: Number
    participant: str
    setting: str
    seed: Number
    epochs: Number
    wall: Time
    user: Time
    system: Time
    stopped_early: bool
    points: Annotated[list[Point], Meta(min_length=1)]


OfTrainings = Trainer | Training | DrawnCurve | ArticleTraining


def same_length(*lists: Sequence[object]) -> None:
    """Raise ValueError unless all lists are of one length."""
    if len({len(values) for values in lists}) > 1:
        raise ValueError(f"Expected lists of one length, got {', '.join(str(len(values)) for values in lists)}")


@dataclass(frozen=True)
class Course:
    """A training in pieces, from before its first update; all lists are of one length."""

    seconds: list[float]  # of training so far, wall
    epochs: list[float]  # over the training images so far
    accuracy: list[float]  # share of the test images, 0 to 1
    cost: list[float]  # of the test images, nan where it is not finite


@dataclass(frozen=True)
class Trained:
    """One whole training of `bench accuracy`."""

    seed: int
    wall: float  # seconds
    evaluation: float  # seconds for the test images
    accuracy: float  # share of the test images, 0 to 1
    cost: float  # of the test images; nan: it diverged
    images: int  # that its updates used in all


def course_of(curve: Curve | DrawnCurve) -> Course:
    """A curve as readers see it."""
    return Course(curve.seconds, curve.epochs, curve.accuracy, [nan_or(cost) for cost in curve.cost])


def trained_of(one: Training) -> Trained:
    """A training as readers see it."""
    return Trained(one.generation, one.wall, one.evaluation.wall, one.accuracy, nan_or(one.cost), one.images)


def nan_or(cost: float | None) -> float:
    """A cost; nan where it is not finite."""
    return math.nan if cost is None else cost
