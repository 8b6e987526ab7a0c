"""MySQL's memory of the batches that it holds: whoever brings one again is told."""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from async_dedup.entries import MOST_EVENTS, Batch
from shared.answer import now
from shared.model import AppliedBatch
from shared.pipeline_metrics import batches_replayed

KEPT = timedelta(days=1)
"""What is not known to wait is brought by nobody for longer: after that its row guards nothing."""
ROWS = 200_000
"""Kept in any case, 20 MB: the batches of hours."""


_insert = insert(AppliedBatch)


class AlreadyApplied(Exception):
    """The ledger has this batch."""


def enter(connection: Connection, batch: Batch) -> None:
    """In the transaction that writes the counts, before them. Raises AlreadyApplied."""
    row = {
        "batch_id": batch.id,
        "applied_at": now(),
        "fingerprints": len(batch.counts),
        "events": min(sum(batch.counts.values()), MOST_EVENTS),
    }
    try:
        connection.execute(_insert, row)
    except IntegrityError:
        batches_replayed.inc()
        raise AlreadyApplied from None


def renew(connection: Connection, batch_id: str) -> None:
    """Somebody still brings it, such as a spool file that can't be removed."""
    connection.execute(update(AppliedBatch).where(AppliedBatch.batch_id == batch_id).values(applied_at=now()))


def trim(engine: Engine, waiting: Collection[str]) -> None:
    """All but `waiting`, which are in MySQL perhaps, and will be brought again.

    By a clock that may have been set forward by years, so the newest rows stay whatever it says.
    """
    applied_at = AppliedBatch.applied_at
    with engine.begin() as connection:
        newest = select(applied_at).order_by(applied_at.desc()).offset(ROWS).limit(1)
        if not_kept := connection.scalar(newest):
            is_old = applied_at <= min(not_kept, now() - KEPT)
            connection.execute(delete(AppliedBatch).where(is_old, AppliedBatch.batch_id.not_in(waiting)))
