"""What a worker of `bench article` does: hold one backend, train as it is told, look at what became of it.

It answers requests of the parent, ("import", Post), ("load", setting), ("train", setting, seed, rounds, looks,
screens), with ("done", answer) or ("failed", reason), as the worker of a race does.
"""

import math
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.timing.clock import Clock
from bench.timing.process import answer_with
from bench.training.loop import Split

if TYPE_CHECKING:
    from bench.workloads.article import Screen
    from bench.workloads.recipes import Recipe
    from impls.contract import Array, Network, Parameters

SAMPLED = 1000  # images of which pre-activations are looked at
LARGEST_EXPONENT = 709.78  # of exp in float64 before it overflows


@dataclass(frozen=True)
class Post:
    """Who works here, and with which digits."""

    backend: str
    train: Path  # folder with images.npy and labels.npy
    test: Path


def serve(connection: Connection) -> None:
    """Answer requests until the parent ends this process."""
    answer_with(connection, Courses)


class Courses:
    """One backend, in its own process. The digits are prepared anew where the network is another than before."""

    def __init__(self, post: Post) -> None:
        import impls

        self.post = post
        self.backend = impls.find(post.backend)
        self.network: Network | None = None
        self.splits: dict[str, Split] = {}
        self.sampled: dict[str, Array] = {}  # images as they came

    def load(self, setting: "Recipe") -> dict[str, Any]:
        """Prepare for a setting and train one round of it, so that nothing is compiled later; seconds of both."""
        from impls.contract import zero_velocities

        self.prepare(setting)
        train = self.splits["train"]
        plan = next(setting.plans(len(train.labels)), None)
        with Clock() as clock:
            if plan is not None:
                state = zero_velocities(setting.parameters(0))
                self.backend.train(setting.network, state, train.prepared, plan)
        return {"prepare": asdict(train.elapsed), "first": asdict(clock.elapsed)}

    def prepare(self, setting: "Recipe") -> None:
        """Both splits in the backend's own form, for this network."""
        import numpy as np

        from bench.training.loop import prepare
        from data import Digits

        network = setting.network
        if network != self.network:
            self.splits = {}  # the memory of the last ones is free before there are others
            for name, folder in (("train", self.post.train), ("test", self.post.test)):
                digits = Digits(np.load(folder / "images.npy", mmap_mode="r"), np.load(folder / "labels.npy"))
                self.sampled[name] = digits.images[:SAMPLED]
                self.splits[name] = prepare(self.backend, network, digits, setting.dtype)
            self.network = network

    def train(
        self, setting: "Recipe", seed: int, epochs: int, looks: tuple[int, ...], screens: "tuple[Screen, ...]" = ()
    ) -> dict[str, Any]:
        """The first rounds of a training: its seconds, and what was seen after some rounds and the last.

        It ends early where its cost is not finite, or a screen leaves it ("left").
        """
        import numpy as np

        from bench.training.loop import train_epochs

        self.prepare(setting)
        train = self.splits["train"]
        plans = islice(setting.plans(len(train.labels)), epochs)
        points = []
        with np.errstate(over="ignore", invalid="ignore"):  # it may diverge, which its cost tells
            start = setting.parameters(seed)
            for point in train_epochs(self.backend, setting.network, start, train, plans):
                if point.number in (*looks, epochs):
                    points.append({"epoch": point.number, **asdict(point.elapsed)})
                    points[-1] |= self.look(setting, point.state.parameters)
                    if points[-1]["train"]["cost"] is None or leaves(screens, points[-1]):
                        break
        left = leaves(screens, points[-1])
        return {"epochs": point.number, **asdict(point.elapsed), "stopped_early": left, "points": points}

    def look(self, setting: "Recipe", parameters: "Parameters") -> dict[str, Any]:
        """How good the network is on both splits, and on "last", the images of a round's last update.

        "check": what looking at the training images took.
        """
        network = setting.network
        seen: dict[str, Any] = {}
        for name, split in self.splits.items():
            with Clock() as clock:
                outputs = self.backend.outputs(network, parameters, split.prepared)
            overflow = share_overflowing(network, parameters, self.sampled[name])
            seen[name] = seen_in(network, outputs, split.labels) | {"overflow": overflow}
            if name == "train":
                seen["check"] = asdict(clock.elapsed)
                first = setting.images_per_update(len(outputs)) * (
                    (len(outputs) - 1) // setting.images_per_update(len(outputs))
                )
                seen["last"] = seen_in(network, outputs[first:], split.labels[first:])
        return seen


def share_overflowing(network: "Network", parameters: "Parameters", images: "Array") -> float:
    """The share of the first layer's pre-activations z for which exp(-z) overflows in float64.

    So a sigmoid, or its derivative, does that is written as 1 / (1 + exp(-z)), as the article's was.
    """
    weights, biases = parameters[0]
    return float(((images * network.pixel_scale) @ weights + biases < -LARGEST_EXPONENT).mean())


def leaves(screens: "tuple[Screen, ...]", point: dict[str, Any]) -> bool:
    """Whether what was seen after this round is elsewhere than the screens of this round allow."""
    for screen in screens:
        value = point[screen.split][screen.what]
        if screen.epoch == point["epoch"] and (value is None or not screen.least <= value <= screen.most):
            return True
    return False


def seen_in(network: "Network", outputs: "Array", labels: "Array") -> dict[str, Any]:
    """What outputs (n, n_outputs) tell, for a record; None for what is not finite."""
    import numpy as np

    from bench.training.metrics import accuracy, mean_cost

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "accuracy": accuracy(outputs, labels),
        "cost": finite(mean_cost(network, outputs, labels)),
        "answers": np.bincount(outputs.argmax(axis=1), minlength=outputs.shape[1]).tolist(),  # how often each digit
        "zeros": float((outputs == 0).mean()),  # share of outputs that are exactly 0
        "dead": int((outputs == 0).all(axis=0).sum()),  # outputs that are 0 for every image
        "largest": finite(float(outputs.max())),
        "confidence": finite(float(outputs[0, labels[0]])),  # of the first image's own digit
    }
