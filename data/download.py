"""One file from a web server, within bounds of time and size, whatever the server does."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from requests import Response

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 10.0  # seconds; the latter between any two parts of an answer
ANSWER = 30.0  # seconds until the content begins, after all redirections
SLOWEST = 4096  # bytes a second that have to come, on average over READ_TIMEOUT
LARGEST = 2**24  # bytes; the largest file of MNIST has 9.9 million


class DownloadError(Exception):
    """The server did not provide the file; the message is the reason, without the address."""


def download(url: str, path: Path, advance: Callable[[int, int | None], None]) -> str:
    """Write what a server sends to a file; return its SHA-256.

    advance: called with the number of bytes that came, and of all as far as that is known. Raises DownloadError where
    the server fails, stalls, drips or sends too much, and OSError where the file cannot be written.
    """
    digest = hashlib.sha256()
    with path.open("wb") as file, answer_of(url) as response:
        if not response.ok:
            raise DownloadError(f"HTTP {response.status_code}")
        announced = response.raw.length_remaining
        for part in parts_of(response):
            file.write(part)
            digest.update(part)
            advance(len(part), announced)
    return digest.hexdigest()


def answer_of(url: str) -> "Response":
    """Return the answer as soon as its content begins. Raises DownloadError.

    The request is made in another thread, since a name that is not resolved, or headers that drip, have no time limit
    of their own; a thread that is given up ends with its connection, at the latest with this process.
    """
    import requests

    answers: SimpleQueue[Response | Exception] = SimpleQueue()

    def ask() -> None:
        limits = CONNECT_TIMEOUT, READ_TIMEOUT
        as_stored = {"Accept-Encoding": "identity"}  # the .gz itself, not decompressed in transit
        try:
            with requests.Session() as session:
                if url.startswith("https:"):  # and so is all to which a server redirects
                    del session.adapters["http://"]
                answers.put(session.get(url, stream=True, timeout=limits, headers=as_stored))
        except Exception as error:  # raised where it is waited for
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER)
    except Empty:
        raise DownloadError("no answer in time") from None
    if isinstance(answer, Exception):
        raise reason_of(answer) from None
    return answer


def parts_of(response: "Response") -> Iterator[bytes]:
    """The content in parts, each as soon as it is there. Raises DownloadError."""
    received, total, begin = 0, 0, time.monotonic()
    while True:
        try:
            part = response.raw.read1(2**16, decode_content=False)
        except Exception as error:  # of urllib3, of the socket, of http.client: all end the download
            raise reason_of(error) from None
        if not part:
            return
        received, total = received + len(part), total + len(part)
        if total > LARGEST:
            raise DownloadError(f"more than {LARGEST:,} bytes")
        seconds = time.monotonic() - begin
        if seconds > READ_TIMEOUT:
            if received < SLOWEST * seconds:
                raise DownloadError(f"slower than {SLOWEST:,} bytes a second")
            received, begin = 0, time.monotonic()
        yield part


def reason_of(error: Exception) -> Exception:
    """A DownloadError for what requests or urllib3 raised; what others raised, a bug or no memory, as it is."""
    from requests.exceptions import RequestException, Timeout
    from urllib3.exceptions import HTTPError, TimeoutError

    if isinstance(error, Timeout | TimeoutError):
        return DownloadError("no answer in time")
    if isinstance(error, RequestException | HTTPError):
        return DownloadError(f"connection failed ({innermost(error)})")
    return error


def innermost(error: BaseException) -> str:
    """The name of the exception at the root, which is clearer than the long text of requests."""
    inner = (getattr(error, "reason", None), *error.args)
    cause = next((cause for cause in inner if isinstance(cause, BaseException)), None)
    return innermost(cause) if cause else type(error).__name__
