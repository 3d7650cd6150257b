"""`python -m bench new my_network.py`: write a backend of your own to start from.

It is a template in plain NumPy (impls/template.py) that agrees with the reference as it stands; change it where it is
slow. Every command that takes --backend takes the file, wherever it lies.
"""

import argparse
import shlex
from importlib.machinery import PathFinder
from pathlib import Path

import impls
from bench import UserError
from bench.timing.worker import FLOOR
from command_line import Option
from impls import files
from untrusted import kind_of

TEMPLATE = Path(impls.__file__).with_name("template.py")
OPTIONS = (Option("file FILE", "Write this file, whose name is that of the backend", str),)


def run(arguments: argparse.Namespace) -> int:
    """Write the template, and print what can be done with it; return 0.

    Raises UserError for a file that exists, or whose name is another backend's or a library's, and where none can be
    written.
    """
    file = arguments.file
    try:
        name = files.name_of(file)
    except files.NoBackendFile as error:
        raise UserError(str(error)) from None
    if name in impls.names() or name == FLOOR:
        raise UserError(f"{file}: {name} is the name of another backend; choose another")
    path = Path(file)
    if kind_of(path):
        raise UserError(f"{file}: expected a new file, found one, which is left as it is; choose another name")
    spec = PathFinder.find_spec(name)
    if spec is not None and spec.origin is not None:  # not a mere folder
        raise UserError(f"{file}: {name} is the name of a module that imports would find instead; choose another")
    text = TEMPLATE.read_text(encoding="utf-8").replace("my_network", name)
    try:
        with path.open("x", encoding="utf-8") as written:
            written.write(text)
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror}); choose another place") from None
    print(f"{file} is the backend {name}. Check it, then time it:")
    print(f"    python -m bench agree --backend {shlex.quote(file)}")
    print(f"    python -m bench race --backend {shlex.quote(file)}")
    return 0
