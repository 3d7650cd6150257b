"""`python -m bench batches`: do mini-batches pay, by the round and by the time to 92.86 %?

The same network (784-128-10, ReLU, softmax) by plain SGD, in batches of one image up to all, orders drawn anew each
round, one learning rate throughout. Each batch has the rate of a grid with which it came there after the fewest images,
judged on held-out training images by `--choose`, which writes bench/batches.json. Training goes on until the target is
reached on the test images; they are looked at where the updates have grown by a tenth, at least once a round.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

import impls
from bench import UserError, accuracy, options, standings, steps
from bench.plans import parts
from bench.quality import share_correct
from bench.recipes import WIDER, Recipe
from bench.stepped import Row, said
from bench.steps import Step
from bench.training import prepare, train_rounds
from bench.trainings import images_in, looks
from bench.tuning import HELD_OUT
from data import Dataset, Digits
from impls.contract import Backend

TARGET = 0.9286
BATCHES = (1, 4, 16, 64, 128, 512, 2048, 10_000, 60_000)  # that --choose chooses for
RATES = (0.8, 1.6, 3.2, 0.4, 0.2, 0.1, 0.05, 0.02, 0.01)  # the likely first: the others stop where the best was there
SEEDS = 3
BACKEND = "numba_sparse"
CHOSEN = Path(__file__).with_name("batches.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add, whole = parser.add_argument, options.whole_number(1)
    add("--backend", default=BACKEND, metavar="NAME", help="who trains (default: %(default)s)")
    add("--batch", type=whole, nargs="+", metavar="N", help="default: all that have a rate")
    add("--seeds", type=whole, default=SEEDS, metavar="N", help="of each (default: %(default)s)")
    add("--choose", action="store_true", help="choose the learning rates again, on held-out images, and nothing else")
    steps.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train and print; 1 if the backend failed. Raises UserError for a batch without a rate."""
    console = Console(highlight=False)
    if arguments.choose:
        chosen_for = arguments.batch or BATCHES
        dataset = accuracy.digits_for(console, arguments.data, [recipe_of(batch, 1.0) for batch in chosen_for])
        choose_all(console, impls.load(arguments.backend), dataset, chosen_for)
        return 0
    rates = {int(batch): entry["rate"] for batch, entry in json.loads(CHOSEN.read_text()).items()}
    batches = arguments.batch or list(rates)
    for batch in batches:
        if batch not in rates:
            raise UserError(f"--batch {batch}: has no learning rate; choose one by `--batch {batch} --choose`")
    ways = [
        Step(
            f"batches of {batch:,}", arguments.backend, "float32", recipe_of(batch, rates[batch]), True, arguments.seeds
        )
        for batch in batches
    ]
    return steps.train(console, arguments, "batches", TARGET, ways, lambda rows: show(console, rows))


def recipe_of(batch: int, rate: float) -> Recipe:
    """Plain SGD in such batches, for more passes than it takes: the smaller the batches the fewer."""
    most = min(300, max(2, batch / 50))
    return Recipe(f"batch-{batch}", WIDER, "he_normal", batch, most, rate, "constant", 0.0, "one of many batch sizes")


def choose_all(console: Console, backend: Backend, dataset: Dataset, batches: Sequence[int]) -> None:
    """Choose the rate of each batch, and write it down with what the others needed; what is there already stays."""
    chosen = json.loads(CHOSEN.read_text()) if CHOSEN.exists() else {}
    for batch in batches:
        needed: dict[float, float | None] = {}
        best, best_rate = recipe_of(batch, 1.0).passes, None
        for rate in RATES:
            passes = needed[rate] = passes_to_target(backend, dataset.train, recipe_of(batch, rate), best)
            console.print(f"batches of {batch:,}, rate {rate:g}: {passes or f'more than {best:.4g}'} passes")
            if passes is not None:
                best, best_rate = passes, rate
        if best_rate is None:
            raise UserError(f"batches of {batch}: no rate of {RATES} reaches {TARGET:.2%} within {best:g} passes")
        chosen[str(batch)] = {"rate": best_rate, "passes": needed}
        ordered = dict(sorted(chosen.items(), key=lambda item: int(item[0])))
        CHOSEN.write_text(json.dumps(ordered, indent=1) + "\n")


def passes_to_target(backend: Backend, train: Digits, recipe: Recipe, limit: float) -> float | None:
    """After how many passes the network knows the target's share of images held out; None: not within the limit."""
    n = len(train.labels)
    held_out = np.arange(n - HELD_OUT, n)
    aside = prepare(backend, recipe.network, Digits(train.images[held_out], train.labels[held_out]), "float32")
    split = prepare(backend, recipe.network, train, "float32")
    plan = recipe.plan(n, 0, np.arange(n - HELD_OUT))
    pieces = parts(plan, looks(len(plan.starts), n // recipe.batch))
    images = np.cumsum([0, *(images_in(piece) for piece in pieces)])
    with np.errstate(over="ignore", invalid="ignore"):  # it may diverge
        for point in train_rounds(backend, recipe.network, recipe.parameters(0, "float32"), split, pieces):
            passes = float(images[point.number] / n)
            outputs = backend.outputs(recipe.network, point.state.parameters, aside.prepared)
            if passes >= limit or not np.isfinite(outputs).all():
                return None
            if share_correct(outputs, aside.labels) >= TARGET:
                return passes
    return None


def show(console: Console, rows: list[Row]) -> None:
    """By the round, and to the target, with ratios to the largest batch."""
    table = standings.table_of(
        "batch",
        "rate",
        "s a round",
        "reached",
        "updates",
        "rounds",
        "seconds",
        "x a round",
        "x to it",
    )
    last = rows[-1] if rows else None
    for row in rows:
        assert last is not None
        updates = row.passes * row.case["images"] / row.case["batch"]
        faster = f"{last.seconds / row.seconds:.3g}" if row.counts and last.counts else ""
        seconds = f"{row.seconds:.4g}" if row.counts else f"({row.seconds:.4g})"
        table.add_row(
            f"{row.case['batch']:,}", f"{row.case['learning_rate']:g}", f"{row.a_pass:.4g}", said(row),
            f"{updates:,.0f}", f"{row.passes:.3g}", seconds, f"{last.a_pass / row.a_pass:.2g}", faster,
        )  # fmt: skip
    console.print(table)
    console.print(
        f"To {TARGET:.2%}; medians over seeds. x: times faster than the last row. In brackets: it was not reached."
    )
