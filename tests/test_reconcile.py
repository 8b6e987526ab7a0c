"""Reconciliation, on counts alone and on rows of the real table."""

from datetime import datetime

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.reconcile import connect, read_recorded, read_total, reconcile
from loadtests.stack import Stack
from tests.parts import create_tables_of

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50))
Counts = dict[str, int]


@pytest.mark.parametrize(
    ("acknowledged", "unanswered", "recorded", "lost", "extra"),
    [
        ({"a": 3, "b": 1}, {}, {"a": 3, "b": 1}, 0, 0),
        ({"a": 3}, {}, {"a": 1}, 2, 0),
        ({"a": 3}, {}, {}, 3, 0),
        ({"a": 3}, {}, {"a": 5}, 0, 2),
        ({}, {}, {"a": 1}, 0, 1),
        ({"a": 3}, {"a": 2}, {"a": 5}, 0, 0),
        ({"a": 3}, {"a": 2}, {"a": 6}, 0, 1),
        ({"a": 3}, {"a": 2}, {"a": 3}, 0, 0),
        # The totals agree, the counts do not.
        ({"a": 2, "b": 2}, {}, {"a": 3, "b": 1}, 1, 1),
        # What may have been recorded for one fingerprint excuses nothing for another.
        ({"a": 2}, {"b": 1}, {"a": 3}, 0, 1),
        # A digest's row that no flush has reached yet.
        ({}, {}, {"a": 0}, 0, 0),
    ],
)
def test_lost_and_extra(
    acknowledged: Counts, unanswered: Counts, recorded: Counts, lost: int, extra: int
) -> None:
    assert reconcile(acknowledged, unanswered, recorded) == {
        "acknowledged": sum(acknowledged.values()),
        "unanswered": sum(unanswered.values()),
        "recorded": sum(recorded.values()),
        "lost": lost,
        "extra": extra,
    }


@given(COUNTS, COUNTS)
def test_without_unanswered_the_totals_add_up(acknowledged: Counts, recorded: Counts) -> None:
    result = reconcile(acknowledged, {}, recorded)
    assert result["acknowledged"] - result["lost"] + result["extra"] == result["recorded"]


def test_counts_are_read_from_the_table(stack: Stack) -> None:
    create_tables_of(stack)
    stack.reset()
    with connect(stack.settings) as mysql:
        assert (read_recorded(mysql), read_total(mysql)) == ({}, 0)
        insert(mysql, {"a" * 64: 2, "b" * 64: 40})
        assert read_recorded(mysql) == {"a" * 64: 2, "b" * 64: 40}
        assert read_total(mysql) == 42
    stack.reset()


def insert(mysql: "pymysql.Connection[pymysql.cursors.Cursor]", counts: Counts) -> None:
    now = datetime(2026, 1, 1)
    with mysql.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO issues (fingerprint, service, message, times_seen, first_seen, last_seen)"
            " VALUES (%s, 'default', 'm', %s, %s, %s)",
            [(fingerprint, times_seen, now, now) for fingerprint, times_seen in counts.items()],
        )
