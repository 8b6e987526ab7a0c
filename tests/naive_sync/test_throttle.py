"""The naive twin's limiter, without its HTTP side: what it lets through, and what it remembers."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from naive_sync.throttle import Throttle
from shared.answer import Refused
from shared.quota import MAX_SERVICES, OTHERS, Quotas
from shared.settings import Settings
from tests.parts import wait_until

SLOW = {"rate_limit": 0.001}
"""Nothing comes back while a test lasts."""


def throttle_of(**settings: Any) -> Throttle:
    return Throttle(Quotas(Settings(**settings)))


def passes(throttle: Throttle, service: str) -> bool:
    try:
        throttle.let_through(service)
    except Refused:
        return False
    return True


def numbers(throttle: Throttle, service: str) -> tuple[int, int, int | None]:
    use = dict(throttle.uses())[service]
    return use.events, use.throttled, throttle.left(service, use)


def test_a_burst_at_once_and_not_one_more() -> None:
    throttle = throttle_of(**SLOW, rate_burst=3)
    assert [passes(throttle, "shop") for _ in range(5)] == [True, True, True, False, False]
    assert passes(throttle, "another")
    assert numbers(throttle, "shop") == (3, 2, 0)
    assert numbers(throttle, "another") == (1, 0, 2)


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns wherever they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_many_threads_get_no_more_than_one_would(restless: None) -> None:
    """They come to each service at the same time."""
    throttle, start = throttle_of(**SLOW, rate_burst=10), Barrier(16)
    services = [f"service {number}" for number in range(500)]

    def send(_: int) -> Counter[str]:
        passed = Counter[str]()
        for service in services:
            start.wait()
            passed[service] += passes(throttle, service)
        return passed

    with ThreadPoolExecutor(16) as threads:
        passed = sum(threads.map(send, range(16)), Counter[str]())
    assert passed == dict.fromkeys(services, 10)
    assert [numbers(throttle, service) for service in services] == [(10, 6, 0)] * 500


def test_a_window_may_be_a_part_of_a_second() -> None:
    throttle = throttle_of(rate_limit=10, rate_burst=1)

    def comes_back_after() -> float:
        began = time.time()
        wait_until(lambda: passes(throttle, "shop"))
        wait_until(lambda: passes(throttle, "shop"))
        return time.time() - began

    assert comes_back_after() >= 0.1
    wait_until(lambda: comes_back_after() < 1)  # a busy machine may take longer once


@pytest.mark.parametrize(("rate", "seconds"), [(0.001, "2000"), (0.5, "4"), (8, "1")])
def test_who_is_refused_is_told_how_long_the_window_lasts(rate: float, seconds: str) -> None:
    throttle = throttle_of(rate_limit=rate, rate_burst=2)
    assert [passes(throttle, "shop") for _ in range(2)] == [True, True]
    with pytest.raises(Refused) as refused:
        throttle.let_through("shop")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, seconds)


def test_a_service_without_a_limit_is_not_remembered() -> None:
    throttle = throttle_of(services={"shop": {"rate_limit": 1}})
    assert all(passes(throttle, "another") for _ in range(100))
    assert throttle.uses() == []


def test_a_budget_alone_limits_no_rate() -> None:
    throttle = throttle_of(new_issues=1)
    assert all(passes(throttle, "shop") for _ in range(100))
    throttle.fold("shop")
    assert numbers(throttle, "shop") == (100, 0, None)
    assert dict(throttle.uses())["shop"].folded == 1


def test_beyond_those_that_are_remembered_all_share_one_limit() -> None:
    throttle = throttle_of(**SLOW, rate_burst=2, services={"named": {"rate_burst": 1}})
    assert all(passes(throttle, f"service {number}") for number in range(MAX_SERVICES))
    assert [passes(throttle, f"invented {number}") for number in range(4)] == [True, True, False, False]
    assert [passes(throttle, "named") for _ in range(2)] == [True, False]
    assert [passes(throttle, "service 0") for _ in range(2)] == [True, False]
    assert dict(throttle.uses()).keys() >= {"service 0", OTHERS, "named"}
    assert len(throttle.uses()) == MAX_SERVICES


def test_who_has_been_silent_for_a_window_makes_room() -> None:
    throttle = throttle_of(rate_limit=1_000, rate_burst=1)
    for number in range(3 * MAX_SERVICES):
        wait_until(partial(passes, throttle, f"service {number}"))
    remembered = throttle._limiter.storage.events  # type: ignore[attr-defined] # the library's own memory
    assert len(throttle._uses) <= MAX_SERVICES + 1
    assert len(remembered) <= MAX_SERVICES + 1


def test_to_be_forgotten_gives_no_second_burst() -> None:
    throttle = throttle_of(**SLOW, rate_burst=1)
    assert passes(throttle, "shop")
    for number in range(2 * MAX_SERVICES):
        passes(throttle, f"invented {number}")
    assert not passes(throttle, "shop")
