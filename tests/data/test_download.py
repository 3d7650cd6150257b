"""The download of MNIST from a real server on this machine, whatever that does: whole verified files, or none."""

import errno
import io
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import requests
from requests.adapters import HTTPAdapter

import data
import temporary
from data import DataError, Digits, download, mnist
from tests.helpers import mirrors
from tests.helpers.mirrors import FAULTS, Server

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = (f"{file.name}.gz" for file in mnist.FILES)
MIRRORS = mnist.MIRRORS
REASONS = {  # of the first file that each mirror does not provide
    "closed": "connection failed (RemoteDisconnected)",
    "cut": "connection failed (IncompleteRead)",
    "length-too-long": "connection failed (IncompleteRead)",
    "length-too-short": f"{TRAIN_IMAGES} has another SHA-256 than",
    "html": f"{TRAIN_IMAGES} has another SHA-256 than",
    "redirect-loop": "connection failed (TooManyRedirects)",
    "404": "HTTP 404",
    "500": "HTTP 500",
    "silent": "no answer in time",
    "stall": "no answer in time",
    "drip": "slower than 4,096 bytes a second",
    "drip-of-headers": "no answer in time",
    "endless": "more than 100,000 bytes",
}

PATIENCE = {"silent": 0.1, "stall": 0.1, "drip": 0.5, "drip-of-headers": 0.1}  # seconds, where they have to run out


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where downloads go."""
    monkeypatch.delenv(data.VARIABLE, raising=False)
    monkeypatch.setattr(data, "CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "mnist"


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server of small files that are MNIST in the test."""
    rng = np.random.default_rng(1)
    train, test = (Digits(rng.integers(0, 256, (n, 784), np.uint8), np.arange(n) % 10) for n in (23, 11))
    mnist.write_folder(tmp_path / "digits", train, test)
    files, known = mirrors.packed(tmp_path / "digits")
    monkeypatch.setattr(mnist, "FILES", known)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "LARGEST", 100_000)
    with mirrors.serving(files) as server:
        monkeypatch.setattr(mnist, "MIRRORS", (server.mirror("good"),))
        yield server


def use(monkeypatch: pytest.MonkeyPatch, server: Server, *faults: str) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", tuple(map(server.mirror, faults)))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused() -> str:
    with pytest.raises(DataError) as caught:
        data.fetch(show_progress=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what a server does ----------------------------------------------------------------------------------


def test_fetch(server: Server, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert data.fetch() == folder
    assert content(folder) == server.files
    assert data.load("mnist").source == "download"
    assert sorted(server.asked) == sorted(f"/good/{name}" for name in server.files)
    server.asked.clear()
    data.fetch(show_progress=False)
    assert server.asked == []


def test_mirrors_are_asked_over_tls(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With certificates that are verified, also where a mirror redirects to an address without."""
    asked: list[tuple[str, bool]] = []

    def redirect(_: object, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        asked.append((str(request.url), bool(how["verify"])))
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = 302, request, str(request.url)
        answer.headers["Location"] = f"{server.mirror('good')}{TRAIN_IMAGES}"
        answer.raw = io.BytesIO()
        return answer

    monkeypatch.setattr(HTTPAdapter, "send", redirect)
    monkeypatch.setattr(mnist, "MIRRORS", MIRRORS)
    assert refused().count("connection failed (InvalidSchema)") == len(MIRRORS)
    assert asked == [(f"{mirror}{TRAIN_IMAGES}", True) for mirror in MIRRORS]
    assert all(address.startswith("https://") for address, _ in asked)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "good"])
def test_no_fault_of_a_server_leaves_anything_but_whole_files(
    fault: str, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, server, fault)
    with monkeypatch.context() as patch:
        if fault in PATIENCE:
            patch.setattr(download, "READ_TIMEOUT", PATIENCE[fault])
            patch.setattr(download, "ANSWER", 2 * PATIENCE[fault])
        message = refused()
    assert message.startswith("MNIST could not be downloaded (127.0.0.1:")
    assert REASONS.get(fault, "") in message
    assert data.VARIABLE in message
    assert "built-in digits" in message
    assert content(folder) == {}
    use(monkeypatch, server, *([] if fault in PATIENCE else [fault]), "good")  # another mirror provides all
    data.fetch(show_progress=False)
    assert content(folder) == server.files
    assert capfd.readouterr() == ("", "")


def test_a_mirror_continues_where_another_stopped(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, server, "good", "html", "good")
    first, second = server.files, dict(server.files)
    del second[TEST_IMAGES]
    server.files = second
    assert "SHA-256" in refused()
    server.files = first
    server.asked.clear()
    data.fetch(show_progress=False)
    assert server.asked == [f"/good/{TEST_IMAGES}", f"/good/{TEST_LABELS}"]
    assert content(folder) == first


def test_a_server_that_is_not_there(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Server({})
    gone.server_close()
    monkeypatch.setattr(mnist, "MIRRORS", (gone.mirror("good"), "http://127.0.0.1:0/", "nothing://"))
    assert "connection failed (NewConnectionError); 127.0.0.1:0: " in refused()


def test_two_fetches_at_once(server: Server, folder: Path) -> None:
    server.parts = 3
    failures = []

    def fetch() -> None:
        try:
            data.fetch(show_progress=False)
        except DataError as error:
            failures.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert content(folder) == server.files


def test_a_fetch_while_another_is_in_the_middle_of_a_file(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, others = download.download, [data.fetch]

    def slow(url: str, path: Path, advance: Callable[[int, int | None], None]) -> str:
        def meanwhile(count: int, announced: int | None) -> None:
            advance(count, announced)
            while others:
                others.pop()(show_progress=False)
                assert {path.name for path in folder.iterdir()} > server.files.keys()  # and what is being written

        return right(url, path, meanwhile)

    monkeypatch.setattr(mnist, "download", slow)
    data.fetch(show_progress=False)
    assert others == []
    assert content(folder) == server.files


@pytest.mark.usefixtures("server")
def test_loading_never_asks_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(DataError, match="MNIST is not here"):
        data.load("mnist")
    assert data.load(str(tmp_path / "digits")).name == "MNIST"


# --- what lies in the folder -----------------------------------------------------------------------------


def test_a_wrong_file_is_replaced_and_a_right_one_kept(server: Server, folder: Path) -> None:
    data.fetch(show_progress=False)
    (folder / TEST_IMAGES).write_bytes(b"half a fi")
    server.asked.clear()
    data.fetch(show_progress=False)
    assert server.asked == [f"/good/{TEST_IMAGES}"]
    assert content(folder) == server.files


def test_a_wrong_plain_file_is_replaced_once_the_right_one_is_there(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = folder / TRAIN_LABELS.removesuffix(".gz")
    folder.mkdir(parents=True)
    plain.write_bytes(b"another file")
    use(monkeypatch, server, "cut")
    refused()
    assert plain.read_bytes() == b"another file"
    use(monkeypatch, server, "good")
    data.fetch(show_progress=False)
    assert content(folder) == server.files
    plain.write_bytes(b"another file")  # beside a right one: nothing needs to be downloaded
    server.asked.clear()
    data.fetch(show_progress=False)
    assert content(folder) == server.files
    assert server.asked == []


@pytest.mark.parametrize(
    ("below", "kind", "words"),
    [
        ("cache", "file", "expected a folder, or nothing, found a file"),
        ("cache/mnist", "file", "expected a folder, or nothing, found a file"),
        ("cache/mnist", "link", "expected a folder, or nothing, found a link that leads nowhere"),
        (f"cache/mnist/{TEST_LABELS}", "folder", "expected a file, or nothing, found a folder"),
        (f"cache/mnist/{TEST_LABELS}", "pipe", "expected a file, or nothing, found a named pipe"),
        (f"cache/mnist/{TEST_LABELS}", "device", "expected a file, or nothing, found a device"),
    ],
)
def test_what_lies_in_the_way_is_named_before_anything_is_downloaded(
    below: str, kind: str, words: str, server: Server, tmp_path: Path
) -> None:
    path = tmp_path / below
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null" if kind == "device" else "nowhere")
    assert refused() == f"{path}: {words}; remove it, or move it elsewhere"
    assert server.asked == []


def test_links_to_nowhere_and_folders_of_plain_names_are_not_in_the_way(server: Server, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / TEST_LABELS).symlink_to("nowhere")
    (folder / TEST_IMAGES.removesuffix(".gz")).mkdir()
    data.fetch(show_progress=False)
    (folder / TEST_IMAGES.removesuffix(".gz")).rmdir()
    assert content(folder) == server.files


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "make room"), (errno.EACCES, "permit it"), (errno.EROFS, "permit it")]
)
def test_a_folder_that_cannot_be_written(
    number: int, remedy: str, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(mnist, "download", fails)
    assert refused().startswith(f"{folder}: cannot be written ({os.strerror(number)}); {remedy}")
    assert content(folder) == {}


# --- what a killed run left ------------------------------------------------------------------------------


def test_what_a_killed_run_left_is_removed_by_the_next(server: Server, folder: Path) -> None:
    data.fetch(show_progress=False)
    left = folder / f"{temporary.PREFIX}killed"
    left.mkdir()
    (left / TEST_IMAGES).write_bytes(b"a part")
    data.fetch(show_progress=False)  # although nothing is to be downloaded
    assert content(folder) == server.files


def test_what_another_run_is_writing_is_left_alone(folder: Path) -> None:
    with temporary.folder(folder) as theirs:
        temporary.clear(folder)
        with temporary.folder(folder) as ours:
            assert theirs.is_dir()
            assert ours != theirs
        (folder / f"{temporary.PREFIX}killed").mkdir()
    temporary.clear(folder)
    assert list(folder.iterdir()) == []
