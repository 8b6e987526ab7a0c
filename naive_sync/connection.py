"""gunicorn's threaded worker, with the contract's answers where its parser answers by itself.

Which requests are refused is `shared/head.py`'s rule, as in the async twin.
"""

import selectors
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn.http.errors import (  # type: ignore[import-untyped]
    ExpectationFailed,
    LimitRequestHeaders,
    ParseException,
)
from gunicorn.http.message import Request  # type: ignore[import-untyped]
from gunicorn.http.parser import RequestParser  # type: ignore[import-untyped]
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

from naive_sync.arrival import Arrival
from shared.answer import JSON, Refused
from shared.head import (
    LINGER_BYTES,
    LINGER_SECONDS,
    MAX_HEAD,
    check_request,
    expectation_failed,
    head_too_large,
    not_http,
    too_slow,
)

REQUEST_SECONDS = UNREAD_SECONDS = 10.0
"""For a request to come, in all, and for a client to take something of its answer."""
RECEIVED = 65_536
"""Bytes of one read."""
MAX_LENGTH = 2**64 - 1
"""Of a Content-Length, as the async twin's parser has it."""


class BoundedRequest(Request):  # type: ignore[misc]
    """Reads no more of a head than the contract allows, and trusts no header of a proxy."""

    headers: list[tuple[str, str]]
    must_close: bool
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
        return rest

    def _check(self) -> None:
        headers = [(name.lower(), value) for name, value in self.headers]
        check_request(self.method, ".".join(map(str, self.version)), self.uri, headers)
        length = dict(headers).get("content-length", "0")
        if not (length.isascii() and length.isdigit() and int(length) <= MAX_LENGTH):
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
    """Reads until the time of the request is over, not from byte to byte."""

    sock: socket.socket
    mxchunk: int
    until = 0.0
    arrived = b""
    """What the loop has read."""

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Raises TimeoutError."""
        if self.arrived:
            data, self.arrived = self.arrived[: self.mxchunk], self.arrived[self.mxchunk :]
            return data
        self.sock.settimeout(max(self.until - time.monotonic(), 0.001))
        try:
            return bytes(super().chunk(size_hint))
        finally:
            self.sock.settimeout(UNREAD_SECONDS)

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


class Worker(ThreadWorker):  # type: ignore[misc]
    """For `gunicorn --worker-class`. What has not come whole waits in the loop that accepts."""

    wsgi: Callable[..., Iterable[bytes]]

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.wsgi = announcing(self.wsgi)

    def enqueue_req(self, conn: TConn) -> None:
        if conn.parser is None:
            conn.parser = BoundedParser(self.cfg, conn.sock, conn.client)
        parser = conn.parser
        parser.arrival = Arrival()
        begun: bytes = parser.unreader.take_buffered()
        conn.timeout = time.monotonic() + REQUEST_SECONDS
        conn.sock.setblocking(False)
        if (begun and parser.arrival.add(begun)) or self._have_read(conn):
            self._hand_over(conn)
        else:
            self.pending_conns.append(conn)
            ready = partial(self.on_pending_socket_readable, conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, ready)

    def on_pending_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        if self._have_read(conn):
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            self._hand_over(conn)

    def _have_read(self, conn: TConn) -> bool:
        """Whether a thread can go on with it."""
        try:
            return bool(conn.parser.arrival.add(conn.sock.recv(RECEIVED)))
        except BlockingIOError:
            return False
        except OSError:
            return True  # the thread finds the same, and ends it

    def _hand_over(self, conn: TConn) -> None:
        conn.parser.unreader.arrived = bytes(conn.parser.arrival.data)
        conn.parser.unreader.until = conn.timeout
        conn.data_ready = True
        super().enqueue_req(conn)

    def murder_pending(self) -> None:
        for conn in self.pending_conns:
            if conn.timeout > time.monotonic():
                break
            if conn.parser.arrival.data:
                with suppress(OSError):  # it is gone, or takes nothing
                    conn.sock.send(_written(too_slow()))
        super().murder_pending()

    def handle_request(self, req: Any, conn: TConn) -> object:
        conn.sock.settimeout(UNREAD_SECONDS)
        return super().handle_request(req, conn)

    def handle(self, conn: TConn) -> object:
        goes_on: object = super().handle(conn)
        conn.parser.unreader.put_back()
        if goes_on is False:
            linger(conn.sock)
        return goes_on

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        refused = _refused(exc)
        if refused is None:
            super().handle_error(req, client, addr, exc)
        else:
            client.sendall(_written(refused))


def announcing(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """gunicorn drops an app's `Connection: close`; here it closes, and says so."""

    def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if ("Connection", "close") in headers:
                start_response.__self__.force_close()
            return start_response(status, headers, exc_info)

        return app(environ, start)

    return wsgi


def linger(sock: socket.socket) -> None:
    """Nothing more is sent; the client may still be sending, and must not lose its answer over it.

    Done by the thread of the request: gunicorn does it in its only thread that accepts.
    """
    deadline, dropped = time.monotonic() + LINGER_SECONDS, 0
    try:
        sock.setblocking(True)
        sock.shutdown(socket.SHUT_WR)
        while dropped < LINGER_BYTES and (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            if not (data := sock.recv(65_536)):
                break
            dropped += len(data)
        sock.shutdown(socket.SHUT_RD)
    except OSError:
        return  # it is gone


def _refused(error: Exception) -> Refused | None:
    match error:
        case Refused():
            return error
        case LimitRequestHeaders():
            return head_too_large()
        case ExpectationFailed():
            return expectation_failed()
        case ParseException():
            return not_http()
        case _:
            return None


def _written(refused: Refused) -> bytes:
    body = refused.body()
    headers = {"Content-Type": JSON, "Content-Length": str(len(body)), **refused.headers}
    status = HTTPStatus(refused.status)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "\r\n"]).encode() + body
