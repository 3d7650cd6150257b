"""Backends in files of the user's own, anywhere on disk: `--backend my_network.py` is the backend `my_network`.

A command knows such a backend by its name, like any other, so that no path gets into results. Where the file lies, and
a checksum of it, are in a variable of the environment, which child processes inherit. One file is one backend: what it
imports from other files of the user's is not in the checksum.
"""

import hashlib
import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from impls import devices
from untrusted import kind_of

VARIABLE = "DIGITBENCH_BACKEND_FILES"  # of this command and its child processes: JSON, a path and a checksum by name
SUFFIX = ".py"
NAME = re.compile(r"[\w-]+")


class NoBackendFile(ValueError):
    """A path that cannot be a backend's file; the message says why, in one line."""


def is_path(text: str) -> bool:
    """Whether this is a path, not the name of a backend or a module's dotted path."""
    return text.endswith(SUFFIX) or any(separator in text for separator in (os.sep, os.altsep) if separator)


def known() -> dict[str, Path]:
    """The files that were added, by the names of their backends."""
    return {name: Path(path) for name, (path, _) in _added().items()}


def add(text: str, taken: Collection[str]) -> str:
    """Make the backend in this file known, in this process and those that it starts; return its name, the file's stem.

    taken: the names of other backends. Raises NoBackendFile where there is no such file, or its name cannot be used.
    """
    path = Path.cwd() / text  # not resolved, as a link may have a name of its own
    if kind_of(path) == "folder":
        raise NoBackendFile(f"{text}: expected a Python file, found a folder; for a package give its dotted path")
    name = name_of(text)
    if kind_of(path) != "file":
        raise NoBackendFile(f"{text}: expected a file, found none; `python -m bench new FILE` writes one to start from")
    if name in taken:
        raise NoBackendFile(f"{text}: {name} is the name of another backend; rename the file, or give --backend {name}")
    other = known().get(name, path)
    if other != path:
        raise NoBackendFile(f"{text}: {other} is a backend called {name} as well; rename one of the files")
    try:
        checksum = checksum_of(path)
    except OSError as error:
        raise NoBackendFile(f"{text}: cannot be read ({error.strerror}); let it be read, or give another") from None
    os.environ[VARIABLE] = json.dumps(_added() | {name: (str(path), checksum)})
    return name


def name_of(text: str) -> str:
    """Return the name of the backend in a file of this path. Raises NoBackendFile where tables cannot show it."""
    path = Path(text)
    if path.suffix != SUFFIX:
        raise NoBackendFile(f"{text}: expected the name of a Python file, such as my_network.py")
    if not NAME.fullmatch(path.stem):
        raise NoBackendFile(
            f"{text}: expected a name of letters, digits, _ and -, as tables and results show it; rename the file"
        )
    return path.stem


def module_in(path: Path, device: str = "") -> ModuleType:
    """Import the backend in this file, which was added; for a device, as a module of its own.

    Raises ImportError where the file has changed since, as results are of one source; and whatever its import raises.
    """
    checksum = checksum_of(path)
    if [str(path), checksum] not in _added().values():
        raise ImportError(f"{path.name} has changed since the command began; start it again")
    # The name of the module differs from every library's, and from that of the same file with other contents.
    module = f"{path.stem.replace('-', '_')}_{checksum[:12]}"
    return devices.executed(f"{module}_on_{device}" if device else module, path, device)


def checksum_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _added() -> dict[str, list[str]]:
    """The path and checksum of each file, by name."""
    added: dict[str, list[str]] = json.loads(os.environ.get(VARIABLE, "{}"))
    return added
