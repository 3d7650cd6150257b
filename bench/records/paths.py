"""Paths, which name a machine's users and folders, are shortened to the names of files before anything is kept.

They can be in the command that was given, in variables such as LD_PRELOAD, and in the messages of a backend that
failed.
"""

import re
import shlex
from typing import Any, TypeVar

import msgspec

from bench.timing.records import Record

Kind = TypeVar("Kind", bound=Record)
TEXTS = ("reason", "failure", "unsupported")  # fields of records that may hold the message of an exception
HOME = "~"  # for a folder that is named after its user
# How a path begins: at the root, a home, a drive, a shared folder, an address of a file, or on another machine.
SHARED = r"(?<![:\w])(?://|\\\\)(?=\w)"
BEGINNING = rf"(?:{SHARED}|(?:file://|[\w.+-]+@[\w.-]+:)?(?:/(?=[\w.~-])|~[\w.-]*[/\\]|[A-Za-z]:[/\\]))"
NAME = r"""[^\s/\\:;,'"()\[\]{}<>|]+"""
# Within quotes a path may hold spaces and all else; elsewhere it ends where the name of a file hardly goes on.
QUOTED = re.compile(rf"""(?P<quote>['"])(?P<path>{BEGINNING}(?:(?!(?P=quote)).)*)(?P=quote)""")
BARE = re.compile(rf"(?<![\w/\\.<])(?P<path>{BEGINNING}(?:{NAME}[/\\]+)*(?:{NAME})?)")
OF_A_USER = re.compile(r"(?:[/\\](?:home|Users)[/\\]+[^/\\]+|~[^/\\]*|[/\\]root)[/\\]*$")


def without_paths(record: Kind) -> Kind:
    """The same record, with names of files for paths in its messages."""
    texts = {name: getattr(record, name, None) for name in TEXTS}
    short = {name: shortened(text) for name, text in texts.items() if text is not None}
    return msgspec.structs.replace(record, **short) if short else record


def shortened_command(command: str) -> str:
    """A command with the last name of each path in it, also of one that leads to a folder above."""
    try:
        words = shlex.split(command) if re.search("['\"]", command) else command.split()
    except ValueError:  # a quotation without an end
        words = command.split()
    short = [shortened_word(word) for word in words]
    return command if short == words else shlex.join(short)


def shortened_word(word: str) -> str:
    """A word of a command, an option and its values perhaps, with the last name of each path in it."""
    option, equals, values = word.rpartition("=")
    outside = re.compile(rf"{BEGINNING}|\.\.[/\\]")
    names = [last_name(value) if outside.match(value) else shortened(value) for value in values.split(",")]
    return option + equals + ",".join(names)


def shortened(value: Any) -> Any:
    """A value of JSON, with the last name of each path in its texts; the names of fields stay."""
    if isinstance(value, dict):
        return {name: shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shortened(item) for item in value]
    if not isinstance(value, str) or not re.search(r"[/\\]", value):
        return value
    quoted = QUOTED.sub(lambda found: f"{found['quote']}{last_name(found['path'])}{found['quote']}", value)
    return BARE.sub(lambda found: last_name(found["path"]), quoted)


def last_name(path: str) -> str:
    """The last name of a path, "~" for the home of a user."""
    return HOME if OF_A_USER.search(path) else re.split(r"[/\\]", path.rstrip("/\\"))[-1] or path[:1]
