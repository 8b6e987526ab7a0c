"""Group commit: who shares a round trip, who may fail without the others, and what never blocks."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime

import pytest
from redis import RedisError
from rq import Queue

from async_dedup.buffer import Buffer
from async_dedup.digest import digest_queue, enqueue_digest
from async_dedup.fates import Folded, Verdict
from async_dedup.group_buffer import GroupBuffer
from async_dedup.ingest import FEW, MAX_GROUP, Added, Ingest
from loadtests.stack import Stack
from shared.answer import Refused
from shared.event import MAX_STACK_TRACE, Event
from shared.settings import Settings
from tests.parts import LIMIT, alone, counted, event, frozen

A, B = event("a"), event("b")


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture
def settings(stack: Stack) -> Settings:
    stack.reset()
    return stack.settings


@pytest.fixture
def buffer(settings: Settings) -> Buffer:
    return Buffer(settings)


class Watched(GroupBuffer):
    """The real one; remembers the groups, and how many of them were in flight at once."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.groups: list[int] = []
        self.in_flight = 0
        self.most_in_flight = 0

    def submit(self, events: Sequence[Event], seconds: float, added: Added) -> None:
        self.groups.append(len(events))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

        def landed(outcome: int | Verdict | Exception) -> None:
            self.in_flight -= 1
            added(outcome)

        super().submit(events, seconds, landed)


def no_nudge() -> None:
    pass


async def outcomes(ingest: Ingest, events: Sequence[Event]) -> list[BaseException | None]:
    """Why each of the requests that arrive together is not kept; None where it is."""
    return failures(await asyncio.gather(*map(ingest, events), return_exceptions=True))


def failures(answers: Sequence[datetime | Folded | BaseException]) -> list[BaseException | None]:
    return [answer if isinstance(answer, BaseException) else None for answer in answers]


def test_500_requests_share_groups_of_which_one_at_a_time_is_in_flight(
    settings: Settings, buffer: Buffer
) -> None:
    async def scenario() -> Watched:
        client = Watched(settings)
        ingest = Ingest(client, no_nudge)

        async def user(number: int) -> None:
            for _ in range(number % 50):  # turns of the loop, so that some come while a group is in flight
                await asyncio.sleep(0)
            for _ in range(4):
                await ingest(A)

        await asyncio.gather(*map(user, range(500)))
        await client.close()
        return client

    client = asyncio.run(scenario())
    assert client.most_in_flight == 1
    assert sum(client.groups) == 2000
    assert len(client.groups) < 200
    assert counted(buffer) == {A.fingerprint: 2000}


def test_no_group_is_so_large_that_its_script_holds_redis_up(settings: Settings, buffer: Buffer) -> None:
    async def scenario() -> Watched:
        client = Watched(settings)
        await outcomes(Ingest(client, no_nudge), [A] * (2 * MAX_GROUP + 1))
        await client.close()
        return client

    assert asyncio.run(scenario()).groups == [MAX_GROUP, MAX_GROUP, 1]
    assert counted(buffer) == {A.fingerprint: 2 * MAX_GROUP + 1}


def test_a_group_of_large_events_is_a_small_one(settings: Settings, buffer: Buffer) -> None:
    """1,000 of the largest would be 250 MiB, and hold Redis up for as long as it waits for its disk."""
    large = [event(f"large {number}", "x" * MAX_STACK_TRACE) for number in range(2 * FEW + 1)]

    async def scenario() -> Watched:
        client = Watched(settings)
        await outcomes(Ingest(client, no_nudge), [*large, *[A] * MAX_GROUP])
        await client.close()
        return client

    # Those without a stack trace share the last large one's group, as far as there is room in it.
    assert asyncio.run(scenario()).groups == [FEW, FEW, MAX_GROUP, 1]
    assert counted(buffer) == {A.fingerprint: MAX_GROUP, **{each.fingerprint: 1 for each in large}}


def test_a_request_that_is_cancelled_does_not_hurt_the_others_of_its_group(
    settings: Settings, buffer: Buffer
) -> None:
    async def scenario() -> list[BaseException | None]:
        client = GroupBuffer(settings)
        ingest = Ingest(client, no_nudge)
        requests = [asyncio.ensure_future(ingest(each)) for each in (A, A, B)]
        await asyncio.sleep(0)  # one turn of the loop: all three have joined the group
        requests[0].cancel()
        async with asyncio.timeout(LIMIT):
            answers = await asyncio.gather(*requests, return_exceptions=True)
        await client.close()
        return failures(answers)

    gone, *others = asyncio.run(scenario())
    assert isinstance(gone, asyncio.CancelledError)
    assert others == [None, None]
    assert counted(buffer) == {A.fingerprint: 2, B.fingerprint: 1}


class Broken(GroupBuffer):
    """Fails once in a way that nobody thought of, which the real one can't be made to do."""

    broken = True

    def submit(self, events: Sequence[Event], seconds: float, added: Added) -> None:
        if self.broken:
            self.broken = False
            raise ZeroDivisionError
        super().submit(events, seconds, added)


def test_an_unexpected_error_reaches_every_request_of_its_group_and_no_later_one(
    settings: Settings, buffer: Buffer
) -> None:
    async def scenario() -> tuple[list[BaseException | None], BaseException | None]:
        client = Broken(settings)
        ingest = Ingest(client, no_nudge)
        async with asyncio.timeout(10):
            failed = await outcomes(ingest, [A, B])
            later = (await outcomes(ingest, [B]))[0]
        await client.close()
        return failed, later

    failed, later = asyncio.run(scenario())
    assert [type(error) for error in failed] == [ZeroDivisionError, ZeroDivisionError]
    assert later is None
    assert counted(buffer) == {B.fingerprint: 1}


def test_the_loop_runs_on_while_the_worker_can_not_be_told(
    settings: Settings, buffer: Buffer, silent_port: int
) -> None:
    queue = digest_queue(settings.model_copy(update={"redis_port": silent_port}), timeout=2.0)
    started, ended = threading.Event(), threading.Event()

    def nudge() -> None:
        started.set()
        try:
            enqueue_digest(queue)
        finally:
            ended.set()

    async def scenario() -> int:
        client = GroupBuffer(settings)
        ingest = Ingest(client, nudge)
        await ingest(A)
        await asyncio.to_thread(started.wait, 10)
        acknowledged = 0
        while not ended.is_set() and acknowledged < 100:
            await ingest(A)
            acknowledged += 1
        in_time = not ended.is_set()
        await asyncio.to_thread(ended.wait, 10)
        await client.close()
        return acknowledged if in_time else 0

    assert asyncio.run(scenario()) == 100
    assert counted(buffer) == {A.fingerprint: 101}


def test_first_events_that_come_together_leave_one_job(settings: Settings, buffer: Buffer) -> None:
    async def scenario() -> int:
        client = GroupBuffer(settings)
        nudged = asyncio.Event()
        loop, calls = asyncio.get_running_loop(), 0

        def nudge() -> None:
            nonlocal calls
            calls += 1
            enqueue_digest(digest_queue(settings, 2.0))
            loop.call_soon_threadsafe(nudged.set)

        ingest = Ingest(client, nudge)
        for number in range(50):
            await ingest(event(f"first {number}"))
        async with asyncio.timeout(10):
            await nudged.wait()
        await client.close()
        return calls

    assert asyncio.run(scenario()) <= 2  # a slow machine may need more than one NUDGE_INTERVAL for all 50
    assert Queue("digest", connection=buffer.redis).count == 1


def test_known_fingerprints_leave_the_worker_alone(settings: Settings, buffer: Buffer) -> None:
    async def scenario() -> int:
        client = GroupBuffer(settings)
        await client.add([A])
        calls = 0

        def nudge() -> None:
            nonlocal calls
            calls += 1

        ingest = Ingest(client, nudge)
        for _ in range(10):
            await ingest(A)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*tasks)
        await client.close()
        return calls

    assert asyncio.run(scenario()) == 0


def test_a_frozen_redis_turns_into_503_and_no_count_is_wrong_when_it_thaws(
    stack: Stack, settings: Settings, buffer: Buffer
) -> None:
    """Each group is tried twice, and both tries reach Redis in the end: neither counts twice."""
    impatient = settings.model_copy(update={"redis_timeout": 0.3})

    async def scenario() -> tuple[int, int]:
        client = GroupBuffer(impatient)
        ingest = Ingest(client, no_nudge)
        await ingest(A)
        with frozen(stack.pid("redis")):
            first = asyncio.gather(*map(ingest, [A, A, B]), return_exceptions=True)
            await asyncio.sleep(0)
            second = asyncio.gather(*map(ingest, [A, B, B]), return_exceptions=True)
            async with asyncio.timeout(LIMIT):
                answers = [*await first, *await second]
        assert all(isinstance(answer, Refused) and answer.status == 503 for answer in answers)
        thawed = await outcomes(ingest, [A, B])
        await client.close()
        return 1 + thawed.count(None), len(answers)

    acknowledged, unanswered = asyncio.run(scenario())
    assert acknowledged == 3
    assert acknowledged <= sum(counted(buffer).values()) <= acknowledged + unanswered


async def timed(ingest: Ingest, event: Event) -> float:
    """Seconds until it was refused."""
    started = time.monotonic()
    with pytest.raises(Refused):
        await ingest(event)
    return time.monotonic() - started


@pytest.mark.parametrize("redis_connected", [True, False])
def test_who_waits_behind_a_frozen_group_is_refused_in_its_own_time(
    stack: Stack, settings: Settings, redis_connected: bool
) -> None:
    impatient = settings.model_copy(update={"redis_timeout": 1.0})

    async def scenario() -> list[float]:
        client = GroupBuffer(impatient)
        ingest = Ingest(client, no_nudge)
        if redis_connected:
            await ingest(A)
        with frozen(stack.pid("redis")):
            requests = []
            for _ in range(12):  # through two groups that fail, and beyond
                requests += [asyncio.create_task(timed(ingest, each)) for each in (A, B)]
                await asyncio.sleep(0.2)
            waited = await asyncio.gather(*requests)
        assert await outcomes(ingest, [A, B]) == [None, None]
        await client.close()
        return waited

    assert max(asyncio.run(scenario())) < 1.9  # of 1, on a busy machine


def test_what_was_never_sent_is_refused_and_not_counted(
    stack: Stack, settings: Settings, buffer: Buffer
) -> None:
    async def scenario() -> None:
        client = Watched(settings.model_copy(update={"redis_timeout": 0.5}))
        ingest = Ingest(client, no_nudge)
        await ingest(A)
        with frozen(stack.pid("redis")):
            sent = asyncio.create_task(timed(ingest, A))
            for _ in range(2):  # turns of the loop: the request waits, then its group is in flight
                await asyncio.sleep(0)
            assert client.groups == [1, 1]
            await asyncio.gather(sent, timed(ingest, B))
        assert client.groups == [1, 1]
        assert await outcomes(ingest, [A]) == [None]
        await client.close()

    asyncio.run(scenario())
    assert set(counted(buffer)) == {A.fingerprint}


def test_a_group_takes_those_that_have_time_left(stack: Stack, settings: Settings, buffer: Buffer) -> None:
    """Redis is back in time for who came late, and too late for who came early."""

    async def scenario() -> list[BaseException | None]:
        client = GroupBuffer(settings)
        ingest = Ingest(client, no_nudge)
        await ingest(A)
        with frozen(stack.pid("redis")):
            early = [asyncio.create_task(ingest(A))]
            await asyncio.sleep(0.01)
            early.append(asyncio.create_task(ingest(A)))
            await asyncio.sleep(0.7 * settings.redis_timeout)
            late = asyncio.create_task(ingest(B))
            await asyncio.wait(early)
        answers = await asyncio.gather(*early, late, return_exceptions=True)
        await client.close()
        return failures(answers)

    *early, late = asyncio.run(scenario())
    assert [type(failure) for failure in early] == [Refused, Refused]
    assert late is None
    assert counted(buffer)[B.fingerprint] == 1


def test_a_redis_that_is_killed_keeps_what_it_acknowledged(
    stack: Stack, settings: Settings, buffer: Buffer
) -> None:
    async def scenario() -> tuple[int, int]:
        client = GroupBuffer(settings)
        ingest = Ingest(client, no_nudge)
        acknowledged = unanswered = 0

        async def user() -> None:
            nonlocal acknowledged, unanswered
            while not unanswered and acknowledged < 10_000:
                try:
                    await ingest(A)
                    acknowledged += 1
                except Refused:
                    unanswered += 1
                if acknowledged == 2000:
                    stack.kill("redis")

        await asyncio.gather(*(user() for _ in range(20)))
        await client.close()
        return acknowledged, unanswered

    acknowledged, unanswered = asyncio.run(scenario())
    stack.start("redis")
    assert acknowledged >= 2000
    assert unanswered
    assert acknowledged <= counted(buffer)[A.fingerprint] <= acknowledged + unanswered


def test_only_redis_and_no_other_part_can_make_the_ingest_wait(stack: Stack, settings: Settings) -> None:
    async def scenario() -> list[BaseException | None]:
        client = GroupBuffer(settings)
        answers = await outcomes(Ingest(client, no_nudge), [A, B])
        await client.close()
        return answers

    with frozen(stack.pid("mysql")):
        assert asyncio.run(scenario()) == [None, None]


def test_without_redis_a_request_is_refused_with_the_time_to_come_back(settings: Settings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = settings.model_copy(update={"redis_port": unused.getsockname()[1]})

        async def scenario() -> BaseException | None:
            client = GroupBuffer(nowhere)
            answer = (await outcomes(Ingest(client, no_nudge), [A]))[0]
            await client.close()
            return answer

        refused = asyncio.run(scenario())
    assert isinstance(refused, Refused)
    assert (refused.status, refused.headers) == (503, {"Retry-After": "1"})
    assert not isinstance(refused, RedisError)
