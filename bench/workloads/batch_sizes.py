"""Plain SGD by batch size: the recipes of `python -m bench study batches`, and the learning rates chosen for them.

784-128-10, ReLU and softmax, shuffled, one learning rate throughout. Each batch size has the rate of a grid with which
it reached the target after the fewest images, as `tune --rates-by-batch` found on held-out training images; it writes
workloads/batch_sizes.json.
"""

from pathlib import Path

from bench.workloads.recipes import WIDER, Recipe

TARGET = 0.9286
# Likely ones first: the others stop at the epoch at which the best reached the target.
RATES = (0.8, 1.6, 3.2, 0.4, 0.2, 0.1, 0.05, 0.02, 0.01)
CHOSEN = Path(__file__).with_suffix(".json")


def recipe_of(batch: int, rate: float) -> Recipe:
    """Return plain SGD in such batches, of more epochs than reaching the target takes."""
    most = min(300, max(2, batch / 50))
    return Recipe(f"batch-{batch}", WIDER, "he_normal", batch=batch, epochs=most, learning_rate=rate, order="stream")
