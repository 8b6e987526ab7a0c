"""The oracle finds what it must; and a short seeded campaign, in which every event is accounted for."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from loadtests.stack import Stack
from loadtests.studies.faults import page
from loadtests.studies.faults.campaign import campaign, longest_silence
from loadtests.studies.faults.history import History, Sent, events
from loadtests.studies.faults.kinds import FAULTS
from loadtests.studies.faults.oracle import judge
from tests.studies.shared import Shared, measured

SHORT = (
    *("kill-api", "kill-both-stores", "freeze-redis"),
    *("full-redis", "kill-connections", "poison", "torn-file", "combined"),
    *("step-digest", "step-replay", "redis-cut-reply", "mysql-black-hole", "disk-spool"),
    "modes",
)
"""For the test suite: one of each sort."""


@pytest.fixture
def history() -> History:
    """Of three events, each acknowledged twice and unknown once."""
    made = History()
    for event, _ in zip(events(1, "user"), range(3), strict=False):
        made.sent[event.fingerprint] = Sent(event, Counter({"acknowledged": 2, "unknown": 1}))
    made.ended = made.began + timedelta(seconds=10)
    return made


def rows_of(history: History, seen: int = 2) -> dict[str, Any]:
    """As MySQL has them."""
    return {
        key: {
            "fingerprint": key,
            "service": sent.event.service,
            "message": sent.event.message,
            "stack_trace": sent.event.stack_trace,
            "times_seen": seen,
            "first_seen": history.began,
            "last_seen": history.ended,
        }
        for key, sent in history.sent.items()
    }


@pytest.mark.parametrize("seen", [2, 3])
def test_what_nobody_answered_for_may_be_there_or_not(history: History, seen: int) -> None:
    assert judge(history, rows_of(history, seen)).is_clean


def test_a_loss_here_is_not_hidden_by_a_double_there(history: History) -> None:
    rows = rows_of(history)
    first, second, third = rows
    rows[first]["times_seen"] = 1
    rows[second]["times_seen"] = 5
    del rows[third]
    assert judge(history, rows)[:2] == (3, 2)


def _foreign(row: dict[str, Any]) -> None:
    row["fingerprint"] = "f" * 64


def _later(row: dict[str, Any]) -> None:
    row["last_seen"] += timedelta(seconds=5)


def _backwards(row: dict[str, Any]) -> None:
    row["first_seen"], row["last_seen"] = row["last_seen"], row["first_seen"]


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (_foreign, "nobody sent it"),
        (lambda row: row.update(message="another"), "not as it was sent"),
        (lambda row: row.update(service="another"), "not as it was sent"),
        (lambda row: row.update(stack_trace=None), "not as it was sent"),
        (_later, "seen from"),
        (_backwards, "seen from"),
    ],
)
def test_a_row_that_is_not_as_it_was_sent_is_found(
    history: History, plant: Callable[[dict[str, Any]], None], told: str
) -> None:
    rows = rows_of(history)
    key = next(iter(rows))
    plant(rows[key])
    verdict = judge(history, {row["fingerprint"]: row for row in rows.values()} | rows)
    assert len(verdict.wrong) >= 1
    assert told in verdict.wrong[0]
    assert not verdict.is_clean


def test_the_same_seed_and_user_send_the_same() -> None:
    def some(seed: int, user: str) -> list[Any]:
        return [event for event, _ in zip(events(seed, user), range(50), strict=False)]

    assert some(1, "a") == some(1, "a")
    assert some(1, "a") != some(2, "a")
    own = {each.fingerprint for each in some(1, "a")} & {each.fingerprint for each in some(1, "b")}
    assert all(" repeated " in each.message for each in some(1, "a") if each.fingerprint in own)


def test_the_longest_silence_is_between_two_answers() -> None:
    assert longest_silence([1.0, 1.5, 4.0, 4.1]) == 2.5
    assert longest_silence([]) == 0.0


@pytest.fixture
def setup(stack: Stack) -> Iterator[Shared]:
    yield Shared(stack)
    stack.stop_twin("async_dedup")


@pytest.mark.parametrize("name", SHORT)
def test_a_fault_loses_and_doubles_nothing(setup: Shared, name: str) -> None:
    found = campaign(setup, name, times=2)[0]
    assert (found["lost"], found["doubled"], found["wrong_rows"]) == (0, 0, [])
    assert found["acknowledged"] > 0


def test_the_page_sums_up_and_says_who_was_late() -> None:
    made = {
        "fault": "kill-api",
        "about": FAULTS["kill-api"].about,
        **{"twin": "async_dedup", "keeps": True},
        **{"times": 50, "seed": 1, "acknowledged": 1_000, "unknown": 3, "refused": 40},
        **{"lost": 0, "doubled": 0, "wrong": 0, "longest_silence": 1.25, "recovery": 0.9, "drain": 2.0},
    }
    late = made | {"fault": "kill-redis", "recovery": 6.0, "lost": 2, "acknowledged": 500}
    naive = made | {"twin": "naive_sync", "lost": 7}
    forgot = made | {"fault": "flushall", "keeps": False, "lost": 9}
    text = page.render(
        {
            "kill-api": measured([made, naive]),
            "kill-redis": measured([late]),
            "flushall": measured([forgot]),
        }
    )
    assert "2 kinds of fault, 100 faults, 1,500 events acknowledged: 2 lost, 0 doubled, 0 wrong rows." in text
    assert "Not up again within 5 s: kill-redis." in text
    assert "| kill-api | kill -9 of the API | 50 | 1,000 | 0 | 0 | 0 | 3 | 40 |" in text
