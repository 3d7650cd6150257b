"""Recipes: how a network is trained, from its first weights to its last. Data alone; any backend runs any of them.

A recipe has a fixed length and looks at no test image. For each target it is the fastest of a grid that reached it on
training images held out, by the lower bound of its seeds; those called best were the most accurate there.
`python -m bench tune` found them, see bench/workloads/README.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np

from bench import UserError
from bench.workloads.plans import AnyOrder, Schedule, joined, learning_rates, separate_epochs, stream
from impls.contract import COST_OF_OUTPUT, Array, DType, Layer, Network, Parameters, Plan
from impls.initialisation import initial_parameters

NETWORK_FACTORS = ("sizes", "hidden", "output", "pixel_scale")


@dataclass(frozen=True)
class Recipe:
    """A training, from its first weights to its last."""

    name: str
    network: Network
    initialisation: str = "lecun_normal"
    batch: int | None = None  # images per update; None: all
    updates: int | None = None  # of an epoch, where that is given instead of the batch
    epochs: float = 1  # over the training images
    learning_rate: float = 1.0  # of the first update
    schedule: Schedule = "constant"
    momentum: float = 0.0  # Nesterov's
    order: AnyOrder = "file"
    input_dropout: float = 0.0  # share of the pixels that are made zero, others in each epoch
    members: int = 1  # networks that share out the hidden units: each is trained by itself, then they are merged
    dtype: DType = "float32"
    reason: str = ""

    def __post_init__(self) -> None:
        """Raise UserError where the hidden units cannot be shared out so."""
        sizes = self.network.sizes
        if self.members > 1 and (len(sizes) != 3 or sizes[1] % self.members or self.order == "file"):
            raise UserError(
                f"recipe {self.name}: {self.members} members of {self.network} in {self.order} order: expected one "
                "hidden layer, whose units can be shared out evenly, and images that are shuffled"
            )

    def __str__(self) -> str:
        scale = self.network.pixel_scale
        epochs = "epoch" if self.epochs == 1 else "epochs"
        size = "all images" if self.batch is None else f"{self.batch:,}"
        how = f"of {self.updates} update{'' if self.updates == 1 else 's'}" if self.updates else f"in batches of {size}"
        members = f"each of {self.members} members " if self.members > 1 else ""
        in_order = " in file order" if self.order == "file" else ""
        parts = (
            str(self.network),
            "raw pixels" if scale == 1 else f"pixels / {1 / scale:.3g}" if scale != 1 / 255 else "",
            self.initialisation,
            f"{members}{self.epochs:g} {epochs} {how}{in_order}",
            f"rate {self.learning_rate:g} {self.schedule}",
            f"Nesterov {self.momentum:g}" if self.momentum else "",
            f"input dropout {100 * self.input_dropout:g}%" if self.input_dropout else "",
        )
        return ", ".join(filter(None, parts))

    def described(self) -> dict[str, Any]:
        """The recipe and its network as fields of a record's key; `plan` is its name. The reason is left out."""
        own = {field.name: getattr(self, field.name) for field in fields(self)[2:-1]}
        network = {"sizes": list(self.network.sizes), "pixel_scale": self.network.pixel_scale}
        return {"network": str(self.network), **network, "plan": self.name, **own}

    @property
    def member(self) -> Network:
        """The network that is trained: all of it, or its share of the hidden units."""
        n_inputs, *hidden, n_outputs = self.network.sizes
        return replace(self.network, sizes=(n_inputs, *(units // self.members for units in hidden), n_outputs))

    def parameters(self, seed: int = 0, number: int = 0) -> Parameters:
        """Return the parameters from which the training of member `number` starts."""
        return initial_parameters(self.member, self.initialisation, seed * self.members + number, self.dtype)

    def merged(self, trained: Sequence[Parameters]) -> Parameters:
        """The whole network, of the members trained so far: their mean before the last activation, other units at 0.

        As members err on different images, their mean errs less than each (Hansen and Salamon, IEEE PAMI 12, 1990).
        """
        if self.members == 1:
            return trained[0]
        n = len(trained)
        untrained = tuple(Layer(np.zeros_like(weights), np.zeros_like(biases)) for weights, biases in trained[0])
        hidden, output = zip(*trained, *[untrained] * (self.members - n), strict=True)
        first = Layer(np.hstack([weights for weights, _ in hidden]), np.hstack([biases for _, biases in hidden]))
        last = Layer(
            np.vstack([weights / n for weights, _ in output]), np.sum([biases / n for _, biases in output], axis=0)
        )
        return first, last

    def images_per_update(self, n_images: int) -> int:
        """The batch, or the smallest that makes no more than `updates`. Raises UserError for one that does not fit."""
        if self.updates:
            return -(-n_images // self.updates)
        batch = n_images if self.batch is None else self.batch
        if not 1 <= batch <= n_images:
            raise UserError(
                f"batch {batch}: expected 1 to {n_images}, the number of training images; take more images, or a "
                "smaller batch where the command has --batch"
            )
        return batch

    def plans(self, n_images: int, seed: int = 0, kept: Array | None = None) -> Iterator[Plan]:
        """One plan per epoch, a pass over all images in batches; a last one may be a part. Members follow each other.

        In file order the images lie as they are, so that a batch is a view. Otherwise each epoch has an order of its
        own, drawn from the seed only when the epoch comes, as all of them would fill the memory. The learning rate
        falls over all epochs. kept: the indices of the images to train on, where others are held out; a stream is as
        long as with all. Raises UserError for a batch that does not fit.
        """
        batch, images = self.images_per_update(n_images), np.arange(n_images) if kept is None else kept
        rng = np.random.default_rng([seed, 2 if self.order == "stream" else 1])  # initial parameters have another

        def of_member() -> Iterator[Plan]:
            if self.order == "stream":
                seen = max(batch, round(self.epochs * n_images))
                n_updates, updates = -(-seen // batch), stream(images, n_images, batch, seen, rng)
            else:
                n_updates = max(1, round(self.epochs * -(-len(images) // batch))) if self.epochs else 0
                draw = partial(rng.permutation, images) if self.order == "shuffled" else lambda: kept
                updates = separate_epochs(len(images), batch, n_updates, draw)
            rates, done = learning_rates(self.learning_rate, self.schedule, n_updates), 0
            for starts, stops, order in updates:
                yield Plan(starts, stops, order, rates[done : done + len(starts)], self.momentum)
                done += len(starts)

        return (plan for _ in range(self.members) for plan in of_member())

    def pieces(self, n_images: int, seed: int = 0, kept: Array | None = None) -> list[Plan]:
        """The plans in as few pieces as possible: one for each member, or with input dropout one for each epoch."""
        plans = list(self.plans(n_images, seed, kept))
        per_member = len(plans) // self.members
        if self.input_dropout or not plans:
            return plans
        return [joined(plans[first : first + per_member]) for first in range(0, len(plans), per_member)]

    def with_dropout(self, images: Array, seed: int, number: int) -> Array:
        """Return the images for plan `number`: each pixel is 0 with probability `input_dropout`, rounded to 256ths."""
        rng = np.random.default_rng([seed, 4, number])
        kept = np.frombuffer(rng.bytes(images.size), np.uint8).reshape(images.shape) >= round(256 * self.input_dropout)
        return images * kept

    @property
    def member_with_dropout(self) -> Network:
        """The network that is trained with input dropout: pixels are scaled up to make up for those dropped."""
        return replace(self.member, pixel_scale=self.network.pixel_scale / (1 - round(256 * self.input_dropout) / 256))


def relu(*sizes: int) -> Network:
    """A network of ReLU layers with softmax and cross-entropy."""
    return Network(sizes, "relu", "softmax", "cross_entropy")


def varied(recipe: Recipe, **factors: Any) -> Recipe:
    """The recipe with other values of its own fields, or of its network's; a cost comes with its output."""
    of_network = {name: factors.pop(name) for name in NETWORK_FACTORS if name in factors}
    if "output" in of_network:
        of_network["cost"] = COST_OF_OUTPUT[of_network["output"]]
    return replace(recipe, network=replace(recipe.network, **of_network), **factors)


def with_outputs(recipe: Recipe, classes: int) -> Recipe:
    """The recipe for digits of so many classes: its network has an output for each."""
    return varied(recipe, sizes=(*recipe.network.sizes[:-1], classes))


def nesterov(name: str, network: Network, reason: str = "", **others: Any) -> Recipe:
    """Mini-batches in random order, Nesterov's momentum, a learning rate that stays and then falls linearly to zero.

    others: fields of `Recipe` that differ.
    """
    usual: dict[str, Any] = {"batch": 64, "learning_rate": 0.1, "schedule": "hold-then-linear", "momentum": 0.9}
    return Recipe(name, network, "he_normal", order="stream", reason=reason, **usual | others)


SMALL, WIDER, WIDEST = relu(784, 80, 10), relu(784, 128, 10), relu(784, 2000, 10)

_RECIPES = (
    nesterov(
        "first-89", SMALL, "the article's figure after 20 epochs", batch=16, epochs=0.05, learning_rate=0.4, momentum=0
    ),
    nesterov("first-92", SMALL, "the article's network and figure after 100 epochs", batch=32, epochs=0.15),
    nesterov("first-94", WIDER, "the article's best, of its 784-128-10", batch=32, epochs=0.225),
    nesterov("97", WIDER, "AlgoPerf's target for the same network", epochs=1.35),
    nesterov("98", WIDER, "what a plain network of this size can do", epochs=6),
    nesterov("best-80", SMALL, "the article's network, with time to learn", epochs=20, input_dropout=0.1),
    nesterov("best-128", WIDER, "its best, with time to learn", epochs=20, learning_rate=0.05, input_dropout=0.2),
    nesterov("best", WIDEST, "the mean of four networks of 500", epochs=15, input_dropout=0.2, members=4),
)
RECIPES = {recipe.name: recipe for recipe in _RECIPES}

# Which share of the test images each is to reach.
TARGETS = {"first-89": 0.8917, "first-92": 0.9286, "first-94": 0.9417, "97": 0.97, "98": 0.98}
QUICK = tuple(TARGETS)  # the fastest recipe to each target
TARGETS |= {"best-80": 0.98, "best-128": 0.983, "best": 0.987}

# The article's own method, as far as its figures tell: raw pixels, five updates an epoch, at most 300 epochs.
ARTICLE = Recipe("article", Network((784, 128, 10), pixel_scale=1.0), updates=5, epochs=300)
