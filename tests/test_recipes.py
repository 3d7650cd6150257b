"""Recipes: a whole training as one plan; and that they are data alone."""

import numpy as np
import pytest

from bench import UserError
from bench.recipes import RECIPES, TARGETS, Recipe, nesterov, relu
from impls.contract import check_plan_fits

SMALL = relu(12, 5, 4)


@pytest.mark.parametrize(
    ("batch", "passes", "updates", "seen"), [(10, 0.5, 5, 50), (10, 1.0, 10, 100), (30, 2.5, 9, 250), (60, 0.1, 1, 60)]
)
def test_a_plan_is_so_many_passes(batch: int, passes: float, updates: int, seen: int) -> None:
    recipe = nesterov("r", SMALL, batch, passes, 0.3, "")
    plan = recipe.plan(100, seed=1)
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
    recipe = nesterov("r", SMALL, 10, 2, 0.3, "")
    orders = [recipe.plan(100, seed).order for seed in (1, 1, 2)]
    assert np.array_equal(orders[0], orders[1])  # type: ignore[arg-type]
    assert not np.array_equal(orders[0], orders[2])  # type: ignore[arg-type]
    weights = [recipe.parameters(seed, "float32")[0].weights for seed in (1, 1, 2)]
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
    assert not np.array_equal(orders[0][:100], orders[0][100:])  # type: ignore[index]


def test_images_that_are_held_out_do_not_come() -> None:
    kept = np.arange(0, 100, 2)
    plan = nesterov("r", SMALL, 10, 1.5, 0.3, "").plan(100, 0, kept)
    assert plan.order is not None
    assert len(plan.order) == 150  # as many as of all images
    assert np.array_equal(np.sort(plan.order), np.sort(np.tile(kept, 3)))


def test_file_order_needs_no_copy_and_ends_each_pass_with_a_short_batch() -> None:
    plan = Recipe("r", SMALL, "he_normal", 40, 2.5, 1.0, "constant", 0.0, "", order="file").plan(100, 0)
    assert plan.order is None
    assert plan.starts.tolist() == [0, 40, 80, 0, 40, 80, 0, 40]
    assert plan.stops.tolist() == [40, 80, 100, 40, 80, 100, 40, 80]


def test_masks_take_their_share_of_the_pixels_and_the_rest_counts_for_it() -> None:
    recipe = nesterov("r", SMALL, 10, 2, 0.3, "", mask=0.25)
    images = np.full((200, 12), 200, np.uint8)
    first, again, second = (recipe.masked(images, 3, number) for number in (1, 1, 2))
    assert first.dtype == np.uint8
    assert set(np.unique(first)) == {0, 200}
    assert np.mean(first == 0) == pytest.approx(0.25, abs=0.04)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    assert recipe.network_masked.pixel_scale == pytest.approx(SMALL.pixel_scale / 0.75)
    assert "25% of the pixels masked" in str(recipe)


def test_a_recipe_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(UserError, match="recipe r: batches of 64: expected at most 60"):
        nesterov("r", SMALL, 64, 1, 0.3, "").plan(60, 0)


def test_every_target_has_a_recipe_that_describes_itself() -> None:
    assert set(TARGETS) == set(RECIPES)
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipe.reason
        assert str(recipe.network) in str(recipe)
        assert recipe.described()["sizes"] == list(recipe.network.sizes)
    assert len({str(recipe.described()) for recipe in RECIPES.values()}) == len(RECIPES)
