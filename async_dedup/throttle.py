"""What each service may send, in all three modes; and what of it outlives this process.

In mode `redis` the group's script decides, and this only listens. In the others this decides, before a group
goes to MySQL or into the spool.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from redis import RedisError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from async_dedup.buckets import Buckets
from async_dedup.budget import KEEP
from async_dedup.buffer import Buffer
from async_dedup.fates import KEPT, Fate
from async_dedup.keys import NODE_SECONDS
from async_dedup.modes import CYCLE, SILENT, Mode, Modes
from async_dedup.peers import Peers
from async_dedup.states import State
from shared.answer import now as utc_now
from shared.db import make_background_engine
from shared.event import Event
from shared.model import ServiceUse
from shared.pipeline_metrics import mode_changes, throttle_mode, throttle_peers
from shared.processes import show
from shared.quota import MAX_SERVICES, MOST_BURSTS, Quotas, throttled
from shared.settings import Settings

log = logging.getLogger(__name__)

KEEP_EVERY = 5.0
"""Seconds between two notes in MySQL of what is used."""
COUNT_EVERY = 1.0
"""Seconds between two counts of the API's processes, while Redis is there."""
MARGIN = 10 * CYCLE
"""Seconds: what has changed in a cycle may be noted in a later one. To tell it twice does no harm."""
RESTORE_SECONDS = 2.0
"""That a start waits for MySQL: without it, services begin with all that they may have."""
LEAST_MEMORY = 60.0
"""Seconds, besides the window of its budget, that a service is remembered that has nothing used."""


class Throttle:
    """Of one process of the API."""

    def __init__(self, settings: Settings, quotas: Quotas, buffer: Buffer) -> None:
        self.quotas = quotas
        self.memory = quotas.window + LEAST_MEMORY
        self.buckets = Buckets(quotas, self.memory)
        self.node = uuid4().hex
        self._buffer = buffer
        self._engine = make_background_engine(settings, int(RESTORE_SECONDS))
        self._modes = Modes(bool(settings.peers))
        self.peers = Peers(settings, self.node, self._messages, self._hear)
        self._nodes = max(settings.workers, 1 + len(settings.peers))
        """That share a rate where nobody can be asked: as many as were last agreed on."""
        self._counted_since = time.monotonic()
        """Since when Redis has counted: not all may have come to be counted yet."""
        self._kept = 0.0
        self._told: dict[tuple[str, ...], tuple[bytes, float, int]] = {}
        """What Redis has said of how far ahead services are, by services; when, and to which question."""
        for mode in Mode:
            mode_changes.labels(mode)
            show(throttle_mode.labels(mode), partial(self._is_in, mode))
        show(throttle_peers, lambda: float(self.peers.reachable))

    @property
    def mode(self) -> Mode:
        return self._modes.mode

    def _is_in(self, mode: Mode) -> float:
        return float(self.mode is mode)

    @property
    def share(self) -> float:
        """Of a service's rate that this process may let through as things are.

        A node that is not heard may be dead, or let through its own share: nobody else hands that out.
        """
        if self.mode is Mode.REDIS:
            return 1.0
        heard = 1 + (self.peers.reachable if self.mode is Mode.PEER else 0)
        return min(heard / self._nodes, 1.0)

    def ingest_is(self, state: State) -> None:
        self._tell(lambda: self._modes.ingest_is(state))

    def _tell(self, change: Callable[[], None]) -> None:
        before = self.mode
        change()
        if self.mode is not before:
            mode_changes.labels(self.mode).inc()
            log.warning("Rates are decided in mode %s, after %s", self.mode, before)

    def decide(self, events: Sequence[Event]) -> list[Fate]:
        """Each event by itself, in order, without Redis."""
        self.note()
        now, share = time.monotonic(), self.share
        return [self._decide(event.service, share, now) for event in events]

    def _decide(self, service: str, share: float, now: float) -> Fate:
        quota = self.quotas.of(service)
        if not quota.is_any:
            return KEPT
        wait = self.buckets.take(service, share, now)
        return throttled(quota, wait) if wait else KEPT

    def told(self, services: tuple[str, ...], ahead: bytes, question: int) -> None:
        """By Redis, in microseconds with spaces between, or `-`.

        With every group, and looked at ten times a second: read at once, it was 1 us for each event.
        """
        self._told[services] = ahead, time.monotonic(), question
        if len(self._told) > MAX_SERVICES:
            self.note()

    def note(self) -> None:
        """What Redis has told until now."""
        # A service may be in many keys, and a dict keeps their first order: the newest word has to win.
        for services, (ahead, now, question) in sorted(self._told.items(), key=lambda each: each[1][1]):
            for service, microseconds in zip(services, ahead.split(), strict=False):
                if microseconds != b"-":
                    self.buckets.told(service, int(microseconds) / 1e6, now, question)
        self._told.clear()

    def redis_may_have_forgotten(self) -> None:
        self._counted_since = time.monotonic()
        self.note()
        self.buckets.redis_may_have_forgotten()

    def used(self, services: Iterable[str]) -> list[float]:
        """Seconds ahead that Redis does not know of: from a time without it, or before a start."""
        self.note()
        now = time.monotonic()
        return [self.buckets.news(service, now) for service in services]

    def _messages(self, is_first: bool) -> dict[str, tuple[int, float]]:
        """What peers are told: how many events, and how far ahead, of services that changed just now."""
        now = time.monotonic()
        since = 0.0 if is_first else now - MARGIN
        changed = [each for each in self.buckets if each[1].changed >= since]
        newest = sorted(changed, key=lambda each: each[1].changed, reverse=True)[:MAX_SERVICES]
        return {name: (bucket.passed, max(bucket.arrival - now, 0.0)) for name, bucket in newest}

    def _hear(self, service: str, events: int, ahead: float) -> None:
        """Of a peer: how many events it has let through since it told before, and how far ahead it is."""
        quota = self.quotas.of(service)
        if not quota.is_any:
            return
        self.note()
        now, share, nodes = time.monotonic(), self.share, max(MOST_BURSTS, self._nodes)
        # A burst of each, and what they let through until one that is not heard is no peer: more is of
        # another quota than ours.
        most = quota.most_ahead(share, nodes) + nodes * SILENT * CYCLE
        if events:
            self.buckets.elsewhere(service, events, share, now, most)
        # So far ahead it was when the message left: without the cycle each hop would add its time.
        self.buckets.at_least(service, min(ahead, most) - CYCLE, now, is_news=self.mode is not Mode.REDIS)

    async def start(self) -> None:
        """Raises OSError where the port for peers is taken."""
        await self._restore()
        await self.peers.start()

    async def close(self) -> None:
        self.peers.close()
        if self.mode is Mode.REDIS:
            with suppress(RedisError):  # it is counted for a while
                await asyncio.to_thread(self._buffer.leave, self.node)

    async def _restore(self) -> None:
        """What was used before this start, so that a restart of everything hands out no second burst."""
        try:
            async with asyncio.timeout(RESTORE_SECONDS):
                used = await asyncio.to_thread(self._read)
        except (SQLAlchemyError, TimeoutError) as error:
            log.warning("Nobody can tell what services have used before: %s", type(error).__name__)
            return
        now = time.monotonic()
        for service, ahead in used.items():
            most = self.quotas.of(service).most_ahead()
            self.buckets.at_least(service, min(ahead, most), now, is_news=True)

    def _read(self) -> dict[str, float]:
        now = utc_now()
        statement = select(ServiceUse.service, ServiceUse.arrival).where(ServiceUse.arrival > now)
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
        return {service.decode(): (arrival - now).total_seconds() for service, arrival in rows}

    async def watch(self) -> None:
        """For as long as the process runs."""
        tasks = [
            asyncio.create_task(_every(COUNT_EVERY, self._count)),
            asyncio.create_task(_every(KEEP_EVERY, self.keep)),
        ]
        try:
            while True:
                await asyncio.sleep(CYCLE)
                self.note()
                self.buckets.forget_past(time.monotonic())
                heard = self.peers.cycle()
                self._tell(lambda: self._modes.cycle(heard))  # noqa: B023 - called before the next cycle
        finally:
            for task in tasks:
                task.cancel()

    def _count(self) -> None:
        if self.mode is Mode.REDIS:
            counted = self._buffer.nodes(self.node)
            are_all_there = time.monotonic() > self._counted_since + NODE_SECONDS
            self._nodes = counted if are_all_there else max(counted, self._nodes)
            self.buckets.count(self._buffer.count_services)

    def keep(self) -> None:
        """One statement, of what has changed and is not over."""
        now, moment, since = time.monotonic(), utc_now(), self._kept
        rows: list[dict[str, Any]] = [
            {"service": service.encode(), "arrival": moment + timedelta(seconds=bucket.arrival - now)}
            for service, bucket in self.buckets
            if bucket.arrival > now and bucket.changed >= since
        ]
        if rows:
            with self._engine.begin() as connection:
                connection.execute(KEEP, sorted(rows, key=lambda row: row["service"]))
            self._kept = now - MARGIN


async def _every(seconds: float, work: Callable[[], None]) -> None:
    while True:
        try:
            await asyncio.to_thread(work)
        except (RedisError, SQLAlchemyError):
            pass  # the next time does it
        except Exception:
            log.exception("What services have used is not noted, or not counted")
        await asyncio.sleep(seconds)
