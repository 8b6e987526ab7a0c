"""A connection with a short way to the hot route: neither an ASGI scope nor a task for a request.

Only a plain request takes it: a POST to the hot path, JSON of an announced length up to 64 KiB, on a
connection that stays open and owes no other answer. Every other one takes uvicorn's way to the same route,
and gets the same answer.
"""

import asyncio
from datetime import datetime
from time import perf_counter
from typing import Any, Literal, cast

from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from async_dedup.connection import Connection
from async_dedup.dispatch import Answer, Hot, HotPathAPI, error_response
from async_dedup.fates import Folded
from async_dedup.ingest import Ingest
from async_dedup.known import Lookup
from shared import metrics
from shared.answer import JSON, acknowledged
from shared.event import PATH, parse
from shared.head import MAX_DIGITS

HOT_URL = PATH.encode()
CONTENT_TYPE = JSON.encode()
LONG_WAY = frozenset((b"content-encoding", b"expect", b"transfer-encoding", b"upgrade"))
"""Headers that change how a request is read or answered."""


def short_way(ingest: Ingest | Lookup, status: Literal["saved", "queued"]) -> Hot:
    """Do what the hot route does."""

    def accept(body: bytes, answer: Answer) -> None:
        def done(outcome: datetime | Folded | Exception) -> None:
            answer(outcome if isinstance(outcome, Exception) else answer_body(status, outcome))

        ingest.submit(parse(body), done)

    return accept


def answer_body(status: Literal["saved", "queued"], kept: datetime | Folded) -> bytes:
    """Of the answer to an event that is kept."""
    return acknowledged("folded", kept.kept_at) if isinstance(kept, Folded) else acknowledged(status, kept)


class Exchange:
    """A hot request and its answer.

    In the place of uvicorn's cycle, so that its connection makes the next request wait, and ends in order.
    """

    disconnected = False
    keep_alive = True
    response_complete = False
    message_event = asyncio.Event()  # nobody waits for the parts of a body here

    def __init__(self, protocol: "HotPathProtocol") -> None:
        self.body = b""
        self.whole = False
        self._protocol = protocol
        self._started = perf_counter()
        metrics.in_flight.add(self)

    def answer(self, outcome: bytes | Exception) -> None:
        """Send the body of a 200, or the contract's error body; once, if at all."""
        if isinstance(outcome, bytes):
            status, body = 200, outcome
            head = b"content-length: %d\r\ncontent-type: %b\r\n" % (len(body), CONTENT_TYPE)
        else:
            response = error_response(outcome)
            status, body = response.status_code, bytes(response.body)
            head = b"".join(b"%b: %b\r\n" % header for header in response.raw_headers)
        self.response_complete = True
        metrics.in_flight.discard(self)
        metrics.observe_request(PATH, "POST", status, perf_counter() - self._started)
        self._protocol.send(status, head, body, self.keep_alive)


class HotPathProtocol(Connection):
    """For `uvicorn --http`. An app that is no HotPathAPI is served as ever."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What uvicorn does for each request where it is asked to; headers of proxies it reads around the app.
        extras = self.access_log or self.limit_concurrency is not None
        self._hot = self.app.hot if isinstance(self.app, HotPathAPI) and not extras else None

    def on_headers_complete(self) -> None:
        if self._hot and self.url == HOT_URL and self._is_plain():
            self.check_head_size()
            self.running = self.cycle = cast(RequestResponseCycle, Exchange(self))
            self.in_body()
        else:
            super().on_headers_complete()

    def _is_plain(self) -> bool:
        headers = dict(self.headers)
        length = headers.get(b"content-length", b"")
        return (
            headers.get(b"content-type") == CONTENT_TYPE
            and length.isdigit()
            and len(length) <= MAX_DIGITS
            and int(length) <= HIGH_WATER_LIMIT
            and LONG_WAY.isdisjoint(headers)
            and len(headers) == len(self.headers)
            and b"host" in headers
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and (self.cycle is None or self.cycle.response_complete)
        )

    def on_message_complete(self) -> None:
        exchange = self.cycle
        # A whole one is an earlier request's: this one asks for an upgrade, and its head is read once more.
        if not isinstance(exchange, Exchange) or exchange.whole:
            super().on_message_complete()
            return
        self.message_is_whole()
        exchange.whole = True
        try:
            self._hot(exchange.body, exchange.answer)
        except Exception as error:  # noqa: BLE001 - each gets the contract's body
            exchange.answer(error)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if isinstance(self.cycle, Exchange) and not self.cycle.whole:
            self.cycle.answer(ClientDisconnect())

    def send(self, status: int, head: bytes, body: bytes, keep_alive: bool) -> None:
        if self.transport.is_closing():
            return
        defaults = [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        end = b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join((STATUS_LINE[status], *defaults, head, end, body)))
        if not keep_alive:
            self.linger()
        self.on_response_complete()
