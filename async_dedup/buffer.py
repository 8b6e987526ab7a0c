"""What Redis keeps for the async twin: every key, and every script that touches it.

| key               | type   | holds                             | bound               | lives until       |
|-------------------|--------|-----------------------------------|---------------------|-------------------|
| hpt:buffer        | hash   | events by fingerprint, `at`: last | MAX_FINGERPRINTS    | claimed           |
| hpt:batches       | list   | ids of batches, oldest first      | one per batch       | each is dropped   |
| hpt:batch:ID      | hash   | a claimed buffer                  | MAX_FINGERPRINTS    | in MySQL, dropped |
| hpt:first_events  | stream | events of unknown fingerprints    | maxmemory           | in MySQL, trimmed |
| hpt:group:PROCESS | string | number of its last group          | one each            | an hour unused    |
| hpt:flushed_at    | string | last flush, Unix seconds          | 1                   | overwritten       |
| rq:*              | RQ's   | digest jobs                       | one waiting at most | failed: 5 minutes |

Counts have no expiry, and `maxmemory-policy noeviction` makes a full Redis refuse new events (503)
rather than evict counted ones. Fingerprints are 32 raw bytes here, half of their hex form.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1
from typing import Any
from uuid import uuid4

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry

from shared.event import Event
from shared.metrics import redis_operation_duration
from shared.settings import Settings

BUFFER = "hpt:buffer"
BATCHES = "hpt:batches"
BATCH = "hpt:batch:"
FIRST_EVENTS = "hpt:first_events"
GROUP = "hpt:group:"
FLUSHED_AT = "hpt:flushed_at"

MAX_FINGERPRINTS = 10_000
"""A buffer that reaches this is sealed as a batch at once: one HGETALL and one transaction stay small."""

KNOWN_PERIOD = 60.0
MAX_KNOWN = 100_000
"""Seconds, and fingerprints (20 MB), after which an API process sends each payload once more.

What it has forgotten costs an upsert, never a count.
"""

AT = "at"

FORGOTTEN = -2

ADD_DURATION = redis_operation_duration.labels("add")

# A retried group must not count twice, so the group's number is checked and set with its counts.
# A process leaves the payload out where it has sent it before, which holds only as long as Redis remembers
# the process. HINCRBY's answer equals the increment only for a fingerprint that is new in this buffer: of
# any other a process has sent the payload already.
# KEYS: buffer, batches, sealed batch, first_events, group
# ARGV: group number, batch id, most fingerprints, then (fingerprint, events, payload)...
# Returns the number of first events, -1 for a group that was added before, -2 for a forgotten process.
ADD = """
local last = tonumber(redis.call('GET', KEYS[5]) or 0)
if last >= tonumber(ARGV[1]) then
    return -1
elseif last == 0 and ARGV[1] ~= '1' then
    return -2
end
redis.call('SET', KEYS[5], ARGV[1], 'EX', 3600)
local first = 0
for i = 4, #ARGV, 3 do
    local events = redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
    if ARGV[i + 2] ~= '' and events == tonumber(ARGV[i + 1]) then
        redis.call('XADD', KEYS[4], '*', 'fingerprint', ARGV[i], 'event', ARGV[i + 2])
        first = first + 1
    end
end
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], 'at', now[1] .. string.format('%06d', now[2]))
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then
    redis.call('RENAME', KEYS[1], KEYS[3])
    redis.call('RPUSH', KEYS[2], ARGV[2])
end
return first
"""

ADD_SHA = sha1(ADD.encode(), usedforsecurity=False).hexdigest()
"""EVALSHA's name for the script."""

# RENAME fails on a missing key, so an empty buffer is left alone.
# KEYS: buffer, batches, sealed batch. ARGV: batch id. Returns 1 where there was something to claim.
CLAIM = """
if redis.call('EXISTS', KEYS[1]) == 0 then
    return 0
end
redis.call('RENAME', KEYS[1], KEYS[3])
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1
"""

# In one step: a claim between two would hide a count, or show it twice.
# KEYS: buffer, batches. ARGV: start of a batch's key, then fingerprints. Returns the events of each.
PENDING = """
local events = redis.call('HMGET', KEYS[1], unpack(ARGV, 2))
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
    for i, claimed in ipairs(redis.call('HMGET', ARGV[1] .. id, unpack(ARGV, 2))) do
        events[i] = (events[i] or 0) + (claimed or 0)
    end
end
return events
"""


@dataclass(frozen=True)
class Batch:
    """A claimed buffer: events per fingerprint, and when the last of them came."""

    id: str
    counts: Mapping[str, int]
    last_seen: datetime


@dataclass(frozen=True)
class FirstEvent:
    """An event that waits for its digest; the id orders it, and holds Redis's time in milliseconds."""

    id: str
    fingerprint: str
    event: Event

    @property
    def seen_at(self) -> datetime:
        return _utc(int(self.id.split("-")[0]) / 1000)


@dataclass(frozen=True)
class BufferState:
    """What MySQL has not seen yet; ages in seconds, `flushed_at` in Unix seconds or 0."""

    fingerprints: int
    batches: int
    first_events: int
    queue_age: float
    flushed_at: float


class PackedConnection(redis.asyncio.Connection):
    """Packs in C, as redis-py does outside asyncio. In Python each argument copies all before it."""

    def pack_command(self, *args: Any) -> Any:
        return HiredisRespSerializer().pack(*args)


class AsyncBuffer:
    """The ingest's side: one connection, one group in flight.

    The bare connection, since what redis-py puts around it (a pool, retries, a task for each timeout) took
    180 us of the 330 us of CPU that a call cost.
    """

    def __init__(self, settings: Settings) -> None:
        self._connection = PackedConnection(
            host=settings.redis_host,
            port=settings.redis_port,
            socket_connect_timeout=settings.redis_timeout,
            retry=AsyncRetry(NoBackoff(), 0),  # `add` retries by itself: it knows that it may
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


class Buffer:
    """The side of worker, scheduler and everything else that may block."""

    def __init__(self, settings: Settings) -> None:
        # redis-py types every reply as bytes or str; without decode_responses they are bytes.
        self.redis: Any = sync_redis(settings, settings.redis_timeout)
        self._claim = self.redis.register_script(CLAIM)
        self._pending = self.redis.register_script(PENDING)

    def claim(self) -> None:
        """Makes a batch of the buffer, if there is anything in it."""
        batch_id = uuid4().hex
        self._claim([BUFFER, BATCHES, BATCH + batch_id], [batch_id])

    def batches(self) -> list[str]:
        """The ids of the batches that were claimed and not dropped, oldest first."""
        return [batch_id.decode() for batch_id in self.redis.lrange(BATCHES, 0, -1)]

    def read(self, batch_id: str) -> Batch | None:
        """None where another flush has dropped it."""
        fields = self.redis.hgetall(BATCH + batch_id)
        if not fields:
            return None
        last_seen = _utc(int(fields.pop(AT.encode())) / 1e6)
        counts = {fingerprint.hex(): int(events) for fingerprint, events in fields.items()}
        return Batch(batch_id, counts, last_seen)

    def drop(self, batch_id: str) -> None:
        """Only after the batch's commit. To drop it twice does no harm; half a drop is finished by the next.

        Not in a MULTI: a full Redis refuses to queue anything in one, and only a drop can make room.
        """
        with self.redis.pipeline(transaction=False) as pipeline:
            pipeline.unlink(BATCH + batch_id).lrem(BATCHES, 1, batch_id).execute()

    def first_events(self, limit: int) -> list[FirstEvent]:
        """The oldest events that wait for their digest."""
        return [
            FirstEvent(
                entry_id.decode(), entry[b"fingerprint"].hex(), Event.model_validate_json(entry[b"event"])
            )
            for entry_id, entry in self.redis.xrange(FIRST_EVENTS, count=limit)
        ]

    def trim(self, last: FirstEvent) -> None:
        """Only after the commit. Who read `last` has read all before it, so two workers may trim at once."""
        milliseconds, sequence = last.id.split("-")
        self.redis.xtrim(FIRST_EVENTS, minid=f"{milliseconds}-{int(sequence) + 1}", approximate=False)

    def pending(self, fingerprints: Sequence[str]) -> list[int]:
        """Events that MySQL has not seen yet, per fingerprint."""
        if not fingerprints:
            return []
        fields = [bytes.fromhex(fingerprint) for fingerprint in fingerprints]
        return [int(events or 0) for events in self._pending([BUFFER, BATCHES], [BATCH, *fields])]

    def check_room(self) -> None:
        """Raises redis.RedisError where an event would be refused: to append nothing needs room as well."""
        self.redis.append(FLUSHED_AT, b"")

    def mark_flushed(self) -> None:
        self.redis.set(FLUSHED_AT, time.time())

    def state(self) -> "BufferState":
        """One round trip; raises redis.RedisError where Redis is down."""
        with self.redis.pipeline(transaction=False) as pipeline:
            pipeline.hlen(BUFFER).llen(BATCHES).xlen(FIRST_EVENTS).xrange(FIRST_EVENTS, count=1).get(
                FLUSHED_AT
            )
            fields, batches, waiting, oldest, flushed_at = pipeline.execute()
        queued_at = int(oldest[0][0].split(b"-")[0]) / 1000 if oldest else None
        return BufferState(
            fingerprints=max(fields - 1, 0),
            batches=batches,
            first_events=waiting,
            queue_age=max(time.time() - queued_at, 0.0) if queued_at else 0.0,
            flushed_at=float(flushed_at or 0),
        )


def sync_redis(settings: Settings, timeout: float | None) -> redis.Redis:
    """`timeout` in seconds for each call; None for RQ's worker, which sets its own above its blocking pop."""
    return redis.Redis(
        host=settings.redis_host,
        port=settings.redis_port,
        socket_timeout=timeout,
        socket_connect_timeout=settings.redis_timeout,
        retry=Retry(NoBackoff(), 0),
    )


def _utc(unix_seconds: float) -> datetime:
    return datetime.fromtimestamp(unix_seconds, UTC).replace(tzinfo=None)
