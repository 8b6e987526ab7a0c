"""The API's side of Redis: a group of events in one round trip, counted once."""

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Any, NamedTuple
from uuid import uuid4

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
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

Words = list[bytes | str | int]


class Group(NamedTuple):
    """A call of the script: its keys, its arguments behind the first, and what it tells that is new."""

    keys: Words
    arguments: Words
    told: dict[str, bool]
    """By fingerprint, of those with a payload: whether there is a stack trace in it."""


class PackedConnection(redis.asyncio.Connection):
    """Packs in C, as redis-py does outside asyncio. In Python each argument copies all before it."""

    def pack_command(self, *args: Any) -> Any:
        return HiredisRespSerializer().pack(*args)

    async def disconnect(self, *args: Any, **kwargs: Any) -> None:
        """Drops what was not sent yet: else it stays in memory until a Redis that is frozen thaws."""
        if self._writer is not None:
            self._writer.transport.abort()
        await super().disconnect(*args, **kwargs)


class GroupBuffer:
    """One connection, one group in flight.

    The bare connection, since what redis-py puts around it (a pool, retries, a task for each timeout) took
    180 us of the 330 us of CPU that a call cost.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.timeout = settings.redis_timeout
        self._start_process()

    def _start_process(self) -> None:
        """A process that forks shares nothing with its child: neither its connection nor its identity."""
        self._pid = os.getpid()
        self._connection = PackedConnection(
            host=self._settings.redis_host,
            port=self._settings.redis_port,
            socket_connect_timeout=self.timeout,
            retry=Retry(NoBackoff(), 0),  # `add` retries by itself: it knows that it may
        )
        self._start_anew()

    def _start_anew(self) -> None:
        self._process = uuid4().hex
        self._group = 0
        self._introduced = False
        self._known: dict[str, bool] = {}
        self._known_since = time.monotonic()

    async def add(self, events: Sequence[Event], seconds: float | None = None) -> int:
        """Counts a group of events in one round trip; all are on disk when this returns.

        Of each fingerprint it sends the first payload, and once more the first that has a stack trace.

        Returns the number of payloads, or -1 where the first try had arrived after all.
        Raises redis.RedisError, after `seconds` (by default `timeout`) at most, where the events were not
        counted, or where nobody can tell.
        """
        started = time.perf_counter()
        try:
            return await self._add(events, self.timeout if seconds is None else seconds)
        finally:
            ADD_DURATION.observe(time.perf_counter() - started)

    async def _add(self, events: Sequence[Event], seconds: float) -> int:
        """Half of the time is kept for a second try, over a new connection."""
        due = time.monotonic() + seconds
        if self._pid != os.getpid():
            self._start_process()
        group = self._next_group(events)
        try:
            async with asyncio.timeout(seconds / 2):
                answer = await self._send(group)
                if answer == FORGOTTEN:  # of a first try: nothing was counted
                    self._start_anew()
                    group = self._next_group(events)
                    answer = await self._send(group)
        except (RedisConnectionError, RedisTimeout, TimeoutError):
            answer = await self._send_again(group, due - time.monotonic())
        if answer == FORGOTTEN:
            raise RedisError("Redis can't tell any more whether it has counted the group")
        self._known.update(group.told)
        return answer

    async def _send_again(self, group: Group, seconds: float) -> int:
        try:
            async with asyncio.timeout(seconds):
                return await self._send(group)
        except TimeoutError as error:
            raise RedisTimeout("Redis did not answer in time") from error

    async def _send(self, group: Group) -> int:
        await self._connect()
        words = [len(group.keys), *group.keys, int(self._introduced), *group.arguments]
        self._introduced = True
        try:
            return await self._call("EVALSHA", ADD_SHA, *words)
        except NoScriptError:
            return await self._call("EVAL", ADD, *words)

    async def _connect(self) -> None:
        """Also where Redis has closed the connection meanwhile: to find that out by sending costs a try."""
        if self._connection.is_connected and await self._connection.can_read():
            await self._connection.disconnect(nowait=True)
        if not self._connection.is_connected:
            await self._connection.connect()  # type: ignore[no-untyped-call]

    async def _call(self, *command: bytes | str | int) -> int:
        await self._connection.send_command(*command)
        return int(await self._connection.read_response())

    def _next_group(self, events: Sequence[Event]) -> Group:
        self._forget_known()
        self._group += 1
        group_id = uuid4().hex
        keys: Words = [BUFFER, BATCHES, BATCH + group_id, FIRST_EVENTS, GROUP + self._process]
        arguments: Words = [self._group, group_id, MAX_FINGERPRINTS]
        told: dict[str, bool] = {}
        for fingerprint, (count, event) in _by_fingerprint(events).items():
            payload, has_trace = "", event.stack_trace is not None
            known = self._known.get(fingerprint)
            if known is None or (has_trace and not known):
                payload, told[fingerprint] = event.model_dump_json(by_alias=True), has_trace
            arguments += (bytes.fromhex(fingerprint), count, payload)
        return Group(keys, arguments, told)

    def _forget_known(self) -> None:
        if time.monotonic() - self._known_since > KNOWN_PERIOD or len(self._known) > MAX_KNOWN:
            self._known_since = time.monotonic()
            self._known.clear()

    def forget(self, fingerprints: Iterable[str]) -> None:
        """Their next events bring their payloads once more."""
        for fingerprint in fingerprints:
            self._known.pop(fingerprint, None)

    async def close(self) -> None:
        await self._connection.disconnect()


def _by_fingerprint(events: Sequence[Event]) -> dict[str, tuple[int, Event]]:
    """How many there are of each, and the first that has a stack trace, or else the first."""
    found: dict[str, tuple[int, Event]] = {}
    for event in events:
        count, first = found.get(event.fingerprint, (0, event))
        if first.stack_trace is None and event.stack_trace is not None:
            first = event
        found[event.fingerprint] = count + 1, first
    return found
