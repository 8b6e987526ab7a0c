"""Who may say what on a connection, how much, for how long: exactly one answer for one request, in order."""

import asyncio
import resource
from typing import Any, cast

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from async_dedup.deadlines import sweep_of
from async_dedup.flow import Flow, Lingering
from async_dedup.framing import Framing
from shared.answer import JSON, Refused, unavailable
from shared.head import LINGER_BYTES, LINGER_SECONDS, body_ended, ends, too_slow

HEAD_SECONDS = BODY_SECONDS = 10.0
"""In all, not from byte to byte: 256 KiB come in that time at 26 KB/s, and a trickle holds no connection."""
SPARE_DESCRIPTORS = 64
"""For whoever keeps events, and what the process has anyway: no number of clients takes them."""
UNREAD_SECONDS = 10.0
"""In which a client must take something of what it is owed."""


class Connection(Framing):
    """For `uvicorn --http`."""

    spare_descriptors = SPARE_DESCRIPTORS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.running: Any = None
        """The cycle or exchange whose answer is the next."""
        self.lingering = False
        self._last_word: Refused | None = None
        self._heard_all = False
        self._dropped = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport, self._is_full)
        sweep_of(self.loop).add(self, self.loop.time())
        if len(self.connections) > resource.getrlimit(resource.RLIMIT_NOFILE)[0] - self.spare_descriptors:
            self.ended = True
            self.write_refused(ends(unavailable("There are too many connections")))
            self.transport.close()  # at once: to linger takes a descriptor

    def connection_lost(self, exc: Exception | None) -> None:
        sweep_of(self.loop).discard(self)
        super().connection_lost(exc)

    def _is_full(self) -> bool:
        """Whether more has come than is asked for: requests that wait, or a body that nobody reads."""
        if self.lingering:
            return False
        cycle = self.cycle
        is_unread = cycle is not None and not cycle.response_complete and len(cycle.body) > HIGH_WATER_LIMIT
        return bool(self.pipeline or self.rest or is_unread)

    def prepare_cycle(self) -> None:
        """Its end is a lingering one; and HTTP/1.0 may keep its connection, which uvicorn never allows."""
        self.cycle.transport = cast(asyncio.Transport, Lingering(self))
        if self.parser.get_http_version() == "1.0" and self._is_to_be_kept():
            self.cycle.keep_alive = True
            self.cycle.default_headers = [*self.cycle.default_headers, (b"connection", b"keep-alive")]

    def _is_to_be_kept(self) -> bool:
        """The parser hears no `close` beside a `keep-alive` of HTTP/1.0."""
        values = (value for name, value in self.headers if name == b"connection")
        options = {option.strip(b" \t").lower() for value in values for option in value.split(b",")}
        return b"keep-alive" in options and b"close" not in options

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def is_owing(self) -> bool:
        return self.running is not None and not self.running.response_complete

    def refuse(self, refused: Refused | None) -> None:
        """End the connection: first the answers that are owed, then this one."""
        self.ended, self._last_word, self.rest = True, refused, b""
        if self.partial and self.is_in_body:
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
        if self.rest:
            self._go_on()
        else:
            self.flow.resume_reading()

    def linger(self) -> None:
        """Nothing more is sent; the client may still be sending, and must not lose its answer over it."""
        if self.lingering or self.transport.is_closing():
            return
        self.ended = self.lingering = True
        self.rest = b""
        self.pipeline.clear()
        if self._heard_all:
            self.transport.close()
        else:
            self.transport.write_eof()
            self.flow.resume_reading()

    def drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > LINGER_BYTES:
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more, and may well wait for its answers."""
        self._heard_all = True
        if not self.ended:
            self.refuse(body_ended() if self.partial and self.is_in_body else None)
        return self.is_owing()

    def waits_for(self) -> tuple[object, float] | None:
        """Return what the client has to do next, and in how many seconds."""
        if unsent := self.transport.get_write_buffer_size():
            return ("read", unsent), UNREAD_SECONDS
        if self.lingering:
            return "end", LINGER_SECONDS
        if self.partial and not (self.flow.read_paused and self.is_owing()):
            return ("send", self.requests, self.is_in_body), BODY_SECONDS if self.is_in_body else HEAD_SECONDS
        if self.partial or self.is_owing():
            return None
        return ("ask", self.requests), self.timeout_keep_alive if self.requests else HEAD_SECONDS

    def expire(self) -> None:
        if self.lingering or self.transport.get_write_buffer_size():
            self.transport.abort()
        elif self.partial:
            self.refuse(too_slow())
        else:
            self.transport.close()
