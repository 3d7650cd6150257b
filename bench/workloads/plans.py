"""Plans: which images go into which update. Made here, once, and obeyed by every backend."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from bench import UserError
from impls.contract import Array, Plan

Order = Literal["file", "shuffled"]
Schedule = Literal["constant", "linear", "hold-then-linear"]


def learning_rates(first: float, schedule: Schedule, n_updates: int) -> Array:
    """The learning rate of every update of a training, (n_updates,).

    "linear" falls from `first` at the first update to first / n_updates at the last, so that every update counts.
    "trapezoid" stays at `first` for half of them and falls so in the other half.
    """
    if schedule == "constant":
        return np.full(n_updates, first)
    left = 1 - np.arange(n_updates) / n_updates
    return first * (left if schedule == "linear" else np.minimum(1, 2 * left))


def parts(plan: Plan, firsts: Sequence[int]) -> list[Plan]:
    """The plan in consecutive parts, that begin at these updates, the first of them 0."""
    found = []
    for first, stop in pairwise([*firsts, len(plan.starts)]):
        starts, stops, order = plan.starts[first:stop], plan.stops[first:stop], plan.order
        if order is not None:  # its own part alone, as a backend may copy it
            begin = starts.min()
            starts, stops, order = starts - begin, stops - begin, order[begin : stops.max()]
        found.append(Plan(starts, stops, order, plan.learning_rates[first:stop], plan.momentum))
    return found


def updates_per_epoch(n_images: int, batch: int | None) -> int:
    """How many updates one pass over the images has; a short last batch is one. Raises UserError for a bad batch."""
    if batch is None:
        return 1
    if not 1 <= batch <= n_images:
        raise UserError(f"batch {batch}: expected 1 to {n_images}, the number of training images, or `all`")
    return -(-n_images // batch)


def plans_by_epoch(
    n_images: int,
    batch: int | None,
    epochs: int,
    order: Order = "file",
    learning_rate: float = 0.1,
    schedule: Schedule = "constant",
    momentum: float = 0.0,
    seed: int = 0,
) -> Iterator[Plan]:
    """One plan per round, each a pass over all images in batches (None: all images in one update).

    In file order the images lie as they are, so that a batch is a view. Shuffled, each round has an order of its own,
    drawn from the seed only when the round comes, as all of them would fill the memory. The learning rate's fall runs
    over all rounds.
    """
    per_epoch = updates_per_epoch(n_images, batch)
    rates = learning_rates(learning_rate, schedule, epochs * per_epoch)
    starts = np.arange(per_epoch) * (batch or n_images)
    stops = np.minimum(starts + (batch or n_images), n_images)
    rng = np.random.default_rng([seed, 1])  # not the stream that the initial parameters come from
    return (
        Plan(
            starts,
            stops,
            rng.permutation(n_images) if order == "shuffled" else None,
            rates[number * per_epoch : (number + 1) * per_epoch],
            momentum,
        )
        for number in range(epochs)
    )
