"""Buffer to MySQL: claim, one transaction, drop.

A kill between any two steps loses nothing and counts nothing twice: the ledger row is committed with
the counts, the claim is dropped after the commit, and what a killed flush left behind comes first.
Two flushes at once give the same totals, since only one of them can insert the ledger row.
"""

from contextlib import suppress
from dataclasses import replace

from redis import OutOfMemoryError
from sqlalchemy import Connection, Engine, func
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.exc import DBAPIError

from async_dedup.buffer import Buffer
from async_dedup.digest import Stop
from async_dedup.entries import Batch, unfit_count
from async_dedup.ledger import AlreadyApplied, enter
from shared.db import refused_rows, transact
from shared.model import Issue
from shared.pipeline_metrics import (
    batch_events,
    batch_fingerprints,
    events_flushed,
    flush_duration,
)

_insert = insert(Issue)
COUNT = _insert.on_duplicate_key_update(
    times_seen=Issue.times_seen + _insert.inserted.times_seen,
    first_seen=func.least(Issue.first_seen, _insert.inserted.first_seen),
    last_seen=func.greatest(Issue.last_seen, _insert.inserted.last_seen),
)


def flush(buffer: Buffer, engine: Engine) -> list[str]:
    """Everything that was acknowledged before this call is in MySQL when it returns.

    Unless the process is told to stop meanwhile: then it ends after the batch in its hands.

    Returns the fingerprints of the batches that made rows, which have no message until their digest.
    Raises redis.RedisError or sqlalchemy's errors; what was not applied stays for the next flush.
    """
    with flush_duration.time():
        made = _apply_batches(buffer, engine)
        if not Stop.asked:
            buffer.claim()
            made += _apply_batches(buffer, engine)
        if not Stop.asked:
            with suppress(OutOfMemoryError):  # a full Redis has no room for it, but was given its room back
                buffer.mark_flushed()
    return made


def _apply_batches(buffer: Buffer, engine: Engine) -> list[str]:
    made: list[str] = []
    for batch_id in buffer.batches():
        if Stop.asked:  # after an outage all of them may take minutes
            break
        batch = buffer.read(batch_id)
        if batch is not None and _apply(buffer, engine, batch):
            made += batch.counts
        buffer.drop(batch_id)
    return made


def _apply(buffer: Buffer, engine: Engine, batch: Batch) -> bool:
    """Whether it made rows."""
    if not batch.counts:
        return False
    try:
        rows = transact(engine, lambda connection: _write(connection, batch))
    except AlreadyApplied:
        return False
    except DBAPIError as error:
        return _apply(buffer, engine, _without_refused(buffer, engine, batch, error))
    events_flushed.inc(sum(batch.counts.values()))
    batch_events.observe(sum(batch.counts.values()))
    batch_fingerprints.observe(len(batch.counts))
    return rows < 2 * len(batch.counts)


def _without_refused(buffer: Buffer, engine: Engine, batch: Batch, error: DBAPIError) -> Batch:
    """They leave the batch before it is applied: after it, a kill would leave nobody to set them aside."""
    rows = _rows(batch)
    refused = {
        str(rows[at]["fingerprint"]): why for at, why in refused_rows(engine, COUNT, rows, error).items()
    }
    buffer.set_aside(
        [
            unfit_count(batch.id, bytes.fromhex(each), why, b"%d" % batch.counts[each])
            for each, why in refused.items()
        ]
    )
    return replace(
        batch, counts={each: events for each, events in batch.counts.items() if each not in refused}
    )


def _write(connection: Connection, batch: Batch) -> int:
    """MySQL's number of affected rows: 1 for each that is new, 2 for each that was there."""
    enter(connection, batch)
    return connection.execute(COUNT, _rows(batch), execution_options={"preserve_rowcount": True}).rowcount


def _rows(batch: Batch) -> list[dict[str, object]]:
    """Without a payload: the digest brings it, before or after."""
    seen_at = batch.last_seen.isoformat(" ")
    empty = {"service": "", "message": "", "stack_trace": None, "first_seen": seen_at, "last_seen": seen_at}
    return [
        {**empty, "fingerprint": fingerprint, "times_seen": events}
        for fingerprint, events in sorted(batch.counts.items())
    ]
