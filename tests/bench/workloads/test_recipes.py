"""Recipes: a whole training as one plan; and that they are data alone."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import impls
from bench import UserError
from bench.training.loop import train_recipe
from bench.workloads.article import RELU, SETTING
from bench.workloads.cases import MINI_BATCHES
from bench.workloads.plans import joined
from bench.workloads.recipes import ARTICLE, RECIPES, TARGETS, Recipe, nesterov, relu, varied
from data import Digits
from impls.contract import Plan, check_plan_fits, zero_velocities

SMALL = relu(12, 5, 4)


@pytest.mark.parametrize(
    ("batch", "epochs", "updates", "seen"), [(10, 0.5, 5, 50), (10, 1.0, 10, 100), (30, 2.5, 9, 250), (60, 0.1, 1, 60)]
)
def test_a_plan_is_so_many_epochs(batch: int, epochs: float, updates: int, seen: int) -> None:
    recipe = nesterov("r", SMALL, batch=batch, epochs=epochs, learning_rate=0.3)
    plan = joined(recipe.plans(100, seed=1))
    check_plan_fits(plan, 100)
    assert plan.order is not None
    assert len(plan.starts) == updates
    assert len(plan.order) == plan.stops[-1] == seen
    assert np.array_equal(plan.starts[1:], plan.stops[:-1])
    whole = min(100, seen)
    assert len(set(plan.order[:whole])) == whole  # no image twice in a pass
    assert plan.momentum == 0.9
    assert plan.learning_rates[0] == 0.3
    assert plan.learning_rates[-1] == pytest.approx(0.3 * min(1, 2 / updates))


def test_seeds_draw_other_orders_and_other_weights() -> None:
    recipe = nesterov("r", SMALL, batch=10, epochs=2, learning_rate=0.3)
    orders = [joined(recipe.plans(100, seed)).order for seed in (1, 1, 2)]
    assert np.array_equal(orders[0], orders[1])  # type: ignore[arg-type]
    assert not np.array_equal(orders[0], orders[2])  # type: ignore[arg-type]
    weights = [recipe.parameters(seed)[0].weights for seed in (1, 1, 2)]
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
    assert not np.array_equal(orders[0][:100], orders[0][100:])  # type: ignore[index]


def test_images_that_are_held_out_do_not_come() -> None:
    kept = np.arange(0, 100, 2)
    recipe = nesterov("r", SMALL, batch=10, epochs=1.5, learning_rate=0.3)
    plan = joined(recipe.plans(100, 0, kept))
    assert plan.order is not None
    assert len(plan.order) == 150  # as many as of all images
    assert np.array_equal(np.sort(plan.order), np.sort(np.tile(kept, 3)))


def test_file_order_needs_no_copy_and_ends_each_epoch_with_a_short_batch() -> None:
    plan = joined(Recipe("r", SMALL, batch=40, epochs=2.5).plans(100))
    assert plan.order is None
    assert plan.starts.tolist() == [0, 40, 80, 0, 40, 80, 0, 40]
    assert plan.stops.tolist() == [40, 80, 100, 40, 80, 100, 40, 80]


def test_input_dropout_takes_its_share_of_the_pixels_and_scales_the_rest() -> None:
    recipe = nesterov("r", SMALL, batch=10, epochs=2, learning_rate=0.3, input_dropout=0.25)
    images = np.full((200, 12), 200, np.uint8)
    first, again, second = (recipe.with_dropout(images, 3, number) for number in (1, 1, 2))
    assert first.dtype == np.uint8
    assert set(np.unique(first)) == {0, 200}
    assert np.mean(first == 0) == pytest.approx(0.25, abs=0.04)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    assert recipe.member_with_dropout.pixel_scale == pytest.approx(SMALL.pixel_scale / 0.75)
    assert "input dropout 25%" in str(recipe)
    assert "input dropout 12.5%" in str(replace(recipe, input_dropout=0.125))


def test_each_member_has_a_plan_of_its_own() -> None:
    alone = nesterov("r", relu(12, 3, 4), batch=30, epochs=2.5, learning_rate=0.3, input_dropout=0.25)
    recipe = replace(alone, network=relu(12, 6, 4), members=2)
    plan = joined(recipe.plans(100, seed=1))
    check_plan_fits(plan, 100)
    assert plan.order is not None
    assert len(plan.order) == 500
    assert set(plan.order[:100]) == set(plan.order[250:350]) == set(range(100))  # a pass of each
    assert not np.array_equal(plan.order[:250], plan.order[250:])
    first, second = (plan.learning_rates[:9], plan.learning_rates[9:])
    assert np.array_equal(first, second)
    assert np.array_equal(first, joined(alone.plans(100, seed=1)).learning_rates)
    pieces = recipe.pieces(100, 1)
    assert [sum(piece.stops - piece.starts) for piece in pieces] == [120, 90, 40] * 2
    assert [len(piece.starts) for piece in alone.pieces(100, 1)] == [4, 3, 2]
    without_dropout = replace(recipe, input_dropout=0.0)
    assert [len(piece.starts) for piece in without_dropout.pieces(100, 1)] == [9, 9]


def test_merged_members_output_their_mean_before_the_last_activation() -> None:
    recipe = nesterov("r", relu(12, 6, 4), batch=10, epochs=1, learning_rate=0.3, members=2)
    members = [recipe.parameters(3, number) for number in range(2)]
    images = np.random.default_rng(0).integers(0, 256, (5, 12), np.uint8)
    pixels = images * recipe.network.pixel_scale
    z = [np.maximum(pixels @ first.weights + first.biases, 0) @ last.weights + last.biases for first, last in members]
    for n in (1, 2):
        e = np.exp(sum(z[:n]) / n)
        backend = impls.load("naive")
        prepared = backend.prepare(recipe.network, images, None, "float64")
        outputs = backend.outputs(recipe.network, recipe.merged(members[:n]), prepared)
        np.testing.assert_allclose(outputs, e / e.sum(axis=1, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_each_member_is_trained_by_itself(dropout: float) -> None:
    rng = np.random.default_rng(0)
    digits = Digits(rng.integers(0, 256, (40, 12), np.uint8), rng.integers(0, 4, 40, np.uint8))
    recipe = nesterov("r", relu(12, 6, 4), batch=10, epochs=2, learning_rate=0.3, input_dropout=dropout, members=2)
    recipe = replace(recipe, dtype="float64")
    backend = impls.load("naive")
    pieces = recipe.pieces(40, seed=3)
    prepared = backend.prepare(recipe.member, digits.images, digits.labels, "float64")
    *_, last = train_recipe(backend, recipe, 3, digits, prepared, pieces)
    network, members = recipe.member_with_dropout if dropout else recipe.member, []
    for member in range(2):
        state = zero_velocities(recipe.parameters(3, member))
        for number in range(len(pieces) * member // 2, len(pieces) * (member + 1) // 2):
            seen = recipe.with_dropout(digits.images, 3, number + 1) if dropout else digits.images
            prepared = backend.prepare(network, seen, digits.labels, "float64")
            state, _ = backend.train(network, state, prepared, pieces[number])
        members.append(state.parameters)
    assert len(pieces) == (4 if dropout else 2)
    for layer, expected in zip(last.state.parameters, recipe.merged(members), strict=True):
        np.testing.assert_array_equal(layer.weights, expected.weights)
        np.testing.assert_array_equal(layer.biases, expected.biases)


def test_members_begin_differently_in_all_seeds() -> None:
    recipe = nesterov("r", relu(12, 6, 4), batch=10, epochs=1, learning_rate=0.3, members=2)
    weights = [recipe.parameters(seed, number)[0].weights for seed in range(3) for number in range(2)]
    assert len({array.tobytes() for array in weights}) == 6
    assert weights[0].shape == (12, 3)


@pytest.mark.parametrize(
    "change", [{"network": relu(12, 5, 4)}, {"network": relu(12, 6, 6, 4)}, {"order": "file"}], ids=str
)
def test_members_that_cannot_be_are_an_error(change: dict[str, Any]) -> None:
    recipe = nesterov("r", relu(12, 6, 4), batch=10, epochs=1, learning_rate=0.3, members=2)
    with pytest.raises(UserError, match=r"recipe r: 2 members of .*: expected one hidden layer"):
        replace(recipe, **change)


def test_a_recipe_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(
        UserError, match="batch 64: expected 1 to 60, the number of training images; take more images, "
    ):
        nesterov("r", SMALL, batch=64, epochs=1, learning_rate=0.3).plans(60)


def test_every_target_has_a_recipe_that_describes_itself() -> None:
    assert set(TARGETS) == set(RECIPES)
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipe.reason
        assert str(recipe.network) in str(recipe)
        assert recipe.described()["sizes"] == list(recipe.network.sizes)
    assert len({str(recipe.described()) for recipe in RECIPES.values()}) == len(RECIPES)


def hash_of(plans: Iterable[Plan]) -> str:
    """The first digits of a hash of all that the plans hold."""
    found = hashlib.sha256()
    for plan in plans:
        for array in (plan.starts, plan.stops, plan.order, plan.learning_rates):
            found.update(b"-" if array is None else array.astype(f"<{array.dtype.kind}8").tobytes())
        found.update(repr(plan.momentum).encode())
    return found.hexdigest()[:16]


SHUFFLED = replace(MINI_BATCHES, batch=30, epochs=3, order="shuffled", momentum=0.9)
HASHES: dict[str, tuple[Recipe, int, str, str]] = {  # images; of the whole as one plan, and of its pieces
    "first-94": (RECIPES["first-94"], 1000, "505282ac9fd041c4", "505282ac9fd041c4"),
    "98": (RECIPES["98"], 100, "e8d9e7845ff69709", "e8d9e7845ff69709"),
    "best": (RECIPES["best"], 100, "1e62e9ccaf813ea6", "f75372a37ac8f02b"),
    "article": (replace(ARTICLE, epochs=3), 1000, "c6a234386896ef6f", "c6a234386896ef6f"),
}


@pytest.mark.parametrize("name", HASHES)
def test_the_plans_of_a_recipe_never_change(name: str) -> None:
    recipe, n, whole, pieces = HASHES[name]
    assert hash_of([joined(recipe.plans(n, seed=3))]) == whole
    assert hash_of(recipe.pieces(n, seed=3)) == pieces


def test_the_plans_of_each_epoch_never_change() -> None:
    assert hash_of(SHUFFLED.plans(100)) == "20c722eb3e35a927"
    falling = replace(SHUFFLED, learning_rate=0.5, schedule="linear")
    assert hash_of(falling.plans(100, seed=7)) == "910f4694bcbce977"
    assert hash_of(replace(MINI_BATCHES, epochs=3).plans(300)) == "25b5317998ce4701"
    assert hash_of(SETTING.plans(1003)) == "521da855d78338d0"
    assert hash_of(RELU.plans(1003)) == "b6579e3c75f95690"
    assert hash_of([joined(RECIPES["98"].plans(100, 1, np.arange(0, 100, 2)))]) == "9faaf5389633f5e5"


def test_first_weights_never_change() -> None:
    found = hashlib.sha256()
    for layer in RECIPES["best"].parameters(3, 3):
        found.update(layer.weights.tobytes() + layer.biases.tobytes())
    assert found.hexdigest()[:16] == "eb2c76046645ec16"


def test_factors_are_the_recipes_or_its_networks() -> None:
    found = varied(SETTING, hidden="relu", output="softmax", epochs=7)
    assert (found.network.hidden, found.network.cost, found.epochs) == ("relu", "cross_entropy", 7)
    assert varied(found, hidden="sigmoid", output="sigmoid", epochs=100) == SETTING
