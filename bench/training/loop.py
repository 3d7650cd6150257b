"""Training plan by plan, and how good a network is; the clock stops while the network is evaluated."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.timing.clock import Clock, Elapsed, processes_of
from bench.timing.device import drain_of
from bench.workloads.recipes import Recipe
from data import Digits
from impls.contract import Array, Backend, DType, Network, Parameters, Plan, State, zero_velocities


class Split(NamedTuple):
    """One split as a backend prepared it, its labels, and the time of preparing it."""

    prepared: Any
    labels: Array
    elapsed: Elapsed


class Quality(NamedTuple):
    """How good parameters are on one split."""

    accuracy: float  # 0 to 1
    cost: float


class Epoch(NamedTuple):
    """Where a training stands after an epoch or another plan; number 0 is before the first."""

    number: int
    elapsed: Elapsed  # training so far, nothing else
    state: State
    costs: Array | None = None  # before each update of the last plan


def prepare(backend: Backend, network: Network, digits: Digits, dtype: DType) -> Split:
    """Prepare a split for one backend, and time that."""
    with Clock(drain_of(backend), processes_of(backend)) as clock:
        prepared = backend.prepare(network, digits.images, digits.labels, dtype)
    return Split(prepared, digits.labels, clock.elapsed)


def evaluate(backend: Backend, network: Network, parameters: Parameters, split: Split) -> Quality:
    """Compute accuracy and cost of these parameters on a split, from the backend's outputs."""
    outputs = backend.outputs(network, parameters, split.prepared)
    return Quality(accuracy(outputs, split.labels), mean_cost(network, outputs, split.labels))


def accuracy(outputs: Array, labels: Array) -> float:
    """The share of images whose largest output, of (n, n_outputs), is that of their label; a row with NaN is wrong."""
    right = (outputs.argmax(axis=1) == labels) & np.isfinite(outputs).all(axis=1)
    return float(right.mean())


def mean_cost(network: Network, outputs: Array, labels: Array) -> float:
    """The network's cost from its outputs (n, n_outputs), summed in float64; NaN where outputs are.

    A probability that underflowed to 0 counts as the smallest normal number of the outputs' dtype, as its logarithm
    would be infinite though the cost is not.
    """
    right = outputs[np.arange(len(labels)), labels].astype(np.float64)
    if network.cost == "cross_entropy":
        return float(-np.log(np.maximum(right, np.finfo(outputs.dtype).tiny)).mean())
    squares = np.square(outputs, dtype=np.float64).sum(axis=1) - right**2 + (right - 1) ** 2
    return float(squares.mean() / 2)


def train_epochs(
    backend: Backend, network: Network, parameters: Parameters, split: Split, plans: Iterable[Plan]
) -> Iterator[Epoch]:
    """Yield the start, then the state after each plan. What the caller does in between is not on the clock."""
    state = zero_velocities(parameters)
    elapsed = Elapsed()
    yield Epoch(0, elapsed, state)
    for number, plan in enumerate(plans, start=1):
        with Clock(drain_of(backend), processes_of(backend)) as clock:
            state, _ = backend.train(network, state, split.prepared, plan)
        elapsed += clock.elapsed
        yield Epoch(number, elapsed, state)


def train_recipe(
    backend: Backend, recipe: Recipe, seed: int, digits: Digits, prepared: Any, plans: Sequence[Plan]
) -> Iterator[Epoch]:
    """Like `train_epochs`, by a recipe. States are of the whole network, with velocities of 0.

    plans: as many for each member. prepared: the digits in the backend's form, for a recipe without input dropout. With
    it each plan has images of its own; making and preparing them is on the clock, and so is merging members.
    """
    trained: list[Parameters] = []  # finished members
    state, elapsed = zero_velocities(recipe.parameters(seed)), Elapsed()
    yield Epoch(0, elapsed, zero_velocities(recipe.merged([state.parameters])))
    for number, plan in enumerate(plans, start=1):
        if number > 1 and (number - 1) * recipe.members % len(plans) == 0:  # the next member
            trained.append(state.parameters)
            state = zero_velocities(recipe.parameters(seed, len(trained)))
        network = recipe.member
        with (
            np.errstate(over="ignore", invalid="ignore"),
            Clock(drain_of(backend), processes_of(backend)) as clock,
        ):  # where this diverges, the cost shows it
            if recipe.input_dropout:
                network, images = recipe.member_with_dropout, recipe.with_dropout(digits.images, seed, number)
                prepared = backend.prepare(network, images, digits.labels, recipe.dtype)
            state, costs = backend.train(network, state, prepared, plan)
            whole = recipe.merged([*trained, state.parameters])
        elapsed += clock.elapsed
        yield Epoch(number, elapsed, zero_velocities(whole), costs)
