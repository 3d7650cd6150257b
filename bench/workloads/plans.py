"""Plans: which images go into which update. Made here, once, and obeyed by every backend."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from impls.contract import Array, Plan

Order = Literal["file", "shuffled"]
# In a stream the shuffled epochs follow each other without a gap: a batch may hold images of two.
AnyOrder = Order | Literal["stream"]
Updates = tuple[Array, Array, Array | None]  # starts, stops, order
Schedule = Literal["constant", "linear", "hold-then-linear"]


def learning_rates(first: float, schedule: Schedule, n_updates: int) -> Array:
    """Return the learning rate of every update of a training, (n_updates,) float64.

    "linear" falls from `first` at the first update to first / n_updates at the last, so that every update counts.
    "hold-then-linear" stays at `first` for half of them and falls so in the other half.
    """
    if schedule == "constant":
        return np.full(n_updates, first)
    remaining = 1 - np.arange(n_updates) / n_updates  # share of the training, from this update on
    return first * (remaining if schedule == "linear" else np.minimum(1, 2 * remaining))


def parts(plan: Plan, firsts: Sequence[int]) -> list[Plan]:
    """Cut the plan into consecutive parts that begin at these updates, the first of which is 0."""
    plans = []
    for first, stop in pairwise([*firsts, len(plan.starts)]):
        starts, stops, order = plan.starts[first:stop], plan.stops[first:stop], plan.order
        if order is not None:  # its own part alone, as a backend may copy it
            begin = starts.min()
            starts, stops, order = starts - begin, stops - begin, order[begin : stops.max()]
        plans.append(Plan(starts, stops, order, plan.learning_rates[first:stop], plan.momentum))
    return plans


def joined(plans: Iterable[Plan]) -> Plan:
    """Join the updates of several plans, at least one; either all have an order, or none has."""
    plans = list(plans)
    orders = [plan.order for plan in plans if plan.order is not None]
    begins = np.cumsum([0, *map(len, orders)]) if orders else np.zeros(len(plans) + 1, int)
    shifted = list(zip(plans, begins, strict=False))
    return Plan(
        np.concatenate([plan.starts + begin for plan, begin in shifted]),
        np.concatenate([plan.stops + begin for plan, begin in shifted]),
        np.concatenate(orders) if orders else None,
        np.concatenate([plan.learning_rates for plan in plans]),
        plans[0].momentum,
    )


def separate_epochs(n: int, batch: int, n_updates: int, draw: Callable[[], Array | None]) -> Iterator[Updates]:
    """Yield the updates of n images epoch by epoch, the last batch of which may be short; draw: returns its order."""
    starts = np.arange(0, n, batch)
    stops = np.minimum(starts + batch, n)
    for done in range(0, n_updates, len(starts)):
        yield starts[: n_updates - done], stops[: n_updates - done], draw()


def stream(images: Array, n_images: int, batch: int, seen: int, rng: np.random.Generator) -> Iterator[Updates]:
    """Yield the updates that begin in the first `n_images` of the stream, then in the next, up to `seen` images in all.

    images: the indices of those that each epoch shuffles.
    """
    starts = np.arange(0, seen, batch)
    stops = np.minimum(starts + batch, seen)
    drawn, begin = images[:0], 0  # what is drawn of the stream, from there on
    for epoch in range(-(-seen // n_images)):
        chosen = starts // n_images == epoch
        if chosen.any():
            first, stop = starts[chosen][0], stops[chosen][-1]
            drawn, begin = drawn[first - begin :], first
            while len(drawn) < stop - begin:
                drawn = np.concatenate([drawn, rng.permutation(images)])
            yield starts[chosen] - begin, stops[chosen] - begin, drawn[: stop - begin]
