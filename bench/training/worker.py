"""A child process that holds one backend and trains recipes with the seeds that it is given.

NumPy is imported when it is made, in the child, so that thread variables count.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.timing.clock import Clock, Elapsed

if TYPE_CHECKING:
    from bench.training.loop import Split
    from bench.workloads.article import Screen
    from bench.workloads.recipes import Recipe
    from impls.contract import Array, Network, Parameters, Plan

PIECES = 20  # of a training, for its curve
GROWTH = 1.1  # of the updates from one evaluation to the next, in a training that ends at a target
SHORT = 10.0  # seconds of training up to a target
SAMPLED = 1000  # images whose pre-activations are examined
LARGEST_EXPONENT = 709.78  # of exp in float64 before it overflows


@dataclass(frozen=True)
class TrainingTask:
    """The backend of a process, and its digits."""

    backend: str
    train: Path  # folder with images.npy and labels.npy
    test: Path


@dataclass(frozen=True)
class Looks:
    """When a training is evaluated, off its clock, and when it stops early.

    "end": trained in as few calls as possible, then evaluated on the test images. "pieces": in up to PIECES parts.
    "growing": whenever its updates have grown by a tenth, at least once per epoch. Numbers: after these epochs and the
    last, on both splits and in detail; such a training also stops where its cost is not finite.
    """

    when: Literal["end", "pieces", "growing"] | tuple[int, ...] = "end"
    until: float | None = None  # share of the test images at which it stops
    screens: "tuple[Screen, ...]" = ()  # it stops where one of them is not passed
    epochs: int | None = None  # it stops after so many

    def after(self, n_plans: int) -> Sequence[int]:
        """The plans after which it is evaluated; 0 is before the first."""
        if isinstance(self.when, tuple):
            return (*self.when, n_plans)
        return (n_plans,) if self.when == "end" else range(n_plans + 1)


class Trainer:
    """One backend in its own process. The digits are prepared anew where a recipe needs another form of them."""

    def __init__(self, task: TrainingTask) -> None:
        import numpy as np

        import impls
        from data import Digits

        self.backend = impls.find(task.backend)
        self.digits: dict[str, Digits] = {
            name: Digits(np.load(folder / "images.npy", mmap_mode="r"), np.load(folder / "labels.npy"))
            for name, folder in (("train", task.train), ("test", task.test))
        }
        self.form: tuple[object, ...] = ()
        self.splits: dict[str, Split] = {}

    def load(self, recipe: "Recipe", looks: Looks) -> dict[str, Any]:
        """Prepare both splits and train for the first time, which may compile; the seconds of both.

        The first training is the whole recipe, or where it is evaluated on its way its first part.
        """
        from bench.timing import threads

        self.prepare(recipe)
        plans = self.plans(recipe, 0, looks)
        *_, first = self.epochs(recipe, 0, plans if looks.when == "end" else plans[:1])
        prepare = asdict(self.splits["train"].elapsed)
        return {"prepare": prepare, "first": asdict(first.elapsed), "threads": threads.in_force()}

    def prepare(self, recipe: "Recipe") -> None:
        """Both splits in the backend's own form: the training images for a member, the test images for the whole."""
        from bench.training.loop import prepare

        form = recipe.network, recipe.members, recipe.dtype
        if form != self.form:
            self.splits = {}  # the memory of the last ones is free before there are others
            for name, network in (("train", recipe.member), ("test", recipe.network)):
                self.splits[name] = prepare(self.backend, network, self.digits[name], recipe.dtype)
            self.form = form

    def train(self, recipe: "Recipe", seed: int, looks: Looks) -> dict[str, Any]:
        """One training, for a record: its seconds, and what its network does to the test images in the end.

        Where it stops at a target that the test images tell, which favours it, the many short calls up to there are
        repeated in one if they took little, and that time counts.
        """
        import numpy as np

        self.prepare(recipe)
        plans = self.plans(recipe, seed, looks)
        images = list(accumulate(map(images_in, plans), initial=0))
        n, wanted = len(self.digits["train"].labels), looks.after(len(plans))
        curve: dict[str, list[float | None]] = {"seconds": [], "epochs": [], "accuracy": [], "cost": []}
        points: list[dict[str, Any]] = []
        with np.errstate(over="ignore", invalid="ignore"):  # a training that diverges shows it by its cost
            for epoch in self.epochs(recipe, seed, plans):
                if epoch.number not in wanted:
                    continue
                if isinstance(looks.when, tuple):
                    points.append({"epoch": epoch.number, **asdict(epoch.elapsed)})
                    points[-1] |= self.examined(recipe, epoch.state.parameters)
                    found = points[-1]["test"]
                    evaluation = points[-1]["check"]
                else:
                    found, evaluation = self.evaluated(recipe, epoch.state.parameters)
                passed = epoch.elapsed.wall, images[epoch.number] / n, found["accuracy"], found["cost"]
                for values, value in zip(curve.values(), passed, strict=True):
                    values.append(value)
                stopped = bool(points) and fails(looks.screens, points[-1])
                diverged = bool(points) and points[-1]["train"]["cost"] is None
                if stopped or diverged or (looks.until is not None and found["accuracy"] >= looks.until):
                    break
        elapsed = epoch.elapsed
        if looks.until is not None and epoch.number and elapsed.wall < SHORT:
            elapsed = self.in_one_call(recipe, seed, plans[: epoch.number])
        return {
            "epochs": images[epoch.number] / n,
            "updates": sum(len(plan.starts) for plan in plans[: epoch.number]),
            "images": images[epoch.number],
            **asdict(elapsed),
            "accuracy": found["accuracy"],
            "cost": found["cost"],
            "evaluation": evaluation,
            "stopped_early": stopped,
            "curve": curve if len(wanted) > 1 else None,
            "points": points,
        }

    def plans(self, recipe: "Recipe", seed: int, looks: Looks) -> list["Plan"]:
        """A training, cut where it is evaluated."""
        import numpy as np

        from bench.workloads.plans import joined, parts

        n = len(self.digits["train"].labels)
        if isinstance(looks.when, tuple):
            return list(islice(recipe.plans(n, seed), looks.epochs))
        plans = recipe.pieces(n, seed)
        if looks.when == "growing":
            whole = joined(plans)
            return parts(whole, growing(len(whole.starts), n // recipe.images_per_update(n)))
        if looks.when == "pieces" and len(plans) == 1 and not recipe.input_dropout:  # which is drawn for each plan
            updates = np.array_split(np.arange(len(plans[0].starts)), PIECES)
            return parts(plans[0], [int(part[0]) for part in updates if len(part)])
        return plans

    def epochs(self, recipe: "Recipe", seed: int, plans: list["Plan"]) -> Any:
        """Train by one plan after the other; yields `Epoch`s."""
        from bench.training.loop import train_recipe

        return train_recipe(self.backend, recipe, seed, self.digits["train"], self.splits["train"].prepared, plans)

    def in_one_call(self, recipe: "Recipe", seed: int, plans: list["Plan"]) -> Elapsed:
        """The seconds of these updates without interruption."""
        from bench.workloads.plans import joined

        *_, last = self.epochs(recipe, seed, [joined(plans)])
        elapsed: Elapsed = last.elapsed
        return elapsed

    def evaluated(self, recipe: "Recipe", parameters: "Parameters") -> tuple[dict[str, Any], dict[str, float]]:
        """Accuracy and cost on the test images, and the seconds that takes."""
        from bench.training.loop import evaluate

        with Clock() as clock:
            quality = evaluate(self.backend, recipe.network, parameters, self.splits["test"])
        return {"accuracy": quality.accuracy, "cost": finite(quality.cost)}, asdict(clock.elapsed)

    def examined(self, recipe: "Recipe", parameters: "Parameters") -> dict[str, Any]:
        """How good the network is on both splits, and on "last", the images of an epoch's last update.

        "check": the seconds of the outputs of the training images.
        """
        network = recipe.network
        seen: dict[str, Any] = {}
        for name, split in self.splits.items():
            with Clock() as clock:
                outputs = self.backend.outputs(network, parameters, split.prepared)
            overflow = share_overflowing(network, parameters, self.digits[name].images[:SAMPLED])
            seen[name] = seen_in(network, outputs, split.labels) | {"overflow": overflow}
            if name == "train":
                seen["check"] = asdict(clock.elapsed)
                batch = recipe.images_per_update(len(outputs))
                first = batch * ((len(outputs) - 1) // batch)
                seen["last"] = seen_in(network, outputs[first:], split.labels[first:])
        return seen


def growing(n_updates: int, an_epoch: int) -> list[int]:
    """Updates before which a network is evaluated: when they have grown by a tenth, and at least once per epoch."""
    firsts = [0, 1]
    while firsts[-1] < n_updates:
        firsts.append(firsts[-1] + max(1, min(an_epoch, round((GROWTH - 1) * firsts[-1]))))
    return firsts[:-1]


def images_in(plan: "Plan") -> int:
    """How many images its updates use."""
    return int((plan.stops - plan.starts).sum())


def finite(value: float) -> float | None:
    """The value; None where it is not finite, as JSON has no word for that."""
    return value if math.isfinite(value) else None


def share_overflowing(network: "Network", parameters: "Parameters", images: "Array") -> float:
    """The share of the first layer's pre-activations z for which exp(-z) overflows in float64.

    There a sigmoid written as 1 / (1 + exp(-z)), as the article's was, or its derivative overflows.
    """
    weights, biases = parameters[0]
    return float(((images * network.pixel_scale) @ weights + biases < -LARGEST_EXPONENT).mean())


def fails(screens: "tuple[Screen, ...]", point: dict[str, Any]) -> bool:
    """Whether a network after this epoch is out of the range that the screens of this epoch allow."""
    for screen in screens:
        value = point[screen.split][screen.what]
        if screen.epoch == point["epoch"] and (value is None or not screen.least <= value <= screen.most):
            return True
    return False


def seen_in(network: "Network", outputs: "Array", labels: "Array") -> dict[str, Any]:
    """What outputs (n, n_outputs) tell, for a record; None for what is not finite."""
    import numpy as np

    from bench.training.metrics import accuracy, mean_cost

    return {
        "accuracy": accuracy(outputs, labels),
        "cost": finite(mean_cost(network, outputs, labels)),
        "answers": np.bincount(outputs.argmax(axis=1), minlength=outputs.shape[1]).tolist(),  # images by answer
        "zeros": float((outputs == 0).mean()),  # share of outputs that are exactly 0
        "dead": int((outputs == 0).all(axis=0).sum()),  # outputs that are 0 for every image
        "largest": finite(float(outputs.max())),
        "confidence": finite(float(outputs[0, labels[0]])),  # in the first image's own digit
    }
