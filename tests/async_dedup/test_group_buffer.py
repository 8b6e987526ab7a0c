"""Groups against a real Redis: what they count, and what lost answers, forks and a forgetful Redis change."""

import asyncio
import time
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from async_dedup import group_buffer
from async_dedup.buffer import Buffer
from async_dedup.fates import Verdict
from async_dedup.group_buffer import KNOWN_PERIOD, GroupBuffer, NobodyKnows
from async_dedup.link import Link
from loadtests.stack import Stack
from shared.settings import Settings
from tests.parts import (
    LIMIT,
    add,
    alone,
    claimed,
    counted,
    event,
    first_events,
    frozen,
    full,
    open_buffer,
    running,
    wait_until,
)
from tests.wire import Loss, wire

A, B = event("a", "trace of a"), event("b")


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


def test_a_group_counts_each_fingerprint_by_its_events(settings: Settings, buffer: Buffer) -> None:
    asyncio.run(add(settings, [A, B, A], [A]))
    assert open_buffer(buffer) == {A.fingerprint: 3, B.fingerprint: 1}


def test_who_waits_is_told_once_though_it_fails(settings: Settings) -> None:
    told: list[int | Verdict | Exception] = []

    def added(outcome: int | Verdict | Exception) -> None:
        told.append(outcome)
        raise ZeroDivisionError

    async def scenario() -> None:
        client = GroupBuffer(settings)
        client.submit([A], LIMIT, added)  # over its first connection
        await asyncio.wait([client._seeing])
        assert isinstance(client._seeing.exception(), ZeroDivisionError)
        await client.close()

    asyncio.run(scenario())
    assert told == [1]


def test_only_the_first_event_of_an_unknown_fingerprint_is_kept(settings: Settings, buffer: Buffer) -> None:
    again = event("a", "another trace")
    assert asyncio.run(add(settings, [A, again], [again, B])) == [1, 1]
    assert [first.event for first in first_events(buffer)] == [A, B]


def test_a_process_sends_a_payload_once_in_each_period(
    settings: Settings, buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> list[int | Verdict]:
        client, firsts = GroupBuffer(settings), []
        for period in (KNOWN_PERIOD, KNOWN_PERIOD, 0):
            monkeypatch.setattr(group_buffer, "KNOWN_PERIOD", period)
            firsts.append(await client.add([A]))
            buffer.claim()
        await client.close()
        return firsts

    assert asyncio.run(scenario()) == [1, 0, 1]


def test_what_a_process_remembers_has_a_bound(
    settings: Settings, buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> list[int | Verdict]:
        client, firsts = GroupBuffer(settings), []
        for most in (2, 2, 1):
            monkeypatch.setattr(group_buffer, "MAX_KNOWN", most)
            firsts.append(await client.add([A, B]))
            buffer.claim()
        await client.close()
        return firsts

    assert asyncio.run(scenario()) == [2, 0, 2]


@pytest.mark.parametrize("known_without", [False, True])
def test_the_first_stack_trace_is_never_left_out(
    settings: Settings, buffer: Buffer, known_without: bool
) -> None:
    """Whether the fingerprint came without one before or in the same group."""
    bare, traced, again = event("a"), event("a", "the first"), event("a", "too late")

    groups = [[bare], [bare, traced], [again]] if known_without else [[bare, traced, again], [bare], [again]]
    assert asyncio.run(add(settings, *groups)) == ([1, 1, 0] if known_without else [1, 0, 0])
    traces = [first.event.stack_trace for first in first_events(buffer)]
    assert traces == ([None, "the first"] if known_without else ["the first"])


def test_the_first_stack_trace_may_come_through_another_process(settings: Settings, buffer: Buffer) -> None:
    for each in (event("a"), event("a", "the first")):
        asyncio.run(add(settings, [each]))
    assert [first.event.stack_trace for first in first_events(buffer)] == [None, "the first"]


@pytest.mark.parametrize("forgotten", ["hpt:*", "hpt:group:*"])
def test_a_process_that_redis_forgot_sends_its_payloads_again(
    settings: Settings, buffer: Buffer, forgotten: str
) -> None:
    async def scenario() -> list[int | Verdict]:
        client = GroupBuffer(settings)
        answers = [await client.add([A]), await client.add([A])]
        buffer.redis.delete(*buffer.redis.keys(forgotten))
        answers += [await client.add([A, A]), await client.add([A])]
        await client.close()
        return answers

    everything = forgotten == "hpt:*"
    assert asyncio.run(scenario()) == [1, 0, 1, 0]
    assert counted(buffer) == {A.fingerprint: 3 if everything else 5}
    assert [first.event for first in first_events(buffer)] == ([A] if everything else [A, A])


@pytest.mark.parametrize("loss", ["cut", "swallowed"])
def test_a_group_whose_answer_is_lost_counts_once(settings: Settings, buffer: Buffer, loss: Loss) -> None:
    async def scenario() -> list[int | Verdict]:
        async with wire(settings.redis_port) as proxy:
            through = settings.model_copy(update={"redis_port": proxy.port, "redis_timeout": 0.3})
            client = GroupBuffer(through)
            answers = [await client.add([A])]
            proxy.lose = loss
            answers += [await client.add([A, B]), await client.add([B])]
            await client.close()
            assert proxy.lost == 1
            return answers

    assert asyncio.run(scenario()) == [1, -1, 0]
    assert counted(buffer) == {A.fingerprint: 2, B.fingerprint: 2}
    assert len(first_events(buffer)) == 2


def test_a_connection_that_was_killed_between_two_groups_costs_nothing(
    settings: Settings, buffer: Buffer
) -> None:
    async def scenario() -> list[int | Verdict]:
        client = GroupBuffer(settings)
        answers = [await client.add([A])]
        await asyncio.to_thread(buffer.redis.client_kill_filter, _type="normal", skipme=True)
        answers.append(await client.add([A, B]))
        await client.close()
        return answers

    assert asyncio.run(scenario()) == [1, 1]
    assert counted(buffer) == {A.fingerprint: 2, B.fingerprint: 1}


@pytest.mark.parametrize("forgotten", ["hpt:*", "hpt:group:*"])
@pytest.mark.parametrize("groups_before", [0, 1])
def test_a_retry_that_finds_itself_forgotten_is_not_counted_again(
    settings: Settings, buffer: Buffer, forgotten: str, groups_before: int
) -> None:
    """Redis was emptied, or the key expired, between the two tries."""

    async def scenario() -> int | Verdict:
        async with wire(settings.redis_port) as proxy:
            client = GroupBuffer(settings.model_copy(update={"redis_port": proxy.port}))
            for _ in range(groups_before):
                await client.add([A])
            proxy.meanwhile = lambda: buffer.redis.delete(*buffer.redis.keys(forgotten))
            proxy.lose = "cut"
            with pytest.raises(redis.RedisError):
                await client.add([A])
            assert proxy.lost == 1
            before = counted(buffer).get(A.fingerprint, 0)
            await client.add([A])
            await client.close()
            return before

    before = asyncio.run(scenario())
    assert before == (0 if forgotten == "hpt:*" else groups_before + 1)
    assert counted(buffer) == {A.fingerprint: before + 1}


def test_a_connection_that_redis_has_closed_costs_no_try(settings: Settings, buffer: Buffer) -> None:
    """Else the first group after a silence would be a retry, and Redis may have forgotten its process."""

    async def scenario() -> int | Verdict:
        client = GroupBuffer(settings)
        await client.add([A])
        await asyncio.to_thread(buffer.redis.client_kill_filter, _type="normal", skipme=True)
        buffer.redis.delete(*buffer.redis.keys("hpt:group:*"))
        link = client._link
        assert link is not None
        await asyncio.to_thread(wait_until, lambda: not link.is_open)  # until it is known here, too
        answer = await client.add([A])
        await client.close()
        return answer

    assert asyncio.run(scenario()) == 1
    assert counted(buffer) == {A.fingerprint: 2}


FORKED = """
import asyncio, os
from async_dedup.app import create_app
from async_dedup.group_buffer import GroupBuffer
from shared.settings import Settings
from tests.parts import event

async def add(groups):
    for _ in range(groups):
        await buffer.add([event("a")])
    await buffer.close()

create_app()
buffer = GroupBuffer(Settings())
asyncio.run(add({before}))
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        asyncio.run(add(50))
        os._exit(0)
    children.append(child)
asyncio.run(add(50))
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
"""


@pytest.mark.parametrize("before", [0, 5])
def test_a_process_that_forks_shares_no_identity_with_its_children(
    settings: Settings, buffer: Buffer, tmp_path: Path, before: int
) -> None:
    with running(settings, tmp_path / "log", "-c", FORKED.replace("{before}", str(before))) as process:
        assert process.wait(LIMIT) == 0, (tmp_path / "log").read_text()
    assert counted(buffer) == {event("a").fingerprint: 4 * 50 + before}


MEMORY = ("_process", "_group", "_introduced", "_known")


@pytest.mark.parametrize("loss", [None, "cut"])
def test_two_processes_with_one_memory_count_every_group_once(
    settings: Settings, buffer: Buffer, loss: Loss | None
) -> None:
    """As two machines that were started from one snapshot have it; process ids may be the same too."""

    async def scenario() -> int | Verdict:
        acknowledged = 5
        async with wire(settings.redis_port) as proxy:
            first, second = (
                GroupBuffer(settings.model_copy(update={"redis_port": proxy.port})) for _ in "ab"
            )
            for _ in range(acknowledged):
                await first.add([A])
            vars(second).update({name: copy(vars(first)[name]) for name in MEMORY})
            proxy.lose = loss
            for client in (first, second, second, first, second):
                await client.add([A])
                acknowledged += 1
            await first.close()
            await second.close()
        return acknowledged

    assert asyncio.run(scenario()) == 10
    assert counted(buffer) == {A.fingerprint: 10}


def test_an_answer_that_is_another_groups_is_not_believed(settings: Settings, buffer: Buffer) -> None:
    """The group never arrived; meanwhile another with the same number did."""

    async def scenario() -> None:
        first, second = GroupBuffer(settings), GroupBuffer(settings)
        await first.add([A])
        vars(second).update({name: copy(vars(first)[name]) for name in MEMORY})
        connect, tries = first._connect, 0
        first._link = None

        async def fail_once() -> Link:
            nonlocal tries
            tries += 1
            link = await connect()
            if tries == 1:
                await second.add([B])
                raise redis.ConnectionError("cut before anything was sent")
            return link

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(first, "_connect", fail_once)
            with pytest.raises(redis.RedisError):
                await first.add([A])
        await first.close()
        await second.close()

    asyncio.run(scenario())
    assert counted(buffer) == {A.fingerprint: 1, B.fingerprint: 1}


@pytest.mark.parametrize("port", ["redis", "silent"])
def test_redis_that_does_not_answer_is_given_up_in_time(
    stack: Stack, settings: Settings, silent_port: int, port: str
) -> None:
    """Both tries, and connecting, share the seconds."""
    patience = 2.0

    async def scenario() -> float:
        client = GroupBuffer(settings)
        await client.add([A])
        if port == "silent":
            await client.close()
            client = GroupBuffer(settings.model_copy(update={"redis_port": silent_port}))
        with frozen(stack.pid("redis")):
            started = time.monotonic()
            with pytest.raises(NobodyKnows, match="did not answer in time"):
                await client.add([A], patience)
            waited = time.monotonic() - started
        await client.close()
        return waited

    assert asyncio.run(scenario()) < 1.9 * patience


def test_a_frozen_redis_is_not_owed_what_it_did_not_read(stack: Stack, settings: Settings) -> None:
    """Else each group that fails stays in memory, and on its connection, until Redis thaws."""
    large = [event(f"large {number}", str(number) * 60_000) for number in range(200)]

    others = connections_to(settings.redis_port)  # of tests before this one

    async def scenario() -> None:
        client = GroupBuffer(settings)
        await client.add([A])
        with frozen(stack.pid("redis")):
            with pytest.raises(NobodyKnows, match="did not answer in time"):
                await client.add(large, 0.5)
            await asyncio.to_thread(wait_until, lambda: connections_to(settings.redis_port) <= others, 5)
        await client.close()

    asyncio.run(scenario())


def connections_to(port: int) -> set[Any]:
    every = psutil.Process().net_connections()
    return {each.laddr for each in every if each.raddr and each.raddr.port == port}


def test_two_processes_number_their_groups_apart(settings: Settings, buffer: Buffer) -> None:
    for _ in range(2):
        asyncio.run(add(settings, [A]))
    assert counted(buffer) == {A.fingerprint: 2}


def test_a_buffer_that_is_full_is_sealed_at_once_and_loses_nothing(
    settings: Settings, buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_buffer, "MAX_FINGERPRINTS", 5)
    events = [event(f"event {number}") for number in range(12)]
    asyncio.run(add(settings, *([each] for each in events)))
    assert [len(batch.counts) for batch in claimed(buffer)] == [5, 5]
    assert counted(buffer) == {each.fingerprint: 1 for each in events}


def test_a_full_redis_refuses_a_group_as_a_whole_and_evicts_nothing(
    settings: Settings, buffer: Buffer
) -> None:
    asyncio.run(add(settings, [A]))
    with full(buffer.redis), pytest.raises(redis.OutOfMemoryError):
        asyncio.run(add(settings, [A, B]))
    assert counted(buffer) == {A.fingerprint: 1}
    assert [first.event for first in first_events(buffer)] == [A]
    assert buffer.redis.info("stats")["evicted_keys"] == 0


def test_a_group_that_redis_acknowledged_survives_its_kill(
    stack: Stack, settings: Settings, buffer: Buffer
) -> None:
    async def scenario() -> int | Verdict:
        client = GroupBuffer(settings)
        for _ in range(200):
            await client.add([A, B])
        stack.kill("redis")
        await client.close()
        return 200

    groups = asyncio.run(scenario())
    stack.start("redis")
    assert counted(buffer) == {A.fingerprint: groups, B.fingerprint: groups}
    assert len(first_events(buffer)) == 2
