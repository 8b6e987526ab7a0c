"""The ledger: what it forgets, and what never."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from redis import RedisError
from sqlalchemy import Engine, delete, insert, select

from async_dedup import ledger
from async_dedup.buffer import Buffer
from async_dedup.flush import flush
from async_dedup.scheduler import trim_ledger
from loadtests.stack import Stack
from shared.answer import now
from shared.model import AppliedBatch
from tests.parts import add, alone, event, servers_up, times_seen

A = event("a")


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture
def buffer(stack: Stack) -> Iterator[Buffer]:
    stack.reset()
    yield Buffer(stack.settings)
    servers_up(stack)


@pytest.mark.parametrize(("kept", "left"), [(0, ["young"]), (1, ["young"]), (2, ["old", "young"])])
def test_it_forgets_what_it_has_kept_long_enough_but_never_the_newest(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, kept: int, left: list[str]
) -> None:
    """Whatever its clock says: one that is years ahead would otherwise take all."""
    monkeypatch.setattr(ledger, "ROWS", kept)
    ages = {"old": ledger.KEPT + timedelta(minutes=1), "young": ledger.KEPT - timedelta(minutes=1)}
    rows = [
        {"batch_id": name, "applied_at": now() - age, "fingerprints": 1, "events": 1}
        for name, age in ages.items()
    ]
    with engine.begin() as connection:
        connection.execute(delete(AppliedBatch))
        connection.execute(insert(AppliedBatch), rows)
    ledger.trim(engine, [])
    with engine.begin() as connection:
        found = connection.scalars(select(AppliedBatch.batch_id).order_by(AppliedBatch.batch_id)).all()
    assert found == left


@pytest.fixture
def not_dropped(stack: Stack, buffer: Buffer, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that MySQL has had for long, and Redis still has: it took no writes."""
    asyncio.run(add(stack.settings, [A, A]))
    buffer.claim()
    buffer.redis.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(RedisError):
            flush(buffer, engine)
    finally:
        buffer.redis.config_set("min-replicas-to-write", 0)
    assert len(buffer.batches()) == 1
    monkeypatch.setattr(ledger, "ROWS", 0)
    monkeypatch.setattr(ledger, "KEPT", timedelta(0))


@pytest.mark.usefixtures("not_dropped")
def test_it_forgets_no_batch_that_redis_still_has(buffer: Buffer, engine: Engine) -> None:
    trim_ledger(buffer, engine)
    flush(buffer, engine)
    assert times_seen(engine) == {A.fingerprint: 2}


@pytest.mark.usefixtures("not_dropped")
def test_it_forgets_nothing_while_nobody_knows_what_redis_has(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    stack.kill("redis")
    trim_ledger(buffer, engine)
    stack.start("redis")
    flush(buffer, engine)
    assert times_seen(engine) == {A.fingerprint: 2}
