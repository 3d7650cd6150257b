"""A child process that holds one backend and trains recipes with the seeds that it is given, see `Trainer`."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

import impls
from bench.timing import threads
from bench.timing.clock import Clock, processes_of
from bench.timing.device import drain_of
from bench.timing.process import WrongResult
from bench.timing.worker import held
from bench.training.loop import Epoch, Split, accuracy, evaluate, mean_cost, prepare, train_recipe
from bench.workloads.article import Screen
from bench.workloads.plans import joined, parts
from bench.workloads.recipes import Recipe
from data import Digits
from impls.contract import Array, Network, Parameters, Plan

PIECES = 20  # of a training, for its curve
GROWTH = 1.1  # of the updates from one evaluation to the next, in a training that ends at a target
SHORT = 10.0  # seconds of training up to a target
SAMPLED = 1000  # images whose pre-activations are examined
LARGEST_EXPONENT = 709.78  # of exp in float64 before it overflows


@dataclass(frozen=True)
class Evaluations:
    """When a training is evaluated, off its clock, and when it stops early.

    "end": once, on the test images, after a training in as few calls as possible. "pieces": after each of up to PIECES
    parts. "growing": whenever the number of updates has grown by a tenth, at least once per epoch. Numbers: after these
    epochs and the last, on both splits and in detail; such a training also stops where its cost is not finite.
    """

    when: Literal["end", "pieces", "growing"] | tuple[int, ...] = "end"
    until: float | None = None  # share of the test images at which it stops
    screens: tuple[Screen, ...] = ()  # it stops where one of them is not passed
    epochs: int | None = None  # it stops after so many

    def after(self, n_plans: int) -> Sequence[int]:
        """The plans after which it is evaluated; 0 is before the first."""
        if isinstance(self.when, tuple):
            return (*self.when, n_plans)
        return (n_plans,) if self.when == "end" else range(n_plans + 1)


class Trainer:
    """One backend in its own process. The digits are prepared anew where a recipe needs another form of them.

    train, test: folders with images.npy and labels.npy. `bench.timing.process.answer_with` calls the methods.
    """

    def __init__(self, backend: str, train: Path, test: Path) -> None:
        self.backend = impls.find(backend)
        self.digits = {"train": digits_in(train), "test": digits_in(test)}
        self.form: tuple[object, ...] = ()
        self.splits: dict[str, Split] = {}

    def load(self, recipe: Recipe, evaluations: Evaluations) -> dict[str, Any]:
        """Prepare both splits and train for the first time, which may compile; return the seconds of both.

        The first training is the whole recipe, or its first part where it is evaluated on its way.
        """
        self.prepare(recipe)
        plans = self.plans(recipe, 0, evaluations)
        *_, first = self.epochs(recipe, 0, plans if evaluations.when == "end" else plans[:1])
        seconds = asdict(self.splits["train"].elapsed)
        return {"prepare": seconds, "first": asdict(first.elapsed), "threads": threads.in_force()}

    def prepare(self, recipe: Recipe) -> None:
        """Prepare both splits: the training images for a member, the test images for the whole network."""
        form = recipe.network, recipe.members, recipe.dtype
        if form != self.form:
            self.splits = {}  # frees the memory of the last ones before others are made
            for name, network in (("train", recipe.member), ("test", recipe.network)):
                self.splits[name] = prepare(self.backend, network, self.digits[name], recipe.dtype)
            self.form = form

    def train(self, recipe: Recipe, seed: int, evaluations: Evaluations, expected: Any = None) -> dict[str, Any]:
        """Train with one seed; return the fields of a `Training` record that follow `seed`.

        expected: the `TimedCall` of `bench.agreement.timed` of its first updates, or of all; None: it is not checked.
        Raises WrongResult where the costs are not these.

        A training that stops at a target consists of many short calls. If they took less than SHORT in all, it is
        repeated in one call, whose time counts.
        """
        self.prepare(recipe)
        plans = self.plans(recipe, seed, evaluations)
        images = list(accumulate(map(images_in, plans), initial=0))
        n, wanted = len(self.digits["train"].labels), evaluations.after(len(plans))
        in_detail = isinstance(evaluations.when, tuple)
        points: list[dict[str, Any]] = []
        costs: list[Any] = []  # of each plan
        with np.errstate(over="ignore", invalid="ignore"):  # a training that diverges shows it by its cost
            for epoch in self.epochs(recipe, seed, plans):
                costs += [epoch.costs] if epoch.number else []
                if epoch.number not in wanted:
                    continue
                seen = (self.examined if in_detail else self.evaluated)(recipe, epoch.state.parameters)
                points.append({"epoch": epoch.number, **asdict(epoch.elapsed), **seen})
                stopped = fails(evaluations.screens, points[-1])
                diverged = in_detail and seen["train"]["cost"] is None
                if (
                    stopped
                    or diverged
                    or (evaluations.until is not None and seen["test"]["accuracy"] >= evaluations.until)
                ):
                    break
        if expected is not None and costs and not self.backend.unsupported("costs", recipe.member, recipe.dtype):
            if any(part is None for part in costs):
                raise WrongResult("returned no costs, though it declares that it has them")
            held(expected.check_costs(str(self.backend.NAME), np.concatenate(costs)))
        elapsed = epoch.elapsed
        if evaluations.until is not None and epoch.number and elapsed.wall < SHORT:
            *_, in_one_call = self.epochs(recipe, seed, [joined(plans[: epoch.number])])
            elapsed = in_one_call.elapsed
        curve = {"seconds": [point["wall"] for point in points], "epochs": [images[p["epoch"]] / n for p in points]}
        curve |= {what: [point["test"][what] for point in points] for what in ("accuracy", "cost")}
        return {
            "epochs": images[epoch.number] / n,
            "updates": sum(len(plan.starts) for plan in plans[: epoch.number]),
            "images": images[epoch.number],
            **asdict(elapsed),
            "accuracy": seen["test"]["accuracy"],
            "cost": seen["test"]["cost"],
            "evaluation": seen["check"],
            "stopped_early": stopped,
            "curve": curve if len(wanted) > 1 else None,
            "points": points if in_detail else [],
        }

    def plans(self, recipe: Recipe, seed: int, evaluations: Evaluations) -> list[Plan]:
        """The plans of a training, cut at each evaluation."""
        n = len(self.digits["train"].labels)
        if isinstance(evaluations.when, tuple):
            return list(islice(recipe.plans(n, seed), evaluations.epochs))
        plans = recipe.pieces(n, seed)
        if evaluations.when == "growing":
            whole = joined(plans)
            return parts(whole, growing(len(whole.starts), n // recipe.images_per_update(n)))
        if (
            evaluations.when == "pieces" and len(plans) == 1 and not recipe.input_dropout
        ):  # which is drawn for each plan
            updates = np.array_split(np.arange(len(plans[0].starts)), PIECES)
            return parts(plans[0], [int(part[0]) for part in updates if len(part)])
        return plans

    def epochs(self, recipe: Recipe, seed: int, plans: list[Plan]) -> Iterator[Epoch]:
        """Train by one plan after the other, see `train_recipe`."""
        return train_recipe(self.backend, recipe, seed, self.digits["train"], self.splits["train"].prepared, plans)

    def evaluated(self, recipe: Recipe, parameters: Parameters) -> dict[str, Any]:
        """Accuracy and cost on the test images, and "check", the seconds of evaluating them."""
        with Clock(drain_of(self.backend), processes_of(self.backend)) as clock:
            quality = evaluate(self.backend, recipe.network, parameters, self.splits["test"])
        return {"test": {"accuracy": quality.accuracy, "cost": finite(quality.cost)}, "check": asdict(clock.elapsed)}

    def examined(self, recipe: Recipe, parameters: Parameters) -> dict[str, Any]:
        """How good the network is on both splits, and on "last", the images of an epoch's last update.

        "check": the seconds of the outputs of the training images.
        """
        network = recipe.network
        seen: dict[str, Any] = {}
        for name, split in self.splits.items():
            with Clock(drain_of(self.backend), processes_of(self.backend)) as clock:
                outputs = self.backend.outputs(network, parameters, split.prepared)
            seen[name] = seen_in(network, outputs, split.labels)
            seen[name]["overflow"] = share_overflowing(network, parameters, self.digits[name].images[:SAMPLED])
            if name == "train":
                seen["check"] = asdict(clock.elapsed)
                batch = recipe.images_per_update(len(outputs))
                first = batch * ((len(outputs) - 1) // batch)
                seen["last"] = seen_in(network, outputs[first:], split.labels[first:])
        return seen


def digits_in(folder: Path) -> Digits:
    """The digits that `bench.timing.session.stored` wrote; the images are mapped into memory."""
    return Digits(np.load(folder / "images.npy", mmap_mode="r"), np.load(folder / "labels.npy"))


def growing(n_updates: int, an_epoch: int) -> list[int]:
    """Updates before which a network is evaluated: when their number has grown by a tenth, at least once per epoch."""
    firsts = [0, 1]
    while firsts[-1] < n_updates:
        firsts.append(firsts[-1] + max(1, min(an_epoch, round((GROWTH - 1) * firsts[-1]))))
    return firsts[:-1]


def images_in(plan: Plan) -> int:
    """How many images its updates use."""
    return int((plan.stops - plan.starts).sum())


def finite(value: float) -> float | None:
    """The value; None where it is not finite, which JSON cannot write."""
    return value if math.isfinite(value) else None


def share_overflowing(network: Network, parameters: Parameters, images: Array) -> float:
    """The share of the first layer's pre-activations z for which exp(-z) overflows in float64.

    There a sigmoid written as 1 / (1 + exp(-z)), as the article's was, or its derivative overflows.
    """
    weights, biases = parameters[0]
    return float(((images * network.pixel_scale) @ weights + biases < -LARGEST_EXPONENT).mean())


def fails(screens: tuple[Screen, ...], point: dict[str, Any]) -> bool:
    """Whether a network after this epoch is out of the range that the screens of this epoch allow."""
    for screen in screens:
        value = point[screen.split][screen.what]
        if screen.epoch == point["epoch"] and (value is None or not screen.least <= value <= screen.most):
            return True
    return False


def seen_in(network: Network, outputs: Array, labels: Array) -> dict[str, Any]:
    """The fields of a `Seen` record, from outputs (n, n_outputs) and labels (n,); None for what is not finite."""
    return {
        "accuracy": accuracy(outputs, labels),
        "cost": finite(mean_cost(network, outputs, labels)),
        "answers": np.bincount(outputs.argmax(axis=1), minlength=outputs.shape[1]).tolist(),  # images by answer
        "zeros": float((outputs == 0).mean()),  # share of outputs that are exactly 0
        "dead": int((outputs == 0).all(axis=0).sum()),  # outputs that are 0 for every image
        "largest": finite(float(outputs.max())),
        "confidence": finite(float(outputs[0, labels[0]])),  # in the first image's own digit
    }
