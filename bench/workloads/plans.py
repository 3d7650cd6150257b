"""Plans: which images go into which update. Made here, once, and obeyed by every backend."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np

from bench import UserError
from impls.contract import Array, Plan

Order = Literal["file", "shuffled"]
# In a stream the shuffled epochs follow each other without a gap: a batch may hold images of two.
AnyOrder = Order | Literal["stream"]
Updates = tuple[Array, Array, Array | None]  # starts, stops, order
Schedule = Literal["constant", "linear", "hold-then-linear"]


def learning_rates(first: float, schedule: Schedule, n_updates: int) -> Array:
    """The learning rate of every update of a training, (n_updates,).

    "linear" falls from `first` at the first update to first / n_updates at the last, so that every update counts.
    "hold-then-linear" stays at `first` for half of them and falls so in the other half.
    """
    if schedule == "constant":
        return np.full(n_updates, first)
    left = 1 - np.arange(n_updates) / n_updates
    return first * (left if schedule == "linear" else np.minimum(1, 2 * left))


def parts(plan: Plan, firsts: Sequence[int]) -> list[Plan]:
    """The plan in consecutive parts that begin at these updates, the first of which is 0."""
    found = []
    for first, stop in pairwise([*firsts, len(plan.starts)]):
        starts, stops, order = plan.starts[first:stop], plan.stops[first:stop], plan.order
        if order is not None:  # its own part alone, as a backend may copy it
            begin = starts.min()
            starts, stops, order = starts - begin, stops - begin, order[begin : stops.max()]
        found.append(Plan(starts, stops, order, plan.learning_rates[first:stop], plan.momentum))
    return found


def joined(plans: Iterable[Plan]) -> Plan:
    """One plan of the updates of several, at least one, which all have an order or none."""
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
    epochs: float,
    order: AnyOrder = "file",
    learning_rate: float = 0.1,
    schedule: Schedule = "constant",
    momentum: float = 0.0,
    seed: int = 0,
    members: int = 1,
    kept: Array | None = None,
) -> Iterator[Plan]:
    """One plan per epoch, each a pass over all images in batches (None: all in one update); a last one may be a part.

    In file order the images lie as they are, so that a batch is a view. Otherwise each epoch has an order of its own,
    drawn from the seed only when the epoch comes, as all of them would fill the memory. The learning rate falls over
    all epochs. members: so many trainings, one after the other. kept: the images to train on, where some are held out;
    in a stream they come as often as all would. Raises UserError for a bad batch.
    """
    updates_per_epoch(n_images, batch)
    size, images = batch or n_images, np.arange(n_images) if kept is None else kept
    rng = np.random.default_rng([seed, 2 if order == "stream" else 1])  # the initial parameters' stream is another

    def training() -> Iterator[Plan]:
        if order == "stream":
            seen = max(size, round(epochs * n_images))
            n_updates, found = -(-seen // size), _stream(images, n_images, size, seen, rng)
        else:
            n_updates = max(1, round(epochs * -(-len(images) // size))) if epochs else 0
            draw = partial(rng.permutation, images) if order == "shuffled" else lambda: kept
            found = _separate(len(images), size, n_updates, draw)
        rates, done = learning_rates(learning_rate, schedule, n_updates), 0
        for starts, stops, drawn in found:
            yield Plan(starts, stops, drawn, rates[done : done + len(starts)], momentum)
            done += len(starts)

    return (plan for _ in range(members) for plan in training())


def _separate(n: int, batch: int, n_updates: int, draw: Callable[[], Array | None]) -> Iterator[Updates]:
    """Epoch by epoch, each of which ends with a short batch if it has to."""
    starts = np.arange(0, n, batch)
    stops = np.minimum(starts + batch, n)
    for done in range(0, n_updates, len(starts)):
        left = n_updates - done
        yield starts[:left], stops[:left], draw()


def _stream(images: Array, n_images: int, batch: int, seen: int, rng: np.random.Generator) -> Iterator[Updates]:
    """The updates that begin in the first `n_images` of the stream, then in the next, up to `seen` images in all."""
    starts = np.arange(0, seen, batch)
    stops = np.minimum(starts + batch, seen)
    drawn, begin = images[:0], 0  # what is drawn of the stream, from there on
    for epoch in range(-(-seen // n_images)):
        mine = starts // n_images == epoch
        if mine.any():
            first, stop = starts[mine][0], stops[mine][-1]
            drawn, begin = drawn[first - begin :], first
            while len(drawn) < stop - begin:
                drawn = np.concatenate([drawn, rng.permutation(images)])
            yield starts[mine] - begin, stops[mine] - begin, drawn[: stop - begin]
