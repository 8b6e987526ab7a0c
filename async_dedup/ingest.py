"""Group commit: events that arrive while a Redis call is in flight share the next one."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from redis import RedisError

from async_dedup.fates import Fate, Folded, Verdict
from async_dedup.link import settle
from shared.answer import now, unavailable
from shared.event import MAX_STACK_TRACE, Event
from shared.pipeline_metrics import group_events

MAX_GROUP = 1_000
"""Events per call, so that one script never holds Redis for long."""
MAX_CHARACTERS = 2**21
"""Of their stack traces, for the same reason: 12 MiB where each takes 6 bytes of JSON."""
FEW = MAX_CHARACTERS // MAX_STACK_TRACE
"""Events that are never too large together."""

NOT_KEPT = "The event could not be kept"

LEAST_TIME = 0.1
"""Share of its time that an event needs to be sent at all: with less, its whole group would likely fail."""

NUDGE_INTERVAL = 0.5
"""Seconds. A row is visible within 1 s, and a job, 12 ms of CPU in all, is paid twice a second at most."""

Done = Callable[[datetime | Folded | Exception], None]
"""Told since when an event is kept, or why it may not be."""

Added = Callable[[int | Verdict | Exception], None]
"""Told how many payloads a group brought, with quotas each event's fate as well, or what went wrong."""

log = logging.getLogger(__name__)


class Adds(Protocol):
    """The buffer, as this side sees it."""

    timeout: float
    """Seconds that an event waits for its answer, at most."""

    def submit(self, events: Sequence[Event], seconds: float, added: Added) -> None:
        """Count a group within `seconds`, and tell how many payloads it brought, or what went wrong."""
        ...


class Waiting(NamedTuple):
    event: Event
    done: Done
    due: float
    """On the monotonic clock."""


class Ingest:
    """Waits for Redis, never for MySQL. `nudge` tells the worker about first events; it may block."""

    max_group = MAX_GROUP

    def __init__(self, buffer: Adds, nudge: Callable[[], None]) -> None:
        self._buffer = buffer
        self._nudge = nudge
        self._waiting: list[Waiting] = []
        self._adding = False
        self._nudging: asyncio.Task[None] | None = None

    async def __call__(self, event: Event) -> datetime | Folded:
        """Return when the event was counted and on disk. Raises Refused (503, 429) where it may not be."""
        future: asyncio.Future[datetime | Folded] = asyncio.get_running_loop().create_future()
        self.submit(event, settle(future))  # should its client have gone, the others of the group have not
        return await future

    def submit(self, event: Event, done: Done) -> None:
        """The same for a caller that is no coroutine."""
        self._waiting.append(Waiting(event, done, time.monotonic() + self._buffer.timeout))
        if not self._adding:
            self._adding = True
            # What else this turn of the loop brings comes along.
            asyncio.get_running_loop().call_soon(self._add_next)

    def _add_next(self) -> None:
        while self._waiting:
            size = self._size_of_next()
            group, self._waiting = self._waiting[:size], self._waiting[size:]
            if punctual := self._refuse_late(group):
                self._add(punctual)
                return
        self._adding = False

    def _size_of_next(self) -> int:
        """In events, at most."""
        if len(self._waiting) <= FEW:
            return self.max_group
        room = MAX_CHARACTERS
        for number, each in enumerate(self._waiting[: self.max_group]):
            room -= len(each.event.stack_trace or "")
            if room < 0:
                return number
        return self.max_group

    def _refuse_late(self, group: list[Waiting]) -> list[Waiting]:
        """Return the others. What was never sent can be refused safely, and takes no one along."""
        latest = time.monotonic() + LEAST_TIME * self._buffer.timeout
        late = sum(each.due <= latest for each in group) if group[0].due <= latest else 0
        if late:
            log.warning("%d events not sent: they had waited too long for Redis", late)
        for each in group[:late]:
            each.done(unavailable(NOT_KEPT))
        return group[late:]

    def _add(self, group: list[Waiting]) -> None:
        """Answer all of them before the first is due; whoever waits behind them came later."""
        group_events.observe(len(group))

        def added(outcome: int | Verdict | Exception) -> None:
            try:
                self._answer(group, outcome)
            finally:
                self._add_next()

        try:
            self._buffer.submit([each.event for each in group], group[0].due - time.monotonic(), added)
        except Exception as error:  # noqa: BLE001 - a bug: each client gets its 500, none is left waiting
            added(error)

    def _answer(self, group: list[Waiting], added: int | Verdict | Exception) -> None:
        outcome: datetime | Exception
        if isinstance(added, RedisError):
            log.warning("%d events not counted: %s", len(group), added)
            outcome = unavailable(NOT_KEPT)
        elif isinstance(added, Exception):
            outcome = added
        else:
            if added.payloads if isinstance(added, Verdict) else added:
                self.start_nudging()
            outcome = now()
            if isinstance(added, Verdict):
                _answer_each(group, added.fates, outcome)
                return
        for each in group:
            each.done(outcome)

    def start_nudging(self) -> None:
        if self._nudging is None:
            self._nudging = asyncio.create_task(self._nudge_once())

    async def _nudge_once(self) -> None:
        """First events that come in meanwhile are found by the job, since it starts later."""
        await asyncio.sleep(NUDGE_INTERVAL)
        self._nudging = None
        # Should this fail, the scheduler's next tick does the same.
        with contextlib.suppress(RedisError):
            await asyncio.to_thread(self._nudge)


def _answer_each(group: Sequence[Waiting], fates: Sequence[Fate], kept_at: datetime) -> None:
    for each, fate in zip(group, fates, strict=True):
        match fate:
            case "kept":
                each.done(kept_at)
            case "folded":
                each.done(Folded(kept_at))
            case _:
                each.done(fate)
