"""A lock: whoever reads the row to change it keeps the others waiting until the commit."""

from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from naive_sync.digest import digest
from naive_sync.throttle import Throttle
from shared.answer import Status, now
from shared.db import or_unavailable
from shared.event import Event
from shared.model import Issue

DEADLOCK = 1213


def ingest(engine: Engine, _: Throttle, event: Event) -> Status:
    with or_unavailable():
        while not _counted(engine, event):
            pass
    return "saved"


def _counted(engine: Engine, event: Event) -> bool:
    """False where another was first: its row is there now."""
    statement = select(Issue).where(Issue.fingerprint == event.fingerprint).with_for_update()
    try:
        with Session(engine) as session:
            issue = session.scalar(statement)
            if issue is None:
                digest(session, event)
            else:
                issue.times_seen += 1
                issue.last_seen = now()
            session.commit()
    except IntegrityError:
        return False
    except OperationalError as error:  # two wait to insert where there is no row to lock
        if error.orig is None or error.orig.args[0] != DEADLOCK:
            raise
        return False
    return True
