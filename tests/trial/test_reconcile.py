"""Reconciliation, on counts alone and on rows of the real table."""

from datetime import datetime
from itertools import count
from time import monotonic, time

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.load.subjects import NAIVE
from loadtests.stack import Stack
from loadtests.trial.reconcile import Table, connect, drain, expected, final_counts, reconcile, rest
from shared.quota import overflow
from tests.parts import alone, create_tables_of

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50))
Counts = dict[str, int]
SHOP, ELSE = overflow("shop").fingerprint, overflow("default").fingerprint


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


IN_SHOP = {"a": "shop", "b": "shop", SHOP: "shop"}


@pytest.mark.parametrize("spooled", [True, False])
@pytest.mark.parametrize(
    ("acknowledged", "unanswered", "recorded", "lost", "extra"),
    [
        # Folded, and told so.
        ({"a": 1, SHOP: 3}, {}, {"a": 1, SHOP: 3}, 0, 0),
        # Nobody was told: on its own issue, or folded.
        ({"a": 1, SHOP: 3}, {"b": 2}, {"a": 1, "b": 1, SHOP: 4}, 0, 0),
        ({"a": 1, SHOP: 3}, {"b": 2}, {"a": 1, "b": 1, SHOP: 5}, 0, 1),
        ({"a": 2}, {"a": 1}, {"a": 3, SHOP: 1}, 0, 1),
        # Lost and doubled.
        ({"a": 1, SHOP: 3}, {}, {"a": 1, SHOP: 2}, 1, 0),
        ({"a": 1, SHOP: 3}, {}, {SHOP: 3}, 1, 0),
        ({"a": 1, SHOP: 3}, {}, {"a": 1, SHOP: 4}, 0, 1),
        # Told that it is folded, and it is not.
        ({"a": 1, SHOP: 1}, {}, {"a": 2}, 1, 1),
        # Folded on the issue of another service.
        ({"a": 1}, {}, {ELSE: 1}, 1, 1),
        # Of a service that is not in the list.
        ({"d": 1, ELSE: 2}, {}, {"d": 1, ELSE: 2}, 0, 0),
    ],
)
def test_what_is_folded_is_expected_on_the_overflow_issue_of_its_service(
    acknowledged: Counts, unanswered: Counts, recorded: Counts, lost: int, extra: int, *, spooled: bool
) -> None:
    must, may, later = expected(acknowledged, unanswered, recorded, IN_SHOP, spooled)
    found = reconcile(must, may, recorded)
    assert (found["lost"], found["extra"], later) == (lost, extra, 0)


def test_what_is_folded_after_its_answer_is_expected_only_where_it_may_have_been_spooled() -> None:
    acknowledged, recorded = {"a": 3, "b": 2, "d": 1, SHOP: 1}, {"a": 1, "b": 2, SHOP: 3}
    must, may, later = expected(acknowledged, {}, recorded, IN_SHOP, spooled=True)
    assert later == 2
    found = reconcile(must, may, recorded)
    assert (found["acknowledged"], found["lost"], found["extra"]) == (7, 1, 0)  # "d" is of another service
    must, may, later = expected(acknowledged, {}, recorded, IN_SHOP, spooled=False)
    assert later == 0
    found = reconcile(must, may, recorded)
    assert (found["lost"], found["extra"]) == (3, 2)


def test_counts_are_read_from_the_table(stack: Stack) -> None:
    create_tables_of(stack)
    stack.reset()
    with connect(stack.settings) as mysql:
        table = Table(mysql)
        assert (table.counts(), table.total()) == ({}, 0)
        insert(mysql, {"a" * 64: 2, "b" * 64: 40})
        assert table.counts() == {"a" * 64: 2, "b" * 64: 40}
        assert table.total() == 42
    stack.reset()


class Rising:
    """Holds one event more at each look, up to `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.looks = 0

    def total(self) -> int:
        self.looks += 1
        return min(self.looks, self.most)

    def counts(self) -> Counts:
        return {}


def test_the_drain_ends_with_the_last_acknowledged_event() -> None:
    recorded = Rising(most=9)
    began = time()
    drained_at = drain(recorded, acknowledged=3, unanswered=0, settle=60)
    assert drained_at is not None
    assert began < drained_at <= time()
    assert recorded.looks == 3


def test_without_a_drain_there_is_no_last_change() -> None:
    assert drain(Rising(most=9), acknowledged=1, unanswered=0, settle=60) is None


def test_the_drain_ends_where_nothing_changes_any_more() -> None:
    recorded = Rising(most=3)
    drained_at = drain(recorded, acknowledged=10, unanswered=0, settle=0.5)
    assert drained_at is not None
    assert drained_at < time() - 0.5
    assert recorded.looks > 3


def test_what_was_never_answered_is_waited_for_as_well() -> None:
    recorded = Rising(most=5)
    drain(recorded, acknowledged=3, unanswered=2, settle=0.5)
    assert recorded.looks > 5


class Still:
    """Nothing changes; asked too often, it fails."""

    def __init__(self, looks: int) -> None:
        self._looks = looks

    def total(self) -> int:
        self._looks -= 1
        assert self._looks, "the drain does not end"
        return 1

    def counts(self) -> Counts:
        return {}


def test_a_clock_that_is_set_back_does_not_hold_a_drain_up(monkeypatch: pytest.MonkeyPatch) -> None:
    hours, real = count(-1, -1), time
    monkeypatch.setattr("loadtests.trial.reconcile.time.time", lambda: real() + 3600 * next(hours))
    assert drain(Still(looks=20), acknowledged=2, unanswered=0, settle=0.6) is None


def test_a_rest_ends_with_what_was_acknowledged_or_after_its_time() -> None:
    enough, never = Rising(most=9), Rising(most=3)
    rest(enough, acknowledged=2, limit=60)
    rest(never, acknowledged=10, limit=0.5)
    assert enough.looks == 2
    assert never.looks >= 2


def insert(mysql: "pymysql.Connection[pymysql.cursors.Cursor]", counts: Counts) -> None:
    now = datetime(2026, 1, 1)
    with mysql.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO issues (fingerprint, service, message, times_seen, first_seen, last_seen)"
            " VALUES (%s, 'default', 'm', %s, %s, %s)",
            [(fingerprint, times_seen, now, now) for fingerprint, times_seen in counts.items()],
        )


def test_nobody_waits_for_counts_of_the_naive_twin_that_do_not_come(stack: Stack) -> None:
    with alone(stack):
        began = monotonic()
        assert final_counts(stack.settings, NAIVE, 5, settle=60) == {}
        assert monotonic() - began < 60
