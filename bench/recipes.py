"""Recipes: how a network is trained, from its first weights to its last. Data alone; any backend runs any of them.

A recipe has a fixed length and looks at no test image. For each target it is the fastest of a grid that reached it on
training images held out, by the lower bound of its seeds; those called best are what was most accurate there.
`python -m bench tune` found them, see bench/README.md.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench import UserError
from bench.plans import Fall, Order, learning_rates, parts
from impls.contract import Array, DType, Network, Parameters, Plan
from impls.initialisation import initial_parameters


@dataclass(frozen=True)
class Recipe:
    """One training."""

    name: str
    network: Network
    initialisation: str
    batch: int  # images per update
    passes: float  # over the training images, in orders drawn anew; a part of one is its beginning
    learning_rate: float  # of the first update
    fall: Fall
    momentum: float
    reason: str
    order: Order = "shuffled"
    mask: float = 0.0  # share of the pixels that are made zero, others in each pass

    def __str__(self) -> str:
        masked = f", {self.mask:.0%} of the pixels masked" if self.mask else ""
        return (
            f"{self.network}, {self.initialisation}, {self.passes:g} passes in batches of {self.batch:,}"
            f"{' in file order' if self.order == 'file' else ''}, rate {self.learning_rate:g} {self.fall}, "
            f"Nesterov {self.momentum:g}{masked}"
        )

    def described(self) -> dict[str, Any]:
        """What is trained, for a record."""
        return {
            "network": str(self.network),
            "sizes": list(self.network.sizes),
            "pixel_scale": self.network.pixel_scale,
            "plan": str(self),
            "initialisation": self.initialisation,
            "batch": self.batch,
            "passes": self.passes,
            "learning_rate": self.learning_rate,
            "fall": self.fall,
            "order": self.order,
            "momentum": self.momentum,
            "mask": self.mask,
        }

    def parameters(self, seed: int, dtype: DType) -> Parameters:
        """What the training starts from."""
        return initial_parameters(self.network, self.initialisation, seed, dtype)

    def plan(self, n_images: int, seed: int, kept: Array | None = None) -> Plan:
        """All updates, one after the other; the last may be short. Raises UserError where a batch does not fit.

        kept: the images to train on, where some are held out; they come as often as all of them would have come.
        """
        if not 1 <= self.batch <= n_images:
            raise UserError(f"recipe {self.name}: batches of {self.batch}: expected at most {n_images}, all images")
        if self.order == "file":
            in_a_pass = np.arange(0, n_images if kept is None else len(kept), self.batch)
            starts = np.resize(in_a_pass, max(1, round(self.passes * len(in_a_pass))))
            stops = np.minimum(starts + self.batch, n_images if kept is None else len(kept))
            return Plan(starts, stops, kept, self.rates(len(starts)), self.momentum)
        kept = np.arange(n_images) if kept is None else kept
        seen = max(self.batch, round(self.passes * n_images))
        rng = np.random.default_rng([seed, 2])  # not the stream that the initial parameters come from
        order = np.concatenate([rng.permutation(kept) for _ in range(-(-seen // len(kept)))])[:seen]
        starts = np.arange(0, seen, self.batch)
        return Plan(starts, np.minimum(starts + self.batch, seen), order, self.rates(len(starts)), self.momentum)

    def rates(self, n_updates: int) -> Array:
        """The learning rate of each update."""
        return learning_rates(self.learning_rate, self.fall, n_updates)

    def pieces(self, plan: Plan, n_images: int) -> list[Plan]:
        """The plan in as few parts as can be: one, or with masks, one for each pass."""
        firsts = np.unique(plan.starts // n_images, return_index=True)[1] if self.mask else [0]
        return parts(plan, [int(first) for first in firsts])

    def masked(self, images: Array, seed: int, number: int) -> Array:
        """The images as pass `number` sees them: each pixel is zero with probability `mask`, in steps of 1/256."""
        rng = np.random.default_rng([seed, 4, number])
        kept = np.frombuffer(rng.bytes(images.size), np.uint8).reshape(images.shape) >= round(256 * self.mask)
        return images * kept

    @property
    def network_masked(self) -> Network:
        """The network that is trained: what is left of an image counts for what is masked as well."""
        return replace(self.network, pixel_scale=self.network.pixel_scale / (1 - round(256 * self.mask) / 256))


def relu(*sizes: int) -> Network:
    """A network as one trains it today."""
    return Network(sizes, "relu", "softmax", "cross_entropy")


def nesterov(
    name: str,
    network: Network,
    batch: int,
    passes: float,
    learning_rate: float,
    reason: str,
    momentum: float = 0.9,
    mask: float = 0.0,
) -> Recipe:
    """Mini-batches in random order, Nesterov's momentum, a rate that stays and then falls linearly to zero."""
    return Recipe(name, network, "he_normal", batch, passes, learning_rate, "trapezoid", momentum, reason, mask=mask)


SMALL, WIDER, WIDEST = relu(784, 80, 10), relu(784, 128, 10), relu(784, 1000, 10)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        nesterov("first-89", SMALL, 16, 0.05, 0.4, "the article's network and figure after 20 rounds", momentum=0),
        nesterov("first-92", SMALL, 32, 0.15, 0.1, "the article's network and figure after 100 rounds"),
        nesterov("first-94", WIDER, 32, 0.225, 0.1, "the article's best, of its 784-128-10"),
        nesterov("97", WIDER, 64, 1.35, 0.1, "AlgoPerf's target for the same network"),
        nesterov("98", WIDER, 64, 6, 0.1, "what a plain network of this size can do"),
        nesterov("best-80", SMALL, 64, 20, 0.1, "the article's network, with time to learn", mask=0.1),
        nesterov("best-128", WIDER, 64, 20, 0.05, "the article's best network, with time to learn", mask=0.2),
        nesterov("best", WIDEST, 64, 30, 0.1, "a network of one wide layer", mask=0.2),
    )
}

# Which share of the test images each is to reach.
TARGETS = {"first-89": 0.8917, "first-92": 0.9286, "first-94": 0.9417, "97": 0.97, "98": 0.98}
QUICK = tuple(TARGETS)  # the fastest to each
TARGETS |= {"best-80": 0.98, "best-128": 0.983, "best": 0.987}

# The article's own method, as far as its figures tell: raw pixels, five updates a round, at most 300 rounds.
ARTICLE = Recipe(
    "article", Network((784, 128, 10), pixel_scale=1), "lecun_normal", 12_000, 300, 1.0, "constant", 0.0,
    "what its author did, with his best network", order="file",
)  # fmt: skip
