"""One event, one transaction, in the request: the version that most of us write first.

It is never slowed down on purpose. Its four flaws are the subject of this repository:

1. lost updates: the count is read, raised in Python and written back, without a lock;
2. duplicate-key errors: two first events of a fingerprint race, and one of them gets a 500;
3. pool exhaustion: more requests than connections, so requests queue for one, and time out;
4. the synchronous hot path: the client waits for every statement, and for the commit's fsync.
"""

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from naive_sync.digest import digest
from shared.answer import now
from shared.db import or_unavailable
from shared.event import Event
from shared.metrics import mysql_operation
from shared.model import Issue


def ingest(engine: Engine, event: Event) -> None:
    """The event is in MySQL when this returns. Raises Refused (503) where MySQL can't be had.

    An issue keeps the first stack trace that comes, with its first event or a later one.
    Raises sqlalchemy's IntegrityError where another request inserted the fingerprint first (flaw 2).
    """
    with or_unavailable(), Session(engine) as session:  # flaw 3: waits here for a connection
        issue = session.scalar(select(Issue).where(Issue.fingerprint == event.fingerprint))
        if issue is None:
            digest(session, event)  # flaw 2: another request may be just here too
        else:
            issue.times_seen += 1  # flaw 1: another request may have read the same number
            issue.last_seen = now()
            if issue.stack_trace is None:
                issue.stack_trace = event.stack_trace
        session.flush()  # sends the INSERT or UPDATE; the commit would too, but not be timed alone
        with mysql_operation("commit"):
            session.commit()  # flaw 4: waits for the fsync
