"""What libraries said to the questions of `bench/dialects/`, as a file."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from bench.records.paths import shortened
from whole_files import written_whole


class Said(Struct, frozen=True, forbid_unknown_fields=True):
    """An answer, or why there is none. asked: what was done, in the library's terms."""

    asked: str
    answer: list[float | str] | None = None
    not_asked: str | None = None  # what the library or the machine lacks for it
    failure: str | None = None


class Heard(Struct, frozen=True, forbid_unknown_fields=True):
    """What one library said to one question; with its remedy, or advice that nothing can show."""

    library: str
    question: str
    said: Said
    remedied: Said | None = None
    advice: str | None = None


class Dialects(Struct, frozen=True, kw_only=True, tag_field="kind", tag="dialects", forbid_unknown_fields=True):
    """The content of the file."""

    schema: int
    when: str  # ISO 8601
    command: str
    machine: dict[str, Any]
    data: str
    notice: str | None
    libraries: dict[str, str]  # of those that were asked: what they are, with versions
    absent: dict[str, str]  # reasons by library
    heard: list[Heard]


def write(path: Path, content: Dialects) -> None:
    """Write it as one line of JSON, without paths in it, whole or not at all. Raises UserError where that cannot be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        file.write(msgspec.json.encode(shortened(msgspec.to_builtins(content))) + b"\n")
