"""A relay in front of a server that makes what lies between two hosts slow, narrow, torn or dead."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

LOOPBACK = "127.0.0.1"
CHUNK = 65_536
STEP = 0.02
"""Seconds after which what is held back looks whether it may go on."""
Way = Literal["request", "reply"]


@dataclass(frozen=True)
class Trouble:
    delay: float = 0.0
    """Seconds, of each piece of data either way."""
    bytes_per_second: float | None = None
    cut: Way | None = None
    """The first piece of data that goes this way arrives by half, and both ends lose the connection."""
    is_black_hole: bool = False
    """What is sent is held back; nobody is told."""


WELL = Trouble()


@contextmanager
def between(to_port: int, trouble: Trouble) -> Iterator[int]:
    """Give the port of a relay in that trouble, for the time of the block."""
    proxy = Proxy(to_port)
    try:
        with proxy.troubled(trouble):
            yield proxy.port
    finally:
        proxy.close()


class Proxy:
    """Listens on `port` of loopback, in a thread of its own, until `close`."""

    def __init__(self, to_port: int) -> None:
        self.trouble = WELL
        self._to_port = to_port
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._relay, LOOPBACK, 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @contextmanager
    def troubled(self, trouble: Trouble) -> Iterator[None]:
        self.trouble = trouble
        try:
            yield
        finally:
            self.trouble = WELL

    def close(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own
        self._tasks.add(own)
        ends = [writer]
        try:
            their_reader, their_writer = await asyncio.open_connection(LOOPBACK, self._to_port)
            ends.append(their_writer)
            ways = (
                asyncio.ensure_future(self._pump(reader, their_writer, "request")),
                asyncio.ensure_future(self._pump(their_reader, writer, "reply")),
            )
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(own)
            for end in ends:
                end.transport.abort()

    async def _wait(self, trouble: Trouble, seconds: float) -> None:
        """No longer than the trouble lasts."""
        ends = self._loop.time() + seconds
        while self.trouble is trouble and (left := ends - self._loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left, STEP))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                while self.trouble.is_black_hole:  # noqa: ASYNC110 - another thread ends it
                    await asyncio.sleep(STEP)
                trouble = self.trouble
                if trouble.cut == way:
                    writer.write(data[: len(data) // 2])
                    await writer.drain()
                    return
                await self._wait(
                    trouble, trouble.delay + len(data) / (trouble.bytes_per_second or float("inf"))
                )
                writer.write(data)
                await writer.drain()
