"""Rates and budgets in the group's own script: what each event may have, and what a retry is told."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from redis.exceptions import RedisError

from async_dedup.budget import Place
from async_dedup.buffer import Buffer
from async_dedup.fates import Verdict
from async_dedup.group_buffer import GroupBuffer, by_fingerprint
from async_dedup.keys import ARRIVALS, NEW_ISSUES, SERVICES
from async_dedup.limits import Limits
from loadtests.stack import Stack
from shared.answer import Refused, now
from shared.event import Event
from shared.quota import MAX_SERVICES, MOST_BURSTS, OTHERS, Quotas, overflow
from shared.settings import Settings
from tests.parts import add, alone, counted, first_events, some, with_quota

SHOP, SEARCH = "shop", "search"
SLOW = 0.001
"""Events a second: in a test nothing is refilled."""


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture
def buffer(stack: Stack) -> Buffer:
    stack.reset()
    return Buffer(stack.settings)


def limits_of(settings: Settings) -> Limits:
    return Limits(settings, Quotas(settings), Buffer(settings))


async def group(client: GroupBuffer, *events: Event) -> list[str]:
    """The fate of each event: kept, folded or throttled."""
    outcome = await client.add(events)
    if not isinstance(outcome, Verdict):
        return ["kept"] * len(events)
    return ["throttled" if isinstance(fate, Refused) else fate for fate in outcome.fates]


def groups(settings: Settings, *every: Sequence[Event]) -> list[list[str]]:
    """Of one process of the API."""

    async def scenario() -> list[list[str]]:
        client = GroupBuffer(settings, limits_of(settings))
        try:
            return [await group(client, *each) for each in every]
        finally:
            await client.close()

    return asyncio.run(scenario())


def counts(buffer: Buffer, *events: Event) -> list[int]:
    found = counted(buffer)
    return [found.get(event.fingerprint, 0) for event in events]


def test_a_service_gets_its_burst_in_order_and_others_are_not_touched(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, rate_limit=SLOW, rate_burst=3, services={SEARCH: {"rate_limit": 0}})
    a, b, c = some(SHOP, "a", "b", "c")
    (x,) = some(SEARCH, "a")
    (fates,) = groups(settings, [a, x, b, a, x, c, x, a])
    assert fates == ["kept", "kept", "kept", "kept", "kept", "throttled", "kept", "throttled"]
    assert counts(buffer, a, b, c, x) == [2, 1, 0, 3]
    assert {first.event.message for first in first_events(buffer) if first.event.service == SHOP} == {
        "a",
        "b",
    }


def test_all_processes_have_one_bucket(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, rate_limit=SLOW, rate_burst=5)
    passed = Counter[str]()
    for _ in range(4):
        (fates,) = groups(settings, some(SHOP, "a", "b", "c"))
        passed.update(fates)
    assert passed == {"kept": 5, "throttled": 7}


def test_what_is_used_comes_back_at_the_rate(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, rate_limit=20, rate_burst=2)

    async def scenario() -> tuple[int, float, list[float]]:
        client, began, kept, waits = GroupBuffer(settings, limits_of(settings)), time.monotonic(), 0, []
        while kept < 12:
            outcome = await client.add(some(SHOP, "a"))
            if isinstance(outcome, Verdict):
                (fate,) = outcome.fates
                assert isinstance(fate, Refused)
                waits.append(float(fate.headers["Retry-After"]))
            else:
                kept += 1
        await client.close()
        return kept, time.monotonic() - began, waits

    kept, seconds, waits = asyncio.run(scenario())
    assert kept <= 2 + 20 * seconds
    assert waits
    assert set(waits) == {1.0}


def test_a_retry_gets_the_verdict_of_the_first_try_and_counts_nothing(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, rate_limit=SLOW, rate_burst=4, new_issues=1)
    events = some(SHOP, "a", "b", "a", "b", "c")

    async def scenario() -> None:
        client = GroupBuffer(settings, limits_of(settings))
        made = client._next_group(events)
        first = client._counted(made, await client._send(made))
        before = counted(buffer), buffer.services(), len(first_events(buffer))
        again = client._counted(made, await client._send(made))
        assert isinstance(first, Verdict)
        assert isinstance(again, Verdict)
        assert [str(fate) for fate in first.fates] == [str(fate) for fate in again.fates]
        assert again.payloads == -1
        after = counted(buffer), buffer.services(), len(first_events(buffer))
        assert after[0] == before[0]
        assert after[2] == before[2]
        assert (after[1][SHOP].events, after[1][SHOP].throttled, after[1][SHOP].folded) == (4, 1, 2)
        assert len(after[1][SHOP].ages) == 1
        await client.close()

    asyncio.run(scenario())


def test_never_one_new_issue_too_many_and_what_is_above_is_folded(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, new_issues=3)
    messages = [f"new {number}" for number in range(10)]
    (fates,) = groups(settings, some(SHOP, *messages, *messages))
    assert fates == (["kept"] * 3 + ["folded"] * 7) * 2
    folded = overflow(SHOP)
    assert counts(buffer, *some(SHOP, *messages), folded) == [2] * 3 + [0] * 7 + [14]
    assert [first.event for first in first_events(buffer)] == [*some(SHOP, *messages[:3]), folded]
    assert [first.owner for first in first_events(buffer)] == [SHOP] * 3 + [None]


def test_many_processes_at_once_take_exactly_the_budget(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, new_issues=50)

    async def one(name: int) -> list[str]:
        client, fates = GroupBuffer(settings, limits_of(settings)), []
        for number in range(20):
            # Half of them are new to another process as well.
            messages = [f"{name if each % 2 else 'all'} {number} {each}" for each in range(4)]
            fates += await group(client, *some(SHOP, *messages))
        await client.close()
        return fates

    async def scenario() -> list[list[str]]:
        return await asyncio.gather(*map(one, range(4)))

    fates = Counter(each for every in asyncio.run(scenario()) for each in every)
    rows = {first.fingerprint for first in first_events(buffer)} - {overflow(SHOP).fingerprint}
    assert len(rows) == 50
    assert sum(counted(buffer).values()) == sum(fates.values()) == 320
    assert counts(buffer, overflow(SHOP)) == [fates["folded"]]


def test_an_issue_with_a_place_needs_no_other_also_after_a_claim(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, new_issues=2)
    a, b, c = some(SHOP, "a", "b", "c")
    assert groups(settings, [a, b]) == [["kept", "kept"]]
    buffer.claim()
    buffer.redis.delete("hpt:first_events")
    # Another process, which has never heard of them.
    assert groups(settings, [a, b, c, a]) == [["kept", "kept", "folded", "kept"]]


def test_a_place_is_free_again_when_the_window_has_passed(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, new_issues=2, new_issues_window=1.0)
    assert groups(settings, some(SHOP, "a", "b", "c")) == [["kept", "kept", "folded"]]
    key = NEW_ISSUES + SHOP
    for place, taken in buffer.redis.zrange(key, 0, -1, withscores=True):
        buffer.redis.zadd(key, {place: taken - 1_000_001})
    assert groups(settings, some(SHOP, "a", "d", "e", "f")) == [["kept", "kept", "kept", "folded"]]
    assert 0 < buffer.redis.pttl(key) <= 61_000


def test_what_mysql_has_no_place_for_is_folded_though_redis_has_room(stack: Stack, buffer: Buffer) -> None:
    """It has come back empty, say; but what has a place already keeps it."""
    settings = with_quota(stack.settings, new_issues=5)
    a, b = some(SHOP, "a", "b")
    assert groups(settings, [a]) == [["kept"]]

    async def scenario() -> list[str]:
        limits = limits_of(settings)
        client = GroupBuffer(settings, limits)
        limits.known.denied.update((a.fingerprint, b.fingerprint))
        try:
            return await group(client, a, b, a, *some(SHOP, "c"))
        finally:
            await client.close()

    assert asyncio.run(scenario()) == ["kept", "folded", "kept", "kept"]
    assert len(buffer.services()[SHOP].ages) == 2


def test_places_that_redis_is_told_of_end_with_the_window(stack: Stack, buffer: Buffer) -> None:
    """Those that were told of while a group was on its way are told with the next."""
    settings = with_quota(stack.settings, new_issues=1, new_issues_window=1.0)
    first, second = (Place(each * 64, SHOP, now()) for each in "01")

    async def scenario() -> None:
        limits = limits_of(settings)
        client = GroupBuffer(settings, limits)
        limits.known.remind([SHOP], now(), [first])
        made = client._next_group(some(SHOP, "a"))
        limits.known.remind([SHOP], now(), [second])
        assert isinstance(client._counted(made, await client._send(made)), Verdict)
        assert limits.known.places == {SHOP: {second.fingerprint: second}}
        await group(client, *some(SHOP, "b"))
        assert limits.known.places == {}
        await client.close()

    asyncio.run(scenario())
    key = NEW_ISSUES + SHOP
    assert {each.hex() for each in buffer.redis.zrange(key, 0, -1)} == {"0" * 64, "1" * 64}
    assert 0 < buffer.redis.pttl(key) <= 61_000


@pytest.mark.parametrize("ahead", [100.0, 3_600.0], ids=["a lower rate before", "a clock that was set back"])
def test_a_service_is_never_silent_for_longer_than_a_few_bursts(
    stack: Stack, buffer: Buffer, ahead: float
) -> None:
    settings = with_quota(stack.settings, rate_limit=100, rate_burst=20)
    buffer.redis.zadd(ARRIVALS, {SHOP: (buffer.now() + ahead) * 1e6})
    assert groups(settings, some(SHOP, "a")) == [["throttled"]]
    assert buffer.services()[SHOP].ahead <= MOST_BURSTS * 20 / 100


def test_a_service_that_is_only_throttled_creates_what_it_likes(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(
        stack.settings, rate_limit=1_000, services={SEARCH: {"rate_limit": 0, "new_issues": 1}}
    )
    (fates,) = groups(settings, [*some(SHOP, "a", "b", "c"), *some(SEARCH, "a", "b")])
    assert fates == ["kept"] * 4 + ["folded"]


def test_a_throttled_event_takes_no_place(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, rate_limit=SLOW, rate_burst=1, new_issues=5)
    assert groups(settings, some(SHOP, "a", "b", "c")) == [["kept", "throttled", "throttled"]]
    assert len(buffer.services()[SHOP].ages) == 1


def test_what_was_used_without_redis_it_is_told(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, rate_limit=SLOW, rate_burst=5)

    async def scenario() -> list[str]:
        limits = limits_of(settings)
        client = GroupBuffer(settings, limits)
        for _ in range(3):
            limits.throttle.buckets.take(SHOP, 1.0, time.monotonic())
        fates = await group(client, *some(SHOP, *"abcd"))
        await client.close()
        return fates

    assert asyncio.run(scenario()) == ["kept", "kept", "throttled", "throttled"]
    assert groups(settings, some(SHOP, "a")) == [["throttled"]]


def test_who_invents_services_gets_no_more_than_one_of_them(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(
        stack.settings, rate_limit=SLOW, rate_burst=2, new_issues=1, services={"named": {"rate_burst": 1}}
    )
    invented = [Event(message="a", service=f"service {number}") for number in range(MAX_SERVICES)]
    (fates,) = groups(settings, invented)
    assert fates == ["kept"] * MAX_SERVICES
    more = [Event(message=f"b{number}", service=f"one more {number}") for number in range(4)]
    (named,) = some("named", "a")
    assert groups(settings, [*more, named]) == [["kept", "folded", "throttled", "throttled", "kept"]]
    assert counts(buffer, overflow(OTHERS)) == [1]
    assert buffer.redis.zcard(ARRIVALS) == MAX_SERVICES + 2
    # Who has long been idle makes room, and what was counted of them goes as well.
    long_ago = buffer.now() * 1e6 - 3_600e6 - 61e6
    buffer.redis.zadd(ARRIVALS, {"service 7": long_ago})
    assert groups(settings, some("a newcomer", "a")) == [["kept"]]
    assert buffer.redis.zscore(ARRIVALS, "service 7") is None
    assert not buffer.redis.hexists(SERVICES, "eservice 7")
    assert buffer.redis.zscore(ARRIVALS, "a newcomer")


@pytest.mark.parametrize("name", ["shop ", " ", "(other services)", "\U0001f600" * 64, "a\nb", "ключ", "-1"])
def test_odd_names_are_services_like_any_other(stack: Stack, buffer: Buffer, name: str) -> None:
    settings = with_quota(stack.settings, rate_limit=SLOW, rate_burst=1, new_issues=1)
    fates = groups(settings, [*some(SHOP, "a", "b"), *some(name, "a", "b")])
    assert fates == [["kept", "throttled"] * 2]
    assert set(buffer.services()) == {SHOP, name}


@pytest.mark.parametrize(("rate", "burst"), [(100, 206), (7, 7), (3, 1), (9_999, 999)])
def test_a_burst_is_not_one_too_small_by_rounding(
    stack: Stack, buffer: Buffer, rate: float, burst: int
) -> None:
    """Also where each event is decided by itself."""
    settings = with_quota(stack.settings, rate_limit=rate, rate_burst=burst)
    for service, more in ((SHOP, 0), (SEARCH, 1)):
        events = [Event(message="a", service=service)] * (burst + more)
        (fates,) = groups(settings, events)
        assert fates == ["kept"] * burst + ["throttled"] * more


def test_newcomers_of_one_group_are_counted_as_well(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, rate_limit=SLOW, rate_burst=2)
    known = [Event(message="a", service=f"known {number}") for number in range(MAX_SERVICES - 1)]
    new = [Event(message="a", service=f"new {number}") for number in range(4)]
    assert groups(settings, known, new) == [["kept"] * len(known), ["kept"] * 3 + ["throttled"]]
    assert buffer.redis.zcard(ARRIVALS) == MAX_SERVICES + 1


def test_who_is_called_as_the_others_is_one_of_them(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, rate_limit=SLOW, rate_burst=2)
    known = [Event(message="a", service=f"known {number}") for number in range(MAX_SERVICES - 1)]
    both = [*some(OTHERS, "a"), *some("new", "a"), *some("newer", "a")]
    assert groups(settings, [*known, *some("last", "a")], both) == [
        ["kept"] * MAX_SERVICES,
        ["kept", "kept", "throttled"],
    ]


def test_a_redis_that_has_forgotten_is_told_what_was_used(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, rate_limit=SLOW, rate_burst=2)

    async def scenario() -> list[list[str]]:
        client = GroupBuffer(settings, limits_of(settings))
        try:
            first = await group(client, *some(SHOP, "a", "b"))
            buffer.redis.flushall()
            return [first, await group(client, *some(SHOP, "c"))]
        finally:
            await client.close()

    assert asyncio.run(scenario()) == [["kept", "kept"], ["throttled"]]


def test_without_quotas_there_is_nothing_of_it(stack: Stack, buffer: Buffer) -> None:
    assert asyncio.run(add(stack.settings, some(SHOP, "a"))) == [1]
    assert buffer.services() == {}
    assert [first.owner for first in first_events(buffer)] == [None]
    assert not Quotas(stack.settings).is_any


def test_a_full_redis_has_decided_nothing(stack: Stack, buffer: Buffer) -> None:
    settings = with_quota(stack.settings, rate_limit=SLOW, rate_burst=1)
    buffer.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(RedisError):
            groups(settings, some(SHOP, "a"))
    finally:
        buffer.redis.config_set("maxmemory", "1gb")
    assert groups(settings, some(SHOP, "a")) == [["kept"]]


def test_the_order_of_fingerprints_is_that_of_first_events() -> None:
    events = some(SHOP, "b", "a", "b")
    assert [*by_fingerprint(events)] == [events[0].fingerprint, events[1].fingerprint]
