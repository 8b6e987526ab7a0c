"""Clocks that are set while the twin runs: counts come to MySQL in time, and ready tells the truth."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from async_dedup.buffer import Buffer
from async_dedup.digest import digest_queue, enqueue_digest
from async_dedup.status import LATE_ROW
from loadtests.stack import Stack
from loadtests.studies.faults.clock import Clock
from shared.answer import now
from tests import client
from tests.client import READY, get
from tests.parts import LIMIT, add, alone, drain, event, rows, running, servers_up, times_seen, wait_until

HOUR = 3600
YEARS = 5 * 365 * 24 * HOUR
SET = [-HOUR, HOUR, -YEARS, YEARS]
THERE_AND_BACK = [offset for seconds in SET for offset in (seconds, 0)]

A = event("a")


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


def wait_for(engine: Engine, times: int) -> None:
    wait_until(lambda: times_seen(engine).get(A.fingerprint) == times)


def test_a_scheduler_whose_clock_is_set_still_flushes(
    stack: Stack, buffer: Buffer, engine: Engine, tmp_path: Path
) -> None:
    clock = Clock(tmp_path / "clock")
    with running(stack.settings, tmp_path / "log", "-m", "async_dedup.scheduler", more=clock.environment):
        wait_until(lambda: buffer.state().flushed_at)
        for number, offset in enumerate(THERE_AND_BACK, 1):
            clock.set(offset)
            asyncio.run(add(stack.settings, [A]))
            wait_for(engine, number)


def test_a_worker_whose_clock_is_set_still_digests(
    stack: Stack, buffer: Buffer, engine: Engine, tmp_path: Path
) -> None:
    clock = Clock(tmp_path / "clock")
    queue = digest_queue(stack.settings, 2.0)
    with running(
        stack.settings, tmp_path / "log", "-m", "async_dedup.worker", more=clock.environment
    ) as process:
        for offset, each in zip(THERE_AND_BACK, map(event, "abcdefgh"), strict=True):
            clock.set(offset)
            asyncio.run(add(stack.settings, [each]))
            enqueue_digest(queue)
            wait_until(lambda: not buffer.state().first_events)
        assert process.poll() is None
    assert {row["message"] for row in rows(engine).values()} == set("abcdefgh")


@pytest.fixture
def every_clock(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Of all processes of the twin, which run. Redis itself can't run on such a clock."""
    clock = Clock(tmp_path / "clock")
    stack.stop_twin("async_dedup")
    stack.reset()
    with monkeypatch.context() as patch:
        for name, value in clock.environment.items():
            patch.setenv(name, value)
        stack.start_twin("async_dedup")
    yield clock
    stack.stop_twin("async_dedup")


@pytest.mark.parametrize("seconds", SET)
def test_every_clock_is_set(stack: Stack, every_clock: Clock, engine: Engine, seconds: int) -> None:
    url = stack.base_url("async_dedup")
    for number, offset in enumerate((0, seconds, 0), 1):
        every_clock.set(offset)
        assert client.log(url, "a").status == 200
        wait_for(engine, number)
        wait_until(lambda: get(url, READY).status == 200)


def test_a_flush_that_is_missing_is_seen_whatever_the_clock_says(stack: Stack, every_clock: Clock) -> None:
    url = stack.base_url("async_dedup")
    wait_until(lambda: get(url, READY).status == 200)
    stack.stop("scheduler")
    every_clock.set(-HOUR)
    wait_until(lambda: get(url, READY).status == 503)
    assert get(url, READY).json["message"].startswith("The last flush was")
    stack.start("scheduler")
    wait_until(lambda: get(url, READY).status == 200)


def test_a_first_event_from_the_future_waits_from_when_it_was_seen(
    buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis dates by its clock, and goes on from its newest date when that is set back."""
    future = int((buffer.now() + HOUR) * 1000)
    buffer.redis.xadd("hpt:first_events", {"some": "entry"}, id=f"{future}-1")
    assert 0 <= buffer.state().queue_age < LATE_ROW
    seen = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: seen + 2 * LATE_ROW)
    assert buffer.state().queue_age > LATE_ROW


@pytest.mark.parametrize("milliseconds", [None, 2**63, 2**64 - 1])
def test_what_comes_behind_a_first_event_from_the_future_has_its_own_time(
    stack: Stack, buffer: Buffer, engine: Engine, milliseconds: int | None
) -> None:
    """Ids never go back: neither where Redis's clock is, nor behind a foreign one from beyond all time."""
    future = milliseconds or int((buffer.now() + HOUR) * 1000)
    buffer.redis.xadd("hpt:first_events", {"some": "entry"}, id=f"{future}-1")
    before = now()
    asyncio.run(add(stack.settings, [A, event("b")]))
    after = now()
    drain(buffer, engine)
    assert {row["message"] for row in rows(engine).values()} == {"a", "b"}
    assert all(before <= row["first_seen"] <= row["last_seen"] <= after for row in rows(engine).values())
    assert buffer.state().set_aside == 1
    waits = {"at": int((buffer.now() - 100) * 1e6)}
    buffer.redis.xadd("hpt:first_events", waits)
    assert buffer.state().queue_age >= 100


def test_a_flush_from_the_future_is_as_old_as_it_can_be(
    buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer.mark_flushed()
    assert buffer.state().flush_age < LIMIT
    seen = time.monotonic()
    buffer.redis.set("hpt:flushed_at", buffer.now() + HOUR)
    buffer.state()
    monkeypatch.setattr(time, "monotonic", lambda: seen + 6000)
    assert buffer.state().flush_age == pytest.approx(6000, abs=LIMIT)
    buffer.mark_flushed()
    buffer.state()
    buffer.redis.set("hpt:flushed_at", "no number")
    assert buffer.state().flush_age < LIMIT  # nobody has seen it otherwise for longer
    monkeypatch.setattr(time, "monotonic", lambda: seen + 12_000)
    assert buffer.state().flush_age == pytest.approx(6000, abs=LIMIT)
