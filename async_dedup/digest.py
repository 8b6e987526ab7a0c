"""First events become rows, with what was counted of them: an RQ job, many rows per INSERT.

The job carries no data. It works off the stream of first events, so a job that is lost, doubled or
killed costs time and never an event. Their counts come along in a batch, under the ledger as in a flush:
so an error that never comes again is written to MySQL once.
"""

import select
import time
from datetime import datetime
from functools import lru_cache

from rq import Queue
from sqlalchemy import Connection, Engine, func
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.exc import DBAPIError, OperationalError

from async_dedup import budget
from async_dedup.budget import Place
from async_dedup.buffer import Buffer, Taken, sync_redis
from async_dedup.entries import Batch, FirstEvent, unfit_event
from async_dedup.ledger import AlreadyApplied, enter
from async_dedup.priority import PRIORITY
from shared.answer import now
from shared.db import is_refusal, make_background_engine, refused_rows, transact
from shared.model import Issue
from shared.pipeline_metrics import digest_duration, digest_events, events_flushed, row_freshness
from shared.settings import Settings, load

QUEUE = "digest"
ROWS = 500
"""Of one transaction."""
MANY = 3
"""Full transactions in a row, after which more waits than comes in a second of 500 users."""
BREATHER = 0.004
ROWS_AT_ONCE = 30
"""While few events wait, seconds of a pause after so many rows. 150 rows take MySQL and this process 6 ms
of a core: of 500 users on that core it made the slowest twentieth wait 10 ms instead of 4."""
PACE = 0.1
"""Seconds between two digests while few events wait; each costs 1 ms of CPU besides its rows."""
LINGER = 1.0
"""Seconds without a first event after which a job ends; to start one costs 12 ms of CPU."""
JOB_SECONDS = 30.0
"""Of a job, and of its last go at a backlog: together far below RQ's time limit, whatever keeps coming in."""
FAILED_JOB_SECONDS = 300
"""While MySQL is down every job fails, one each two seconds."""
AWAY = 2.0
"""Seconds before a job fails that MySQL has failed: the next one comes at once, and each takes 40 ms of CPU,
most of it RQ's. With two a second the API's p95 doubled."""

_insert = insert(Issue)
# The counts are the batch's, or none: then they are the flush's, whichever comes first.
UPSERT = _insert.on_duplicate_key_update(
    service=_insert.inserted.service,
    message=_insert.inserted.message,
    stack_trace=func.coalesce(Issue.stack_trace, _insert.inserted.stack_trace),
    times_seen=Issue.times_seen + _insert.inserted.times_seen,
    first_seen=func.least(Issue.first_seen, _insert.inserted.first_seen),
    last_seen=func.greatest(Issue.last_seen, _insert.inserted.last_seen),
)


class Stop:
    """This process, worker or scheduler, is to end after the transaction in its hands.

    Told by the worker's signal handler, so a plain flag: an Event's lock may be held just then.
    """

    asked = False


def enqueue_digest(queue: Queue) -> None:
    """One job that waits is enough: it will find every event that is there when it starts."""
    if not queue.count:
        queue.enqueue(digest, result_ttl=0, failure_ttl=FAILED_JOB_SECONDS)


def digest_queue(settings: Settings, timeout: float | None) -> Queue:
    return Queue(QUEUE, connection=sync_redis(settings, timeout))


def digest() -> None:
    """The RQ job: digests for as long as first events keep coming."""
    buffer, engine = _parts()
    began = latest = time.monotonic()
    while not Stop.asked and time.monotonic() < min(latest + LINGER, began + JOB_SECONDS):
        try:
            if digest_all(buffer, engine):
                latest = time.monotonic()
        except OperationalError:
            _wait(AWAY)
            raise
        pause(PACE)


def _wait(seconds: float) -> None:
    """In steps: a worker that is told to stop does."""
    until = time.monotonic() + seconds
    while not Stop.asked and time.monotonic() < until:
        pause(PACE)


def pause(seconds: float) -> None:
    """As time.sleep, which fails under libfaketime: there the tests set the clock of a worker."""
    select.select([], [], [], seconds)


def digest_all(buffer: Buffer, engine: Engine) -> int:
    """Every first event that waits when this begins, for JOB_SECONDS; returns how many.

    What comes in meanwhile is the next one's: to go on after it cost a commit for every few rows, and an
    event 17 % more CPU.
    """
    ends = time.monotonic() + JOB_SECONDS
    events, rounds, is_full = 0, 0, True
    while is_full and not Stop.asked and time.monotonic() < ends:
        PRIORITY.work(in_a_hurry=rounds >= MANY)
        taken = digest_some(buffer, engine)
        events, rounds, is_full = events + len(taken.events), rounds + 1, taken.is_full
    return events


def digest_some(buffer: Buffer, engine: Engine) -> Taken:
    """Makes the oldest first events durable, with their counts, and forgets both."""
    taken = buffer.take(ROWS)
    if not taken.last:
        return taken
    with digest_duration.time():
        # Sorted, because two transactions that lock rows in one order can't deadlock.
        events = sorted(taken.events, key=lambda event: event.fingerprint)
        with_counts = _make_durable(buffer, engine, events, taken.batch, taken.is_full)
    done = now()
    for event in taken.events:
        # Two clocks: Redis has dated it.
        row_freshness.observe(max((done - event.seen_at).total_seconds(), 0.0))
    buffer.finish(taken, with_counts)
    digest_events.observe(len(taken.events))
    return taken


def _make_durable(
    buffer: Buffer, engine: Engine, events: list[FirstEvent], batch: Batch | None, in_a_hurry: bool
) -> bool:
    """Whether the batch is in MySQL, too. With anything odd it waits for the flush, which knows how."""
    is_counted = False
    if batch is not None:
        try:
            needless = transact(engine, lambda connection: _write(connection, events, batch, in_a_hurry))
        except AlreadyApplied:
            is_counted = True
        except DBAPIError as error:
            if not is_refusal(error):
                raise
        else:
            buffer.give_back(needless)
            events_flushed.inc(sum(batch.counts.values()))
            return True
    _write_payloads(buffer, engine, events)
    return is_counted


def _write(connection: Connection, events: list[FirstEvent], batch: Batch, in_a_hurry: bool) -> list[Place]:
    """Returns places in budgets that were taken for nothing."""
    enter(connection, batch)
    needless = _note_places(connection, events)
    counts = dict(batch.counts)
    size = ROWS if in_a_hurry else ROWS_AT_ONCE
    for start in range(0, len(events), size):
        if start:
            pause(BREATHER)
        some = events[start : start + size]
        # Of two payloads of a fingerprint one brings the count.
        rows = [row(event, counts.pop(event.fingerprint, 0), batch.last_seen) for event in some]
        connection.execute(UPSERT, rows)
    return needless


def _write_payloads(buffer: Buffer, engine: Engine, events: list[FirstEvent]) -> None:
    if not events:
        return
    try:
        buffer.give_back(transact(engine, lambda connection: _write_rows(connection, events)))
    except DBAPIError as error:
        refused = refused_rows(engine, UPSERT, [row(event) for event in events], error)
        buffer.set_aside(
            [unfit_event(events[at].id.encode(), why, events[at].entry()) for at, why in refused.items()]
        )
        buffer.give_back(_places([events[at] for at in refused]))
        _write_payloads(buffer, engine, [event for at, event in enumerate(events) if at not in refused])


def _write_rows(connection: Connection, events: list[FirstEvent]) -> list[Place]:
    needless = _note_places(connection, events)
    connection.execute(UPSERT, [row(event) for event in events])
    return needless


def _note_places(connection: Connection, events: list[FirstEvent]) -> list[Place]:
    places = _places(events)
    return budget.note(connection, places) if places else []


def _places(events: list[FirstEvent]) -> list[Place]:
    return [Place(each.fingerprint, each.owner, each.seen_at) for each in events if each.owner is not None]


def row(first: FirstEvent, events: int = 0, last_seen: datetime = datetime.min) -> dict[str, object]:
    seen_at = first.seen_at
    last_seen = max(seen_at, last_seen) if events else seen_at
    return {
        "fingerprint": first.fingerprint,
        "service": first.event.service,
        "message": first.event.message,
        "stack_trace": first.event.stack_trace,
        "times_seen": events,
        "first_seen": seen_at.isoformat(" "),  # by PyMySQL 5 us each: a tenth of the row
        "last_seen": last_seen.isoformat(" "),
    }


@lru_cache
def _parts() -> tuple[Buffer, Engine]:
    settings = load()
    return Buffer(settings), make_background_engine(settings)
