"""Which issues there are already, and which of the others have a place in their service's budget.

MySQL is asked, beside the hot path: only events of services with a budget wait for it, and only those whose
issue this process does not know yet. Without an answer they go on as if they were new: then Redis alone gives
them a place, and should they not be new, the digest gives it back.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import islice
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from async_dedup import budget
from async_dedup.budget import Admitted, Found, Place
from async_dedup.fates import Folded
from async_dedup.ingest import Done, Ingest
from async_dedup.link import settle
from shared.answer import Refused, now
from shared.db import make_background_engine
from shared.event import Event
from shared.quota import MAX_SERVICES, OTHERS, Quotas
from shared.settings import Settings

log = logging.getLogger(__name__)

MAX_KNOWN = 50_000
"""Fingerprints of one of two generations; 10 MB both."""
MOST_ASKED = 500
"""Of one question."""
MOST_TOLD = 1_000
"""Places of Redis alone that MySQL is told of at once."""
PATIENCE = 1.0
"""Seconds that an event waits for MySQL, and after which it is asked no more for a while. With 0.25 a machine
with 15 processes for 2 cores had Redis decide alone."""
NOT_AGAIN = 1.0
READ_EVERY = 1.0
"""Seconds after which a service's places are read again: others may have taken some without Redis."""
LATE = timedelta(seconds=10)
"""By which a place may be seen later than it was taken: its transaction ended meanwhile."""


class KnownIssues:
    """Of one process."""

    def __init__(self) -> None:
        self._newer: set[str] = set()
        self._older: set[str] = set()
        self._in_redis: dict[str, None] = {}
        """Those that Redis has let pass: where it loses its data their issues may never come."""
        self._doubted: set[str] = set()
        """Those that it had let pass when it lost its data. MySQL is asked once more before they are new."""
        self.denied = Counter[str]()
        """Fingerprints for which MySQL had no place: how many of their events are on their way."""
        self.placed = Counter[str]()
        """Those for which it had one, likewise."""
        self.recent: dict[str, Place] = {}
        """By fingerprint, places that were taken in Redis alone, and may not be in MySQL."""
        self.places: dict[str, dict[str, Place]] = {}
        """By service and fingerprint, those that Redis may not know of: taken while it was away."""
        self._read_at: dict[str, datetime] = {}
        """By service, when its places were read, since Redis was last away."""

    def has(self, fingerprint: str) -> bool:
        return fingerprint in self._newer or fingerprint in self._older

    def add(self, fingerprints: Iterable[str]) -> None:
        self._newer.update(fingerprints)
        if len(self._newer) > MAX_KNOWN:
            self._older, self._newer = self._newer, set()

    def admitted_by_redis(self, candidates: Mapping[str, str]) -> None:
        """Fingerprints with their services."""
        if not candidates:
            return
        self.add(candidates)
        self._in_redis |= dict.fromkeys(candidates)
        self.recent |= {
            each: Place(each, service, now())
            for each, service in candidates.items()
            if each not in self.placed
        }
        for each in (self._in_redis, self.recent):
            while len(each) > MAX_KNOWN:
                del each[next(iter(each))]

    def redis_has_forgotten(self) -> None:
        self._doubted = {each for each in self._doubted.union(self._in_redis) if self.has(each)}
        self._in_redis.clear()

    def is_doubted(self, fingerprint: str) -> bool:
        return fingerprint in self._doubted

    def answered(self, asked: Iterable[str], known: Collection[str]) -> None:
        """By MySQL, which has issues of those `known`; the others are as new as it says."""
        lost = self._doubted.intersection(asked)
        self._doubted -= lost
        self._newer -= lost
        self._older -= lost
        self.add(known)

    def untold(self) -> list[Place]:
        """Places that were taken in Redis alone, the oldest: MySQL may not know of them."""
        return [*islice(self.recent.values(), MOST_TOLD)]

    def told(self, places: Iterable[Place]) -> None:
        """MySQL has these of `recent`."""
        for place in places:
            self.recent.pop(place.fingerprint, None)

    def to_read(self, services: Iterable[str], window: float) -> dict[str, datetime]:
        """Since when places have to be read, by service; those that were read just now are left out."""
        moment = now()
        if len(self._read_at) > MAX_SERVICES:
            self._read_at.clear()
        begin = moment - timedelta(seconds=window)
        late = {
            service: self._read_at.get(service, begin)
            for service in services
            if self._read_at.get(service, begin) <= moment - timedelta(seconds=READ_EVERY)
        }
        return {service: max(at - LATE, begin) for service, at in late.items()}

    def remind(self, services: Iterable[str], at: datetime, places: Iterable[Place]) -> None:
        """Redis is told of them with the next group of their service. `at`: when reading began."""
        self._read_at.update(dict.fromkeys(services, at))
        for place in places:
            self.places.setdefault(place.service, {})[place.fingerprint] = place

    def reminded(self, places: Iterable[Place]) -> None:
        """Redis has been told of these."""
        for place in places:
            if of_service := self.places.get(place.service):
                of_service.pop(place.fingerprint, None)
                if not of_service:
                    del self.places[place.service]

    def redis_may_have_forgotten(self) -> None:
        self.places.clear()
        self._read_at.clear()


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
        self._needless = dict[str, datetime]()
        """Places in MySQL of events that were not kept, and when they were taken."""
        self._asking = False
        self._in_thread: asyncio.Future[Found] | None = None
        self._not_before = 0.0

    async def __call__(self, event: Event) -> datetime | Folded:
        """As `Ingest` does."""
        future: asyncio.Future[datetime | Folded] = asyncio.get_running_loop().create_future()
        self.submit(event, settle(future))
        return await future

    def submit(self, event: Event, done: Done) -> None:
        if not self._may_be_new(event) and not self._known.is_doubted(event.fingerprint):
            self._ingest.submit(event, done)
            return
        self._waiting.append(Asked(event, done))
        self._start()

    def _start(self) -> None:
        if not self._asking:
            self._asking = True
            self._task = asyncio.create_task(self._ask_all())

    async def _ask_all(self) -> None:
        try:
            while self._waiting or (self._needless and self._may_ask()):
                some, self._waiting = self._waiting[:MOST_ASKED], self._waiting[MOST_ASKED:]
                await self._ask(some)
        finally:
            self._asking = False

    async def _ask(self, some: Sequence[Asked]) -> None:
        admitted: Admitted | None = None
        try:
            admitted = await self._ask_mysql([each.event for each in some])
        finally:
            for each in some:
                self._ingest.submit(each.event, self._watched(each, admitted) if admitted else each.done)

    def _may_ask(self) -> bool:
        return time.monotonic() >= self._not_before and (self._in_thread is None or self._in_thread.done())

    async def _ask_mysql(self, events: Sequence[Event]) -> Admitted | None:
        """None where it does not answer in time."""
        if not self._may_ask():
            return None
        candidates = {event.fingerprint: event.service for event in events}
        needless, self._needless = self._needless, {}
        untold = self._known.untold()
        at, services = now(), {*candidates.values()}
        if not all(map(self._quotas.is_named, services)):
            services.add(OTHERS)
        since = self._known.to_read(services, self._quotas.window)
        asked = asyncio.ensure_future(asyncio.to_thread(self._look_up, candidates, needless, since, untold))
        self._in_thread = asked
        done, _ = await asyncio.wait([asked], timeout=PATIENCE)
        if not done:
            asked.add_done_callback(self._too_late)
        if not done or asked.exception():
            if done and not isinstance(asked.exception(), SQLAlchemyError):
                log.error("MySQL was not asked for places: a bug", exc_info=asked.exception())
            self._not_before = time.monotonic() + NOT_AGAIN
            self._needless |= needless
            return None
        admitted, places = asked.result()
        self._known.told(untold)
        self._known.answered(candidates, admitted.known)
        self._known.remind(since, at, places)
        return admitted

    def _look_up(
        self,
        candidates: Mapping[str, str],
        needless: Mapping[str, datetime],
        since: Mapping[str, datetime],
        untold: Sequence[Place],
    ) -> Found:
        """Blocks. Before MySQL gives any it hears of the places that this process has from Redis alone."""
        if untold:
            budget.tell(self._engine, untold)
        return budget.look_up(self._engine, candidates, needless, since, self._quotas)

    def _too_late(self, asked: "asyncio.Future[Found]") -> None:
        """Nobody waits for it any more; what was not given a place by Redis meanwhile needs none here."""
        if not asked.cancelled() and not asked.exception():
            for fingerprint, at in asked.result().admitted.taken.items():
                self._is_needless(fingerprint, at)

    def _watched(self, asked: Asked, admitted: Admitted) -> Done:
        """What MySQL says of an event is remembered until that is answered."""
        fingerprint = asked.event.fingerprint
        if fingerprint in admitted.folded:
            on_their_way = self._known.denied
        elif fingerprint in admitted.taken or fingerprint in admitted.placed:
            on_their_way = self._known.placed
        else:
            return asked.done
        on_their_way[fingerprint] += 1

        def answered(outcome: datetime | Folded | Exception) -> None:
            on_their_way[fingerprint] -= 1
            if not on_their_way[fingerprint]:
                del on_their_way[fingerprint]
            is_throttled = isinstance(outcome, Refused) and outcome.status == HTTPStatus.TOO_MANY_REQUESTS
            if fingerprint in admitted.taken and (is_throttled or isinstance(outcome, Folded)):
                self._is_needless(fingerprint, admitted.taken[fingerprint])
            asked.done(outcome)

        return answered

    def _is_needless(self, fingerprint: str, taken_at: datetime) -> None:
        is_awaited = self._known.has(fingerprint) or fingerprint in self._known.placed
        if not is_awaited and len(self._needless) < MAX_KNOWN:
            self._needless[fingerprint] = taken_at
            self._start()
