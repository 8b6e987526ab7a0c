"""The scheduler's tick, and its process when something that it needs is away."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from rq import Queue
from sqlalchemy import Engine

from async_dedup import scheduler
from async_dedup.buffer import Buffer
from async_dedup.digest import digest_queue, enqueue_digest
from async_dedup.scheduler import tick
from loadtests.stack import Stack
from shared.answer import now
from tests.conftest import free_settings
from tests.parts import (
    LIMIT,
    add,
    alone,
    counted,
    drain,
    event,
    frozen,
    full,
    locked_issue,
    open_buffer,
    rows,
    running,
    servers_up,
    times_seen,
    wait_until,
)

A, B = event("a"), event("b")
MANY = 40
"""Batches: more than are applied before a process has noticed a signal."""


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture
def buffer(stack: Stack) -> Iterator[Buffer]:
    stack.reset()
    yield Buffer(stack.settings)
    stack.stop_twin("async_dedup")
    servers_up(stack)


def test_a_tick_flushes(stack: Stack, buffer: Buffer, engine: Engine, queue: Queue) -> None:
    asyncio.run(add(stack.settings, [A, A]))
    tick(buffer, engine, queue)
    assert times_seen(engine) == {A.fingerprint: 2}


def test_a_job_that_was_lost_is_enqueued_again_and_only_once(
    stack: Stack, buffer: Buffer, engine: Engine, queue: Queue
) -> None:
    asyncio.run(add(stack.settings, [A]))
    enqueue_digest(queue)
    queue.empty()  # type: ignore[no-untyped-call]
    for _ in range(2):
        tick(buffer, engine, queue)
    assert queue.count == 1


def test_without_first_events_there_is_no_job(
    stack: Stack, buffer: Buffer, engine: Engine, queue: Queue
) -> None:
    tick(buffer, engine, queue)
    assert queue.count == 0


def test_a_full_redis_empties_itself_though_no_job_can_be_enqueued(
    stack: Stack, buffer: Buffer, engine: Engine, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(add(stack.settings, [A, B]))
    monkeypatch.setattr(scheduler, "LATE_DIGEST", 0.0)
    with full(buffer.redis):
        for _ in range(2):
            tick(buffer, engine, queue)
        assert counted(buffer) == {}
        assert buffer.state().first_events == 0
    assert {row["message"]: row["times_seen"] for row in rows(engine).values()} == {"a": 1, "b": 1}


@pytest.mark.parametrize("server", ["mysql", "redis"])
def test_the_process_outlives_a_server_and_then_flushes(
    stack: Stack, buffer: Buffer, engine: Engine, tmp_path: Path, server: str
) -> None:
    log = tmp_path / "log"
    with running(stack.settings, log, "-m", "async_dedup.scheduler") as process:
        wait_until(lambda: buffer.state().flushed_at)
        with frozen(process.pid):
            asyncio.run(add(stack.settings, [A]))
            stack.kill(server)
        wait_until(lambda: "will be tried again" in log.read_text())
        stack.start(server)
        wait_until(lambda: times_seen(engine) == {A.fingerprint: 1})
        assert process.poll() is None


@contextmanager
def killed(stack: Stack) -> Iterator[None]:
    stack.kill("mysql")
    try:
        yield
    finally:
        stack.start("mysql")


@pytest.mark.parametrize("away", [killed, lambda stack: frozen(stack.pid("mysql"))], ids=["killed", "frozen"])
def test_while_mysql_is_away_each_interval_keeps_its_own_time(
    stack: Stack,
    buffer: Buffer,
    engine: Engine,
    tmp_path: Path,
    away: Callable[[Stack], AbstractContextManager[None]],
) -> None:
    with running(stack.settings, tmp_path / "log", "-m", "async_dedup.scheduler"):
        wait_until(lambda: buffer.state().flushed_at)
        with away(stack):
            for sealed, each in enumerate((A, B), 1):
                asyncio.run(add(stack.settings, [each]))
                wait_until(lambda: open_buffer(buffer) == {})
                assert buffer.state().batches == sealed
            later = now()
            asyncio.run(add(stack.settings, [event("c")]))
        wait_until(lambda: len(times_seen(engine)) == 3)
    assert set(times_seen(engine).values()) == {1}
    last_seen = {key: row["last_seen"] for key, row in rows(engine).items()}
    assert last_seen[A.fingerprint] < last_seen[B.fingerprint] < later


def test_only_so_many_batches_are_sealed_and_none_while_flushes_keep_up(stack: Stack, buffer: Buffer) -> None:
    long_ago, just_now = 0.0, 60.0  # the interval that the last flush is to be within
    asyncio.run(add(stack.settings, [A]))
    buffer.claim()
    scheduler.seal(buffer, just_now)
    assert buffer.state().batches == 1
    for _ in range(scheduler.MAX_SEALED + 5):
        asyncio.run(add(stack.settings, [A]))
        scheduler.seal(buffer, long_ago)
    assert buffer.state().batches == scheduler.MAX_SEALED
    assert counted(buffer) == {A.fingerprint: scheduler.MAX_SEALED + 6}


def test_two_processes_give_the_totals_of_one(
    stack: Stack, buffer: Buffer, engine: Engine, tmp_path: Path
) -> None:
    often = stack.settings.model_copy(update={"flush_interval": 0.1})
    second = often.model_copy(update={"scheduler_metrics_port": free_settings().scheduler_metrics_port})
    with (
        running(often, tmp_path / "first", "-m", "async_dedup.scheduler"),
        running(second, tmp_path / "second", "-m", "async_dedup.scheduler"),
    ):
        wait_until(lambda: buffer.state().flushed_at)
        asyncio.run(add(stack.settings, *([A, A, B] for _ in range(2000))))
        wait_until(lambda: not counted(buffer))
    assert times_seen(engine) == {A.fingerprint: 4000, B.fingerprint: 2000}


def test_asked_to_end_it_leaves_the_batches_behind_the_one_in_its_hands(
    stack: Stack, buffer: Buffer, engine: Engine, tmp_path: Path
) -> None:
    """After an outage all of them take minutes; whoever has asked kills it before that."""
    asyncio.run(add(stack.settings, [A]))
    drain(buffer, engine)
    buffer.redis.delete("hpt:flushed_at")
    with running(stack.settings, tmp_path / "log", "-m", "async_dedup.scheduler") as process:
        wait_until(lambda: buffer.state().flushed_at)
        with locked_issue(stack, "a"):
            with frozen(process.pid):
                for _ in range(MANY):
                    asyncio.run(add(stack.settings, [A]))
                    buffer.claim()
            wait_until(lambda: writing(stack))
            process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0
    assert (tmp_path / "log").read_text() == ""
    assert 0 < len(buffer.batches()) < MANY
    tick(buffer, engine, digest_queue(stack.settings, 2.0))
    assert times_seen(engine) == {A.fingerprint: 1 + MANY}


def writing(stack: Stack) -> bool:
    """Whether a statement of the twin that writes issues is at work."""
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM information_schema.processlist WHERE info LIKE 'INSERT INTO issues%'")
        return cursor.rowcount > 0


def test_asked_to_end_it_does_and_leaves_no_batch_half_done(
    stack: Stack, buffer: Buffer, engine: Engine, tmp_path: Path
) -> None:
    with running(stack.settings, tmp_path / "log", "-m", "async_dedup.scheduler") as process:
        wait_until(lambda: buffer.state().flushed_at)
        asyncio.run(add(stack.settings, [A, B]))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert (tmp_path / "log").read_text() == ""
    tick(buffer, engine, digest_queue(stack.settings, 2.0))
    assert times_seen(engine) == {A.fingerprint: 1, B.fingerprint: 1}
