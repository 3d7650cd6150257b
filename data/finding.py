"""Find the four arrays of a set under the names, and in the folders, that other programs give them.

Unpackers write a dot for a dash, some systems change the case, torchvision has folders of its own, Kaggle puts each
file into a folder of the same name, EMNIST and QMNIST put a word before it and write "test" for "t10k", and KMNIST,
Kuzushiji-49 and Kannada-MNIST are .npz files of one array each. Keras and MedMNIST keep a whole set in one .npz.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from data import npz
from data.digits import DataError
from untrusted import brief

DEPTH = 2  # folders below the one that is named, as in torchvision's MNIST/raw
SUFFIXES = ("", "gz", "bz2", "xz", "zip", "npz")  # where a file has several, the first is taken
# Of a name in lower case, with dashes for dots and underscores: IDX files, and .npz files of one array.
NAMES = (
    re.compile(
        r"(?:(?P<set>.*)-)?(?P<split>train|t10k|test)-(?P<content>images|labels)-idx\d-(?:ubyte|int)"
        r"(?:-(?P<suffix>gz|bz2|xz|zip))?"
    ),
    re.compile(r"(?:(?P<set>.*)-)?(?P<split>train|t10k|test)-(?P<content>images|imgs|labels)-(?P<suffix>npz)"),
    re.compile(r"(?P<content>x|y)-(?P<set>.*)-(?P<split>train|test)-(?P<suffix>npz)"),
)
SAME = {"t10k": "test", "imgs": "images", "x": "images", "y": "labels"}
# The arrays of a whole set in one .npz, in the order of the four files: Keras' names, and MedMNIST's.
WHOLE_SETS = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
)
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".zst")
LISTED = 5  # names in a message


class Stored(NamedTuple):
    """Where one of the four arrays is."""

    path: Path
    key: str = ""
    """Its name in an .npz of several arrays; "" for the only array of a file."""

    def __str__(self) -> str:
        return f"{self.path}, array {self.key}" if self.key else str(self.path)


class Parts(NamedTuple):
    """What a file's name says."""

    split: str
    """"train" or "test"."""
    content: str
    """"images" or "labels"."""
    suffix: str
    """One of SUFFIXES."""
    of_set: str
    """What distinguishes it from other sets in the same folder, such as "emnist-letters"; often ""."""


def find(source: Path, names: Sequence[str], remedy: str) -> list[Stored]:
    """Return where the arrays are that are published as files of these names, in their order.

    source: a folder, an .npz of a whole set, or a folder and the word with which the names of one set in it begin. A
    file may have another spelling of its name and be compressed. If the folder itself lacks one of them, all are also
    sought up to DEPTH folders down. Raises DataError with the given remedy for what cannot be read, a folder that lacks
    a file, or one that has two sets.
    """
    try:
        if source.is_file() and (whole := _whole_set(source)):
            return whole
        folder, word = (source, "") if source.is_dir() else (source.parent, source.name)
        if word and not (folder.is_dir() and _entries(folder, word)):
            raise DataError(_no_folder(source, names, remedy))
        found, wholes = _search(folder, names, 0 if word else DEPTH, word)
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror}); {remedy}") from None
    if len(wholes) == 1 and not any(found.values()):
        return wholes[0]
    for name in names:
        candidates = found[name] + [whole[0].path for whole in wholes]
        if len(candidates) > 1:
            raise DataError(_ambiguous(folder, name, candidates, found, remedy))
        if not candidates:
            raise DataError(_no_folder(source, names, remedy) if word else _missing(folder, name, remedy))
    return [Stored(found[name][0]) for name in names]


def _entries(folder: Path, word: str = "") -> list[Path]:
    """Return what is in a folder, without hidden files, and only what begins with this word, in any case."""
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in visible if path.name.lower().startswith(word.lower()))


def _whole_set(path: Path) -> list[Stored]:
    """Return where the four arrays are in an .npz of a whole set; none for any other file."""
    arrays = npz.names(path)
    keys = next((keys for keys in WHOLE_SETS if set(keys) <= set(arrays)), ())
    return [Stored(path, key) for key in keys]


def _search(
    folder: Path, names: Sequence[str], depth: int, word: str = ""
) -> tuple[dict[str, list[Path]], list[list[Stored]]]:
    """Return the files that fit each name, and the .npz of whole sets: those in a folder and, unless it has a set,
    those in folders below it."""
    entries = _entries(folder, word)
    found = {name: _fitting(entries, name) for name in names}
    archives = [path for path in entries if path.suffix.lower() == ".npz" and path.is_file()]
    wholes = [whole for path in archives if (whole := _whole_set(path))]
    if depth == 0 or all(found.values()) or wholes:
        return found, wholes
    for entry in entries:
        try:
            below, more = _search(entry, names, depth - 1) if entry.is_dir() else ({}, [])
        except PermissionError:  # such as lost+found
            continue
        wholes += more
        for name, paths in below.items():
            found[name] += paths
    return found, wholes


def _fitting(entries: Iterable[Path], name: str) -> list[Path]:
    """Return the files with a spelling of this name; of those that differ only in their compression, one."""
    wanted = parts_of(name)
    fitting: dict[str, list[tuple[int, Path]]] = {}  # by the name without its suffix
    for path in entries:
        parts = parts_of(path.name)
        if parts and wanted and parts[:2] == wanted[:2] and path.is_file():
            stem = path.stem if parts.suffix else path.name
            fitting.setdefault(stem, []).append((SUFFIXES.index(parts.suffix), path))
    return [min(copies)[1] for copies in fitting.values()]


def plain(name: str) -> str:
    """Return a name in lower case, with dashes for dots and underscores."""
    return re.sub("[._]", "-", name.lower())


def parts_of(name: str) -> Parts | None:
    """Return what a file's name says; None for a name that no file of a set has."""
    match = next(filter(None, (pattern.fullmatch(plain(name)) for pattern in NAMES)), None)
    if match is None:
        return None
    split, content, suffix, of_set = (match[part] or "" for part in ("split", "content", "suffix", "set"))
    return Parts(SAME.get(split, split), SAME.get(content, content), suffix, of_set)


# --- what is said where nothing, or more than one thing, was found --------------------------------------------


def _no_folder(source: Path, names: Sequence[str], remedy: str) -> str:
    """Return the message about a source that is neither a folder nor an .npz of a whole set."""
    arrays = npz.names(source) if source.is_file() else ()
    found = f", found the arrays {_listed(brief(name, 40) for name in arrays)}" if arrays else ""
    keys = _listed(WHOLE_SETS[0])
    return (
        f"{source}: not a folder, expected one with {', '.join(names)} (plain or .gz), or an .npz with {keys}{found}; "
        f"{remedy}"
    )


def _ambiguous(folder: Path, name: str, candidates: Sequence[Path], found: dict[str, list[Path]], remedy: str) -> str:
    """Return the message about a folder with several sets: which they are, and how to name one of them."""
    complete = set.intersection(*({_place(path) for path in paths} for paths in found.values()))
    alone = {path for path in candidates if path not in found[name]}  # .npz of whole sets
    sets = sorted((complete | alone) - {folder})
    several = _listed(str(path.relative_to(folder)) for path in candidates)
    choose = f"give one of the sets, {_listed(map(str, sets), 'or')}" if sets else "leave one of them"
    return f"{folder}: expected one {name}, found {several}; {choose}, or {remedy}"


def _place(path: Path) -> Path:
    """Return what names the set of a file: the folder, and the word before its name; see `find`."""
    folder = path.parent.parent if parts_of(path.parent.name) else path.parent  # Kaggle's folder for each file
    parts = parts_of(path.name)
    word = path.name[: len(parts.of_set)] if parts else ""
    return folder / word if parts and word and plain(word) == parts.of_set else folder


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


def _listed(names: Iterable[str], last: str = "and") -> str:
    """Return the first of the names on one line, and how many more there are."""
    shown = [name if name.isprintable() else repr(name) for name in names]
    if len(shown) > LISTED + 1:
        shown[LISTED:] = [f"{len(shown) - LISTED} more"]
    return f" {last} ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
