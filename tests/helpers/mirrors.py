"""A web server on this machine whose mirrors serve the files of MNIST, each with a fault of its own, or without."""

import contextlib
import gzip
import hashlib
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from data import mnist

PAUSE = 0.02  # seconds between the parts of an answer that drips
ENDLESS = 64  # megabytes of an answer that has no end
HTML = b"<html><body>Please log in to this network.</body></html>"


class Server(ThreadingHTTPServer):
    """Serves `files`, by name, at /FAULT/NAME for each of FAULTS; `asked` has the paths of all requests.

    parts: how many the mirror "good" divides a file into, PAUSE apart. `over` ends all answers that wait.
    """

    daemon_threads = True

    def __init__(self, files: Mapping[str, bytes], parts: int = 1) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.parts = parts
        self.asked: list[str] = []
        self.over = threading.Event()

    def mirror(self, fault: str) -> str:
        """The address of a mirror."""
        return f"http://127.0.0.1:{self.server_port}/{fault}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that go away."""


@contextlib.contextmanager
def serving(files: Mapping[str, bytes], parts: int = 1) -> Iterator[Server]:
    """A server that runs within the `with`."""
    with Server(files, parts) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    """Answers GET by the fault that is the first part of the path."""

    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        _, fault, name = self.path.split("/", 2)
        FAULTS[fault](self, self.server.files.get(name, b""))

    def answer(self, content: bytes, announced: int | None = None, status: int = 200) -> None:
        """Send headers and content. announced: the length that the headers state, if it is not the true one."""
        self.headers_of(len(content) if announced is None else announced, status)
        self.wfile.write(content)

    def headers_of(self, length: int | str | None, status: int = 200) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def drip(self, parts: Iterable[bytes]) -> None:
        """Send parts PAUSE apart, until the server ends."""
        for part in parts:
            if self.server.over.wait(PAUSE):
                return
            self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


def good(handler: Handler, content: bytes) -> None:
    handler.headers_of(len(content))
    size = -(-len(content) // handler.server.parts)
    handler.wfile.write(content[:size])
    handler.drip(content[begin : begin + size] for begin in range(size, len(content), size))


def cut(handler: Handler, content: bytes) -> None:
    handler.answer(content[: len(content) // 2], announced=len(content))


def reset(handler: Handler, content: bytes) -> None:
    cut(handler, content)
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ends with an RST
    handler.connection.close()


def stall(handler: Handler, content: bytes) -> None:
    cut(handler, content)
    handler.server.over.wait()


def silent(handler: Handler, content: bytes) -> None:
    handler.server.over.wait()


def closed(handler: Handler, content: bytes) -> None:
    """Without an answer."""


def length_no_number(handler: Handler, content: bytes) -> None:
    handler.headers_of("many")
    handler.wfile.write(content[:-1])


def redirect(handler: Handler, content: bytes) -> None:
    """To itself."""
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def drip(handler: Handler, content: bytes) -> None:
    handler.headers_of(len(content))
    handler.drip(content[i : i + 1] for i in range(len(content)))


def drip_of_headers(handler: Handler, content: bytes) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    handler.drip(itertools.repeat(b"x"))


def endless(handler: Handler, content: bytes) -> None:
    """Longer than any limit: a client without one gets to the end, before it has filled a disk."""
    handler.headers_of(None)
    for _ in range(ENDLESS):
        if handler.server.over.is_set():
            return
        handler.wfile.write(bytes(2**20))


def no_http(handler: Handler, content: bytes) -> None:
    handler.wfile.write(bytes(99))


FAULTS: dict[str, Callable[[Handler, bytes], None]] = {
    "good": good,
    "cut": cut,
    "reset": reset,
    "stall": stall,
    "silent": silent,
    "closed": closed,
    "length-too-long": lambda handler, content: handler.answer(content, announced=len(content) + 100),
    "length-too-short": lambda handler, content: handler.answer(content, announced=len(content) - 10),
    "length-no-number": length_no_number,
    "404": lambda handler, content: handler.answer(b"not here", status=404),
    "500": lambda handler, content: handler.answer(b"failed", status=500),
    "redirect-loop": redirect,
    "html": lambda handler, content: handler.answer(HTML),
    "wrong-byte": lambda handler, content: handler.answer(content[:-1] + bytes([content[-1] ^ 1])),
    "empty": lambda handler, content: handler.answer(b""),
    "drip": drip,
    "drip-of-headers": drip_of_headers,
    "endless": endless,
    "no-http": no_http,
}


def packed(folder: Path) -> tuple[dict[str, bytes], tuple[mnist.File, ...]]:
    """The four plain files of a folder as gzip, by name, and what `mnist.FILES` has to say for them to be MNIST."""
    contents, files = {}, []
    for file in mnist.FILES:
        plain = (folder / file.name).read_bytes()
        contents[f"{file.name}.gz"] = gzip.compress(plain, mtime=0)
        digests = (hashlib.sha256(content).hexdigest() for content in (plain, contents[f"{file.name}.gz"]))
        files.append(mnist.File(file.name, *digests))
    return contents, tuple(files)
