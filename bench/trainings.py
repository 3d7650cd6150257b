"""What a worker of `bench accuracy` does: hold one backend and one recipe, and train with the seed that it is told.

It answers requests of the parent, ("import", Job), ("load",), ("train", seed), ("curve", seed), with ("done", answer)
or ("failed", reason), as the worker of a race does.
"""

from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.clock import Clock
from bench.measuring import answer_with

if TYPE_CHECKING:
    from impls.contract import DType

PIECES = 20  # of a training, for its curve


@dataclass(frozen=True)
class Job:
    """One entrant's work."""

    backend: str
    recipe: Any  # bench.recipes.Recipe, which would bring NumPy here too early
    dtype: "DType"
    train: Path  # folder with images.npy and labels.npy
    test: Path
    n_threads: int
    source: Path | None = None


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
        """Prepare both splits, and train once for the first time; tells what that took, in seconds."""
        import numpy as np

        from bench import threads
        from bench.training import prepare
        from data import Digits

        job, recipe = self.job, self.job.recipe
        splits = []
        for folder in (job.train, job.test):
            digits = Digits(np.load(folder / "images.npy", mmap_mode="r"), np.load(folder / "labels.npy"))
            splits.append(prepare(self.backend, recipe.network, digits, job.dtype))
        self.train_split, self.test_split = splits
        first = self.train(0)
        return {
            "prepare": asdict(self.train_split.elapsed),
            "first": {part: first[part] for part in ("wall", "user", "system")},
            "threads": threads.in_force(),
        }

    def train(self, seed: int) -> dict[str, Any]:
        """One whole training, uninterrupted; its seconds, then what the network knows of the test images."""
        import numpy as np

        from bench.training import evaluate
        from impls.contract import zero_velocities

        recipe = self.job.recipe
        start = zero_velocities(recipe.parameters(seed, self.job.dtype))
        plan = recipe.plan(len(self.train_split.labels), seed)
        with np.errstate(over="ignore", invalid="ignore"):  # it may diverge, which its cost tells
            with Clock() as clock:
                state, _ = self.backend.train(recipe.network, start, self.train_split.prepared, plan)
            with Clock() as evaluating:
                quality = evaluate(self.backend, recipe.network, state.parameters, self.test_split)
        return asdict(clock.elapsed) | {
            "updates": len(plan.starts),
            "accuracy": quality.share_correct,
            "cost": quality.cost if np.isfinite(quality.cost) else None,
            "evaluation": asdict(evaluating.elapsed),
        }

    def curve(self, seed: int) -> dict[str, list[float]]:
        """The same training in pieces: seconds so far, passes so far, and the share of test images correct."""
        import numpy as np

        from bench.training import evaluate, train_rounds
        from impls.contract import Plan

        recipe = self.job.recipe
        n = len(self.train_split.labels)
        plan = recipe.plan(n, seed)
        pieces = [part for part in np.array_split(np.arange(len(plan.starts)), PIECES) if len(part)]
        plans = [
            Plan(plan.starts[part], plan.stops[part], plan.order, plan.learning_rates[part], plan.momentum)
            for part in pieces
        ]
        found: dict[str, list[float]] = {"seconds": [], "passes": [], "accuracy": []}
        with np.errstate(over="ignore", invalid="ignore"):
            start = recipe.parameters(seed, self.job.dtype)
            for point in train_rounds(self.backend, recipe.network, start, self.train_split, plans):
                done = 0 if point.number == 0 else int(plans[point.number - 1].stops[-1])
                found["seconds"].append(point.elapsed.wall)
                found["passes"].append(done / n)
                quality = evaluate(self.backend, recipe.network, point.state.parameters, self.test_split)
                found["accuracy"].append(quality.share_correct)
        return found
