"""The backends of a git revision, or of the working tree: a copy of `impls/` in a folder of its own."""

import contextlib
import io
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import impls
import temporary
from bench import RESULTS, ROOT, UserError
from bench.records import environment, fingerprint
from bench.timing.process import Child

if TYPE_CHECKING:
    from impls.interpreters import Interpreter

EXPORTS = RESULTS / "revisions"  # kept, so that numba finds its compiled code again
TIME_LIMIT = 60.0  # seconds to list a revision's backends


class Side(NamedTuple):
    """One of two versions of the backends that are compared."""

    name: str  # as it is shown
    source: Path  # the folder that holds `impls`


def working_tree() -> Side:
    """This checkout as it is now: a copy, so that it stays as it is while it is measured."""
    folder = EXPORTS / f"tree-{fingerprint.source_in(ROOT)}"
    if not folder.exists():
        with unfinished(folder) as whole:
            # Includes what numba compiled: it finds that by time and size of the sources, which a copy keeps.
            shutil.copytree(ROOT / "impls", whole / "impls")
    return Side("working tree", folder)


def revision(name: str) -> Side:
    """A git revision's `impls/`, exported to a folder. Raises UserError where git does not know it, or it has none."""
    parsed = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if parsed.returncode:
        raise UserError(f"revision {name!r}: {why_unknown(parsed.stderr)}")
    commit = parsed.stdout.decode().strip()
    folder = EXPORTS / commit[:12]
    if not folder.exists():
        archive = git("archive", "--format=zip", commit, "impls")
        if archive.returncode:
            raise UserError(
                f"revision {commit[:12]}: expected a folder impls/ in it, found none; choose a later revision"
            )
        with unfinished(folder) as whole, zipfile.ZipFile(io.BytesIO(archive.stdout)) as files:
            files.extractall(whole)
    return Side(f"{name} ({commit[:7]})" if not commit.startswith(name) else commit[:7], folder)


def why_unknown(message: bytes) -> str:
    """Why git has no such revision, and what to do."""
    shallow = git("rev-parse", "--is-shallow-repository")
    if shallow.returncode:
        reason = " ".join(shallow.stderr.decode().split())
        return f"expected a git checkout at {ROOT}, found none that git can read ({reason}); or give two results files"
    if shallow.stdout.strip() == b"true":
        return "expected a commit, found none; this clone is shallow: `git fetch --unshallow` brings the others"
    return "expected a commit, a branch, a tag or a results file, found none; `git log` lists commits" + (
        f" (git: {message.decode().strip()})" if message.strip() else ""
    )


@contextlib.contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A folder to fill, which then gets this name: complete or not at all."""
    with temporary.folder(folder.parent) as private:
        whole = private / "whole"
        whole.mkdir()
        yield whole
        try:
            whole.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was faster
                raise


def backends_of(side: Side) -> list[str]:
    """The backends available there, in ladder order, then those on devices. Raises ChildFailed where it cannot say."""
    names = backends_in(None, side)
    for name in impls.interpreters.names():
        there = name in backends_in(impls.interpreter_of(name), side)
        names = [one for one in names if one != name] + [name] * there
    return names


def backends_in(python: "Interpreter | None", side: Side) -> list[str]:
    """The backends of a side that are available in this interpreter; None: in that of this process."""
    with Child(send_backends, source=side.source, python=python) as child:
        names: list[str] = child.answer(TIME_LIMIT)
    return names


def send_backends(connection: Connection) -> None:
    """Send the names of the backends that are available in this process, also those on devices."""
    names = list(impls.available())
    devices = {name: getattr(impls.entry(name), "devices", ()) for name in names}  # older revisions have none
    elsewhere = [f"{name}:{device}" for name in names for device in devices[name][1:]]
    connection.send(names + [name for name in elsewhere if impls.unavailable_reason(name) is None])


def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git in this checkout. Raises UserError where there is no git."""
    try:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, env=environment.outside_git(), capture_output=True, check=False)
    except OSError as error:
        raise UserError(f"git: expected it to be installed, found: {error.strerror}; install it") from None
