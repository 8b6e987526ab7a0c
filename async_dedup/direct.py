"""Straight to MySQL: a group in one transaction, ledger row and upsert, as a digest writes it.

A commit whose outcome nobody knows is tried again under the same id: the ledger tells whether it came about.
"""

from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy import Connection, Engine, text

from async_dedup.digest import UPSERT, row
from async_dedup.entries import FirstEvent
from async_dedup.ledger import AlreadyApplied, enter
from async_dedup.spool import Record
from shared.db import transact

STATEMENT_SECONDS = 2
"""A client waits for it. What is cut off here is tried again under its id."""
PROBE = text("DELETE FROM flush_ledger WHERE batch_id = 'nobody'")
"""A write that changes nothing: a MySQL that may only be read answers a SELECT."""


def write(engine: Engine, records: Sequence[Record]) -> None:
    """All are in MySQL when this returns, also those that were there before. Raises sqlalchemy's errors."""
    transact(engine, lambda connection: _write(connection, records))


def _write(connection: Connection, records: Sequence[Record]) -> None:
    rows: list[dict[str, object]] = []
    for record in records:
        with suppress(AlreadyApplied):
            enter(connection, record.batch)
            rows += rows_of(record)
    if rows:
        # In one order, so that no two transactions wait for each other.
        connection.execute(UPSERT, sorted(rows, key=lambda each: str(each["fingerprint"])))


def rows_of(record: Record) -> list[dict[str, object]]:
    return [
        row(FirstEvent("", each.first.fingerprint, each.first, record.kept_at), each.events, record.kept_at)
        for each in record.counted
    ]


def probe(engine: Engine) -> None:
    """Raises sqlalchemy's errors where MySQL would not take a write."""
    with engine.begin() as connection:
        connection.execute(PROBE)
