"""Straight to MySQL: a group in one transaction, ledger row and upsert, as a digest writes it.

Where services have budgets, places for new issues are taken in the same transaction.

A commit whose outcome nobody knows is tried again under the same id: the ledger tells whether it came about.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from async_dedup import budget
from async_dedup.digest import UPSERT, row
from async_dedup.entries import FirstEvent
from async_dedup.ledger import AlreadyApplied, enter, renew
from async_dedup.spool import Counted, Record
from shared.db import transact
from shared.quota import Quotas, overflow

STATEMENT_SECONDS = 2
"""A client waits for it. What is cut off here is tried again under its id."""
PROBE = text("DELETE FROM flush_ledger WHERE batch_id = 'nobody'")
"""A write that changes nothing: a MySQL that may only be read answers a SELECT."""


def write(engine: Engine, records: Sequence[Record], quotas: Quotas | None = None) -> set[str]:
    """All are in MySQL when this returns, also those that were there before. Raises sqlalchemy's errors.

    Returns the fingerprints of the events that were folded.
    """
    return transact(engine, lambda connection: _write(connection, records, quotas))


def _write(connection: Connection, records: Sequence[Record], quotas: Quotas | None) -> set[str]:
    fresh, applied = list[Record](), list[Record]()
    for record in records:
        try:
            enter(connection, record.batch)
            fresh.append(record)
        except AlreadyApplied:
            renew(connection, record.id)
            applied.append(record)
    folded = dict[str, str]()
    if quotas and (candidates := _candidates(fresh)):
        folded = budget.admit(connection, candidates, quotas).folded
    if rows := [each for record in fresh for each in rows_of(record, folded)]:
        # In one order, so that no two transactions wait for each other.
        connection.execute(UPSERT, sorted(rows, key=lambda each: str(each["fingerprint"])))
    before = _candidates(applied) if quotas else {}
    return {*folded, *(budget.without_issue(connection, before) if before else ())}


def _candidates(records: Sequence[Record]) -> dict[str, str]:
    return {each: service for record in records for each, service in record.candidates.items()}


def rows_of(record: Record, folded: Mapping[str, str] | None = None) -> list[dict[str, object]]:
    """`folded`: by fingerprint, on whose overflow issue it counts."""
    return [row(*_first(each, record.kept_at, folded or {})) for each in record.counted]


def _first(
    counted: Counted, kept_at: datetime, folded: Mapping[str, str]
) -> tuple[FirstEvent, int, datetime]:
    owner = folded.get(counted.first.fingerprint)
    event = counted.first if owner is None else overflow(owner)
    return FirstEvent("", event.fingerprint, event, kept_at), counted.events, kept_at


def probe(engine: Engine) -> None:
    """Raises sqlalchemy's errors where MySQL would not take a write."""
    with engine.begin() as connection:
        connection.execute(PROBE)
