"""Recipes: how a network is trained, from its first weights to its last. Data alone; any backend runs any of them.

A recipe has a fixed length and looks at no test image. These are first guesses, longer than they need be: none was
chosen on the test images, nor yet by `python -m bench tune`, which tries others on training images that are held out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import UserError
from bench.plans import Fall, learning_rates
from impls.contract import DType, Network, Parameters, Plan
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

    def __str__(self) -> str:
        return (
            f"{self.network}, {self.initialisation}, {self.passes:g} passes in batches of {self.batch}, rate "
            f"{self.learning_rate:g} {self.fall}, Nesterov {self.momentum:g}"
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
            "order": "shuffled",
            "momentum": self.momentum,
        }

    def parameters(self, seed: int, dtype: DType) -> Parameters:
        """What the training starts from."""
        return initial_parameters(self.network, self.initialisation, seed, dtype)

    def plan(self, n_images: int, seed: int) -> Plan:
        """All updates, one after the other; the last may be short. Raises UserError where a batch does not fit."""
        if not 1 <= self.batch <= n_images:
            raise UserError(f"recipe {self.name}: batches of {self.batch}: expected at most {n_images}, all images")
        seen = max(self.batch, round(self.passes * n_images))
        rng = np.random.default_rng([seed, 2])  # not the stream that the initial parameters come from
        order = np.concatenate([rng.permutation(n_images) for _ in range(-(-seen // n_images))])[:seen]
        starts = np.arange(0, seen, self.batch)
        stops = np.minimum(starts + self.batch, seen)
        rates = learning_rates(self.learning_rate, self.fall, len(starts))
        return Plan(starts, stops, order, rates, self.momentum)


def relu(*sizes: int) -> Network:
    """A network as one trains it today."""
    return Network(sizes, "relu", "softmax", "cross_entropy")


def nesterov(
    name: str, network: Network, batch: int, passes: float, learning_rate: float, reason: str, momentum: float = 0.9
) -> Recipe:
    """Mini-batches in random order, Nesterov's momentum, a rate that falls linearly."""
    return Recipe(name, network, "he_normal", batch, passes, learning_rate, "linear", momentum, reason)


SMALL, WIDER = relu(784, 80, 10), relu(784, 128, 10)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        nesterov("first-89", WIDER, 64, 0.125, 0.2, "the article's figure after 20 rounds"),
        nesterov("first-92", WIDER, 64, 0.25, 0.2, "the article's figure after 100 rounds"),
        nesterov("first-94", WIDER, 64, 0.5, 0.2, "the article's best, of its 784-128-10"),
        nesterov("97", WIDER, 64, 1.5, 0.2, "AlgoPerf's target for the same network"),
        nesterov("98", WIDER, 64, 6, 0.2, "what a plain network of this size can do"),
    )
}

# Share of the test images: who is to reach it.
TARGETS = {0.8917: "first-89", 0.9286: "first-92", 0.9417: "first-94", 0.97: "97", 0.98: "98"}
