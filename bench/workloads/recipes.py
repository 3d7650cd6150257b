"""Recipes: how a network is trained, from its first weights to its last. Data alone; any backend runs any of them.

A recipe has a fixed length and looks at no test image. For each target it is the fastest of a grid that reached it on
training images held out, by the lower bound of its seeds; those called best are what was most accurate there.
`python -m bench tune` found them, see bench/README.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench import UserError
from bench.workloads.plans import Order, Schedule, learning_rates, parts
from impls.contract import Array, DType, Layer, Network, Parameters, Plan
from impls.initialisation import initial_parameters


@dataclass(frozen=True)
class Recipe:
    """One training."""

    name: str
    network: Network
    initialisation: str
    batch: int  # images per update
    epochs: float  # over the training images, in orders drawn anew; a part of one is its beginning
    learning_rate: float  # of the first update
    schedule: Schedule
    momentum: float
    reason: str
    input_dropout: float = 0.0  # share of the pixels that are made zero, others in each pass
    members: int = 1  # networks that share out the hidden units: each is trained by itself, then they are joined
    order: Order = "shuffled"

    def __post_init__(self) -> None:
        """Raises UserError where members cannot be."""
        sizes = self.network.sizes
        if self.members > 1 and (len(sizes) != 3 or sizes[1] % self.members or self.order == "file"):
            raise UserError(
                f"recipe {self.name}: {self.members} members of {self.network} in {self.order} order: expected one "
                "hidden layer, whose units can be shared out evenly, and images that are shuffled"
            )

    def __str__(self) -> str:
        each = f"each of {self.members} members " if self.members > 1 else ""
        with_dropout = f", {self.input_dropout:.0%} of the pixels masked" if self.input_dropout else ""
        return (
            f"{self.network}, {self.initialisation}, {each}{self.epochs:g} passes in batches of {self.batch:,}"
            f"{' in file order' if self.order == 'file' else ''}, rate {self.learning_rate:g} {self.schedule}, "
            f"Nesterov {self.momentum:g}{with_dropout}"
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
            "epochs": self.epochs,
            "learning_rate": self.learning_rate,
            "schedule": self.schedule,
            "order": self.order,
            "momentum": self.momentum,
            "input_dropout": self.input_dropout,
            "members": self.members,
        }

    @property
    def member(self) -> Network:
        """The network that is trained: all of it, or its share of the hidden units."""
        n_inputs, *hidden, n_outputs = self.network.sizes
        return replace(self.network, sizes=(n_inputs, *(units // self.members for units in hidden), n_outputs))

    def parameters(self, seed: int, dtype: DType, number: int = 0) -> Parameters:
        """What the training of a member starts from."""
        return initial_parameters(self.member, self.initialisation, seed * self.members + number, dtype)

    def merged(self, trained: Sequence[Parameters]) -> Parameters:
        """The whole network, of members trained so far: before its last activation their mean, the other units at 0.

        As members err on different images, their mean errs less than each (Hansen and Salamon, IEEE PAMI 12, 1990).
        """
        if self.members == 1:
            return trained[0]
        n_inputs, units, n_outputs = self.network.sizes
        dtype = trained[0][0].weights.dtype
        first = Layer(np.zeros((n_inputs, units), dtype), np.zeros(units, dtype))
        last = Layer(np.zeros((units, n_outputs), dtype), np.zeros(n_outputs, dtype))
        width = units // self.members
        for number, (hidden, output) in enumerate(trained):
            mine = slice(width * number, width * (number + 1))
            first.weights[:, mine], first.biases[mine] = hidden.weights, hidden.biases
            last.weights[mine] = output.weights / len(trained)
            last.biases[:] += output.biases / len(trained)
        return first, last

    def plan(self, n_images: int, seed: int, kept: Array | None = None) -> Plan:
        """All updates, one after the other, member by member; a last one may be short.

        kept: the images to train on, where some are held out; they come as often as all of them would have come.
        Raises UserError where a batch does not fit.
        """
        if not 1 <= self.batch <= n_images:
            raise UserError(f"recipe {self.name}: batches of {self.batch}: expected at most {n_images}, all images")
        if self.order == "file":
            in_an_epoch = np.arange(0, n_images if kept is None else len(kept), self.batch)
            starts = np.resize(in_an_epoch, max(1, round(self.epochs * len(in_an_epoch))))
            stops = np.minimum(starts + self.batch, n_images if kept is None else len(kept))
            return Plan(starts, stops, kept, self.rates(len(starts)), self.momentum)
        kept = np.arange(n_images) if kept is None else kept
        seen = self.seen(n_images)
        rng = np.random.default_rng([seed, 2])  # not the stream that the initial parameters come from
        orders = [
            np.concatenate([rng.permutation(kept) for _ in range(-(-seen // len(kept)))])[:seen]
            for _ in range(self.members)
        ]
        starts = np.arange(0, seen, self.batch)
        stops = np.minimum(starts + self.batch, seen)
        begins = seen * np.arange(self.members)[:, None]
        rates = np.tile(self.rates(len(starts)), self.members)
        return Plan((begins + starts).ravel(), (begins + stops).ravel(), np.concatenate(orders), rates, self.momentum)

    def seen(self, n_images: int) -> int:
        """How many images a member learns from, each as often as it comes."""
        return max(self.batch, round(self.epochs * n_images))

    def rates(self, n_updates: int) -> Array:
        """The learning rate of each update of a member."""
        return learning_rates(self.learning_rate, self.schedule, n_updates)

    def pieces(self, plan: Plan, n_images: int) -> list[Plan]:
        """The plan in as few parts as can be, as many for each member: one, or with masks one for each pass."""
        if self.order == "file":
            return [plan]
        member, within = np.divmod(plan.starts, self.seen(n_images))
        begins = np.diff(member) > 0
        if self.input_dropout:
            begins |= np.diff(within // n_images) > 0
        return parts(plan, [0, *(np.flatnonzero(begins) + 1).tolist()])

    def with_dropout(self, images: Array, seed: int, number: int) -> Array:
        """The images as pass `number` sees them: each pixel is zero with probability `mask`, in steps of 1/256."""
        rng = np.random.default_rng([seed, 4, number])
        kept = np.frombuffer(rng.bytes(images.size), np.uint8).reshape(images.shape) >= round(256 * self.input_dropout)
        return images * kept

    @property
    def member_with_dropout(self) -> Network:
        """The network that is trained with masks: what is left of an image counts for what is masked as well."""
        return replace(self.member, pixel_scale=self.network.pixel_scale / (1 - round(256 * self.input_dropout) / 256))


def relu(*sizes: int) -> Network:
    """A network as one trains it today."""
    return Network(sizes, "relu", "softmax", "cross_entropy")


def nesterov(
    name: str,
    network: Network,
    batch: int,
    epochs: float,
    learning_rate: float,
    reason: str,
    momentum: float = 0.9,
    input_dropout: float = 0.0,
    members: int = 1,
) -> Recipe:
    """Mini-batches in random order, Nesterov's momentum, a rate that stays and then falls linearly to zero."""
    return Recipe(
        name,
        network,
        "he_normal",
        batch,
        epochs,
        learning_rate,
        "hold-then-linear",
        momentum,
        reason,
        input_dropout,
        members,
    )


SMALL, WIDER, WIDEST = relu(784, 80, 10), relu(784, 128, 10), relu(784, 2000, 10)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        nesterov("first-89", SMALL, 16, 0.05, 0.4, "the article's network and figure after 20 rounds", momentum=0),
        nesterov("first-92", SMALL, 32, 0.15, 0.1, "the article's network and figure after 100 rounds"),
        nesterov("first-94", WIDER, 32, 0.225, 0.1, "the article's best, of its 784-128-10"),
        nesterov("97", WIDER, 64, 1.35, 0.1, "AlgoPerf's target for the same network"),
        nesterov("98", WIDER, 64, 6, 0.1, "what a plain network of this size can do"),
        nesterov("best-80", SMALL, 64, 20, 0.1, "the article's network, with time to learn", input_dropout=0.1),
        nesterov("best-128", WIDER, 64, 20, 0.05, "the article's best network, with time to learn", input_dropout=0.2),
        nesterov(
            "best", WIDEST, 64, 15, 0.1, "the mean of four networks of 500 is one of 2000", input_dropout=0.2, members=4
        ),
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
