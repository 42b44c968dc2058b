"""An object store that does what networks and disks do: a server before the one of the tests."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class FaultyStore(ThreadingHTTPServer):
    """Passes everything on to `behind`, and spoils what it is told to, by the object's last name.

    cut: bodies that end in the middle. spoiled: how often a body comes with a byte changed. held:
    those answered only when `let_go` is set. asked: how often each was, by (method, name).
    """

    daemon_threads = True

    def __init__(self, behind: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlsplit(behind).netloc
        self.cut: set[str] = set()
        self.spoiled: Counter[str] = Counter()
        self.held: set[str] = set()
        self.holding, self.let_go = threading.Event(), threading.Event()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.server_address)

    def body(self, name: str, body: bytes) -> bytes:
        """What is sent in place of a body."""
        with self.lock:
            if self.spoiled[name] > 0:
                self.spoiled[name] -= 1
                return body[:-1] + bytes([body[-1] ^ 1])
        return body[: len(body) // 2] if name in self.cut else body


class _Handler(BaseHTTPRequestHandler):
    server: FaultyStore

    def _pass_on(self) -> None:
        name = urlsplit(self.path).path.rpartition("/")[2]
        with self.server.lock:
            self.server.asked[self.command, name] += 1
        if self.command == "GET" and name in self.server.held:
            self.server.holding.set()
            self.server.let_go.wait()
        behind = HTTPConnection(self.server.behind, timeout=60)
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behind.request(self.command, self.path, sent, dict(self.headers))
        answer = behind.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for header, value in answer.getheaders():
            if header.lower() not in ("transfer-encoding", "connection"):
                self.send_header(header, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(self.server.body(name, body) if self.command == "GET" and body else body)
        behind.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def log_message(self, *args: object) -> None:
        """A line a request would hide what the tests say."""


@contextmanager
def running(behind: str) -> Iterator[FaultyStore]:
    """The server, for as long as the block lasts."""
    with FaultyStore(behind) as store:
        serving = threading.Thread(target=store.serve_forever, daemon=True)
        serving.start()
        try:
            yield store
        finally:
            store.let_go.set()
            store.shutdown()
            serving.join()
