"""Libraries are asked where they train differently; what they say is kept for the report."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError

from rich.console import Console

from bench.dialects.asking import LIBRARIES, ask_each, versions
from bench.records.dialects import Dialects, Heard, Said
from bench.records.kinds import opening


def study(console: Console, names: Sequence[str], seconds: float) -> Dialects:
    """Ask these libraries, with a line for each, and return all that they said.

    seconds: for each answer. A library that is not installed, or cannot be imported,
    is absent, with the reason.
    """
    libraries: dict[str, str] = {}
    absent: dict[str, str] = {}
    for name in names:
        try:
            libraries[name] = versions(name)
        except PackageNotFoundError as missing:
            absent[name] = f"{missing.name} is not installed; pip install {missing.name}"
    heard: list[Heard] = []
    for name, said in ask_each(list(libraries), seconds):
        if isinstance(said, str):
            absent[name] = f"cannot be asked: {said}"
            del libraries[name]
            continue
        for one in said:
            remedied = Said(*one.remedied) if one.remedied else None
            heard.append(Heard(one.library, one.question, Said(*one.said), remedied, one.advice))
        console.print(f"{name}: {len(said)} answers", markup=False)
    ordered = {name: why for name, why in absent.items() if name in LIBRARIES}
    return Dialects(**opening(), libraries=libraries, absent=ordered, heard=heard)
