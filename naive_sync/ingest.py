"""One event, one transaction, in the request: the version that most of us write first.

It is never slowed down on purpose. Its six flaws are the subject of this repository:

1. lost updates: the count is read, raised in Python and written back, without a lock;
2. duplicate-key errors: two first events of a fingerprint race, and one of them gets a 500;
3. pool exhaustion: more requests than connections, so requests queue for one, and time out;
4. the synchronous hot path: the client waits for every statement, and for the commit's fsync. Where 64 wait,
   for these or for a connection, they have all threads, and /health waits too;
5. a doubled limit, where one is set: each process counts for itself, and two let through twice as much;
6. an oversold budget, where one is set: new issues are counted, then one is added, and others do the same.
"""

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from naive_sync.budget import is_used_up
from naive_sync.digest import digest
from naive_sync.throttle import Throttle
from shared.answer import Status, now
from shared.db import or_unavailable
from shared.event import Event
from shared.metrics import mysql_operation
from shared.model import Issue
from shared.quota import Quotas, overflow


def ingest(engine: Engine, throttle: Throttle, event: Event) -> Status:
    """The event is in MySQL when this returns. Raises Refused: 429, or 503 where MySQL can't be had.

    Raises sqlalchemy's IntegrityError where another request inserted the fingerprint first (flaw 2).
    """
    throttle.let_through(event.service)  # flaw 5: only this process's events are known here
    with or_unavailable(), Session(engine) as session:  # flaw 3: waits here for a connection
        status = add(session, throttle.quotas, event)
        session.flush()  # sends the INSERT or UPDATE; the commit would too, but not be timed alone
        with mysql_operation("commit"):
            session.commit()  # flaw 4: waits for the fsync
    if status == "folded":
        throttle.fold(event.service)
    return status


def add(session: Session, quotas: Quotas, event: Event) -> Status:
    """Adds 1 to the event's issue, a new one if need be; or to its service's overflow issue."""
    if count(session, event):
        return "saved"
    if not is_used_up(session, quotas, event.service):  # flaw 6: others may be told the same just now
        digest(session, event)  # flaw 2: another request may be just here too
        return "saved"
    if not count(session, overflow(event.service)):
        digest(session, overflow(event.service))
    return "folded"


def count(session: Session, event: Event) -> bool:
    """Return whether there is an issue of this event. It keeps the first stack trace that comes."""
    issue = session.scalar(select(Issue).where(Issue.fingerprint == event.fingerprint))
    if issue is None:
        return False
    issue.times_seen += 1  # flaw 1: another request may have read the same number
    issue.last_seen = now()
    if issue.stack_trace is None:
        issue.stack_trace = event.stack_trace
    return True
