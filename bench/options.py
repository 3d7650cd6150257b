"""Command-line options that several commands share, and how their values are read."""

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NoReturn

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


def batch(text: str) -> int | Literal["home"] | None:
    """Images per update; "all" for the full batch, which is None; "home" for what the backend is at home with."""
    if text == "home":
        return "home"
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
