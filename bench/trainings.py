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

from bench.clock import Clock, Elapsed
from bench.measuring import answer_with

if TYPE_CHECKING:
    from bench.training import Quality, Round
    from impls.contract import DType, Plan

PIECES = 20  # of a training, for its curve
GROWTH = 1.1  # of the updates from one look at the test images to the next, where a training goes on until a target


@dataclass(frozen=True)
class Job:
    """One entrant's work."""

    backend: str
    recipe: Any  # bench.recipes.Recipe, which would bring NumPy here too early
    dtype: "DType"
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

        from bench import threads
        from bench.training import prepare
        from data import Digits

        self.digits, test = (
            Digits(np.load(folder / "images.npy", mmap_mode="r"), np.load(folder / "labels.npy"))
            for folder in (self.job.train, self.job.test)
        )
        network = self.job.recipe.network
        self.train_split = prepare(self.backend, network, self.digits, self.job.dtype)
        self.test_split = prepare(self.backend, network, test, self.job.dtype)
        whole = self.plans(0, [0]) if self.job.until is None else self.plans(0, self.looks(0))[:1]
        *_, first = self.rounds(0, whole)
        return {
            "prepare": asdict(self.train_split.elapsed),
            "first": asdict(first.elapsed),
            "threads": threads.in_force(),
        }

    def train(self, seed: int) -> dict[str, Any]:
        """One whole training; its seconds, then what the network knows of the test images."""
        if self.job.until is not None:
            return self.train_until(self.job.until, seed)
        from bench.training import evaluate

        plans = self.plans(seed, [0])
        *_, last = self.rounds(seed, plans)
        with Clock() as evaluating:
            quality = evaluate(self.backend, self.job.recipe.network, last.state.parameters, self.test_split)
        return asdict(last.elapsed) | told(plans, quality) | {"evaluation": asdict(evaluating.elapsed)}

    def train_until(self, target: float, seed: int) -> dict[str, Any]:
        """Train until this share of the test images is right, or the recipe ends; the same, and the way there.

        So it knows from the test images when to stop, which favours it. Looking at them is off the clock.
        """
        plans = self.plans(seed, self.looks(seed))
        curve: dict[str, list[float]] = {"seconds": [], "passes": [], "accuracy": []}
        for point, quality, clock in self.followed(seed, plans, curve):
            found = asdict(point.elapsed) | told(plans[: point.number], quality) | {"evaluation": asdict(clock)}
            if quality.share_correct >= target:
                break
        return found | {"curve": curve}

    def curve(self, seed: int) -> dict[str, list[float]]:
        """The same training in pieces: seconds so far, passes so far, and the share of test images correct."""
        import numpy as np

        (plan,) = self.plans(seed, [0], whole=True)
        firsts = [int(part[0]) for part in np.array_split(np.arange(len(plan.starts)), PIECES) if len(part)]
        found: dict[str, list[float]] = {"seconds": [], "passes": [], "accuracy": []}
        for _ in self.followed(seed, self.plans(seed, firsts), found):
            pass
        return found

    def looks(self, seed: int) -> list[int]:
        """The updates before which test images are looked at: after each pass, or where it grew by a tenth."""
        (plan,) = self.plans(seed, [0], whole=True)
        n, firsts = len(plan.starts), [0, 1]
        a_pass = max(1, len(self.digits.labels) // self.job.recipe.batch)
        while firsts[-1] < n:
            firsts.append(firsts[-1] + min(a_pass, max(1, round((GROWTH - 1) * firsts[-1]))))
        return firsts[:-1] if n > 1 else [0]

    def plans(self, seed: int, firsts: list[int], whole: bool = False) -> list["Plan"]:
        """The recipe's plan in parts that begin at these updates; with masks, passes, unless it is asked for whole."""
        import numpy as np

        from bench.plans import parts

        recipe, n = self.job.recipe, len(self.digits.labels)
        plan = recipe.plan(n, seed)
        if recipe.mask and not whole:
            firsts = [int(first) for first in np.unique(plan.starts // n, return_index=True)[1]]
        return parts(plan, firsts)

    def followed(
        self, seed: int, plans: list["Plan"], curve: dict[str, list[float]]
    ) -> Iterator[tuple["Round", "Quality", Elapsed]]:
        """The training plan by plan, with what it knows of the test images, what telling that took, and its curve."""
        from bench.training import evaluate

        images = 0
        for point in self.rounds(seed, plans):
            with Clock() as clock:
                quality = evaluate(self.backend, self.job.recipe.network, point.state.parameters, self.test_split)
            images += images_in(plans[point.number - 1]) if point.number else 0
            curve["seconds"].append(point.elapsed.wall)
            curve["passes"].append(images / len(self.digits.labels))
            curve["accuracy"].append(quality.share_correct)
            yield point, quality, clock.elapsed

    def rounds(self, seed: int, plans: list["Plan"]) -> Iterator["Round"]:
        """Train by one plan after the other. With masks a plan has images of its own; making them is on the clock."""
        import numpy as np

        from bench.training import Round
        from impls.contract import zero_velocities

        recipe, dtype = self.job.recipe, self.job.dtype
        network, prepared = recipe.network, self.train_split.prepared
        state, elapsed = zero_velocities(recipe.parameters(seed, dtype)), Elapsed()
        yield Round(0, elapsed, state)
        for number, plan in enumerate(plans, start=1):
            with np.errstate(over="ignore", invalid="ignore"), Clock() as clock:  # it may diverge, its cost tells
                if recipe.mask:
                    network, images = recipe.network_masked, recipe.masked(self.digits.images, seed, number)
                    prepared = self.backend.prepare(network, images, self.digits.labels, dtype)
                state, _ = self.backend.train(network, state, prepared, plan)
            elapsed += clock.elapsed
            yield Round(number, elapsed, state)


def told(plans: list["Plan"], quality: "Quality") -> dict[str, Any]:
    """What a record says of a training by these plans."""
    return {
        "updates": sum(len(plan.starts) for plan in plans),
        "images": sum(images_in(plan) for plan in plans),
        "accuracy": quality.share_correct,
        "cost": quality.cost if math.isfinite(quality.cost) else None,
    }


def images_in(plan: "Plan") -> int:
    """How many images its updates use."""
    return int((plan.stops - plan.starts).sum())
