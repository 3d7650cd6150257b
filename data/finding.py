"""Find the four files of a set under the names, and in the folders, that other programs give them.

Unpackers write a dot for a dash, some systems change the case, torchvision has folders of its own, Kaggle puts each
file into a folder of the same name, and EMNIST and QMNIST put a word before it and write "test" for "t10k".
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from data.digits import DataError

DEPTH = 2  # folders below the one that is named, as in torchvision's MNIST/raw
SUFFIXES = ("", "gz", "bz2", "xz", "zip")  # where a file has several, the first is taken
# Of a name in lower case, with dashes for dots and underscores.
NAME = re.compile(rf"(?:.*-)?(train|t10k|test)-(images|labels)-idx\d-(?:ubyte|int)(?:-({'|'.join(SUFFIXES[1:])}))?")
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".zst")
LISTED = 5  # names in a message


class Parts(NamedTuple):
    """What a file's name says."""

    split: str
    """"train" or "test"."""
    content: str
    """"images" or "labels"."""
    suffix: str
    """One of SUFFIXES."""


def find(folder: Path, names: Sequence[str], remedy: str) -> list[Path]:
    """Return the paths of the files that are published under these names, in their order.

    A file may have another spelling of its name and be compressed. If the folder itself lacks one of them, all are
    also sought up to DEPTH folders down. Raises DataError with the given remedy for a folder that cannot be read, that
    lacks a file, or that has two which fit one name.
    """
    try:
        if not folder.is_dir():
            raise DataError(f"{folder}: not a folder, expected one with {', '.join(names)} (plain or .gz); {remedy}")
        found = _search(folder, names, DEPTH)
        for name in names:
            if not found[name]:
                raise DataError(_missing(folder, name, remedy))
            if len(found[name]) > 1:
                several = _listed(str(path.relative_to(folder)) for path in found[name])
                raise DataError(f"{folder}: expected one {name}, found {several}; leave one of them, or {remedy}")
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); {remedy}") from None
    return [found[name][0] for name in names]


def _search(folder: Path, names: Sequence[str], depth: int) -> dict[str, list[Path]]:
    """Return what fits each name in a folder and, unless it has all of them, in those below it; no hidden files."""
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    found = {name: _fitting(entries, name) for name in names}
    if depth == 0 or all(found.values()):
        return found
    for entry in entries:
        try:
            below = _search(entry, names, depth - 1) if entry.is_dir() else {}
        except PermissionError:  # such as lost+found
            continue
        for name, paths in below.items():
            found[name] += paths
    return found


def _fitting(entries: Iterable[Path], name: str) -> list[Path]:
    """Return the files with a spelling of this name; of those that differ only in their compression, one."""
    wanted = _parts(name)
    fitting: dict[str, list[tuple[int, Path]]] = {}  # by the name without its suffix
    for path in entries:
        parts = _parts(path.name)
        if parts and wanted and parts[:2] == wanted[:2] and path.is_file():
            stem = path.stem if parts.suffix else path.name
            fitting.setdefault(stem, []).append((SUFFIXES.index(parts.suffix), path))
    return [min(copies)[1] for copies in fitting.values()]


def _parts(name: str) -> Parts | None:
    match = NAME.fullmatch(re.sub("[._]", "-", name.lower()))
    return Parts(match[1].replace("t10k", "test"), match[2], match[3] or "") if match else None


def _missing(folder: Path, name: str, remedy: str) -> str:
    """Return the message about a file that is missing, with what is there instead."""
    entries = sorted(folder.iterdir())
    found = _listed(f"{path.name}/" if path.is_dir() else path.name for path in entries)
    archive = next((path.name for path in entries if path.name.lower().endswith(ARCHIVES)), None)
    unpack = f"unpack {_listed([archive])}, or " if archive else ""
    return (
        f"{folder}: expected {name}, plain or compressed, in it or up to {DEPTH} folders down, "
        f"found {found or 'an empty folder'}; {unpack}{remedy}"
    )


def _listed(names: Iterable[str]) -> str:
    """Return the first of the names on one line, and how many more there are."""
    shown = [name if name.isprintable() else repr(name) for name in names]
    if len(shown) > LISTED + 1:
        shown[LISTED:] = [f"{len(shown) - LISTED} more"]
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
