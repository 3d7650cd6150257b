"""`python -m bench train`: train once, and print what the article's program printed, in its order."""

import argparse
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

import data
import impls
from bench import UserError
from bench.commands import options
from bench.records import environment
from bench.timing import threads
from bench.timing.clock import Elapsed
from bench.training.loop import Split, evaluate, prepare, train_epochs
from bench.training.saved import load_network, save_network
from bench.workloads.plans import Schedule
from bench.workloads.recipes import Recipe
from command_line import Option, number, output_file, whole_number
from data import Dataset, Digits
from impls.contract import COST_OF_OUTPUT, Backend, Layer, Network, Parameters, Plan, check_images, check_parameters
from impls.initialisation import INITIALISATIONS, initial_parameters
from whole_files import written_whole

History = list[tuple[Elapsed, float]]  # time of training so far and cost, before the first epoch and after each
# What --load replaces. These options have no default, so that it is known which were given.
NEW: dict[str, Any] = {
    "network": (784, 80, 10),
    "hidden": "sigmoid",
    "output_activation": "sigmoid",
    "pixel_scale": 1 / 255,
    "init": "lecun_normal",
}
FORMULAS = ", ".join(f"{name}: {drawn.formula}" for name, drawn in INITIALISATIONS.items())
OPTIONS = (
    options.one_backend(f"Train with this backend, of {', '.join(impls.names())}", "vectorized"),
    options.Group(
        "a new network, or --load FILE, which brings all of this with it",
        (
            Option("--network SIZES", "Make a network of these layer sizes", options.sizes,
                   without="784-80-N for N classes"),
            options.HIDDEN._replace(default=None, without="sigmoid"),
            Option("--output-activation", "Use this activation in the output layer; its cost comes with it, "
                   "cross-entropy with softmax, else quadratic", options.OUTPUT_ACTIVATION.reads, without="sigmoid"),
            Option("--pixel-scale X", "Multiply pixels by X; 1 leaves them raw", number(1e-30, 1e30), without="1/255"),
            Option("--init NAME", f"Draw weights by this formula: {FORMULAS}", INITIALISATIONS, without="lecun_normal"),
        ),
    ),
    Option("--batch N", "Update after this many images, or all, or the backend's default batch size",
           options.batch, "default"),
    options.ORDER,
    Option("--epochs N", "Train for this many epochs", whole_number(1), 20),
    Option("--learning-rate X", "Start with this learning rate", number(0), "1.0"),
    Option("--schedule", "Change the learning rate over all updates in this way", get_args(Schedule), "constant"),
    options.MOMENTUM,
    Option("--seed N", "Draw weights and orders from this seed", whole_number(0), 0),
    options.DTYPE,
    Option("--limit N", "Train on N images only, in which each digit keeps its share", whole_number(1), without="all"),
    Option("--load FILE", "Start from this network", Path, without="a new one"),
    Option("--save FILE", "Write the trained network to this .npz file", output_file, without="none"),
    Option("--output FILE", "Write everything printed, and more digits, to this file, as JSON", options.records_file,
           without="none"),
    options.DATA,
    options.THREADS,
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Train as the options say; return 0. Raises UserError, ContractError or DataError for bad options or files."""
    if arguments.save and arguments.output and arguments.save.resolve() == arguments.output.resolve():
        raise UserError(f"{arguments.save}: expected two files for --save and --output, found one; give another name")
    backend = impls.find(arguments.backend)
    dataset = data.load(arguments.data)
    network, parameters, remarks = starting_point(arguments, dataset)
    train = training_images(arguments, backend, network, dataset)
    plans = make_plans(arguments, backend, network, len(train.labels))
    first = prepare(backend, network, Digits(train.images[:1], train.labels[:1]), arguments.dtype)

    for line in (*dataset.lines(), *remarks):
        print(line)
    splits = {
        name: prepare(backend, network, digits, arguments.dtype)
        for name, digits in (("training", train), ("test", dataset.test))
    }
    # A training that diverges overflows; its cost shows that, so warnings are not needed.
    with np.errstate(over="ignore", invalid="ignore"):
        print_first_output(backend, network, parameters, first)
        before = print_accuracy("after initialisation", backend, network, parameters, splits)
        trained, history = train_with_progress(
            backend, network, parameters, splits["training"], plans, arguments.epochs
        )
        n_epochs, (elapsed, cost) = len(history) - 1, history[-1]
        after = print_accuracy(f"after {n_epochs} epochs", backend, network, trained, splits)
    print(
        f"Training took {elapsed.wall:.3f} s wall, {elapsed.user:.3f} s user, "
        f"{elapsed.system:.3f} s system; preparing the images {splits['training'].elapsed.wall:.3f} s."
    )
    if arguments.save and math.isfinite(cost):
        save_network(arguments.save, network, trained, dataset.sha256)
        print(f"Network saved in {arguments.save}")
    if arguments.output:
        write_json(arguments, dataset, network, history, {"before": before, "after": after})
    if not math.isfinite(cost):
        rate = f"try a learning rate below {arguments.learning_rate:g}, or other initial weights"
        remedy = rate if n_epochs else "choose smaller weights or a smaller pixel scale"
        wrong = f"the cost became {cost} in epoch {n_epochs}, expected a finite number"
        raise UserError(f"{wrong}: the training diverged; {remedy}")
    return 0


def starting_point(arguments: argparse.Namespace, dataset: Dataset) -> tuple[Network, Parameters, list[str]]:
    """Return the network and its initial parameters, new or from a file, and what to say about the file.

    Raises UserError where both are asked for.
    """
    given = {name: value for name in NEW if (value := getattr(arguments, name)) is not None}
    if arguments.load:
        if given:
            option = next(iter(given)).replace("_", "-")
            raise UserError(f"--{option} with --load: expected one of them, as the file brings its network; drop one")
        saved = load_network(arguments.load)
        network, parameters = saved.network, saved.parameters
        with np.errstate(over="ignore"):
            parameters = tuple(Layer(w.astype(arguments.dtype), b.astype(arguments.dtype)) for w, b in parameters)
        check_parameters(network, parameters)
        return network, parameters, saved.remarks(arguments.load, dataset.sha256, f"these, {dataset.name}")
    chosen = NEW | {"network": (*NEW["network"][:-1], dataset.classes)} | given
    output = chosen["output_activation"]
    network = Network(chosen["network"], chosen["hidden"], output, COST_OF_OUTPUT[output], chosen["pixel_scale"])
    return network, initial_parameters(network, chosen["init"], arguments.seed, arguments.dtype), []


def training_images(arguments: argparse.Namespace, backend: Backend, network: Network, dataset: Dataset) -> Digits:
    """Return the images to train on. Raises UserError or ContractError where backend, network and digits do not fit."""
    why_not = backend.unsupported("train", network, arguments.dtype)
    if why_not is not None:
        raise UserError(f"backend {backend.NAME!r} cannot train {network} in {arguments.dtype}: {why_not}")
    n_train = len(dataset.train.labels)
    if arguments.limit is not None and arguments.limit > n_train:
        raise UserError(f"--limit {arguments.limit}: expected at most {n_train}, the number of training images")
    train = dataset.train.spread(arguments.limit or n_train)
    check_images(network, train.images, train.labels)
    check_images(network, dataset.test.images, dataset.test.labels)
    return train


def make_plans(arguments: argparse.Namespace, backend: Backend, network: Network, n_images: int) -> Iterator[Plan]:
    """Yield one plan per epoch, as the options say."""
    default = backend.BATCH_SIZE if backend.BATCH_SIZE is None else min(backend.BATCH_SIZE, n_images)
    batch = default if arguments.batch == "default" else arguments.batch
    fields = {name: getattr(arguments, name) for name in ("epochs", "order", "learning_rate", "schedule", "momentum")}
    return Recipe("train", network, batch=batch, **fields).plans(n_images, arguments.seed)


def print_first_output(backend: Backend, network: Network, parameters: Parameters, first: Split) -> None:
    """Print the output vector of the first training image, the predicted digit and the label."""
    output = backend.outputs(network, parameters, first.prepared)[0]
    print(f"Output for the first training image: {np.array2string(output, precision=4, suppress_small=True)}")
    answer = int(output.argmax())
    print(f"It is taken for a {answer} with confidence {output[answer]:.3f}; it is a {first.labels[0]}.")


def print_accuracy(
    when: str, backend: Backend, network: Network, parameters: Parameters, splits: dict[str, Split]
) -> dict[str, float]:
    """Print and return the accuracy on each split, 0 to 1, by its name."""
    shares = {name: evaluate(backend, network, parameters, split).accuracy for name, split in splits.items()}
    words = (f"{share:.2%} of the {len(splits[name].labels):,} {name} images" for name, share in shares.items())
    print(f"Correct {when}: {', '.join(words)}")
    return shares


def train_with_progress(
    backend: Backend, network: Network, parameters: Parameters, train: Split, plans: Iterable[Plan], n_epochs: int
) -> tuple[Parameters, History]:
    """Train, with a bar and the cost over the training images after each epoch; stop where it is not finite.

    Returns the trained parameters, and time and cost after each epoch.
    """
    history = []
    columns = ("training", BarColumn(), MofNCompleteColumn(), "epochs,", TimeRemainingColumn())
    with Progress(*columns, console=Console(), transient=True) as progress:
        task = progress.add_task("training", total=n_epochs)
        for point in train_epochs(backend, network, parameters, train, plans):
            progress.update(task, completed=point.number)
            cost = evaluate(backend, network, point.state.parameters, train).cost
            history.append((point.elapsed, cost))
            label = "Cost at the start" if point.number == 0 else f"Cost after epoch {point.number}"
            progress.console.print(f"{label}: {cost:.6g}", highlight=False)
            if not math.isfinite(cost):
                break
    return point.state.parameters, history


def write_json(
    arguments: argparse.Namespace, dataset: Dataset, network: Network, history: History, accuracy: dict[str, Any]
) -> None:
    """Write everything about the run to the file of --output; costs that are not finite become null.

    accuracy: before and after, on each split. Raises UserError if the file cannot be written.
    """
    given = {name: value for name, value in vars(arguments).items() if name not in ("run", "command", "given")}
    content = {
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in given.items()},
        "network": str(network),
        "data": {"name": dataset.name, "sha256": dataset.sha256, "notice": dataset.notice},
        "costs": [cost if math.isfinite(cost) else None for _, cost in history],
        "seconds": [vars(elapsed) for elapsed, _ in history],
        "accuracy": accuracy,
        "threads": threads.in_force(),
        "machine": environment.describe(),
    }
    with written_whole(arguments.output) as file:
        file.write(json.dumps(content, indent=1, allow_nan=False).encode() + b"\n")
