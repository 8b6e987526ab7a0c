"""gunicorn's threaded worker, with the contract's answers where it answers by itself, and its deadlines.

What has not come whole waits in the loop that accepts, and so does a client that may still be sending after
its last answer: neither holds a thread.
"""

import resource
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders, ParseException  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

from naive_sync.arrival import Arrival
from naive_sync.framing import BoundedParser
from shared.answer import JSON, Refused, unavailable
from shared.event import MAX_BODY
from shared.head import LINGER_BYTES, LINGER_SECONDS, ends, head_too_large, not_http, too_slow

REQUEST_SECONDS = UNREAD_SECONDS = 10.0
"""For a request to come, in all, and for a client to take something of its answer."""
RECEIVED = 65_536
"""Bytes of one read."""
MOST_HELD = 64 * 1024 * 1024
"""Bytes of requests that have not come whole, of all clients."""
SPARE_DESCRIPTORS = 200
"""For MySQL's connections, files and the process itself: no number of clients takes them."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class PatientSocket(socket.socket):
    """Sends as long as the client takes something."""

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Raises TimeoutError where it takes nothing for UNREAD_SECONDS."""
        before, rest = self.gettimeout(), memoryview(data)
        self.settimeout(UNREAD_SECONDS)
        try:
            while rest:
                rest = rest[self.send(rest, flags) :]
        finally:
            self.settimeout(before)


class Worker(ThreadWorker):  # type: ignore[misc]
    """For `gunicorn --worker-class`."""

    wsgi: Callable[..., Iterable[bytes]]
    worker_connections: int
    pending_conns: deque[TConn]
    nr_conns: int

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS
        self.worker_connections = max(min(self.worker_connections, most), 1)
        self.lingering: deque[TConn] = deque()
        self.held = 0

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.wsgi = announcing(self.wsgi)

    # --- in the loop ---

    def enqueue_req(self, conn: TConn) -> None:
        """A request may begin: the connection is new, was idle, or has more to read."""
        if conn.parser is None:
            conn.sock = PatientSocket(fileno=conn.sock.detach())
            conn.parser = BoundedParser(self.cfg, conn.sock, conn.client)
        parser = conn.parser
        parser.arrival, parser.unreader.continued = Arrival(), False
        begun: bytes = parser.unreader.take_buffered()
        conn.timeout = time.monotonic() + REQUEST_SECONDS
        conn.sock.setblocking(False)
        self.held += len(begun)
        if (begun and parser.arrival.add(begun)) or self._has_come(conn):
            self._hand_over(conn)
        else:
            self.pending_conns.append(conn)
            self._await(conn, self.on_pending_socket_readable)

    def on_pending_socket_readable(self, conn: TConn, client: socket.socket) -> None:  # noqa: ARG002
        if self._has_come(conn):
            self._forget_pending(conn)
            self._hand_over(conn)
        elif self.held > MOST_HELD:
            self._forget_pending(conn)
            self._refuse(conn, ends(unavailable("Too much is on its way")))

    def _has_come(self, conn: TConn) -> bool:
        """Whether a thread can go on with it."""
        arrival: Arrival = conn.parser.arrival
        try:
            data = conn.sock.recv(RECEIVED)
        except BlockingIOError:
            return False
        except OSError:
            return True  # the thread finds the same, and ends it
        self.held += len(data)
        has_come = arrival.add(data)
        if arrival.asks_first and not has_come and not conn.parser.unreader.continued:
            with suppress(OSError):  # it is gone, which shows at the next read
                conn.sock.send(CONTINUE)
            conn.parser.unreader.continued = True
        return has_come

    def _hand_over(self, conn: TConn) -> None:
        parser = conn.parser
        self.held -= len(parser.arrival.data)
        parser.unreader.arrived, parser.arrival.data = bytes(parser.arrival.data), bytearray()
        parser.unreader.until = conn.timeout
        conn.data_ready = True
        super().enqueue_req(conn)

    def _refuse(self, conn: TConn, refused: Refused) -> None:
        self.held -= len(conn.parser.arrival.data)
        with suppress(OSError):  # it is gone, or takes nothing
            conn.sock.send(_written(refused))
        self._linger(conn)

    def finish_request(self, conn: TConn, future: "Future[object]") -> None:
        if future.cancelled() or future.exception() or future.result() is not False:
            super().finish_request(conn, future)
        else:
            self._linger(conn)

    def _linger(self, conn: TConn) -> None:
        """Nothing more is sent; the client may still be sending, and must not lose its answer over it."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
        except OSError:  # it is gone
            self._close(conn)
            return
        conn.timeout, conn.dropped = time.monotonic() + LINGER_SECONDS, 0
        self.lingering.append(conn)
        self._await(conn, self._drop)

    def _drop(self, conn: TConn, client: socket.socket) -> None:
        try:
            data = client.recv(RECEIVED)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        conn.dropped += len(data)
        if not data or conn.dropped > LINGER_BYTES:
            self._part_with(conn)

    def _part_with(self, conn: TConn) -> None:
        self.lingering.remove(conn)
        self.poller.unregister(conn.sock)
        self._close(conn)

    def _close(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()

    def _await(self, conn: TConn, then: Callable[[TConn, socket.socket], None]) -> None:
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(then, conn))

    def _forget_pending(self, conn: TConn) -> None:
        self.pending_conns.remove(conn)
        self.poller.unregister(conn.sock)

    def murder_pending(self) -> None:
        """gunicorn's name; it is called once a second. Both deques are in the order of their deadlines."""
        now = time.monotonic()
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            conn = self.pending_conns[0]
            self._forget_pending(conn)
            if conn.parser.arrival.has_begun:
                self._refuse(conn, too_slow())
            else:
                self.held -= len(conn.parser.arrival.data)
                self._close(conn)
        while self.lingering and self.lingering[0].timeout <= now:
            self._part_with(self.lingering[0])

    # --- in a thread ---

    def handle(self, conn: TConn) -> object:
        goes_on: object = super().handle(conn)
        conn.parser.unreader.put_back()
        return goes_on

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        """What nobody has read of a body is no request. To wait for more of it would hold the thread."""
        if not keepalive or conn.parser.arrival.is_too_long:
            return False
        return len(conn.parser.mesg.body.read(MAX_BODY + 1)) <= MAX_BODY

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        refused = _refused(exc)
        if refused is None:
            super().handle_error(req, client, addr, exc)
        else:
            client.sendall(_written(refused))


def announcing(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """gunicorn drops an app's `Connection: close`; here it closes, and says so.

    And werkzeug refuses a Host that can be no name: whose it is does not matter, so it is told of none.
    """

    def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if ("Connection", "close") in headers:
                start_response.__self__.force_close()
            return start_response(status, headers, exc_info)

        environ.pop("HTTP_HOST", None)
        return app(environ, start)

    return wsgi


def _refused(error: Exception) -> Refused | None:
    match error:
        case Refused():
            return error
        case LimitRequestHeaders():
            return head_too_large()
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
