"""The users' HTTP client, as lean as it can be: whatever it costs is taken from what can be measured.

CPU per request of the whole generator, on 2 cores, 500 users, 3,900 requests/s: `geventhttpclient.HTTPClient`
0.24 ms, this client 0.14 ms. A timer for each request (`settimeout`) would add 0.016 ms, which is why the
overdue ones are looked for once a second instead.
"""

from contextlib import suppress
from time import perf_counter
from urllib.parse import urlsplit

from gevent import get_hub, socket

from loadtests.load import framing
from loadtests.load.outcomes import FOLDED
from shared.event import PATH

READ = 1
"""libev's name for what a connection is waited for."""
TIMEOUT = 30.0
"""Seconds that a user waits for an answer."""
BLOCK = 65_536
IS_FOLDED = b'"folded"'
"""In the body of an answer; to look for it takes a sixth of a microsecond."""
HEAD = "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "


class Ended(ConnectionResetError):
    """The server has closed the connection, in order."""


class Client:
    """One keep-alive connection, opened by the first request and again after one that failed.

    Nothing is sent twice: what a broken connection did with an event can't be known.
    """

    def __init__(self, base_url: str) -> None:
        """Raises ValueError where `base_url` is no `http://host[:port]`."""
        url = urlsplit(base_url)
        if url.scheme != "http" or not url.hostname:
            raise ValueError(f"{base_url!r} is not an http:// address")
        self._address = (url.hostname, url.port or 80)
        self._head = HEAD.format(path=url.path.rstrip("/") + PATH, host=url.netloc).encode()
        self._socket: socket.socket | None = None
        self._sent: float | None = None

    def connect(self) -> None:
        """Connect now and not with the first request. A failure shows then, and not here."""
        with suppress(OSError):
            self._connect()

    def post(self, body: bytes) -> str:
        """Send an event and return the answer's status code, `FOLDED`, "timeout", or "connection"."""
        self._sent = sent = perf_counter()
        try:
            return self._exchange(body)
        except (OSError, ValueError):
            self.close()
            return "timeout" if perf_counter() - sent >= TIMEOUT else "connection"
        finally:
            self._sent = None

    def close_if_overdue(self, now: float) -> None:
        """End a request that has had its time: the `post` that waits for it returns "timeout"."""
        if self._sent is not None and now - self._sent >= TIMEOUT:
            self.close()

    def close(self) -> None:
        if self._socket is not None:
            get_hub().cancel_wait(self._readable, ConnectionAbortedError(), True)
            self._socket.close()
            self._socket = None

    def _exchange(self, body: bytes) -> str:
        connected = self._socket or self._connect()
        connected.sendall(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        head, rest = self._read_head(b"")
        while head[9:10] == b"1":  # not the answer yet
            head, rest = self._read_head(rest)
        status, length, stays = framing.read(head)
        body = self._read_body(length, rest)
        if not stays:
            self.close()
        return FOLDED if IS_FOLDED in body and status == "200" else status

    def _connect(self) -> socket.socket:
        self._socket = socket.create_connection(self._address, TIMEOUT)
        self._socket.settimeout(None)
        self._readable = get_hub().loop.io(self._socket.fileno(), READ)
        return self._socket

    def _read_head(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the head in lower case, and what came behind it."""
        if not data:
            data = self._receive()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        return data[:end].lower(), data[end + 4 :]

    def _read_body(self, length: int, body: bytes) -> bytes:
        if length == framing.CHUNKED:
            chunks = framing.Chunks()
            while not chunks.take(body):
                body = self._receive()
            return chunks.content
        if length == framing.UNTIL_CLOSE:
            with suppress(Ended):
                while True:
                    body += self._receive()
            return body
        while len(body) < length:
            body += self._receive()
        return body

    def _receive(self) -> bytes:
        get_hub().wait(self._readable)  # to try first and fail would cost a system call
        if self._socket is None:  # closed meanwhile
            raise ConnectionAbortedError
        data: bytes = self._socket.recv(BLOCK)
        if not data:
            raise Ended
        return data
