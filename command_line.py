"""What all command lines share: one parser, readers of values, and exit codes.

Plain argparse: it is in every Python, its subcommands suffice, and it lacks only the few readers of values below.
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
    """An argument parser whose errors are one line, and name what replaced an option or command."""

    def __init__(self, **settings: object) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, with the new name of an option or command that was renamed, and exit with 2."""
        words = message.replace("'", " ").replace("=", " ").split()
        old = next((word for word in words if word in RENAMED), None)
        if old and ("unrecognized" in message or "invalid choice" in message):
            message = f"{old}: was replaced by {RENAMED[old]}"
        self.exit(COULD_NOT, f"error: {message}; see `{self.prog} --help`\n")


def exit_code(work: Callable[[], int], *bad_input: type[Exception]) -> int:
    """Do the work of a command and return its exit code; an expected error is printed in one line.

    work: returns 0, or 1 where it found something. bad_input: errors whose message is for the user. Anything else that
    is raised is a bug: its traceback is printed, and the code is 2 as well, so that 1 always means a finding.
    """
    try:
        code = work()
        sys.stdout.flush()
        return code
    except bad_input as error:
        return could_not(str(error))
    except MemoryError as error:
        return could_not(f"not enough memory ({error}); choose a smaller network, or fewer images or epochs")
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe; leave nothing to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:  # such as a full disk
        return could_not(f"{error}; make room, or choose another place")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except Exception:
        traceback.print_exc()
        return COULD_NOT


def could_not(reason: str) -> int:
    """Print the reason in one line, without control characters; return the exit code."""
    sys.stderr.write(f"error: {''.join(c if c.isprintable() else ' ' for c in reason)}\n")
    return COULD_NOT


# --- how values are read ---------------------------------------------------------------------------------


def several(one: Callable[[str], Value]) -> Callable[[str], list[Value]]:
    """A reader of values separated by commas, each read by `one`."""

    def read(text: str) -> list[Value]:
        values = [one(part.strip()) for part in text.split(",") if part.strip()]
        if not values:
            raise argparse.ArgumentTypeError(f"{text!r}: expected one value or more, separated by commas")
        return values

    return read


def choice(*known: str) -> Callable[[str], str]:
    """A reader of one of these words; for use within `several`."""

    def read(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text!r}: expected one of {', '.join(known)}")
        return text

    return read


def whole_number(least: int) -> Callable[[str], int]:
    """A reader of a whole number from `least`."""

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
    """A reader of a finite number from `least`, below `below`."""

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
    """Return the path of a file that can be written, checked before the work; an existing file is left as it is."""
    path = Path(text)
    if not path.parent.is_dir() or path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a file in a folder that exists and can be written")
    return path
