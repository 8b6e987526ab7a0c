"""Holds a history against what MySQL has: every event accounted for, and nothing that was not sent."""

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Engine, RowMapping, select

from loadtests.studies.faults.history import History
from shared.model import Issue

CLOCKS = timedelta(seconds=1)
"""By which two clocks of one machine may differ, Redis's and the client's."""


class Verdict(NamedTuple):
    lost: int
    """Events that were acknowledged and are not recorded."""
    doubled: int
    """Events that are recorded, and were neither acknowledged nor left unknown."""
    wrong: list[str]
    """Rows that nobody sent, or that are not as they were sent; a line for each."""

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)


def recorded(engine: Engine) -> dict[str, RowMapping]:
    """Return every issue, by its fingerprint."""
    with engine.connect() as connection:
        rows = connection.execute(select(*Issue.__table__.columns)).mappings().all()
    return {row["fingerprint"]: row for row in rows}


def judge(history: History, rows: Mapping[str, RowMapping]) -> Verdict:
    """Fingerprint by fingerprint, so that a loss here can't hide a double there."""
    lost = doubled = 0
    for fingerprint, (_, outcomes) in history.sent.items():
        seen = rows[fingerprint]["times_seen"] if fingerprint in rows else 0
        lost += max(0, outcomes["acknowledged"] - seen)
        doubled += max(0, seen - outcomes["acknowledged"] - outcomes["unknown"])
    return Verdict(lost, doubled, [line for row in rows.values() if (line := _wrong(history, row))])


def _wrong(history: History, row: RowMapping) -> str:
    sent = history.sent.get(row["fingerprint"])
    if sent is None:
        return f"{row['fingerprint']}: nobody sent it"
    as_sent = (sent.event.service, sent.event.message, sent.event.stack_trace)
    if (row["service"], row["message"], row["stack_trace"]) != as_sent:
        return f"{row['fingerprint']}: not as it was sent"
    ended = history.ended or history.began
    if not history.began - CLOCKS <= row["first_seen"] <= row["last_seen"] <= ended + CLOCKS:
        return f"{row['fingerprint']}: seen from {row['first_seen']} to {row['last_seen']}"
    return ""
