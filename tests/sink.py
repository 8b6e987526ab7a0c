"""A server that answers every report, and remembers who sent what in which order."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shared.fingerprint import DEFAULT_SERVICE

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Sink:
    """Serves in a thread of its own; `seconds` is what an answer takes."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.connections: list[list[str]] = []
        """The messages of each connection."""
        self.services: list[list[str]] = []
        """The services of them."""
        self.seconds = 0.0
        self.url = ""

    @property
    def count(self) -> int:
        return len(self.messages)


class Connection(asyncio.Protocol):
    def __init__(self, sink: Sink) -> None:
        self._sink, self._data = sink, b""
        self._messages: list[str] = []
        self._services: list[str] = []
        sink.connections.append(self._messages)
        sink.services.append(self._services)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        length, _, _ = head.rpartition(b"Content-Length: ")[2].partition(b"\r\n")
        if not found or len(body) < int(length):
            return
        self._data = b""
        event = json.loads(body)
        message = event["message"]
        self._services.append(event.get("service", DEFAULT_SERVICE))
        self._messages.append(message)
        self._sink.messages.append(message)
        asyncio.get_running_loop().call_later(self._sink.seconds, self._answer)

    def _answer(self) -> None:
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(ANSWER)


@contextmanager
def sink(seconds: float = 0) -> Iterator[Sink]:
    """A sink that serves until the end of the block."""
    loop, found = asyncio.new_event_loop(), Sink()
    found.seconds = seconds
    server = loop.run_until_complete(loop.create_server(lambda: Connection(found), "127.0.0.1", 0))
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()
