"""`python -m bench train`: train once, with output in the order of the article's program."""

import argparse
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

import data
import impls
from bench import UserError
from bench.commands import options
from bench.timing import threads
from bench.timing.clock import Elapsed
from bench.training.loop import Epoch, Quality, Split, evaluate, prepare, train_epochs
from bench.training.saved import load_network, save_network
from bench.workloads.plans import Schedule
from bench.workloads.recipes import Recipe
from command_line import number, output_file, whole_number
from data import Dataset, Digits
from impls.contract import (
    COST_OF_OUTPUT,
    Activation,
    Array,
    Backend,
    Layer,
    Network,
    Output,
    Parameters,
    Plan,
    check_images,
    check_parameters,
    dtype_of,
)
from impls.initialisation import INITIALISATIONS, initial_parameters

NEW: dict[str, Any] = {
    "network": (784, 80, 10),
    "hidden": "sigmoid",
    "output_activation": "sigmoid",
    "pixel_scale": 1 / 255,
    "init": "lecun_normal",
}


class Course(NamedTuple):
    """The course of a training: its last epoch, and seconds so far and cost before the first epoch and after each."""

    last: Epoch
    seconds: list[Elapsed]
    costs: list[float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    options.add_backend(parser, f"Train with this backend, of {', '.join(impls.names())}", "vectorized")
    add_network(parser)
    add_training(parser)
    add_files(parser)
    options.add_data(parser)
    options.add_threads(parser)


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add the options that --load replaces; their defaults are in NEW, so that it is known which were given."""
    add = parser.add_argument_group("a new network, or --load FILE, which brings all of this with it").add_argument
    add(
        "--network",
        type=options.sizes,
        metavar="SIZES",
        help="Make a network of these layer sizes (default: 784-80-10)",
    )
    add("--hidden", choices=get_args(Activation), help="Use this activation in hidden layers (default: sigmoid)")
    add(
        "--output-activation",
        choices=get_args(Output),
        help="Use this activation in the output layer; its cost comes with it, cross-entropy with softmax, else "
        "quadratic (default: sigmoid)",
    )
    add(
        "--pixel-scale",
        type=number(1e-30, 1e30),
        metavar="X",
        help="Multiply pixels by X; 1 leaves them raw (default: 1/255)",
    )
    formulas = ", ".join(f"{name}: {chosen.formula}" for name, chosen in INITIALISATIONS.items())
    add("--init", choices=INITIALISATIONS, metavar="NAME", help=f"Draw weights so: {formulas} (default: lecun_normal)")


def add_training(parser: argparse.ArgumentParser) -> None:
    """Add the options of the training."""
    add = parser.add_argument
    add(
        "--batch",
        type=options.batch,
        default="default",
        metavar="N",
        help="Update after this many images, or all, or the backend's default batch size (default: %(default)s)",
    )
    options.add_order(parser)
    add(
        "--epochs",
        type=whole_number(1),
        default=20,
        metavar="N",
        help="Train for this many epochs (default: %(default)s)",
    )
    add(
        "--learning-rate",
        type=number(0),
        default=1.0,
        metavar="X",
        help="Start with this learning rate (default: %(default)s)",
    )
    add(
        "--schedule",
        choices=get_args(Schedule),
        default="constant",
        help="Change the learning rate so over all updates (default: %(default)s)",
    )
    options.add_momentum(parser)
    add(
        "--seed",
        type=whole_number(0),
        default=0,
        metavar="N",
        help="Draw weights and orders from this seed (default: %(default)s)",
    )
    options.add_dtype(parser)
    add("--limit", type=whole_number(1), metavar="N", help="Train on the first N images only (default: all)")


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the options of files that are read and written."""
    add = parser.add_argument
    add("--load", type=Path, metavar="FILE", help="Start from this network (default: a new one)")
    add("--save", type=output_file, metavar="FILE", help="Write the trained network to this .npz file (default: none)")
    add(
        "--output",
        type=options.records_file,
        metavar="FILE",
        help="Write everything printed, and more digits, to this file, as JSON (default: none)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train as the options say; return 0. Raises UserError, ContractError or DataError for bad options or files."""
    if arguments.save and arguments.output and arguments.save.resolve() == arguments.output.resolve():
        raise UserError(f"{arguments.save}: expected two files for --save and --output, found one; give another name")
    backend = impls.load(arguments.backend)
    dataset = data.load(arguments.data)
    network, parameters = starting_point(arguments)
    train = training_images(arguments, backend, network, dataset)
    plans = make_plans(arguments, backend, network, len(train.labels))

    if dataset.notice:
        print(dataset.notice)
    splits = {
        "training": prepare(backend, network, train, arguments.dtype),
        "test": prepare(backend, network, dataset.test, arguments.dtype),
    }
    # A training that diverges overflows; its cost shows that, so warnings are not needed.
    with np.errstate(over="ignore", invalid="ignore"):
        print_first_output(backend, network, parameters, train)
        before = print_quality("after initialisation", backend, network, parameters, splits)
        course = train_with_progress(backend, network, parameters, splits["training"], plans, arguments.epochs)
        state, elapsed = course.last.state, course.last.elapsed
        after = print_quality(f"after {course.last.number} epochs", backend, network, state.parameters, splits)
    print(
        f"Training took {elapsed.wall:.3f} s wall, {elapsed.user:.3f} s user, "
        f"{elapsed.system:.3f} s system; preparing the images {splits['training'].elapsed.wall:.3f} s."
    )
    finite = math.isfinite(course.costs[-1])
    if arguments.save and finite:
        save_network(arguments.save, network, state.parameters)
        print(f"Network saved in {arguments.save}")
    if arguments.output:
        write_json(arguments, dataset, network, course, {"before": before, "after": after})
    if not finite:
        raise UserError(why_diverged(course, arguments.learning_rate))
    return 0


def starting_point(arguments: argparse.Namespace) -> tuple[Network, Parameters]:
    """Return the network and its initial parameters, new or from a file. Raises UserError where both are asked for."""
    new = {name: value for name in NEW if (value := getattr(arguments, name)) is not None}
    if arguments.load:
        if new:
            option = next(iter(new)).replace("_", "-")
            raise UserError(f"--{option} with --load: expected one of them, as the file brings its network; drop one")
        network, parameters = load_network(arguments.load)
        with np.errstate(over="ignore"):
            parameters = tuple(Layer(w.astype(arguments.dtype), b.astype(arguments.dtype)) for w, b in parameters)
        check_parameters(network, parameters)
        return network, parameters
    chosen = NEW | new
    output = chosen["output_activation"]
    network = Network(chosen["network"], chosen["hidden"], output, COST_OF_OUTPUT[output], chosen["pixel_scale"])
    return network, initial_parameters(network, chosen["init"], arguments.seed, arguments.dtype)


def training_images(arguments: argparse.Namespace, backend: Backend, network: Network, dataset: Dataset) -> Digits:
    """Return the images to train on. Raises UserError or ContractError where backend, network and digits do not fit."""
    why_not = backend.unsupported("train", network, arguments.dtype)
    if why_not is not None:
        raise UserError(f"backend {backend.NAME!r} cannot train {network} in {arguments.dtype}: {why_not}")
    n_train = len(dataset.train.labels)
    if arguments.limit is not None and arguments.limit > n_train:
        raise UserError(f"--limit {arguments.limit}: expected at most {n_train}, the number of training images")
    train = Digits(dataset.train.images[: arguments.limit], dataset.train.labels[: arguments.limit])
    check_images(network, train.images, train.labels)
    check_images(network, dataset.test.images, dataset.test.labels)
    return train


def make_plans(arguments: argparse.Namespace, backend: Backend, network: Network, n_images: int) -> Iterator[Plan]:
    """Yield one plan per epoch, as the options say."""
    default = backend.BATCH_SIZE if backend.BATCH_SIZE is None else min(backend.BATCH_SIZE, n_images)
    batch = default if arguments.batch == "default" else arguments.batch
    fields = {name: getattr(arguments, name) for name in ("epochs", "order", "learning_rate", "schedule", "momentum")}
    return Recipe("train", network, batch=batch, **fields).plans(n_images, arguments.seed)


def print_first_output(backend: Backend, network: Network, parameters: Parameters, train: Digits) -> None:
    """Print the output vector of the first training image, the predicted digit and the label."""
    prepared = backend.prepare(network, train.images[:1], None, dtype_of(parameters))
    output: Array = backend.outputs(network, parameters, prepared)[0]
    print(f"Output for the first training image: {np.array2string(output, precision=4, suppress_small=True)}")
    answer = int(output.argmax())
    print(f"It is taken for a {answer} with confidence {output[answer]:.3f}; it is a {train.labels[0]}.")


def print_quality(
    when: str, backend: Backend, network: Network, parameters: Parameters, splits: dict[str, Split]
) -> dict[str, Quality]:
    """Print the accuracy on both splits, and return their qualities by name."""
    qualities = {name: evaluate(backend, network, parameters, split) for name, split in splits.items()}
    shares = ", ".join(
        f"{quality.accuracy:.2%} of the {len(splits[name].labels):,} {name} images"
        for name, quality in qualities.items()
    )
    print(f"Correct {when}: {shares}")
    return qualities


def train_with_progress(
    backend: Backend, network: Network, parameters: Parameters, train: Split, plans: Iterable[Plan], n_epochs: int
) -> Course:
    """Train, with a bar and the cost over the training images after each epoch; stop where it is not finite."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    seconds: list[Elapsed] = []
    costs: list[float] = []
    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs,"), TimeRemainingColumn())
    with Progress(*columns, console=Console(), transient=True) as progress:
        task = progress.add_task("training", total=n_epochs)
        for point in train_epochs(backend, network, parameters, train, plans):
            progress.update(task, completed=point.number)
            seconds.append(point.elapsed)
            costs.append(evaluate(backend, network, point.state.parameters, train).cost)
            label = "Cost at the start" if point.number == 0 else f"Cost after epoch {point.number}"
            progress.console.print(f"{label}: {costs[-1]:.6g}", highlight=False)
            if not math.isfinite(costs[-1]):
                break
    return Course(point, seconds, costs)


def why_diverged(course: Course, learning_rate: float) -> str:
    """Return the message for a training that diverged, with the remedy."""
    number = course.last.number
    remedy = (
        f"try a learning rate below {learning_rate:g}, or other initial weights"
        if number
        else "choose smaller weights or a smaller pixel scale"
    )
    return (
        f"the cost became {course.costs[-1]} in epoch {number}, expected a finite number: "
        f"the training diverged; {remedy}"
    )


def write_json(
    arguments: argparse.Namespace,
    dataset: Dataset,
    network: Network,
    course: Course,
    qualities: dict[str, dict[str, Quality]],
) -> None:
    """Write everything about the run to the file of --output; costs that are not finite become null.

    Raises UserError if the file cannot be written.
    """
    from bench.records import environment

    content: dict[str, Any] = {
        "options": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(arguments).items()
            if name != "run"
        },
        "network": str(network),
        "data": {"name": dataset.name, "sha256": dataset.sha256, "notice": dataset.notice},
        "costs": [cost if math.isfinite(cost) else None for cost in course.costs],
        "seconds": [vars(elapsed) for elapsed in course.seconds],
        "accuracy": {
            when: {name: quality.accuracy for name, quality in of_splits.items()}
            for when, of_splits in qualities.items()
        },
        "threads": threads.in_force(),
        "machine": environment.describe(),
    }
    partial = arguments.output.with_name(f"{arguments.output.name}.part")
    try:
        partial.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
        partial.replace(arguments.output)
    except OSError as error:
        raise UserError(f"{arguments.output}: cannot be written ({error.strerror}); choose another place") from None
    finally:
        partial.unlink(missing_ok=True)
