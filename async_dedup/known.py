"""Which issues there are already: only the others need a place in a budget.

MySQL is asked, beside the hot path: only events of services with a budget wait for it, and only those whose
issue this process does not know yet. Without an answer they go on as if they were new; should they not be,
the digest gives their places back.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from async_dedup import budget
from async_dedup.budget import Found, Place
from async_dedup.fates import Folded
from async_dedup.ingest import Done, Ingest
from async_dedup.link import settle
from shared.db import make_background_engine
from shared.event import Event
from shared.quota import Quotas
from shared.settings import Settings

MAX_KNOWN = 50_000
"""Fingerprints of one of two generations; 10 MB both."""
MOST_ASKED = 500
"""Of one question."""
PATIENCE = 0.25
"""Seconds that an event waits for MySQL, and after which it is asked no more for a while."""
NOT_AGAIN = 1.0
RECENT = 30.0
"""Seconds after which a place that was taken in Redis is in MySQL as well, or Redis itself is away."""


class KnownIssues:
    """Of one process."""

    def __init__(self) -> None:
        self._newer: set[str] = set()
        self._older: set[str] = set()
        self.recent: dict[str, tuple[float, str]] = {}
        """Places that were taken in Redis of late, and may not be in MySQL: when (monotonic), whose."""
        self.places: dict[str, list[Place]] = {}
        """By service, those that Redis may not know of: taken while it was away."""
        self.asked: set[str] = set()
        """Services whose places were read since Redis was last away."""

    def has(self, fingerprint: str) -> bool:
        return fingerprint in self._newer or fingerprint in self._older

    def add(self, fingerprints: Iterable[str]) -> None:
        self._newer.update(fingerprints)
        if len(self._newer) > MAX_KNOWN:
            self._older, self._newer = self._newer, set()

    def placed(self, service: str, fingerprint: str) -> None:
        """In Redis."""
        now = time.monotonic()
        while self.recent and next(iter(self.recent.values()))[0] < now - RECENT:
            del self.recent[next(iter(self.recent))]
        self.recent[fingerprint] = now, service

    def remind(self, services: Iterable[str], places: Iterable[Place]) -> None:
        """Redis is told of them with the next group of their service."""
        self.asked.update(services)
        for place in places:
            self.places.setdefault(place.service, []).append(place)

    def redis_may_have_forgotten(self) -> None:
        self.places.clear()
        self.asked.clear()


class Asked(NamedTuple):
    event: Event
    done: Done


class Lookup:
    """Stands before `Ingest`, as one that asks MySQL first where it has to."""

    def __init__(
        self, settings: Settings, ingest: Ingest, known: KnownIssues, may_be_new: Callable[[Event], bool]
    ) -> None:
        self._ingest = ingest
        self._quotas = Quotas(settings)
        self._known = known
        self._may_be_new = may_be_new
        self._engine = make_background_engine(settings, 2)
        self._waiting: list[Asked] = []
        self._asking = False
        self._in_thread: asyncio.Future[Found] | None = None
        self._not_before = 0.0

    async def __call__(self, event: Event) -> datetime | Folded:
        """As `Ingest` does."""
        future: asyncio.Future[datetime | Folded] = asyncio.get_running_loop().create_future()
        self.submit(event, settle(future))
        return await future

    def submit(self, event: Event, done: Done) -> None:
        if not self._may_be_new(event):
            self._ingest.submit(event, done)
            return
        self._waiting.append(Asked(event, done))
        if not self._asking:
            self._asking = True
            self._task = asyncio.create_task(self._ask_all())

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                some, self._waiting = self._waiting[:MOST_ASKED], self._waiting[MOST_ASKED:]
                await self._ask(some)
        finally:
            self._asking = False

    async def _ask(self, some: Sequence[Asked]) -> None:
        try:
            await self._ask_mysql([each.event for each in some])
        finally:
            for each in some:
                self._ingest.submit(each.event, each.done)

    async def _ask_mysql(self, events: Sequence[Event]) -> None:
        if time.monotonic() < self._not_before or (self._in_thread and not self._in_thread.done()):
            return
        services = {event.service for event in events} - self._known.asked
        fingerprints = {event.fingerprint for event in events}
        self._in_thread = asyncio.ensure_future(
            asyncio.to_thread(budget.look_up, self._engine, fingerprints, services, self._quotas)
        )
        self._in_thread.add_done_callback(lambda done: done.exception())  # nobody may wait for it any more
        done, _ = await asyncio.wait([self._in_thread], timeout=PATIENCE)
        if not done or isinstance(self._in_thread.exception(), SQLAlchemyError):
            self._not_before = time.monotonic() + NOT_AGAIN
            return
        found = self._in_thread.result()
        self._known.add(found.known)
        self._known.remind(services, found.places)
