"""What a worker of `bench accuracy` does: hold one backend and one recipe, and train with the seed that it is told.

It answers requests of the parent, ("import", Job), ("load",), ("train", seed), ("curve", seed), with ("done", answer)
or ("failed", reason), as the worker of a race does.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.timing.clock import Clock, Elapsed
from bench.timing.process import answer_with

if TYPE_CHECKING:
    from bench.training.loop import Epoch, Quality
    from impls.contract import Plan

PIECES = 20  # of a training, for its curve
GROWTH = 1.1  # of the updates from one look at the test images to the next, where it goes on until a target
SHORT = 10.0  # seconds of training up to a target
Curve = dict[str, list[float | None]]  # None: a cost that is not finite


@dataclass(frozen=True)
class Job:
    """One entrant's work."""

    backend: str
    recipe: Any  # bench.recipes.Recipe, which would bring NumPy here too early
    train: Path  # folder with images.npy and labels.npy
    test: Path
    n_threads: int
    until: float | None = None  # share of the test images at which it ends, at the latest where the recipe does


def serve(connection: Connection) -> None:
    """Answer requests until the parent ends this process."""
    answer_with(connection, Trainer)


class Trainer:
    """One entrant, in its own process: imported, then loaded, then trained."""

    def __init__(self, job: Job) -> None:
        import impls

        self.job = job
        self.backend = impls.find(job.backend)

    def load(self) -> dict[str, Any]:
        """Prepare both splits, and train for the first time; tells what that took, in seconds."""
        import numpy as np

        from bench.timing import threads
        from bench.training.loop import prepare
        from data import Digits

        self.digits, test = (
            Digits(np.load(folder / "images.npy", mmap_mode="r"), np.load(folder / "labels.npy"))
            for folder in (self.job.train, self.job.test)
        )
        recipe = self.job.recipe
        self.train_split = prepare(self.backend, recipe.member, self.digits, self.job.recipe.dtype)
        self.test_split = prepare(self.backend, recipe.network, test, self.job.recipe.dtype)
        plans = self.pieces(0) if self.job.until is None else self.parts_with_looks(self.plan(0))[:1]
        *_, first = self.epochs(0, plans)
        return {
            "prepare": asdict(self.train_split.elapsed),
            "first": asdict(first.elapsed),
            "threads": threads.in_force(),
        }

    def train(self, seed: int) -> dict[str, Any]:
        """One whole training; its seconds, then what the network knows of the test images."""
        if self.job.until is not None:
            return self.train_until(self.job.until, seed)
        from bench.training.loop import evaluate

        plans = self.pieces(seed)
        *_, last = self.epochs(seed, plans)
        with Clock() as evaluating:
            quality = evaluate(self.backend, self.job.recipe.network, last.state.parameters, self.test_split)
        return asdict(last.elapsed) | told(plans, quality) | {"evaluation": asdict(evaluating.elapsed)}

    def train_until(self, target: float, seed: int) -> dict[str, Any]:
        """Train until this share of the test images is right, or the recipe ends; the same, and the way there.

        So it knows from the test images when to stop, which favours it. Looking at them is off the clock; and as it
        means many short calls, what took little is done once more in one go, and that time counts.
        """
        from bench.workloads.plans import parts

        plan = self.plan(seed)
        plans = self.parts_with_looks(plan)
        curve: Curve = {"seconds": [], "epochs": [], "accuracy": [], "cost": []}
        for point, quality, seconds in self.followed(seed, plans, curve):
            found = asdict(point.elapsed) | told(plans[: point.number], quality) | {"evaluation": asdict(seconds)}
            if quality.accuracy >= target:
                break
        if point.number and point.elapsed.wall < SHORT:
            done = found["updates"]
            *_, last = self.epochs(seed, parts(plan, [0, done] if done < len(plan.starts) else [0])[:1])
            found |= asdict(last.elapsed)
        return found | {"curve": curve}

    def curve(self, seed: int) -> Curve:
        """The same training in pieces: seconds and passes so far; share of the test images correct, and their cost."""
        import numpy as np

        from bench.workloads.plans import parts

        plan = self.plan(seed)
        plans = self.pieces(seed)
        if len(plans) == 1 and not self.job.recipe.input_dropout:  # with masks a pass is of one piece
            firsts = [int(part[0]) for part in np.array_split(np.arange(len(plan.starts)), PIECES) if len(part)]
            plans = parts(plan, firsts)
        found: Curve = {"seconds": [], "epochs": [], "accuracy": [], "cost": []}
        for _ in self.followed(seed, plans, found):
            pass
        return found

    def plan(self, seed: int) -> "Plan":
        """All updates of the recipe."""
        from bench.workloads.plans import joined

        return joined(self.job.recipe.plans(len(self.digits.labels), seed))

    def pieces(self, seed: int) -> list["Plan"]:
        """As few calls as can be."""
        found: list[Plan] = self.job.recipe.pieces(len(self.digits.labels), seed)
        return found

    def parts_with_looks(self, plan: "Plan") -> list["Plan"]:
        """In parts, after each of which the test images are looked at."""
        from bench.workloads.plans import parts

        return parts(
            plan,
            looks(
                len(plan.starts), len(self.digits.labels) // self.job.recipe.images_per_update(len(self.digits.labels))
            ),
        )

    def followed(self, seed: int, plans: list["Plan"], curve: Curve) -> Iterator[tuple["Epoch", "Quality", Elapsed]]:
        """The training plan by plan, with what it knows of the test images, what telling that took, and its curve."""
        from bench.training.loop import evaluate

        images = 0
        for point in self.epochs(seed, plans):
            with Clock() as clock:
                quality = evaluate(self.backend, self.job.recipe.network, point.state.parameters, self.test_split)
            images += images_in(plans[point.number - 1]) if point.number else 0
            curve["seconds"].append(point.elapsed.wall)
            curve["epochs"].append(images / len(self.digits.labels))
            curve["accuracy"].append(quality.accuracy)
            curve["cost"].append(quality.cost if math.isfinite(quality.cost) else None)
            yield point, quality, clock.elapsed

    def epochs(self, seed: int, plans: list["Plan"]) -> Iterator["Epoch"]:
        """Train by one plan after the other."""
        from bench.training.loop import train_recipe

        job, prepared = self.job, self.train_split.prepared
        return train_recipe(self.backend, job.recipe, seed, self.digits, prepared, plans)


def looks(n_updates: int, an_epoch: int) -> list[int]:
    """Updates before which to look at how good a network is: when they have grown by a tenth, at least each pass."""
    firsts = [0, 1]
    while firsts[-1] < n_updates:
        firsts.append(firsts[-1] + max(1, min(an_epoch, round((GROWTH - 1) * firsts[-1]))))
    return firsts[:-1]


def told(plans: list["Plan"], quality: "Quality") -> dict[str, Any]:
    """What a record says of a training by these plans."""
    return {
        "updates": sum(len(plan.starts) for plan in plans),
        "images": sum(images_in(plan) for plan in plans),
        "accuracy": quality.accuracy,
        "cost": quality.cost if math.isfinite(quality.cost) else None,
    }


def images_in(plan: "Plan") -> int:
    """How many images its updates use."""
    return int((plan.stops - plan.starts).sum())
