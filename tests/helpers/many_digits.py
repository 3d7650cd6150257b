"""Digits by the million, for data larger than memory: those of a set, repeated and shifted by some pixels.

    python -m tests.helpers.many_digits FOLDER 2000000 [--gzip]

writes the four files of MNIST's form into a folder: so many training images, and the set's own test images. 2,000,000
take 1.6 GB; a third of that, and a minute, with --gzip. Nothing is ever whole in memory.
"""

import argparse
import gzip
import struct
from pathlib import Path
from typing import IO, cast

import numpy as np

import data
from data import idx, mnist
from data.digits import SIDE, Digits

BLOCK = 10_000  # images at a time
REACH = 2  # pixels of a shift, each way


def main() -> None:
    """Write the four files that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("images", type=int)
    parser.add_argument("--gzip", action="store_true")
    arguments = parser.parse_args()
    write(arguments.folder, data.load().train, data.load().test, arguments.images, arguments.gzip)


def write(folder: Path, train: Digits, test: Digits, n: int, packed: bool = False) -> None:
    """Write n training images made of those of `train`, and the test images, as the four files."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [file.name for file in mnist.FILES]
    rng = np.random.default_rng(0)
    chosen = np.arange(n) % len(train.labels)
    labels = train.labels[chosen].astype(np.uint8)
    with opened(folder / names[0], packed) as file:
        file.write(struct.pack(">BBBB3I", 0, 0, 8, 3, n, SIDE, SIDE))
        for first in range(0, n, BLOCK):
            block = train.images[chosen[first : first + BLOCK]].reshape(-1, SIDE, SIDE)
            down, right = rng.integers(-REACH, REACH + 1, 2) if first >= len(train.labels) else (0, 0)
            file.write(np.roll(block, (down, right), (1, 2)).tobytes())
    with opened(folder / names[1], packed) as file:
        file.write(struct.pack(">BBBBI", 0, 0, 8, 1, n) + labels.tobytes())
    idx.write(folder / names[2], test.images.reshape(-1, SIDE, SIDE))
    idx.write(folder / names[3], test.labels.astype(np.uint8))


def opened(path: Path, packed: bool) -> IO[bytes]:
    """Open a file for writing, compressed where that is asked for."""
    if packed:
        return cast(IO[bytes], gzip.open(path.with_name(f"{path.name}.gz"), "wb", compresslevel=1))
    return path.open("wb")


if __name__ == "__main__":
    main()
