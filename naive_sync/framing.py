"""How bytes become requests, round gunicorn's parser: whatever is not a request is never taken for one.

Which requests are refused is `shared/head.py`'s rule, as in the async twin.
"""

import re
import socket
import time
from typing import Any

from gunicorn.http.body import Body, ChunkedReader  # type: ignore[import-untyped]
from gunicorn.http.errors import (  # type: ignore[import-untyped]
    InvalidRequestLine,
    LimitRequestHeaders,
    NoMoreData,
    ParseException,
)
from gunicorn.http.message import Request  # type: ignore[import-untyped]
from gunicorn.http.parser import RequestParser  # type: ignore[import-untyped]
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]

from naive_sync.arrival import Arrival, may_begin
from naive_sync.chunks import Chunks
from shared.event import MAX_BODY
from shared.head import MAX_HEAD, check_request, not_http, too_slow


class BoundedRequest(Request):  # type: ignore[misc]
    """Reads no more of a head than the contract allows, and trusts no header of a proxy."""

    headers: list[tuple[str, str]]
    body: Any
    must_close: bool
    version: tuple[int, int]
    _policy_expect_continue = False  # what may be expected is the contract's to say

    def parse(self, unreader: Any) -> bytes:
        head, skipped = bytearray(), 0
        while (end := head.find(b"\r\n\r\n")) < 0 and skipped + len(head) <= MAX_HEAD:
            self.read_into(unreader, head, stop=not head)
            skipped += len(head) - len(head := head.lstrip(b"\r\n"))
            if head.count(b"\n") != head.count(b"\r\n"):
                break  # no head ends like that: gunicorn says so at once
            if not may_begin(head):
                raise InvalidRequestLine("its begin")
        if end > MAX_HEAD - 4 or (end < 0 and skipped + len(head) > MAX_HEAD):
            raise LimitRequestHeaders("head")
        unreader.unread(bytes(head))
        rest: bytes = super().parse(unreader)
        self._check()
        self.headers = [header for header in self.headers if header[0] != "UPGRADE"]  # we speak nothing else
        is_asked = self.version >= (1, 1) and any(name == "EXPECT" for name, _ in self.headers)
        self._expected_100_continue = is_asked and not unreader.continued
        return rest

    def _check(self) -> None:
        headers = [(name.lower(), value) for name, value in self.headers]
        check_request(self.method, ".".join(map(str, self.version)), self.uri, headers)

    def set_body_reader(self) -> None:
        super().set_body_reader()
        if isinstance(self.body.reader, ChunkedReader):
            self.body = Body(Chunks(self, self.unreader))
            self._check_chunks()

    def _check_chunks(self) -> None:
        """Before a route answers, which may not read them; all that are needed have come."""
        try:
            begun = self.body.read(MAX_BODY + 1)
        except TimeoutError:
            raise too_slow() from None
        except NoMoreData:
            self.body = Body(Ended())
        except ParseException:
            raise not_http() from None
        else:
            self.body.buf.write(begun)

    def parse_request_line(self, line_bytes: bytes) -> None:
        """Between its words there may be several spaces, as for the async twin's parser."""
        super().parse_request_line(re.sub(rb" +", b" ", line_bytes))

    def should_close(self) -> bool:
        """gunicorn by itself reads one header with one option."""
        values = (value for name, value in self.headers if name == "CONNECTION")
        options = {option.strip(" \t").lower() for value in values for option in value.split(",")}
        return (
            self.must_close or "close" in options or (self.version < (1, 1) and "keep-alive" not in options)
        )

    def _peer_trusted_for_forwarded(self) -> tuple[dict[str, str], list[str]]:
        return {}, []


class Ended:
    """In the place of what reads a body, where its client has ended before it."""

    def read(self, size: int) -> bytes:  # noqa: ARG002
        raise NoMoreData


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
