"""The buffer against a real Redis: what a group counts, and what a lost answer or a full Redis changes."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest
import redis
from rq import Queue
from sqlalchemy import Engine

from async_dedup import group_buffer, keys
from async_dedup.buffer import Buffer
from async_dedup.digest import digest_queue, digest_some, enqueue_digest
from async_dedup.flush import flush
from async_dedup.group_buffer import KNOWN_PERIOD, GroupBuffer
from loadtests.stack import Stack
from shared.event import Event
from shared.settings import Settings
from tests.parts import (
    add,
    alone,
    claimed,
    commands,
    counted,
    drain,
    event,
    full,
    open_buffer,
    times_seen,
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


def test_only_the_first_event_of_an_unknown_fingerprint_is_kept(settings: Settings, buffer: Buffer) -> None:
    again = event("a", "another trace")
    assert asyncio.run(add(settings, [A, again], [again, B])) == [1, 1]
    assert [first.event for first in buffer.first_events(10)] == [A, B]


def test_a_process_sends_a_payload_once_in_each_period(
    settings: Settings, buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> list[int]:
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
    async def scenario() -> list[int]:
        client, firsts = GroupBuffer(settings), []
        for most in (2, 2, 1):
            monkeypatch.setattr(group_buffer, "MAX_KNOWN", most)
            firsts.append(await client.add([A, B]))
            buffer.claim()
        await client.close()
        return firsts

    assert asyncio.run(scenario()) == [2, 0, 2]


def test_a_payload_that_another_process_has_sent_is_not_kept_again(
    settings: Settings, buffer: Buffer
) -> None:
    assert [asyncio.run(add(settings, [A])) for _ in range(2)] == [[1], [0]]
    assert len(buffer.first_events(10)) == 1


@pytest.mark.parametrize("forgotten", ["hpt:*", "hpt:group:*"])
def test_a_process_that_redis_forgot_sends_its_payloads_again(
    settings: Settings, buffer: Buffer, forgotten: str
) -> None:
    async def scenario() -> list[int]:
        client = GroupBuffer(settings)
        answers = [await client.add([A]), await client.add([A])]
        buffer.redis.delete(*buffer.redis.keys(forgotten))
        answers += [await client.add([A, A]), await client.add([A])]
        await client.close()
        return answers

    everything = forgotten == "hpt:*"
    assert asyncio.run(scenario()) == [1, 0, 1 if everything else 0, 0]
    assert counted(buffer) == {A.fingerprint: 3 if everything else 5}
    assert [first.event for first in buffer.first_events(10)] == [A]


@pytest.mark.parametrize("loss", ["cut", "swallowed"])
def test_a_group_whose_answer_is_lost_counts_once(settings: Settings, buffer: Buffer, loss: Loss) -> None:
    async def scenario() -> list[int]:
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
    assert len(buffer.first_events(10)) == 2


def test_a_connection_that_was_killed_between_two_groups_costs_nothing(
    settings: Settings, buffer: Buffer
) -> None:
    async def scenario() -> list[int]:
        client = GroupBuffer(settings)
        answers = [await client.add([A])]
        await asyncio.to_thread(buffer.redis.client_kill_filter, _type="normal", skipme=True)
        answers.append(await client.add([A, B]))
        await client.close()
        return answers

    assert asyncio.run(scenario()) == [1, 1]
    assert counted(buffer) == {A.fingerprint: 2, B.fingerprint: 1}


def test_two_processes_number_their_groups_apart(settings: Settings, buffer: Buffer) -> None:
    for _ in range(2):
        asyncio.run(add(settings, [A]))
    assert counted(buffer) == {A.fingerprint: 2}


def test_scripts_come_back_after_redis_forgot_them(settings: Settings, buffer: Buffer) -> None:
    buffer.redis.script_flush()
    asyncio.run(add(settings, [A]))
    buffer.redis.script_flush()
    buffer.claim()
    assert [batch.counts for batch in claimed(buffer)] == [{A.fingerprint: 1}]


def test_to_claim_an_empty_buffer_does_nothing(settings: Settings, buffer: Buffer) -> None:
    buffer.claim()
    assert buffer.redis.dbsize() == 0


def test_a_claim_moves_every_count_into_one_batch(settings: Settings, buffer: Buffer) -> None:
    asyncio.run(add(settings, [A, B, A]))
    buffer.claim()
    buffer.claim()
    (batch,) = claimed(buffer)
    assert batch.counts == {A.fingerprint: 2, B.fingerprint: 1}
    assert open_buffer(buffer) == {}


def test_a_drop_takes_only_its_own_batch(settings: Settings, buffer: Buffer) -> None:
    for group in ([A], [B]):
        asyncio.run(add(settings, group))
        buffer.claim()
    first = buffer.batches()[0]
    for _ in range(2):
        buffer.drop(first)
    assert [batch.counts for batch in claimed(buffer)] == [{B.fingerprint: 1}]
    assert buffer.read(first) is None


def test_half_a_drop_is_finished_by_the_next_flush(
    settings: Settings, buffer: Buffer, engine: Engine
) -> None:
    asyncio.run(add(settings, [A]))
    buffer.claim()
    buffer.redis.unlink("hpt:batch:" + buffer.batches()[0])
    flush(buffer, engine)
    assert buffer.batches() == []


def test_a_buffer_that_is_full_is_sealed_at_once_and_loses_nothing(
    settings: Settings, buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_buffer, "MAX_FINGERPRINTS", 5)
    events = [event(f"event {number}") for number in range(12)]
    asyncio.run(add(settings, *([each] for each in events)))
    assert [len(batch.counts) for batch in claimed(buffer)] == [5, 5]
    assert counted(buffer) == {each.fingerprint: 1 for each in events}


def test_pending_adds_up_the_buffer_and_every_batch(settings: Settings, buffer: Buffer) -> None:
    for group in ([A, A], [A, B], [A]):
        asyncio.run(add(settings, group))
        if group != [A]:
            buffer.claim()
    assert buffer.pending([B.fingerprint, A.fingerprint, event("c").fingerprint]) == [1, 4, 0]


def test_counts_and_first_events_never_expire_and_the_rest_does(settings: Settings, buffer: Buffer) -> None:
    asyncio.run(add(settings, [A]))
    buffer.claim()
    asyncio.run(add(settings, [A, B]))
    expires = {
        key.decode().rsplit(":", 1)[0]: buffer.redis.ttl(key) for key in buffer.redis.scan_iter("hpt:*")
    }
    forever = {"hpt", "hpt:batch"}
    assert {prefix for prefix, ttl in expires.items() if ttl == -1} == forever
    assert 0 < expires["hpt:group"] <= 3600


def test_every_key_of_a_full_cycle_is_in_the_table_and_has_its_type(
    stack: Stack, settings: Settings, buffer: Buffer, engine: Engine
) -> None:
    """And every line of the table is seen, so that it can't outlive its key."""
    queue = digest_queue(settings, 1.0)
    seen = types_of_keys(buffer)
    asyncio.run(add(settings, [A]))
    buffer.claim()
    asyncio.run(add(settings, [A, B]))
    enqueue_digest(queue)
    seen |= types_of_keys(buffer)
    stack.start("worker")
    wait_until(lambda: not buffer.state().first_events)
    seen |= types_of_keys(buffer)
    stack.stop("worker")
    drain(buffer, engine)
    seen |= types_of_keys(buffer)
    assert {(key, kind) for key, kind in seen if key != "rq:*"} == documented_keys() - {("rq:*", "RQ's")}
    assert any(key == "rq:*" for key, _ in seen)


def types_of_keys(buffer: Buffer) -> set[tuple[str, str]]:
    """The keys as the table writes them: what varies in capitals."""
    varying = {"hpt:batch": "hpt:batch:ID", "hpt:group": "hpt:group:PROCESS"}
    found = set()
    for key in map(bytes.decode, buffer.redis.keys()):
        name = "rq:*" if key.startswith("rq:") else varying.get(key.rsplit(":", 1)[0], key)
        found.add((name, buffer.redis.type(key).decode()))
    return found


def documented_keys() -> set[tuple[str, str]]:
    assert keys.__doc__ is not None
    lines = [line.split("|") for line in keys.__doc__.splitlines() if line.startswith(("| hpt:", "| rq:"))]
    return {(cells[1].strip(), cells[2].strip()) for cells in lines}


def test_each_script_is_in_the_table_and_states_its_keys_and_arguments() -> None:
    scripts = {path.name: path.read_text() for path in Path(keys.__file__).parent.glob("lua/*.lua")}
    promised = [line.split("`")[1] for line in (keys.__doc__ or "").splitlines() if line.startswith("| `")]
    assert promised == sorted(scripts)
    for text in scripts.values():
        assert all(f"\n-- {word}" in text for word in ("KEYS: ", "ARGV: ", "Returns "))


def test_a_full_redis_refuses_a_group_as_a_whole_and_evicts_nothing(
    settings: Settings, buffer: Buffer
) -> None:
    asyncio.run(add(settings, [A]))
    with full(buffer.redis), pytest.raises(redis.OutOfMemoryError):
        asyncio.run(add(settings, [A, B]))
    assert counted(buffer) == {A.fingerprint: 1}
    assert [first.event for first in buffer.first_events(10)] == [A]
    assert buffer.redis.info("stats")["evicted_keys"] == 0


def test_counts_leave_a_full_redis_for_mysql(settings: Settings, buffer: Buffer, engine: Engine) -> None:
    asyncio.run(add(settings, [A]))
    with full(buffer.redis):
        flush(buffer, engine)
        assert digest_some(buffer, engine) == 1
    assert counted(buffer) == {}
    assert times_seen(engine) == {A.fingerprint: 1}


def test_the_number_of_commands_does_not_grow_with_the_events(
    settings: Settings, buffer: Buffer, engine: Engine
) -> None:
    cycle(settings, buffer, engine, [A])  # scripts are loaded, MySQL is connected
    few, many = (
        cycle(settings, buffer, engine, [event(f"{name} {number}") for number in range(size)])
        for name, size in (("few", 2), ("many", 400))
    )
    of_the_script = {"hincrby", "sismember", "sadd", "xadd"}
    assert {name: n for name, n in few.items() if name not in of_the_script} == {
        name: n for name, n in many.items() if name not in of_the_script
    }


def cycle(settings: Settings, buffer: Buffer, engine: Engine, group: list[Event]) -> dict[str, int]:
    """The Redis commands of one group's whole way to MySQL."""
    buffer.redis.config_resetstat()
    asyncio.run(add(settings, group))
    drain(buffer, engine)
    buffer.pending([each.fingerprint for each in group])
    return commands(buffer.redis)


def test_no_process_ever_looks_for_keys(stack: Stack, settings: Settings, buffer: Buffer) -> None:
    buffer.redis.config_resetstat()
    stack.start("worker")
    stack.start("scheduler")
    asyncio.run(add(settings, [A, B]))
    enqueue_digest(Queue("digest", connection=buffer.redis))
    wait_until(lambda: not (buffer.state().first_events or counted(buffer)))
    stack.stop_twin("async_dedup")
    used = set(commands(buffer.redis))
    assert {"evalsha", "xtrim", "blmove"} <= used
    assert not used & {"keys", "scan", "hscan", "sscan", "zscan", "randomkey"}


def test_a_batch_knows_when_the_last_of_its_events_came(settings: Settings, buffer: Buffer) -> None:
    asyncio.run(add(settings, [A]))
    before = time.time()
    asyncio.run(add(settings, [A]))
    after = time.time()
    buffer.claim()
    (batch,) = claimed(buffer)
    assert before - 1e-6 <= batch.last_seen.replace(tzinfo=UTC).timestamp() <= after + 1e-6


def test_a_group_that_redis_acknowledged_survives_its_kill(
    stack: Stack, settings: Settings, buffer: Buffer
) -> None:
    async def scenario() -> int:
        client = GroupBuffer(settings)
        for _ in range(200):
            await client.add([A, B])
        stack.kill("redis")
        await client.close()
        return 200

    groups = asyncio.run(scenario())
    stack.start("redis")
    assert counted(buffer) == {A.fingerprint: groups, B.fingerprint: groups}
    assert len(buffer.first_events(10)) == 2
