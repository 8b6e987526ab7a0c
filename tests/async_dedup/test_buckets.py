"""GCRA, by a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import RedisError

from async_dedup.buckets import LOOK_EVERY, MOST_HEARD, Buckets
from shared.quota import MAX_SERVICES, OTHERS, Quotas
from shared.settings import Own, Settings

RATE, BURST = 10.0, 5
MUCH = 1_000.0
"""Seconds that nobody is ahead here."""


def buckets(memory: float = 60.0) -> Buckets:
    own = {"named": Own(rate_limit=1, rate_burst=1), "free": Own(rate_limit=0)}
    return Buckets(Quotas(Settings(rate_limit=RATE, rate_burst=BURST, services=own)), memory)


def passed(made: Buckets, service: str, now: float, events: int = 100, share: float = 1.0) -> int:
    return sum(not made.take(service, share, now) for _ in range(events))


def test_a_burst_at_once_and_the_rate_after_it() -> None:
    made = buckets()
    assert passed(made, "shop", 0.0) == BURST
    assert passed(made, "shop", 0.05) == 0
    assert passed(made, "shop", 0.1) == 1
    assert passed(made, "shop", 0.3) == 2
    assert passed(made, "shop", 100.0) == BURST


def test_who_has_to_wait_is_told_how_long() -> None:
    made = buckets()
    passed(made, "shop", 0.0)
    wait = made.take("shop", 1.0, 0.03)
    assert wait == pytest.approx(0.07)
    assert made.take("shop", 1.0, 0.03 + wait - 0.001) > 0
    assert made.take("shop", 1.0, 0.03 + wait) == 0


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200), st.sampled_from([1.0, 0.5, 0.25]))
def test_never_more_than_the_burst_and_the_rate_from_then_on(gaps: list[float], share: float) -> None:
    made, now, times = buckets(), 0.0, list[float]()
    for gap in gaps:
        now += gap
        if not made.take("shop", share, now):
            times.append(now)
    most = max(BURST * share, 1)
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= most + RATE * share * (times[last] - begin) + 1e-6


def test_services_do_not_touch_each_other() -> None:
    made = buckets()
    passed(made, "shop", 0.0)
    assert passed(made, "search", 0.0) == BURST
    assert passed(made, "named", 0.0) == 1
    assert passed(made, "free", 0.0) == 100


def test_what_a_peer_has_let_through_comes_on_top() -> None:
    made = buckets()
    assert passed(made, "shop", 0.0, events=2) == 2
    made.elsewhere("shop", 2, 1.0, 0.0, MUCH)
    assert passed(made, "shop", 0.0) == BURST - 4
    made.elsewhere("shop", 10, 1.0, 0.0, MUCH)  # more than there was: it is waited for
    assert passed(made, "shop", 1.0) == 0
    assert passed(made, "shop", 1.1) == 1


def test_what_redis_says_is_the_truth_and_no_news_to_it() -> None:
    made = buckets()
    passed(made, "shop", 0.0)
    assert made.news("shop", 0.0) == pytest.approx(BURST / RATE)
    made.told("shop", 0.1, 0.0, made.next_question())
    assert made.news("shop", 0.0) == 0
    assert passed(made, "shop", 0.0) == BURST - 1
    assert made.news("shop", 0.0) > 0


def test_what_was_heard_after_a_question_is_on_top_of_its_answer() -> None:
    """Of a peer that is cut off from Redis, while this process asks there without a pause."""
    made = buckets()
    made.elsewhere("shop", 1, 1.0, 0.0, MUCH)
    first = made.next_question()
    made.elsewhere("shop", 2, 1.0, 0.0, MUCH)
    made.told("shop", 0.1, 0.0, first)
    assert made.news("shop", 0.0) == pytest.approx(0.1 + 2 / RATE)
    second = made.next_question()
    made.told("shop", 0.3, 0.0, second)
    assert made.news("shop", 0.0) == 0
    assert passed(made, "shop", 0.0) == BURST - 3


def test_a_peer_that_redis_does_not_hear_of_gets_no_second_rate() -> None:
    """This process asks Redis without a pause, and each answer is of a moment before what was heard last."""
    made, peer, through, told, ahead = buckets(), buckets(), 0, 0, 0.0
    seconds, news, question = 20, 0.0, 0
    for tick in range(seconds * 1_000):
        now = tick / 1_000
        through += not peer.take("shop", 1.0, now)
        if tick % 100 == 98:
            of_peer = dict(peer)["shop"]
            made.elsewhere("shop", of_peer.passed - told, 1.0, now, MUCH)
            made.at_least("shop", of_peer.arrival - now, now)
            peer.at_least("shop", dict(made)["shop"].arrival - now, now)
            told = of_peer.passed
        ahead = max(ahead - 0.001, 0.0)
        if tick % 3 == 0:
            news, question = made.news("shop", now), made.next_question()
        elif tick % 3 == 2:
            ahead = max(ahead, news - 0.002)
            if ahead <= (BURST - 1) / RATE:
                ahead, through = ahead + 1 / RATE, through + 1
            made.told("shop", ahead, now, question)
    assert 0.8 * RATE * seconds <= through <= RATE * seconds + 2 * BURST + 5


def test_what_is_heard_for_long_is_kept_in_few_numbers() -> None:
    made = buckets()
    for _ in range(1_000):
        made.next_question()
        made.elsewhere("shop", 1, 1.0, 0.0, MUCH)
    assert len(dict(made)["shop"].heard) <= MOST_HEARD
    assert sum(dict(made)["shop"].heard.values()) == pytest.approx(1_000 / RATE)


def told(made: Buckets) -> list[dict[str, tuple[int, int, int]]]:
    found = list[dict[str, tuple[int, int, int]]]()
    made.count(found.append)
    return found


def test_what_redis_has_not_counted_is_told_once() -> None:
    made = buckets()
    passed(made, "shop", 0.0)
    made.fold("shop", 0.0)
    assert told(made) == [{"shop": (BURST, 100 - BURST, 1)}]
    assert told(made) == []
    passed(made, "shop", 0.1, events=1)
    assert told(made) == [{"shop": (1, 0, 0)}]


def test_what_redis_did_not_take_is_told_once_more() -> None:
    made = buckets()
    passed(made, "shop", 0.0)

    def fail(_: object) -> None:
        raise RedisError

    with pytest.raises(RedisError):
        made.count(fail)
    assert told(made) == [{"shop": (BURST, 100 - BURST, 0)}]


def test_news_that_time_has_passed_by_is_none() -> None:
    """Nobody may send for that service any more, and every group would look for it."""
    made = buckets()
    passed(made, "shop", 0.0)
    made.forget_past(0.0)
    assert made.untold == {"shop"}
    made.forget_past(1.1 * BURST / RATE)
    assert not made.untold


def test_whoever_knows_of_less_changes_nothing() -> None:
    made = buckets()
    passed(made, "shop", 0.0)
    made.at_least("shop", 0.1, 0.0)
    assert made.news("shop", 0.0) == pytest.approx(BURST / RATE)
    made.at_least("shop", 2.0, 0.0)
    assert made.news("shop", 0.0) == pytest.approx(2.0)


def test_what_is_left_is_what_may_be_sent() -> None:
    made = buckets()
    assert made.left("shop", 1.0, 0.0) == BURST
    assert made.left("free", 1.0, 0.0) is None
    passed(made, "shop", 0.0, events=3)
    assert made.left("shop", 1.0, 0.0) == passed(made, "shop", 0.0)
    assert made.left("shop", 1.0, 0.0) == 0


def test_who_invents_services_shares_one_bucket_and_the_named_do_not() -> None:
    made = buckets()
    for number in range(MAX_SERVICES):
        made.take(f"service {number}", 1.0, 0.0)
    assert passed(made, "one more", 0.0, events=3) == 3
    assert passed(made, "and another", 0.0) == BURST - 3
    assert passed(made, "named", 0.0) == 1
    assert len([*made]) == MAX_SERVICES + 2
    assert OTHERS in dict(made)
    # Those who have been idle for long make room. Nobody looks for them for each stranger.
    before = made._of
    assert passed(made, "a third", 0.9 * LOOK_EVERY, events=1) == 1
    assert made._of is before
    assert passed(made, "one more", 100.0) == BURST
    assert "one more" in dict(made)
    assert len([*made]) <= 2
