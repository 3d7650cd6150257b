"""Options that several commands share, and the race setup that they describe."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from bench import UserError
from bench.analysis.calibrate import GENERATIONS
from bench.experiments.race import IMAGES, RaceSetup
from bench.timing import threads
from bench.timing.worker import Measure
from bench.workloads.cases import MINI_BATCHES
from bench.workloads.plans import Order
from command_line import number, output_file, several, whole_number
from data import Dataset, Digits
from impls.contract import COST_OF_OUTPUT, Activation, DType, Network, Output, check_images

Arguments = argparse.ArgumentParser | argparse._ArgumentGroup  # where options can be added


def sizes(text: str) -> tuple[int, ...]:
    """Read layer sizes like "784-80-10"."""
    try:
        layers = tuple(int(part) for part in text.split("-"))
    except ValueError:
        layers = ()
    if len(layers) < 2 or min(layers) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected layer sizes like 784-80-10")
    return layers


def batch(text: str) -> int | Literal["default"] | None:
    """Read images per update; "all" is the full batch, None; "default" the backend's default batch size."""
    if text == "default":
        return "default"
    if text == "home":
        raise argparse.ArgumentTypeError("'home': was replaced by default")
    return None if text == "all" else whole_number(1)(text)


def add_threads(parser: Arguments) -> None:
    """Add the option --threads, which `bench.__main__` reads before NumPy is imported, before or after the command."""
    parser.add_argument(
        "--threads",
        type=whole_number(1),
        default=argparse.SUPPRESS,  # for a command, so that it keeps a value given before the command
        metavar="N",
        help="Use this many threads of BLAS and numba (default: all cores of this process)",
    )


def add_data(parser: Arguments) -> None:
    """Add the option --data."""
    parser.add_argument(
        "--data",
        default="auto",
        metavar="SOURCE",
        help="Use these digits: auto (DIGITBENCH_DATA, else the download, else built-in digits), mnist, builtin, or a "
        "folder with the four files (default: %(default)s)",
    )


def add_output(parser: Arguments) -> None:
    """Add the option --output of commands that keep records."""
    parser.add_argument(
        "--output",
        type=records_file,
        metavar="FILE",
        help="Write records to this file, or continue the same work in it (default: a new file in bench/results)",
    )


def records_file(text: str) -> Path:
    """Read a file for records; for an activation, the error names the option --output-activation."""
    if text in get_args(Output):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a file; the activation is --output-activation {text}")
    return output_file(text)


def add_backends(parser: Arguments, what: str, default: str = "all available") -> None:
    """Add the option --backend of commands that take several."""
    add = parser.add_argument
    add("--backend", type=several(str), action="extend", metavar="A,B", help=f"{what} (default: {default})")


def add_backend(parser: Arguments, what: str, default: str) -> None:
    """Add the option --backend of commands that take one."""
    parser.add_argument("--backend", default=default, metavar="NAME", help=f"{what} (default: %(default)s)")


def add_seeds(parser: Arguments, default: int, more: str = "") -> None:
    """Add the option --seeds."""
    parser.add_argument(
        "--seeds",
        type=whole_number(1),
        default=default,
        metavar="N",
        help=f"Train with this many seeds{more} (default: %(default)s)",
    )


def add_budget(parser: Arguments, default: float) -> None:
    """Add the option --budget."""
    parser.add_argument(
        "--budget",
        type=number(0.001),
        default=default,
        metavar="SECONDS",
        help="Stop after this many seconds of measuring, at the end of a generation (default: %(default)g)",
    )


def add_network(parser: Arguments, sizes_default: tuple[int, ...] = MINI_BATCHES.network.sizes) -> None:
    """Add the option --network."""
    text = "-".join(map(str, sizes_default))
    parser.add_argument(
        "--network", type=sizes, default=sizes_default, metavar="SIZES", help=f"Use these layer sizes (default: {text})"
    )


def add_dtype(parser: Arguments) -> None:
    """Add the option --dtype."""
    add = parser.add_argument
    add("--dtype", choices=get_args(DType), default="float32", help="Compute in this dtype (default: %(default)s)")


def add_momentum(parser: Arguments) -> None:
    """Add the option --momentum."""
    parser.add_argument(
        "--momentum",
        type=number(0, 1),
        default=0.0,
        metavar="X",
        help="Use Nesterov's momentum of this size (default: %(default)s)",
    )


def add_order(parser: Arguments) -> None:
    """Add the option --order."""
    add = parser.add_argument
    add("--order", choices=get_args(Order), default="file", help="Take the images in this order (default: %(default)s)")


def add_case_arguments(parser: Arguments, rounds: int | None) -> None:
    """Add the options of a race. rounds: the default number per generation; None: it depends on the race."""
    add = parser.add_argument
    case = MINI_BATCHES
    add(
        "--measure",
        choices=get_args(Measure),
        default="epoch",
        help="Time this: an epoch of training, one gradient, or the outputs (default: %(default)s)",
    )
    add_network(parser)
    add(
        "--hidden",
        choices=get_args(Activation),
        default=case.network.hidden,
        help="Use this activation in hidden layers (default: %(default)s)",
    )
    add(
        "--output-activation",
        choices=get_args(Output),
        default=case.network.output,
        help="Use this activation in the output layer; its cost comes with it (default: %(default)s)",
    )
    add(
        "--batch",
        type=batch,
        default=case.batch,
        metavar="N",
        help="Update after this many images, or all (default: %(default)s)",
    )
    add_order(parser)
    add_momentum(parser)
    add_dtype(parser)
    add(
        "--nonzero-pixels",
        action="store_true",
        help="Set every zero pixel to 1, so that no backend can skip any (default: as they are)",
    )
    add(
        "--images",
        type=whole_number(1),
        metavar="N",
        help=f"Use only the first N images (default: {IMAGES:,}, or all where there are fewer)",
    )
    add(
        "--rounds",
        type=whole_number(2),
        default=rounds,
        metavar="N",
        help="Measure each backend this often in a set of processes "
        f"(default: {rounds or 'the more backends and images, the fewer'})",
    )
    add(
        "--seed",
        type=whole_number(0),
        default=0,
        metavar="N",
        help="Draw the measuring order from this seed (default: %(default)s)",
    )
    add_output(parser)
    add_data(parser)
    add_threads(parser)


def add_generations(parser: Arguments) -> None:
    """Add the option --generations, the length of one comparison."""
    parser.add_argument(
        "--generations",
        type=whole_number(2),
        default=GENERATIONS,
        metavar="N",
        help="Compare over this many sets of fresh processes (default: %(default)s)",
    )


def race_setup(arguments: argparse.Namespace, dataset: Dataset) -> RaceSetup:
    """Return the race that the options describe. Raises UserError or ContractError where they do not combine."""
    if arguments.batch == "default":
        raise UserError("--batch default: expected a number of images, or all, as all backends race on the same plan")
    n_threads = arguments.threads or threads.cores()
    threads.check(n_threads)  # raises UserError for more threads than cores
    network = Network(
        arguments.network, arguments.hidden, arguments.output_activation, COST_OF_OUTPUT[arguments.output_activation]
    )
    name = "full batch" if arguments.batch is None else f"batches of {arguments.batch:,}"
    name += ", shuffled" if arguments.order == "shuffled" else ""
    name += f", Nesterov {arguments.momentum:g}" if arguments.momentum else ""
    name += ", all pixels non-zero" if arguments.nonzero_pixels else ""
    case = replace(
        MINI_BATCHES,
        name=name,
        batch=arguments.batch,
        learning_rate=0.1,  # does not affect times; small, so that agreement can be checked for any network
        network=network,
        dtype=arguments.dtype,
        order=arguments.order,
        momentum=arguments.momentum,
    )
    split = dataset.test if arguments.measure == "outputs" else dataset.train
    n = arguments.images or min(IMAGES, len(split.labels))
    if n > len(split.labels):
        raise UserError(f"{n} images: expected at most {len(split.labels)}, as many as {dataset.name} has")
    images = np.maximum(split.images[:n], 1) if arguments.nonzero_pixels else split.images[:n]
    digits = Digits(images, split.labels[:n])
    check_images(network, digits.images, digits.labels)
    if arguments.measure == "outputs" and case.batch is not None:  # outputs have no updates
        case = replace(case, batch=min(case.batch, n))
    return RaceSetup(case, arguments.measure, dataset, digits, n_threads)


class Sweep(NamedTuple):
    """The name of what grows, and its values; None is the full batch."""

    name: str
    values: list[int | None]


def sweep(text: str) -> Sweep:
    """Read the values of a sweep, like "batch=32,128,all"."""
    name, _, values = text.partition("=")
    if name not in SWEPT or not values:
        raise argparse.ArgumentTypeError(f"{text!r}: expected {'=…, '.join(SWEPT)}=…, such as batch=32,128,1000")
    one = whole_number(1)
    points = [None if name == "batch" and value == "all" else one(value) for value in values.split(",")]
    if len(set(points)) < max(2, len(points)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected at least two values, each once")
    return Sweep(name, points)


SWEPT = ("batch", "hidden", "images", "threads")


def sweep_points(arguments: argparse.Namespace) -> list[argparse.Namespace]:
    """Return the options for each value of the sweep; unchanged where there is no sweep."""
    if arguments.sweep is None:
        return [arguments]
    name, values = arguments.sweep
    if name == "hidden":  # the units of all hidden layers
        first, *hidden, last = arguments.network
        if not hidden:
            raise UserError("--sweep hidden: expected a network with a hidden layer; give one with --network")
        name, values = "network", [(first, *[value] * len(hidden), last) for value in values]
    return [argparse.Namespace(**vars(arguments) | {name: value}) for value in values]
