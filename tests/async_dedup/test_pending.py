"""`times_seen` and `pending`: together all that was acknowledged, at any step of a flush."""

import asyncio
from collections.abc import Iterator

import pytest
from redis import RedisError
from sqlalchemy import Engine

from async_dedup.buffer import Buffer
from async_dedup.flush import flush
from async_dedup.pending import add_pending
from loadtests.stack import Stack
from shared import listing
from shared.db import make_engine
from shared.listing import IssueView
from tests.parts import add, alone, drain, event

A = event("a")


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture
def buffer(stack: Stack, engine: Engine) -> Buffer:
    """One event of A is in MySQL, a second in the buffer."""
    stack.reset()
    buffer = Buffer(stack.settings)
    for _ in range(2):
        drain(buffer, engine)
        asyncio.run(add(stack.settings, [A]))
    return buffer


@pytest.fixture
def reader(stack: Stack) -> Iterator[Engine]:
    engine = make_engine(stack.settings, 1)
    yield engine
    engine.dispose()


def seen(issue: IssueView) -> tuple[int, int | None]:
    return issue.times_seen, issue.pending


def test_a_batch_that_is_committed_and_not_dropped_yet_is_counted_once(
    buffer: Buffer, engine: Engine, reader: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Buffer, batch_id: str) -> None:
        raise RedisError("away")

    monkeypatch.setattr(Buffer, "drop", refuse)
    with pytest.raises(RedisError):
        flush(buffer, engine)
    issue = listing.one(reader, A.fingerprint)
    add_pending(reader, buffer, [issue])
    assert seen(issue) == (2, 0)


@pytest.mark.parametrize("before", [True, False], ids=["before Redis is asked", "after it"])
def test_a_flush_while_somebody_reads_hides_nothing(
    buffer: Buffer, engine: Engine, reader: Engine, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    pending, flushed = Buffer.pending, list[str]()

    def look(self: Buffer, fingerprints: list[str]) -> dict[str, list[int]] | None:
        if before and not flushed:
            flushed.append(str(flush(buffer, engine)))
        found = pending(self, fingerprints)
        if not flushed:
            flushed.append(str(flush(buffer, engine)))
        return found

    monkeypatch.setattr(Buffer, "pending", look)
    issue = listing.one(reader, A.fingerprint)
    add_pending(reader, buffer, [issue])
    assert seen(issue) == (2, 0)


def test_of_an_issue_that_never_rests_nothing_is_said_to_be_pending(
    stack: Stack, buffer: Buffer, engine: Engine, reader: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = Buffer.pending

    def look(self: Buffer, fingerprints: list[str]) -> dict[str, list[int]] | None:
        found = pending(self, fingerprints)
        asyncio.run(add(stack.settings, [A]))
        flush(buffer, engine)
        return found

    monkeypatch.setattr(Buffer, "pending", look)
    issue = listing.one(reader, A.fingerprint)
    add_pending(reader, buffer, [issue])
    assert seen(issue) == (5, None)
