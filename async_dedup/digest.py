"""First events become rows: an RQ job, many rows per INSERT.

The job carries no data. It works off the stream of first events, so a job that is lost, doubled or
killed costs time and never an event.
"""

from functools import lru_cache
from itertools import repeat

from rq import Queue
from sqlalchemy import Engine, func
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.exc import DBAPIError

from async_dedup.buffer import Buffer, sync_redis
from async_dedup.entries import FirstEvent, unfit_event
from shared.answer import now
from shared.db import make_background_engine, refused_rows, transact
from shared.model import Issue
from shared.pipeline_metrics import digest_duration, digest_events, row_freshness
from shared.settings import Settings, load

QUEUE = "digest"
ROWS = 500
MAX_ROUNDS = 100
"""A job ends after 50,000 rows, so that it stays far below RQ's time limit whatever keeps coming in."""
FAILED_JOB_SECONDS = 300
"""While MySQL is down every job fails, a few of them a second."""

_insert = insert(Issue)
# The count belongs to the flush, whichever comes first. Repeating this changes nothing.
UPSERT = _insert.on_duplicate_key_update(
    service=_insert.inserted.service,
    message=_insert.inserted.message,
    stack_trace=func.coalesce(Issue.stack_trace, _insert.inserted.stack_trace),
    first_seen=func.least(Issue.first_seen, _insert.inserted.first_seen),
)


def enqueue_digest(queue: Queue) -> None:
    """One job that waits is enough: it will find every event that is there when it starts."""
    if not queue.count:
        queue.enqueue(digest, result_ttl=0, failure_ttl=FAILED_JOB_SECONDS)


def digest_queue(settings: Settings, timeout: float | None) -> Queue:
    return Queue(QUEUE, connection=sync_redis(settings, timeout))


def digest() -> None:
    """The RQ job."""
    digest_all(*_parts())


def digest_all(buffer: Buffer, engine: Engine) -> None:
    """Every first event that waits when this begins, up to MAX_ROUNDS * ROWS.

    What comes in meanwhile is the next job's: to go on after it cost a commit for every few rows, and an
    event 17 % more CPU.
    """
    for _ in repeat(None, MAX_ROUNDS):
        if digest_some(buffer, engine) < ROWS:
            return


def digest_some(buffer: Buffer, engine: Engine) -> int:
    """Makes the oldest first events durable, then forgets them; returns how many."""
    events = buffer.first_events(ROWS)
    if events:
        with digest_duration.time():
            # Sorted, because two transactions that lock rows in one order can't deadlock.
            _upsert(buffer, engine, sorted(events, key=lambda event: event.fingerprint))
        done = now()
        for event in events:
            # Two clocks: Redis has dated it.
            row_freshness.observe(max((done - event.seen_at).total_seconds(), 0.0))
        buffer.trim(events[-1])
        digest_events.observe(len(events))
    return len(events)


def _upsert(buffer: Buffer, engine: Engine, events: list[FirstEvent]) -> None:
    rows = [*map(_row, events)]
    try:
        transact(engine, lambda connection: connection.execute(UPSERT, rows) if rows else None)
    except DBAPIError as error:
        refused = refused_rows(engine, UPSERT, rows, error)
        buffer.set_aside(
            [unfit_event(events[at].id.encode(), why, events[at].entry()) for at, why in refused.items()]
        )
        _upsert(buffer, engine, [event for at, event in enumerate(events) if at not in refused])


def _row(first: FirstEvent) -> dict[str, object]:
    seen_at = first.seen_at.isoformat(" ")  # by PyMySQL, twice 5 us: a tenth of the row
    return {
        "fingerprint": first.fingerprint,
        "service": first.event.service,
        "message": first.event.message,
        "stack_trace": first.event.stack_trace,
        "times_seen": 0,
        "first_seen": seen_at,
        "last_seen": seen_at,
    }


@lru_cache
def _parts() -> tuple[Buffer, Engine]:
    settings = load()
    return Buffer(settings), make_background_engine(settings)
