"""Read a set of MNIST's form from files: check what is in them, and bring labels and pictures to one form.

What is not as in MNIST's files is said: labels that count from 1, in the first of eight columns, or pictures that were
stored transposed. Nothing is guessed from a file's name.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data import family, finding, idx, mnist, npz
from data.digits import SIDE, DataError, Digits
from data.finding import Stored
from untrusted import brief, open_plain, reason_of

ORIENTATION = "DIGITBENCH_ORIENTATION"
"""The environment variable that says how the pictures of a folder are stored: one of ORIENTATIONS."""
ORIENTATIONS = ("upright", "transposed")
MOST_CLASSES = 256  # labels are written as uint8
COLUMNS = 8  # of QMNIST's labels; the first is the class
DIGITS = 10  # classes that a set may have whichever labels occur
EMNIST = re.compile(r"(?:.*[^a-z])?emnist(?:[^a-z].*)?")


class Set(NamedTuple):
    """A set as `read` returns it."""

    train: Digits
    test: Digits
    digests: tuple[str, ...]
    """The SHA-256 of each of the four files that `mnist.write_folder` would write, in the order of `mnist.FILES`."""
    member: family.Member | None
    """Which set of the family it is, by checksums."""
    files: str
    """The files, in words."""
    orientation: str
    """How the pictures were stored, and how that is known, in words."""
    assumed: tuple[str, ...]
    """A sentence on each thing that differs from MNIST's files and was changed, or could be wrong."""


def read(source: Path, remedy: str, orientation: str | None = None, must_be_mnist: bool = False) -> Set:
    """Read and check the four arrays of a set: plain IDX files are memory-mapped, others decompressed.

    source: as in `finding.find`; published names, plain or .gz, take precedence. orientation: one of ORIENTATIONS, how
    the pictures are stored; None: as the checksums of their files tell, else upright. Raises DataError with the given
    remedy if an array is missing or malformed, if images are not uint8 (n, 28, 28), labels not a whole number from 0
    for each image, a split is empty or its two files differ in n; for MNIST said to be transposed; and if
    must_be_mnist, for an array whose checksum is not MNIST's.
    """
    stored = _located(source, remedy)
    arrays = [_array(one, remedy) for one in stored]
    for where, array in zip(stored[::2], arrays[::2], strict=True):
        _check_images(where, array, remedy)
    labels, assumed = _labels(stored[1::2], arrays[1::2], remedy)
    splits = [
        _split(where, images, of_split, remedy)
        for where, images, of_split in zip(stored[1::2], arrays[::2], labels, strict=True)
    ]
    digests = mnist.digests_of(*splits)
    if must_be_mnist:
        mnist.check(digests, [str(one) for one in stored], remedy)
    member = _member(stored, digests, remedy)
    if mnist.is_mnist(digests) and orientation == "transposed":
        raise DataError(f"{ORIENTATION} is transposed: these files are MNIST, which is stored upright; unset it")
    known = "by checksum" if member else "not checked"
    how = f"{orientation}, as {ORIENTATION} says"
    if orientation is None:
        orientation = "transposed" if member and member.transposed else "upright"
        how = f"{orientation}, {known}"
        if member is None:
            assumed += _doubt(stored, splits)
    if orientation == "transposed":
        splits = [_turned(split) for split in splits]
        digests = mnist.digests_of(*splits)
        assumed += (f"The pictures are stored transposed ({how.partition(', ')[2]}), and were turned upright.",)
    files = _in_words(source, stored)
    return Set(splits[0], splits[1], digests, member, files, how, assumed)


def stated_orientation(text: str | None) -> str | None:
    """Return what the environment variable says; None where it is not set. Raises DataError for another word."""
    if text and text not in ORIENTATIONS:
        raise DataError(f"{ORIENTATION} is {text!r}: expected {' or '.join(ORIENTATIONS)}; correct it, or unset it")
    return text or None


# --- finding and reading ---------------------------------------------------------------------------------


def _located(source: Path, remedy: str) -> list[Stored]:
    names = [file.name for file in mnist.FILES]
    published = [Stored(path) for name in names if (path := mnist.locate(source, name, remedy))]
    return published if len(published) == len(names) else finding.find(source, names, remedy)


def _array(stored: Stored, remedy: str) -> NDArray[Any]:
    """Return the array, by the content of its file: of an .npz, or IDX in any compression."""
    if stored.key:
        return npz.read(stored.path, stored.key, remedy)
    names = npz.names(stored.path)
    if len(names) > 1:
        raise DataError(f"{stored.path}: expected one array, found {brief(', '.join(names))}; keep one, or {remedy}")
    return npz.read(stored.path, names[0], remedy) if names else idx.read(stored.path, remedy)


def _in_words(source: Path, stored: Sequence[Stored]) -> str:
    if stored[0].key:
        return f"the arrays {', '.join(one.key for one in stored)} of {stored[0].path.name}"
    folder = source if source.is_dir() else source.parent
    return ", ".join(str(one.path.relative_to(folder)) for one in stored)


def _member(stored: Sequence[Stored], digests: tuple[str, ...], remedy: str) -> family.Member | None:
    """Return which set it is: MNIST by its content, others by the checksums of the stored files of images."""
    if mnist.is_mnist(digests):
        return family.MEMBERS[0]
    if any(one.key or one.path.suffix.lower() not in (".gz", ".npz") for one in stored[::2]):  # the published forms
        return None
    return family.of_checksums([_file_sha256(one.path, remedy) for one in stored[::2]])


def _file_sha256(path: Path, remedy: str) -> str:
    try:
        with open_plain(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:  # as it was read before, it has just been removed or replaced
        raise DataError(f"{path}: cannot be read ({reason_of(error)}); {remedy}") from None


# --- images ----------------------------------------------------------------------------------------------


def _check_images(stored: Stored, images: NDArray[Any], remedy: str) -> None:
    if images.dtype == np.uint8 and images.ndim == 3 and images.shape[1:] == (SIDE, SIDE):
        if len(images) == 0:
            raise DataError(f"{stored}: no images, expected at least one; {remedy}")
        return
    steps = []
    if images.ndim and images.shape[1:] != (SIDE, SIDE):
        if math.prod(images.shape[1:]) == SIDE * SIDE:
            steps.append(f"reshape them to (n, {SIDE}, {SIDE})")
        elif images.shape[1:] == (SIDE, SIDE, 3):
            steps.append("make them grey")
    if images.dtype != np.uint8 and (steps or images.shape[1:] == (SIDE, SIDE)):
        steps.append("store them as uint8")
    conversion = f"{' and '.join(steps)}, or " if steps else ""
    raise DataError(
        f"{stored}: {images.dtype.name} of shape {brief(images.shape, 60)}, "
        f"expected images, uint8 of shape (n, {SIDE}, {SIDE}); {conversion}{remedy}"
    )


def _turned(digits: Digits) -> Digits:
    """Return the images with rows and columns exchanged, in memory."""
    upright = digits.images.reshape(-1, SIDE, SIDE).transpose(0, 2, 1)
    return Digits(np.ascontiguousarray(upright).reshape(-1, SIDE * SIDE), digits.labels)


def _doubt(stored: Sequence[Stored], splits: Sequence[Digits]) -> tuple[str, ...]:
    """Return a sentence where pictures of unknown orientation may be EMNIST's, by a file's name or by their number."""
    by_name = any(EMNIST.fullmatch(part.lower()) for one in stored for part in one.path.parts[-3:])
    classes = 1 + max(int(split.labels.max()) for split in splits)
    alike = family.of_size(len(splits[0].labels), len(splits[1].labels), classes)
    by_size = bool(alike) and all(member.transposed for member in alike)
    if not by_name and not by_size:
        return ()
    why = "Files are named as EMNIST's" if by_name else f"There are as many images and classes as in {alike[0].name}"
    return (
        f"{why}, whose pictures are published transposed; these are taken as upright: see `python -m data show`, "
        f"and set {ORIENTATION} to transposed if they lie on their side, or to upright if not.",
    )


# --- labels ----------------------------------------------------------------------------------------------


def _labels(
    stored: Sequence[Stored], arrays: Sequence[NDArray[Any]], remedy: str
) -> tuple[list[NDArray[np.int64]], tuple[str, ...]]:
    """Return the labels of both splits as classes from 0, and what was assumed. Raises DataError for other forms."""
    splits = [_column(where, array, remedy) for where, array in zip(stored, arrays, strict=True)]
    assumed = []
    if any(array.ndim == 2 and array.shape[1] == COLUMNS for array in arrays):
        assumed.append(f"Labels have {COLUMNS} columns, as QMNIST's; the first is the class.")
    occur = np.unique(np.concatenate(splits))
    if not len(occur):
        return splits, ()
    highest = int(occur[-1])
    if len(occur) == highest and occur[0] == 1:
        splits = [labels - 1 for labels in splits]
        assumed.append(f"Labels count from 1 to {highest}; label 1 is class 0 here, label {highest} is {highest - 1}.")
    elif highest >= DIGITS and 2 * len(occur) <= highest:
        for where, labels in zip(stored, splits, strict=True):
            for first in np.flatnonzero(labels == highest)[:1]:
                raise DataError(
                    f"{where}: label {highest} at index {first}, expected classes of which most occur, found "
                    f"{len(occur)} of {highest + 1}; number them from 0, or {remedy}"
                )
    return splits, tuple(assumed)


def _column(stored: Stored, labels: NDArray[Any], remedy: str) -> NDArray[np.int64]:
    """Return a class for each image, (n,), from labels (n,), (n, 1) or (n, 8). Raises DataError for other forms."""
    if labels.ndim == 2 and labels.shape[1] > 1 and _are_one_hot(labels):
        raise DataError(
            f"{stored}: one-hot rows of {labels.shape[1]} classes, expected one whole number for each image; "
            f"keep the position of the 1 in each row, or {remedy}"
        )
    if labels.dtype.kind not in "iu" or labels.ndim not in (1, 2) or labels.shape[1:] not in ((), (1,), (COLUMNS,)):
        convert = "store them as uint8, or " if labels.dtype.kind == "f" and labels.shape[1:] in ((), (1,)) else ""
        raise DataError(
            f"{stored}: {labels.dtype.name} of shape {brief(labels.shape, 60)}, "
            f"expected labels, whole numbers of shape (n,); {convert}{remedy}"
        )
    column = labels.reshape(len(labels), -1)[:, 0] if len(labels) else labels.reshape(-1)
    for first in np.flatnonzero((column < 0) | (column >= MOST_CLASSES))[:1]:
        raise DataError(
            f"{stored}: label {column[first]} at index {first}, expected 0 to {MOST_CLASSES - 1}; "
            f"number the classes from 0, or {remedy}"
        )
    return column.astype(np.int64)


def _are_one_hot(labels: NDArray[Any]) -> bool:
    """Whether each row has a single 1, and zeros beside it."""
    return len(labels) > 0 and bool(np.isin(labels, (0, 1)).all() and (np.count_nonzero(labels, axis=1) == 1).all())


def _split(where: Stored, images: NDArray[np.uint8], labels: NDArray[np.int64], remedy: str) -> Digits:
    if len(images) != len(labels):
        raise DataError(f"{where}: {len(labels):,} labels, expected {len(images):,}, one for each image; {remedy}")
    return Digits(images.reshape(len(images), SIDE * SIDE), labels)
