"""uvicorn's HTTP protocol, with what it leaves open: who may say what, how much, for how long.

Exactly one answer for one request, in order; and bytes that are not a request are never taken for one.
"""

import asyncio
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from async_dedup.deadlines import sweep_of
from async_dedup.flow import Flow, Lingering
from shared.answer import JSON, Refused
from shared.head import MAX_HEAD, body_ended, check_request, head_too_large, not_http, too_slow

HEAD_SECONDS = BODY_SECONDS = 10.0
"""In all, not from byte to byte: 256 KiB come in that time at 26 KB/s, and a trickle holds no connection."""
UNREAD_SECONDS = 10.0
"""In which a client must take something of what it is owed."""
PIECE = MAX_HEAD
"""Bytes of a packet that are parsed at once: a request that waits for another costs fifty times its own."""
LINGER_SECONDS = 2.0
LINGER_BYTES = 8 * 1024 * 1024
"""Still taken, and dropped, after the last answer: closed earlier, the kernel would drop the answer."""


class Connection(HttpToolsProtocol):
    """For `uvicorn --http`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.running: Any = None
        """The cycle or exchange whose answer is the next."""
        self.partial = False
        """Whether a request has begun that is not whole."""
        self.requests = 0
        self.ended = False
        """Whether what comes from now on is dropped."""
        self.lingering = False
        self._in_body = False
        self._upgrade = False
        self._last_word: Refused | None = None
        self._reason: Refused | None = None
        self._dropped = 0
        self._rest = b""
        self._taking = False
        self._quiet = 0  # bytes since the parser last told of anything
        self._before = 0  # bytes of the packet in which it did: its end may be the start of a head
        self._told = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport, lambda: bool(self.pipeline or self._rest))
        sweep_of(self.loop).add(self, self.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        sweep_of(self.loop).discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.ended:
            self._drop(len(data))
        elif self._rest or len(data) > PIECE:
            self._rest += data
            self._go_on()
        else:
            self._take(data)

    def _go_on(self) -> None:
        """Parse no further than to a request that has to wait: each costs fifty times its bytes."""
        while self._rest and not self.pipeline and not self._taking:
            piece, self._rest = self._rest[:PIECE], self._rest[PIECE:]
            self._take(piece)
        if self._rest:
            self.flow.pause_reading()

    def _take(self, data: bytes) -> None:
        self._quiet += len(data)
        self._taking = True
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.refuse(self._reason or not_http())
            return
        finally:
            self._taking = False
        if self._told:
            self._told, self._quiet, self._before = False, 0, len(data)
        elif self._quiet > MAX_HEAD:  # in a body, of a chunk's extensions or of trailers
            self.refuse(not_http() if self._in_body else head_too_large())

    def _feed(self, data: bytes) -> None:
        rest = memoryview(data)
        while True:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                # The parser takes the body for another protocol. We speak none, so it reads the head again.
                head, rest = self._head_without_upgrade(), rest[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.feed_data(head)

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _should_upgrade(self) -> bool:
        return False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.requests += 1
        self.partial, self._in_body, self._upgrade = True, False, False

    def on_headers_complete(self) -> None:
        self.check_head_size()
        self._check_head()
        self._upgrade = self.parser.should_upgrade()
        if self._upgrade:
            return
        super().on_headers_complete()
        self.cycle.transport = cast(asyncio.Transport, Lingering(self))
        if self.parser.get_http_version() == "1.0" and self.parser.should_keep_alive():
            self.cycle.keep_alive = True
            self.cycle.default_headers = [*self.cycle.default_headers, (b"connection", b"keep-alive")]
        self.headers = []  # the scope has its own; what still comes are trailers, which nobody asked for
        self.in_body()

    def in_body(self) -> None:
        self._in_body = self._told = True

    def check_head_size(self) -> None:
        """Exact, where it can be too much at all."""
        if self._quiet + self._before > MAX_HEAD:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size + len("POST  HTTP/1.1\r\n\r\n") > MAX_HEAD:
                self._raise(head_too_large())

    def _check_head(self) -> None:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers]
        method, url = self.parser.get_method().decode("latin-1"), self.url.decode("latin-1")
        try:
            check_request(method, self.parser.get_http_version(), url, headers)
        except Refused as refused:
            self._raise(refused)

    def _raise(self, refused: Refused) -> None:
        self._reason = refused  # the parser tells only that something was raised
        raise refused

    def on_body(self, body: bytes) -> None:
        self._told = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._upgrade:
            self.message_is_whole()
            super().on_message_complete()

    def message_is_whole(self) -> None:
        self._told, self.partial = True, False

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def is_owing(self) -> bool:
        return self.running is not None and not self.running.response_complete

    def refuse(self, refused: Refused | None) -> None:
        """End the connection: first the answers that are owed, then this one."""
        self.ended, self._last_word, self._rest = True, refused, b""
        if self.partial and self._in_body:
            self._give_up_the_last()
        self.partial = False
        if not self.is_owing():
            self._say_last_word()

    def _give_up_the_last(self) -> None:
        """Its body is not one: the last word is its answer, unless it has one."""
        broken = self.cycle
        if broken is not self.running:
            self.pipeline.popleft()
            return
        if broken.response_complete or getattr(broken, "response_started", False):
            self._last_word = None
        broken.disconnected = True
        broken.message_event.set()
        self.running = None

    def _say_last_word(self) -> None:
        if self._last_word is not None:
            self.write_refused(self._last_word)
        self.linger()

    def write_refused(self, refused: Refused) -> None:
        body = refused.body()
        headers = {"Content-Type": JSON, "Content-Length": str(len(body)), **refused.headers}
        lines = [f"{name.lower()}: {value}\r\n".encode() for name, value in headers.items()]
        defaults = [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        self.transport.write(b"".join((STATUS_LINE[refused.status], *defaults, *lines, b"\r\n", body)))

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.lingering or self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.ended:
            self._say_last_word()
        elif self._rest:
            self._go_on()
        self.flow.resume_reading()

    def linger(self) -> None:
        """Nothing more is sent; the client may still be sending, and must not lose its answer over it."""
        if self.lingering or self.transport.is_closing():
            return
        self.ended = self.lingering = True
        self._rest = b""
        self.pipeline.clear()
        self.transport.write_eof()
        self.flow.resume_reading()

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > LINGER_BYTES:
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more, and may well wait for its answers."""
        if not self.ended:
            self.refuse(body_ended() if self.partial and self._in_body else None)
        return self.is_owing()

    def waits_for(self) -> tuple[object, float] | None:
        """Return what the client has to do next, and in how many seconds."""
        unsent = self.transport.get_write_buffer_size()
        if self.lingering:
            return ("end", unsent), LINGER_SECONDS
        if self.flow.write_paused:
            return ("read", unsent), UNREAD_SECONDS
        if self.partial and not self.flow.read_paused:
            return ("send", self.requests, self._in_body), BODY_SECONDS if self._in_body else HEAD_SECONDS
        if self.partial or self.is_owing():
            return None
        return ("ask", self.requests), self.timeout_keep_alive if self.requests else HEAD_SECONDS

    def expire(self) -> None:
        if self.partial and not self.flow.write_paused:
            self.refuse(too_slow())
        elif self.lingering or self.flow.write_paused:
            self.transport.abort()
        else:
            self.transport.close()
