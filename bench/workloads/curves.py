"""Learning curves: how good a network is as its training proceeds."""

import math
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True)
class LearningCurve:
    """A training from before its first update; all lists are of one length. Raises ValueError where they are not."""

    seconds: Annotated[list[NotNegative], Meta(min_length=1)]  # of training so far, wall
    epochs: list[NotNegative]  # over the training images so far
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
