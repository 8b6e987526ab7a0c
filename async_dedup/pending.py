"""What the buffer still holds of the issues that a reader sees: all events are `times_seen` and this."""

from collections.abc import Sequence
from contextlib import suppress

from redis import RedisError
from sqlalchemy import Engine, select

from async_dedup.buffer import Buffer
from shared.db import or_unavailable
from shared.listing import IssueView
from shared.model import AppliedBatch, Issue

ROUNDS = 3
"""A flush counts an issue once in seconds, so the second round mostly finds it at rest."""


def add_pending(engine: Engine, buffer: Buffer, issues: Sequence[IssueView]) -> None:
    """Without Redis nobody knows what is pending, nor where very much is: nothing is said of it then.

    There is no one moment at which both stores could be read. But where MySQL's count is the same before and
    after Redis was asked, nothing of the issue went over meanwhile; and MySQL's ledger tells which of Redis's
    batches are in that count. Raises Refused (503).
    """
    with suppress(RedisError):
        for _ in range(ROUNDS):
            held = buffer.pending([issue.fingerprint for issue in issues]) if issues else None
            if held is None:
                break
            issues = _add(engine, held, issues)


def _add(engine: Engine, held: dict[str, list[int]], issues: Sequence[IssueView]) -> list[IssueView]:
    """`held`: by batch, the events of each issue. Returns those with a new count, for another round."""
    fingerprints = [issue.fingerprint for issue in issues]
    in_ledger = select(AppliedBatch.batch_id).where(AppliedBatch.batch_id.in_(held))
    counts = select(Issue.fingerprint, Issue.times_seen).where(Issue.fingerprint.in_(fingerprints))
    # The ledger first: of a commit between the two the count tells.
    with or_unavailable(), engine.connect() as connection:
        applied = set(connection.scalars(in_ledger))
        seen = dict(connection.execute(counts).all())
    waiting = [events for batch_id, events in held.items() if batch_id not in applied]
    changed = []
    for at, issue in enumerate(issues):
        if seen.get(issue.fingerprint, issue.times_seen) == issue.times_seen:
            issue.pending = sum(events[at] for events in waiting)
        else:
            issue.times_seen = seen[issue.fingerprint]
            changed.append(issue)
    return changed
