"""The flush: exactly once, wherever it is killed and however many of them run."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine, select
from sqlalchemy.exc import OperationalError

from async_dedup.buffer import Buffer
from async_dedup.digest import Stop
from async_dedup.entries import Batch
from async_dedup.flush import flush
from loadtests.stack import Stack
from loadtests.studies.faults.steps import FLUSH
from shared import db
from shared.model import AppliedBatch
from tests.async_dedup.killed import kill_at
from tests.parts import add, alone, claimed, counted, engine_of, event, frozen, times_seen

A, B = event("a"), event("b")


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture
def buffer(stack: Stack) -> Buffer:
    stack.reset()
    return Buffer(stack.settings)


def ledger(engine: Engine) -> dict[str, tuple[int, int]]:
    """Fingerprints and events of every batch that was applied."""
    with engine.connect() as connection:
        found = connection.execute(select(*AppliedBatch.__table__.columns)).mappings().all()
    return {row["batch_id"]: (row["fingerprints"], row["events"]) for row in found}


def replayed() -> float:
    return REGISTRY.get_sample_value("batches_replayed_total") or 0.0


def test_counts_and_ledger_are_in_mysql_and_the_buffer_is_empty(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    asyncio.run(add(stack.settings, [A, B, A]))
    flush(buffer, engine)
    flush(buffer, engine)
    assert times_seen(engine) == {A.fingerprint: 2, B.fingerprint: 1}
    assert list(ledger(engine).values()) == [(2, 3)]
    assert counted(buffer) == {}
    assert buffer.batches() == []
    assert buffer.state().flushed_at > 0


def test_counts_add_up_over_flushes(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    for group in ([A], [A, B], [A, A]):
        asyncio.run(add(stack.settings, group))
        flush(buffer, engine)
    assert times_seen(engine) == {A.fingerprint: 4, B.fingerprint: 1}
    assert len(ledger(engine)) == 3


@pytest.mark.parametrize("step", FLUSH)
def test_a_flush_that_was_killed_is_finished_by_the_next(
    stack: Stack, buffer: Buffer, engine: Engine, tmp_path: Path, step: str
) -> None:
    asyncio.run(add(stack.settings, [A, A, B]))
    kill_at(stack.settings, tmp_path, "flush", FLUSH[step])
    in_mysql = {A.fingerprint: 2, B.fingerprint: 1}
    assert times_seen(engine) == (in_mysql if step in ("committed", "dropped") else {})
    assert counted(buffer) == ({} if step == "dropped" else in_mysql)
    asyncio.run(add(stack.settings, [A]))
    before = replayed()
    flush(buffer, engine)
    assert times_seen(engine) == {A.fingerprint: 3, B.fingerprint: 1}
    assert counted(buffer) == {}
    assert replayed() - before == (1 if step == "committed" else 0)


def test_what_was_left_behind_comes_before_a_new_claim(
    stack: Stack, buffer: Buffer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[dict[str, int]] = []
    claim = Buffer.claim

    def watched(self: Buffer) -> None:
        left.append(times_seen(engine))
        assert claimed(self) == []
        claim(self)

    asyncio.run(add(stack.settings, [A]))
    buffer.claim()
    asyncio.run(add(stack.settings, [A]))
    monkeypatch.setattr(Buffer, "claim", watched)
    flush(buffer, engine)
    assert left == [{A.fingerprint: 1}]
    assert times_seen(engine) == {A.fingerprint: 2}


def test_two_flushes_that_read_the_same_batch_count_it_once(
    stack: Stack, buffer: Buffer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_have_read = threading.Barrier(2)
    read = Buffer.read
    failures: list[BaseException] = []

    def read_together(self: Buffer, batch_id: str) -> Batch | None:
        batch = read(self, batch_id)
        both_have_read.wait(10)
        return batch

    def other() -> None:
        own = engine_of(stack)
        try:
            flush(Buffer(stack.settings), own)
        except BaseException as failure:  # noqa: BLE001 - a thread has no other way to tell
            failures.append(failure)
        finally:
            own.dispose()

    asyncio.run(add(stack.settings, [A, A, B]))
    buffer.claim()
    before = replayed()
    monkeypatch.setattr(Buffer, "read", read_together)
    thread = threading.Thread(target=other)
    thread.start()
    flush(buffer, engine)
    thread.join()
    assert failures == []
    assert replayed() - before == 1
    assert times_seen(engine) == {A.fingerprint: 2, B.fingerprint: 1}
    assert buffer.batches() == []


def test_told_to_stop_it_ends_after_the_batch_in_its_hands(
    stack: Stack, buffer: Buffer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = Buffer.drop

    def told_to_stop(self: Buffer, batch_id: str) -> None:
        drop(self, batch_id)
        monkeypatch.setattr(Stop, "asked", True)

    for _ in range(3):
        asyncio.run(add(stack.settings, [A]))
        buffer.claim()
    asyncio.run(add(stack.settings, [A]))
    with monkeypatch.context() as patch:
        patch.setattr(Buffer, "drop", told_to_stop)
        flush(buffer, engine)
    assert (times_seen(engine), len(buffer.batches())) == ({A.fingerprint: 1}, 2)
    assert buffer.state().flushed_at == 0
    monkeypatch.undo()
    flush(buffer, engine)
    assert (times_seen(engine), buffer.batches()) == ({A.fingerprint: 4}, [])
    assert buffer.state().flushed_at > 0


def test_a_flush_without_mysql_keeps_its_batch(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    asyncio.run(add(stack.settings, [A]))
    stack.kill("mysql")
    with pytest.raises(OperationalError):
        flush(buffer, engine)
    asyncio.run(add(stack.settings, [A, B]))
    assert counted(buffer) == {A.fingerprint: 2, B.fingerprint: 1}
    stack.start("mysql")
    flush(buffer, engine)
    assert times_seen(engine) == {A.fingerprint: 2, B.fingerprint: 1}


def test_a_flush_gives_a_silent_mysql_up_and_counts_once_when_it_is_back(
    stack: Stack, buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What MySQL was sent before it froze it may carry out later: nobody can tell, but the ledger can."""
    monkeypatch.setattr(db, "READ_TIMEOUT", 1)
    engine = engine_of(stack)
    asyncio.run(add(stack.settings, [A, A, B]))
    times_seen(engine)  # connected before MySQL freezes
    with frozen(stack.pid("mysql")), pytest.raises(OperationalError):
        flush(buffer, engine)
    flush(buffer, engine)
    assert times_seen(engine) == {A.fingerprint: 2, B.fingerprint: 1}
    assert counted(buffer) == {}
    engine.dispose()
