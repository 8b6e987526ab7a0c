"""How bytes become requests, round uvicorn's parser: whatever is not a request is never taken for one."""

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.answer import Refused
from shared.head import MAX_HEAD, check_request, head_too_large, not_http, origin_form

PIECE = MAX_HEAD
"""Bytes of a packet that are parsed at once: a request that waits for another costs fifty times its own."""


class Framing(HttpToolsProtocol):
    """Heads, chunks' extensions and trailers up to a limit, and no upgrade to another protocol."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.requests = 0
        self.partial = False
        """Whether a request has begun that is not whole."""
        self.is_in_body = False
        self.ended = False
        """Whether what comes from now on is dropped."""
        self.rest = b""
        """What came and is not parsed yet."""
        self._upgrade = False
        self._reason: Refused | None = None
        self._taking = False
        self._quiet = 0  # bytes since the parser last told of anything
        self._before = 0  # bytes of the piece in which it did: its end may be the start of a head
        self._told = False

    def data_received(self, data: bytes) -> None:
        if self.ended:
            self.drop(len(data))
        elif self.rest or len(data) > PIECE:
            self.rest += data
            self._go_on()
        else:
            self._take(data)

    def _go_on(self) -> None:
        """Parse no further than to a request that has to wait: each costs fifty times its bytes."""
        if self._taking:
            return  # an answer given at once: whoever takes goes on
        while self.rest and not self.pipeline:
            piece, self.rest = self.rest[:PIECE], self.rest[PIECE:]
            self._take(piece)
        if self.rest:
            self.flow.pause_reading()
        else:
            self.flow.resume_reading()

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
            self.refuse(not_http() if self.is_in_body else head_too_large())

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
        self.partial, self.is_in_body, self._upgrade = True, False, False

    def on_headers_complete(self) -> None:
        self.check_head_size()
        self._check_head()
        self._upgrade = self.parser.should_upgrade()
        if self._upgrade:
            return
        super().on_headers_complete()
        self.prepare_cycle()
        self.headers = []  # the scope has its own; what still comes are trailers, which nobody asked for
        self.in_body()

    def in_body(self) -> None:
        self.is_in_body = self._told = True

    def check_head_size(self) -> None:
        """Exact, where it can be too much at all."""
        if self._quiet + self._before > MAX_HEAD:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size + len(self.parser.get_method()) + len("  HTTP/1.1\r\n\r\n") > MAX_HEAD:
                self._raise(head_too_large())

    def _check_head(self) -> None:
        # In place, as the scope has the list: the parser takes the spaces behind a value for a part of it.
        self.headers[:] = [(name, value.rstrip(b" \t")) for name, value in self.headers]
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers]
        method, url = self.parser.get_method().decode("latin-1"), self.url.decode("latin-1")
        version = self.parser.get_http_version()
        try:
            check_request(method, version, url, headers)
        except Refused as refused:
            self._raise(refused)
        self.url = origin_form(url).encode("latin-1")
        self.expect_100_continue = version == "1.1" and any(name == "expect" for name, _ in headers)

    def _raise(self, refused: Refused) -> None:
        self._reason = refused  # the parser tells only that something was raised
        raise refused

    def on_body(self, body: bytes) -> None:
        self._told = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._upgrade:
            # The parser refuses the others that decide; after this one it would drop whatever comes.
            if any(name == b"connection" for name, _ in self.headers):
                self._raise(not_http())
            self.message_is_whole()
            super().on_message_complete()

    def message_is_whole(self) -> None:
        self._told, self.partial = True, False

    def prepare_cycle(self) -> None:
        """uvicorn has just made `cycle` for the request."""
        raise NotImplementedError

    def refuse(self, refused: Refused) -> None:
        """End the connection with this answer."""
        raise NotImplementedError

    def drop(self, size: int) -> None:
        """Count what came and is not read."""
        raise NotImplementedError
