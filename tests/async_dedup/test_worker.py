"""The RQ worker's process: killed in the middle of a job, cut off from Redis, asked to end."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rq import Queue
from sqlalchemy import Engine

from async_dedup.buffer import Buffer
from async_dedup.digest import FAILED_JOB_SECONDS, digest_queue, enqueue_digest
from loadtests.stack import Stack
from tests.conftest import free_settings
from tests.parts import add, alone, event, rows, running, servers_up, wait_until

A, B = event("a"), event("b")


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


def messages(engine: Engine) -> set[str]:
    return {row["message"] for row in rows(engine).values()}


def test_a_job_digests_what_came_before_and_after_it_was_enqueued(
    stack: Stack, buffer: Buffer, engine: Engine, queue: Queue
) -> None:
    asyncio.run(add(stack.settings, [A]))
    enqueue_digest(queue)
    asyncio.run(add(stack.settings, [B]))
    stack.start("worker")
    wait_until(lambda: messages(engine) == {"a", "b"})
    assert queue.count == 0


def test_a_worker_that_is_killed_in_its_job_loses_nothing(
    stack: Stack, buffer: Buffer, engine: Engine, queue: Queue
) -> None:
    asyncio.run(add(stack.settings, [A]))
    stack.start("worker")
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLES issues WRITE")  # holds the job in the middle of its transaction
        enqueue_digest(queue)
        wait_until(lambda: waiting_for_the_lock(stack))
        stack.kill("worker")
    assert buffer.state().first_events == 1
    stack.start("worker")
    enqueue_digest(queue)
    wait_until(lambda: messages(engine) == {"a"})


def waiting_for_the_lock(stack: Stack) -> bool:
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        return bool(
            cursor.execute("SELECT 1 FROM information_schema.processlist WHERE state LIKE '%metadata lock%'")
        )


def test_a_worker_that_loses_redis_in_its_job_goes_on_with_the_next(
    stack: Stack, buffer: Buffer, engine: Engine, queue: Queue
) -> None:
    asyncio.run(add(stack.settings, [A]))
    stack.start("worker")
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLES issues WRITE")
        enqueue_digest(queue)
        wait_until(lambda: waiting_for_the_lock(stack))
        stack.kill("redis")
    stack.start("redis")
    asyncio.run(add(stack.settings, [B]))
    enqueue_digest(queue)
    wait_until(lambda: messages(engine) == {"a", "b"})
    assert stack.alive("worker")


def test_a_worker_outlives_mysql(stack: Stack, buffer: Buffer, engine: Engine, queue: Queue) -> None:
    stack.start("worker")
    asyncio.run(add(stack.settings, [A]))
    stack.kill("mysql")
    enqueue_digest(queue)
    wait_until(lambda: queue.failed_job_registry.count == 1)
    ((_, forgotten_at),) = buffer.redis.zscan_iter(queue.failed_job_registry.key)
    assert time.time() < forgotten_at <= time.time() + FAILED_JOB_SECONDS
    stack.start("mysql")
    enqueue_digest(queue)
    wait_until(lambda: messages(engine) == {"a"})


def test_two_workers_give_the_rows_of_one(
    stack: Stack, buffer: Buffer, engine: Engine, queue: Queue, tmp_path: Path
) -> None:
    events = [event(f"event {number}") for number in range(3000)]
    second = stack.settings.model_copy(update={"worker_metrics_port": free_settings().worker_metrics_port})
    stack.start("worker")
    with running(second, tmp_path / "log", "-m", "async_dedup.worker"):
        wait_until(lambda: buffer.redis.scard("rq:workers") == 2)
        for start in range(0, len(events), 100):
            asyncio.run(add(stack.settings, events[start : start + 100]))
            enqueue_digest(queue)
        wait_until(lambda: not buffer.state().first_events)
    assert sorted(row["message"] for row in rows(engine).values()) == sorted(e.message for e in events)


def is_idle(buffer: Buffer) -> bool:
    """Waits for a job; it is registered earlier, before it can take a signal."""
    return any(buffer.redis.hget(key, "state") == b"idle" for key in buffer.redis.smembers("rq:workers"))


@pytest.mark.parametrize("busy", [False, True])
def test_asked_to_end_it_finishes_its_job_and_does(
    stack: Stack, buffer: Buffer, engine: Engine, tmp_path: Path, busy: bool
) -> None:
    queue = digest_queue(stack.settings, 2.0)
    with running(stack.settings, tmp_path / "log", "-m", "async_dedup.worker") as process:
        wait_until(lambda: is_idle(buffer))
        asyncio.run(add(stack.settings, [A]))
        if busy:
            with stack.mysql.connect() as connection, connection.cursor() as cursor:
                cursor.execute("LOCK TABLES issues WRITE")
                enqueue_digest(queue)
                wait_until(lambda: waiting_for_the_lock(stack))
                process.send_signal(signal.SIGTERM)
        else:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert messages(engine) == ({"a"} if busy else set())
    assert buffer.state().first_events == (0 if busy else 1)


DEAF = """
from async_dedup import worker
worker.Worker._shutdown = lambda self: None  # RQ's, which raises StopRequested
worker.main()
"""


def test_it_ends_though_the_exception_that_says_so_is_lost(
    stack: Stack, buffer: Buffer, tmp_path: Path
) -> None:
    with running(stack.settings, tmp_path / "log", "-c", DEAF) as process:
        wait_until(lambda: is_idle(buffer))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


RAISING = """
import sys
from rq import SimpleWorker
from async_dedup import worker
teardown, left = SimpleWorker.teardown, [KeyError, AttributeError, AttributeError, OSError]

def fail(self):
    teardown(self)
    if left:
        raise left.pop()("whatever")

SimpleWorker.teardown = fail
worker.PAUSE = 0.01
SimpleWorker.check_for_suspension = lambda self, _: 1 / 0 if left else None
worker.main()
"""


def test_a_worker_outlives_whatever_rq_raises_and_says_so_once_for_each_kind(
    stack: Stack, buffer: Buffer, engine: Engine, queue: Queue, tmp_path: Path
) -> None:
    asyncio.run(add(stack.settings, [A]))
    enqueue_digest(queue)
    with running(stack.settings, tmp_path / "log", "-c", RAISING) as process:
        wait_until(lambda: messages(engine) == {"a"})
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    said = (tmp_path / "log").read_text()
    assert said.count("begins again") == 3
    for kind in ("OSError", "AttributeError", "KeyError"):
        assert said.count(f"begins again: {kind}") == 1


def test_a_worker_outlives_every_cut_of_its_connections(
    stack: Stack, buffer: Buffer, engine: Engine, queue: Queue, tmp_path: Path
) -> None:
    with running(stack.settings, tmp_path / "log", "-m", "async_dedup.worker") as process:
        for number in range(5):
            wait_until(lambda: is_idle(buffer))
            for kind in ("normal", "pubsub"):
                buffer.redis.client_kill_filter(_type=kind, skipme=True)
            asyncio.run(add(stack.settings, [event(f"event {number}")]))
            enqueue_digest(queue)
            wait_until(lambda: not buffer.state().first_events)
        assert process.poll() is None
