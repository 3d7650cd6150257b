"""What `race`, `compare` and `calibrate` share: what is raced, agreement before it, generations until it is enough."""

import argparse
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn, get_args

import numpy as np

from bench import UserError
from bench.experiments.race import IMAGES, RaceSetup
from bench.timing import threads
from bench.timing.worker import Measure
from bench.workloads.cases import MINI_BATCHES
from bench.workloads.plans import Order
from data import Dataset, Digits
from impls.contract import COST_OF_OUTPUT, Activation, DType, Network, Output, check_images


def add_training_files(parser: argparse.ArgumentParser) -> None:
    """The options of both commands."""
    parser.add_argument(
        "--results", type=output_file, metavar="FILE", help="as for race; one of the same trainings goes on"
    )
    add_data(parser)
    add_threads(parser)


Arguments = argparse.ArgumentParser | argparse._ArgumentGroup  # what options can be added to


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with 2."""
        self.exit(2, f"error: {message}; see `{self.prog} --help`\n")


def sizes(text: str) -> tuple[int, ...]:
    """Layer sizes like "784-80-10"."""
    try:
        found = tuple(int(part) for part in text.split("-"))
    except ValueError:
        found = ()
    if len(found) < 2 or min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected layer sizes like 784-80-10")
    return found


def batch(text: str) -> int | Literal["batch_size"] | None:
    """Images per update; "all" for the full batch, which is None; "home" for what the backend is at home with."""
    if text == "batch_size":
        return "batch_size"
    return None if text == "all" else whole_number(1)(text)


def output_file(text: str) -> Path:
    """A file that can be written: better to know before the training than after. What is there stays until then."""
    path = Path(text)
    if not path.parent.is_dir() or path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a file in a folder that exists and can be written")
    return path


def whole_number(least: int) -> Callable[[str], int]:
    """A whole number not below `least`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from {least}")
        return value

    return read


def number(least: float, below: float = math.inf) -> Callable[[str], float]:
    """A finite number from `least`, below `below`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value < below:
            until = f" and below {below:g}" if below < math.inf else ""
            raise argparse.ArgumentTypeError(f"{text!r}: expected a finite number from {least:g}{until}")
        return value

    return read


def add_threads(parser: Arguments) -> None:
    """The option --threads, which `bench.__main__` obeys before NumPy is imported."""
    parser.add_argument(
        "--threads", type=whole_number(1), metavar="N", help="of BLAS and numba (default: all cores of this process)"
    )


def add_data(parser: Arguments) -> None:
    """The option --data."""
    parser.add_argument(
        "--data",
        default="auto",
        metavar="SOURCE",
        help="auto (DIGITBENCH_DATA, else the download, else built-in digits), mnist, builtin, or a folder "
        "with the four files (default: auto)",
    )


def add_case_arguments(parser: Arguments, rounds: int | None) -> None:
    """The options that say what is raced. rounds: of a generation, unless said; None: it depends on what is raced."""
    add = parser.add_argument
    add(
        "--measure",
        choices=get_args(Measure),
        default="epoch",
        help="a round of training, one gradient, or outputs (default: %(default)s)",
    )
    add("--network", type=sizes, default=MINI_BATCHES.network.sizes, metavar="SIZES", help="default: 784-128-10")
    add("--hidden", choices=get_args(Activation), default=MINI_BATCHES.network.hidden, help="default: %(default)s")
    add("--output", choices=get_args(Output), default=MINI_BATCHES.network.output, help="default: %(default)s")
    add(
        "--batch",
        type=batch,
        default=MINI_BATCHES.batch,
        metavar="N",
        help="images per update, or all (default: %(default)s)",
    )
    add("--order", choices=get_args(Order), default="file", help="of the images (default: %(default)s)")
    add("--momentum", type=number(0, 1), default=0.0, metavar="X", help="default: %(default)s")
    add("--dtype", choices=get_args(DType), default="float32", help="default: %(default)s")
    add("--without-zeros", action="store_true", help="with every pixel that is 0 made 1, so that none can be skipped")
    add(
        "--images",
        type=whole_number(1),
        metavar="N",
        help=f"of the data's first (default: {IMAGES:,}, or all where there are fewer)",
    )
    add(
        "--rounds",
        type=whole_number(2),
        default=rounds,
        metavar="N",
        help=f"in a generation of processes (default: {rounds or 'the more backends and images, the fewer'})",
    )
    add(
        "--seed",
        type=whole_number(0),
        default=0,
        metavar="N",
        help="of the order of turns (default: %(default)s)",
    )
    add(
        "--results",
        type=output_file,
        metavar="FILE",
        help="JSON, a record a line (default: a new one in bench/results); one of the same race goes on",
    )
    add_data(parser)
    add_threads(parser)


def race_setup(arguments: argparse.Namespace, dataset: Dataset) -> RaceSetup:
    """What the options describe. Raises UserError or ContractError where they do not go together."""
    if arguments.batch == "batch_size":
        raise UserError("--batch home: expected a number of images, or all, as all backends race on the same plan")
    n_threads = arguments.threads or threads.cores()
    threads.request(n_threads, {})  # refused if it is beyond this machine
    network = Network(arguments.network, arguments.hidden, arguments.output, COST_OF_OUTPUT[arguments.output])
    name = "full batch" if arguments.batch is None else f"batches of {arguments.batch:,}"
    name += ", shuffled" if arguments.order == "shuffled" else ""
    name += f", Nesterov {arguments.momentum:g}" if arguments.momentum else ""
    name += ", no zeros" if arguments.nonzero_pixels else ""
    case = replace(
        MINI_BATCHES,
        name=name,
        batch=arguments.batch,
        learning_rate=0.1,  # of no consequence for the time, and small, so that agreement can be told for any network
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
    if arguments.measure == "outputs" and case.batch is not None:  # which have no updates
        case = replace(case, batch=min(case.batch, n))
    return RaceSetup(case, arguments.measure, dataset, digits, n_threads)


class Sweep(NamedTuple):
    """What grows, and its values."""

    name: str
    values: list[int | None]


def sweep(text: str) -> Sweep:
    """One option's several values, like "batch=32,128,all"."""
    name, _, values = text.partition("=")
    if name not in SWEPT or not values:
        raise argparse.ArgumentTypeError(f"{text!r}: expected {'=…, '.join(SWEPT)}=…, such as batch=32,128,1000")
    one = whole_number(1)
    found = [None if name == "batch" and value == "all" else one(value) for value in values.split(",")]
    if len(set(found)) < max(2, len(found)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected at least two values, each once")
    return Sweep(name, found)


SWEPT = ("batch", "hidden", "images", "threads")


def sweep_points(arguments: argparse.Namespace) -> list[argparse.Namespace]:
    """The options for each value of the sweep; as they are, if there is none."""
    if arguments.sweep is None:
        return [arguments]
    name, values = arguments.sweep
    if name == "hidden":  # the units of all hidden layers
        first, *hidden, last = arguments.network
        if not hidden:
            raise UserError("--sweep hidden: expected a network with a hidden layer; give one with --network")
        name, values = "network", [(first, *[value] * len(hidden), last) for value in values]
    return [argparse.Namespace(**vars(arguments) | {name: value}) for value in values]
