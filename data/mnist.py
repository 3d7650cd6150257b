"""The four files of MNIST: their names and checksums, where to download them, how to write them.

Other data sets have files of the same names and form (Fashion-MNIST, and the built-in digits), so `write_folder` writes
any of them; only the checksums show whether it is MNIST. `reading.read` reads them.
"""

import errno
import hashlib
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

import temporary
from data import idx
from data.digits import SIDE, DataError, Digits
from data.download import DownloadError, download

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PERMIT = "permit it, or set DIGITBENCH_DATA to another folder"
FULL = (errno.ENOSPC, errno.EDQUOT)  # of a disk


class File(NamedTuple):
    """One of the four files, as LeCun, Cortes and Burges published it."""

    name: str
    """Without ".gz"."""
    sha256: str
    """Of the plain file."""
    gzip_sha256: str
    """Of the published gzip file; another compression of the same content has another checksum."""


FILES = (
    File(
        "train-images-idx3-ubyte",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    File(
        "train-labels-idx1-ubyte",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    File(
        "t10k-images-idx3-ubyte",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    File(
        "t10k-labels-idx1-ubyte",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
)

# Tried in this order. LeCun's own server does not serve the files.
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)


# --- a folder with four such files -----------------------------------------------------------------------


def locate(folder: Path, name: str, remedy: str = PERMIT) -> Path | None:
    """Return the path of one of the four files, plain if it exists, else gzip; None if neither does.

    Raises DataError where that cannot be determined: no permission for the folder, a name that is too long.
    """
    candidates = (folder / name, folder / f"{name}.gz")
    try:
        return next((path for path in candidates if path.is_file()), None)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); {remedy}") from None


def is_complete(folder: Path) -> bool:
    """Return whether all four files exist, plain or gzip; their content is not checked."""
    return all(locate(folder, file.name) for file in FILES)


def is_mnist(digests: Iterable[str]) -> bool:
    """Return whether the checksums of four plain files are those of MNIST."""
    return tuple(digests) == tuple(file.sha256 for file in FILES)


def check(digests: Iterable[str], where: Iterable[str], remedy: str) -> None:
    """Raise DataError with this remedy for the first checksum that is not MNIST's. where: of each of the four files."""
    for path, digest, file in zip(where, digests, FILES, strict=True):
        if digest != file.sha256:
            raise DataError(f"{path}: SHA-256 of its content is {digest}, expected {file.sha256}; {remedy}")


def write_folder(folder: Path, train: Digits, test: Digits) -> None:
    """Write the four files, plain, so that they can be memory-mapped."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, array in zip(FILES, _as_published(train, test), strict=True):
        idx.write(folder / file.name, array)


def digests_of(train: Digits, test: Digits) -> tuple[str, ...]:
    """Return the checksums of the four plain files of these digits, whether they are written or not."""
    return tuple(idx.sha256(array) for array in _as_published(train, test))


def combined(digests: Iterable[str]) -> str:
    """Return one SHA-256 for the four files.

    It is the checksum of the four lines that `sha256sum` prints for the plain files, in the order of FILES.
    """
    lines = (f"{digest}  {file.name}\n" for digest, file in zip(digests, FILES, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


SHA256 = combined(file.sha256 for file in FILES)
"""MNIST's."""


def _as_published(train: Digits, test: Digits) -> list[NDArray[np.uint8]]:
    return [
        array
        for split in (train, test)
        for array in (split.images.reshape(-1, SIDE, SIDE), split.labels.astype(np.uint8))
    ]


# --- the download ----------------------------------------------------------------------------------------


def absent_or_wrong(folder: Path) -> list[File]:
    """Return those of MNIST's four files that are missing in the folder, or have another checksum."""
    wanted = []
    for file in FILES:
        path = locate(folder, file.name)
        expected = file.gzip_sha256 if path and path.suffix == ".gz" else file.sha256
        if path is None or _file_sha256(path) != expected:
            wanted.append(file)
    return wanted


def fetch(folder: Path, show_progress: bool = True) -> None:
    """Download the files of `absent_or_wrong`, trying one mirror after the other; show a bar on stderr.

    A file gets its name only when it is complete and its checksum is right; it then replaces a wrong one, plain or
    gzip. What a killed run left is removed. Raises DataError if no mirror provides a file, with the reason of each, if
    the folder cannot be written, or if something lies there that is no file.
    """
    temporary.clear(folder)
    if not absent_or_wrong(folder):
        return
    _check_places(folder)
    try:
        _remove_wrong_plain(folder)
        with temporary.folder(folder) as partial, _progress(show_progress) as progress:
            failures = []
            for mirror in MIRRORS:
                if reason := _fetch_from(mirror, folder, partial, progress):
                    failures.append(f"{urlsplit(mirror).netloc}: {reason}")
                else:
                    return
    except OSError as error:
        remedy = "make room" if error.errno in FULL else PERMIT
        raise DataError(f"{folder}: cannot be written ({error.strerror or error}); {remedy}") from None
    raise DataError(
        f"MNIST could not be downloaded ({'; '.join(failures)}); set DIGITBENCH_DATA to a folder that has the four "
        "files, or use the built-in digits"
    )


def _fetch_from(mirror: str, folder: Path, partial: Path, progress: "Progress") -> str | None:
    """Download the missing files from one mirror; return None, or the reason of the first failure.

    partial: a folder for files that are not yet whole.
    """
    for file in absent_or_wrong(folder):
        name = f"{file.name}.gz"
        bar = progress.add_task(file.name, total=None)

        def advance(count: int, announced: int | None, bar: "TaskID" = bar) -> None:
            progress.update(bar, total=announced, advance=count)

        try:
            digest = download(mirror + name, partial / name, advance)
        except DownloadError as error:
            return str(error)
        finally:
            progress.remove_task(bar)
        if digest != file.gzip_sha256:
            return f"{name} has another SHA-256 than {file.gzip_sha256}"
        (partial / name).replace(folder / name)
        _remove_wrong_plain(folder)
    return None


def _progress(shown: bool) -> "Progress":
    """A display of downloads on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown)


def _remove_wrong_plain(folder: Path) -> None:
    """Remove each plain file with another checksum that has a right .gz beside it, over which it takes precedence."""
    for file in FILES:
        plain, compressed = folder / file.name, folder / f"{file.name}.gz"
        if not plain.is_file() or not compressed.is_file() or _file_sha256(compressed) != file.gzip_sha256:
            continue
        if _file_sha256(plain) != file.sha256:
            plain.unlink()


def _check_places(folder: Path) -> None:
    """Raise DataError for what lies where the folder or a file has to be, and is neither that nor absent."""
    places = [(above, "a folder") for above in (*reversed(folder.parents), folder)]
    places += [(folder / f"{file.name}.gz", "a file") for file in FILES]
    for path, expected in places:
        found = _kind(path)
        if found not in (expected, None):
            raise DataError(f"{path}: expected {expected}, or nothing, found {found}; remove it, or move it elsewhere")


def _kind(path: Path) -> str | None:
    """What lies at a path, in words; None: nothing, or what nobody may look at, which writing to it will tell."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return "a link that leads nowhere" if path.is_symlink() and not path.name.endswith(".gz") else None
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _file_sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {PERMIT}") from None
