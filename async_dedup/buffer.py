"""The side of Redis of worker, scheduler and everything else that may block."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from async_dedup.keys import AT, BATCH, BATCHES, BUFFER, CLAIM, FIRST_EVENTS, FLUSHED_AT, PENDING
from shared.event import Event
from shared.settings import Settings


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


class Buffer:
    """Batches, first events and what is pending; each method is a round trip or two.

    All raise redis.RedisError where Redis is away.
    """

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

    def state(self) -> BufferState:
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
