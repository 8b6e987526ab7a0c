"""How bytes become requests, round gunicorn's parser: whatever is not a request is never taken for one.

Which requests are refused is `shared/head.py`'s rule, as in the async twin.
"""

import socket
import time
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders  # type: ignore[import-untyped]
from gunicorn.http.message import Request  # type: ignore[import-untyped]
from gunicorn.http.parser import RequestParser  # type: ignore[import-untyped]
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]

from naive_sync.arrival import Arrival
from shared.head import MAX_HEAD, check_request, not_http

MAX_LENGTH = 2**64 - 1
"""Of a Content-Length, as the async twin's parser has it."""
MAX_DIGITS = len(str(MAX_LENGTH))


class BoundedRequest(Request):  # type: ignore[misc]
    """Reads no more of a head than the contract allows, and trusts no header of a proxy."""

    headers: list[tuple[str, str]]
    must_close: bool
    _expected_100_continue: bool
    version: tuple[int, int]

    def parse(self, unreader: Any) -> bytes:
        head, skipped = bytearray(), 0
        while (end := head.find(b"\r\n\r\n")) < 0 and skipped + len(head) <= MAX_HEAD:
            self.read_into(unreader, head, stop=not head)
            skipped += len(head) - len(head := head.lstrip(b"\r\n"))
            if head.count(b"\n") != head.count(b"\r\n"):
                break  # no head ends like that: gunicorn says so at once
        if end > MAX_HEAD - 4 or (end < 0 and skipped + len(head) > MAX_HEAD):
            raise LimitRequestHeaders("head")
        unreader.unread(bytes(head))
        rest: bytes = super().parse(unreader)
        self._check()
        self.max_buffer_headers = MAX_HEAD  # of trailers, from here on
        self.headers = [header for header in self.headers if header[0] != "UPGRADE"]  # we speak nothing else
        if unreader.continued:
            self._expected_100_continue = False
        return rest

    def _check(self) -> None:
        headers = [(name.lower(), value) for name, value in self.headers]
        check_request(self.method, ".".join(map(str, self.version)), self.uri, headers)
        length = dict(headers).get("content-length", "0")
        # Python turns no more than 4,300 digits into a number.
        if not (length.isascii() and length.isdigit() and len(length.lstrip("0")) <= MAX_DIGITS):
            raise not_http()
        if int(length) > MAX_LENGTH:
            raise not_http()

    def should_close(self) -> bool:
        """gunicorn by itself reads one header with one option."""
        values = (value for name, value in self.headers if name == "CONNECTION")
        options = {option.strip().lower() for value in values for option in value.split(",")}
        return (
            self.must_close or "close" in options or (self.version < (1, 1) and "keep-alive" not in options)
        )

    def _peer_trusted_for_forwarded(self) -> tuple[dict[str, str], list[str]]:
        return {}, []


class TimedUnreader(SocketUnreader):  # type: ignore[misc]
    """First what the loop has read, then the socket, until the time of the request is over."""

    sock: socket.socket
    mxchunk: int
    until = 0.0
    arrived = b""
    continued = False
    """Whether the client was told to go on."""

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Raises TimeoutError."""
        if self.arrived:
            data, self.arrived = self.arrived[: self.mxchunk], self.arrived[self.mxchunk :]
            return data
        before, left = self.sock.gettimeout(), max(self.until - time.monotonic(), 0.001)
        self.sock.settimeout(left if before is None else min(before, left))
        try:
            return bytes(super().chunk(size_hint))
        finally:
            self.sock.settimeout(before)

    def put_back(self) -> None:
        """Where gunicorn looks for the next request."""
        rest, self.arrived = self.take_buffered() + self.arrived, b""
        self.unread(rest)


class BoundedParser(RequestParser):  # type: ignore[misc]
    mesg_class = BoundedRequest

    def __init__(self, cfg: Any, sock: socket.socket, address: Any) -> None:
        super().__init__(cfg, sock, address)
        self.unreader = TimedUnreader(sock)
        self.arrival = Arrival()
