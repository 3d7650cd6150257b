"""A search for recipes, and for learning rates by batch size, on held-out training images."""

import argparse
import json
import math
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from rich.console import Console

from bench import UserError
from bench.analysis.tune import TunedTraining, hopeless, in_turn, median_seconds, reaches
from bench.experiments.trainings import check_fit
from bench.records import fingerprint
from bench.records.environment import local_id
from bench.records.journal import MOST_BYTES, differences, writing
from bench.records.kinds import Share
from bench.timing.clock import Time
from bench.training.held_out import HeldOut, check_enough, divided
from bench.training.loop import accuracy, prepare, train_epochs
from bench.training.worker import growing, images_in
from bench.workloads.batch_sizes import CHOSEN, RATES, TARGET, recipe_of
from bench.workloads.plans import joined, parts
from bench.workloads.recipes import Recipe, nesterov, relu
from data import Dataset, Digits
from impls.contract import Backend
from untrusted import brief, read_plain, reason_of
from whole_files import written_whole

BACKEND = "numba_sparse"
SEEDS = 12


def choose_all(console: Console, backend: Backend, dataset: Dataset, batches: Sequence[int]) -> None:
    """Choose the rate of each batch size; write it to CHOSEN with the epochs of every rate. Other sizes stay."""
    check_fit(dataset, [recipe_of(batch, 1.0) for batch in batches])
    chosen = json.loads(CHOSEN.read_text()) if CHOSEN.exists() else {}
    for batch in batches:
        needed: dict[float, float | None] = {}
        best, best_rate = recipe_of(batch, 1.0).epochs, None
        for rate in RATES:
            epochs = needed[rate] = epochs_to_target(backend, dataset.train, recipe_of(batch, rate), best)
            console.print(f"batches of {batch:,}, rate {rate:g}: {epochs or f'more than {best:.4g}'} epochs")
            if epochs is not None:
                best, best_rate = epochs, rate
        if best_rate is None:
            raise UserError(f"batches of {batch}: no rate of {RATES} reaches {TARGET:.2%} within {best:g} epochs")
        chosen[str(batch)] = {"rate": best_rate, "epochs": needed}
        ordered = dict(sorted(chosen.items(), key=lambda item: int(item[0])))
        with written_whole(CHOSEN) as file:
            file.write(json.dumps(ordered, indent=1).encode() + b"\n")


def epochs_to_target(backend: Backend, train: Digits, recipe: Recipe, limit: float) -> float | None:
    """Return after how many epochs the network reaches TARGET on held-out images; None: not within the limit."""
    n, network = len(train.labels), recipe.network
    held_out, kept = divided(n, 0)
    held_out_split = prepare(backend, network, Digits(train.images[held_out], train.labels[held_out]), "float32")
    split = prepare(backend, network, train, "float32")
    plan = joined(recipe.plans(n, 0, kept))
    pieces = parts(plan, growing(len(plan.starts), n // recipe.images_per_update(n)))
    images = np.cumsum([0, *map(images_in, pieces)])
    with np.errstate(over="ignore", invalid="ignore"):  # it may diverge
        for point in train_epochs(backend, network, recipe.parameters(), split, pieces):
            epochs = float(images[point.number] / n)
            outputs = backend.outputs(network, point.state.parameters, held_out_split.prepared)
            if epochs >= limit or not np.isfinite(outputs).all():
                return None
            if accuracy(outputs, held_out_split.labels) >= TARGET:
                return epochs
    return None


def recipe_grid(arguments: argparse.Namespace, sizes: Sequence[int]) -> list[Recipe]:
    """Return every combination of the values to try, for a network of these sizes, the shortest training first."""
    base = nesterov("tried", relu(*sizes), members=arguments.members)
    tried = ("epochs", "batch", "learning_rate", "momentum", "schedule", "input_dropout")
    values = [sorted(arguments.epochs), *(getattr(arguments, name) for name in tried[1:])]
    return [
        replace(base, initialisation=arguments.init, **dict(zip(tried, combined, strict=True)))
        for combined in product(*values)
    ]


class Key(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="search"):
    """The first line of the file: what all trainings of the search have in common."""

    backend: str
    source: str  # a hash of the backend's
    measuring: str  # a hash of the sources that train and measure
    digits: str
    data_sha256: str


def key_of(backend: str, dataset: Dataset) -> Key:
    """The key of a search; the hashes are those of `fingerprint`."""
    source, measuring = fingerprint.source_of(backend), fingerprint.measuring(fingerprint.TRAINING)
    return Key(backend, source, measuring, dataset.name, dataset.sha256)


class Tried(Struct, frozen=True, forbid_unknown_fields=True):
    """Each of the other lines: a training, by its recipe in words."""

    recipe: str
    accuracy: Share  # of the held-out images
    seconds: Time
    seed: int
    threads: int
    machine: str  # its id


def read_tried(path: Path, key: Key) -> list[Tried]:
    """Read the file, and remove a last line that was cut. Raises UserError where it is not of a search of this key."""
    try:
        *lines, rest = read_plain(path, MOST_BYTES).split(b"\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason_of(error)}); give another file to --output") from None
    there: list[Any] = []
    for number, line in enumerate(lines, start=1):
        kind, what = (Tried, "a training") if there else (Key, "the key")
        try:
            there.append(msgspec.json.decode(line, type=kind))
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path}, line {number}: expected {what} of a search of `tune`, found: {brief(error)}; "
                "give another file to --output"
            ) from None
    begin = b'{"recipe":' if there else b'{"kind":"search"'
    if not begin.startswith(rest[: len(begin)]):
        raise UserError(f"{path}: expected a search of `tune`, found another kind of file; give another to --output")
    if there and there[0] != key:
        different = differences(msgspec.structs.asdict(there[0]), msgspec.structs.asdict(key))
        raise UserError(
            f"{path}: is of another search, which cannot be continued: {brief('; '.join(different), 240)}; "
            "give the same to this command, or another file to --output"
        )
    if rest:
        os.truncate(path, path.stat().st_size - len(rest))
    return there[1:]


class Search:
    """Trainings of recipes, by the recipe in words and the seed; appended to a file of this key if one is given.

    Accuracies count wherever they come from, seconds only where this machine measured them with as many threads, one
    training at a time: those of workers, or of another command that continued the file, are kept and not compared.
    """

    def __init__(
        self, dataset: Dataset, recipes: Sequence[Recipe], seeds: int, target: float | None, key: Key, threads: int,
        results: Path | None,
    ) -> None:  # fmt: skip
        check_enough(dataset)
        check_fit(dataset, recipes)
        self.recipes, self.seeds, self.target, self.key, self.results = recipes, seeds, target, key, results
        self.machine, self.threads = local_id(), threads
        self.trained: defaultdict[str, dict[int, TunedTraining]] = defaultdict(dict)
        self.fastest = math.inf  # seconds, of those that reached the target
        if results is not None and results.is_file():
            for one in read_tried(results, key):
                self.add(one)

    def add(self, one: Tried) -> None:
        """Take over a training; it replaces one by the same recipe with the same seed."""
        seconds = one.seconds if (one.machine, one.threads) == (self.machine, self.threads) else None
        self.trained[one.recipe][one.seed] = TunedTraining(one.accuracy, seconds)

    def keep(self, one: Tried) -> None:
        """Take over a training that has ended, and append it to the file. Raises UserError where that fails."""
        self.add(one)
        if self.results is not None:
            with writing(self.results, "all finished trainings"), self.results.open("ab") as file:
                file.write(msgspec.json.Encoder().encode_lines([one] if file.tell() else [self.key, one]))

    def trainings(self, recipe: Recipe) -> list[TunedTraining]:
        """The trainings by a recipe that count, in order of seeds."""
        return in_turn(self.trained[str(recipe)], self.target)

    def reached(self, recipe: Recipe) -> bool:
        """Whether there is a target, and a recipe reaches it."""
        return self.target is not None and reaches(self.trainings(recipe), self.seeds, self.target)

    def attempt(self, recipe: Recipe, held_out: HeldOut) -> None:
        """Train with one seed after the other while it is worth it, on this machine, which then has the times.

        What workers have trained is trained anew for its time where time decides: where a recipe reaches the target.
        """
        trained = self.trained[str(recipe)]
        for seed in range(self.seeds):
            if hopeless(self.trainings(recipe), self.target, self.fastest):
                break
            if seed not in trained or (trained[seed].seconds is None and self.reached(recipe)):
                self.keep(Tried(str(recipe), *held_out.train(recipe, seed), seed, self.threads, self.machine))
        seconds = median_seconds(self.trainings(recipe))
        if seconds is not None and self.reached(recipe):
            self.fastest = min(self.fastest, seconds)
