"""Libraries are asked where they train differently; what they say is kept for the report."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from rich.console import Console

from bench.dialects import asking
from bench.dialects.asking import ask_each, versions
from bench.records.dialects import Dialects, Heard, Said, write
from bench.records.kinds import opening


def study(console: Console, names: Sequence[str], seconds: float, path: Path) -> None:
    """Ask these libraries, with a line for each, and keep all that they say in this file.

    It is written again after each library, so that an interruption costs one alone. seconds: for each answer. A library
    that is not installed, or cannot be imported, is absent, with the reason. Raises UserError where the file cannot be
    written.
    """
    libraries: dict[str, str] = {}
    absent: dict[str, str] = {}
    for name in names:
        try:
            libraries[name] = versions(name)
        except PackageNotFoundError as missing:
            absent[name] = f"{missing.name} is not installed; pip install {missing.name}"
    kept = Dialects(**opening(), libraries={}, absent=absent, heard=[])
    write(path, kept)
    for name, said in ask_each(list(libraries), seconds):
        if isinstance(said, str):
            absent[name] = f"cannot be asked: {said}"
            console.print(f"{name} {absent[name]}", markup=False)
        else:
            kept.libraries[name] = libraries[name]
            kept.heard.extend(map(record_of, said))
            console.print(f"{name}: {len(said)} answers", markup=False)
        write(path, kept)


def record_of(heard: asking.Heard) -> Heard:
    """What a library said, as a record."""
    remedied = Said(*heard.remedied) if heard.remedied else None
    return Heard(heard.library, heard.question, Said(*heard.said), remedied, heard.advice)
