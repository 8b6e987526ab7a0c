"""The API's side of Redis: a group of events in one round trip, counted once."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from hashlib import sha1
from typing import Any
from uuid import uuid4

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError
from redis.exceptions import TimeoutError as RedisTimeout

from async_dedup.keys import ADD, BATCH, BATCHES, BUFFER, FIRST_EVENTS, GROUP, MAX_FINGERPRINTS
from shared.event import Event
from shared.metrics import redis_operation_duration
from shared.settings import Settings

KNOWN_PERIOD = 60.0
MAX_KNOWN = 100_000
"""Seconds, and fingerprints (20 MB), after which an API process sends each payload once more.

What it has forgotten costs an upsert, never a count.
"""

FORGOTTEN = -2

ADD_SHA = sha1(ADD.encode(), usedforsecurity=False).hexdigest()
"""EVALSHA's name for the script."""

ADD_DURATION = redis_operation_duration.labels("add")


class PackedConnection(redis.asyncio.Connection):
    """Packs in C, as redis-py does outside asyncio. In Python each argument copies all before it."""

    def pack_command(self, *args: Any) -> Any:
        return HiredisRespSerializer().pack(*args)


class GroupBuffer:
    """One connection, one group in flight.

    The bare connection, since what redis-py puts around it (a pool, retries, a task for each timeout) took
    180 us of the 330 us of CPU that a call cost.
    """

    def __init__(self, settings: Settings) -> None:
        self._connection = PackedConnection(
            host=settings.redis_host,
            port=settings.redis_port,
            socket_connect_timeout=settings.redis_timeout,
            retry=Retry(NoBackoff(), 0),  # `add` retries by itself: it knows that it may
        )
        self._timeout = settings.redis_timeout
        self._start_anew()

    def _start_anew(self) -> None:
        self._process = uuid4().hex
        self._group = 0
        self._known: set[str] = set()
        self._known_since = time.monotonic()

    async def add(self, events: Sequence[Event]) -> int:
        """Counts a group of events in one round trip; all are on disk when this returns.

        Returns the number of first events, or -1 where the first try had arrived after all.
        Raises redis.RedisError where the events were not counted, or where nobody can tell.
        """
        started = time.perf_counter()
        try:
            answer = await self._add_once(events)
            if answer == FORGOTTEN:
                self._start_anew()
                answer = await self._add_once(events)
        finally:
            ADD_DURATION.observe(time.perf_counter() - started)
        self._known.update(event.fingerprint for event in events)
        return answer

    async def _add_once(self, events: Sequence[Event]) -> int:
        self._group += 1
        arguments = self._arguments(events)
        try:
            return await self._run_add(arguments)
        except (RedisConnectionError, RedisTimeout):
            return await self._run_add(arguments)

    async def _run_add(self, arguments: Sequence[bytes | str | int]) -> int:
        try:
            return await self._send("EVALSHA", ADD_SHA, *arguments)
        except NoScriptError:
            return await self._send("EVAL", ADD, *arguments)

    async def _send(self, *command: bytes | str | int) -> int:
        try:
            async with asyncio.timeout(self._timeout):
                await self._connection.send_command(*command)
                return int(await self._connection.read_response())
        except TimeoutError as error:
            raise RedisTimeout("Redis did not answer in time") from error

    def _arguments(self, events: Sequence[Event]) -> list[bytes | str | int]:
        """The number of keys, the keys, the arguments."""
        self._forget_known()
        batch_id = uuid4().hex
        keys = [BUFFER, BATCHES, BATCH + batch_id, FIRST_EVENTS, GROUP + self._process]
        arguments: list[bytes | str | int] = [len(keys), *keys]
        arguments += (self._group, batch_id, MAX_FINGERPRINTS)
        firsts: dict[str, Event] = {}
        for event in events:
            firsts.setdefault(event.fingerprint, event)
        counts = Counter(event.fingerprint for event in events)
        for fingerprint, first in firsts.items():
            payload = "" if fingerprint in self._known else first.model_dump_json(by_alias=True)
            arguments += (bytes.fromhex(fingerprint), counts[fingerprint], payload)
        return arguments

    def _forget_known(self) -> None:
        if time.monotonic() - self._known_since > KNOWN_PERIOD or len(self._known) > MAX_KNOWN:
            self._known_since = time.monotonic()
            self._known.clear()

    async def close(self) -> None:
        await self._connection.disconnect()
