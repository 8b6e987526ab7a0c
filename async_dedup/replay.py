"""Spooled groups become rows, each once; while MySQL is away they stay in their files.

Killed at any step, or done by two processes at once, it counts nothing twice: MySQL's ledger has each
group's id.
"""

import json
import logging
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from async_dedup import direct, spool
from async_dedup.digest import UPSERT, pause
from async_dedup.spool import Counted, Record
from shared.db import is_refusal, refused_rows
from shared.metrics import events_folded
from shared.pipeline_metrics import events_replayed, set_aside
from shared.quota import Quotas

log = logging.getLogger(__name__)

RECORDS = 20
"""Of one transaction."""
BREATHER = 0.02
"""Seconds between two of them: new events have the stores as well."""
REFUSED = "refused.jsonl"
"""Beside the spool: what MySQL does not take, with its reason."""


class Replay:
    """Its methods block."""

    def __init__(self, folder: Path, engine: Engine, quotas: Quotas | None = None) -> None:
        self._folder = folder
        self._engine = engine
        self._quotas = quotas
        self._is_stopped = False

    def stop(self) -> None:
        """Has `run` end after the transaction in its hands: a full spool takes minutes."""
        self._is_stopped = True

    def waiting(self) -> bool:
        return bool(spool.files(self._folder))

    def run(self) -> int:
        """Every file that nobody holds; returns the number of events.

        Raises sqlalchemy's errors where MySQL does not take them now: their file stays, and those behind it.
        """
        events, paths = 0, spool.files(self._folder)
        if paths:
            direct.probe(self._engine)  # before a file is parsed, for nothing and every few seconds
        for path in paths:
            if self._is_stopped:
                break
            with spool.held(path) as data:
                if data is not None:
                    events += self._replay(path, [*spool.unpack(data)])
        if events:
            log.warning("%d events were replayed from the spool", events)
        return events

    def _replay(self, path: Path, found: Sequence[Record | bytes]) -> int:
        records = [each for each in found if isinstance(each, Record)]
        unread = [each for each in found if isinstance(each, bytes)]
        if unread:
            # Before the rest is applied: should there be no room for it, nothing is applied again and again.
            aside = spool.keep_aside(path, unread)
        events = self._apply_all(records)
        if self._is_stopped:
            return events
        spool.remove(path)
        if unread:
            set_aside.labels("spooled").inc(len(unread))
            log.error("Set aside %d groups that this version can't read, in %s", len(unread), aside)
        return events

    def _apply_all(self, records: Sequence[Record]) -> int:
        events = 0
        for start in range(0, len(records), RECORDS):
            if self._is_stopped:
                break
            some = records[start : start + RECORDS]
            self._apply(some)
            applied = sum(record.events for record in some)
            events_replayed.inc(applied)
            events += applied
            pause(BREATHER)
        return events

    def _apply(self, records: Sequence[Record]) -> None:
        try:
            self._write(records)
        except DBAPIError as error:
            if not is_refusal(error):
                raise
            self._without_refused(records, error)

    def _without_refused(self, records: Sequence[Record], error: DBAPIError) -> None:
        rows = [row for record in records for row in direct.rows_of(record)]
        reasons = {
            rows[at]["fingerprint"]: why
            for at, why in refused_rows(self._engine, UPSERT, rows, error).items()
        }
        rest = []
        for record in records:
            fit: list[Counted] = []
            for counted in record.counted:
                if reason := reasons.get(counted.first.fingerprint):
                    self._set_aside(record, counted, reason)
                else:
                    fit.append(counted)
            rest.append(record.model_copy(update={"counted": fit}))
        self._write(rest)

    def _write(self, records: Sequence[Record]) -> None:
        folded = direct.write(self._engine, records, self._quotas)
        events_folded.inc(_events_of(records, folded))

    def _set_aside(self, record: Record, counted: Counted, reason: str) -> None:
        """Before the rest is applied: after it, a kill would leave nobody to do so."""
        line = {"id": record.id, "reason": reason, **counted.model_dump(mode="json", by_alias=True)}
        with open(self._folder / REFUSED, "a", opener=spool.private) as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        set_aside.labels("spooled").inc()
        log.error("Set aside what MySQL does not take, in %s", REFUSED)


def _events_of(records: Sequence[Record], fingerprints: Collection[str]) -> int:
    every = (each for record in records for each in record.counted)
    return sum(each.events for each in every if each.first.fingerprint in fingerprints)
