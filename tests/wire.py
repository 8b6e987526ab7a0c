"""A TCP proxy before Redis that loses one answer: the fault that no real server can be asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Literal

Loss = Literal["cut", "swallowed"]


class Wire:
    """Forwards everything until `lose` is set; then the next script's answer goes missing, once."""

    def __init__(self, redis_port: int) -> None:
        self._redis_port = redis_port
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0
        self.lose: Loss | None = None
        self.lost = 0
        self.meanwhile: Callable[[], object] = lambda: None
        """What happens between the script and the loss of its answer."""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", self._redis_port)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._requests(reader, redis_writer))
                pumps.create_task(self._answers(redis_reader, writer))
        finally:
            redis_writer.close()
            writer.close()
            self._connections.discard(task)

    async def _requests(self, reader: asyncio.StreamReader, redis: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1 << 20):
            self._script_asked = b"EVALSHA" in chunk
            redis.write(chunk)
        raise ConnectionResetError

    async def _answers(self, redis: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await redis.read(1 << 20):
            if self.lose is None or not self._script_asked:
                writer.write(chunk)
                continue
            how, self.lose = self.lose, None
            self.lost += 1
            self.meanwhile()
            if how == "cut":
                raise ConnectionResetError
        raise ConnectionResetError

    async def close(self) -> None:
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


@asynccontextmanager
async def wire(redis_port: int) -> AsyncIterator[Wire]:
    proxy = Wire(redis_port)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ExceptionGroup, asyncio.CancelledError):
            await proxy.connected(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
