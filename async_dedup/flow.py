"""Who does not read is not read from, and a cycle closes its connection without losing its answer."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from uvicorn.protocols.http.flow_control import FlowControl

if TYPE_CHECKING:
    from async_dedup.connection import Connection


class Flow(FlowControl):
    """Reads only while the client takes its answers, and nobody else holds the reading up."""

    def __init__(self, transport: asyncio.Transport, is_full: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._is_full = is_full
        self._held = False

    def pause_reading(self) -> None:
        self._held = True
        self._settle()

    def resume_reading(self) -> None:
        if self.read_paused and not self._is_full():
            self._held = False
            self._settle()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._settle()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._settle()

    def _settle(self) -> None:
        pause = self._held or self.write_paused
        if pause == self.read_paused or self._transport.is_closing():
            return
        self.read_paused = pause
        if pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


class Lingering:
    """The transport as a cycle knows it."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self.write = connection.transport.write

    def close(self) -> None:
        self._connection.linger()

    def is_closing(self) -> bool:
        return self._connection.lingering or self._connection.transport.is_closing()
