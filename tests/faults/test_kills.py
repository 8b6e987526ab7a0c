"""Every process killed and started again under load: nothing acknowledged is lost, nothing counted twice."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine

from async_dedup.buffer import Buffer
from loadtests.stack import Stack
from loadtests.studies.faults.history import History, load
from loadtests.studies.faults.oracle import judge, recorded
from shared.model import Issue
from tests.conftest import free_settings
from tests.parts import alone, await_acknowledged, counted, frozen, rows, running, servers_up, wait_until

API, WORKER, SCHEDULER = "async_dedup", "worker", "scheduler"
REQUESTS = 300


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture(autouse=True)
def _twin(stack: Stack) -> None:
    """The twin runs, whatever the test before did to it, and has counted nothing yet."""
    servers_up(stack)
    stack.stop("worker")  # it registers in Redis once, when it starts
    stack.reset()
    stack.start_twin("async_dedup")


@pytest.fixture
def buffer(stack: Stack) -> Buffer:
    return Buffer(stack.settings)


def await_drain(buffer: Buffer) -> None:
    """By the twin's own processes."""
    wait_until(lambda: not (buffer.state().first_events or counted(buffer)))


def check_all(users: History, buffer: Buffer, engine: Engine) -> None:
    await_drain(buffer)
    wait_until(lambda: all(row[Issue.message.key] for row in rows(engine).values()))
    assert judge(users, recorded(engine)) == (0, 0, [])


@pytest.mark.parametrize("role", [API, WORKER, SCHEDULER, "redis", "mysql"])
def test_a_process_is_killed_and_started_again(
    stack: Stack, buffer: Buffer, engine: Engine, role: str
) -> None:
    with load(stack.base_url(API)) as users:
        await_acknowledged(users, REQUESTS)
        stack.kill(role)
        if role not in (API, "redis"):
            await_acknowledged(users, REQUESTS)  # nobody waits for the others
        stack.start(role)
        await_acknowledged(users, REQUESTS)
    check_all(users, buffer, engine)
    if role not in (API, "redis"):
        assert users.totals.keys() == {"acknowledged"}


def test_all_three_processes_are_killed_at_once(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    with load(stack.base_url(API)) as users:
        await_acknowledged(users, REQUESTS)
        for role in (SCHEDULER, WORKER, API):
            stack.kill(role)
        stack.start_twin("async_dedup")
        await_acknowledged(users, REQUESTS)
    check_all(users, buffer, engine)


def test_a_redis_that_freezes_for_longer_than_the_time_out(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    with load(stack.base_url(API)) as users:
        await_acknowledged(users, REQUESTS)
        with frozen(stack.pid("redis")):
            wait_until(lambda: users.statuses[503] > 0)
        await_acknowledged(users, REQUESTS)
    check_all(users, buffer, engine)


def test_two_of_each_give_the_totals_of_one(
    stack: Stack, buffer: Buffer, engine: Engine, tmp_path: Path
) -> None:
    free = free_settings()
    any_port = {name: getattr(free, name) for name in ("worker_metrics_port", "scheduler_metrics_port")}
    second = stack.settings.model_copy(update=any_port)
    with ExitStack() as more:
        for module in ("async_dedup.worker", "async_dedup.scheduler"):
            more.enter_context(running(second, tmp_path / module, "-m", module))
        wait_until(lambda: buffer.redis.scard("rq:workers") == 2)
        with load(stack.base_url(API)) as users:
            await_acknowledged(users, 4 * REQUESTS)
        check_all(users, buffer, engine)
    assert users.totals.keys() == {"acknowledged"}


@pytest.mark.parametrize("role", [API, WORKER, SCHEDULER])
def test_a_process_that_is_asked_to_end_answers_what_it_has_begun(
    stack: Stack, buffer: Buffer, engine: Engine, role: str
) -> None:
    with load(stack.base_url(API)) as users:
        await_acknowledged(users, REQUESTS)
        os.kill(stack.pid(role), signal.SIGTERM)
        wait_until(lambda: not stack.alive(role))
        stack.start(role)
        await_acknowledged(users, REQUESTS)
    check_all(users, buffer, engine)
    # A connection that is closed or refused carried no answer; what was answered was a 200.
    assert [status for status in users.statuses if isinstance(status, int)] == [200]
