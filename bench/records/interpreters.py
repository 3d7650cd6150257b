"""What the other interpreters of single backends have, by their own word: Python, libraries, the backend's source."""

import functools
from collections.abc import Iterable
from multiprocessing.connection import Connection
from typing import Any

import impls
from bench import UserError
from bench.records import environment, fingerprint
from bench.timing.process import Child, ChildFailed
from impls.interpreters import Interpreter

TIME_LIMIT = 60.0  # seconds to describe one


def machine_with_them(machine: dict[str, Any], backends: Iterable[str]) -> dict[str, Any]:
    """The description of the machine, with `interpreters`, by backend, where one of these runs in another."""
    pythons = {name: python for name in backends if (python := impls.interpreter_of(name)) is not None}
    described = {name: description(python) for name, python in sorted(pythons.items())}
    parts = {name: {part: one[part] for part in one if part != "source"} for name, one in described.items()}
    return machine | {"interpreters": parts} if parts else machine


def sources_of(participants: dict[str, str]) -> dict[str, str]:
    """The hash of each participant's source as its interpreter finds it, see `fingerprint.sources_of`."""
    there, here = {}, {}
    for name, backend in participants.items():
        if (python := impls.interpreter_of(backend)) is not None:
            there[name] = description(python)["source"]
        else:
            here[name] = backend
    return fingerprint.sources_of(here) | there


@functools.cache
def description(python: Interpreter) -> dict[str, Any]:
    """Ask an interpreter what it has. Raises UserError where it cannot say."""
    with Child(send_description, python.name, python=python) as child:
        try:
            described: dict[str, Any] = child.answer(TIME_LIMIT)
        except ChildFailed as failure:
            raise UserError(
                f"--python {python.name}=...: expected to learn its libraries, found that it {failure}"
            ) from None
    return described


def send_description(connection: Connection, backend: str) -> None:
    """Send what this process has."""
    connection.send(
        {
            **environment.software(),
            "libraries of GPUs": environment.libraries_of_gpus(),
            "source": fingerprint.source_of(backend),
        }
    )
