"""Buffer to MySQL: claim, one transaction, drop.

A kill between any two steps loses nothing and counts nothing twice: the ledger row is committed with
the counts, the claim is dropped after the commit, and what a killed flush left behind comes first.
Two flushes at once give the same totals, since only one of them can insert the ledger row.
"""

from contextlib import suppress
from datetime import timedelta

from redis import OutOfMemoryError
from sqlalchemy import Connection, Engine, delete, func, insert
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import IntegrityError

from async_dedup.buffer import Batch, Buffer
from shared.answer import now
from shared.db import transact
from shared.model import AppliedBatch, Issue
from shared.pipeline_metrics import (
    batch_events,
    batch_fingerprints,
    batches_replayed,
    events_flushed,
    flush_duration,
)

LEDGER_KEPT = timedelta(days=7)
"""No flush holds a batch in its hands for longer: after that its row guards nothing."""

_insert = mysql.insert(Issue)
COUNT = _insert.on_duplicate_key_update(
    times_seen=Issue.times_seen + _insert.inserted.times_seen,
    first_seen=func.least(Issue.first_seen, _insert.inserted.first_seen),
    last_seen=func.greatest(Issue.last_seen, _insert.inserted.last_seen),
)


def flush(buffer: Buffer, engine: Engine) -> None:
    """Everything that was acknowledged before this call is in MySQL when it returns.

    Raises redis.RedisError or sqlalchemy's errors; what was not applied stays for the next flush.
    """
    with flush_duration.time():
        _apply_batches(buffer, engine)
        buffer.claim()
        _apply_batches(buffer, engine)
        with suppress(OutOfMemoryError):  # a full Redis has no room for the mark, but was given its room back
            buffer.mark_flushed()


def _apply_batches(buffer: Buffer, engine: Engine) -> None:
    for batch_id in buffer.batches():
        batch = buffer.read(batch_id)
        if batch is not None:
            _apply(engine, batch)
        buffer.drop(batch_id)


def _apply(engine: Engine, batch: Batch) -> None:
    try:
        transact(engine, lambda connection: _write(connection, batch))
    except IntegrityError:  # the ledger has this batch: the upsert itself can't conflict
        batches_replayed.inc()
        return
    events_flushed.inc(sum(batch.counts.values()))
    batch_events.observe(sum(batch.counts.values()))
    batch_fingerprints.observe(len(batch.counts))


def _write(connection: Connection, batch: Batch) -> None:
    connection.execute(
        insert(AppliedBatch).values(
            batch_id=batch.id,
            applied_at=now(),
            fingerprints=len(batch.counts),
            events=sum(batch.counts.values()),
        )
    )
    connection.execute(COUNT, _rows(batch))


def _rows(batch: Batch) -> list[dict[str, object]]:
    """Without a payload: the digest brings it, before or after."""
    seen_at = batch.last_seen.isoformat(" ")
    empty = {"service": "", "message": "", "stack_trace": None, "first_seen": seen_at, "last_seen": seen_at}
    return [
        {**empty, "fingerprint": fingerprint, "times_seen": events}
        for fingerprint, events in sorted(batch.counts.items())
    ]


def trim_ledger(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(delete(AppliedBatch).where(AppliedBatch.applied_at < now() - LEDGER_KEPT))
