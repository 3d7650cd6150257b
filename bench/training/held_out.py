"""Training on a part of the training images, judged on the others, which are held out."""

from pathlib import Path

import numpy as np

import impls
from bench import UserError
from bench.training.loop import Split, accuracy, prepare, train_recipe
from bench.training.worker import digits_in
from bench.workloads.recipes import Recipe
from data import Dataset, Digits
from impls.contract import Array, Backend

HELD_OUT = 10_000  # training images


def check_enough(dataset: Dataset) -> None:
    """Raise UserError for digits of which nothing is left to train on."""
    if len(dataset.train.labels) <= HELD_OUT:
        raise UserError(f"{dataset.name}: expected more than {HELD_OUT} training images, which are held out")


def divided(n: int, seed: int) -> tuple[Array, Array]:
    """Return the indices of HELD_OUT of n images, and of the others, in random order: a file may be sorted by label."""
    order = np.random.default_rng([seed, 3]).permutation(n)
    return order[:HELD_OUT], order[HELD_OUT:]


class HeldOut:
    """A backend that trains in this process, each time without the images that the seed holds out.

    The images are prepared anew where a recipe needs another form of them, and not on the clock.
    """

    def __init__(self, backend: Backend, digits: Digits) -> None:
        self.backend, self.digits = backend, digits
        self.form: tuple[object, ...] = ()
        self.held_out: dict[int, Split] = {}  # by seed

    def prepare(self, recipe: Recipe) -> None:
        """Prepare all images for a member; train for the first time, which may compile."""
        form = recipe.network, recipe.members, recipe.dtype
        if form != self.form:
            self.held_out = {}
            self.split = prepare(self.backend, recipe.member, self.digits, recipe.dtype)
            self.form = form
            self.train(recipe, 0)

    def train(self, recipe: Recipe, seed: int) -> tuple[float, float]:
        """Train with one seed; return the accuracy on the images that it holds out, 0 to 1, and the wall seconds."""
        self.prepare(recipe)
        n = len(self.digits.labels)
        held_out, kept = divided(n, seed)
        if seed not in self.held_out:
            digits = Digits(self.digits.images[held_out], self.digits.labels[held_out])
            self.held_out[seed] = prepare(self.backend, recipe.network, digits, recipe.dtype)
        pieces = recipe.pieces(n, seed, kept)
        *_, last = train_recipe(self.backend, recipe, seed, self.digits, self.split.prepared, pieces)
        outputs = self.backend.outputs(recipe.network, last.state.parameters, self.held_out[seed].prepared)
        return accuracy(outputs, self.held_out[seed].labels), last.elapsed.wall


def held_out_in(backend: str, folder: Path) -> HeldOut:
    """A backend in a process of its own, see `bench.timing.process.answer_with`, and the folder of its digits."""
    return HeldOut(impls.find(backend), digits_in(folder))
