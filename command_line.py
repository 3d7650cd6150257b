"""What all command lines share: one parser, readers of values, and exit codes.

Plain argparse: it is in every Python, its subcommands suffice, and it lacks only the few readers of values below.
"""

import argparse
import codecs
import contextlib
import errno
import io
import math
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

from untrusted import brief

Value = TypeVar("Value")
Number = TypeVar("Number", int, float)

COULD_NOT = 2  # usage, bad input, something that is not installed, any unexpected error
OF_SIGNALS = 128  # the code after a signal is this and its number
ENDING = ("SIGINT", "SIGTERM", "SIGHUP")  # signals that end a command; Windows lacks the last

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a user's share of it, a limit
MOST_WORDS = 340  # characters of a message about the command line, which may list all backends

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


class Option(NamedTuple):
    """An option or a positional argument, as data.

    name: with what stands for a value in the help, "--epochs N"; "files FILE..." takes one or more. reads: the reader
    of a value, or all possible values; None: a switch. default: read like what a user gives. without: what the help
    says in its place. repeats: the values of several occurrences make one list.
    """

    name: str
    does: str
    reads: Callable[[str], Any] | Collection[str] | None = None
    default: object = None
    without: object = None
    repeats: bool = False

    def add_by(self, add_argument: Callable[..., object]) -> None:
        """Add it by this method of a parser or of a group; its help ends with the default."""
        flag, _, metavar = self.name.partition(" ")
        shown = self.default if self.without is None else self.without
        text = self.does if shown is None else f"{self.does} (default: {shown})"
        if self.reads is None:
            add_argument(flag, action="store_true", help=text)
            return
        add_argument(
            flag,
            action="extend" if self.repeats else "store",
            nargs="+" if metavar.endswith("...") else "?" if shown is not None and not flag.startswith("-") else None,
            default=None if self.default is None else str(self.default),
            metavar=metavar.removesuffix("...") or None,
            help=text,
            **{"type" if callable(self.reads) else "choices": self.reads},
        )


class Store(argparse.Action):
    """Keep the value of an option or argument; refuse an option that is given twice, of which one value would count."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, value: Any, flag: str | None = None
    ) -> None:
        """Keep the value, and the name of an option in `given`."""
        if flag is not None:
            if self.dest in namespace.given:
                raise argparse.ArgumentError(self, "is given twice, expected once")
            namespace.given |= {self.dest}
        setattr(namespace, self.dest, value)


class Extend(argparse.Action):
    """Make one list of the values of several occurrences of an option; refuse a value that is given twice."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, flag: str | None = None
    ) -> None:
        """Add the values, and the name of the option to `given`."""
        together = [*(getattr(namespace, self.dest) or ()), *values]
        if twice := given_twice(together):
            raise argparse.ArgumentError(self, twice)
        namespace.given |= {self.dest}
        setattr(namespace, self.dest, together)


class Switch(argparse.Action):
    """An option without a value; to give it twice says the same."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(nargs=0, default=False, **settings)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, value: Any, flag: str | None = None
    ) -> None:
        """Turn it on, and add its name to `given`."""
        namespace.given |= {self.dest}
        setattr(namespace, self.dest, True)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and name what replaced an option or command.

    In its result `given` has the names of the options that were given; others have their defaults.
    """

    def __init__(self, **settings: object) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)  # type: ignore[arg-type]
        for name, action in {None: Store, "store": Store, "extend": Extend, "store_true": Switch}.items():
            self.register("action", name, action)
        self.set_defaults(given=frozenset())

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, with the new name of an option or command that was renamed, and exit with 2."""
        words = message.replace("'", " ").replace("=", " ").split()
        old = next((word for word in words if word in RENAMED), None)
        if old and ("unrecognized" in message or "invalid choice" in message):
            message = f"{old}: was replaced by {RENAMED[old]}"
        message = re.sub(r"\S{101,}", lambda word: brief(word[0], 100), message)  # an endless value
        self.exit(COULD_NOT, f"error: {brief(message, MOST_WORDS)}; see `{self.prog} --help`\n")


def exit_code(work: Callable[[], int], *bad_input: type[Exception]) -> int:
    """Do the work of a command and return its exit code; an expected error is printed in one line.

    work: returns 0, or 1 where it found something. bad_input: errors whose message is for the user. Anything else that
    is raised is a bug: its traceback is printed. Without a verdict the code is 2, so 1 always means a finding. SIGTERM
    and SIGHUP, of a closed terminal, interrupt the work like Ctrl-C, so that it is tidied up.
    """
    write_lookalikes()
    with interrupted_by_signals() as received:
        code = code_of(work, bad_input, received)
    return OF_SIGNALS + received[0] if received else code


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[list[int]]:
    """Within the `with`, signals of ENDING raise KeyboardInterrupt, and the list that this yields gets their numbers.

    After the first, what it began to tidy up is left in peace by all but Ctrl-C. A signal that is ignored, as by
    `nohup`, or has another handler, keeps that.
    """
    received: list[int] = []
    usual = (signal.SIG_DFL, signal.default_int_handler)
    known = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in known if signal.getsignal(number) in usual}
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        before = {}

    def interrupt(number: int, _: object) -> None:
        for each in before.keys() - {signal.SIGINT}:
            signal.signal(each, signal.SIG_IGN)
        received.append(number)
        spare_closed_terminal()
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def spare_closed_terminal() -> None:
    """Let nothing fail that is still to be printed, where the terminal for it is closed."""
    for descriptor in (1, 2):
        try:
            os.write(descriptor, b"")
        except OSError:
            with contextlib.suppress(OSError):  # it was closed from the beginning
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def code_of(work: Callable[[], int], bad_input: tuple[type[Exception], ...], received: Sequence[int]) -> int:
    """Do the work and return its exit code; print an error. See `exit_code`. received: signals, so far none."""
    try:
        try:
            return work()
        finally:
            sys.stdout.flush()  # also what --help printed, which ends in SystemExit
    except bad_input as error:
        return could_not(str(error))
    except MemoryError as error:
        return could_not(f"not enough memory ({error}); choose a smaller network, or fewer images or epochs")
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe; leave nothing to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return COULD_NOT
    except ModuleNotFoundError as error:
        remedy = f"`{sys.executable} -m pip install -c constraints.txt -e .` in the checkout brings what is needed"
        return could_not(f"{error}, with {sys.executable}; {remedy}")
    except OSError as error:  # such as a full disk
        unnamed = "a file, or what stdout leads to" if error.errno in FULL else ""
        where = unnamed if error.filename is None else brief(error.filename)
        reason = f"{where}: {error.strerror}" if where else str(error)
        return could_not(f"{reason}; make room, or choose another place")
    except SystemExit as exit_:
        if exit_.code in (0, COULD_NOT):  # argparse's, after --help or an error
            raise
        return COULD_NOT  # such as rich's, which exits with 1 where the reader has closed the pipe
    except KeyboardInterrupt:
        number = received[0] if received else signal.SIGINT
        sys.stderr.write("interrupted\n" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}\n")
        return OF_SIGNALS + number
    except Exception:
        traceback.print_exc()
        return COULD_NOT


LOOKALIKES = {"–": "-", "─": "-", "·": ".", "…": ".", "†": "+", "µ": "u", "×": "x", "∞": "~", "“": '"', "”": '"'}
LOOKALIKES |= dict(zip("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\|/-\\|/", strict=True))  # rich shows these in turn, as something that turns


def write_lookalikes() -> None:
    """Let the output have ASCII for what its encoding lacks, such as a dash in a terminal that is not UTF-8."""
    codecs.register_error("lookalikes", lookalikes)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="lookalikes")


def lookalikes(error: UnicodeError) -> tuple[str, int]:
    """Return an ASCII character for each that cannot be encoded, so that tables keep their columns, and where to go on.

    Raises the error if it is another.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(LOOKALIKES.get(one, "?") for one in error.object[error.start : error.end]), error.end


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
        if twice := given_twice(values):
            raise argparse.ArgumentTypeError(f"{text!r}: {twice}")
        return values

    return read


def given_twice(values: Sequence[Any]) -> str | None:
    """Say which value is there a second time, if one is."""
    twice = (value for i, value in enumerate(values) if value in values[:i])
    return next((f"{value} is given twice, expected once" for value in twice), None)


def choice(known: Collection[str]) -> Callable[[str], str]:
    """A reader of one of these words; for use within `several`."""

    def read(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text!r}: expected one of {', '.join(known)}")
        return text

    return read


def whole_number(least: int) -> Callable[[str], int]:
    """A reader of a whole number from `least`, below 2^63, so that it fits into an array."""
    return _within(int, least, 2**63, f"a whole number from {least}")


def number(least: float, below: float = math.inf) -> Callable[[str], float]:
    """A reader of a finite number from `least`, below `below`."""
    until = f" and below {below:g}" if below < math.inf else ""
    return _within(float, least, below, f"a finite number from {least:g}{until}")


def _within(kind: Callable[[str], Number], least: float, below: float, expected: str) -> Callable[[str], Number]:
    """A reader of a number of this kind from `least`, below `below`; expected: what else is refused with."""

    def read(text: str) -> Number:
        with contextlib.suppress(ValueError):  # it is no number
            if least <= (value := kind(text)) < below:
                return value
        raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")

    return read


def output_file(text: str) -> Path:
    """Return the path of a file that can be written, checked before the work; an existing file is left as it is."""
    path = Path(text)
    try:
        fits = path.parent.is_dir() and not path.is_dir() and os.access(path if path.exists() else path.parent, os.W_OK)
    except OSError:  # a name that is too long
        fits = False
    if not fits:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a file in a folder that exists and can be written")
    return path
