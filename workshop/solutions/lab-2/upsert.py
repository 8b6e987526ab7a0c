"""One statement: the database adds, so there is nothing that could get old in Python."""

from sqlalchemy import Engine
from sqlalchemy.dialects.mysql import insert

from naive_sync.throttle import Throttle
from shared.answer import Status, now
from shared.db import or_unavailable
from shared.event import Event
from shared.model import Issue


def ingest(engine: Engine, _: Throttle, event: Event) -> Status:
    seen_at = now()
    statement = insert(Issue).values(
        fingerprint=event.fingerprint,
        service=event.service,
        message=event.message,
        stack_trace=event.stack_trace,
        times_seen=1,
        first_seen=seen_at,
        last_seen=seen_at,
    )
    with or_unavailable(), engine.begin() as connection:
        connection.execute(
            statement.on_duplicate_key_update(times_seen=Issue.times_seen + 1, last_seen=seen_at)
        )
    return "saved"
