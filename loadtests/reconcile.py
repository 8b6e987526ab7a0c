"""Every count checked: what the clients were told against what MySQL holds."""

from collections.abc import Mapping

import pymysql

from loadtests.results import Reconciliation
from shared.settings import Settings

Counts = Mapping[str, int]
"""Events by fingerprint."""


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


def connect(settings: Settings) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    """Autocommit, so that each SELECT sees what is there now."""
    return pymysql.connect(
        host=settings.mysql_host,
        port=settings.mysql_port,
        user=settings.mysql_user,
        password=settings.mysql_password,
        database=settings.mysql_database,
        autocommit=True,
    )


def read_recorded(connection: "pymysql.Connection[pymysql.cursors.Cursor]") -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT fingerprint, times_seen FROM issues")
        return {fingerprint: int(times_seen) for fingerprint, times_seen in cursor.fetchall()}


def read_total(connection: "pymysql.Connection[pymysql.cursors.Cursor]") -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(SUM(times_seen), 0) FROM issues")
        ((total,),) = cursor.fetchall()
        return int(total)
