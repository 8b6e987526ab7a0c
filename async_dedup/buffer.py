"""The side of Redis of worker, scheduler and everything else that may block."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, ResponseError
from redis.retry import Retry

from async_dedup.ages import FlushAge, QueueAge, flushed_seconds
from async_dedup.budget import Place
from async_dedup.entries import (
    Batch,
    FirstEvent,
    is_batch_id,
    missing_at,
    read_batch,
    read_first_events,
    utc,
)
from async_dedup.keys import (
    ARRIVALS,
    BATCH,
    BATCHES,
    BUFFER,
    CLAIM,
    FIRST_EVENTS,
    FLUSHED_AT,
    LAST_ID,
    MAX_SUMMED,
    MAX_TAKEN,
    MAX_TAKEN_BYTES,
    NEW_ISSUES,
    NODE_SECONDS,
    NODES,
    PENDING,
    SERVICES,
    SET_ASIDE,
    TAKE,
    WANTED,
    WANTED_SECONDS,
)
from async_dedup.set_aside import SetAside, unfit_batch
from shared.settings import Settings


class Taken(NamedTuple):
    """What a digest has in its hands: the oldest first events, and a batch with their counts.

    No batch where nothing was counted of them, or where their counts are left to the flush.
    """

    events: list[FirstEvent]
    batch: Batch | None
    last: str
    """The id of the newest of them; empty where there are none. Later ones wait for the next digest."""
    is_full: bool
    """More may wait."""


class Used(NamedTuple):
    """Of one service."""

    events: int
    throttled: int
    folded: int
    ahead: float
    """Seconds up to its theoretical arrival time."""
    ages: list[float]
    """Seconds since it took each of its places."""


@dataclass(frozen=True)
class BufferState:
    """What MySQL has not seen yet; ages in seconds, `flushed_at` in Unix seconds or 0."""

    fingerprints: int
    batches: int
    first_events: int
    queue_age: float
    flushed_at: float
    flush_age: float
    set_aside: int

    @property
    def is_empty(self) -> bool:
        """Whether MySQL has all of it."""
        return not (self.fingerprints or self.batches or self.first_events)


class Buffer:
    """Batches, first events and what is pending; each method is a round trip or two.

    All raise redis.RedisError where Redis is away.
    """

    def __init__(self, settings: Settings) -> None:
        # redis-py types every reply as bytes or str; without decode_responses they are bytes.
        self.redis: Any = sync_redis(settings, settings.redis_timeout)
        self._claim = self.redis.register_script(CLAIM)
        self._take = self.redis.register_script(TAKE)
        self._pending = self.redis.register_script(PENDING)
        self.set_aside = SetAside(self.redis)
        self._flush_age = FlushAge()
        self._queue_age = QueueAge()

    def claim(self) -> None:
        """Makes a batch of the buffer, if there is anything in it."""
        batch_id = uuid4().hex
        self._claim([BUFFER, BATCHES, BATCH + batch_id], [batch_id])

    def batches(self) -> list[str]:
        """The ids of the batches that were claimed and not dropped, oldest first."""
        ids: list[bytes] = self.redis.lrange(BATCHES, 0, -1)
        if unfit := [unfit_batch(each, "no id of a batch") for each in ids if not is_batch_id(each)]:
            self.set_aside(unfit)
        return [each.decode() for each in ids if is_batch_id(each)]

    def read(self, batch_id: str) -> Batch | None:
        """None where another flush has dropped it, or it is no batch. What can't be read is set aside."""
        try:
            fields = self.redis.hgetall(BATCH + batch_id)
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            self.set_aside([unfit_batch(batch_id.encode(), "no hash")])
            return None
        if not fields:
            return None
        batch, unfit = read_batch(batch_id, fields)
        if unfit:
            self.set_aside(unfit)
        return batch if batch.has_time or not batch.counts else self._dated(batch)

    def _dated(self, batch: Batch) -> Batch:
        now = self.now()
        with suppress(OutOfMemoryError):  # there is no room to note it: it is counted all the same
            self.set_aside([missing_at(batch.id, now)])
        return replace(batch, last_seen=utc(int(now * 1e6)))

    def drop(self, batch_id: str) -> None:
        """Only after the batch's commit. To drop it twice does no harm; half a drop is finished by the next.

        Not in a MULTI: a full Redis refuses to queue anything in one, and only a drop can make room.
        """
        with self.redis.pipeline(transaction=False) as pipeline:
            _drop(pipeline, batch_id)
            pipeline.execute()

    def take(self, most: int) -> Taken:
        """The oldest first events, up to `most` or to MAX_TAKEN_BYTES, and their counts.

        What can't be read is set aside. The counts of all are left to the flush then.
        """
        batch_id = uuid4().hex
        keys = [FIRST_EVENTS, BUFFER, BATCHES, BATCH + batch_id]
        entries, fields, more = self._take(keys, [batch_id, most, MAX_TAKEN, MAX_TAKEN_BYTES])
        events, unfit = read_first_events([(entry_id, _pairs(words)) for entry_id, words in entries])
        if unfit:
            self.set_aside(unfit)
        batch, odd = read_batch(batch_id, _pairs(fields))
        has_rows = batch.counts.keys() <= {event.fingerprint for event in events}
        is_whole = batch.has_time and has_rows and not odd and not unfit
        last = entries[-1][0].decode() if entries else ""
        return Taken(events, batch if is_whole else None, last, bool(more))

    def finish(self, taken: Taken, with_counts: bool) -> None:
        """Only after the commit. Whoever took the last has taken all before it, so two may finish at once."""
        with self.redis.pipeline(transaction=False) as pipeline:
            if taken.batch and with_counts:
                _drop(pipeline, taken.batch.id)
            pipeline.xtrim(FIRST_EVENTS, minid=taken.last, approximate=False).xdel(FIRST_EVENTS, taken.last)
            if taken.last == LAST_ID:  # a foreign one: the stream begins anew
                pipeline.delete(FIRST_EVENTS)
            pipeline.execute()

    def pending(self, fingerprints: Sequence[str]) -> dict[str, list[int]] | None:
        """By batch, the events of each fingerprint; the buffer's under "". None beyond MAX_SUMMED batches.

        MySQL may have a batch already: it is dropped after the commit.
        """
        fields = [bytes.fromhex(fingerprint) for fingerprint in fingerprints]
        found = self._pending([BUFFER, BATCHES], [BATCH, MAX_SUMMED, *fields])
        if found is None:
            return None
        return {
            batch_id.decode(): events for batch_id, events in found if not batch_id or is_batch_id(batch_id)
        }

    def want(self, fingerprints: Collection[str]) -> None:
        """Has every API process send their payloads once more; replaces what was wanted before."""
        with self.redis.pipeline(transaction=False) as pipeline:
            pipeline.delete(WANTED)
            if fingerprints:
                pipeline.sadd(WANTED, *map(bytes.fromhex, fingerprints)).expire(WANTED, WANTED_SECONDS)
            pipeline.execute()

    def wanted(self) -> set[str]:
        return {fingerprint.hex() for fingerprint in self.redis.smembers(WANTED)}

    def give_back(self, places: Collection[Place]) -> None:
        """Places in budgets that nothing new has needed."""
        with self.redis.pipeline(transaction=False) as pipeline:
            for place in places:
                pipeline.zrem(NEW_ISSUES + place.service, bytes.fromhex(place.fingerprint))
            pipeline.execute()

    def nodes(self, node: str) -> int:
        """How many processes of the API there are; that `node` is one of them is kept for a while."""
        now = int(self.now() * 1e6)
        with self.redis.pipeline(transaction=False) as pipeline:
            pipeline.zadd(NODES, {node: now})
            pipeline.zremrangebyscore(NODES, "-inf", now - int(NODE_SECONDS * 1e6)).zcard(NODES)
            return int(pipeline.execute()[-1])

    def leave(self, node: str) -> None:
        """It is no process of the API any more."""
        self.redis.zrem(NODES, node)

    def count_services(self, counts: Mapping[str, tuple[int, int, int]]) -> None:
        """Events of each service that were let through, throttled and folded while Redis was away."""
        now = int(self.now() * 1e6)
        with self.redis.pipeline() as pipeline:
            for name, of_service in counts.items():
                pipeline.zadd(ARRIVALS, {name: now}, nx=True)
                for letter, events in zip("etf", of_service, strict=True):
                    pipeline.hincrby(SERVICES, letter + name, events)
            pipeline.execute()

    def services(self) -> dict[str, Used]:
        """What each service with a limit or a budget has used, in two round trips."""
        arrivals = self.redis.zrange(ARRIVALS, 0, -1, withscores=True)
        now = int(self.now() * 1e6)
        with self.redis.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(SERVICES)
            for name, _ in arrivals:
                pipeline.zrange(NEW_ISSUES.encode() + name, 0, -1, withscores=True)
            counted, *placed = pipeline.execute()
        found = {}
        for (name, arrival), places in zip(arrivals, placed, strict=True):
            events, throttled, folded = (int(counted.get(letter + name, 0)) for letter in (b"e", b"t", b"f"))
            ages = [(now - at) / 1e6 for _, at in places]
            found[name.decode()] = Used(events, throttled, folded, max(arrival - now, 0) / 1e6, ages)
        return found

    def check_room(self) -> None:
        """Raises redis.RedisError where an event would be refused: to append nothing needs room as well."""
        self.redis.append(FLUSHED_AT, b"")

    def mark_flushed(self) -> None:
        self.redis.set(FLUSHED_AT, self.now())

    def now(self) -> float:
        """Redis's time in Unix seconds: whoever dates or measures does so by this one clock."""
        return _unix_seconds(self.redis.time())

    def state(self) -> BufferState:
        """One round trip; raises redis.RedisError where Redis is down."""
        with self.redis.pipeline(transaction=False) as pipeline:
            pipeline.hlen(BUFFER).llen(BATCHES).xlen(FIRST_EVENTS).xrange(FIRST_EVENTS, count=1)
            pipeline.get(FLUSHED_AT).xlen(SET_ASIDE).time()
            fields, batches, waiting, oldest, mark, unfit, time = pipeline.execute()
        now, flushed_at = _unix_seconds(time), flushed_seconds(mark)
        return BufferState(
            fingerprints=max(fields - 1, 0),
            batches=batches,
            first_events=waiting,
            queue_age=self._queue_age(oldest[0] if oldest else None, now),
            flushed_at=flushed_at,
            flush_age=self._flush_age(flushed_at, now),
            set_aside=unfit,
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


def _drop(pipeline: Any, batch_id: str) -> None:
    pipeline.unlink(BATCH + batch_id).lrem(BATCHES, 1, batch_id)


def _pairs(words: Sequence[bytes]) -> dict[bytes, bytes]:
    """As a script returns a hash, or an entry of a stream."""
    return dict(zip(words[::2], words[1::2], strict=True))


def _unix_seconds(time: tuple[int, int]) -> float:
    return time[0] + time[1] / 1e6
