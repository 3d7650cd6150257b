"""`python -m bench batches`: do mini-batches pay, by the round and by the time to 92.86 %?

The same network (784-128-10, ReLU, softmax) by plain SGD, in batches of one image up to all, orders drawn anew each
round, one learning rate throughout. Each batch has the rate of a grid with which it came there after the fewest images,
judged on held-out training images by `--choose`, which writes workloads/batch_sizes.json. Training goes on until the
target is reached on the test images; they are looked at where the updates have grown by a tenth, at least once a round.
"""

from pathlib import Path

from bench.workloads.recipes import WIDER, Recipe

TARGET = 0.9286
BATCHES = (1, 4, 16, 64, 128, 512, 2048, 10_000, 60_000)  # that --choose chooses for
RATES = (0.8, 1.6, 3.2, 0.4, 0.2, 0.1, 0.05, 0.02, 0.01)  # the likely first: the others stop where the best was there
CHOSEN = Path(__file__).with_suffix(".json")


def recipe_of(batch: int, rate: float) -> Recipe:
    """Plain SGD in such batches, for more passes than it takes: the smaller the batches the fewer."""
    most = min(300, max(2, batch / 50))
    return Recipe(f"batch-{batch}", WIDER, "he_normal", batch, most, rate, "constant", 0.0, "one of many batch sizes")
