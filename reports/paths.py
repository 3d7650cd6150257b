"""Paths of the machine that measured, which name its users and folders, are shortened to the names of files.

A report may be published. Results files hold no host name and no user name, but paths can be in the command that was
given, in variables such as LD_PRELOAD, and in the messages of a backend that failed.
"""

import re
import shlex
from dataclasses import replace
from typing import Any

import msgspec

from bench.records.files import ResultSet
from bench.records.races import RaceResult

HOME = "~"  # for a folder that is named after its user
# How a path begins: at the root, a home, a drive, a shared folder, an address of a file, or on another machine.
SHARED = r"(?<![:\w])(?://|\\\\)(?=\w)"
BEGINNING = rf"(?:{SHARED}|(?:file://|[\w.+-]+@[\w.-]+:)?(?:/(?=[\w.~-])|~[\w.-]*[/\\]|[A-Za-z]:[/\\]))"
NAME = r"""[^\s/\\:;,'"()\[\]{}<>|]+"""
# Within quotes a path may hold spaces and all else; elsewhere it ends where the name of a file hardly goes on.
QUOTED = re.compile(rf"""(?P<quote>['"])(?P<path>{BEGINNING}(?:(?!(?P=quote)).)*)(?P=quote)""")
BARE = re.compile(rf"(?<![\w/\\.<])(?P<path>{BEGINNING}(?:{NAME}[/\\]+)*(?:{NAME})?)")
OF_A_USER = re.compile(r"(?:[/\\](?:home|Users)[/\\]+[^/\\]+|~[^/\\]*|[/\\]root)[/\\]*$")


def without_paths(results: ResultSet) -> ResultSet:
    """The same results, with names of files for paths in all that a report shows besides its tables' numbers."""
    inspection = results.inspection
    if inspection is not None:
        inspection = msgspec.structs.replace(
            inspection, command=shortened_command(inspection.command), source=shortened(inspection.source)
        )
    return replace(
        results,
        machine=shortened(results.machine),
        notice=shortened(results.notice),
        disagreements=shortened(results.disagreements),
        unavailable=shortened(results.unavailable),
        races=[race_without_paths(race) for race in results.races],
        inspection=inspection,
    )


def race_without_paths(race: RaceResult) -> RaceResult:
    """The same race, with names of files for paths; its key, which is no text to show, stays as it is."""
    return replace(
        race,
        command=shortened_command(race.command),
        machine=shortened(race.machine),
        notice=shortened(race.notice),
        left_out=shortened(race.left_out),
        unsupported=shortened(race.unsupported),
        reason=shortened(race.reason),
    )


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
