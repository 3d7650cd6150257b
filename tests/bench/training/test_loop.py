"""A training epoch by epoch: the state is handed on, and the clock runs for nothing but training."""

import numpy as np
import pytest

import impls
from bench.timing.clock import Clock, Elapsed
from bench.training.loop import evaluate, prepare, train_epochs
from data import Digits
from impls.contract import Network, Plan, zero_velocities
from impls.initialisation import initial_parameters
from tests.helpers.plans import plans_by_epoch

NETWORK = Network((12, 5, 4), "tanh", "softmax", "cross_entropy")
NAIVE = impls.load("naive")


def digits() -> Digits:
    rng = np.random.default_rng(0)
    return Digits(rng.integers(0, 256, (40, 12), np.uint8), rng.integers(0, 4, 40))


def plans() -> list[Plan]:
    return list(plans_by_epoch(40, 10, epochs=3, order="shuffled", momentum=0.9))


def test_each_epoch_continues_from_the_state_of_the_one_before() -> None:
    parameters = initial_parameters(NETWORK, "lecun_normal", 1, "float64")
    split = prepare(NAIVE, NETWORK, digits(), "float64")
    found = list(train_epochs(NAIVE, NETWORK, parameters, split, plans()))
    assert [epoch.number for epoch in found] == [0, 1, 2, 3]
    state = zero_velocities(parameters)
    for epoch, plan in zip(found, [None, *plans()], strict=True):
        if plan is not None:
            state, _ = NAIVE.train(NETWORK, state, split.prepared, plan)
        for part, expected in ((epoch.state.parameters, state.parameters), (epoch.state.velocities, state.velocities)):
            for layer, wanted in zip(part, expected, strict=True):
                np.testing.assert_array_equal(layer.weights, wanted.weights)
                np.testing.assert_array_equal(layer.biases, wanted.biases)


def test_seconds_add_up_and_are_of_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(Clock):
        """Every reading takes a second longer than the one before."""

        readings = 0

        def stop(self) -> Elapsed:
            Counting.readings += 1
            self.elapsed = Elapsed(float(Counting.readings), 0.0, 0.0)
            return self.elapsed

    split = prepare(NAIVE, NETWORK, digits(), "float64")
    monkeypatch.setattr("bench.training.loop.Clock", Counting)
    parameters = initial_parameters(NETWORK, "lecun_normal", 1, "float64")
    walls = []
    for epoch in train_epochs(NAIVE, NETWORK, parameters, split, plans()):
        evaluate(NAIVE, NETWORK, epoch.state.parameters, split)  # meanwhile
        walls.append(epoch.elapsed.wall)
    assert walls == [0.0, 1.0, 3.0, 6.0]
