"""No lock: the change takes effect only while the row still says what was read; otherwise, again."""

from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from naive_sync.digest import digest
from naive_sync.throttle import Throttle
from shared.answer import Status, now
from shared.db import or_unavailable
from shared.event import Event
from shared.model import Issue


def ingest(engine: Engine, _: Throttle, event: Event) -> Status:
    with or_unavailable():
        while not _counted(engine, event):
            pass
    return "saved"


def _counted(engine: Engine, event: Event) -> bool:
    """False where another was faster."""
    with Session(engine) as session:
        seen = session.scalar(select(Issue.times_seen).where(Issue.fingerprint == event.fingerprint))
        if seen is None:
            try:
                digest(session, event)
                session.commit()
            except IntegrityError:
                return False
            return True
        statement = (
            update(Issue)
            .where(Issue.fingerprint == event.fingerprint, Issue.times_seen == seen)
            .values(times_seen=seen + 1, last_seen=now())
        )
        changed = session.connection().execute(statement).rowcount
        session.commit()
        return changed == 1
