"""What API processes tell each other, ten times a second: how much each has let through by itself.

A message is the length of its body (4 bytes), the body's HMAC-SHA256 under the shared secret, and the body,
JSON. It goes one way, over a connection of the sender's own: who is slow or dead holds nobody up. The counts
only grow, so one that is lost or comes twice changes nothing.

Not "tell your tokens, the smallest wins": each node would go on to refill in full, and N of them let through
N times the rate (`tests/async_dedup/test_peers.py` shows both).
"""

import asyncio
import hashlib
import hmac
import logging
import math
import struct
import time
from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from async_dedup.modes import CYCLE, SILENT
from shared.quota import MAX_SERVICES
from shared.settings import Settings

log = logging.getLogger(__name__)

VERSION = 1
LENGTH = struct.Struct(">I")
DIGEST = hashlib.sha256().digest_size
MAX_MESSAGE = 512 * 1024
"""Bytes: MAX_SERVICES with the longest of names."""
STRANGER_SECONDS = 2.0
"""In which a message has to come whole: a peer sends ten."""
MAX_STRANGERS = 64
"""Connections on which nobody has shown the secret yet; one more, and the oldest is closed."""
CONNECT_SECONDS = 0.5
ODD_SECONDS = 5.0
"""Until a peer is tried again with whom it is not the network that fails."""
GONE_SECONDS = 60.0
"""After which a silent node is forgotten, but for its number."""
MAX_GONE = 10_000
"""Nodes whose number is remembered: each restart of a peer makes one."""


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int
    node: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    number: int
    """Of the sender's messages: an older one that comes late, or once more, says nothing."""
    heard: Annotated[list[str], Field(max_length=32)]
    """Nodes that the sender has heard of late."""
    services: Annotated[dict[str, tuple[int, float]], Field(max_length=MAX_SERVICES)]
    """By name: how many events it has let through by itself, and how many seconds ahead the service is."""


class Node:
    """A peer, as it was heard."""

    def __init__(self, number: int = 0) -> None:
        self.heard_at = -math.inf
        self.hears_us = False
        self.number = number
        """Of its last message."""
        self.passed: dict[str, int] = {}
        """By service, who was told last at the end."""
        self.has_forgotten = number > 0
        """Whether services that were not told for long are no more in there."""

    def is_told(self, service: str, passed: int) -> int | None:
        """Return how many more it has let through; None where nobody knows."""
        is_known = service in self.passed
        before = self.passed.pop(service, 0)
        self.passed[service] = passed
        if len(self.passed) > 2 * MAX_SERVICES:
            del self.passed[next(iter(self.passed))]
            self.has_forgotten = True
        if not is_known and self.has_forgotten:
            return None
        # A count that is less than before began anew: the service had been forgotten there.
        return passed - before if passed >= before else passed


class Peers:
    """`tell` gives what is to be told, all of it or what is new; `hear` takes what a peer has let through."""

    def __init__(
        self,
        settings: Settings,
        node: str,
        tell: Callable[[bool], Mapping[str, tuple[int, float]]],
        hear: Callable[[str, int, float], None],
    ) -> None:
        self._settings = settings
        self._node = node
        self._secret = settings.peer_secret.encode()
        self._tell = tell
        self._hear = hear
        self._nodes: dict[str, Node] = {}
        self._gone: dict[str, int] = {}
        """Numbers of nodes that were forgotten: who has recorded their messages must not bring them back."""
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._connections: set[asyncio.StreamWriter] = set()
        """Of those who talk to us."""
        self._strangers: dict[asyncio.StreamWriter, None] = {}
        self._has_heard = False
        self._number = 0

    @property
    def reachable(self) -> int:
        """Nodes that were heard within the last cycles, and have heard this one."""
        since = time.monotonic() - SILENT * CYCLE
        return sum(node.hears_us and node.heard_at >= since for node in self._nodes.values())

    def cycle(self) -> bool:
        """Whether any peer was heard since this was asked before, and has heard this process."""
        heard, self._has_heard = self._has_heard, False
        return heard

    async def start(self) -> None:
        """Raises OSError where the port is taken."""
        if self._settings.peers:
            self._server = await asyncio.start_server(
                self._listen, self._settings.host, self._settings.peer_port
            )
            self._tasks = [asyncio.create_task(self._talk(*_address(peer))) for peer in self._settings.peers]

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._server:
            self._server.close()
        for writer in self._connections:
            writer.transport.abort()

    async def _talk(self, host: str, port: int) -> None:
        while True:
            wait = CYCLE
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    _, writer = await asyncio.open_connection(host, port)
                try:
                    await self._talk_on(writer)
                finally:
                    writer.transport.abort()
            except (OSError, TimeoutError):
                pass
            except (ValueError, OverflowError) as error:  # a name or a port that can't be
                log.warning("Can't talk to the peer %s:%d: %s", host, port, error)
                wait = ODD_SECONDS
            await asyncio.sleep(wait)

    async def _talk_on(self, writer: asyncio.StreamWriter) -> None:
        """Until it breaks, or the peer takes nothing any more. First everything: so nothing is missing."""
        is_first = True
        while not writer.is_closing() and not writer.transport.get_write_buffer_size():
            writer.write(self._packed(self._tell(is_first)))
            is_first = False
            await asyncio.sleep(CYCLE)

    def _packed(self, services: Mapping[str, tuple[int, float]]) -> bytes:
        since = time.monotonic() - SILENT * CYCLE
        heard = [name for name, node in self._nodes.items() if node.heard_at >= since]
        self._number += 1
        message = Message(
            version=VERSION, node=self._node, number=self._number, heard=heard, services=dict(services)
        )
        body = message.model_dump_json().encode()
        return LENGTH.pack(len(body)) + self._sign(body) + body

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, hashlib.sha256)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        self._strangers[writer] = None
        if len(self._strangers) > MAX_STRANGERS:  # a peer shows who it is at once
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.transport.abort()
        try:
            while True:
                async with asyncio.timeout(STRANGER_SECONDS):
                    message = await self._read(reader)
                self._strangers.pop(writer, None)
                self._take(message)
        except (OSError, EOFError, TimeoutError):
            pass
        except (ValueError, ValidationError) as error:
            log.warning("Refused a stranger, or a peer of another version: %s", _reason(error))
        finally:
            self._connections.discard(writer)
            self._strangers.pop(writer, None)
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> Message:
        """Raises ValueError where it is none, and EOFError at the end."""
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > MAX_MESSAGE:
            raise ValueError("too long")
        signature, body = await reader.readexactly(DIGEST), await reader.readexactly(length)
        if not hmac.compare_digest(signature, self._sign(body)):
            raise ValueError("not signed with our secret")
        message = Message.model_validate_json(body)
        if message.version != VERSION:
            raise ValueError(f"version {message.version}")
        return message

    def _take(self, message: Message) -> None:
        now = time.monotonic()
        if message.node not in self._nodes:
            self._forget(now)
            self._nodes[message.node] = Node(self._gone.pop(message.node, 0))
        node = self._nodes[message.node]
        if message.node == self._node or message.number <= node.number:
            return
        was_away = node.heard_at < now - SILENT * CYCLE
        node.number, node.heard_at, node.hears_us = message.number, now, self._node in message.heard
        self._has_heard = self._has_heard or node.hears_us
        for service, (passed, ahead) in message.services.items():
            more = node.is_told(service, passed)
            # What it had let through before it was heard is in how far ahead it is; and what it lets through
            # while one of us does not hear the other is of a share that leaves ours out.
            is_aside = was_away or not node.hears_us
            self._hear(service, 0 if is_aside or more is None else more, ahead)

    def _forget(self, now: float) -> None:
        """Who is gone: a process that starts anew is another node."""
        for name, node in [*self._nodes.items()]:
            if node.heard_at < now - GONE_SECONDS:
                self._gone[name] = self._nodes.pop(name).number
        while len(self._gone) > MAX_GONE:
            del self._gone[next(iter(self._gone))]


def _reason(error: Exception) -> str:
    """Without what was sent."""
    return "no message" if isinstance(error, ValidationError) else str(error)


def _address(peer: str) -> tuple[str, int]:
    host, _, port = peer.rpartition(":")
    return host, int(port)
