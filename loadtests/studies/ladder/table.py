"""What the rungs without Redis do with their events: MySQL adds, in one statement and one commit."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Engine
from sqlalchemy.dialects.mysql import insert

from shared.answer import now
from shared.db import or_unavailable, transact
from shared.event import Event
from shared.model import Issue

_insert = insert(Issue)
UPSERT = _insert.on_duplicate_key_update(
    times_seen=Issue.times_seen + _insert.inserted.times_seen, last_seen=_insert.inserted.last_seen
)


def upsert(engine: Engine, events: Sequence[Event]) -> None:
    """All are in MySQL when this returns. Raises Refused (503) where MySQL can't be had."""
    seen_at = now().isoformat(" ")
    counts = Counter(event.fingerprint for event in events)
    firsts = {event.fingerprint: event for event in reversed(events)}
    rows = [
        {
            "fingerprint": fingerprint,
            "service": event.service,
            "message": event.message,
            "stack_trace": event.stack_trace,
            "times_seen": counts[fingerprint],
            "first_seen": seen_at,
            "last_seen": seen_at,
        }
        for fingerprint, event in sorted(firsts.items())
    ]
    with or_unavailable():
        transact(engine, lambda connection: connection.execute(UPSERT, rows))
