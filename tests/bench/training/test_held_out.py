"""Training without the images that a seed holds out."""

from typing import Any, cast

import numpy as np
import pytest

from bench.training import held_out
from bench.training.held_out import HeldOut, divided
from bench.workloads.recipes import nesterov, relu
from impls import minibatch
from impls.contract import Network
from tests.helpers.digits import digits_of


class Noting:
    """A backend that notes for which networks it prepares how many images, and which images it trains on."""

    def __init__(self) -> None:
        self.prepared: list[tuple[Network, int]] = []
        self.trained: list[set[int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(minibatch, name)

    def prepare(self, network: Any, images: Any, *others: Any) -> Any:
        self.prepared.append((network, len(images)))
        return minibatch.prepare(network, images, *others)

    def train(self, network: Any, state: Any, prepared: Any, plan: Any) -> Any:
        self.trained.append(set(plan.order.tolist()))
        return minibatch.train(network, state, prepared, plan)


def test_images_held_out_are_not_trained_on_and_each_network_has_its_own_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "HELD_OUT", 40)
    backend, digits = Noting(), digits_of(100, 1)
    one, other = (nesterov("tried", relu(784, units, 10), batch=20, epochs=3) for units in (8, 4))
    trainer = HeldOut(cast(Any, backend), digits)
    found = [trainer.train(recipe, seed)[0] for recipe in (one, one, other) for seed in (0, 1)]
    assert found[:2] == found[2:4]
    of_network = [[(recipe.network, 100), *[(recipe.network, 40)] * 2] for recipe in (one, other)]
    assert backend.prepared == [*of_network[0], *of_network[1]]
    kept = [set(divided(100, seed)[1].tolist()) for seed in (0, 1)]
    assert backend.trained == [kept[0], *kept * 2, kept[0], *kept]  # twice where it may compile
    assert not set(np.concatenate([divided(100, 0)[0]])) & kept[0]
    assert len(kept[0]) == 60
