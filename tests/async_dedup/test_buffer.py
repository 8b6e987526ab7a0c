"""The buffer against a real Redis: what is claimed, dropped and pending, and what a full Redis changes."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest
from rq import Queue
from sqlalchemy import Engine

from async_dedup import keys
from async_dedup.buffer import Buffer
from async_dedup.digest import digest_queue, digest_some, enqueue_digest
from async_dedup.flush import flush
from async_dedup.group_buffer import GroupBuffer
from async_dedup.limits import Limits
from loadtests.stack import Stack
from shared.event import Event
from shared.quota import Quotas
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


def test_pending_is_in_the_buffer_and_in_every_batch(settings: Settings, buffer: Buffer) -> None:
    for group in ([A, A], [A, B], [A]):
        asyncio.run(add(settings, group))
        if group != [A]:
            buffer.claim()
    found = buffer.pending([B.fingerprint, A.fingerprint, event("c").fingerprint])
    newest_first = ["", *reversed(buffer.batches())]
    assert found == dict(zip(newest_first, [[0, 1, 0], [1, 1, 0], [0, 2, 0]], strict=True))


def test_of_very_many_batches_nobody_asks_for_the_sum(settings: Settings, buffer: Buffer) -> None:
    asyncio.run(add(settings, [A]))
    buffer.redis.rpush("hpt:batches", *(f"batch{number}" for number in range(keys.MAX_SUMMED)))
    assert buffer.pending([A.fingerprint]) == {"": [1]}
    buffer.redis.rpush("hpt:batches", "one more")
    assert buffer.pending([A.fingerprint]) is None


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
    asyncio.run(add_with_budget(settings, buffer))
    buffer.redis.xadd("hpt:first_events", {"nothing": "that is known"})
    buffer.want([A.fingerprint])
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


async def add_with_budget(settings: Settings, buffer: Buffer) -> None:
    limited = settings.model_copy(update={"new_issues": 1})
    client = GroupBuffer(limited, Limits(limited, Quotas(limited), buffer))
    await client.add([A])
    buffer.nodes("a node")
    await client.close()


def types_of_keys(buffer: Buffer) -> set[tuple[str, str]]:
    """The keys as the table writes them: what varies in capitals."""
    varying = {
        "hpt:batch": "hpt:batch:ID",
        "hpt:group": "hpt:group:PROCESS",
        "hpt:new_issues": "hpt:new_issues:S",
    }
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


def test_counts_leave_a_full_redis_for_mysql(settings: Settings, buffer: Buffer, engine: Engine) -> None:
    asyncio.run(add(settings, [A]))
    with full(buffer.redis):
        flush(buffer, engine)
        assert len(digest_some(buffer, engine).events) == 1
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
    of_the_script = {"hincrby", "xadd", "xread"}
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
