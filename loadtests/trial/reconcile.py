"""Every count checked: what the clients were told against what is recorded."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeAlias

import pymysql

from loadtests.analysis.results import Reconciliation
from loadtests.load.subjects import ASYNC
from shared.fingerprint import DEFAULT_SERVICE
from shared.quota import overflow
from shared.settings import Settings

Counts = Mapping[str, int]
"""Events by fingerprint."""
Connection: TypeAlias = "pymysql.Connection[pymysql.cursors.Cursor]"
LOOK_EVERY = 0.25
"""Seconds between two looks at what is recorded."""


class Recorded(Protocol):
    """What an implementation holds."""

    def total(self) -> int:
        """Return the number of events."""

    def counts(self) -> Counts: ...


class Table:
    """The events in MySQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def total(self) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT COALESCE(SUM(times_seen), 0) FROM issues")
            ((total,),) = cursor.fetchall()
            return int(total)

    def counts(self) -> Counter[str]:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT fingerprint, times_seen FROM issues")
            return Counter({fingerprint: int(times_seen) for fingerprint, times_seen in cursor.fetchall()})


def connect(settings: Settings) -> Connection:
    """Autocommit, so that each SELECT sees what is there now."""
    return pymysql.connect(
        host=settings.mysql_host,
        port=settings.mysql_port,
        user=settings.mysql_user,
        password=settings.mysql_password,
        database=settings.mysql_database,
        autocommit=True,
    )


def reconcile(acknowledged: Counts, unanswered: Counts, recorded: Counts) -> Reconciliation:
    """Compare fingerprint by fingerprint, so that an event lost here can't hide one counted twice there.

    `lost`: acknowledged, but not recorded. `extra`: recorded, although neither acknowledged nor sent by a
    client that never learnt the outcome.
    """
    lost = sum(max(0, events - recorded.get(key, 0)) for key, events in acknowledged.items())
    extra = sum(
        max(0, events - acknowledged.get(key, 0) - unanswered.get(key, 0)) for key, events in recorded.items()
    )
    return {
        "acknowledged": sum(acknowledged.values()),
        "unanswered": sum(unanswered.values()),
        "recorded": sum(recorded.values()),
        "lost": lost,
        "extra": extra,
    }


class Expected(NamedTuple):
    """What has to be recorded, and what may be."""

    acknowledged: Counter[str]
    unanswered: Counter[str]
    folded_later: int
    """Events that were answered as kept elsewhere, and are on their service's overflow issue."""


def expected(
    acknowledged: Counts, unanswered: Counts, recorded: Counts, service_of: Mapping[str, str], spooled: bool
) -> Expected:
    """Return what to hold `recorded` against where services have a budget of new issues.

    What nobody answered for may be on the overflow issue of its service. And where events were `spooled`, so
    may what was acknowledged: the spool takes an event without asking whether there is a place for it in the
    budget, and the replay folds it. Then what is too much there makes up for what is missing elsewhere.

    `service_of` has the service of each fingerprint, but for those of the default one.
    """
    must, may, moved = Counter(acknowledged), Counter(unanswered), 0
    for key in acknowledged.keys() | unanswered.keys():
        target = overflow(service_of.get(key, DEFAULT_SERVICE)).fingerprint
        missing = must[key] - recorded.get(key, 0)
        found = min(missing, recorded.get(target, 0) - must[target])
        if spooled and found > 0:
            must[key] -= found
            must[target] += found
            moved += found
        if key != target:
            may[target] += max(unanswered.get(key, 0) - max(-missing, 0), 0)
    return Expected(must, may, moved)


def drain(recorded: Recorded, acknowledged: int, unanswered: int, settle: float) -> float | None:
    """Wait until all that was acknowledged is recorded, or nothing has changed for `settle` seconds.

    Returns when the last change was seen, in seconds since 1970; None where nothing changed any more.
    """
    last, changed, total = time.monotonic(), None, recorded.total()
    # Events whose answer was never seen may still come, on top of the acknowledged ones.
    while (total < acknowledged or unanswered) and time.monotonic() - last < settle:
        time.sleep(LOOK_EVERY)
        before, total = total, recorded.total()
        if total != before:
            last, changed = time.monotonic(), time.time()
    return changed


def final_counts(settings: Settings, twin: str, acknowledged: int, settle: float) -> Counter[str]:
    """Events by fingerprint, once all of the async twin's are in MySQL, or nothing changes any more.

    The naive twin's are there at once, or never.
    What else a row says may come after its count.
    """
    with connect(settings) as mysql:
        table = Table(mysql)
        drain(table, acknowledged if twin == ASYNC else 0, 0, settle)
        return table.counts()


def rest(recorded: Recorded, acknowledged: int, limit: float) -> None:
    """Wait until all that was acknowledged is recorded, `limit` seconds at most: others may go on sending."""
    deadline = time.monotonic() + limit
    while recorded.total() < acknowledged and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)
