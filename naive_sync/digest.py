"""The first event of a fingerprint becomes a row."""

from sqlalchemy.orm import Session

from shared.answer import now
from shared.event import Event
from shared.model import Issue


def digest(session: Session, event: Event) -> None:
    seen_at = now()
    session.add(
        Issue(
            fingerprint=event.fingerprint,
            service=event.service,
            message=event.message,
            stack_trace=event.stack_trace,
            times_seen=1,
            first_seen=seen_at,
            last_seen=seen_at,
        )
    )
