"""The digits: MNIST where it is present, else generated digits of the same shape. Start with `load()`."""

import hashlib
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import temporary
from data import mnist, reading
from data.digits import DataError, Digits
from data.remarks import remarks

__all__ = ["BUILTIN", "CACHE", "VARIABLE", "DataError", "Dataset", "Digits", "fetch", "load"]

CACHE = Path(__file__).parent / "cache"
"""The folder of downloaded and generated digits: `mnist/` and `builtin-<key>/`."""

VARIABLE = "DIGITBENCH_DATA"
"""The environment variable that names a folder with the four files."""

BUILTIN = "built-in digits"
"""The name of the generated digits."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Both splits of a set of digits, with its name and origin."""

    name: str
    """One of "MNIST", "built-in digits", "not MNIST (<first 12 digits of sha256>)", and for a set that is recognised
    its name in place of "not MNIST"."""
    source: str
    """Where the digits came from, in words."""
    train: Digits
    test: Digits
    sha256: str
    """Identifies the content of all four arrays, in whatever form they are stored; see `mnist.combined`."""
    notice: str | None
    """One sentence to show wherever results of the data are shown; None for MNIST."""
    assumed: tuple[str, ...] = ()
    """A sentence on each thing that was changed on reading, or could be wrong; see `reading.Set`."""
    files: str = "none"
    """The files that hold it, in words."""
    orientation: str = "upright"
    """How the pictures are stored, and how that is known, in words."""

    @property
    def classes(self) -> int:
        """The number of classes: labels are from 0 to one less."""
        return 1 + max(int(split.labels.max()) for split in (self.train, self.test))

    def lines(self) -> list[str]:
        """What to show before work with the data: the notice, what was assumed, and `remarks` on what is unusual."""
        return [*([self.notice] if self.notice else []), *self.assumed, *remarks(self.train, self.test)]


def load(source: str = "auto") -> Dataset:
    """Return the digits; never uses the network.

    source is one of

    - "auto": the folder named by DIGITBENCH_DATA if that is set, else the download if its four files
      are there, else the built-in digits;
    - "mnist": the true MNIST from DIGITBENCH_DATA if that is set, else the download;
    - "builtin": the built-in digits, which the first call generates (some seconds) and caches;
    - a path: a folder with four files like MNIST's, or an .npz of a whole set, see `finding.find`.

    How the pictures of a path are stored, DIGITBENCH_ORIENTATION may say, see `reading.read`. Images of plain files are
    memory-mapped and read-only, unless they had to be turned. Raises DataError for anything missing or wrong; a folder
    that is named but wrong is never replaced by another source.
    """
    named = os.environ.get(VARIABLE)
    download = CACHE / "mnist"
    if source == "builtin":
        return _builtin()
    if source not in ("auto", "mnist"):
        remedy = 'give "auto", "mnist", "builtin" or a folder with whole copies of the four files'
        return _from_folder(Path(source), f"folder {Path(source).name}", remedy)
    if named:
        remedy = f"correct the folder that {VARIABLE} names, or unset {VARIABLE}"
        return _from_folder(Path(named), VARIABLE, remedy, must_be_mnist=source == "mnist")
    if mnist.is_complete(download):
        remedy = "delete it and run `python -m data fetch`"
        return _from_folder(download, "download", remedy, must_be_mnist=True)
    if source == "mnist":
        raise DataError(
            f"MNIST is not here: {VARIABLE} is not set and {download} does not have all four files; "
            f"run `python -m data fetch`, or set {VARIABLE} to a folder that has them"
        )
    return _builtin()


def fetch(show_progress: bool = True) -> Path:
    """Download those of MNIST's four files that are absent or wrong; return the folder.

    Raises DataError if no mirror provides them, or if the folder cannot be written.
    """
    folder = CACHE / "mnist"
    mnist.fetch(folder, show_progress)
    return folder


def _from_folder(folder: Path, source: str, remedy: str, must_be_mnist: bool = False) -> Dataset:
    stated = None if must_be_mnist else reading.stated_orientation(os.environ.get(reading.ORIENTATION))
    read = reading.read(folder, remedy, stated, must_be_mnist)
    sha256 = mnist.combined(read.digests)
    name, notice = "MNIST", None
    if not mnist.is_mnist(read.digests):
        name = f"{read.member.name if read.member else 'not MNIST'} ({sha256[:12]})"
        notice = f"Data: {name}, from {source}; accuracies are not comparable with published ones of MNIST."
    return Dataset(name, source, read.train, read.test, sha256, notice, read.assumed, read.files, read.orientation)


def _builtin() -> Dataset:
    folder = CACHE / f"builtin-{_builtin_key()}"
    if not folder.is_dir():
        from data.builtin import render

        logger.info("Generating the built-in digits, once; this takes some seconds.")
        train, test = render()
        try:
            _keep(folder, train, test)
        except OSError:  # without a cache they are generated at every call
            return _builtin_dataset(train, test, mnist.digests_of(train, test))
    remedy = f"delete the folder {folder.name}, it will be generated again"
    return _builtin_dataset(*reading.read(folder, remedy)[:3])


def _builtin_dataset(train: Digits, test: Digits, digests: tuple[str, ...]) -> Dataset:
    notice = (
        "Data: built-in digits, not MNIST; accuracies are not comparable with published ones. "
        "`python -m data fetch` downloads MNIST."
    )
    return Dataset(BUILTIN, "generated", train, test, mnist.combined(digests), notice)


def _builtin_key() -> str:
    """Return a hash of what the built-in digits depend on: the code, and the versions of the drawing libraries."""
    from importlib.metadata import version

    digest = hashlib.sha256(Path(__file__).with_name("builtin.py").read_bytes())
    for library in ("matplotlib", "numpy", "pillow", "scipy"):
        digest.update(f"{library} {version(library)}\n".encode())
    return digest.hexdigest()[:12]


def _keep(folder: Path, train: Digits, test: Digits) -> None:
    """Write the digits into a folder that appears only when it is complete, and remove older ones."""
    with temporary.folder(CACHE) as making:
        made = making / folder.name
        mnist.write_folder(made, train, test)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was faster, with the same content
                raise
    for older in CACHE.glob("builtin-*"):
        if older != folder:
            shutil.rmtree(older, ignore_errors=True)
