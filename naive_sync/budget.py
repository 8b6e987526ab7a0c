"""What a service has created: the table itself is asked, each time."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared.answer import now
from shared.model import Issue
from shared.quota import Quotas, overflow


def is_used_up(session: Session, quotas: Quotas, service: str) -> bool:
    """Whether it may create no more issues just now."""
    budget = quotas.of(service).new_issues
    return budget > 0 and created(session, quotas.window, [service])[service] >= budget


def created(session: Session, window: float, services: Sequence[str]) -> Counter[str]:
    """Return how many issues each of `services` has created in the last `window` seconds.

    It reads the whole table: an index for it would cost every write.
    """
    if not services:
        return Counter()
    statement = (
        select(Issue.service, func.count())
        .where(
            Issue.service.in_(services),
            Issue.first_seen > now() - timedelta(seconds=window),
            Issue.fingerprint.not_in([overflow(service).fingerprint for service in services]),
        )
        # By length too, since trailing spaces don't count in SQL's `=`.
        .group_by(Issue.service, func.char_length(Issue.service))
    )
    return Counter(dict(session.execute(statement).tuples().all()))
