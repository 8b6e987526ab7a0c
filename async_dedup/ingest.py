"""Group commit: events that arrive while a Redis call is in flight share the next one."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from redis import RedisError

from shared.answer import unavailable
from shared.event import Event
from shared.pipeline_metrics import group_events

MAX_GROUP = 1_000
"""Events per call, so that one script never holds Redis for long."""

NUDGE_INTERVAL = 0.5
"""Seconds. A row is visible within 1 s, and a job, 12 ms of CPU in all, is paid twice a second at most."""

log = logging.getLogger(__name__)


class Adds(Protocol):
    """The buffer, as this side sees it."""

    async def add(self, events: Sequence[Event]) -> int:
        """Count a group, and return how many first events are in it."""
        ...


class Ingest:
    """Waits for Redis, never for MySQL. `nudge` tells the worker about first events; it may block."""

    def __init__(self, buffer: Adds, nudge: Callable[[], None]) -> None:
        self._buffer = buffer
        self._nudge = nudge
        self._waiting: list[tuple[Event, asyncio.Future[None]]] = []
        self._adding: asyncio.Task[None] | None = None
        self._nudging: asyncio.Task[None] | None = None

    async def __call__(self, event: Event) -> None:
        """The event is counted, and on disk, when this returns. Raises Refused (503) where it may not be."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((event, future))
        if self._adding is None:
            self._adding = asyncio.create_task(self._add_groups())
        await future

    async def _add_groups(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
                await self._add([event for event, _ in group], [future for _, future in group])
        finally:
            self._adding = None

    async def _add(self, events: list[Event], futures: list[asyncio.Future[None]]) -> None:
        group_events.observe(len(events))
        failure: Exception | None = None
        try:
            if await self._buffer.add(events):
                self._start_nudging()
        except RedisError as error:
            log.warning("%d events not counted: %s", len(events), error)
            failure = unavailable("The event could not be kept")
        except Exception as error:  # noqa: BLE001 - a bug: each client gets its 500, none is left waiting
            failure = error
        for future in futures:
            if future.cancelled():  # its client has gone; the others of the group have not
                continue
            if failure:
                future.set_exception(failure)
            else:
                future.set_result(None)

    def _start_nudging(self) -> None:
        if self._nudging is None:
            self._nudging = asyncio.create_task(self._nudge_once())

    async def _nudge_once(self) -> None:
        """First events that come in meanwhile are found by the job, since it starts later."""
        await asyncio.sleep(NUDGE_INTERVAL)
        self._nudging = None
        # Should this fail, the scheduler's next tick does the same.
        with contextlib.suppress(RedisError):
            await asyncio.to_thread(self._nudge)
