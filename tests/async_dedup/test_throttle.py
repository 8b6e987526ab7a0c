"""Rates and budgets while stores come and go: real servers, and processes of the API in one event loop."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, func, select
from sqlalchemy.exc import OperationalError

from async_dedup import budget, services
from async_dedup.buffer import Buffer
from async_dedup.fates import Folded
from async_dedup.group_buffer import GroupBuffer
from async_dedup.ingest import Ingest
from async_dedup.keys import NODE_SECONDS, NODES
from async_dedup.known import NOT_AGAIN, Lookup
from async_dedup.limits import Limits
from async_dedup.modes import CYCLE, Mode
from async_dedup.spool import files
from async_dedup.states import State
from async_dedup.stores import Stores
from loadtests.stack import Stack
from shared.answer import Refused
from shared.event import Event
from shared.model import NewIssue, ServiceUse
from shared.quota import Quotas, overflow
from shared.settings import LEAST_RATE, Settings
from tests.conftest import free_settings
from tests.parts import LIMIT, alone, drain, frozen, rows, servers_up, times_seen, wait_until, with_quota

SHOP = "shop"
SLOW = 0.001
"""Events a second: in a test nothing is refilled."""
TIMEOUT = 0.4


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture
def settings(stack: Stack, tmp_path: Path) -> Iterator[Settings]:
    servers_up(stack)
    stack.reset()
    yield stack.settings.model_copy(update={"spool_folder": tmp_path / "spool", "redis_timeout": TIMEOUT})
    servers_up(stack)


class Node:
    """A process of the API, without its HTTP side."""

    def __init__(self, settings: Settings) -> None:
        quotas, self.settings = Quotas(settings), settings
        self.limits = Limits(settings, quotas, Buffer(settings))
        self.buffer = GroupBuffer(settings, self.limits)
        self.stores = Stores(settings, self.buffer, self.limits)
        group = Ingest(self.stores, lambda: None)
        self._ingest = (
            Lookup(settings, group, self.limits.known, self.limits.may_be_new)
            if quotas.has_budgets
            else group
        )
        self.acknowledged = Counter[str]()

    async def send(self, *events: Event) -> Counter[str]:
        """Together; returns how many were kept, folded, throttled (429) and lost (503)."""
        fates = Counter[str]()
        answers = await asyncio.gather(*map(self._ingest, events), return_exceptions=True)
        for event, answer in zip(events, answers, strict=True):
            match answer:
                case datetime():
                    fates["kept"] += 1
                    self.acknowledged[event.fingerprint] += 1
                case Folded():
                    fates["folded"] += 1
                    self.acknowledged[overflow(event.service).fingerprint] += 1
                case Refused():
                    fates["throttled" if answer.status == 429 else "lost"] += 1
                case _:
                    raise AssertionError(answer)
        return fates

    @property
    def mode(self) -> Mode:
        return self.limits.throttle.mode


@asynccontextmanager
async def nodes(*settings: Settings) -> AsyncIterator[list[Node]]:
    made = [Node(each) for each in settings]
    async with asyncio.timeout(3 * LIMIT), AsyncExitStack() as stack:
        for each in made:
            await each.limits.throttle.start()
            stack.push_async_callback(each.stores.close)
            stack.push_async_callback(each.limits.throttle.close)
            for work in (each.stores.watch(), each.limits.throttle.watch()):
                stack.callback(asyncio.create_task(work).cancel)
        yield made


async def until(true: Callable[[], object]) -> None:
    await asyncio.to_thread(wait_until, true)


def some(number: int, service: str = SHOP, name: str = "a") -> Sequence[Event]:
    return [Event(message=f"{name} {each}", service=service) for each in range(number)]


def peers_of(settings: Settings, number: int) -> list[Settings]:
    ports = [free_settings().peer_port for _ in range(number)]
    return [
        with_quota(
            settings,
            peer_port=mine,
            peers=[f"127.0.0.1:{port}" for port in ports if port != mine],
            peer_secret="known to all of them",
            spool_folder=settings.spool_folder / str(mine),
        )
        for mine in ports
    ]


async def lose_redis(stack: Stack, *made: Node) -> None:
    """It is killed while no group is in flight, and each process has noticed."""
    stack.kill("redis")
    await until(lambda: not any(each.buffer._link and each.buffer._link.is_open for each in made))
    for each in made:
        await each.send(Event(message="who notices", service="nobody limits it"))
        assert each.stores.state is not State.REDIS


def test_without_redis_and_peers_each_process_has_its_share(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    quota = with_quota(
        settings, rate_limit=SLOW, rate_burst=10, services={"nobody limits it": {"rate_limit": 0}}
    )

    async def scenario() -> None:
        async with nodes(quota, quota) as (one, two):
            await until(lambda: one.limits.throttle._nodes == two.limits.throttle._nodes == 2)
            assert one.mode is Mode.REDIS
            assert await one.send(*some(3)) == {"kept": 3}
            await lose_redis(stack, one, two)
            assert (one.mode, two.mode) == (Mode.LOCAL, Mode.LOCAL)
            # Of its half; the first knows of 3 that it has sent before.
            assert await one.send(*some(9)) == {"kept": 3, "throttled": 6}
            assert await two.send(*some(9)) == {"kept": 5, "throttled": 4}
            stack.start("redis")
            await until(lambda: one.mode is two.mode is Mode.REDIS)
            # What was let through meanwhile Redis is told.
            assert await one.send(*some(5)) == {"kept": 1, "throttled": 4}
            assert await two.send(*some(5)) == {"throttled": 5}
            drain(Buffer(settings), engine)
            total = one.acknowledged + two.acknowledged
            assert {key: times_seen(engine)[key] for key in total} == total

    asyncio.run(scenario())


def test_who_is_the_first_to_count_does_not_take_itself_for_all(stack: Stack, settings: Settings) -> None:
    """At a start, and where Redis has forgotten: without it each of them would hand out the whole rate."""
    quota, redis = with_quota(settings, rate_limit=SLOW, workers=3), Buffer(settings).redis

    async def scenario() -> None:
        async with nodes(quota, quota) as (one, _):
            throttle = one.limits.throttle
            await until(lambda: redis.zcard(NODES) == 2)
            throttle._count()
            assert throttle._nodes == 3
            throttle._counted_since -= NODE_SECONDS
            throttle._count()
            assert throttle._nodes == 2
            throttle.redis_may_have_forgotten()
            redis.flushall()
            throttle._count()
            assert throttle._nodes == 2

    asyncio.run(scenario())


def test_who_has_ended_is_counted_no_more(stack: Stack, settings: Settings) -> None:
    """After a deployment nobody would hand out what the processes before it had, for a whole outage."""
    quota, redis = with_quota(settings, rate_limit=SLOW), Buffer(settings).redis

    async def scenario() -> None:
        async with nodes(quota, quota):
            await until(lambda: redis.zcard(NODES) == 2)

    asyncio.run(scenario())
    assert redis.zcard(NODES) == 0


def test_with_peers_all_of_them_keep_to_one_rate(stack: Stack, settings: Settings) -> None:
    quota = with_quota(
        settings, rate_limit=50, rate_burst=10, services={"nobody limits it": {"rate_limit": 0}}
    )

    async def scenario() -> None:
        async with nodes(*peers_of(quota, 3)) as made:
            await until(lambda: all(each.limits.throttle.peers.reachable == 2 for each in made))
            await lose_redis(stack, *made)
            assert {each.mode for each in made} == {Mode.PEER}
            began, kept = time.monotonic(), 0
            while time.monotonic() < began + 3:
                answers = await asyncio.gather(*(each.send(*some(5)) for each in made))
                kept += sum(each["kept"] for each in answers)
            seconds = time.monotonic() - began
            # Of each node at most its burst, and a few cycles' worth, is too much; nobody stands still.
            assert 0.5 * 50 * seconds <= kept <= 50 * seconds + 3 * (10 + 50 * 3 * CYCLE)

    asyncio.run(scenario())


def test_who_loses_its_peers_has_its_share_and_gets_them_back(stack: Stack, settings: Settings) -> None:
    quota = with_quota(
        settings, rate_limit=SLOW, rate_burst=10, services={"nobody limits it": {"rate_limit": 0}}
    )
    first, second = peers_of(quota, 2)

    async def scenario() -> None:
        async with nodes(first) as (one,):
            async with nodes(second) as (two,):
                await until(lambda: one.limits.throttle.peers.reachable == 1)
                await lose_redis(stack, one)
                assert one.mode is Mode.PEER
                assert one.limits.throttle.share == 1.0
                del two
            await until(lambda: one.mode is Mode.LOCAL)
            assert one.limits.throttle.share == 0.5
            assert await one.send(*some(8)) == {"kept": 5, "throttled": 3}
            async with nodes(second) as (two,):
                await until(lambda: one.mode is Mode.PEER)
                # The newcomer is told what is used.
                await until(lambda: two.limits.throttle.buckets.left(SHOP, 1.0, time.monotonic()) == 0)
            stack.start("redis")
            await until(lambda: one.mode is Mode.REDIS)

    asyncio.run(scenario())


def test_a_restart_of_everything_hands_out_no_second_burst(stack: Stack, settings: Settings) -> None:
    quota = with_quota(settings, rate_limit=SLOW, rate_burst=5)

    async def scenario() -> list[Counter[str]]:
        fates = []
        for _ in range(2):
            async with nodes(quota) as (node,):
                fates.append(await node.send(*some(5)))
                node.limits.throttle.note()
                await asyncio.to_thread(node.limits.throttle.keep)
            Buffer(settings).redis.flushall()
        return fates

    assert asyncio.run(scenario()) == [{"kept": 5}, {"throttled": 5}]


def test_the_longest_wait_that_can_be_is_noted(stack: Stack, settings: Settings, engine: Engine) -> None:
    """A later one would be after the last day there is, and no other service's could be noted beside it."""
    quota = with_quota(settings, rate_limit=LEAST_RATE, rate_burst=10_000_000)

    async def scenario() -> None:
        async with nodes(quota) as (node,):
            throttle = node.limits.throttle
            throttle.buckets.at_least(SHOP, throttle.quotas.of(SHOP).most_ahead(), time.monotonic())
            await asyncio.to_thread(throttle.keep)

    asyncio.run(scenario())
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(ServiceUse)) == 1


def test_the_newest_word_of_redis_is_noted_last(stack: Stack, settings: Settings) -> None:
    """Whichever services it came with; and what was put down when others were kept is kept with the next."""
    quota = with_quota(settings, rate_limit=SLOW, rate_burst=5)

    async def scenario() -> list[Counter[str]]:
        async with nodes(quota) as (node,):
            throttle = node.limits.throttle
            now = time.monotonic()
            throttle.told((SHOP,), b" 1", 1)
            throttle.told((SHOP, "search"), b" 2 5000000", 2)
            throttle.told((SHOP,), b" 5000000000", 3)
            throttle.buckets.at_least("noted already", 100.0, now)
            await asyncio.to_thread(throttle.keep)
            throttle.note()
            assert throttle.buckets.left(SHOP, 1.0, now) == 0
            await asyncio.to_thread(throttle.keep)
        async with nodes(quota) as (node,):
            return [await node.send(*some(5))]

    assert asyncio.run(scenario()) == [{"throttled": 5}]


def test_the_budget_holds_while_redis_goes_and_comes_back(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    quota = with_quota(settings, new_issues=20, services={"nobody limits it": {"new_issues": 0}})

    async def scenario() -> Counter[str]:
        async with nodes(quota, quota) as (one, two):
            assert await one.send(*some(6, name="one")) == {"kept": 6}
            assert await two.send(*some(6, name="two")) == {"kept": 6}
            await lose_redis(stack, one, two)
            # What was taken in Redis is in no row yet.
            answers = await asyncio.gather(
                one.send(*some(10, name="without")), two.send(*some(10, name="without redis"))
            )
            assert sum(each["kept"] for each in answers) == 8
            stack.start("redis")
            await until(lambda: one.stores.state is two.stores.state is State.REDIS)
            for each in (one, two):
                assert await each.send(*some(6, name="one")) == {"kept": 6}
                assert await each.send(*some(3, name="too late")) == {"folded": 3}
            return one.acknowledged + two.acknowledged

    acknowledged = asyncio.run(scenario())
    drain(Buffer(settings), engine)
    assert times_seen(engine) == acknowledged
    shop = [row for row in rows(engine).values() if row["service"] == SHOP]
    assert len(shop) == 20 + 1


FREE = {"nobody limits it": {"rate_limit": 0, "new_issues": 0}}
"""Of who notices that Redis is gone."""


def rows_of_shop(engine: Engine) -> int:
    """Without the overflow issue."""
    found = rows(engine)
    found.pop(overflow(SHOP).fingerprint, None)
    return sum(row["service"] == SHOP for row in found.values())


def test_what_a_replay_gave_out_redis_gives_out_no_second_time(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    quota = with_quota(settings, new_issues=10, services=FREE)

    async def scenario() -> None:
        async with nodes(quota) as (node,):
            await lose_redis(stack, node)
            stack.kill("mysql")
            assert await node.send(*some(10, name="spooled")) == {"kept": 10}
            stack.start("redis")
            stack.start("mysql")
            await until(lambda: node.stores.state is State.REDIS)
            assert await node.send(*some(1, name="before the replay")) == {"kept": 1}
            await until(lambda: not files(settings.spool_folder))
            assert await node.send(*some(20, name="after it")) == {"folded": 20}

    asyncio.run(scenario())
    drain(Buffer(settings), engine)
    assert rows_of_shop(engine) == 10


def test_a_redis_that_lost_its_data_gives_out_no_place_twice(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    quota = with_quota(settings, new_issues=10, services=FREE)

    async def scenario() -> None:
        async with nodes(quota) as (node,):
            assert await node.send(*some(10, name="before")) == {"kept": 10}
            drain(Buffer(settings), engine)
            Buffer(settings).redis.flushall()
            assert await node.send(*some(20, name="after")) == {"folded": 20}

    asyncio.run(scenario())
    drain(Buffer(settings), engine)
    assert rows_of_shop(engine) == 10


def test_who_is_cut_off_from_redis_and_who_is_not_have_one_budget(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    quota = with_quota(settings, new_issues=20, services=FREE)
    cut_off = quota.model_copy(update={"redis_port": free_settings().redis_port})

    async def scenario() -> None:
        async with nodes(quota, cut_off) as (one, two):
            await two.send(Event(message="who notices", service="nobody limits it"))
            assert two.stores.state is State.DIRECT
            for turn in range(3):
                answers = await asyncio.gather(
                    one.send(*some(8, name=f"{turn} with redis")), two.send(*some(8, name=f"{turn} without"))
                )
            assert sum(answers, Counter()) == {"folded": 16}

    asyncio.run(scenario())
    drain(Buffer(settings), engine)
    assert rows_of_shop(engine) == 20


def test_a_redis_that_is_frozen_and_counts_later_has_taken_no_place_too_many(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    quota = with_quota(settings, new_issues=20, services=FREE)

    async def scenario() -> None:
        async with nodes(quota) as (node,):
            assert await node.send(*some(4, name="before")) == {"kept": 4}
            with frozen(stack.pid("redis")):
                assert await node.send(*some(10, name="nobody knows")) == {"lost": 10}
                answers = await node.send(*some(20, name="meanwhile"))
            assert answers == {"kept": 6, "folded": 14}

    asyncio.run(scenario())
    wait_until(lambda: Buffer(settings).now())
    drain(Buffer(settings), engine)
    assert 10 <= rows_of_shop(engine) <= 20


@pytest.mark.parametrize("who", ["the same", "another"])
def test_mysql_hears_of_places_that_redis_gave_without_it(
    stack: Stack, settings: Settings, engine: Engine, who: str
) -> None:
    """It is back when Redis goes, before the digest; whoever sends next, be it first what is known to it."""
    quota = with_quota(settings, new_issues=1, services=FREE)
    own_spool = quota.model_copy(update={"spool_folder": settings.spool_folder / "another"})

    async def scenario() -> None:
        async with nodes(quota, own_spool) as (one, two):
            stack.kill("mysql")
            assert await one.send(*some(1)) == {"kept": 1}
            stack.start("mysql")
            if who == "another":
                await until(lambda: not one.limits.known.recent)
            await lose_redis(stack, one, two)
            if who == "the same":
                assert await one.send(*some(1)) == {"kept": 1}
            sender = two if who == "another" else one
            assert await sender.send(*some(1, name="late")) == {"folded": 1}

    asyncio.run(scenario())
    stack.start("redis")
    drain(Buffer(settings), engine)
    assert rows_of_shop(engine) == 1


def test_who_asks_mysql_tells_it_first(stack: Stack, settings: Settings) -> None:
    """Of a place that Redis alone has given it."""
    quota = with_quota(settings, new_issues=1, services=FREE)

    async def scenario() -> None:
        node = Node(quota)
        node.limits.known.admitted_by_redis({some(1)[0].fingerprint: SHOP})
        assert await node.send(*some(1, name="late")) == {"folded": 1}
        await node.stores.close()

    asyncio.run(scenario())


def test_what_redis_has_lost_is_asked_for_once_more(stack: Stack, settings: Settings, engine: Engine) -> None:
    """Its place was given back, and another's issue has it; what MySQL knows stays known."""
    quota = with_quota(settings, new_issues=2, services=FREE)
    known, lost, late = some(1, name="known"), some(1, name="lost"), some(1, name="late")

    async def scenario() -> None:
        async with nodes(quota) as (node,):
            assert await node.send(*known) == {"kept": 1}
            drain(Buffer(settings), engine)
            assert await node.send(*lost) == {"kept": 1}
            Buffer(settings).redis.flushall()
            with engine.begin() as connection:
                connection.execute(delete(NewIssue).where(budget.NO_ISSUE))
            assert await node.send(*late) == {"kept": 1}
            assert await node.send(*known, *lost) == {"kept": 1, "folded": 1}

    asyncio.run(scenario())
    drain(Buffer(settings), engine)
    assert rows_of_shop(engine) == 2


def test_what_could_not_be_given_back_is_so_later(
    stack: Stack, settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = with_quota(settings, rate_limit=SLOW, rate_burst=2, new_issues=5, services=FREE)
    look_up = budget.look_up

    def fail_to_give_back(engine: Engine, candidates: Any, needless: Any, *others: Any) -> Any:
        if needless:
            raise OperationalError("", {}, Exception("MySQL has gone away"))
        return look_up(engine, candidates, needless, *others)

    def places() -> int:
        with engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(NewIssue)) or 0

    async def scenario() -> None:
        async with nodes(quota) as (node,):
            monkeypatch.setattr(budget, "look_up", fail_to_give_back)
            assert await node.send(*some(3)) == {"kept": 2, "throttled": 1}
            await asyncio.sleep(NOT_AGAIN)
            assert places() == 3
            monkeypatch.setattr(budget, "look_up", look_up)
            assert await node.send(*some(1, name="later")) == {"throttled": 1}
            await until(lambda: places() == 2)

    asyncio.run(scenario())


def test_what_is_throttled_keeps_no_place(stack: Stack, settings: Settings, engine: Engine) -> None:
    quota = with_quota(settings, rate_limit=SLOW, rate_burst=5, new_issues=8)
    other = with_quota(settings, new_issues=8)

    async def scenario() -> None:
        async with nodes(quota, other) as (node, unlimited):
            assert await node.send(*some(20, name="new")) == {"kept": 5, "throttled": 15}

            def places() -> int:
                with engine.connect() as connection:
                    return connection.scalar(select(func.count()).select_from(NewIssue)) or 0

            await until(lambda: places() == 5)
            assert await unlimited.send(*some(5, name="others")) == {"kept": 3, "folded": 2}

    asyncio.run(scenario())


def test_what_services_sent_without_redis_is_in_their_list_later(stack: Stack, settings: Settings) -> None:
    quota = with_quota(settings, rate_limit=SLOW, rate_burst=5, new_issues=2, services=FREE)

    async def scenario() -> None:
        async with nodes(quota) as (node,):
            await node.send(*some(1))
            await lose_redis(stack, node)
            assert await node.send(*some(6)) == {"kept": 2, "folded": 2, "throttled": 2}
            stack.start("redis")
            await until(lambda: node.mode is Mode.REDIS)

            def counted() -> tuple[int, int, int]:
                found = Buffer(settings).services().get(SHOP)
                return (found.events, found.throttled, found.folded) if found else (0, 0, 0)

            await until(lambda: counted() == (5, 2, 2))

    asyncio.run(scenario())


def test_known_issues_are_never_folded_whoever_is_asked(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    quota = with_quota(settings, new_issues=1)
    known = some(30, name="known")

    async def before() -> None:
        async with nodes(with_quota(settings, rate_limit=10_000)) as (node,):
            await node.send(*known)

    asyncio.run(before())
    drain(Buffer(settings), engine)

    async def scenario() -> None:
        async with nodes(quota) as (node,):
            assert await node.send(*known, *some(2, name="new")) == {"kept": 31, "folded": 1}

    asyncio.run(scenario())


def test_while_mysql_is_away_the_budget_holds_and_gives_back_later(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    quota = with_quota(settings, new_issues=3)

    async def before() -> None:
        async with nodes(with_quota(settings, rate_limit=10_000)) as (node,):
            await node.send(*some(2, name="known"))

    asyncio.run(before())
    drain(Buffer(settings), engine)
    stack.kill("mysql")

    async def scenario() -> None:
        async with nodes(quota) as (node,):
            # Nobody can tell what is known: it takes places as if it were new.
            assert await node.send(*some(2, name="known")) == {"kept": 2}
            assert await node.send(*some(3, name="new")) == {"kept": 1, "folded": 2}
            stack.start("mysql")
            drain(Buffer(settings), engine)
            await until(lambda: len(Buffer(settings).services()[SHOP].ages) == 1)
            assert await node.send(*some(4, name="later")) == {"kept": 2, "folded": 2}

    asyncio.run(scenario())


def test_a_group_in_the_spool_is_throttled_and_folded_later(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    quota = with_quota(
        settings,
        rate_limit=SLOW,
        rate_burst=6,
        new_issues=2,
        services={"nobody limits it": {"rate_limit": 0, "new_issues": 0}},
    )

    async def scenario() -> None:
        async with nodes(quota) as (node,):
            await lose_redis(stack, node)
            stack.kill("mysql")
            assert await node.send(*some(9)) == {"kept": 6, "throttled": 3}
            assert node.stores.state is State.SPOOL
            stack.start("mysql")
            await until(lambda: not files(settings.spool_folder))

    asyncio.run(scenario())
    seen = times_seen(engine)
    assert seen[overflow(SHOP).fingerprint] == 4
    assert sum(seen[event.fingerprint] for event in some(2)) == 2


def test_services_are_listed_with_redis_and_without(stack: Stack, settings: Settings) -> None:
    free = {"nobody limits it": {"rate_limit": 0, "new_issues": 0}}
    quota = with_quota(settings, rate_limit=SLOW, rate_burst=5, new_issues=2, services=free)

    async def scenario() -> None:
        async with nodes(quota) as (node,):
            await node.send(*some(7))
            await node.send(*some(1, service="search"))
            listed = services.view(node.limits, Buffer(settings))
            assert listed.mode == "redis"
            first, second = listed.services
            assert first.model_dump() == {
                "service": SHOP,
                "events": 5,
                "throttled": 2,
                "folded": 3,
                "left": 0,
                "new_issues": 2,
                "new_issues_left": 0,
            }
            assert (second.service, second.events, second.left) == ("search", 1, 4)
            await lose_redis(stack, node)
            listed = await asyncio.to_thread(services.view, node.limits, Buffer(settings))
            assert listed.mode == "local"
            assert {each.service for each in listed.services} == {SHOP, "search"}

    asyncio.run(scenario())
