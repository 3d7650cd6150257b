"""Options that several commands take, as data, and the readers of their values."""

import argparse
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import impls
from bench import UserError
from bench.experiments.workers import executors
from bench.timing.worker import FLOOR
from bench.workloads.cases import MINI_BATCHES
from bench.workloads.plans import Order
from command_line import Option, number, output_file, several, whole_number
from impls import devices, interpreters
from impls.contract import Activation, DType, Output
from untrusted import kind_of


class Group(NamedTuple):
    """Options that the help lists under a title of their own."""

    title: str
    options: tuple[Option, ...]


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


def backend(text: str) -> str:
    """Read a backend: its name, a module's dotted path, or the path of a file, for which its name is returned."""
    try:
        name = impls.named(text)
    except impls.UnknownBackend as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if impls.parted(name)[0] == FLOOR:
        raise argparse.ArgumentTypeError(f"{text}: {FLOOR} is what races measure beside backends; rename your backend")
    return name


def several_backends(text: str) -> list[str]:
    """Read backends, separated by commas."""
    if "," in text and kind_of(text) == "file":
        raise argparse.ArgumentTypeError(f"{text}: expected a path without a comma, as they separate backends")
    return several(backend)(text)


def python(text: str) -> list[interpreters.Choice]:
    """Read a backend and its interpreter, like "torch=/opt/torch/bin/python". Nothing is run."""
    name, _, command = text.partition("=")
    if not name.strip() or not command:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected a backend and a Python for it, such as torch=/opt/torch/bin/python"
        )
    return [interpreters.Choice(backend(name.strip()), command)]


def records_file(text: str) -> Path:
    """Read a file for records; the error for an activation names the option --output-activation."""
    if text in get_args(Output):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a file; the activation is --output-activation {text}")
    return output_file(text)


# --threads is read by `bench.__main__`, before NumPy is imported. In a command it has no default, which would replace a
# value that was given before the command.
THREADS = Option("--threads N", "Use this many threads of BLAS and numba", whole_number(1), argparse.SUPPRESS,
                 without="all cores of this process")  # fmt: skip
DATA = Option("--data SOURCE", "Use these digits: auto (DIGITBENCH_DATA, else the download, else built-in digits), "
              "mnist, builtin, a folder with the four files, or an .npz", str, "auto")  # fmt: skip
OUTPUT = Option("--output FILE", "Write records to this file, or continue the same work in it", records_file,
                without="a new file in bench/results")  # fmt: skip
PYTHON = Option("--python NAME=PATH", "Use another Python for this backend, whose environment has its library", python,
                without="the Python of this command for all", repeats=True)  # fmt: skip
COMMON = (OUTPUT, PYTHON, DATA, THREADS)  # of every command that keeps records
SHORT_CHECK = Option("--short-check", "Check only the first updates of the first seed against the reference",
                     without="those of every seed, and as far as possible all of the first")  # fmt: skip
TIMED_TRAININGS = (SHORT_CHECK, *COMMON)  # of commands that train over seeds
WORKERS = Option("--workers WHERE", "Train several networks at once: a number of processes, tcp://HOST:8786 (a Dask "
                 "scheduler), slurm:PARTITION or mpi; accuracies are then pooled, and times not compared",
                 executors.read, without="one training at a time, so that times can be compared")  # fmt: skip
OF_TRAININGS = (WORKERS, *TIMED_TRAININGS)
MODEL = Option("model MODEL", "Read this network, which `train --save` wrote", Path)
BASELINE = Option("--baseline NAME", "Give ratios relative to this backend", backend)
SIZES = MINI_BATCHES.network.sizes
# --network has an output for each class of the digits, where it is not given: see `layer_sizes`.
NETWORK = Option("--network SIZES", "Use these layer sizes", sizes, "-".join(map(str, SIZES)),
                 without=f"{'-'.join(map(str, SIZES[:-1]))}-N for N classes")  # fmt: skip
HIDDEN = Option("--hidden", "Use this activation in hidden layers", get_args(Activation), MINI_BATCHES.network.hidden)
OUTPUT_ACTIVATION = Option("--output-activation", "Use this activation in the output layer; its cost comes with it",
                           get_args(Output), MINI_BATCHES.network.output)  # fmt: skip
DEVICE = Option("--device", "Use this for all backends that can run there; NAME:DEVICE as a backend does so for one",
                devices.KNOWN, without="the CPU")  # fmt: skip
DTYPE = Option("--dtype", "Compute in this dtype", get_args(DType), "float32")
ORDER = Option("--order", "Take the images in this order", get_args(Order), "file")
MOMENTUM = Option("--momentum X", "Use Nesterov's momentum of this size", number(0, 1), "0.0")


def refuse_others(arguments: argparse.Namespace, obeyed: Collection[str], where: str) -> None:
    """Raise UserError for an option that was given and changes nothing.

    obeyed: the names of those that change something; where: after "expected no option but these".
    """
    for name in sorted(arguments.given - {one.replace("-", "_") for one in obeyed}):
        known = ", ".join(f"--{one}" for one in obeyed)
        raise UserError(f"--{name.replace('_', '-')}: expected no option but {known} {where}; drop it")


def move_to_device(arguments: argparse.Namespace) -> None:
    """Give the backends of --backend, or all available ones, and the baseline, the names that they have on --device.

    Of all available ones, one that cannot be used there is named and left out. Raises UserError where none is left, and
    UnknownBackend for a name of none.
    """
    device = arguments.device
    if device is None:
        return
    names = [impls.on_device(name, device) for name in arguments.backend or impls.available()]
    unavailable = {name: why_unavailable(name) for name in names}
    there = {name: why for name, why in unavailable.items() if impls.device_of(name) == device}
    if all(there.values()):
        able = ", ".join(name for name in impls.names() if device in impls.entry(name).devices)
        reason = next(iter(there.values()), f"expected a backend that can run there, which are {able}")
        raise UserError(f"--device {device}: {reason}")
    if not arguments.backend:
        for name, why in there.items():
            if why:
                sys.stderr.write(f"{why}; it is left out\n")
                names.remove(name)
    arguments.backend = list(dict.fromkeys(names))
    if "baseline" in arguments:
        arguments.baseline = impls.on_device(arguments.baseline, device)


def layer_sizes(arguments: argparse.Namespace, classes: int) -> tuple[int, ...]:
    """The sizes of --network, or the default ones with an output for each class of the digits."""
    given: tuple[int, ...] = arguments.network
    return given if "network" in arguments.given else (*given[:-1], classes)


def check_participants(names: Collection[str]) -> None:
    """Check that these can be used, and that --python names no others.

    Raises UnknownBackend, BackendUnavailable or BadInterpreter.
    """
    interpreters.check_all_take_part(names)
    for name in names:
        impls.check(name)


def why_unavailable(name: str) -> str | None:
    """Why this backend, or module, cannot be used; None where it can as far as is known before its import."""
    try:
        impls.check(name)
    except impls.BackendUnavailable as unavailable:
        return str(unavailable)
    return None


def backends(does: str, without: str = "all available") -> Option:
    """Return the option --backend of commands that take several."""
    text = f"{does}, names or files such as my_network.py"
    return Option("--backend A,B", text, several_backends, without=without, repeats=True)


def one_backend(does: str, default: str) -> Option:
    """Return the option --backend of commands that take one."""
    return Option("--backend NAME", f"{does}, or the one in a file such as my_network.py", backend, default)


def seeds(default: int, more: str = "") -> Option:
    """Return the option --seeds; more: what its help adds."""
    return Option("--seeds N", f"Train with this many seeds{more}", whole_number(1), default)
