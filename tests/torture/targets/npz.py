"""The reader of data sets in .npz archives: damaged arrays in whole archives, and damaged archives."""

import functools
import io
import zipfile
from pathlib import Path

import numpy as np

from data import DataError, npz
from tests.torture.mutants import Choices, damaged

NAME = "npz"


@functools.cache
def members() -> dict[str, bytes]:
    """The files of a small set: images and labels of several dtypes and orders."""
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.integers(0, 256, (2, 28, 28), np.uint8), "y_train": np.arange(2),
              "x_test": np.asfortranarray(rng.random((4, 5))), "y_test": np.array("text")}  # fmt: skip
    files = {}
    for name, array in arrays.items():
        np.save(stream := io.BytesIO(), array)
        files[f"{name}.npy"] = stream.getvalue()
    return files


def archived(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of these, without dates of today."""
    with zipfile.ZipFile(stream := io.BytesIO(), "w", compression) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            archive.writestr(info, content)
    return stream.getvalue()


def damaged_archive(files: dict[str, bytes], choices: Choices) -> bytes:
    """A whole archive with a damaged file in it, or a damaged archive."""
    compression = choices.of((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    if choices.below(3):
        name = choices.of(list(files))
        files = files | {name: damaged(files[name], choices, list(files.values()))}
        return archived(files, compression)
    return damaged(archived(files, compression), choices, list(files.values()))


def make(choices: Choices) -> bytes:
    """A damaged archive."""
    return damaged_archive(members(), choices)


def read(path: Path) -> str | None:
    """List its arrays and read all."""
    message = None
    for name in (*npz.names(path), "x_train"):
        try:
            npz.read(path, name, "replace it")
        except DataError as error:
            message = str(error)
    return message
