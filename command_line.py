"""What the commands of all rooms share: one parser, how values are read, and exit codes.

argparse, and no library on top of it: it is in every Python, its subcommands suffice, and all that was missing are the
few readers of values below.
"""

import argparse
import math
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

Value = TypeVar("Value")

FOUND = 1  # a slowdown, a disagreement, a backend that failed
COULD_NOT = 2  # usage, bad input, something that is not installed, any unexpected error
INTERRUPTED = 130  # 128 + SIGINT
BROKEN_PIPE = 141  # 128 + SIGPIPE

# Options and commands of earlier versions, each with what replaced it.
RENAMED = {
    "--rounds": "--epochs",
    "--passes": "--epochs",
    "--results": "--output",
    "--json": "--output",
    "--without-zeros": "--nonzero-pixels",
    "--fall": "--schedule",
    "--mask": "--input-dropout",
    "--batches": "--batch",
    "--grid": "`study grid`",
    "--relu": "`study relu`",
    "--choose": "`tune --rates-by-batch`",
    "portrait": "`inspect`",
    "article": "`study article`",
    "waterfall": "`study waterfall`",
    "batches": "`study batches`",
    "peers": "`study peers`",
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, which names the new word for one that was replaced."""

    def __init__(self, **settings: object) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with 2."""
        words = message.replace("'", " ").replace("=", " ").split()
        old = next((word for word in words if word in RENAMED), None)
        if old and ("unrecognized" in message or "invalid choice" in message):
            message = f"{old}: was replaced by {RENAMED[old]}"
        self.exit(COULD_NOT, f"error: {message}; see `{self.prog} --help`\n")


def exit_code(work: Callable[[], int], *bad_input: type[Exception]) -> int:
    """Do the work of a command; whatever goes wrong ends in one line and an exit code.

    work: returns 0, or 1 where it found something. bad_input: errors whose message is for the user. Anything else that
    is raised is a fault of ours: its traceback is shown, and the code is 2 as well, so that 1 always means a finding.
    """
    try:
        code = work()
        sys.stdout.flush()
        return code
    except bad_input as error:
        return could_not(str(error))
    except MemoryError as error:
        return could_not(f"not enough memory ({error}); choose a smaller network, or fewer images or epochs")
    except BrokenPipeError:  # the reader, such as `head`, had enough; leave nothing to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:  # as on a full disk
        return could_not(f"{error}; make room, or choose another place")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except Exception:
        traceback.print_exc()
        return COULD_NOT


def could_not(reason: str) -> int:
    """Say why, in one line without anything that a terminal would obey; returns the exit code."""
    sys.stderr.write(f"error: {''.join(c if c.isprintable() else ' ' for c in reason)}\n")
    return COULD_NOT


# --- how values are read ---------------------------------------------------------------------------------


def several(one: Callable[[str], Value]) -> Callable[[str], list[Value]]:
    """Values separated by commas, each read by `one`."""

    def read(text: str) -> list[Value]:
        values = [one(part.strip()) for part in text.split(",") if part.strip()]
        if not values:
            raise argparse.ArgumentTypeError(f"{text!r}: expected one value or more, separated by commas")
        return values

    return read


def choice(*known: str) -> Callable[[str], str]:
    """One of these words; for use within `several`."""

    def read(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text!r}: expected one of {', '.join(known)}")
        return text

    return read


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


def output_file(text: str) -> Path:
    """A file that can be written: better to know before the work than after. What is there stays until then."""
    path = Path(text)
    if not path.parent.is_dir() or path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a file in a folder that exists and can be written")
    return path
