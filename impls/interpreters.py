"""Other interpreters for single backends: `--python torch=/opt/torch/bin/python`.

Two libraries may not fit into one environment, as PyTorch and JAX, each with its own CUDA. So the process of a backend
may be of another Python, in whose environment its library is installed; what it runs is this checkout's code. `used`
says which, while a command runs, and finds out whether the backend can be used there. Nothing here imports a library,
and no path gets into results.
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from untrusted import kind_of

LEAST = (3, 11)  # of Python, as in pyproject.toml
NEEDED = {"numpy": 2, "msgspec": 0, "threadpoolctl": 3}  # what this checkout's workers import: the least major version
SECONDS = 60.0  # that it may take to answer
# What it runs to say what it has: a checkout's `answer`, after its own place for modules of the current folder.
ASK = "import sys; sys.path.insert(1, sys.argv[1]); from impls import interpreters; interpreters.answer(sys.argv[2])"


class BadInterpreter(ValueError):
    """What cannot be the interpreter of a backend; the message says why, in one line."""


class Choice(NamedTuple):
    """What --python asks for: the name of a backend, and the path of a Python, or its name as the shell finds it."""

    name: str
    command: str

    def __str__(self) -> str:
        return f"{self.name}={self.command}"


class Interpreter(NamedTuple):
    """Another interpreter, which has what it needs to run a backend."""

    name: str  # of the backend
    executable: str
    path: tuple[str, ...]  # where it finds modules: its own `sys.path`, with this checkout


_used: dict[str, Interpreter] = {}  # by the name of the backend


@contextlib.contextmanager
def used(choices: Sequence[Choice]) -> Iterator[None]:
    """Within the `with`, these backends run in these interpreters. Raises BadInterpreter for what is none, or twice."""
    names = [choice.name for choice in choices]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadInterpreter(f"--python: {twice} is given twice, expected once")
    before = dict(_used)
    _used.clear()
    _used.update({choice.name: interpreter(choice) for choice in choices})
    try:
        yield
    finally:
        _used.clear()
        _used.update(before)


def of(name: str) -> Interpreter | None:
    """Return the interpreter in which this backend runs; None: the one that runs this."""
    return _used.get(name)


def names() -> tuple[str, ...]:
    """Return the names of the backends that run in others."""
    return tuple(_used)


def check_all_take_part(participants: Collection[str]) -> None:
    """Raise BadInterpreter where one is for a backend that is none of these."""
    for name in _used:
        if name not in participants:
            known = ", ".join(dict.fromkeys(participants))
            raise BadInterpreter(f"--python {name}=...: expected one of the backends that take part, {known}")


def interpreter(choice: Choice) -> Interpreter:
    """Ask the interpreter what it has. Raises BadInterpreter where it is none, too old, or lacks something."""
    what = f"--python {choice}"
    executable = shutil.which(choice.command)
    if executable is None:
        found = "a folder" if kind_of(choice.command) == "folder" else "no program"
        raise BadInterpreter(f"{what}: expected a Python, found {found}; give one, such as /opt/torch/bin/python")
    executable = str(Path(executable).absolute())  # not resolved, as that of an environment is a link
    said = output(what, executable, "-V")
    version = re.match(r"Python (\d+)\.(\d+)", said)
    if version is None:
        raise BadInterpreter(f"{what}: expected a Python, found a program that does not answer -V like one; give one")
    if (int(version[1]), int(version[2])) < LEAST:
        least = ".".join(map(str, LEAST))
        raise BadInterpreter(f"{what}: expected Python {least} or newer, found {version[0]}; make it with a newer one")
    root = str(Path(__file__).parent.parent)
    lines = output(what, executable, "-c", ASK, root, choice.name).splitlines()
    try:
        answered: dict[str, Any] = json.loads(lines[-1])
    except (ValueError, IndexError):
        said = lines[-1][:200] if lines else "nothing"
        raise BadInterpreter(f"{what}: expected to learn what it has, found {said}; see whether it works") from None
    if answered["lacks"]:
        wanted = " ".join(f"'{library}'" for library in answered["lacks"])
        raise BadInterpreter(f"{what}: lacks {wanted}; `{choice.command} -m pip install {wanted}` brings that")
    if answered["refused"]:
        raise BadInterpreter(f"{what}: in that interpreter {answered['refused']}")
    return Interpreter(choice.name, executable, tuple(answered["path"]))


def output(what: str, *command: str) -> str:
    """What a command prints, errors included. Raises BadInterpreter where it cannot be run."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise BadInterpreter(f"{what}: gave no answer within {SECONDS:g} s; see whether it works") from None
    except OSError as error:
        raise BadInterpreter(f"{what}: cannot be run ({error.strerror}); give a Python") from None
    return done.stdout.decode(errors="replace").strip()


def answer(name: str) -> None:
    """Print, in the interpreter that is asked, what it has, as JSON in one line.

    That is its `path`, what it `lacks` of NEEDED, and why it cannot be used for this backend, if it is `refused`.
    """
    import impls

    refused = None
    try:
        impls.check(name)
    except (impls.UnknownBackend, impls.BackendUnavailable) as error:
        refused = str(error)
    sys.stdout.write(f"{json.dumps({'path': sys.path, 'lacks': lacking(), 'refused': refused})}\n")


def lacking() -> list[str]:
    """The libraries of NEEDED that are not installed here, or too old, as pip is asked for them."""
    return [
        f"{library}>={least}" if least else library
        for library, least in NEEDED.items()
        if major_version(library) < least
    ]


def major_version(library: str) -> int:
    """The first number of the version that is installed; -1 where there is none."""
    if importlib.util.find_spec(library) is None:
        return -1
    return int(importlib.metadata.version(library).partition(".")[0])
