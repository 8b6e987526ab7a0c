"""The async twin without its group commit: a Redis round trip, and so an fsync, for each event."""

import asyncio
from collections.abc import Callable

from fastapi import FastAPI

from async_dedup import app as async_twin
from async_dedup.buffer import AsyncBuffer
from async_dedup.ingest import Adds, Ingest
from shared.event import Event
from shared.settings import Settings

CONNECTIONS = 30
"""As many as the naive twin has to MySQL."""


class Ungrouped(Ingest):
    def __init__(self, buffer: Adds, nudge: Callable[[], None]) -> None:
        super().__init__(buffer, nudge)
        self._free: asyncio.Queue[AsyncBuffer] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            self._free.put_nowait(AsyncBuffer(Settings()))

    async def __call__(self, event: Event) -> None:
        buffer = await self._free.get()
        try:
            if await buffer.add([event]):
                self._start_nudging()
        finally:
            self._free.put_nowait(buffer)


def create_app() -> FastAPI:
    async_twin.Ingest = Ungrouped  # type: ignore[attr-defined]
    return async_twin.create_app()
